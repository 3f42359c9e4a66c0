"""The photos of an enrolment, looked at on all cores, ahead of who is judged by them."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from facesearch import images
from facesearch.embed import Seen, in_order
from facesearch.errors import PhotoError
from facesearch.looked import Look, Looked
from facesearch.store import MOST_VARIABLES, Store

See = Callable[[Path], Seen]


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a photo before it is judged."""

    sha256: str  # empty if it could not be read
    sight: Look | PhotoError | set[str]  # or the names under which it is enrolled already
    fresh: bool = False  # looked at now, not in an enrolment that was interrupted


def looks(paths: list[Path], see: See, store: Store, looked: Looked) -> Iterator[Found]:
    """What is found on each photo, in their order. A content that comes again is looked at once."""
    for at in range(0, len(paths), MOST_VARIABLES):
        yield from _looks(paths[at : at + MOST_VARIABLES], see, store, looked)


def _looks(paths: list[Path], see: See, store: Store, looked: Looked) -> Iterator[Found]:
    hashes = [sha256 for _, sha256 in in_order(images.sha256, paths)]
    times = Counter(sha256 for sha256 in hashes if isinstance(sha256, str))
    places = {sha256: path for path, sha256 in zip(paths, hashes, strict=True) if sha256 in times}
    names = store.known(list(times))
    recalled = looked.recall({each: places[each] for each in times if each not in names})
    new = [each for each in times if each not in names and each not in recalled]
    sights = in_order(see, [places[each] for each in new])
    again: dict[str, Look | PhotoError] = {}
    for sha256 in hashes:
        if isinstance(sha256, PhotoError):
            yield Found("", sha256)
        elif sha256 in names:
            yield Found(sha256, names[sha256])
        elif sha256 in recalled:
            yield Found(sha256, recalled[sha256])
        elif sha256 in again:
            yield Found(sha256, again[sha256], fresh=True)
        else:
            path, seen = next(sights)
            sight: Look | PhotoError = (
                seen
                if isinstance(seen, PhotoError)
                else Look(path, sha256, seen.width, seen.height, seen.faces)
            )
            if times[sha256] > 1:
                again[sha256] = sight
            yield Found(sha256, sight, fresh=True)
