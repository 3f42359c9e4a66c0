"""The strangers to a gallery as it is now, kept in a file and brought up to date."""

from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.gallery.nearness import Nearness, nearest, strange
from facesearch.index.local_index import LocalIndex
from facesearch.index.milvus_sync import MilvusSync
from facesearch.matching.calibration import cohort_of
from facesearch.matching.cohort import Cohort
from facesearch.matching.thresholds import ImpostorScores
from facesearch.storage import cache_file
from facesearch.storage.state import State
from facesearch.storage.store import Store
from facesearch.storage.vault import Vault
from facesearch.vision import images
from facesearch.vision.model import COHORT, Model

# of every face of the cohort, (R,): distance, population, nearest person, whether a stranger
Rows = NDArray[np.float64]  # (4, R)


def impostor_scores(
    store: Store, following: LocalIndex | MilvusSync, model: Model
) -> ImpostorScores:
    """To a gallery in which somebody is enrolled.

    After a change only who changed is looked at. Raises ModelError without a cohort, GalleryError.
    """
    path = store.database.folder / cache_file.STRANGERS
    file = model.folder / COHORT
    of = images.sha256(file) if file.is_file() else ""
    following.current()
    state, vault = following.state, store.database.vault
    kept = _kept(path, of, vault)
    if kept is None or kept[0] != state:
        rows = _rows(store, following, cohort_of(model), kept)
        if following.state != state:  # somebody wrote a moment ago
            return impostor_scores(store, following, model)
        with suppress(OSError):
            cache_file.save(path, [rows.tobytes()], f"{state} {of}", vault)
            if store.revision() != state.revision:  # removed or encrypted meanwhile
                path.unlink(missing_ok=True)
    else:
        rows = kept[1]
    distances, populations, _, _ = rows[:, rows[3] > 0]
    return ImpostorScores(distances, populations.astype(np.int64))


def _rows(
    store: Store,
    following: LocalIndex | MilvusSync,
    cohort: Cohort,
    kept: tuple[State, Rows] | None,
) -> Rows:
    faces = cohort.embeddings[cohort.firsts]
    delta = None if kept is None else store.changes_since(kept[0])
    index = following.current()
    if kept is None or delta is None or delta.state != following.state:
        near = nearest(faces, index)
    else:
        before = Nearness(kept[1][2].astype(np.int64), kept[1][0])
        near = before.updated(faces, index, delta.people, np.unique(delta.owners))
    return np.stack(
        [
            near.distances,
            cohort.populations[cohort.firsts].astype(np.float64),
            near.people.astype(np.float64),
            strange(cohort, store.enrolled_content_keys(cohort.photos)).astype(np.float64),
        ]
    )


def _kept(path: Path, of: str, vault: Vault) -> tuple[State, Rows] | None:
    """What the file holds of this cohort."""
    found = cache_file.read(path, vault)
    state = State.of(found[0]) if found else None
    if found is None or state is None or found[0] != f"{state} {of}":
        return None
    return state, found[1].view(np.float64).reshape(4, -1)
