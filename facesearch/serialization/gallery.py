"""The JSON of a gallery as a whole: its state, what was searched for, what is probably wrong."""

from typing import Annotated

from pydantic import BaseModel, Field

from facesearch.gallery.info import GalleryInfo
from facesearch.serialization.record import Corners, Record
from facesearch.storage.audit_log import Search

GALLERY_INFO = Record(
    GalleryInfo,
    {
        "folder": "The gallery's folder, or its URL without a password.",
        "people": "How many people are enrolled.",
        "faces": "How many faces.",
        "photos": "From how many photos these are.",
        "model": "The model that the embeddings are made with; null before the first enrollment.",
        "fingerprint": "The fingerprint of that model.",
        "index": "`current`, `to be rebuilt` (by the next search) or `in the database`.",
        "keeps_chips": "Whether the pictures of faces are kept.",
        "chips": "How many are kept.",
        "unfinished_reindex": "How far a reindex is that did not end.",
        "encrypted": "`passphrase` or `key file`, if face data is encrypted.",
        "audit": "`on` if searches are recorded, else `off`.",
    },
)

SEARCH = Record(
    Search,
    {
        "at": "When; ISO 8601, UTC.",
        "command": "`identify` or `search`.",
        "faces": "How many faces were searched for.",
        "names": "Who was in the answers, sorted.",
    },
    name="RecordedSearch",
    text="A search, as the audit log has it.",
)

GalleryInfoJson = Annotated[GalleryInfo, GALLERY_INFO]
SearchJson = Annotated[Search, SEARCH]


class Finding(BaseModel):
    """Something in the gallery that is probably wrong, as a row of `Gallery.review`."""

    kind: str = Field(
        description="`mislabelled`, `divided` (the two photos of a person show two people), "
        "`duplicate`, `same-person`, `look-alike`, `weak`, or `fpir`: what strangers find."
    )
    name: str | None = Field(description="Whose the face is.")
    photo: str | None = Field(description="Its photo.")
    box: Corners | None = Field(description="Where the face is in the photo.")
    face: int | None = Field(description="The number of the face.")
    other: str | None = Field(description="The other person.")
    other_photo: str | None = Field(description="The photo of the other face.")
    other_box: Corners | None = Field(description="Where the other face is in its photo.")
    other_face: int | None = Field(description="The number of the other face.")
    distance: float | None = Field(description="Between the two.")
    probability: float | None = Field(description="That it is as the kind says.")
    faces: int | None = Field(description="How many faces the person has.")
    reason: str = Field(description="What speaks for it.")
    rates: dict[str, float] | None = Field(
        description="Of kind `fpir`: the share of strangers who are given a name, by the number of "
        "people enrolled."
    )
