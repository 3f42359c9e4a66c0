"""What goes in and out, as OpenAPI shows it: the documented JSON of the command line."""

from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

Number = Path(ge=0, le=(1 << 63) - 1, description="Of a face.")
Box = Annotated[list[int], Field(min_length=4, max_length=4)]  # left, top, right, bottom
Answer = Literal["match", "unknown", "ambiguous", "unusable"]
Which = Literal["only", "largest", "all"]  # faces of a photo with several
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


class Finding(BaseModel):
    kind: str
    name: str | None
    photo: str | None
    box: Box | None
    face: int | None
    other: str | None
    other_photo: str | None
    other_box: Box | None
    other_face: int | None
    distance: float | None
    probability: float | None
    faces: int | None
    reason: str
    rates: dict[str, float] | None


class Reviewed(BaseModel):
    findings: list[Finding]


class Reject(Asked):
    face: Annotated[int, Field(ge=0, le=(1 << 63) - 1)]


class Rejected(BaseModel):
    model_config = _example(
        action="reject",
        name="Alice",
        photo="party.jpg",
        face=3,
        box=[410, 120, 560, 320],
        rejection=1,
        taken_out=1,
        copies=[],
    )

    action: Literal["reject"]
    name: str
    photo: str
    face: int
    box: Box
    rejection: int
    taken_out: int
    copies: list[int]


class RejectionRow(BaseModel):
    rejection: int
    name: str
    photo: str | None
    sha256: str
    box: Box
    at: str


class Rejections(BaseModel):
    rejections: list[RejectionRow]


class Forgotten(BaseModel):
    action: Literal["forget"]
    rejection: int


class ChangeRow(BaseModel):
    event: int
    at: str
    action: str
    what: str


class Changes(BaseModel):
    changes: list[ChangeRow]


class Undo(Asked):
    event: Annotated[int | None, Field(ge=0, le=(1 << 63) - 1)] = None


class Undone(BaseModel):
    model_config = _example(
        action="undo", event=7, undone="merge", what="Alicia was merged into Alice (2 faces)"
    )

    action: Literal["undo"]
    event: int
    undone: str
    what: str


class SearchRow(BaseModel):
    at: str
    command: str
    faces: int
    names: list[str]


class Audit(BaseModel):
    searches: list[SearchRow]


class GalleryInfo(BaseModel):
    folder: str
    people: int
    faces: int
    photos: int
    model: str | None
    fingerprint: str | None
    index: str
    keeps_chips: bool
    chips: int
    unfinished_reindex: str | None
    encrypted: str | None
    audit: str


class ModelRow(BaseModel):
    name: str
    calibrated: bool
    current: bool


class Models(BaseModel):
    models: list[ModelRow]


class PopulationRow(BaseModel):
    name: str
    people: int
    faces: int
    genuine_pairs: int
    impostor_pairs: int
    rates: list[float]
    thresholds: list[float]
    genuine_histogram: list[int]
    impostor_histogram: list[int]
    curve: list[list[float]] = Field(description="[distance, FMR, FNMR], one a bin.")


class Calibration(BaseModel):
    bins: list[float]
    people: int
    fmr: float
    fpir: float
    threshold: float = Field(description="Of a comparison, at `fmr`.")
    warning: str
    smallest_fmr: float | None
    f1: float
    f1_threshold: float
    populations: list[PopulationRow]


class Realised(BaseModel):
    people: str
    gallery: str | None
    rate: Literal["FMR", "FPIR"]
    requested: float
    realised: float
    missed: float = Field(description="The share of people who are not found: FNMR or FNIR.")


class CurrentModel(BaseModel):
    name: str
    fingerprint: str
    dimension: int
    detector: str
    card: str
    calibration: Calibration | None
    realised: list[Realised]


class Job(BaseModel):
    id: str
    state: Literal["open", "waiting", "running", "done", "cancelled", "failed"]
    created: str
    finished: str | None
    looked_at: int = Field(description="Photos that were looked at; decided are `done`.")
    total: int
    done: int
    counts: dict[str, int]
    reason: str
    results: list[EnrolledPhoto]


class Jobs(BaseModel):
    jobs: list[Job]


class Health(BaseModel):
    status: Literal["ok"]


class Session(BaseModel):
    role: Literal["search", "enroll", "admin"] | None
    tokens: bool
