"""What goes in and out, as OpenAPI shows it: the documented JSON of the command line."""

from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

Number = Path(ge=0, le=(1 << 63) - 1, description="Of a face.")
Box = Annotated[list[int], Field(min_length=4, max_length=4)]  # left, top, right, bottom
Answer = Literal["match", "unknown", "ambiguous", "unusable"]
Name = Annotated[str, Field(max_length=1000)]


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": fields})


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Candidate(BaseModel):
    name: str
    distance: float
    photo: str
    face: int | None = Field(description="The person's enrolled face that lies nearest.")


class IdentifiedFace(BaseModel):
    photo: str
    face: int | None
    box: Box | None
    answer: Answer
    name: str | None
    distance: float | None
    threshold: float
    probability: float | None
    reason: str
    candidates: list[Candidate]


_ALICE = {"name": "Alice", "distance": 0.211, "photo": "alice-1.jpg", "face": 3}


class Identified(BaseModel):
    model_config = _example(
        photo="party.jpg",
        width=1024,
        height=768,
        warning="",
        faces=[
            {
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
            }
        ],
    )

    photo: str
    width: int | None
    height: int | None
    warning: str
    faces: list[IdentifiedFace]


_UNIT: dict[str, Any] = {"example": {"embedding": [1.0] + 127 * [0.0], "top": 3}}


class Search(Asked):
    model_config = ConfigDict(extra="forbid", json_schema_extra=_UNIT)

    embedding: Annotated[list[float], Field(min_length=1, max_length=4096)]
    top: Annotated[int, Field(ge=1, le=100)] = 5
    fpir: Annotated[float | None, Field(gt=0, lt=1)] = None
    threshold: Annotated[float | None, Field(ge=0, le=2)] = None


class Searched(BaseModel):
    model_config = _example(
        answer="match",
        name="Alice",
        distance=0.211,
        threshold=0.391,
        probability=0.9997,
        reason="",
        warning="",
        candidates=[_ALICE],
    )

    answer: Answer
    name: str | None
    distance: float | None
    threshold: float
    probability: float | None
    reason: str
    warning: str
    candidates: list[Candidate]


class Chips(BaseModel):
    a: str | None = Field(description="A `data:image/jpeg` address.")
    b: str | None


class Standing(BaseModel):
    genuine: float
    impostor: float


class Compared(BaseModel):
    model_config = _example(
        a="a.jpg",
        b="b.jpg",
        same=True,
        answer="match",
        distance=0.063,
        threshold=0.32,
        probability=0.9999,
        reason="",
        warning="",
        chips={
            "a": "data:image/jpeg;base64,/9j/4A",
            "b": "data:image/jpeg;base64,/9j/4A",
        },
        standing={"genuine": 0.98, "impostor": 0.0},
    )

    a: str
    b: str
    same: bool | None
    answer: Answer
    distance: float | None
    threshold: float
    probability: float | None
    reason: str
    warning: str
    chips: Chips
    standing: Standing | None


class Person(BaseModel):
    model_config = _example(
        name="Alice",
        faces=2,
        photos=2,
        created="2026-11-25T10:00:00+00:00",
        expires="2027-12-31",
        consent="form of 2026-11-24",
        face=3,
    )

    name: str
    faces: int
    photos: int
    created: str
    expires: str | None
    consent: str | None
    face: int | None = Field(description="A typical face.")


class People(BaseModel):
    people: list[Person]
    total: int


class PersonFace(BaseModel):
    id: int
    name: str
    photo: str
    box: Box
    face: int
    added: str
    agreement: float
    distance: float
    note: str


class PersonShown(BaseModel):
    name: str
    count: int
    photos: int
    created: str
    expires: str | None
    consent: str | None
    face: int | None
    faces: list[PersonFace]


class Resembled(BaseModel):
    name: str
    distance: float
    photo: str


class EnrolledPhoto(BaseModel):
    photo: str
    name: str
    status: Literal["enrolled", "duplicate", "skipped"]
    reason: str
    faces: int
    held: bool
    distance: float | None
    nearest: str | None
    other: Resembled | None


class Enrolled(BaseModel):
    model_config = _example(
        results=[
            {
                "photo": "alice-1.jpg",
                "name": "Alice",
                "status": "enrolled",
                "reason": "",
                "faces": 1,
                "held": False,
                "distance": 0.2,
                "nearest": None,
                "other": None,
            }
        ]
    )

    results: list[EnrolledPhoto]


class Change(Asked):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "Alice B.", "expires": "2027-12-31"}}
    )

    name: Name | None = None
    expires: Name | None = Field(None, description="The last day, ISO 8601; empty: never.")
    consent: Annotated[str | None, Field(max_length=10_000)] = None


class Removed(BaseModel):
    model_config = _example(action="remove", name="Alice", faces=2)

    action: Literal["remove", "purge"]
    name: str
    faces: int


class Merge(Asked):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"other": "Alicia"}})

    other: Name
    force: bool = Field(False, description="Although a face was rejected as the other's.")


class Split(Asked):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"faces": [3, 5], "into": "Bob"}}
    )

    faces: Annotated[list[Annotated[int, Field(ge=0, le=(1 << 63) - 1)]], Field(max_length=10_000)]
    into: Name
    force: bool = False


class Moved(BaseModel):
    model_config = _example(action="merge", name="Alice", other="Alicia", faces=2)

    action: Literal["merge", "split"]
    name: str
    other: str
    faces: int
