"""The state of a gallery as a whole."""

from dataclasses import dataclass
from typing import Literal

from facesearch.storage.preferences import preference
from facesearch.storage.store import Store
from facesearch.storage.vault import Kind

IndexState = Literal["current", "to be rebuilt", "in the database"]


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """The state of a gallery."""

    folder: str  # or its URL, without a password
    people: int
    faces: int
    photos: int
    model: str | None
    fingerprint: str | None
    index: IndexState
    keeps_chips: bool
    chips: int
    unfinished_reindex: str | None  # how far it is
    encrypted: Kind | None  # with what
    audit: str  # "on" if searches are recorded


def gallery_info(store: Store, index: IndexState, unfinished_reindex: str | None) -> GalleryInfo:
    """The sizes, the model and the settings are read; the rest is given."""
    people = store.people()
    model = store.model()
    return GalleryInfo(
        folder=store.database.name,
        people=len(people),
        faces=sum(person.faces for person in people),
        photos=store.photo_count(),
        model=model.name if model else None,
        fingerprint=model.fingerprint if model else None,
        index=index,
        keeps_chips=preference(store.database, "keep-chips") == "on",
        chips=store.chip_count(),
        unfinished_reindex=unfinished_reindex,
        encrypted=store.database.encrypted_with(),
        audit=preference(store.database, "audit"),
    )
