"""The answers for the faces of a photo, from the people near each of them."""

from dataclasses import dataclass, replace
from pathlib import Path

from facesearch.core.face import Box
from facesearch.matching.decision import Candidate, Decision, decide
from facesearch.vision.embedder import EmbeddedFace

NEAREST_PEOPLE = 10  # people near a face that its probability is shared among, at least


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer for one face of a photo, or for a photo without one."""

    photo: Path
    face: int | None  # counts from 0, the largest face first
    box: Box | None
    decision: Decision
    threshold: float
    candidates: list[Candidate]


def answered(
    path: Path,
    faces: list[EmbeddedFace],
    near: list[list[Candidate]],
    barred: list[set[str]],
    threshold: float,
    people: int,
    prior: float,
    top: int,
) -> list[Identification]:
    """One answer for each face of a photo, or for the photo if it has none.

    near: for each face the people near it, nearest first: at least NEAREST_PEOPLE and `top`, beside
    those who are barred. barred: for each face the names of the people it was rejected as. people:
    in the gallery. prior: see `decide`. top: candidates listed.
    """
    if not faces:
        nothing = Decision("unusable", None, None, None, "no face found")
        return [Identification(path, None, None, nothing, threshold, [])]
    answers = []
    for number, (seen, every, names) in enumerate(zip(faces, near, barred, strict=True)):
        open_to = [person for person in every if person.name not in names]
        if seen.reason:
            decision = Decision("unusable", None, None, None, seen.reason)
        else:
            decision = decide(open_to, threshold, people, prior)
            decision = _with_rejections(decision, every, names, threshold)
        box = seen.face.box
        answers.append(Identification(path, number, box, decision, threshold, open_to[:top]))
    return _each_person_once(answers)


def _with_rejections(
    decision: Decision, every: list[Candidate], barred: set[str], threshold: float
) -> Decision:
    """The decision, saying who would be nearest if the face were not known not to be theirs."""
    if not every or every[0].name not in barred:
        return decision
    nearest = every[0]
    others = len(every) > len(barred.intersection(person.name for person in every))
    reason = decision.reason if others else "nobody else is enrolled"
    if nearest.distance <= threshold:
        note = f"not {nearest.name} at {nearest.distance:.3f}: this face was rejected as theirs"
        reason = f"{note}; {reason}" if reason else note
    return replace(decision, reason=reason)


def _each_person_once(answers: list[Identification]) -> list[Identification]:
    """In one photo a person can be only one face: the nearest keeps the name."""
    best: dict[str, Identification] = {}
    for answer in answers:
        name, distance = answer.decision.name, answer.decision.distance
        if name is not None and distance is not None:
            rival = best.get(name)
            if rival is None or distance < (rival.decision.distance or 0):
                best[name] = answer
    result = []
    for answer in answers:
        name = answer.decision.name
        if name is not None and best[name] is not answer:
            reason = f"{name} is already face {best[name].face} of this photo, which is nearer"
            decision = replace(answer.decision, answer="unknown", name=None, reason=reason)
            answer = replace(answer, decision=decision)
        result.append(answer)
    return result
