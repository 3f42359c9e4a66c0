"""From the people near a face to one of four answers."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facesearch.matching.evidence import posterior

Answer = Literal["match", "unknown", "ambiguous", "unusable"]

EVEN = 0.5  # the prior probability where none is given
# how likely the nearer of two people within the threshold must be, of the two, to be named
PERSON_SURE = 0.9


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person near a face."""

    name: str
    distance: float  # to their template
    photo: Path  # the enrolled photo that lies nearest
    log_ratio: float  # see Evidence.log_ratio: how much likelier the face is theirs than another's
    face: int | None = None  # the number of the enrolled face that lies nearest


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one face."""

    answer: Answer
    name: str | None  # of a match
    distance: float | None  # to the nearest person; None where nobody is enrolled
    probability: float | None  # that the face is the nearest person's
    reason: str  # why it is no match


def decide(
    candidates: list[Candidate], threshold: float, people: int, prior: float = EVEN
) -> Decision:
    """Decide about a usable face, from the people near it, nearest first.

    Two people within the threshold make the answer ambiguous, unless the nearer of them is the one
    with a probability of PERSON_SURE. people: how many are enrolled. prior: the probability, before
    the face was looked at, that it is one of theirs.
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
