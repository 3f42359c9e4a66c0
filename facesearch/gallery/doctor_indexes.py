"""What is wrong with the indexes and caches of a gallery, which are made from its rows."""

import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import GalleryError
from facesearch.core.templates import templates
from facesearch.gallery.doctor_findings import Findings
from facesearch.index import milvus
from facesearch.index.local_index import LocalIndex, apply, behind
from facesearch.index.milvus_sync import MilvusSync
from facesearch.index.person_index import PersonIndex
from facesearch.storage import cache_file
from facesearch.storage.engine import TemplateSearch
from facesearch.storage.store import Store


def examine_indexes(store: Store, findings: Findings, *, repair: bool) -> None:
    """Compare the index, wherever it is, with the rows. repair: make anew what is wrong.

    Does nothing where damaged rows cannot be compared with; these were found before.
    """
    try:
        _, owners, embeddings = store.vectors()
    except GalleryError as error:
        if not findings.has_errors():
            findings.add("rows", str(error), "error")
        return
    _examine_caches(store.database.folder, findings, repair)
    server = milvus.chosen()
    inside = store.database.engine.templates()
    if server is not None:
        _examine_collection(MilvusSync(store, server), findings, repair)
    elif inside is not None:
        _examine_templates(store, inside, owners, embeddings, findings, repair)
    else:
        _examine_file(store, owners, embeddings, findings, repair)


def _examine_caches(folder: Path, findings: Findings, repair: bool) -> None:
    """The files that are made from the index."""
    for path in (folder / cache_file.STRANGERS, folder / cache_file.CODES):
        if cache_file.state(path, "") == "damaged":
            findings.add("cache", f"{path}: damaged", "warning", "removes it")
            if repair:
                delete(path)
                if not path.exists():
                    findings.change()


def _examine_file(
    store: Store,
    owners: NDArray[np.int64],
    embeddings: Embeddings,
    findings: Findings,
    repair: bool,
) -> None:
    """The index in the folder. One that the next search brings up to date is no finding."""
    path = store.database.folder / cache_file.INDEX
    found = PersonIndex.load(path, store.database.vault)
    if found is None:
        if not path.exists():
            return
        findings.add("index", f"{path}: damaged", "warning", "makes it anew")
    else:
        index, state = found
        delta = store.changes_since(state)
        if delta is None or behind(len(delta.people), path):
            return
        if apply(delta, index) and _holds(index.numbers, index.templates, owners, embeddings):
            return
        what = f"{path}: does not hold what the database holds"
        findings.add("index", what, "error", "makes it anew")
    if repair:
        delete(path)
        with suppress(GalleryError):
            LocalIndex(store).prepare()
            findings.change()


def _examine_collection(sync: MilvusSync, findings: Findings, repair: bool) -> None:
    """The index in Milvus."""
    try:
        wrong = sync.problem()
        if wrong is not None:
            findings.add("index", wrong, "error", "fills another collection")
        elif not sync.is_kept():
            what = "Milvus: does not hold this gallery as it is"
            findings.add("index", what, "note", "fills a collection, as the next search would")
        else:
            return
        if repair:
            sync.refill()
            findings.change()
    except GalleryError as error:
        findings.add("index", str(error), "warning")


def _examine_templates(
    store: Store,
    inside: TemplateSearch,
    owners: NDArray[np.int64],
    embeddings: Embeddings,
    findings: Findings,
    repair: bool,
) -> None:
    """The templates in the database, which pgvector searches."""
    if _holds(inside.numbers, inside.templates, owners, embeddings):
        return
    what = f"{store.database.name}: the templates for pgvector are not those of the faces"
    findings.add("index", what, "error", "makes them anew")
    if repair:
        with store.database.append() as connection:
            inside.forget(connection)
            store.database.engine.update_templates(connection)
        findings.change()


def _holds(
    people: NDArray[np.int64],
    there: Embeddings,
    owners: NDArray[np.int64],
    embeddings: Embeddings,
) -> bool:
    """Whether an index of people and their templates is one of these faces and their people."""
    known, numbers = np.unique(owners, return_inverse=True)
    order = np.argsort(people)
    wanted = templates(embeddings, numbers)
    return (
        np.array_equal(people[order], known)
        and (not len(known) or there.shape == wanted.shape)
        and np.allclose(there[order], wanted, atol=1e-5)
    )


def delete(path: Path) -> None:
    """Delete a file or a folder, as far as that can be done."""
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
