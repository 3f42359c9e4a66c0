"""What curating changes of a gallery of invented people."""

from pathlib import Path
from typing import Any

from PIL import Image

from facesearch.core.face import Box
from facesearch.enrollment.results import EnrolledPhoto
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.rejections import reject
from facesearch.storage.store import Store
from tests.support.invented_photos import photo


def state(gallery: Gallery) -> dict[str, Any]:
    """Everybody with their faces and terms, and what is rejected."""
    people = {
        person.name: (
            [face.number for face in gallery[person.name].faces],
            person.expires,
            person.consent,
        )
        for person in gallery.people()
    }
    return {"people": people, "rejected": [(r.name, r.sha256) for r in gallery.rejections()]}


def not_theirs(store: Store, name: str, number: int, box: Box | None = None) -> int:
    """Reject the face of an invented photo."""
    seen = photo("", number)
    where = box or seen.faces[0].box
    return reject(store.database, name, seen.sha256, where, seen.embeddings[0]).number


def enrol(gallery: Gallery, name: str, *photos: Path) -> list[EnrolledPhoto]:
    return gallery.enroll(name, photos).photos


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")
