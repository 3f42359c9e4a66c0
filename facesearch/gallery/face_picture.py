"""What an enrolled face looks like: its kept chip, or cut out of its photo."""

from facesearch.core.arrays import Pixels
from facesearch.core.errors import PhotoError
from facesearch.core.uploads import Upload
from facesearch.storage.chips import picture_source
from facesearch.storage.database import Database
from facesearch.vision import images
from facesearch.vision.alignment import align
from facesearch.vision.stored_chips import MARGIN, SIDE, read_kept


def picture_of(database: Database, number: int) -> Pixels:
    """The square RGB picture of an enrolled face by its number, (S, S, 3), aligned.

    Raises PhotoError if there is no such face, or neither a chip of it nor its photo, and
    GalleryError for a damaged row.
    """
    source = picture_source(database, number)
    if source is None:
        raise PhotoError(f"face {number}: no such face is enrolled")
    if source.chip is not None:
        return read_kept(source.chip)
    if isinstance(source.path, Upload):
        raise PhotoError(f"face {number}: its photo was no file, and no chip of it is kept")
    if images.sha256(source.path) != source.sha256:
        raise PhotoError(f"face {number}: its photo is another one now, and no chip of it is kept")
    return align(images.read(source.path), source.points, SIDE, MARGIN)
