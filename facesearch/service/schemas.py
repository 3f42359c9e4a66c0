"""The bodies of requests."""

from datetime import date
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

MOST_NUMBER = (1 << 63) - 1  # that the database holds

Number = Path(ge=0, le=MOST_NUMBER)
Name = Annotated[str, Field(max_length=1000)]
FaceNumber = Annotated[int, Field(ge=0, le=MOST_NUMBER)]


def _strict(**example: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"example": example})


class Search(BaseModel):
    """An embedding to search for."""

    model_config = _strict(embedding=[1.0] + 127 * [0.0], top=3)

    embedding: Annotated[list[float], Field(min_length=1, max_length=4096)]
    top: Annotated[int, Field(ge=1, le=100)] = 5
    fpir: Annotated[float | None, Field(gt=0, lt=1)] = None
    threshold: Annotated[float | None, Field(ge=0, le=2)] = None


class Correction(BaseModel):
    """What to change of a person; what is left out stays as it is."""

    model_config = _strict(name="Alice B.", expires="2027-12-31")

    name: Name | None = None
    expires: Name | None = Field(
        None, description="The last day on which they may be kept, as 2027-12-31; empty: no end."
    )
    consent: Annotated[str | None, Field(max_length=10_000)] = Field(
        None, description="A note; an empty one removes it."
    )


class Merge(BaseModel):
    """Another name of the same person."""

    model_config = _strict(other="Alicia")

    other: Name
    force: bool = Field(False, description="Although a face was rejected as the other's.")


class Split(BaseModel):
    """Faces that are another person's."""

    model_config = _strict(faces=[3, 5], into="Bob")

    faces: Annotated[list[FaceNumber], Field(max_length=10_000)]
    into: Name = Field(description="A new name, or somebody who is enrolled.")
    force: bool = Field(False, description="Although a face was rejected as the other's.")


class Reject(BaseModel):
    """An enrolled face that is not the person's."""

    model_config = _strict(face=3)

    face: FaceNumber


class Undo(BaseModel):
    """A change to undo; without an event the last one."""

    model_config = _strict(event=7)

    event: FaceNumber | None = None


class PurgeExpired(BaseModel):
    """The day on which a purge is due."""

    model_config = _strict(on="2027-12-31")

    on: date = Field(description="Everybody whose last day was before this one is purged.")
