"""Measures a model on photos of known people, which go the same way as every other photo."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings, FlipConsistencies, Pixels
from facesearch.core.errors import DataError, PhotoError
from facesearch.core.progress import Progress
from facesearch.evaluation.lfw import Pair
from facesearch.metrics.bootstrap import Interval, Intervals, intervals
from facesearch.metrics.error_rates import Tally
from facesearch.metrics.open_set import PHOTOS, SIZES, OpenSet, check, open_set
from facesearch.metrics.pair_sets import AllPairs, ListedPairs
from facesearch.metrics.pairs import FMR_RATES, NEVER, PairResult, evaluate_pairs, judge
from facesearch.vision.embedder import Embedder, in_order
from facesearch.vision.photo_files import People

CHIPS_AT_ONCE = 512  # held in memory


@dataclass(frozen=True, slots=True)
class Gathered:
    """The embeddings of the faces that photos are about, one row for each photo."""

    embeddings: Embeddings  # (N, D); zeros where no face was found
    flip_consistencies: FlipConsistencies  # (N,); see Model.embed_with_consistency
    found: NDArray[np.bool_]  # (N,)
    unreadable: tuple[PhotoError, ...]  # the errors of photos that count as photos without a face


def gather(
    embedder: Embedder, photos: Sequence[Path], progress: Progress, *, aligned: bool = False
) -> Gathered:
    """Find and embed the face that each photo is about.

    aligned: whether the photos are aligned chips already.
    """
    read = embedder.read_aligned if aligned else embedder.read_principal
    embeddings = np.zeros((len(photos), embedder.model.dimension), np.float32)
    flip_consistencies = np.zeros(len(photos), np.float32)
    found = np.zeros(len(photos), bool)
    unreadable: list[PhotoError] = []
    rows: list[int] = []
    chips: list[Pixels] = []

    def embed() -> None:
        if chips:
            chosen = embedder.model.embed_with_consistency(np.array(chips, np.uint8))
            embeddings[rows], flip_consistencies[rows] = chosen
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
            if len(chips) == CHIPS_AT_ONCE:
                embed()
        progress.advance()
    embed()
    return Gathered(embeddings, flip_consistencies, found, tuple(unreadable))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of a model on pairs of photos."""

    result: PairResult
    failed_to_detect: int  # photos without a usable face; their pairs never match
    people: int
    photos: int
    genuine_pairs: int
    impostor_pairs: int
    intervals: Intervals  # 95 %, over people
    tally: Tally  # of the pairs by distance
    unreadable: tuple[PhotoError, ...] = ()


def evaluate(
    embedder: Embedder,
    pairs: list[Pair],
    threshold: float,
    progress: Progress,
    *,
    aligned: bool = False,
) -> Evaluation:
    """Measure a model on a list of pairs of photos.

    Each photo stands for the face it is about; a pair with a photo without a face never matches.
    threshold: for a list without folds. Raises PhotoError for a photo that cannot be read, and
    DataError for a list without a genuine or without an impostor pair.
    """
    same = np.array([pair.same for pair in pairs], bool)
    if same.all() or not same.any():
        raise DataError("the list needs pairs of one person and pairs of different people")
    photos = sorted({photo for pair in pairs for photo in (pair.a, pair.b)})
    gathered = gather(embedder, photos, progress, aligned=aligned)
    if gathered.unreadable:
        raise gathered.unreadable[0]
    names, who = np.unique([photo.parent.name for photo in photos], return_inverse=True)
    number = {photo: row for row, photo in enumerate(photos)}
    a, b = (np.array([number[photo] for photo in side]) for side in _sides(pairs))
    apart = np.linalg.norm(gathered.embeddings[a] - gathered.embeddings[b], axis=1)
    both = gathered.found[a] & gathered.found[b]
    distance = np.where(both, apart, NEVER).astype(np.float64)
    fold = np.array([pair.fold for pair in pairs], np.int64)
    result = evaluate_pairs(distance, same, fold, threshold)
    listed = ListedPairs(distance, same, judge(distance, same, fold, threshold), who[a], who[b])
    return Evaluation(
        result=result,
        failed_to_detect=int((~gathered.found).sum()),
        people=len(names),
        photos=len(photos),
        genuine_pairs=int(same.sum()),
        impostor_pairs=int((~same).sum()),
        intervals=_named(intervals(listed.figures, len(names)), result),
        tally=listed.tally(),
    )


def evaluate_all(
    embedder: Embedder,
    people: People,
    threshold: float,
    progress: Progress,
    *,
    aligned: bool = False,
) -> Evaluation:
    """Measure a model on all pairs of photos of people.

    Accuracy and F1, at `threshold`, weigh genuine and impostor pairs alike. A photo that cannot be
    read, or has no face, matches nothing. Raises DataError if there is no genuine pair, no impostor
    pair or no face.
    """
    if max(len(photos) for photos in people.values()) < 2:
        raise DataError("nobody has two photos: there is no genuine pair")
    gathered, who = _gather_people(embedder, people, progress, aligned)
    pairs = AllPairs(gathered.embeddings, who, gathered.found, threshold)
    tally = pairs.tally()
    genuine, impostor = int(tally.genuine.sum()), int(tally.impostor.sum())
    accuracy, f1, auc, eer, *fnmr = pairs.figures()
    result = PairResult(
        pairs=genuine + impostor,
        accuracy=accuracy,
        accuracy_std=0.0,
        f1=f1,
        threshold=threshold,
        auc=auc,
        eer=eer,
        fnmr_at_fmr={
            str(rate): value if rate * impostor >= 1 else None
            for rate, value in zip(FMR_RATES, fnmr, strict=True)
        },
    )
    return Evaluation(
        result=result,
        failed_to_detect=int((~gathered.found).sum()),
        people=len(people),
        photos=len(who),
        genuine_pairs=genuine,
        impostor_pairs=impostor,
        intervals=_named(intervals(pairs.figures, len(people)), result),
        tally=tally,
        unreadable=gathered.unreadable,
    )


@dataclass(frozen=True, slots=True)
class OpenSetEvaluation:
    """The figures of searches, for each size of the gallery."""

    results: list[OpenSet]
    failed_to_detect: int  # photos
    people: int
    photos: int
    unreadable: tuple[PhotoError, ...]


def evaluate_open_set(
    embedder: Embedder,
    people: People,
    progress: Progress,
    *,
    enrolled: Sequence[int] = (),
    photos: int = PHOTOS,
    aligned: bool = False,
) -> OpenSetEvaluation:
    """Measure a model in searches, by people who are enrolled and by people who are not.

    enrolled: the sizes of the galleries, by default those of `open_set.SIZES` that leave somebody
    unknown. photos: the most enrolled of a person. Raises DataError if there are too few people or
    photos, or no face at all.
    """
    sizes = list(enrolled) or [size for size in SIZES if size < len(people)]
    if not sizes:
        raise DataError(
            f"{len(people)} people are too few to enrol {SIZES[0]}; choose a number with --enrolled"
        )
    for size in sizes:  # before the photos are read
        check(np.array([len(shown) for shown in people.values()]), size)
    gathered, who = _gather_people(embedder, people, progress, aligned)
    return OpenSetEvaluation(
        results=[
            open_set(gathered.embeddings, who, gathered.found, size, photos=photos)
            for size in sizes
        ],
        failed_to_detect=int((~gathered.found).sum()),
        people=len(people),
        photos=len(who),
        unreadable=gathered.unreadable,
    )


def _gather_people(
    embedder: Embedder, people: People, progress: Progress, aligned: bool
) -> tuple[Gathered, NDArray[np.int64]]:
    """The embeddings of all photos, and the number of the person on each."""
    if len(people) < 2:
        raise DataError(
            "these are photos of one person alone; photos of two people or more are needed"
        )
    gathered = gather(
        embedder,
        [photo for photos in people.values() for photo in photos],
        progress,
        aligned=aligned,
    )
    if not gathered.found.any():
        raise DataError("not one of the photos has a face that can be used")
    return gathered, np.repeat(np.arange(len(people)), [len(photos) for photos in people.values()])


def _sides(pairs: list[Pair]) -> tuple[list[Path], list[Path]]:
    return [pair.a for pair in pairs], [pair.b for pair in pairs]


def _named(found: list[Interval | None], result: PairResult) -> Intervals:
    """The intervals by the names of their figures; None where the figure itself is unknown."""
    accuracy, f1, auc, eer, *fnmr = found
    at_fmr = zip(result.fnmr_at_fmr.items(), fnmr, strict=True)
    return {
        "accuracy": accuracy,
        "f1": f1,
        "auc": auc,
        "eer": eer,
        "fnmr_at_fmr": {
            rate: None if value is None else around for (rate, value), around in at_fmr
        },
    }
