"""Runs work in threads: a bounded number, a bounded queue, and a time limit."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from facesearch.service.problems import Problem
from facesearch.service.settings import Limits

Result = TypeVar("Result")


class Work:
    """The threads of a process that answer requests."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="request")
        self.taken = 0  # worked on or waiting

    async def __call__(self, job: Callable[[], Result]) -> Result:
        """Run `job` in a thread and return its result.

        Raises Problem 429 if too much is waiting, and 503 if the job takes too long; its thread
        then still counts as taken until the job ends.
        """
        if self.taken >= self._limits.threads + self._limits.waiting:
            raise Problem(429, "too many requests at once; try again", headers={"Retry-After": "1"})
        self.taken += 1
        loop = asyncio.get_running_loop()
        future = self._pool.submit(job)
        future.add_done_callback(lambda done: _tell(loop, self._free))
        answer = asyncio.wrap_future(future)
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            return await asyncio.wait_for(asyncio.shield(answer), self._limits.work_seconds)
        except TimeoutError as error:
            future.cancel()
            raise Problem(
                503,
                f"not answered within {self._limits.work_seconds:g} seconds; try again later",
                headers={"Retry-After": "10"},
            ) from error

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _free(self) -> None:
        self.taken -= 1


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)
