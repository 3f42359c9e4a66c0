"""Photos that came over the network: a name without a file, which no file system is asked for."""

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
    """A photo by the bare name that it was sent under; looked for on no disk.

    Its content is at hand while the request or the job lasts. One that the database names has none:
    it reads as a file that is gone, and its faces live on in their kept chips.
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
    """A photo that was sent under this name."""
    path = Upload(bare(name))
    path.content = content
    return path


def bare(name: str) -> str:
    """A file's name without folders, control characters and broken ones; never empty."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(each for each in last if unicodedata.category(each) not in ("Cc", "Cs")).strip()
    return kept[-LONGEST:] if kept not in ("", ".", "..") else NAMELESS


def stored(path: Path) -> Path:
    """A path as the database has it: what is not absolute was uploaded."""
    return path if path.is_absolute() else Upload(path)
