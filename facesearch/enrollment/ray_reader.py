"""Reading photos on a Ray cluster, whose actors hold the network: the only Ray code."""

import os
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import cycle, islice
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar

from facesearch.core.errors import ClusterError, ModelError, PhotoError
from facesearch.core.extras import require
from facesearch.core.paths import find_model
from facesearch.core.version import __version__
from facesearch.enrollment.journal import PhotoScan
from facesearch.enrollment.local_reader import scan_photo
from facesearch.vision import images
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model

HASHES_PER_TASK, SCANS_PER_TASK = 32, 8  # photos that an actor is given at a time
PHOTOS_AHEAD = 64  # photos for each actor that are read before somebody asks for them
ANSWER_SECONDS = 5.0  # for an address to answer

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """How photos are read: the same way on every machine."""

    version: str
    model: Path
    fingerprint: str
    detector: str
    precision: str
    detail: int
    min_face: float

    @classmethod
    def of(cls, embedder: Embedder) -> "ReaderConfig":
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
    """The actor: reads photos on one core."""

    def __init__(self, config: ReaderConfig) -> None:
        self._config = config

    @cached_property
    def _embedder(self) -> Embedder:
        config, host = self._config, socket.gethostname()
        if __version__ != config.version:
            raise ClusterError(
                f"{host}: facesearch {__version__} there and {config.version} here; install the "
                "same on every machine"
            )
        try:
            folder = config.model if config.model.is_dir() else find_model(config.model.name)
            model = Model(folder, config.detector, config.precision)
        except ModelError as error:
            raise ModelError(f"{host}: {error}") from error
        if model.fingerprint != config.fingerprint:
            raise ModelError(
                f"{host}: {folder} is another model there than here; copy {config.model} to it"
            )
        return Embedder(model, config.detail, config.min_face)

    def check(self) -> None:
        """Raises ModelError for another model, ClusterError for another facesearch."""
        _ = self._embedder

    def hashes(self, paths: list[Path]) -> list[str | PhotoError]:
        return [_opened(path, partial(images.sha256, path)) for path in paths]

    def scans(self, photos: list[tuple[Path, str]], keep: bool) -> list[PhotoScan | PhotoError]:
        return [
            _opened(path, partial(scan_photo, self._embedder, path, sha256, keep=keep))
            for path, sha256 in photos
        ]


class _Lost(Exception):
    """An actor died over its task, and so did the one that took over."""


class RayReader:
    """A PhotoReader. Ray remembers the tasks of each actor, and gives them again if it is lost."""

    def __init__(self, actors: list[Any], another: Callable[[], Any]) -> None:
        """another: makes one more actor, which is not started again after it died."""
        self._turn, self._another = cycle(actors), another
        self._ahead = PHOTOS_AHEAD * len(actors)

    def hashes(self, paths: Sequence[Path]) -> Iterator[str | PhotoError]:
        asked = (
            (batch, next(self._turn).hashes.remote([_everywhere(path) for path in batch]))
            for batch in _batches(paths, HASHES_PER_TASK)
        )
        for batch, reference in _ahead(asked, self._ahead // HASHES_PER_TASK):
            try:
                found: list[str | PhotoError] = _got(reference)
            except _Lost:
                found = [_here(path) for path in batch]
            for path, sha256 in zip(batch, found, strict=True):
                yield sha256 if isinstance(sha256, str) else _as_here(path, sha256)

    def scans(
        self, photos: Sequence[tuple[Path, str]], *, keep: bool
    ) -> Iterator[PhotoScan | PhotoError]:
        asked = (
            (batch, there, next(self._turn).scans.remote(there, keep))
            for batch in _batches(photos, SCANS_PER_TASK)
            for there in [[(_everywhere(path), sha256) for path, sha256 in batch]]
        )
        for batch, there, reference in _ahead(asked, self._ahead // SCANS_PER_TASK):
            try:
                found: list[PhotoScan | PhotoError] = _got(reference)
            except _Lost:  # over one of these photos, or over one that it was given before them
                found = list(self._alone(there, keep))
            for (path, _), scan in zip(batch, found, strict=True):
                yield (
                    replace(scan, path=path)
                    if isinstance(scan, PhotoScan)
                    else _as_here(path, scan)
                )

    def _alone(
        self, photos: list[tuple[Path, str]], keep: bool
    ) -> Iterator[PhotoScan | PhotoError]:
        """Read each photo with an actor that has nothing else to do."""
        actor = None
        for path, sha256 in photos:
            actor = actor or self._another()
            try:
                yield from _got(actor.scans.remote([(path, sha256)], keep))
            except _Lost:
                actor = None
                yield PhotoError(f"{path}: every process that reads it dies")


@contextmanager
def workers(
    address: str, embedder: Embedder, *, cpus: int | None = None, verbose: bool = False
) -> Iterator[RayReader]:
    """A reader with an actor for each core of a Ray cluster.

    address: HOST:PORT of its head; "auto" for the cluster that this machine belongs to; or "local"
    for one of this machine alone, with `cpus` actors. verbose: print what Ray has to say to stderr.
    Raises MissingExtra, ClusterError, and ModelError if a machine has another model.
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
        yield _workers(ray, address, ReaderConfig.of(embedder))
    finally:
        with nullcontext() if verbose else _hushed():
            ray.shutdown()


@contextmanager
def _hushed() -> Iterator[None]:
    """Drop what Ray's own threads write to stderr about tasks that are given up."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a name, not a path
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _ray(verbose: bool) -> Any:
    """The module `ray`. Raises MissingExtra."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # which would go out over the network
    require("ray", "--ray")
    import ray

    def tell(data: dict[str, Any], ignore_prefix: bool) -> None:
        if verbose:
            print(*data["lines"], sep="\n", file=sys.stderr)

    # Ray prints what happens to an actor to stdout, between the results, and no option stops it
    ray._private.worker.print_to_stdstream = tell
    return ray


def _check_reachable(address: str) -> None:
    """Raises ClusterError if nothing answers: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ClusterError(f"{address}: no address; give HOST:PORT of the head, auto or local")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(f"{address}: no Ray cluster answers there ({error})") from error


def _workers(ray: Any, address: str, config: ReaderConfig) -> RayReader:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # reserves no CPU, so that an actor that lost its machine starts on another one at once
    kind = ray.remote(num_cpus=0)(Worker)
    actors = [
        kind.options(
            max_restarts=-1,
            max_task_retries=1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=True),
        ).remote(config)
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
    return RayReader(actors, lambda: kind.remote(config))


def _got(reference: Any) -> Any:
    """What an actor returned. Raises what it raised, or _Lost."""
    import ray
    from ray.exceptions import ObjectLostError, RayActorError, RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from error
    except (RayActorError, ObjectLostError) as error:
        raise _Lost from error


def _everywhere(path: Path) -> Path:
    """The absolute path, with links as they are: the same on every machine."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _here(path: Path) -> str | PhotoError:
    try:
        return images.sha256(path)
    except PhotoError as error:
        return error


def _opened(path: Path, read: Callable[[], Result]) -> Result | PhotoError:
    """What `read` returns, or its error; NotOnWorker if this machine cannot open the photo."""
    try:
        return read()
    except PhotoError as error:
        if os.access(path, os.R_OK):
            return error
        return NotOnWorker(f"{path}: cannot be opened on {socket.gethostname()}")


def _as_here(path: Path, error: PhotoError) -> PhotoError:
    """The error of an actor as this machine would report it."""
    if isinstance(error, NotOnWorker):
        same = _here(path)
        if isinstance(same, PhotoError):
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
    """The items; each is yielded when `count` more have been made."""
    waiting = deque(islice(items, count))
    for item in items:
        waiting.append(item)
        yield waiting.popleft()
    yield from waiting
