"""What a caller may give wherever a photo is asked for."""

import os
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from facesearch.core.arrays import Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

    # a path; the bytes of a file; a file open to be read; a picture; RGB values (H, W, 3)
    Photo: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO | Image | Pixels
else:
    Photo = Any  # without Pillow
