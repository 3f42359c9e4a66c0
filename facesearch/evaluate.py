"""Measure a model on photos of known people, by the same way that every photo goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.data import Pair
from facesearch.embed import Embedder, in_order
from facesearch.errors import DataError, PhotoError
from facesearch.images import Pixels
from facesearch.metrics import NEVER, PairResult, evaluate_pairs
from facesearch.model import Embeddings
from facesearch.progress import Progress

TOGETHER = 512  # chips held at once


@dataclass(frozen=True, slots=True)
class Gathered:
    """The embeddings of the faces that photos are about, one row a photo."""

    embeddings: Embeddings  # (N, D); zeros where no face was found
    found: NDArray[np.bool_]  # (N,)
    unreadable: tuple[PhotoError, ...]  # these photos count as photos without a face


def gather(
    embedder: Embedder, photos: Sequence[Path], progress: Progress, *, aligned: bool = False
) -> Gathered:
    """Find and embed the principal face of each photo.

    aligned: the photos are aligned chips already.
    """
    read = embedder.read_aligned if aligned else embedder.read_principal
    embeddings = np.zeros((len(photos), embedder.model.dimension), np.float32)
    found = np.zeros(len(photos), bool)
    unreadable: list[PhotoError] = []
    rows: list[int] = []
    chips: list[Pixels] = []

    def embed() -> None:
        if chips:
            embeddings[rows] = embedder.embed(np.array(chips, np.uint8))
        rows.clear()
        chips.clear()

    progress.start("finding and embedding faces", len(photos))
    for row, (_, chip) in enumerate(in_order(read, photos)):
        if isinstance(chip, PhotoError):
            unreadable.append(chip)
        elif chip is not None:
            found[row] = True
            rows.append(row)
            chips.append(chip)
            if len(chips) == TOGETHER:
                embed()
        progress.advance()
    embed()
    return Gathered(embeddings, found, tuple(unreadable))


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
    gathered = gather(embedder, photos, progress)
    if gathered.unreadable:
        raise gathered.unreadable[0]
    number = {photo: row for row, photo in enumerate(photos)}
    a, b = (np.array([number[p] for p in side]) for side in zip(*((x.a, x.b) for x in pairs)))
    distance = np.linalg.norm(gathered.embeddings[a] - gathered.embeddings[b], axis=1)
    distance = np.where(gathered.found[a] & gathered.found[b], distance, NEVER).astype(np.float64)
    fold = np.array([pair.fold for pair in pairs], np.int64)
    result = evaluate_pairs(distance, same, fold, threshold)
    return Evaluation(result, int((~gathered.found).sum()))
