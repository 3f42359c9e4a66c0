"""Photos looked at by actors of a Ray cluster, which hold the network: the only Ray code."""

import os
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar

from facesearch import __version__, images
from facesearch.embed import Embedder
from facesearch.errors import ClusterError, MissingExtra, ModelError, PhotoError
from facesearch.looked import Look
from facesearch.looking import Here, contents
from facesearch.model import Model
from facesearch.settings import find_model

HASHED, LOOKED = 32, 8  # photos that an actor is asked for at a time
AHEAD = 64  # photos for each actor that are looked at before they are asked for
PATIENCE = 5.0  # seconds for an address to answer

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Sight:
    """How photos are looked at: the same on every machine."""

    version: str
    model: Path
    fingerprint: str
    detector: str
    precision: str
    detail: int
    min_face: float

    @classmethod
    def of(cls, embedder: Embedder) -> "Sight":
        model = embedder.model
        return cls(
            __version__,
            _everywhere(model.folder),
            model.fingerprint,
            model.preprocessing.detector,
            model.precision,
            embedder.detail,
            embedder.min_face,
        )


class NotOnWorker(PhotoError):
    """The machine of an actor cannot open a photo."""


class Worker:
    """The actor: looks at photos on one core."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight

    @cached_property
    def _here(self) -> Here:
        sight, host = self._sight, socket.gethostname()
        if __version__ != sight.version:
            raise ClusterError(
                f"{host}: facesearch {__version__} there and {sight.version} here; install the "
                "same on every machine"
            )
        try:
            folder = sight.model if sight.model.is_dir() else find_model(sight.model.name)
            model = Model(folder, sight.detector, sight.precision, threads=1)
        except ModelError as error:
            raise ModelError(f"{host}: {error}") from error
        if model.fingerprint != sight.fingerprint:
            raise ModelError(
                f"{host}: {folder} is another model there than here; copy {sight.model} to it"
            )
        return Here(Embedder(model, sight.detail, sight.min_face))

    def check(self) -> None:
        """Raises ModelError for another model, ClusterError for another facesearch."""
        _ = self._here

    def hashes(self, paths: list[Path]) -> list[str | PhotoError]:
        return [_opened(*pair) for pair in zip(paths, contents(paths), strict=True)]

    def looks(self, photos: list[tuple[Path, str]], keep: bool) -> list[Look | PhotoError]:
        looks = self._here.looks(photos, keep=keep)
        return [_opened(path, look) for (path, _), look in zip(photos, looks, strict=True)]


class _Lost(Exception):
    """An actor died over what it was asked, and so did the one after it."""


class _Asked:
    """Photos that an actor was asked to look at, and what it saw once that is fetched."""

    def __init__(self, photos: list[tuple[Path, str]], reference: Any) -> None:
        self.photos, self.reference = photos, reference
        self.looks: dict[str, Look | PhotoError] | None = None


class Workers:
    """A Looker. Ray keeps what each actor is asked, and asks again when one is lost."""

    def __init__(self, actors: list[Any], another: Callable[[], Any]) -> None:
        """another: makes an actor that stays dead once it died."""
        self._turn, self._another = cycle(actors), another
        self._window = -(-AHEAD * len(actors) // HASHED)
        self._asked: dict[str, _Asked] = {}  # by SHA-256

    def hashed(
        self, paths: Iterable[Path], *, keep: bool, seen: Callable[[list[str]], set[str]]
    ) -> Iterator[str | PhotoError]:
        hashing = (
            (batch, next(self._turn).hashes.remote([_everywhere(path) for path in batch]))
            for batch in _batches(paths, HASHED)
        )
        looking = (
            self._look_ahead(batch, reference, keep, seen)
            for batch, reference in _ahead(hashing, self._window)
        )
        for hashes in _ahead(looking, self._window):
            yield from hashes

    def looks(
        self, photos: Sequence[tuple[Path, str]], *, keep: bool
    ) -> Iterator[Look | PhotoError]:
        self._ask([photo for photo in photos if photo[1] not in self._asked], keep)
        for path, sha256 in photos:
            asked = self._asked.pop(sha256)
            if asked.looks is None:
                found = self._looks_of(asked, keep)
                hashes = [key for _, key in asked.photos]
                asked.looks = dict(zip(hashes, found, strict=True))
            look = asked.looks.pop(sha256)
            if isinstance(look, PhotoError):
                yield _as_here(path, look)
            else:
                yield Look(path, sha256, look.width, look.height, look.faces)

    def _look_ahead(
        self, paths: list[Path], reference: Any, keep: bool, seen: Callable[[list[str]], set[str]]
    ) -> list[str | PhotoError]:
        """The hashes of photos, once those that need it are asked to be looked at."""
        try:
            found: list[str | PhotoError] = _got(reference)
        except _Lost:
            found = list(contents(paths))
        hashes = [
            _as_here(path, each) if isinstance(each, PhotoError) else each
            for path, each in zip(paths, found, strict=True)
        ]
        fresh = {
            each: path
            for path, each in zip(paths, hashes, strict=True)
            if isinstance(each, str) and each not in self._asked
        }
        needless = seen(list(fresh))
        self._ask([(path, each) for each, path in fresh.items() if each not in needless], keep)
        return hashes

    def _ask(self, photos: list[tuple[Path, str]], keep: bool) -> None:
        for batch in _batches(photos, LOOKED):
            there = [(_everywhere(path), sha256) for path, sha256 in batch]
            asked = _Asked(there, next(self._turn).looks.remote(there, keep))
            self._asked |= {sha256: asked for _, sha256 in batch}

    def _looks_of(self, asked: _Asked, keep: bool) -> list[Look | PhotoError]:
        try:
            looks: list[Look | PhotoError] = _got(asked.reference)
        except _Lost:  # by one of these photos, or by one that the actor was asked before them
            looks = list(self._alone(asked.photos, keep))
        return looks

    def _alone(self, photos: list[tuple[Path, str]], keep: bool) -> Iterator[Look | PhotoError]:
        """Each photo looked at by an actor that has nothing else to do."""
        actor = None
        for path, sha256 in photos:
            actor = actor or self._another()
            try:
                yield from _got(actor.looks.remote([(path, sha256)], keep))
            except _Lost:
                actor = None
                yield PhotoError(f"{path}: whatever process looks at it dies")


@contextmanager
def workers(
    address: str, embedder: Embedder, *, cpus: int | None = None, verbose: bool = False
) -> Iterator[Workers]:
    """An actor for each core of a Ray cluster.

    address: of its head, HOST:PORT; "auto", the one that this machine belongs to; or "local", one
    of this machine alone, with `cpus` actors. verbose: what Ray has to say, on stderr.
    Raises MissingExtra, ClusterError, and ModelError for another model on the machines.
    """
    if address not in ("local", "auto"):
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # of 20, each of 40 seconds
    ray = _ray(verbose)
    if address not in ("local", "auto"):
        _check_reachable(address)
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            num_cpus=cpus,
            include_dashboard=False if address == "local" else None,
            log_to_driver=verbose,
            logging_level="INFO" if verbose else "CRITICAL",
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(f"{address}: {shorten(str(error), 300)}") from error
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminate)  # Ray takes it for itself
        yield _workers(ray, address, Sight.of(embedder))
    finally:
        with nullcontext() if verbose else _hushed():
            ray.shutdown()


@contextmanager
def _hushed() -> Iterator[None]:
    """What Ray's own threads write to stderr, of tasks that are dropped, goes nowhere."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a name, not a path
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _ray(verbose: bool) -> Any:
    """The module. Raises MissingExtra."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # which would go out over the network
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("--ray needs Ray: pip install 'facesearch[ray]'") from error

    def tell(data: dict[str, Any], ignore_prefix: bool) -> None:
        if verbose:
            print(*data["lines"], sep="\n", file=sys.stderr)

    # what befalls an actor goes to stdout, between the results, and no option keeps it off there
    ray._private.worker.print_to_stdstream = tell
    return ray


def _check_reachable(address: str) -> None:
    """Raises ClusterError: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ClusterError(f"{address}: no address; give HOST:PORT of the head, auto or local")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(f"{address}: no Ray cluster answers there ({error})") from error


def _workers(ray: Any, address: str, sight: Sight) -> Workers:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # no CPU is reserved: an actor that lost its machine is started on another one at once
    kind = ray.remote(num_cpus=0)(Worker)
    actors = [
        kind.options(
            max_restarts=-1,
            max_task_retries=1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=True),
        ).remote(sight)
        for node in ray.nodes()
        if node["Alive"]
        for _ in range(int(node["Resources"].get("CPU", 0)))
    ]
    if not actors:
        raise ClusterError(f"{address}: the cluster has no CPU")
    try:
        for reference in [actor.check.remote() for actor in actors]:
            _got(reference)
    except _Lost as error:
        raise ClusterError(
            f"{address}: its workers do not start; every machine needs facesearch {__version__}"
        ) from error
    return Workers(actors, lambda: kind.remote(sight))


def _got(reference: Any) -> Any:
    """What an actor was asked for. Raises what it raised, or _Lost."""
    import ray
    from ray.exceptions import ObjectLostError, RayActorError, RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from error
    except (RayActorError, ObjectLostError) as error:
        raise _Lost from error


def _everywhere(path: Path) -> Path:
    """Absolute, with links as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _opened(path: Path, found: Item | PhotoError) -> Item | PhotoError:
    """What was found, or that this machine cannot open the photo."""
    if isinstance(found, PhotoError) and not os.access(path, os.R_OK):
        return NotOnWorker(f"{path}: cannot be opened on {socket.gethostname()}")
    return found


def _as_here(path: Path, error: PhotoError) -> PhotoError:
    """What an actor said of a photo, in the words of this machine."""
    if isinstance(error, NotOnWorker):
        try:
            images.sha256(path)
        except PhotoError as same:
            return same
    reason = str(error).removeprefix(f"{_everywhere(path)}: ")
    if isinstance(error, NotOnWorker):
        reason += "; every machine must have the photos under the same path"
    return PhotoError(f"{path}: {reason}")


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _ahead(items: Iterator[Item], count: int) -> Iterator[Item]:
    """The items, each when `count` more have been made."""
    waiting = deque(islice(items, count))
    for item in items:
        waiting.append(item)
        yield waiting.popleft()
    yield from waiting
