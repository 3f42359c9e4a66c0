"""The JSON of enrolling."""

from pathlib import Path
from typing import Annotated

from facesearch.enrollment.results import EnrolledPhoto
from facesearch.serialization import answers
from facesearch.serialization.record import Field, Record

CANDIDATE = answers.CANDIDATE  # whom else a photo resembles

ENROLLED_PHOTO = Record(
    EnrolledPhoto,
    {
        "photo": Field("The photo.", type=Path),
        "name": "Who it was enrolled for.",
        "status": "`enrolled`, `duplicate` (enrolled before) or `skipped`.",
        "reason": "Why it is not enrolled, or what is remarkable.",
        "faces": "How many faces of it are enrolled now.",
        "held": "Whether it was held back because it is probably not the person's.",
        "distance": "Of its face to the rest of the person's photos.",
        "nearest": "The photo of the person that is nearest to it.",
        "other": "Whom else it resembles.",
        "error": "Whether the photo could not be read at all.",
    },
    example={
        "photo": "alice-1.jpg",
        "name": "Alice",
        "status": "enrolled",
        "reason": "",
        "faces": 1,
        "held": False,
        "distance": 0.2,
        "nearest": None,
        "other": None,
        "error": False,
    },
)

EnrolledPhotoJson = Annotated[EnrolledPhoto, ENROLLED_PHOTO]
