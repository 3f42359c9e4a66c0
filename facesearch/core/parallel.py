"""Work on all cores: a photo or a batch of chips on each; libraries start no threads beside."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], name: str = "photos"
) -> Iterator[tuple[Item, Future[Result]]]:
    """Do `work` on each item, on all cores; yield each item and its result's future, in order.

    At most a few items for each core are held at once. Closing the iterator drops the items whose
    work has not begun. name: of the threads; `work` may use this function under another name.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            waiting.append((item, _pool(name).submit(work, item)))
            if len(waiting) > 4 * WORKERS:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        for _, future in waiting:
            future.cancel()


@cache
def _pool(name: str) -> ThreadPoolExecutor:
    """Threads that live as long as the process: each keeps a detector of its own."""
    return ThreadPoolExecutor(WORKERS, thread_name_prefix=name)


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of the threads
