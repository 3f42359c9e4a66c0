"""Judging the faces of one person's folder together: which are theirs, and which are not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.matching.calibration import Calibration
from facesearch.matching.clustering import average_linkage
from facesearch.matching.decision import PERSON_SURE, Candidate
from facesearch.matching.evidence import FACES_BEHIND

RIGHT = 0.95  # the share of photos in a person's folder that show that person
CERTAIN = math.log(PERSON_SURE / (1 - PERSON_SURE))  # a log ratio that is enough evidence
MOST_GROUPED = 1000  # faces of a folder, to find who is in most photos


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one photo, judged by the rest of its folder."""

    face: int | None  # the place, in the photo, of the face that is the person's or would be
    held: bool  # the face is probably not the person's
    reason: str  # why it is held back or no face was chosen; empty if a face is theirs
    distance: float | None = None  # to the rest of the folder
    nearest: int | None = None  # the place of the photo with the nearest face
    other: Candidate | None = None  # whom else the face resembles


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well one face fits the rest of the folder."""

    log_ratio: float  # that it is the person's; 0 if the rest says nothing
    distance: float | None  # to the template of the rest
    photos: int  # behind that template


class Folder:
    """The usable faces of a person's photos, and the person's faces that are enrolled already.

    Faces near one another form groups. The person is whoever is in most photos, if those are at
    least two and nobody else is in as many; each of five faces on a photo counts a fifth, since a
    photo with one face tells more about who the person is. Every face is then judged by the other
    faces of that group and never by itself, so that the order of the photos does not matter.
    """

    def __init__(
        self,
        photos: Sequence[Embeddings],
        flip_consistencies: Sequence[NDArray[np.float64]],
        known: Embeddings,
        known_consistency: float,
        calibration: Calibration,
    ) -> None:
        """photos: the embeddings of each photo's faces, (F, D). flip_consistencies: theirs, (F,).

        known: of the faces enrolled already, (K, D). known_consistency: the best of theirs.
        """
        counts = [len(faces) for faces in photos]
        self._evidence = calibration.evidence
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        whole = [known.reshape(-1, known.shape[-1]), *photos]
        self._rows = np.concatenate([part for part in whole if part.size] or [known])
        self._known = len(known)
        self._starts += self._known
        self._owner = np.concatenate(
            [-1 - np.arange(self._known), np.repeat(np.arange(len(photos)), counts)]
        ).astype(np.int64)
        weights = [np.full(count, 1 / count) for count in counts if count]
        self._weights = np.concatenate([np.ones(self._known), *weights])
        parts = [part for part in flip_consistencies if len(part)]
        self._flip_consistencies = np.concatenate([np.full(self._known, known_consistency), *parts])
        self._core = self._found_core(calibration.f1_threshold)
        self._total = self._rows[self._core].sum(axis=0, dtype=np.float64)
        self._photos = set(self._owner[self._core].tolist())
        self._best = float(self._flip_consistencies[self._core].max(initial=0.0))

    def _found_core(self, limit: float) -> NDArray[np.bool_]:
        """Which faces are those of whoever is in most photos, (N,); none if that is not clear."""
        count = len(self._rows)
        core = np.zeros(count, bool)
        if count < 2:
            return core
        step = -(-count // MOST_GROUPED)
        # chosen by their values, so that the order of the photos does not matter
        some = np.lexsort(self._rows[:, :2].T)[::step] if step > 1 else np.arange(count)
        labels = average_linkage(self._rows[some], limit)
        weights = np.bincount(labels, self._weights[some])
        order = np.argsort(-weights, kind="stable")
        members = some[labels == order[0]]
        tied = len(order) > 1 and weights[order[1]] > weights[order[0]] - 1e-9
        if tied or len(np.unique(self._owner[members])) < 2:
            return core
        if step > 1:
            template = self._rows[members].sum(axis=0)
            cosines = self._rows @ (template / np.linalg.norm(template))
            members = np.flatnonzero(cosines >= 1 - limit * limit / 2)
        core[members] = True
        return core

    @property
    def template(self) -> tuple[Embeddings, int, float] | None:
        """The person's template (D,), the photos behind it and the best flip consistency.

        None if it is not clear who the person is.
        """
        if not self._core.any():
            return None
        length = max(1e-12, float(np.linalg.norm(self._total)))
        unit = np.asarray(self._total / length, np.float32)
        return unit, len(self._photos), self._best

    def typical(self) -> int | None:
        """The place of the photo with the most typical face; None if there is none."""
        fresh = np.flatnonzero(self._core & (self._owner >= 0))
        if not len(fresh):
            return None
        return int(self._owner[fresh[(self._rows[fresh] @ self._total).argmax()]])

    def evidence(self, row: int) -> Evidence:
        """How well the face of this row fits the other photos."""
        owner = int(self._owner[row])
        photos = len(self._photos) - (owner in self._photos)
        if not photos:
            return Evidence(0.0, None, 0)
        mine = np.array(self.rows_of(owner)) if owner >= 0 else np.array([row])
        total = self._total - self._rows[mine[self._core[mine]]].sum(axis=0, dtype=np.float64)
        cosine = float(self._rows[row] @ total) / max(1e-12, float(np.linalg.norm(total)))
        distance = math.sqrt(max(0.0, 2 - 2 * cosine))
        worse = min(float(self._flip_consistencies[row]), self._best)
        # the evidence was fitted with templates of so many photos at most
        ratio = self._evidence.log_ratio(distance, worse, min(photos, FACES_BEHIND))
        return Evidence(ratio, distance, photos)

    def rows_of(self, photo: int) -> range:
        return range(int(self._starts[photo]), int(self._starts[photo + 1]))

    def embedding(self, photo: int, face: int) -> Embeddings:
        """The embedding of one face of a photo, (D,)."""
        return np.asarray(self._rows[self._starts[photo] + face])

    def _nearest(self, row: int) -> int | None:
        cosines = self._rows @ self._rows[row]
        cosines[(self._owner == self._owner[row]) | (self._owner < 0)] = -2
        best = int(cosines.argmax())
        return int(self._owner[best]) if cosines[best] > -2 else None

    def judge(self, photo: int, others: list[Candidate] | None, people: int) -> Verdict | None:
        """Judge a photo with usable faces.

        others: other people near the photo's only face, out of `people` of them; None if they are
        not known yet. Returns None if the verdict depends on them.
        """
        rows = self.rows_of(photo)
        if len(rows) > 1:
            return self._judge_group(photo)
        row = rows[0]
        own = self.evidence(row)
        if own.photos and own.log_ratio >= CERTAIN:
            return Verdict(0, False, "", own.distance)
        if others is None:
            return None
        nearest = self._nearest(row)
        # somebody unknown: only a person in two other photos can be told from them
        logs = [math.log((1 - RIGHT) / 2)] if own.photos >= 2 else []
        logs += [near.log_ratio + math.log((1 - RIGHT) / 2 / people) for near in others]
        right = math.log(RIGHT) + own.log_ratio
        top = max([right, *logs])
        likely = math.exp(right - top) / sum(math.exp(log - top) for log in [right, *logs])
        alike = [near for near in others if near.log_ratio > max(CERTAIN, own.log_ratio)]
        other = max(alike, key=lambda near: near.log_ratio, default=None)
        # held if it is surely another's, and that by twice what is enough: as in `review`
        surer = 0.0 if other is None or not own.photos else other.log_ratio - own.log_ratio
        if likely >= 1 - PERSON_SURE and surer < 2 * CERTAIN:
            return Verdict(0, False, "", own.distance, nearest, other)
        who = f"like {other.name} ({other.distance:.3f})" if other else "like nobody known"
        unlike = (
            "nothing else shows whose it is"
            if own.distance is None
            else f"unlike the rest of the folder ({own.distance:.3f} from {own.photos} photos)"
        )
        return Verdict(0, True, f"{unlike}, {who}", own.distance, nearest, other)

    def _judge_group(self, photo: int) -> Verdict:
        rows = self.rows_of(photo)
        found = [self.evidence(row) for row in rows]
        order = sorted(range(len(rows)), key=lambda place: -found[place].log_ratio)
        best, second = found[order[0]], found[order[1]]
        if not best.photos:
            return Verdict(None, False, f"{len(rows)} faces found, and nothing says whose is whose")
        row = rows[order[0]]
        if best.log_ratio < CERTAIN:
            reason = f"{len(rows)} faces found, none like the rest of the folder"
            reason += f" (the nearest at {best.distance:.3f})"
            return Verdict(None, False, reason, best.distance, self._nearest(row))
        if best.log_ratio - second.log_ratio < CERTAIN:
            reason = f"{len(rows)} faces found, two like the rest of the folder"
            reason += f" ({best.distance:.3f} and {second.distance:.3f})"
            return Verdict(None, False, reason, best.distance, self._nearest(row))
        return Verdict(order[0], False, "", best.distance)
