"""What became of photos that were to be enrolled."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facesearch.core.errors import PhotoError
from facesearch.core.photos import Photo
from facesearch.matching.decision import Candidate

WhichFaces = Literal["only", "largest", "all"]  # of a photo with several


@dataclass(frozen=True, slots=True)
class EnrolledPhoto:
    """What became of one photo."""

    photo: Photo  # as it was given
    name: str
    status: Literal["enrolled", "duplicate", "skipped"]
    reason: str  # why, where there is more to say than "enrolled"
    faces: int  # of the photo that are enrolled now
    error: bool = False  # the photo could not be read at all
    held: bool = False  # left out because it is probably not the person's
    distance: float | None = None  # of its face to the rest of the folder
    nearest: Path | None = None  # the photo of the folder that is nearest to it
    other: Candidate | None = None  # whom else it resembles


@dataclass(frozen=True, slots=True)
class EnrollmentReport:
    """What became of the photos of one enrolment, in the order in which they were decided."""

    photos: list[EnrolledPhoto]
    event: int | None = None  # the number of its last entry in the log; None if nothing was written

    def __len__(self) -> int:
        return len(self.photos)

    def __iter__(self) -> Iterator[EnrolledPhoto]:
        return iter(self.photos)

    @property
    def enrolled(self) -> list[EnrolledPhoto]:
        """Photos with a face that is enrolled now."""
        return [photo for photo in self.photos if photo.status == "enrolled"]

    @property
    def duplicates(self) -> list[EnrolledPhoto]:
        """Photos that were enrolled already, and near copies of such photos."""
        return [photo for photo in self.photos if photo.status == "duplicate"]

    @property
    def held(self) -> list[EnrolledPhoto]:
        """Photos that were held back because they are probably not the person's."""
        return [photo for photo in self.photos if photo.held]

    @property
    def skipped(self) -> list[EnrolledPhoto]:
        """Photos without a usable face, that cannot be read, or that are somebody else's."""
        return [photo for photo in self.photos if photo.status == "skipped" and not photo.held]


def unreadable(path: Path, name: str, error: PhotoError) -> EnrolledPhoto:
    """A photo that could not be read."""
    return EnrolledPhoto(path, name, "skipped", str(error).removeprefix(f"{path}: "), 0, error=True)


def enrolled_before(path: Path, name: str, names: set[str]) -> EnrolledPhoto:
    """A photo whose content is enrolled already, under these names."""
    if name in names:
        return EnrolledPhoto(path, name, "duplicate", "enrolled before", 0)
    if not names:
        return EnrolledPhoto(path, name, "skipped", "another program enrolled and removed it", 0)
    others = ", ".join(sorted(names))
    return EnrolledPhoto(path, name, "skipped", f"this photo is enrolled as {others}", 0)


def same_content(path: Path, name: str, first: Path, owner: str) -> EnrolledPhoto:
    """A photo with the content of another one, which the same enrolment gave to `owner`."""
    if owner == name:
        return EnrolledPhoto(path, name, "duplicate", f"same content as {first}", 0)
    return EnrolledPhoto(path, name, "skipped", f"same content as {first}, which is {owner}'s", 0)
