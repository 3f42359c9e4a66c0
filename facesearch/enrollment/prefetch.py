"""Reading the photos of an enrolment ahead of whoever judges them."""

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
class ReadPhoto:
    """What is known of a photo before it is judged."""

    sha256: str  # empty if it could not be read
    found: PhotoScan | PhotoError | set[str]  # or the names under which it is enrolled already
    fresh: bool = False  # read now, not in an enrolment that was interrupted


class Prefetcher:
    """Reads the photos that are neither enrolled nor in the journal of an interrupted enrolment."""

    def __init__(
        self, reader: PhotoReader, store: Store, journal: ScanJournal, *, keep: bool
    ) -> None:
        """keep: with chips to store."""
        self._reader, self._store, self._journal, self._keep = reader, store, journal, keep

    def read(self, paths: list[Path]) -> Iterator[ReadPhoto]:
        """What is known of each photo, in their order. Photos of one content are read once."""
        for at in range(0, len(paths), MOST_VARIABLES):
            yield from self._read(paths[at : at + MOST_VARIABLES])

    def _read(self, paths: list[Path]) -> Iterator[ReadPhoto]:
        hashes = list(self._reader.hashes(paths))
        times = Counter(sha256 for sha256 in hashes if isinstance(sha256, str))
        places = {each: path for path, each in zip(paths, hashes, strict=True) if each in times}
        names = self._store.known(list(times))
        noted = self._journal.recall({each: places[each] for each in times if each not in names})
        new = [each for each in times if each not in names and each not in noted]
        scans = self._reader.scans([(places[each], each) for each in new], keep=self._keep)
        repeated: dict[str, PhotoScan | PhotoError] = {}
        for sha256 in hashes:
            if isinstance(sha256, PhotoError):
                yield ReadPhoto("", sha256)
            elif sha256 in names:
                yield ReadPhoto(sha256, names[sha256])
            elif sha256 in noted:
                yield ReadPhoto(sha256, noted[sha256])
            else:
                scan = repeated[sha256] if sha256 in repeated else next(scans)
                if times[sha256] > 1:
                    repeated[sha256] = scan
                yield ReadPhoto(sha256, scan, fresh=True)
