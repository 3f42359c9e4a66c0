"""Faces of photos that a gallery does not name, grouped by person."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.core.embedded import EmbeddedFace
from facesearch.core.errors import PersonError, PhotoError
from facesearch.core.face import Box
from facesearch.core.names import clean_name
from facesearch.core.parallel import in_order
from facesearch.core.photos import Photo
from facesearch.core.progress import Progress
from facesearch.gallery.recognizer import Recognizer
from facesearch.gallery.search import Search
from facesearch.matching.clustering import group_limit, groups
from facesearch.vision import images
from facesearch.vision.photo_input import as_path


@dataclass(frozen=True, slots=True)
class UnknownFace:
    """A usable face of a photo that the gallery does not name."""

    photo: Photo  # as it was given
    path: Path
    sha256: str  # of the photo
    width: int
    height: int
    seen: EmbeddedFace

    @property
    def box(self) -> Box:
        """Where the face is on the photo."""
        return self.seen.face.box


@dataclass(frozen=True, slots=True)
class Unknown:
    """The unknown faces of some photos, in groups of one person."""

    groups: list[list[UnknownFace]]  # the largest first; in each the most typical face first
    known: int  # how many faces the gallery names
    unusable: int  # how many faces cannot be recognised
    errors: list[PhotoError]  # of the photos that could not be read


def group_unknown(
    search: Search,
    recognizer: Recognizer,
    photos: list[Photo],
    *,
    anybody: bool,
    progress: Progress,
) -> Unknown:
    """See `Gallery.group_unknown`. anybody: whether somebody is enrolled."""
    search.check_model(recognizer.model)
    question = search.question(recognizer) if anybody else None
    embedder = recognizer.embedder
    faces: list[UnknownFace] = []
    errors: list[PhotoError] = []
    seen_before: set[str] = set()
    known = unusable = 0
    progress.start("looking", len(photos))
    pairs = ((photo, as_path(photo)) for photo in photos)
    for (photo, path), reading in in_order(lambda pair: embedder.embed_photo(pair[1]), pairs):
        progress.advance()
        try:
            read, sha256 = reading.result(), images.sha256(path)
            if sha256 in seen_before:
                continue
            named = (
                search.are_named(path, read, question) if question else [False] * len(read.faces)
            )
        except PhotoError as error:
            errors.append(error)
            continue
        seen_before.add(sha256)
        for seen, is_named in zip(read.faces, named, strict=True):
            if seen.reason:
                unusable += 1
            elif is_named:
                known += 1
            else:
                faces.append(UnknownFace(photo, path, sha256, read.width, read.height, seen))
    return Unknown(_groups(faces, recognizer), known, unusable, errors)


def _groups(faces: list[UnknownFace], recognizer: Recognizer) -> list[list[UnknownFace]]:
    if not faces:
        return []
    vectors = np.stack([face.seen.embedding for face in faces])
    found = groups(vectors, group_limit(recognizer.calibration))
    return [[faces[row] for row in group.rows] for group in found]


def spread(faces: list[UnknownFace]) -> float:
    """The root mean square distance between two faces of a group; 0 for a single face."""
    if len(faces) < 2:
        return 0.0
    total = np.stack([face.seen.embedding for face in faces]).astype(np.float64).sum(axis=0)
    pairs = len(faces) * (len(faces) - 1)
    return float(np.sqrt(max(0.0, 2 - 2 * (float(total @ total) - len(faces)) / pairs)))


def chosen_groups(given: list[str]) -> dict[int, str]:
    """The names that groups are to have, by their numbers, from "3=Alice". Raises PersonError."""
    chosen = {}
    for one in given:
        number, found, name = one.partition("=")
        if not found or not number.strip().isdecimal():
            raise PersonError(f"{one}: write GROUP=NAME, as in 3=Alice")
        chosen[int(number)] = clean_name(name)
    return chosen
