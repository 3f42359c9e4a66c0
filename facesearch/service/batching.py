"""Batches the faces of many requests into one run of the network."""

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.core.arrays import Chips, Embeddings, FlipConsistencies
from facesearch.vision.model import CHIPS_PER_RUN, Model


@dataclass(slots=True)
class _Request:
    chips: Chips
    answer: Future[tuple[Embeddings, FlipConsistencies]]


class BatchingModel(Model):
    """A model that many threads ask at once; one thread of its own runs the network.

    Requests that come while the network runs wait and then go in together; a request that comes
    while it is idle is run at once. A face's embedding is the same whatever it was batched with,
    to 1e-5.
    """

    def __init__(self, folder: Path, detector: str | None, precision: str | None) -> None:
        """Load a model as `Model` does."""
        super().__init__(folder, detector, precision)
        self.runs = 0  # how often the network ran
        self.faces = 0  # how many faces it was given
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._collect, name="network", daemon=True)
        self._thread.start()

    def embed_with_consistency(self, chips: Chips) -> tuple[Embeddings, FlipConsistencies]:
        if not len(chips):
            return super().embed_with_consistency(chips)
        request = _Request(chips, Future())
        self._requests.put(request)
        return request.answer.result()

    def close(self) -> None:
        """Answer the requests that wait, then end the thread."""
        self._requests.put(None)
        self._thread.join()

    def _collect(self) -> None:
        while True:
            first = self._requests.get()
            if first is None:
                return
            batch = [first]
            ending = False
            while sum(len(request.chips) for request in batch) < CHIPS_PER_RUN:
                try:
                    more = self._requests.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ending = True
                    break
                batch.append(more)
            self._run_batch(batch)
            if ending:
                return

    def _run_batch(self, batch: list[_Request]) -> None:
        try:
            found = super().embed_with_consistency(
                np.concatenate([request.chips for request in batch])
            )
        except BaseException as error:  # each caller gets it
            for request in batch:
                request.answer.set_exception(error)
            return
        self.runs += 1
        self.faces += len(found[0])
        at = 0
        for request in batch:
            part = slice(at, at + len(request.chips))
            at = part.stop
            request.answer.set_result((found[0][part], found[1][part]))
