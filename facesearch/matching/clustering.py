"""Groups of faces that are one person's, where nobody says whose."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.matching.calibration import Calibration

# The false match rate at whose threshold two groups are one person's, on the mean over their
# pairs; chosen on the people who calibrate, see benchmarks/clusters.py
GROUP_FMR = 0.003


@dataclass(frozen=True, slots=True)
class Group:
    """Faces of one person, by their rows; the most typical first."""

    rows: NDArray[np.int64]
    spread: float  # the root mean square distance of two of them; 0 of one


def group_limit(calibration: Calibration) -> float:
    """The distance up to which two groups are one person's."""
    known = [part.threshold(GROUP_FMR) for part in calibration.populations]
    limits = [limit for limit in known if limit is not None]
    return min(limits) if limits else calibration.f1_threshold


def average_linkage(vectors: Embeddings, limit: float) -> NDArray[np.int64]:
    """Groups by average linkage, cut where the mean squared distance of two is limit squared.

    vectors: unit, (N, D). limit: Euclidean. Returns the group of each, (N,), numbered by their
    first rows. Unlike single linkage it makes no chains: two groups are one only if their faces
    are near on the mean. The mean squared distance of two groups follows from their sums, so that
    no N x N matrix is made: N D numbers of memory, N^2 D steps at worst. Groups are found along
    chains of nearest neighbours (Benzecri 1982, Murtagh 1983), which is exact for this linkage;
    one that has no neighbour within the limit never gets one, and is done.
    """
    count = len(vectors)
    sums, sizes = vectors.astype(np.float32), np.ones(count, np.float32)
    parent = np.arange(count)  # of a row: the row that stands for its group
    alive = np.arange(count)  # the rows of `sums` that still look for a neighbour
    least = np.float32(1 - limit * limit / 2)  # the mean cosine at the limit
    chain: list[int] = []  # places in `alive`
    gone = np.zeros(count, bool)  # places in `alive` that are over
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
            near = chain[-2]  # of two as near the one before, or the chain would never end
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
    """All groups, the largest first, single faces last."""
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
