"""The photos of one person in an enrolment, and how far each is."""

from dataclasses import dataclass, field
from pathlib import Path

from facesearch.core.errors import PersonError
from facesearch.core.names import clean_name
from facesearch.core.photos import Photo
from facesearch.enrollment.folder_check import Folder
from facesearch.enrollment.journal import PhotoScan
from facesearch.enrollment.results import EnrolledPhoto
from facesearch.vision.photo_input import as_path


@dataclass(slots=True)
class PersonPhotos:
    """A person with the photos to enrol. A place is a photo's position in `photos`."""

    name: str
    fault: str  # why nobody can bear the name; empty if somebody can
    photos: list[Photo] = field(default_factory=list)  # as they were given
    paths: list[Path] = field(default_factory=list)
    hashes: dict[int, str] = field(default_factory=dict)  # SHA-256, by place
    scans: dict[int, PhotoScan] = field(default_factory=dict)  # with usable faces, by place
    rejected: dict[int, set[str]] = field(default_factory=dict)  # whose the faces are not, by place
    results: dict[int, EnrolledPhoto] = field(default_factory=dict)  # so far, by place
    undecided: list[int] = field(default_factory=list)  # places
    folder: Folder | None = None  # all usable faces, to judge each by the others
    judged: list[int] = field(default_factory=list)  # the places of the folder's photos, in order


def by_person(asked: list[tuple[str, Photo]]) -> dict[str, PersonPhotos]:
    """The photos of each person, by the name, in the order in which the names come first."""
    people: dict[str, PersonPhotos] = {}
    for given, photo in asked:
        try:
            name, fault = clean_name(given), ""
        except PersonError as error:
            name, fault = given, str(error)
        person = people.setdefault(name, PersonPhotos(name, fault))
        person.photos.append(photo)
        person.paths.append(as_path(photo))
    return people
