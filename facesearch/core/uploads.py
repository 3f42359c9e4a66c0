"""Photos without a file: they came over the network, or as bytes or pixels from a program."""

import io
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from facesearch.core.arrays import Pixels

LONGEST = 255  # characters of a file name
NAMELESS = "photo"

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())


class Upload(_Path):
    """A photo by the bare name under which it was sent; no file system is asked for it.

    It has a content while the request or the job lasts. The same photo named by the database has
    none, and reading it fails as for a missing file; what is left of it are the stored chips.
    """

    content: Callable[[], bytes] | None = None
    pixels: Callable[[], Pixels] | None = None  # instead of a content: the upright photo itself
    size: tuple[int, int] | None = None  # width and height of the upright photo, once it was read

    def open(self, *args: Any, **kwargs: Any) -> IO[Any]:  # type: ignore[override]
        """The content. Raises FileNotFoundError where there is none."""
        return io.BytesIO(self.held())

    def stat(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises FileNotFoundError."""
        self._gone()

    def absolute(self) -> "Upload":
        return self

    def held(self) -> bytes:
        """The content. Raises FileNotFoundError where there is none."""
        return self._gone() if self.content is None else self.content()

    def _gone(self) -> NoReturn:
        raise FileNotFoundError(2, "uploaded, so that there is no file", str(self))


def uploaded(name: str, content: Callable[[], bytes]) -> Upload:
    """The photo that was sent under this name."""
    path = Upload(bare(name))
    path.content = content
    return path


def bare(name: str) -> str:
    """The file name alone, without control or broken characters; NAMELESS if none is left."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(each for each in last if unicodedata.category(each) not in ("Cc", "Cs")).strip()
    return kept[-LONGEST:] if kept not in ("", ".", "..") else NAMELESS


def stored(path: Path) -> Path:
    """The photo at a path of the database: one that is not absolute is an upload's name."""
    return path if path.is_absolute() else Upload(path)
