"""Whom else a face may show: the people enrolled already, and those of the same enrolment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.core.arrays import Embeddings
from facesearch.core.embedded import EmbeddedFace
from facesearch.enrollment.journal import PhotoScan
from facesearch.enrollment.person_photos import PersonPhotos
from facesearch.index.person_index import PersonIndex
from facesearch.matching.calibration import Calibration
from facesearch.matching.decision import Candidate
from facesearch.matching.evidence import FACES_BEHIND
from facesearch.matching.identification import NEAREST_PEOPLE
from facesearch.storage.store import Store

FACES_PER_SEARCH = 64  # by far quicker than one by one

# for each face the so many nearest enrolled people, nearest first
NearestPeople = Callable[[Sequence[EmbeddedFace], int, Calibration], list[list[Candidate]]]


class OtherPeople:
    """The people whom a face that is unlike the rest of its folder may show.

    Only people in two photos at least count: of a person in one photo nobody can tell who is wrong.
    """

    def __init__(
        self, store: Store, calibration: Calibration | None, nearest: NearestPeople
    ) -> None:
        """nearest: finds enrolled people."""
        self._store, self._calibration, self._nearest = store, calibration, nearest
        self._fellows = _Fellows()
        self._enrolled_near: dict[str, list[Candidate]] = {}  # by SHA-256 of a photo with one face
        self._count: int | None = None  # of people in two photos at least

    def add(self, person: PersonPhotos) -> None:
        """A person of this enrolment, as far as it is clear from the folder who they are."""
        self._fellows.add(person)

    def look_up(self, scans: list[PhotoScan]) -> None:
        """Find the enrolled people near each face that is alone on its photo."""
        if self._calibration is None:
            return
        new = [
            scan
            for scan in scans
            if len(scan.faces) == 1 and scan.sha256 not in self._enrolled_near
        ]
        for at in range(0, len(new), FACES_PER_SEARCH):
            some = new[at : at + FACES_PER_SEARCH]
            faces = [scan.faces[0] for scan in some]
            near = self._nearest(faces, NEAREST_PEOPLE, self._calibration)
            self._enrolled_near |= {scan.sha256: one for scan, one in zip(some, near, strict=True)}

    def near(self, person: PersonPhotos, place: int) -> tuple[list[Candidate], int]:
        """The people near a photo's only face, but for its own, and how many they are among.

        `look_up` must have had the photo before.
        """
        assert self._calibration is not None
        name, scan, rejected = person.name, person.scans[place], person.rejected[place]
        if len(scan.faces) > 1:
            return [], 1
        fellows = self._fellows.names
        if self._count is None:
            self._count = self._store.with_two_faces_count()
            self._count += len(fellows - self._store.with_two_photos(fellows))
        enrolled = self._enrolled_near[scan.sha256]
        several = self._store.with_two_photos({one.name for one in enrolled} | {name})
        found: dict[str, Candidate] = {}
        for one in [
            *(one for one in enrolled if one.name in several),
            *self._fellows.near(scan.faces[0], self._calibration),
        ]:
            if one.name != name and one.name not in rejected:
                rival = found.get(one.name)
                if rival is None or one.log_ratio > rival.log_ratio:
                    found[one.name] = one
        return list(found.values()), max(1, self._count - (name in several | fellows))


@dataclass(frozen=True, slots=True)
class _Fellow:
    name: str
    template: Embeddings  # (D,)
    photos: int  # behind the template
    flip_consistency: float  # of their best face
    typical: Path  # the photo with their most typical face


class _Fellows:
    """The people of this enrolment who are in two photos at least, with a template of each."""

    def __init__(self) -> None:
        self._people: list[_Fellow] = []
        self._index: PersonIndex | None = None

    @property
    def names(self) -> set[str]:
        return {person.name for person in self._people}

    def add(self, person: PersonPhotos) -> None:
        template = person.folder.template if person.folder else None
        typical = person.folder.typical() if person.folder else None
        if template is not None and typical is not None:
            path = person.paths[person.judged[typical]]
            self._people.append(_Fellow(person.name, *template, path))
            self._index = None

    def near(self, seen: EmbeddedFace, calibration: Calibration) -> list[Candidate]:
        """The nearest of them, nearest first."""
        if not self._people:
            return []
        if self._index is None:
            templates = np.stack([person.template for person in self._people])
            self._index = PersonIndex(np.arange(len(templates)), templates)
        numbers, distances = self._index.search(seen.embedding[None], NEAREST_PEOPLE)
        found = []
        for number, distance in zip(numbers[0].tolist(), distances[0].tolist(), strict=True):
            person = self._people[number]
            worse = min(seen.flip_consistency, person.flip_consistency)
            behind = min(person.photos, FACES_BEHIND)
            ratio = calibration.evidence.log_ratio(distance, worse, behind)
            found.append(Candidate(person.name, distance, person.typical, ratio))
        return found
