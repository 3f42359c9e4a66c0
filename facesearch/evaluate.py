"""Measure a model on a list of pairs, by the same way that every photo goes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.data import Pair
from facesearch.embed import Embedder, in_order
from facesearch.errors import DataError, PhotoError
from facesearch.images import Pixels
from facesearch.metrics import NEVER, PairResult, evaluate_pairs
from facesearch.progress import Progress


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result on a list of pairs."""

    result: PairResult
    failed_to_detect: int  # photos; their pairs count as different people


def evaluate(
    embedder: Embedder, pairs: list[Pair], threshold: float, progress: Progress
) -> Evaluation:
    """Errors of a model on pairs of photos.

    Each photo stands for the face it is about; a pair with a photo without one never matches.
    threshold: for a list without folds. Raises PhotoError for a photo that cannot be read, and
    DataError for a list without a genuine or without an impostor pair.
    """
    same = np.array([pair.same for pair in pairs], bool)
    if same.all() or not same.any():
        raise DataError("the list needs pairs of one person and pairs of different people")
    photos = sorted({photo for pair in pairs for photo in (pair.a, pair.b)})
    progress.start("finding and embedding faces", len(photos))
    chips: list[Pixels] = []
    number: dict[Path, int] = {}
    for path, chip in in_order(embedder.read_principal, photos):
        progress.advance()
        if isinstance(chip, PhotoError):
            raise chip
        if chip is not None:
            number[path] = len(chips)
            chips.append(chip)
    size = embedder.model.preprocessing.size
    embeddings = embedder.embed(np.array(chips, np.uint8).reshape(-1, size, size, 3))
    distance = np.full(len(pairs), NEVER)
    for row, pair in enumerate(pairs):
        a, b = number.get(pair.a), number.get(pair.b)
        if a is not None and b is not None:
            distance[row] = np.linalg.norm(embeddings[a] - embeddings[b])
    fold = np.array([pair.fold for pair in pairs], np.int64)
    result = evaluate_pairs(distance, same, fold, threshold)
    return Evaluation(result, len(photos) - len(chips))
