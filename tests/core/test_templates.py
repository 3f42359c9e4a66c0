"""A person's template is the normalised mean of their faces."""

import numpy as np

from facesearch.core.templates import templates
from tests.support.crowd import crowd


def test_templates_are_normalised_means() -> None:
    vectors, people = crowd(5, 3, seed=0)
    shuffled = np.random.default_rng(0).permutation(len(people))
    found = templates(vectors[shuffled], people[shuffled])
    for person in range(5):
        mean = vectors[people == person].mean(axis=0)
        assert np.allclose(found[person], mean / np.linalg.norm(mean), atol=1e-6)


def test_one_photo_is_its_own_template_and_opposites_do_not_break() -> None:
    vectors, people = crowd(4, 1, seed=0)
    assert np.allclose(templates(vectors, people), vectors, atol=1e-6)
    opposite = np.array([[1, 0], [-1, 0]], np.float32)
    assert np.isfinite(templates(opposite, np.array([0, 0]))).all()
    assert templates(vectors[:0], people[:0]).shape == (0, 32)
