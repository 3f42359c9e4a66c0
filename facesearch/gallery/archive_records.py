"""The records of an archive, one for each line of its members and one for its manifest.

pydantic checks them: types, lengths, ranges, and what no archive of ours would hold.
"""

import math
import os
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from facesearch.core.errors import BadName
from facesearch.core.names import clean_name, is_clean

MOST_LINE = 1 << 23  # bytes
MOST_CHIP = 4_000_000  # bytes
MOST_ROWS = 100_000_000
MOST_BYTES = 1 << 38  # all members together, unpacked
MOST_TEXT = 1_000_000  # letters
MOST_DIMENSION = 65_536


def _clean_name(name: str) -> str:
    try:
        if clean_name(name) == name:
            return name
    except BadName:
        pass
    raise ValueError("a name that is not clean")


def _clean_note(note: str) -> str:
    if not is_clean(note):
        raise ValueError("a note with control characters")
    return note


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def _day(text: str) -> str:
    return date.fromisoformat(text).isoformat()


def _box(sides: list[float]) -> list[float]:
    left, top, right, bottom = sides
    if not (left < right and top < bottom):
        raise ValueError("a box without an inside")
    return sides


def _points(points: list[list[float]]) -> list[list[float]]:
    (ax, ay), (bx, by) = points[:2]
    if math.hypot(bx - ax, by - ay) < 1e-3:
        raise ValueError("eyes in one place")
    return points


Text = Annotated[str, StringConstraints(max_length=MOST_TEXT)]
Name = Annotated[Text, AfterValidator(_clean_name)]
Note = Annotated[Text, AfterValidator(_clean_note)]
Moment = Annotated[str, StringConstraints(max_length=40), AfterValidator(_moment)]
Day = Annotated[str, StringConstraints(max_length=10), AfterValidator(_day)]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]  # SHA-256
Count = Annotated[int, Field(strict=True, ge=0, le=MOST_ROWS)]
Side = Annotated[int, Field(ge=0, le=1 << 32)]  # pixels
Number = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Box = Annotated[list[Number], Field(min_length=4, max_length=4), AfterValidator(_box)]
Point = Annotated[list[Number], Field(min_length=2, max_length=2)]
Points = Annotated[list[Point], Field(min_length=5, max_length=5), AfterValidator(_points)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class ArchivedPerson(_Record):
    """A line of people.jsonl."""

    name: Name
    created: Moment
    expires: Day | None = None
    consent: Note | None = None


class ArchivedPhoto(_Record):
    """A line of photos.jsonl. Its path is kept, and never opened here."""

    text: Annotated[str, StringConstraints(max_length=MOST_LINE)] = Field("", alias="path")
    content: Annotated[str, StringConstraints(max_length=MOST_LINE)] | None = Field(
        None,
        alias="path_bytes",  # hexadecimal, of a path that is no UTF-8
    )
    sha256: Digest
    width: Side
    height: Side
    added: Moment

    @model_validator(mode="after")
    def _check_path(self) -> "ArchivedPhoto":
        if not self._bytes() or b"\0" in self._bytes():
            raise ValueError("no path")
        return self

    def _bytes(self) -> bytes:
        return self.text.encode() if self.content is None else bytes.fromhex(self.content)

    @property
    def path(self) -> Path:
        """Where the photo was."""
        return Path(os.fsdecode(self._bytes()))


class ArchivedFace(_Record):
    """A line of faces.jsonl."""

    photo: Count  # which line of photos.jsonl
    person: Count  # which line of people.jsonl
    box: Box
    points: Points
    score: Number
    agreement: Number  # with the mirror image
    chip: Annotated[int, Field(ge=0, le=MOST_CHIP)] | None = None  # bytes in chips.bin


class ArchivedRejection(_Record):
    """A line of rejections.jsonl."""

    person: Count  # which line of people.jsonl
    sha256: Digest  # of the photo
    box: Box
    at: Moment
    embedding: bool  # whether rejections.f32 has one
    near: Number | None = None  # the distance within which another face is a copy


@dataclass(frozen=True, slots=True)
class Contents:
    """How much an archive holds."""

    people: Count
    photos: Count
    faces: Count
    rejections: Count
    chips: Count


class ArchivedModel(_Record):
    """The model of the embeddings in an archive."""

    name: Text
    fingerprint: Annotated[str, StringConstraints(pattern="^([0-9a-f]{64})?$")]  # "": no faces
    dimension: Annotated[int, Field(ge=0, le=MOST_DIMENSION)]


class Member(_Record):
    """What the manifest says of a member."""

    size: Annotated[int, Field(ge=0, le=MOST_BYTES)]
    sha256: Digest


class Header(_Record):
    """What manifest.json says in every version of the format."""

    format: str
    version: int


class Manifest(_Record):
    """The rest of manifest.json."""

    counts: Contents
    model: ArchivedModel
    members: dict[str, Member]


def reason_of(error: ValidationError) -> str:
    """The first thing that pydantic finds wrong with a record, and where."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return f"{place}: {text}" if place else text
