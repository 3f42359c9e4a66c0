"""The JSON of every result: written, described and read back in one place."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from facesearch.serialization.answers import COMPARISON, IDENTIFIED_FACE
from facesearch.serialization.enrollment import ENROLLED_PHOTO
from facesearch.serialization.people import REJECTED
from facesearch.serialization.people import rejections as rejections
from facesearch.serialization.record import Row, Shown, path_of

if TYPE_CHECKING:
    from facesearch.gallery.change import Rejected
    from facesearch.gallery.profile import Profile

# the rows as the command line asks for them until it uses the records themselves
enrolment, identification, comparison = ENROLLED_PHOTO.row, IDENTIFIED_FACE.row, COMPARISON.row


def faces(profile: "Profile", shown: Shown = path_of) -> Iterable[Row]:
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


def rejected(name: str, photo: Path, found: "Rejected", shown: Shown = path_of) -> Row:
    return REJECTED.row(found, shown, name=name, photo=photo)
