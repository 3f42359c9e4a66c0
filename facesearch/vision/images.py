"""From an image file to upright RGB pixels: the only place where a photo is decoded."""

import hashlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from facesearch.core.arrays import Pixels
from facesearch.core.errors import NotAnImage, PhotoError, TooManyPixels
from facesearch.core.names import visible
from facesearch.core.uploads import Upload

MAX_PIXELS = 200_000_000

# No other format is opened: the fewer decoders get a stranger's bytes the better, and for
# PostScript Pillow would even start another program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")

TURNS = {  # by EXIF orientation: what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Image.MAX_IMAGE_PIXELS = None  # `read` checks the size itself, with an error that names the file


def read(path: Path) -> Pixels:
    """The photo at `path`, EXIF orientation applied, as (H, W, 3) RGB.

    An animation gives its first frame, transparency is laid over white, 16 bits become 8.
    Raises PhotoError for a file that is missing, no image, truncated, or over MAX_PIXELS.
    """
    return read_reduced(path, None).pixels


@dataclass(frozen=True, slots=True)
class Reduced:
    """A photo of this width and height, with its pixels shrunk by a factor of 1, 2, 4 or 8."""

    pixels: Pixels
    factor: int
    width: int
    height: int


def read_reduced(path: Path, least: int | None) -> Reduced:
    """The photo as `read` gives it, or smaller.

    A JPEG is shrunk while it is decoded, which takes a fraction of the time, as long as its longer
    side keeps at least `least` pixels; None leaves it as it is. Raises as `read` does.
    """
    pixels = pixels_of(path)
    if pixels is not None:
        return Reduced(pixels, 1, pixels.shape[1], pixels.shape[0])
    with opened(path) as file:
        return _decode(file, path, least)


def pixels_of(path: Path) -> Pixels | None:
    """The pixels of a photo that was given as such, not as a file. Raises PhotoError."""
    if not isinstance(path, Upload) or path.pixels is None:
        return None
    pixels = path.pixels()
    _check_size(path, pixels.shape[1], pixels.shape[0])
    return pixels


def upright_rgb(image: Image.Image, path: Path) -> Pixels:
    """A picture of Pillow's as `read` gives that of a file; path: its name in errors.

    Raises PhotoError.
    """
    with _translate_errors(path):
        _check_size(path, *image.size)
        return _rgb(_upright(image))


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """The photo's file, open to read its bytes.

    Raises PhotoError for what is missing, a folder, or no file (a pipe or device may never end).
    """
    if "\0" in str(path):  # read from a damaged row; opening it would raise ValueError
        raise PhotoError(f"{visible(str(path))}: no such file")
    try:
        if not path.is_file() and path.exists() and not path.is_dir():
            raise PhotoError(f"{path}: not a file")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise PhotoError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise PhotoError(f"{path}: a folder without a photo") from error
    except OSError as error:
        raise PhotoError(f"{path}: cannot be read ({error.strerror})") from error


def size(path: Path) -> tuple[int, int]:
    """Width and height as the file says, before it is decoded or turned upright.

    Raises PhotoError.
    """
    pixels = pixels_of(path)
    if pixels is not None:
        return pixels.shape[1], pixels.shape[0]
    with opened(path) as file:
        try:
            with _open(file) as image:
                return image.size
        except UnidentifiedImageError as error:
            raise NotAnImage(f"{path}: not an image that can be read") from error
        except Exception as error:  # as in `_translate_errors`
            raise PhotoError(f"{path}: damaged image") from error


def sha256(path: Path) -> str:
    """Of the file's content, in hexadecimal; of a photo without a file that of its pixels.

    Raises PhotoError.
    """
    pixels = pixels_of(path)
    if pixels is not None:
        digest = hashlib.sha256(b"rgb" + struct.pack("<QQ", *pixels.shape[:2]))
        digest.update(pixels.tobytes())
        return digest.hexdigest()
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _decode(file: BufferedReader, path: Path, least: int | None) -> Reduced:
    with _translate_errors(path), _open(file) as image:
        width, height = image.size
        _check_size(path, width, height)
        if least is not None:
            shrink = max(1.0, max(width, height) / least)
            image.draft(None, (max(1, int(width / shrink)), max(1, int(height / shrink))))
        factor = round(max(width, height) / max(image.size))
        pixels = _rgb(_upright(image))
        turned = (pixels.shape[1] < pixels.shape[0]) != (width < height)
        if turned:
            width, height = height, width
        return Reduced(pixels, factor, width, height)


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise TooManyPixels(
            f"{path}: {width} x {height} pixels, more than the {MAX_PIXELS // 1_000_000} "
            "million allowed; shrink it first"
        )


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    """What goes wrong while a photo is decoded becomes a PhotoError with its name."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise NotAnImage(f"{path}: not an image that can be read") from error
    except PhotoError:
        raise
    except MemoryError as error:
        raise PhotoError(f"{path}: there is not enough memory to read it") from error
    # Pillow's decoders and pillow-heif raise whatever comes up while they parse damaged bytes:
    # struct.error, IndexError, TypeError, zlib.error and more
    except Exception as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise PhotoError(f"{path}: damaged image ({cause})") from error


def _open(file: BufferedReader) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        import pillow_heif  # 60 ms that most runs do not need

        pillow_heif.register_heif_opener()
        file.seek(0)
        return Image.open(file, formats=["HEIF"])


def _upright(image: Image.Image) -> Image.Image:
    """As the EXIF says; what is damaged there says nothing, and the pixels may be sound."""
    image.load()  # of some kinds it turns the image itself, and says so in the EXIF
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # as in `_translate_errors`
        return image
    turn = TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Pixels:
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16) >> 8
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.array(image, np.float32), copy=False, posinf=0, neginf=0)
        top = 1.0 if values.max() <= 1 else 255.0 if values.max() <= 255 else 65535.0
        values *= 255 / top  # in place: such an image may be large
        grey = values.clip(0, 255)
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
