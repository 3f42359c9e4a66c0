"""The answers for the faces of a photo, from the people near each of them."""

from dataclasses import dataclass, replace

from facesearch.core.embedded import EmbeddedFace
from facesearch.core.face import Box
from facesearch.core.photos import Photo
from facesearch.matching.decision import Answer, Candidate, Decision, decide

NEAREST_PEOPLE = 10  # the fewest people near a face among whom its probability is shared


@dataclass(frozen=True, slots=True)
class IdentifiedFace:
    """The answer for one face of a photo, or for a photo without one."""

    photo: Photo  # as it was given
    face: int | None  # its number, from 0 for the largest; None if the photo has no face
    box: Box | None
    answer: Answer
    name: str | None  # of a match
    distance: float | None  # to the nearest person
    threshold: float  # the largest distance that was accepted
    probability: float | None  # that the face is the nearest person's
    reason: str  # why it is no match, and whatever else there is to say
    candidates: list[Candidate]  # the nearest people, nearest first


def answered(
    photo: Photo,
    faces: list[EmbeddedFace],
    near: list[list[Candidate]],
    barred: list[set[str]],
    threshold: float,
    people: int,
    prior: float,
    top: int,
) -> list[IdentifiedFace]:
    """Answer for each face of a photo, or for the photo if it has none.

    near: for each face the people near it, nearest first: at least NEAREST_PEOPLE and `top`, beside
    those who are barred. barred: for each face the names of the people it was rejected as. people:
    how many are enrolled. prior: see `decide`. top: how many candidates are listed.
    """
    if not faces:
        nothing = Decision("unusable", None, None, None, "no face found")
        return [_face(photo, None, None, nothing, threshold, [])]
    answers = []
    for number, (seen, every, names) in enumerate(zip(faces, near, barred, strict=True)):
        open_to = [person for person in every if person.name not in names]
        if seen.reason:
            decision = Decision("unusable", None, None, None, seen.reason)
        else:
            decision = decide(open_to, threshold, people, prior)
            decision = _with_rejections(decision, every, names, threshold)
        answers.append(_face(photo, number, seen.face.box, decision, threshold, open_to[:top]))
    return _each_person_once(answers)


def _face(
    photo: Photo,
    number: int | None,
    box: Box | None,
    decision: Decision,
    threshold: float,
    candidates: list[Candidate],
) -> IdentifiedFace:
    return IdentifiedFace(
        photo,
        number,
        box,
        decision.answer,
        decision.name,
        decision.distance,
        threshold,
        decision.probability,
        decision.reason,
        candidates,
    )


def _with_rejections(
    decision: Decision, every: list[Candidate], barred: set[str], threshold: float
) -> Decision:
    """The decision with a note if the nearest person is one that the face was rejected as."""
    if not every or every[0].name not in barred:
        return decision
    nearest = every[0]
    others = len(every) > len(barred.intersection(person.name for person in every))
    reason = decision.reason if others else "nobody else is enrolled"
    if nearest.distance <= threshold:
        note = f"not {nearest.name} at {nearest.distance:.3f}: this face was rejected as theirs"
        reason = f"{note}; {reason}" if reason else note
    return replace(decision, reason=reason)


def _each_person_once(answers: list[IdentifiedFace]) -> list[IdentifiedFace]:
    """Leave each name to one face of the photo, the nearest: a person cannot be there twice."""
    best: dict[str, IdentifiedFace] = {}
    for answer in answers:
        if answer.name is not None and answer.distance is not None:
            rival = best.get(answer.name)
            if rival is None or answer.distance < (rival.distance or 0):
                best[answer.name] = answer
    result = []
    for answer in answers:
        name = answer.name
        if name is not None and best[name] is not answer:
            reason = f"{name} is already face {best[name].face} of this photo, which is nearer"
            answer = replace(answer, answer="unknown", name=None, reason=reason)
        result.append(answer)
    return result
