"""Draws boxes and names into photos, for people to look at."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from facesearch.core.errors import PhotoError
from facesearch.core.face import Box
from facesearch.vision import images

COLOURS = {"match": "#1a9850", "unknown": "#d73027", "ambiguous": "#fdae61", "unusable": "#888888"}


def annotate(photo: Path, faces: Sequence[tuple[Box, str, str]], out: Path) -> None:
    """Write a copy of a photo with a box and a label for each face.

    faces: box, answer (a key of COLOURS) and label of each. Raises PhotoError if the photo cannot
    be read or `out` cannot be written.
    """
    picture = Image.fromarray(images.read(photo))
    pen = ImageDraw.Draw(picture)
    for box, answer, label in faces:
        colour = COLOURS[answer]
        thick = max(2, round(box.width / 60))
        size = max(12, round(box.width / 8))
        pen.rectangle((box.left, box.top, box.right, box.bottom), outline=colour, width=thick)
        font = label_font(size)
        left, top, right, bottom = pen.textbbox((box.left, box.bottom), label, font=font)
        down = min(0, picture.height - bottom - thick)
        pen.rectangle((left, top + down, right + thick, bottom + down + thick), fill=colour)
        pen.text((box.left, box.bottom + down), label, fill="white", font=font)
    try:
        picture.save(out)
    except (OSError, ValueError) as error:
        raise PhotoError(f"{out}: the annotated picture cannot be written ({error})") from error


def label_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans of matplotlib or of the system, else Pillow's own font with fewer letters."""
    found = importlib.util.find_spec("matplotlib")
    for place in (found.submodule_search_locations if found else None) or ():
        path = Path(place) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(path, size)
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default(size)
