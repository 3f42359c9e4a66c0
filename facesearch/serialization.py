"""Answers as the rows that the command line prints and the service sends: the documented JSON."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facesearch.gallery.change import Rejected
    from facesearch.gallery.legacy import EnrolledPhoto, Identification
    from facesearch.gallery.profile import Profile
    from facesearch.matching.comparison import Comparison
    from facesearch.matching.decision import Candidate
    from facesearch.matching.rejection import Rejection

Row = dict[str, Any]
Shown = Callable[[Any], str]  # how a photo is told


def enrolment(result: "EnrolledPhoto", shown: Shown = str) -> Row:
    other = result.other
    return {
        "photo": shown(result.photo),
        "name": result.name,
        "status": result.status,
        "reason": result.reason,
        "faces": result.faces,
        "held": result.held,
        "distance": result.distance,
        "nearest": shown(result.nearest) if result.nearest else None,
        "other": {"name": other.name, "distance": other.distance, "photo": shown(other.photo)}
        if other
        else None,
    }


def identification(answer: "Identification", shown: Shown = str) -> Row:
    decision = answer.decision
    return {
        "photo": shown(answer.photo),
        "face": answer.face,
        "box": answer.box.rounded() if answer.box else None,
        "answer": decision.answer,
        "name": decision.name,
        "distance": decision.distance,
        "threshold": answer.threshold,
        "probability": decision.probability,
        "reason": decision.reason,
        "candidates": candidates(answer.candidates, shown),
    }


def candidates(near: "Iterable[Candidate]", shown: Shown = str) -> list[Row]:
    return [
        {
            "name": each.name,
            "distance": each.distance,
            "photo": shown(each.photo),
            "face": each.face,
        }
        for each in near
    ]


def comparison(result: "Comparison", shown: Shown = str) -> Row:
    return {
        "a": shown(result.a),
        "b": shown(result.b),
        "same": result.same,
        "answer": result.answer,
        "distance": result.distance,
        "threshold": result.threshold,
        "probability": result.probability,
        "reason": result.reason,
    }


def faces(profile: "Profile", shown: Shown = str) -> Iterable[Row]:
    """Of a person, in the order of their enrolment."""
    notes = {profile.most_typical: "most typical", profile.least_typical: "least typical"}
    for each in profile.faces:
        face = each.face
        yield {
            "name": profile.name,
            "photo": shown(face.path),
            "box": face.box.rounded(),
            "face": face.number,
            "added": face.added,
            "agreement": face.flip_consistency,
            "distance": each.distance,
            "note": notes.get(face.number, ""),
        }


def rejections(
    said: "Iterable[Rejection]", photos: dict[str, Path], shown: Shown = str
) -> Iterable[Row]:
    """photos: where they are, by SHA-256, as far as that is known."""
    for each in said:
        yield {
            "rejection": each.number,
            "name": each.name,
            "photo": shown(photos[each.sha256]) if each.sha256 in photos else None,
            "sha256": each.sha256,
            "box": each.box.rounded(),
            "at": each.at,
        }


def rejected(name: str, photo: Path, found: "Rejected", shown: Shown = str) -> Row:
    return {
        "action": "reject",
        "name": name,
        "photo": shown(photo),
        "face": found.face,
        "box": found.box.rounded(),
        "rejection": found.number,
        "taken_out": found.taken_out,
        "copies": found.copies,
    }
