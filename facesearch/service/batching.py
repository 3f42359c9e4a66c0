"""Faces of many requests on one run of the network."""

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.core.arrays import Chips, Embeddings, FlipConsistencies
from facesearch.vision.model import CHIPS_PER_RUN, Model


@dataclass(slots=True)
class _Asked:
    chips: Chips
    answer: Future[tuple[Embeddings, FlipConsistencies]]


class BatchingModel(Model):
    """A model that many threads ask at once; one thread of its own runs the network.

    While the network runs, what is asked waits and then goes in together, so that nothing ever
    waits for company. A face's embedding is the same whatever it was batched with, to 1e-5.
    """

    def __init__(self, folder: Path, detector: str | None, precision: str | None) -> None:
        """See Model."""
        super().__init__(folder, detector, precision)
        self.runs = 0  # of the network
        self.faces = 0  # in them
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._collect, name="network", daemon=True)
        self._thread.start()

    def embed_with_consistency(self, chips: Chips) -> tuple[Embeddings, FlipConsistencies]:
        if not len(chips):
            return super().embed_with_consistency(chips)
        asked = _Asked(chips, Future())
        self._asked.put(asked)
        return asked.answer.result()

    def close(self) -> None:
        """Answer what is asked already, and end the thread."""
        self._asked.put(None)
        self._thread.join()

    def _collect(self) -> None:
        while True:
            first = self._asked.get()
            if first is None:
                return
            batch = [first]
            ending = False
            while sum(len(asked.chips) for asked in batch) < CHIPS_PER_RUN:
                try:
                    more = self._asked.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ending = True
                    break
                batch.append(more)
            self._run_batch(batch)
            if ending:
                return

    def _run_batch(self, batch: list[_Asked]) -> None:
        try:
            found = super().embed_with_consistency(np.concatenate([asked.chips for asked in batch]))
        except BaseException as error:  # whoever asked is told
            for asked in batch:
                asked.answer.set_exception(error)
            return
        self.runs += 1
        self.faces += len(found[0])
        at = 0
        for asked in batch:
            part = slice(at, at + len(asked.chips))
            at = part.stop
            asked.answer.set_result((found[0][part], found[1][part]))
