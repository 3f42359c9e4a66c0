"""How near strangers come to a gallery: the cohort of the model, searched in it.

The distances are kept in a file. When the gallery changes, only who changed is compared anew.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Distances, Embeddings
from facesearch.core.paths import COHORT
from facesearch.index.base import Numbers, SearchIndex
from facesearch.index.local_index import LocalIndex
from facesearch.index.milvus_sync import MilvusSync
from facesearch.index.person_index import PersonIndex
from facesearch.matching.calibration import cohort_of
from facesearch.matching.cohort import Cohort
from facesearch.matching.thresholds import ImpostorScores
from facesearch.metrics.pairs import pairwise_distances
from facesearch.storage import cache_file
from facesearch.storage.state import State
from facesearch.storage.store import Store
from facesearch.storage.vault import Vault
from facesearch.vision import images
from facesearch.vision.model import Model

FACES_PER_SEARCH = 1024  # of the cohort
TEMPLATES_PER_BLOCK = 4096  # that the cohort is compared with at once

# for every face of the cohort, (R,): distance, population, nearest person, whether a stranger
Rows = NDArray[np.float64]  # (4, R)


def impostor_scores(
    store: Store, follower: LocalIndex | MilvusSync, model: Model
) -> ImpostorScores:
    """The distances from strangers to a gallery in which somebody is enrolled.

    Raises ModelError for a model without a cohort, and GalleryError.
    """
    path = store.database.folder / cache_file.STRANGERS
    file = model.folder / COHORT
    cohort_sha256 = images.sha256(file) if file.is_file() else ""
    follower.current()
    state, vault = follower.state, store.database.vault
    kept = _read(path, cohort_sha256, vault)
    if kept is None or kept[0] != state:
        rows = _rows(store, follower, cohort_of(model), kept)
        if follower.state != state:  # somebody wrote a moment ago
            return impostor_scores(store, follower, model)
        with suppress(OSError):
            cache_file.save(path, [rows.tobytes()], f"{state} {cohort_sha256}", vault)
            if store.revision() != state.revision:  # removed or encrypted meanwhile
                path.unlink(missing_ok=True)
    else:
        rows = kept[1]
    distances, populations, _, _ = rows[:, rows[3] > 0]
    return ImpostorScores(distances, populations.astype(np.int64))


def impostor_scores_of(
    cohort: Cohort, enrolled: Embeddings, photos: NDArray[np.uint64]
) -> ImpostorScores:
    """The same for a gallery's templates, (P, D), at least one. photos: see `are_strangers`."""
    index = PersonIndex(np.arange(len(enrolled)), enrolled)
    near = nearest_people(cohort.embeddings[cohort.firsts], index)
    rows = are_strangers(cohort, photos)
    return ImpostorScores(near.distances[rows], cohort.populations[cohort.firsts][rows])


def are_strangers(cohort: Cohort, photos: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each person of a cohort, (R,), is on no photo of a gallery.

    photos: the `content_key` of the gallery's photos.
    """
    known = cohort.photo_people[np.isin(cohort.photos, photos)]
    return ~np.isin(cohort.people[cohort.firsts], known)


@dataclass(frozen=True, slots=True)
class NearestPeople:
    """The person of a gallery who is nearest to each face."""

    people: Numbers  # (R,)
    distances: Distances  # (R,)

    def updated(
        self, faces: Embeddings, index: SearchIndex, changed: Numbers, there: Numbers
    ) -> "NearestPeople":
        """The same after a change of the gallery.

        faces: the same as before, (R, D). changed: the people who changed. there: those of them who
        are in the index, as it is now.
        """
        people, distances = self.people.copy(), self.distances.copy()
        again = np.isin(people, changed)  # the nearest person is gone, or has moved
        for at in range(0, len(there), TEMPLATES_PER_BLOCK):
            some = there[at : at + TEMPLATES_PER_BLOCK]
            apart = pairwise_distances(faces, index.of(some))
            best = apart.argmin(axis=1)
            least = apart[np.arange(len(faces)), best]
            nearer = least < distances
            people[nearer], distances[nearer] = some[best[nearer]], least[nearer]
        if again.any():
            found = nearest_people(faces[again], index)
            people[again], distances[again] = found.people, found.distances
        return NearestPeople(people, distances)


def nearest_people(faces: Embeddings, index: SearchIndex) -> NearestPeople:
    """The nearest person to each face, (R, D), of an index in which somebody is."""
    people = np.empty(len(faces), np.int64)
    distances = np.empty(len(faces))
    for at in range(0, len(faces), FACES_PER_SEARCH):
        block = faces[at : at + FACES_PER_SEARCH]
        found = index.search(block, 1, exact=True)[0][:, 0]
        people[at : at + FACES_PER_SEARCH] = found
        cosines = np.einsum("rd,rd->r", block, index.of(found), dtype=np.float64)
        distances[at : at + FACES_PER_SEARCH] = np.sqrt(np.maximum(2 - 2 * cosines, 0))
    return NearestPeople(people, distances)


def _rows(
    store: Store,
    follower: LocalIndex | MilvusSync,
    cohort: Cohort,
    kept: tuple[State, Rows] | None,
) -> Rows:
    """kept: what the file holds of an earlier state."""
    faces = cohort.embeddings[cohort.firsts]
    delta = None if kept is None else store.changes_since(kept[0])
    index = follower.current()
    if kept is None or delta is None or delta.state != follower.state:
        near = nearest_people(faces, index)
    else:
        before = NearestPeople(kept[1][2].astype(np.int64), kept[1][0])
        near = before.updated(faces, index, delta.people, np.unique(delta.owners))
    return np.stack(
        [
            near.distances,
            cohort.populations[cohort.firsts].astype(np.float64),
            near.people.astype(np.float64),
            are_strangers(cohort, store.enrolled_content_keys(cohort.photos)).astype(np.float64),
        ]
    )


def _read(path: Path, cohort_sha256: str, vault: Vault) -> tuple[State, Rows] | None:
    """What the file holds for this cohort, and the state of the gallery that it is from."""
    found = cache_file.read(path, vault)
    state = State.of(found[0]) if found else None
    if found is None or state is None or found[0] != f"{state} {cohort_sha256}":
        return None
    return state, found[1].view(np.float64).reshape(4, -1)
