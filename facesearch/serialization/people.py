"""The JSON of people, and of what was done to them."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
from pydantic import BaseModel, ConfigDict

from facesearch.gallery.change import Change, Rejected
from facesearch.gallery.profile import EnrolledFace, PersonProfile
from facesearch.gallery.purge import PurgeTarget
from facesearch.gallery.rejections import Contradiction
from facesearch.matching.rejection import NEAR, Rejection
from facesearch.serialization.record import Field, Record, Row, Shown, path_of
from facesearch.storage.records import Person

PERSON = Record(
    Person,
    {
        "name": "What the person is called.",
        "faces": "How many faces of theirs are enrolled.",
        "photos": "From how many photos these are.",
        "created": "When the person was enrolled first; ISO 8601, UTC.",
        "expires": "The last day on which the person may be kept, as 2027-12-31; null: no end.",
        "consent": "A note of their consent.",
    },
    example={
        "name": "Alice",
        "faces": 2,
        "photos": 2,
        "created": "2026-11-25T10:00:00+00:00",
        "expires": "2027-12-31",
        "consent": "form of 2026-11-24",
    },
)

ENROLLED_FACE = Record(
    EnrolledFace,
    {
        "name": Field("Whose face it is.", type=str),
        "photo": "Its photo.",
        "box": "Left, top, right and bottom, in pixels of the upright photo.",
        "face": Field("Its number.", of="number"),
        "added": "When the photo was enrolled; ISO 8601, UTC.",
        "agreement": Field(
            "Of its embedding with that of its mirror image, 0 to 1; low for a face that is hard "
            "to recognise.",
            of="flip_consistency",
        ),
        "distance": "To the mean of the person's faces: 0 the same, 2 opposite.",
        "note": Field("`most typical`, `least typical`, or empty.", type=str),
    },
    left_out={"sha256": "", "_picture": None},
)

PURGE_TARGET = Record(
    PurgeTarget,
    {
        "name": "What the person is called, or was.",
        "faces": "How many faces of theirs are kept.",
        "expires": "The last day on which the person may be kept.",
        "removed": "Whether the person was removed from every answer already.",
    },
    name="PurgeTarget",
    text="Somebody of whom a purge leaves nothing.",
)

CHANGE = Record(
    Change,
    {
        "event": "The number with which it can be undone.",
        "at": "When it was done; ISO 8601, UTC.",
        "action": "`rename`, `merge`, `split`, `remove`, `reject` or `terms`.",
        "what": Field("What was done, in words.", of="line"),
        "faces": "How many faces it concerned.",
    },
    example={
        "event": 7,
        "at": "2026-11-25T10:00:00+00:00",
        "action": "merge",
        "what": "Alicia was merged into Alice (2 faces)",
        "faces": 2,
    },
    text="Something that was done to people.",
)

UNDONE = Record(
    Change,
    {
        "action": Field("Always `undo`.", type=str, of="undo"),
        "event": "The number of the change that was undone.",
        "undone": Field("What kind of change that was.", of="action"),
        "what": Field("What had been done, in words.", of="line"),
        "at": "When it had been done; ISO 8601, UTC.",
        "faces": "How many faces it concerned.",
    },
    name="Undone",
    text="A change that was undone.",
)

REJECTED = Record(
    Rejected,
    {
        "action": "Always `reject`.",
        "name": Field("Whose the face is not.", type=str),
        "photo": Field("The photo.", type=Path),
        "face": "The number of the face: in the photo, or of the enrolled face.",
        "box": "Left, top, right and bottom, in pixels of the upright photo.",
        "rejection": Field("The number with which `forget` takes it back.", of="number"),
        "taken_out": Field("How many enrolled faces of the person it takes out.", of="faces"),
        "copies": "The person's enrolled faces that are nearly the same, and stay enrolled.",
        "event": "The number with which it can be undone.",
        "at": "When it was done; ISO 8601, UTC.",
        "what": Field("What was done, in words.", of="line"),
    },
    example={
        "action": "reject",
        "name": "Alice",
        "photo": "party.jpg",
        "face": 3,
        "box": [410, 120, 560, 320],
        "rejection": 1,
        "taken_out": 1,
        "copies": [],
        "event": 8,
        "at": "2026-11-25T10:00:00+00:00",
        "what": "a face was rejected as Alice's",
    },
)

REJECTION = Record(
    Rejection,
    {
        "rejection": Field("Its number.", of="number"),
        "name": "Whose the face is not.",
        "photo": Field("Where the photo is, if that is known.", type=Path | None),
        "sha256": "The SHA-256 of the photo.",
        "box": "Left, top, right and bottom, in pixels of the upright photo.",
        "at": "When it was said; ISO 8601, UTC.",
    },
    left_out={"embedding": np.empty(0, np.float32), "near": NEAR},
)

CONTRADICTION = Record(
    Contradiction,
    {
        "rejection": "The number of the rejection.",
        "name": "Whose the face is not.",
        "face": "The number of the enrolled face.",
        "photo": "Its photo.",
        "enrolled_as": "As whose it is enrolled.",
    },
    name="RejectedPair",
    text="A face that is enrolled as one person's and was rejected as another's.",
)

PersonJson = Annotated[Person, PERSON]
PurgeTargetJson = Annotated[PurgeTarget, PURGE_TARGET]
ChangeJson = Annotated[Change, CHANGE]
ContradictionJson = Annotated[Contradiction, CONTRADICTION]


class ChangedPerson(BaseModel):
    """A change to a person, with the fields that its action has."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "action": "merge",
                "name": "Alice",
                "other": "Alicia",
                "faces": 2,
                "event": 7,
                "at": "2026-11-25T10:00:00+00:00",
                "what": "Alicia was merged into Alice (2 faces)",
            }
        }
    )

    action: Literal["rename", "merge", "split", "set", "remove", "purge"] = pydantic.Field(
        description="What was done."
    )
    name: str = pydantic.Field(description="The person; after a rename the new name.")
    old: str = pydantic.Field("", description="The former name, of a rename.")
    other: str = pydantic.Field("", description="The other person, of a merge or split.")
    expires: str | None = pydantic.Field(
        None, description="The last day on which the person may be kept, of set."
    )
    consent: str | None = pydantic.Field(None, description="A note of their consent, of set.")
    faces: int = pydantic.Field(description="How many faces it concerned.")
    event: int = pydantic.Field(0, description="What `undo` takes; all but purge have it.")
    at: str = pydantic.Field("", description="When it was done; ISO 8601, UTC.")
    what: str = pydantic.Field("", description="What was done, in words.")


def changed(change: Change, action: str, name: str, **more: Any) -> Row:
    """The row of a change to a person.

    more: fields of the action: `old` of a rename, `other` of a merge or split, `expires` and
    `consent` of set.
    """
    beside = {"faces": change.faces, "event": change.event, "at": change.at, "what": change.line}
    row = ChangedPerson.model_validate({"action": action, "name": name, **more, **beside})
    return row.model_dump(exclude_unset=True)


def faces(profile: PersonProfile, shown: Shown = path_of) -> list[Row]:
    """The rows of a person's faces, in the order of their enrollment."""
    return [ENROLLED_FACE.row(face, shown, **beside(profile, face)) for face in profile.faces]


def beside(profile: PersonProfile, face: EnrolledFace) -> Row:
    """The fields of a face's row that the person knows."""
    notes = {profile.most_typical: "most typical", profile.least_typical: "least typical"}
    return {"name": profile.name, "note": notes.get(face.number, "")}


def rejections(
    found: list[Rejection], photos: dict[str, Path], shown: Shown = path_of
) -> list[Row]:
    """The rows of rejections. photos: where they are, by SHA-256, as far as that is known."""
    return [REJECTION.row(each, shown, photo=photos.get(each.sha256)) for each in found]
