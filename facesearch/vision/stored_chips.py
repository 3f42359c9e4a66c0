"""The picture of a face that a gallery stores on request: any model can cut its chip from it."""

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesearch.core.arrays import Pixels
from facesearch.core.errors import PhotoError
from facesearch.core.face import Point
from facesearch.vision.alignment import TEMPLATE, TEMPLATE_SIZE, align, similarity
from facesearch.vision.model import Preprocessing

# TEMPLATE's square made 1.5 times as wide: it holds the chips of models/default and
# models/accurate, which reach beyond that square. It has two pixels for each of the template's, a
# third more than those models need, so that a chip cut out of it is nearly as sharp as one from the
# photo.
SIDE, MARGIN = 224, 56
QUALITY = 95  # of WebP; a face takes some 20 kB
SMALLEST, LARGEST = 32, 1024  # pixels of the side of a chip that is read

Points = tuple[Point, ...]


def kept_chip(pixels: Pixels, points: Points) -> bytes:
    """The face with these points, (5, 2) in pixels of the image, as a WebP file."""
    chip = Image.fromarray(align(pixels, points, SIDE, MARGIN))
    file = io.BytesIO()
    chip.save(file, "WEBP", quality=QUALITY)
    return file.getvalue()


def chip_of(kept: bytes, points: Points, how: Preprocessing) -> Pixels:
    """A model's chip, (S, S, 3), cut out of a stored one.

    points: of the face in its photo, (5, 2). how: the model's. Raises PhotoError if `kept` is no
    stored chip.
    """
    picture = read_kept(kept)
    return align(picture, _inside(points, len(picture)), how.size, template=how.template)


def read_kept(kept: bytes) -> Pixels:
    """The pixels, (S, S, 3), of a stored chip. Raises PhotoError."""
    # look at the size first: the decoder would allocate memory for any
    if kept[:4] != b"RIFF" or kept[8:16] != b"WEBPVP8 " or len(kept) < 30:
        raise PhotoError("a chip that is no plain WebP file")
    width, height = (side & 0x3FFF for side in struct.unpack("<HH", kept[26:30]))
    if width != height or not SMALLEST <= width <= LARGEST:
        raise PhotoError(f"a chip of {width} x {height} pixels")
    try:
        with Image.open(io.BytesIO(kept), formats=["WEBP"]) as image:
            if image.size != (width, height):
                raise PhotoError("a damaged chip")
            return np.asarray(image.convert("RGB"))
    # as in `images`: what Pillow raises for damaged bytes
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError, MemoryError) as error:
        raise PhotoError("a damaged chip") from error


def points_inside(points: Points, side: int) -> Points:
    """Where points of the photo lie in its stored chip of this side."""
    return tuple((float(x), float(y)) for x, y in _inside(points, side))


def _inside(points: Points, side: int) -> NDArray[np.float64]:
    """Where points of the photo lie in its stored chip of this side, (5, 2)."""
    whole = SIDE + 2 * MARGIN
    onto = np.array(TEMPLATE) * (SIDE / TEMPLATE_SIZE) + MARGIN
    to_chip = similarity(points, onto)
    placed = np.array(points) @ to_chip[:, :2].T + to_chip[:, 2]
    # a chip stored in another size shows the same square
    return np.asarray((placed + 0.5) * (side / whole) - 0.5)
