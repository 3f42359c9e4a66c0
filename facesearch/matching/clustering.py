"""Groups unnamed faces by the person they show."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.matching.calibration import Calibration

# Two groups are one person's if the mean over their pairs lies within the threshold of this false
# match rate; it was chosen on the people who calibrate, see benchmarks/clusters.py
GROUP_FMR = 0.003


@dataclass(frozen=True, slots=True)
class Group:
    """Faces that show one person, as rows of the given vectors, the most typical first."""

    rows: NDArray[np.int64]
    spread: float  # the root mean square distance between two of them; 0 for a single face


def group_limit(calibration: Calibration) -> float:
    """The root mean square distance up to which two groups are one person's."""
    known = [part.threshold(GROUP_FMR) for part in calibration.populations]
    limits = [limit for limit in known if limit is not None]
    return min(limits) if limits else calibration.f1_threshold


def average_linkage(vectors: Embeddings, limit: float) -> NDArray[np.int64]:
    """Group by average linkage: two groups merge if their mean squared distance is within limit^2.

    vectors: unit vectors, (N, D). limit: Euclidean. Returns the group of each vector, (N,),
    numbered by their first rows. Other than with single linkage no chains arise, since the faces of
    two groups must be near on average. The mean squared distance of two groups follows from the
    sums of their vectors, so that no N x N matrix is needed: memory for N D numbers, and N^2 D
    steps at worst. The groups are found along chains of nearest neighbours (Benzecri 1982, Murtagh
    1983), which is exact for this linkage. A group without a neighbour within the limit never gets
    one, and is finished.
    """
    count = len(vectors)
    sums, sizes = vectors.astype(np.float32), np.ones(count, np.float32)
    parent = np.arange(count)  # of a row: the row that stands for its group
    alive = np.arange(count)  # the rows of `sums` that still look for a neighbour
    least = np.float32(1 - limit * limit / 2)  # the mean cosine at the limit
    chain: list[int] = []  # places in `alive`
    gone = np.zeros(count, bool)  # places in `alive` that were merged or are finished
    while True:
        if not chain:
            if 4 * gone.sum() > len(gone):
                kept = np.flatnonzero(~gone)
                alive, sums, sizes = alive[kept], sums[kept], sizes[kept]
                gone = np.zeros(len(alive), bool)
            left = np.flatnonzero(~gone)
            if len(left) < 2:
                break
            chain.append(int(left[0]))
        tip = chain[-1]
        cosines = sums @ sums[tip] / (sizes * sizes[tip])
        cosines[gone] = -2
        cosines[tip] = -2
        near = int(cosines.argmax())
        if len(chain) > 1 and cosines[chain[-2]] >= cosines[near]:
            near = chain[
                -2
            ]  # of two at the same distance the previous one, or the chain would not end
        if cosines[near] < least:
            gone[tip] = True
            chain.pop()
            continue
        if len(chain) > 1 and near == chain[-2]:
            first, second = sorted((tip, near))
            sums[first] += sums[second]
            sizes[first] += sizes[second]
            parent[alive[second]] = alive[first]
            gone[second] = True
            chain = chain[:-2]
        else:
            chain.append(near)
    for row in range(count):  # parents come before their children
        parent[row] = parent[parent[row]]
    return np.unique(parent, return_inverse=True)[1].astype(np.int64)


def groups(vectors: Embeddings, limit: float) -> list[Group]:
    """All groups of `average_linkage`, the largest first, single faces last."""
    labels = average_linkage(vectors, limit)
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(labels.max() + 2 if len(labels) else 0))
    found = []
    for begin, end in pairwise(starts.tolist()):
        rows = order[begin:end]
        total = vectors[rows].sum(axis=0)
        typical = np.argsort(-(vectors[rows] @ total), kind="stable")
        size = len(rows)
        cosine = (float(total @ total) - size) / max(1, size * (size - 1))
        spread = float(np.sqrt(max(0.0, 2 - 2 * cosine))) if size > 1 else 0.0
        found.append(Group(rows[typical].astype(np.int64), spread))
    return sorted(found, key=lambda group: (-len(group.rows), int(group.rows.min())))
