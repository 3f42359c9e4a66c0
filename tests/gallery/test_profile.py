"""The faces of a person, and how typical each is."""

import numpy as np
import pytest

from facesearch.gallery.gallery import Gallery
from facesearch.storage.store import Store
from tests.support.invented_photos import MODEL, photo


def test_a_profile_finds_the_odd_one(gallery: Gallery, store: Store) -> None:
    base = photo("", 20).embeddings[0]
    near = [base + 0.01 * photo("", n).embeddings[0] for n in (21, 22, 23)]
    vectors = [*near, photo("", 24).embeddings[0]]
    for at, vector in enumerate(vectors):
        new = photo("dora", 30 + at)
        new.embeddings[0] = vector / np.linalg.norm(vector)
        store.add([new], MODEL)
    profile = gallery["dora"]
    numbers = [each.number for each in profile.faces]
    assert profile.least_typical == numbers[3]
    assert profile.most_typical in numbers[:3]
    mean = np.mean([v / np.linalg.norm(v) for v in vectors], axis=0)
    slow = [
        float(np.linalg.norm(v / np.linalg.norm(v) - mean / np.linalg.norm(mean))) for v in vectors
    ]
    assert [each.distance for each in profile.faces] == pytest.approx(slow, abs=1e-5)
    assert (profile.photos, profile.first is not None) == (4, True)
    assert (gallery["bob"].most_typical, gallery["bob"].least_typical) == (
        None,
        None,
    )
