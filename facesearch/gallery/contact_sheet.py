"""The faces of a person cut from their photos, on one picture."""

import math
from pathlib import Path

from PIL import Image, ImageDraw

from facesearch.core.errors import PhotoError
from facesearch.core.face import Box
from facesearch.gallery.profile import PersonProfile
from facesearch.vision import images
from facesearch.vision.annotate import label_font

LARGEST, SMALLEST, WIDEST = 160, 48, 8000  # pixels: of a tile, and of the picture
ROW = 6  # tiles in a row, at least
AROUND = 0.25  # of the box is shown on every side
GREY, MARK = "#888888", "#d73027"


def contact_sheet(person: PersonProfile, out: Path) -> list[Path]:
    """Draw the faces in a grid with their numbers, the least typical one framed.

    Returns the photos that are gone, or are other photos now; their tiles are grey. Raises
    PhotoError if `out` cannot be written, or is one of the photos.
    """
    faces = person.faces
    if out.exists() and any(face.photo.exists() and out.samefile(face.photo) for face in faces):
        raise PhotoError(f"{out}: the contact sheet would overwrite a photo of {person.name}")
    columns = max(ROW, math.ceil(math.sqrt(len(faces))))
    side = max(SMALLEST, min(LARGEST, WIDEST // columns))
    font = label_font(max(10, side // 9))
    line = max(14, side // 6)
    rows = max(1, math.ceil(len(faces) / columns))
    sheet = Image.new("RGB", (columns * side, rows * (side + line)), "white")
    pen = ImageDraw.Draw(sheet)
    gone: dict[Path, None] = {}
    last: tuple[Path, Image.Image | None] | None = None
    for place, face in enumerate(faces):
        left, top = place % columns * side, place // columns * (side + line)
        if last is None or last[0] != face.photo:  # faces of one photo mostly follow each other
            last = face.photo, _photo(face.photo, face.sha256)
        tile = _tile(last[1], face.box, side - 4) if last[1] else None
        if tile is None:
            gone[face.photo] = None
            tile = Image.new("RGB", (side - 4, side - 4), GREY)
        sheet.paste(tile, (left + 2, top + 2))
        least = face.number == person.least_typical
        if least:
            pen.rectangle((left, top, left + side - 1, top + side - 1), outline=MARK, width=3)
        label = f"{face.number}{' least typical' if least else ''}"
        pen.text((left + 4, top + side), label, fill=MARK if least else "black", font=font)
    try:
        sheet.save(out)
    except (OSError, ValueError) as error:
        raise PhotoError(f"{out}: the contact sheet cannot be written ({error})") from error
    return list(gone)


def _photo(path: Path, sha256: str) -> Image.Image | None:
    try:
        return Image.fromarray(images.read(path)) if images.sha256(path) == sha256 else None
    except PhotoError:
        return None


def _tile(photo: Image.Image, box: Box, side: int) -> Image.Image:
    """Cut a square with the face in its middle; what lies outside of the photo is black."""
    half = max(box.width, box.height) * (0.5 + AROUND)
    x, y = box.centre
    square = round(x - half), round(y - half), round(x + half), round(y + half)
    return photo.crop(square).resize((side, side), Image.Resampling.LANCZOS)
