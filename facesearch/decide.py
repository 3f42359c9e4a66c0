"""From distances to one of four answers, at a threshold for the error that the user accepts."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facesearch.calibrate import DEFAULT_FMR, DEFAULT_FPIR, Calibration, fmr_for_gallery
from facesearch.embed import Embedder, Portrait, unusable
from facesearch.errors import CalibrationError

Answer = Literal["match", "unknown", "ambiguous", "unusable"]

SURE = 0.9  # how likely the nearer of two people must be, of the two, for a name to be said


@dataclass(frozen=True, slots=True)
class Threshold:
    """The largest distance that is accepted, and what is to be said about it."""

    distance: float
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person near a face."""

    name: str
    distance: float
    photo: Path  # the enrolled photo that lies nearest


@dataclass(frozen=True, slots=True)
class Decision:
    """One of the four answers. distance, probability: of the nearest person; name: of a match."""

    answer: Answer
    name: str | None
    distance: float | None
    probability: float | None
    reason: str


def threshold_to_compare(calibration: Calibration, fmr: float | None) -> Threshold:
    """For one comparison with a false match rate of `fmr`; by default 0.001.

    Raises CalibrationError for a rate given that the data behind the model cannot support.
    """
    if fmr is not None:
        return Threshold(calibration.threshold(fmr))
    return _default(calibration, DEFAULT_FMR, "false match rate", 1)


def threshold_to_search(
    calibration: Calibration, fpir: float | None, comparisons: int
) -> Threshold:
    """For a search of `comparisons` enrolled faces with a false positive identification rate.

    fpir: by default 0.01. Raises CalibrationError for a rate given that cannot be promised.
    """
    if fpir is None:
        fmr = fmr_for_gallery(DEFAULT_FPIR, comparisons)
        return _default(calibration, fmr, "false positive identification rate", comparisons)
    if not 0 < fpir < 1:
        raise CalibrationError(
            f"a false positive identification rate lies between 0 and 1, not at {fpir:g}"
        )
    try:
        return Threshold(calibration.threshold(fmr_for_gallery(fpir, comparisons)))
    except CalibrationError as error:
        if not calibration.rates:
            raise
        raise CalibrationError(
            f"no threshold can be promised for a false positive identification rate of {fpir:.2g} "
            f"among {comparisons} enrolled faces; this model supports "
            f"{_fpir(calibration.rates[0], comparisons):.2g} and more here"
        ) from error


def _default(calibration: Calibration, fmr: float, rate: str, comparisons: int) -> Threshold:
    """The threshold for `fmr`, or the strictest known one with a warning."""
    if not calibration.rates:
        return Threshold(
            calibration.f1_threshold,
            f"this model was calibrated on {calibration.people} people, too few to know a {rate}; "
            "the threshold is that of the best F1",
        )
    if fmr < calibration.rates[0]:
        promised = _fpir(calibration.rates[0], comparisons)
        return Threshold(
            calibration.thresholds[0],
            f"the smallest {rate} that this model can promise here is {promised:.2g}; "
            "its threshold is used",
        )
    return Threshold(calibration.threshold(fmr))


def _fpir(fmr: float, comparisons: int) -> float:
    return -math.expm1(comparisons * math.log1p(-fmr))


def decide(candidates: list[Candidate], threshold: float, calibration: Calibration) -> Decision:
    """The answer for a usable face, from the people near it, nearest first.

    Two people within the threshold are ambiguous unless the nearer one is at least SURE, of the
    two, by the calibration's odds.
    """
    if not candidates:
        return Decision("unknown", None, None, None, "nobody is enrolled")
    nearest = candidates[0]
    probability = calibration.probability(nearest.distance)
    if nearest.distance > threshold:
        reason = f"the nearest person is at {nearest.distance:.3f}, beyond {threshold:.3f}"
        return Decision("unknown", None, nearest.distance, probability, reason)
    if len(candidates) > 1 and candidates[1].distance <= threshold:
        second = candidates[1]
        lead = calibration.log_odds(nearest.distance) - calibration.log_odds(second.distance)
        if lead < math.log(SURE / (1 - SURE)):
            reason = f"{nearest.name} at {nearest.distance:.3f} and {second.name} at "
            reason += f"{second.distance:.3f} are too close to tell apart"
            return Decision("ambiguous", None, nearest.distance, probability, reason)
    return Decision("match", nearest.name, nearest.distance, probability, "")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether two photos show one person."""

    a: Path
    b: Path
    answer: Answer  # match, unknown (different people) or unusable
    distance: float | None
    threshold: float
    probability: float | None
    reason: str

    @property
    def same(self) -> bool | None:
        """None if a photo holds no usable face."""
        return None if self.answer == "unusable" else self.answer == "match"


def compare(
    embedder: Embedder, calibration: Calibration, a: Path, b: Path, threshold: float
) -> Comparison:
    """Compare the largest faces of two photos. Raises PhotoError."""
    notes: list[str] = []
    embeddings = []
    for path in (a, b):
        portrait = embedder.read(path)
        face, why = _main_face(portrait)
        if face is None:
            return Comparison(a, b, "unusable", None, threshold, None, f"{path}: {why}")
        if why:
            notes.append(f"{path}: {why}")
        embeddings.append(embedder.embed(portrait.chips[face : face + 1])[0])
    distance = math.dist(*embeddings)
    answer: Answer = "match" if distance <= threshold else "unknown"
    probability = calibration.probability(distance)
    return Comparison(a, b, answer, distance, threshold, probability, "; ".join(notes))


def _main_face(portrait: Portrait) -> tuple[int | None, str]:
    """The number of the largest usable face, or None, and what there is to say about it."""
    if not portrait.faces:
        return None, "no face found"
    reasons = [unusable(face, portrait.width, portrait.height) for face in portrait.faces]
    good = [number for number, reason in enumerate(reasons) if not reason]
    if not good:
        return None, reasons[0]
    return good[0], f"the largest of {len(good)} faces was used" * (len(good) > 1)
