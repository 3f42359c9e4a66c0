"""The photos of an enrolment, looked at ahead of who is judged by them, whoever is on them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facesearch.core.errors import PhotoError
from facesearch.enrollment.journal import PhotoScan, ScanJournal
from facesearch.enrollment.local_reader import PhotoReader
from facesearch.storage.people import MOST_VARIABLES
from facesearch.storage.store import Store


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a photo before it is judged."""

    sha256: str  # empty if it could not be read
    sight: PhotoScan | PhotoError | set[str]  # or the names under which it is enrolled already
    fresh: bool = False  # looked at now, not in an enrolment that was interrupted


class Prefetcher:
    """Looks at what is neither enrolled nor was looked at before a break."""

    def __init__(
        self, looker: PhotoReader, store: Store, looked: ScanJournal, *, keep: bool
    ) -> None:
        """keep: with chips to keep."""
        self._looker, self._store, self._looked, self._keep = looker, store, looked, keep

    def found(self, paths: list[Path]) -> Iterator[Found]:
        """What is known of each photo, in their order. The same content is looked at once."""
        for at in range(0, len(paths), MOST_VARIABLES):
            yield from self._found(paths[at : at + MOST_VARIABLES])

    def _found(self, paths: list[Path]) -> Iterator[Found]:
        hashes = list(self._looker.hashes(paths))
        times = Counter(sha256 for sha256 in hashes if isinstance(sha256, str))
        places = {each: path for path, each in zip(paths, hashes, strict=True) if each in times}
        names = self._store.known(list(times))
        recalled = self._looked.recall({each: places[each] for each in times if each not in names})
        new = [each for each in times if each not in names and each not in recalled]
        scans = self._looker.scans([(places[each], each) for each in new], keep=self._keep)
        again: dict[str, PhotoScan | PhotoError] = {}
        for sha256 in hashes:
            if isinstance(sha256, PhotoError):
                yield Found("", sha256)
            elif sha256 in names:
                yield Found(sha256, names[sha256])
            elif sha256 in recalled:
                yield Found(sha256, recalled[sha256])
            else:
                look = again[sha256] if sha256 in again else next(scans)
                if times[sha256] > 1:
                    again[sha256] = look
                yield Found(sha256, look, fresh=True)
