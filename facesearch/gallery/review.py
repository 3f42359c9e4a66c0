"""Finding the faces and people of a gallery that are probably wrong."""

import math
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facesearch.core.templates import templates
from facesearch.enrollment.folder_check import CERTAIN, RIGHT
from facesearch.index.person_index import PersonIndex
from facesearch.matching.calibration import Calibration
from facesearch.matching.duplicates import near_enough
from facesearch.matching.evidence import FACES_BEHIND, features
from facesearch.storage.records import EnrolledFaces

NEIGHBOURS = 5  # people compared with a face or a person, the nearest ones
FACES_PER_SEARCH = 4096
WEAK_PEOPLE = 10  # people listed as weak

Kind = Literal["mislabelled", "divided", "duplicate", "same-person", "look-alike", "weak"]
# whether two faces, by their numbers, are of one picture; None if a photo is gone
Alike = Callable[[int, int], bool | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the user should look at. Faces and people are given by their numbers.

    The kinds:
    mislabelled: `face` of `person` is more probably `other`'s, or nobody's, than the person's.
    divided: the two photos of a person show two people.
    duplicate: `face` and `other_face` are of one picture, under one name or two.
    same-person: `person` and `other` are probably one person.
    look-alike: they are probably two, but so near that a search may take one for the other.
    weak: the person is found less surely than others.
    """

    kind: Kind
    probability: float | None  # that the kind is right
    distance: float | None
    person: int
    other: int | None
    face: int | None
    other_face: int | None
    faces: int  # of the person
    reason: str


class Review:
    """The review of some faces. Memory grows with the faces, not with their pairs."""

    def __init__(
        self,
        roster: EnrolledFaces,
        calibration: Calibration,
        limit: float,
        rejected: Set[tuple[int, int]] = frozenset(),
        alike: Alike = lambda first, second: None,
    ) -> None:
        """roster: the faces. limit: the distance up to which a search gives a name.

        rejected: pairs of a face and a person; the user said that the face is not the person's.
        alike: tells whether two faces are of one picture.
        """
        self._numbers, self._calibration = roster.numbers, calibration
        self._limit, self._rejected, self._alike = limit, rejected, alike
        self._people, self._owner = np.unique(roster.owners, return_inverse=True)
        order = np.argsort(self._owner, kind="stable")
        self._numbers, self._owner = roster.numbers[order], self._owner[order]
        self._vectors, self._flip_consistencies = (
            roster.embeddings[order],
            roster.flip_consistencies[order],
        )
        self._starts = np.searchsorted(self._owner, np.arange(len(self._people) + 1))
        self._counts = np.diff(self._starts)
        self._templates = templates(self._vectors, self._owner)
        self._index = PersonIndex(np.arange(len(self._people)), self._templates)
        self._near = near_enough(calibration)

    def findings(self) -> Iterator[Finding]:
        """All findings, one kind after the other, the surest of each kind first."""
        if not len(self._people):
            return
        self._judge_faces()
        wrong = list(self._wrong())
        yield from sorted(wrong, key=lambda one: -(one.probability or 0))
        yield from self._duplicates()
        pairs = list(self._pairs())
        yield from sorted(pairs, key=lambda one: (one.kind == "look-alike", one.distance))
        yield from self._weak()

    def _ratios(
        self,
        distance: NDArray[np.float64],
        flip_consistency: NDArray[np.float64],
        photos: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """The log likelihood ratios of faces that lie `distance` from a person's template."""
        photos = np.clip(photos, 1, FACES_BEHIND)
        weights = np.array(self._calibration.evidence.weights)
        return np.asarray(features(distance, flip_consistency, photos) @ weights, np.float64)

    def _judge_faces(self) -> None:
        """Compare every face with the other faces of its person, and with other people near it."""
        count = len(self._vectors)
        sums = np.add.reduceat(self._vectors.astype(np.float64), self._starts[:-1], axis=0)
        best = np.maximum.reduceat(self._flip_consistencies, self._starts[:-1])
        rest = self._counts[self._owner] - 1
        self._own = np.zeros(count)  # the log ratio; 0 where there is no other face
        self._apart = np.full(count, np.nan)  # the distance
        self._near_people = np.full((count, NEIGHBOURS), -1)
        self._near_ratios = np.full((count, NEIGHBOURS), -np.inf)
        self._near_apart = np.full((count, NEIGHBOURS), np.nan)
        for at in range(0, count, FACES_PER_SEARCH):
            rows = np.arange(at, min(count, at + FACES_PER_SEARCH))
            owner = self._owner[rows]
            others = sums[owner] - self._vectors[rows]
            norms = np.maximum(np.linalg.norm(others, axis=1), 1e-12)
            cosine = (others * self._vectors[rows]).sum(axis=1) / norms
            apart = np.sqrt(np.maximum(0, 2 - 2 * cosine))
            worse = np.minimum(self._flip_consistencies[rows], best[owner])
            several = rest[rows] > 0
            self._apart[rows[several]] = apart[several]
            ratios = self._ratios(apart, worse, np.maximum(1, rest[rows]))
            self._own[rows[several]] = ratios[several]
            people, distances = self._index.search(self._vectors[rows], NEIGHBOURS + 1)
            for column in range(people.shape[1]):  # the person itself leaves a place free
                near, far = people[:, column], distances[:, column].astype(np.float64)
                free = np.argmax(self._near_people[rows] < 0, axis=1)
                full = (self._near_people[rows] >= 0).all(axis=1)
                use = (near != owner) & (near >= 0) & ~full
                some = rows[use]
                found = self._ratios(
                    far, np.minimum(self._flip_consistencies[rows], best[near]), self._counts[near]
                )
                self._near_people[some, free[use]] = near[use]
                self._near_ratios[some, free[use]] = found[use]
                self._near_apart[some, free[use]] = far[use]

    def _wrong(self) -> Iterator[Finding]:
        """The faces that are nearer to another person than to their own, or near nobody.

        Either the evidence for the other person is certain, and exceeds that of the person's own
        photos by as much again; or these photos are certain evidence against the face. There is no
        prior: a review may ask in vain more often than an enrolment may hold a face back.
        """
        rest = self._counts[self._owner] - 1
        ratios = np.where(self._near_people >= 0, self._near_ratios, -np.inf)
        most = ratios.max(axis=1)
        another = (most >= CERTAIN) & (most - self._own >= 2 * CERTAIN)
        suspect = (another | (self._own <= -CERTAIN)) & (rest > 0)
        rival = np.clip(np.maximum(most, 0) - self._own, -700, 700)  # 0: somebody unknown
        right = 1 / (1 + np.exp(rival))
        seen: set[int] = set()
        # a person with one face is judged in `_pairs`
        for row in np.flatnonzero(suspect).tolist():
            owner = int(self._owner[row])
            best = int(ratios[row].argmax())
            other = int(self._near_people[row, best]) if ratios[row, best] >= CERTAIN else None
            if other is not None and self._is_rejected(row, other):
                other = None
            face, apart = int(self._numbers[row]), float(self._apart[row])
            if rest[row] == 1 and other is None:
                if owner not in seen:
                    seen.add(owner)
                    reason = f"its two photos are {apart:.3f} apart"
                    yield self._found("divided", 1 - right[row], apart, owner, None, None, reason)
                continue
            unlike = f"{apart:.3f} from the {rest[row]} others"
            reason = f"{unlike}, like nobody enrolled"
            if other is not None:
                reason = f"{unlike}, {self._near_apart[row, best]:.3f} from another person"
            yield self._found("mislabelled", 1 - right[row], apart, owner, other, face, reason)

    def _is_rejected(self, row: int, person: int) -> bool:
        return (int(self._numbers[row]), int(self._people[person])) in self._rejected

    def _found(
        self,
        kind: Kind,
        probability: float | None,
        distance: float | None,
        owner: int,
        other: int | None,
        face: int | None,
        reason: str,
        other_face: int | None = None,
    ) -> Finding:
        return Finding(
            kind,
            None if probability is None else float(probability),
            distance,
            int(self._people[owner]),
            None if other is None else int(self._people[other]),
            face,
            other_face,
            int(self._counts[owner]),
            reason,
        )

    def _duplicates(self) -> Iterator[Finding]:
        """The pairs of faces of one picture.

        Each face is compared with the nearest one of its person and of the people near it.
        """
        seen: set[tuple[int, int]] = set()
        for owner, (begin, end) in enumerate(pairwise(self._starts.tolist())):
            for at in range(begin, end, FACES_PER_SEARCH):
                rows = np.arange(at, min(end, at + FACES_PER_SEARCH))
                cosines = self._vectors[rows] @ self._vectors[begin:end].T
                cosines[np.arange(len(rows)), rows - begin] = -2
                best = cosines.argmax(axis=1)
                apart = np.sqrt(np.maximum(0, 2 - 2 * cosines[np.arange(len(rows)), best]))
                for place in np.flatnonzero(apart <= self._near).tolist():
                    other = begin + int(best[place])
                    yield from self._one_picture(
                        int(rows[place]), other, float(apart[place]), owner, owner, seen
                    )
        close = np.argwhere(self._near_apart <= self._limit)
        for row, column in close.tolist():
            other = int(self._near_people[row, column])
            begin, end = int(self._starts[other]), int(self._starts[other + 1])
            cosines = self._vectors[begin:end] @ self._vectors[row]
            best_row = begin + int(cosines.argmax())
            distance = math.sqrt(max(0.0, 2 - 2 * float(cosines.max())))
            if distance <= self._near:
                owner = int(self._owner[row])
                yield from self._one_picture(row, best_row, distance, owner, other, seen)

    def _one_picture(
        self,
        row: int,
        other_row: int,
        distance: float,
        owner: int,
        other: int,
        seen: set[tuple[int, int]],
    ) -> Iterator[Finding]:
        key = (min(row, other_row), max(row, other_row))
        if key in seen or self._is_rejected(row, other):
            return
        seen.add(key)
        first, second = int(self._numbers[row]), int(self._numbers[other_row])
        alike = self._alike(first, second)
        if alike is None:  # the photos are gone: only faces nearer than most copies count
            if distance > self._near / 2:
                return
            reason = "their embeddings are nearly the same; the photos could not be compared"
        elif alike:
            reason = "one picture"
        else:
            return
        yield self._found("duplicate", None, distance, owner, other, first, reason, second)

    def _pairs(self) -> Iterator[Finding]:
        """The pairs of people who are near one another."""
        people = len(self._people)
        best = np.maximum.reduceat(self._flip_consistencies, self._starts[:-1])
        barred = self._barred()
        for at in range(0, people, FACES_PER_SEARCH):
            rows = np.arange(at, min(people, at + FACES_PER_SEARCH))
            near, apart = self._index.search(self._templates[rows], NEIGHBOURS + 1)
            for place, column in np.argwhere(apart <= max(self._limit, self._near)).tolist():
                first, second = int(rows[place]), int(near[place, column])
                if first == second or (first > second and first in self._neighbours(second)):
                    continue  # found from the other side
                if (first, second) in barred or (second, first) in barred:
                    continue
                distance = float(apart[place, column])
                fewer = min(int(self._counts[first]), int(self._counts[second]))
                ratio = self._ratios(
                    np.array([distance]),
                    np.array([min(best[first], best[second])]),
                    np.array([fewer]),
                )[0]
                odds = float(ratio) + math.log((1 - RIGHT) / max(1, people - 1))
                likely = 1 / (1 + math.exp(min(-odds, 700)))
                kind: Kind = "same-person" if likely >= 0.5 else "look-alike"
                reason = f"their templates are {distance:.3f} apart, within {self._limit:.3f}"
                shown = likely if kind == "same-person" else 1 - likely
                yield self._found(kind, shown, distance, first, second, None, reason)

    def _neighbours(self, person: int) -> list[int]:
        found, _ = self._index.search(self._templates[person : person + 1], NEIGHBOURS + 1)
        return [int(one) for one in found[0]]

    def _barred(self) -> set[tuple[int, int]]:
        """The pairs of people where a face of the first was rejected as the second's."""
        place = {int(number): row for row, number in enumerate(self._numbers)}
        person = {int(number): row for row, number in enumerate(self._people)}
        return {
            (int(self._owner[place[face]]), person[who])
            for face, who in self._rejected
            if face in place and who in person
        }

    def _weak(self) -> Iterator[Finding]:
        """The people whose faces are least alike; then those whose only face is least sure."""
        several = np.flatnonzero(self._counts > 1)
        mean = np.add.reduceat(self._own, self._starts[:-1]) / self._counts
        best = np.maximum.reduceat(self._flip_consistencies, self._starts[:-1])
        single = np.flatnonzero(self._counts == 1)
        order = [*several[np.argsort(mean[several], kind="stable")].tolist()]
        order += single[np.argsort(best[single], kind="stable")].tolist()
        for owner in order[:WEAK_PEOPLE]:
            rows = slice(int(self._starts[owner]), int(self._starts[owner + 1]))
            if self._counts[owner] == 1:
                reason = f"one face, agreement {best[owner]:.3f}"
                yield self._found("weak", None, None, owner, None, None, reason)
            else:
                spread = float(np.sqrt(np.mean(self._apart[rows] ** 2)))
                reason = f"its faces are {spread:.3f} from the others, on the mean"
                yield self._found("weak", None, spread, owner, None, None, reason)
