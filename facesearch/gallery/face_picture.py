"""What an enrolled face looks like: its kept chip, or cut out of its photo."""

import json

from facesearch.core.arrays import Pixels
from facesearch.core.errors import PhotoError
from facesearch.core.uploads import Upload
from facesearch.storage.database import Database
from facesearch.storage.row_checksums import CHIPS, check_face
from facesearch.storage.schema import chips, face_rows, faces, people, photos
from facesearch.vision import images
from facesearch.vision.alignment import align
from facesearch.vision.stored_chips import MARGIN, SIDE, read_kept


def picture_of(database: Database, number: int) -> Pixels:
    """The square RGB picture of an enrolled face by its number, (S, S, 3), aligned.

    Raises PhotoError if there is no such face, or neither a chip of it nor its photo, and
    GalleryError for a damaged row.
    """
    query = (
        face_rows(photos.c.path, photos.c.sha256)
        .join(photos, photos.c.id == faces.c.photo)
        .join(people, people.c.id == faces.c.person)
        .where(faces.c.id == number, people.c.removed.is_(None))
    )
    with database.read() as connection:
        row = connection.execute(query).first()
        if row is None:
            raise PhotoError(f"face {number}: no such face is enrolled")
        check_face(row)
        kept = connection.execute(CHIPS.select().where(chips.c.face == number)).first()
        if kept is not None:
            CHIPS.check(kept)
    if kept is not None:
        return read_kept(database.unsealed(kept.image, "chip"))
    if isinstance(row.path, Upload):
        raise PhotoError(f"face {number}: its photo was no file, and no chip of it is kept")
    if images.sha256(row.path) != row.sha256:
        raise PhotoError(f"face {number}: its photo is another one now, and no chip of it is kept")
    points = tuple((float(x), float(y)) for x, y in json.loads(row.points))
    return align(images.read(row.path), points, SIDE, MARGIN)
