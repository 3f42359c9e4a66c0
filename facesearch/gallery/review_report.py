"""The findings of a review as rows, with names and photos."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from facesearch.core.errors import PhotoError
from facesearch.core.face import Point
from facesearch.core.progress import Progress
from facesearch.gallery.rejections import rejected_pairs
from facesearch.gallery.review import Finding, Review
from facesearch.matching.calibration import Calibration
from facesearch.matching.thresholds import ImpostorScores
from facesearch.storage.records import EnrolledFaces
from facesearch.storage.store import Store
from facesearch.vision.near_duplicates import Sketch, copies, sketch, sketch_of
from facesearch.vision.stored_chips import points_inside, read_kept

SKETCHES = 1024  # in memory
GROWTH = 10  # the review also says what a search does with so many times the people


def reviewed(
    store: Store,
    calibration: Calibration,
    limit: float,
    progress: Progress,
    *,
    photos: bool,
) -> Iterator[dict[str, Any]]:
    """The rows of a review, but for the one about strangers.

    limit: the distance up to which a search gives a name. photos: open photos to compare pictures.
    """
    roster = store.enrolled_faces()
    progress.start("reviewing", 1)
    pictures = _Pictures(store)
    review = Review(
        roster,
        calibration,
        limit,
        _rejected(store, roster),
        pictures.alike if photos else lambda first, second: None,
    )
    for finding in review.findings():
        yield _row(store, roster, finding)
    progress.advance()


def strangers_row(strangers: ImpostorScores, limit: float, people: int) -> dict[str, Any]:
    """The row with the share of strangers to whom a search gives a name.

    It says the share now, and an upper bound with ten times the people: the share if all strangers
    were equally likely to be named. In truth some resemble many people and others nobody, so that
    fewer are.
    """
    now = max(
        (float((part <= limit).mean()) for part in strangers.by_population()),
        default=0.0,
    )
    grown = 1 - (1 - now) ** GROWTH
    reason = f"of strangers {now:.3%} are given a name with {people:,} people enrolled, at most "
    reason += f"{grown:.3%} with {GROWTH * people:,}, at the threshold {limit:.3f}"
    return _empty("fpir", reason) | {"rates": {str(people): now, str(GROWTH * people): grown}}


def _empty(kind: str, reason: str) -> dict[str, Any]:
    fields = "name photo box face other other_photo other_box other_face".split()
    fields += ["distance", "probability", "faces"]
    return {"kind": kind, **dict.fromkeys(fields), "reason": reason, "rates": None}


def _row(store: Store, roster: EnrolledFaces, finding: Finding) -> dict[str, Any]:
    asked = [one for one in (finding.face, finding.other_face) if one is not None]
    where = store.face_locations(asked)
    row = _empty(finding.kind, finding.reason) | {
        "name": roster.names[finding.person],
        "other": None if finding.other is None else roster.names[finding.other],
        "distance": finding.distance,
        "probability": finding.probability,
        "faces": finding.faces,
    }
    for face, prefix in ((finding.face, ""), (finding.other_face, "other_")):
        if face is not None and face in where:
            row[f"{prefix}face"] = face
            row[f"{prefix}photo"] = str(where[face].photo)
            row[f"{prefix}box"] = where[face].face.box.rounded()
    return row


def _rejected(store: Store, roster: EnrolledFaces) -> frozenset[tuple[int, int]]:
    """The pairs of a face and a person where the user said that the face is not theirs."""
    numbers = {name: number for number, name in roster.names.items()}
    return frozenset(
        (pair.face, numbers[pair.name])
        for pair in rejected_pairs(store.database)
        if pair.name in numbers
    )


class _Pictures:
    """Small pictures of faces, read when they are compared."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[int, Sketch | None] = OrderedDict()

    def alike(self, first: int, second: int) -> bool | None:
        """Whether two faces are of one picture; None if one has neither photo nor chip."""
        a, b = self._sketch(first), self._sketch(second)
        return None if a is None or b is None else copies(a, b)

    def _sketch(self, number: int) -> Sketch | None:
        if number not in self._kept:
            if len(self._kept) >= SKETCHES:
                self._kept.popitem(last=False)
            found = self._store.face_locations([number]).get(number)
            try:
                self._kept[number] = sketch(found.photo, found.face) if found else None
            except PhotoError:
                self._kept[number] = self._from_chip(number, found.face.points) if found else None
        return self._kept[number]

    def _from_chip(self, number: int, points: tuple[Point, ...]) -> Sketch | None:
        """The sketch of a stored chip, for a photo that is gone or never was a file here."""
        kept = self._store.chip(number)
        if kept is None:
            return None
        try:
            picture = read_kept(kept)
        except PhotoError:
            return None
        return sketch_of(picture, points_inside(points, len(picture)))
