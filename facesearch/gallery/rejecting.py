"""Rejecting a face: found on a photo, or enrolled already."""

from facesearch.core.errors import PhotoError
from facesearch.core.photos import Photo
from facesearch.gallery import rejections
from facesearch.gallery.change import Rejected
from facesearch.gallery.recognizer import Recognizer
from facesearch.matching.rejection import near_of
from facesearch.storage.database import Database
from facesearch.vision import images
from facesearch.vision.photo_input import as_path


def reject(
    database: Database, recognizer: Recognizer, name: str, photo: Photo, face: int | None
) -> Rejected:
    """See `Gallery.reject`."""
    path = as_path(photo)
    seen = recognizer.embedder.embed_photo(path).faces
    if not seen:
        raise PhotoError(f"{path}: no face found")
    if face is None:
        if len(seen) > 1:
            raise PhotoError(
                f"{path}: {len(seen)} faces found; choose with --face, as identify counts them"
            )
        face = 0
    if not 0 <= face < len(seen):
        raise PhotoError(f"{path}: has no face {face}; {len(seen)} found, counted from 0")
    one = seen[face]
    return rejections.reject(
        database,
        name,
        images.sha256(path),
        one.face.box,
        one.embedding[:0] if one.reason else one.embedding,
        near_of(recognizer.model),
        face=face,
    )


def reject_face(database: Database, recognizer: Recognizer, name: str, number: int) -> Rejected:
    """See `Gallery.reject_face`."""
    face = rejections.face_to_reject(database, number)
    near = near_of(recognizer.model)
    return rejections.reject(
        database, name, face.sha256, face.box, face.embedding, near, face=number
    )
