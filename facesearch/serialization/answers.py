"""The JSON of searches and comparisons."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from facesearch.core.photos import Photo
from facesearch.gallery.search_results import IdentifyResult, SearchResult
from facesearch.matching.comparison import Comparison
from facesearch.matching.decision import Answer, Candidate, Decision
from facesearch.matching.identification import IdentifiedFace
from facesearch.serialization.record import Field, Record

_ALICE = {"name": "Alice", "distance": 0.211, "photo": "alice-1.jpg", "face": 3}

CANDIDATE = Record(
    Candidate,
    {
        "name": "Who is enrolled.",
        "distance": "Of the face to the mean of the person's faces: 0 the same, 2 opposite.",
        "photo": "The photo of the person's enrolled face that lies nearest.",
        "face": "The number of that enrolled face.",
    },
    left_out={"log_ratio": float("nan")},
    text="A person near a face.",
    example=_ALICE,
)

IDENTIFIED_FACE = Record(
    IdentifiedFace,
    {
        "photo": Field("The photo.", type=Path),
        "face": "The number of the face in the photo, 0 for the largest; null without a face.",
        "box": "Left, top, right and bottom, in pixels of the upright photo.",
        "answer": "`match`, `unknown`, `ambiguous` (two people are too near to tell apart), or "
        "`unusable`.",
        "name": "Who it is, for a match.",
        "distance": "To the nearest person.",
        "threshold": "The largest distance that is accepted.",
        "probability": "That the face is the nearest person's.",
        "reason": "Why it is no match, and anything else that is worth saying.",
        "candidates": "The nearest people, nearest first.",
    },
    example={
        "photo": "party.jpg",
        "face": 0,
        "box": [410, 120, 560, 320],
        "answer": "match",
        "name": "Alice",
        "distance": 0.211,
        "threshold": 0.391,
        "probability": 0.9997,
        "reason": "",
        "candidates": [_ALICE],
    },
)

COMPARISON = Record(
    Comparison,
    {
        "a": Field("One photo.", type=Path),
        "b": Field("The other photo.", type=Path),
        "same": Field(
            "Whether they show one person; null if a photo has no usable face.", type=bool | None
        ),
        "answer": "`match`, `unknown` (different people) or `unusable`.",
        "distance": "Between the largest usable faces: 0 the same, 2 opposite.",
        "threshold": "The largest distance that is accepted.",
        "probability": "That the photos show one person.",
        "reason": "What there is to say about the photos.",
        "warning": "What there is to say about the threshold.",
    },
    left_out={"faces": ()},
)

IDENTIFIED = Record(
    IdentifyResult,
    {
        "photo": Field("The photo.", type=Path),
        "width": "Of the upright photo, in pixels.",
        "height": "Of the upright photo, in pixels.",
        "warning": "What there is to say about the threshold.",
        "faces": "An answer for each face, the largest first; without a face one that says so.",
    },
    left_out={"error": None, "threshold": None},
    name="Identified",
    text="The answers for one photo.",
    example={
        "photo": "party.jpg",
        "width": 1024,
        "height": 768,
        "warning": "",
        "faces": [IDENTIFIED_FACE.example],
    },
)

SEARCHED = Record(
    SearchResult,
    {
        "answer": Field("`match`, `unknown` or `ambiguous`.", "decision.answer", Answer),
        "name": Field("Who it is, for a match.", "decision.name", str | None),
        "distance": Field("To the nearest person.", "decision.distance", float | None),
        "threshold": "The largest distance that is accepted.",
        "probability": Field(
            "That it is the nearest person.", "decision.probability", float | None
        ),
        "reason": Field("Why it is no match.", "decision.reason", str),
        "warning": "What there is to say about the threshold.",
        "candidates": "The nearest people, nearest first.",
    },
    name="Searched",
    example={
        "answer": "match",
        "name": "Alice",
        "distance": 0.211,
        "threshold": 0.391,
        "probability": 0.9997,
        "reason": "",
        "warning": "",
        "candidates": [_ALICE],
    },
)


def identify_result(answer: Any, photo: Photo) -> IdentifyResult:
    """Read the answers for a photo. photo: as it was given."""
    result = IDENTIFIED.read(answer, photo=photo)
    faces = [replace(face, photo=photo) for face in result.faces]
    threshold = faces[0].threshold if faces else None
    return replace(result, faces=faces, threshold=threshold)


def search_result(answer: Any) -> SearchResult:
    """Read whose an embedding is. answer: of SEARCHED.model."""
    fields = ("answer", "name", "distance", "probability", "reason")
    decision = Decision(*(getattr(answer, field) for field in fields))
    return SEARCHED.read(answer, decision=decision)


CandidateJson = Annotated[Candidate, CANDIDATE]
IdentifiedFaceJson = Annotated[IdentifiedFace, IDENTIFIED_FACE]
ComparisonJson = Annotated[Comparison, COMPARISON]
