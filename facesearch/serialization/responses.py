"""What the service answers with, and the client reads: the dataclasses with what is beside them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from facesearch.gallery.profile import EnrolledFace
from facesearch.matching.comparison import Comparison
from facesearch.matching.rejection import Rejection
from facesearch.serialization import record
from facesearch.serialization.answers import COMPARISON
from facesearch.serialization.enrollment import ENROLLED_PHOTO, EnrolledPhotoJson
from facesearch.serialization.gallery import Finding, SearchJson
from facesearch.serialization.people import (
    CHANGE,
    ENROLLED_FACE,
    PERSON,
    REJECTION,
    ChangeJson,
    ContradictionJson,
    PurgeTargetJson,
)
from facesearch.serialization.record import Record
from facesearch.storage.records import Person


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": fields})


# Searches


class Chips(BaseModel):
    """The two faces that were compared, aligned."""

    a: str | None = Field(description="A `data:image/jpeg` address.")
    b: str | None = Field(description="A `data:image/jpeg` address.")


class Standing(BaseModel):
    """Where a distance lies among those of the calibration."""

    genuine: float = Field(description="The share of pairs of one person that are farther apart.")
    impostor: float = Field(description="The share of pairs of two people that are nearer.")


class SearchThreshold(BaseModel):
    """The largest distance that a search accepts."""

    distance: float = Field(description="0 the same, 2 opposite.")
    warning: str = Field(description="What there is to say about it.")


COMPARED = Record(
    Comparison,
    COMPARISON.fields
    | {
        "chips": record.Field("The faces that were compared.", type=Chips),
        "standing": record.Field("Where their distance lies.", type=Standing | None),
    },
    left_out=COMPARISON.left_out,
    name="Compared",
    example={
        "a": "a.jpg",
        "b": "b.jpg",
        "same": True,
        "answer": "match",
        "distance": 0.063,
        "threshold": 0.32,
        "probability": 0.9999,
        "reason": "",
        "warning": "",
        "chips": {"a": "data:image/jpeg;base64,/9j/4A", "b": "data:image/jpeg;base64,/9j/4A"},
        "standing": {"genuine": 0.98, "impostor": 0.0},
    },
)

# People

LISTED_PERSON = Record(
    Person,
    PERSON.fields | {"face": record.Field("The number of a typical face.", type=int | None)},
    name="ListedPerson",
    text="A person, and a face to show them by.",
    example={**(PERSON.example or {}), "face": 3},
)

SHOWN_FACE = Record(
    EnrolledFace,
    {"id": record.Field("Its number.", of="number"), **ENROLLED_FACE.fields},
    left_out=ENROLLED_FACE.left_out,
    name="ShownFace",
)


class People(BaseModel):
    """Some of the people, by name."""

    people: list[Annotated[Person, LISTED_PERSON]] = Field(description="By name.")
    total: int = Field(description="How many people there are.")


class PersonShown(BaseModel):
    """A person with their faces."""

    name: str = Field(description="What the person is called.")
    count: int = Field(description="How many faces of theirs are enrolled.")
    photos: int = Field(description="From how many photos these are.")
    created: str = Field(description="When the person was enrolled first; ISO 8601, UTC.")
    expires: str | None = Field(description="The last day on which the person may be kept.")
    consent: str | None = Field(description="A note of their consent.")
    face: int | None = Field(description="The number of a typical face.")
    faces: list[Annotated[EnrolledFace, SHOWN_FACE]] = Field(
        description="In the order of their enrollment."
    )


class Enrolled(BaseModel):
    """What became of photos."""

    model_config = _example(results=[ENROLLED_PHOTO.example], event=5)

    results: list[EnrolledPhotoJson] = Field(description="In the order of decision.")
    event: int | None = Field(description="The number of the last change; null without any.")


class Corrected(BaseModel):
    """A person whose name or terms were changed."""

    model_config = _example(**(LISTED_PERSON.example or {}), changes=[CHANGE.example])

    name: str = Field(description="What the person is called now.")
    faces: int = Field(description="How many faces of theirs are enrolled.")
    photos: int = Field(description="From how many photos these are.")
    created: str = Field(description="When the person was enrolled first; ISO 8601, UTC.")
    expires: str | None = Field(description="The last day on which the person may be kept.")
    consent: str | None = Field(description="A note of their consent.")
    face: int | None = Field(description="The number of a typical face.")
    changes: list[ChangeJson] = Field(description="What was changed: the terms, then the name.")


class Removed(BaseModel):
    """Somebody who was removed or purged."""

    model_config = _example(
        action="remove",
        name="Alice",
        faces=2,
        event=9,
        at="2026-11-25T10:00:00+00:00",
        what="Alice was removed",
    )

    action: Literal["remove", "purge"] = Field(description="What was done.")
    name: str = Field(description="What the person was called.")
    faces: int = Field(description="How many faces they had.")
    event: int | None = Field(description="What `undo` takes; null for a purge.")
    at: str | None = Field(description="When it was done; ISO 8601, UTC.")
    what: str | None = Field(description="What was done, in words.")


class Moved(BaseModel):
    """Faces that became another person's."""

    model_config = _example(
        action="merge",
        name="Alice",
        other="Alicia",
        faces=2,
        event=7,
        at="2026-11-25T10:00:00+00:00",
        what="Alicia was merged into Alice (2 faces)",
    )

    action: Literal["merge", "split"] = Field(description="What was done.")
    name: str = Field(description="The person of the request.")
    other: str = Field(description="The other person.")
    faces: int = Field(description="How many faces it concerned.")
    event: int = Field(description="What `undo` takes.")
    at: str = Field(description="When it was done; ISO 8601, UTC.")
    what: str = Field(description="What was done, in words.")


class PurgeTargets(BaseModel):
    """Of whom a purge would leave nothing, or has left nothing."""

    people: list[PurgeTargetJson] = Field(description="By name.")


# Corrections


class Reviewed(BaseModel):
    """What is probably wrong in the gallery."""

    findings: list[Finding] = Field(description="Kind after kind, the surest first.")


class Rejections(BaseModel):
    """Faces that are known not to be a person's."""

    rejections: list[Annotated[Rejection, REJECTION]] = Field(
        description="In the order in which they were made."
    )


class RejectedPairs(BaseModel):
    """Enrolled faces that were rejected as another person's."""

    pairs: list[ContradictionJson] = Field(description="In the order of the faces.")


class Forgotten(BaseModel):
    """A rejection that was taken back."""

    action: Literal["forget"] = Field(description="What was done.")
    rejection: int = Field(description="The number of the rejection.")


class Changes(BaseModel):
    """What can be undone."""

    changes: list[ChangeJson] = Field(description="The latest first.")


class Audit(BaseModel):
    """The searches that were recorded."""

    searches: list[SearchJson] = Field(description="The oldest first.")


# Jobs


class Job(BaseModel):
    """Photos that are enrolled in the background."""

    id: str = Field(description="Its number.")
    state: Literal["open", "waiting", "running", "done", "cancelled", "failed"] = Field(
        description="An `open` job waits for more photos."
    )
    created: str = Field(description="When it was sent; ISO 8601, UTC.")
    finished: str | None = Field(description="When it ended; ISO 8601, UTC.")
    looked_at: int = Field(description="How many photos were looked at; decided are `done`.")
    total: int = Field(description="How many photos it has.")
    done: int = Field(description="How many photos are decided.")
    counts: dict[str, int] = Field(
        description="How many of these are `enrolled`, `duplicate`, `skipped` and `held`."
    )
    reason: str = Field(description="Why the job failed.")
    results: list[EnrolledPhotoJson] = Field(description="As many as were asked for.")


class Jobs(BaseModel):
    """The jobs of the last hour."""

    jobs: list[Job] = Field(description="The oldest first, without their results.")


# The service and its models


class ModelSummary(BaseModel):
    """A model that is known by name."""

    name: str = Field(description="What the model is called.")
    calibrated: bool = Field(description="Whether it has a calibration.")
    current: bool = Field(description="Whether the service uses it.")


class Models(BaseModel):
    """The models that are known by name."""

    models: list[ModelSummary] = Field(description="By name.")


class PopulationCurve(BaseModel):
    """The distances of one population of the calibration."""

    name: str = Field(description="What the population is called.")
    people: int = Field(description="How many people it has.")
    faces: int = Field(description="How many faces of theirs were compared.")
    genuine_pairs: int = Field(description="How many pairs of faces of one person.")
    impostor_pairs: int = Field(description="How many pairs of faces of two people.")
    rates: list[float] = Field(description="False match rates.")
    thresholds: list[float] = Field(description="The distances at which these are reached.")
    genuine_histogram: list[int] = Field(description="Genuine pairs by distance, one a bin.")
    impostor_histogram: list[int] = Field(description="Impostor pairs by distance, one a bin.")
    curve: list[list[float]] = Field(description="[distance, FMR, FNMR], one an edge of a bin.")


class CalibrationCurves(BaseModel):
    """What a model's calibration says about its errors."""

    bins: list[float] = Field(description="The edges of the bins, as distances.")
    people: int = Field(description="How many people it is made from.")
    fmr: float = Field(description="The default false match rate of a comparison.")
    fpir: float = Field(description="The default rate of strangers who are given a name.")
    threshold: float = Field(description="Of a comparison, at `fmr`.")
    warning: str = Field(description="What there is to say about that threshold.")
    smallest_fmr: float | None = Field(description="The smallest rate that can be promised.")
    f1: float = Field(description="The best F1 score of all pairs.")
    f1_threshold: float = Field(description="The distance at which it is reached.")
    populations: list[PopulationCurve] = Field(description="The populations behind it.")


class Realised(BaseModel):
    """An error rate as it was measured on people whom the model never saw."""

    people: str = Field(description="On whom it was measured.")
    gallery: str | None = Field(description="How many people were enrolled, for FPIR.")
    rate: Literal["FMR", "FPIR"] = Field(description="Which rate it is.")
    requested: float = Field(description="The rate that was asked for.")
    realised: float = Field(description="The rate that was measured.")
    missed: float = Field(description="The share of people who are not found: FNMR or FNIR.")


class CurrentModel(BaseModel):
    """The model that the service uses."""

    name: str = Field(description="What the model is called.")
    fingerprint: str = Field(description="SHA-256 over its weights and its preprocessing.")
    dimension: int = Field(description="How many numbers an embedding has.")
    detector: str = Field(description="The detector that finds faces.")
    card: str = Field(description="The model card, as Markdown.")
    calibration: CalibrationCurves | None = Field(description="Null for a model without one.")
    realised: list[Realised] = Field(description="As far as the model's report says.")


class Health(BaseModel):
    """The service answers."""

    status: Literal["ok"] = Field(description="All is well.")


class Session(BaseModel):
    """Who is asking."""

    role: Literal["search", "enroll", "admin"] | None = Field(
        description="Null where a token is needed first."
    )
    tokens: bool = Field(description="Whether the service has tokens.")
