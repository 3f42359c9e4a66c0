"""From distances to one of four answers, at a threshold for the error that the user accepts."""

import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from facesearch.core.embedded import EmbeddedFace
from facesearch.core.errors import CalibrationError
from facesearch.core.parallel import in_order
from facesearch.core.photos import Photo
from facesearch.matching.calibration import DEFAULT_FMR, DEFAULT_FPIR, Calibration, ImpostorScores
from facesearch.matching.evidence import posterior, probability

if TYPE_CHECKING:
    from facesearch.vision.embedder import Embedder

Answer = Literal["match", "unknown", "ambiguous", "unusable"]

EVEN = 0.5  # the prior where none is stated
PERSON_SURE = 0.9  # how likely the nearer of two people must be, of the two, for a name to be said


@dataclass(frozen=True, slots=True)
class Threshold:
    """The largest distance that is accepted, and what is to be said about it."""

    distance: float
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person near a face."""

    name: str
    distance: float  # to their template
    photo: Path  # the enrolled photo that lies nearest
    log_ratio: float  # how much likelier the face is theirs than a stranger's, natural logarithm
    face: int | None = None  # the number of the enrolled face that lies nearest


@dataclass(frozen=True, slots=True)
class Decision:
    """One of the four answers. distance, probability: of the nearest person; name: of a match.

    probability: that the face is the nearest person's.
    """

    answer: Answer
    name: str | None
    distance: float | None
    probability: float | None
    reason: str


def threshold_to_compare(calibration: Calibration, fmr: float | None) -> Threshold:
    """For one comparison with a false match rate of `fmr`; by default 0.001.

    Raises CalibrationError for a rate given that the data behind the model cannot support.
    """
    if fmr is not None or calibration.smallest_fmr <= DEFAULT_FMR:
        return Threshold(calibration.threshold(DEFAULT_FMR if fmr is None else fmr))
    return _strictest(calibration, "false match rate")


def threshold_to_search(
    calibration: Calibration, strangers: ImpostorScores, fpir: float | None
) -> Threshold:
    """For a search of the gallery that the strangers were searched in.

    fpir: the accepted false positive identification rate, by default 0.01. Raises
    CalibrationError for a rate given that cannot be promised.
    """
    rate = "false positive identification rate"
    smallest = strangers.smallest_fpir
    if fpir is not None:
        if not 0 < fpir < 1:
            raise CalibrationError(f"a {rate} lies between 0 and 1, not at {fpir:g}")
        if fpir < smallest:
            raise CalibrationError(
                f"no threshold can be promised for a {rate} of {fpir:.2g}: the {len(strangers):,} "
                f"strangers behind this calibration support {_up(smallest)} and more; calibrate "
                "with more people"
            )
        return Threshold(strangers.threshold(fpir))
    if not len(strangers):
        return _strictest(calibration, rate)
    warning = ""
    if smallest > DEFAULT_FPIR:
        warning = f"the smallest {rate} that this model can promise here is {_up(smallest)}"
        warning += "; its threshold is used"
    return Threshold(strangers.threshold(DEFAULT_FPIR), warning)


def _strictest(calibration: Calibration, rate: str) -> Threshold:
    """The strictest threshold known, where the default error cannot be promised."""
    if calibration.smallest_fmr < 1:
        promised = f"a false match rate of {_up(calibration.smallest_fmr)}"
        return Threshold(
            calibration.strictest,
            f"the smallest error that this model can promise is {promised}; its threshold is used",
        )
    return Threshold(
        calibration.f1_threshold,
        f"this model was calibrated on {calibration.people} people, too few to know a {rate}; "
        "the threshold is that of the best F1",
    )


def _up(rate: float) -> str:
    """A rate with two digits, rounded up: what is said to be supported is."""
    digits = 1 - math.floor(math.log10(rate))
    return f"{math.ceil(rate * 10**digits - 1e-9) / 10**digits:.2g}"


def decide(
    candidates: list[Candidate], threshold: float, people: int, prior: float = EVEN
) -> Decision:
    """The answer for a usable face, from the people near it, nearest first.

    Two people within the threshold are ambiguous unless the nearer one, of the two, is likely by
    PERSON_SURE. people: how many are enrolled. prior: the probability, before the face was looked
    at, that it is one of theirs.
    """
    if not candidates:
        return Decision("unknown", None, None, None, "nobody is enrolled")
    nearest = candidates[0]
    likely = posterior([near.log_ratio for near in candidates], people, prior)[0]
    if nearest.distance > threshold:
        reason = f"the nearest person is at {nearest.distance:.3f}, beyond {threshold:.3f}"
        return Decision("unknown", None, nearest.distance, likely, reason)
    if len(candidates) > 1 and candidates[1].distance <= threshold:
        second = candidates[1]
        if nearest.log_ratio - second.log_ratio < math.log(PERSON_SURE / (1 - PERSON_SURE)):
            reason = f"{nearest.name} at {nearest.distance:.3f} and {second.name} at "
            reason += f"{second.distance:.3f} are too close to tell apart"
            return Decision("ambiguous", None, nearest.distance, likely, reason)
    return Decision("match", nearest.name, nearest.distance, likely, "")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether two photos show one person."""

    a: Photo
    b: Photo
    answer: Answer  # match, unknown (different people) or unusable
    distance: float | None
    threshold: float
    probability: float | None
    reason: str
    # that were compared, as far as they were found
    faces: tuple[EmbeddedFace, ...] = field(default=(), repr=False)
    warning: str = ""  # what there is to say about the threshold

    @property
    def same(self) -> bool | None:
        """None if a photo holds no usable face."""
        return None if self.answer == "unusable" else self.answer == "match"


def compare(
    embedder: "Embedder",
    calibration: Calibration,
    a: Path,
    b: Path,
    threshold: float,
    prior: float = EVEN,
    *,
    keep: bool = False,
) -> Comparison:
    """Compare the largest usable faces of two photos.

    prior: the probability, before the photos were looked at, that they show one person.
    keep: give the faces that were compared chips to keep. Raises PhotoError.
    """
    notes: list[str] = []
    faces: list[EmbeddedFace] = []
    for path, photo in in_order(partial(embedder.embed_photo, keep=keep), (a, b)):
        face, why = _main_face(photo.result().faces)
        if face is None:
            reason = f"{path}: {why}"
            return Comparison(a, b, "unusable", None, threshold, None, reason, tuple(faces))
        if why:
            notes.append(f"{path}: {why}")
        faces.append(face)
    distance = math.dist(faces[0].embedding, faces[1].embedding)
    answer: Answer = "match" if distance <= threshold else "unknown"
    worse = min(face.flip_consistency for face in faces)
    likely = probability(calibration.evidence.log_ratio(distance, worse), prior)
    return Comparison(a, b, answer, distance, threshold, likely, "; ".join(notes), tuple(faces))


def _main_face(faces: list[EmbeddedFace]) -> tuple[EmbeddedFace | None, str]:
    """The largest usable face, or None, and what there is to say about it."""
    if not faces:
        return None, "no face found"
    good = [face for face in faces if not face.reason]
    if not good:
        return None, faces[0].reason
    return good[0], f"the largest of {len(good)} faces was used" * (len(good) > 1)
