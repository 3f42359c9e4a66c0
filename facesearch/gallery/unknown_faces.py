"""Faces of photos whom the gallery does not know, in groups."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.core.errors import PersonError, PhotoError
from facesearch.core.names import clean_name
from facesearch.core.progress import Progress
from facesearch.gallery.recognizer import Recognizer
from facesearch.gallery.search import Search
from facesearch.matching.calibration import Calibration
from facesearch.matching.clustering import group_limit, groups
from facesearch.vision import images
from facesearch.vision.embedder import EmbeddedFace, EmbeddedPhoto, Embedder, in_order


@dataclass(frozen=True, slots=True)
class UnknownFace:
    """A usable face of a photo that nobody enrolled is."""

    path: Path
    sha256: str
    width: int
    height: int
    seen: EmbeddedFace


@dataclass(frozen=True, slots=True)
class Unknown:
    """What was found on photos."""

    groups: list[list[UnknownFace]]  # the largest first; in each the most typical face first
    known: int  # faces that the gallery names
    unusable: int
    errors: list[PhotoError]


def group_unknown_faces(
    search: Search,
    recognizer: Recognizer,
    somebody: bool,
    paths: list[Path],
    progress: Progress,
) -> Unknown:
    """See `Gallery.group_unknown`. somebody: whether somebody is enrolled."""
    search.check_model(recognizer.model)
    question = search.question(recognizer) if somebody else None

    def named(path: Path, photo: EmbeddedPhoto) -> list[bool]:
        return (
            [False] * len(photo.faces)
            if question is None
            else search.are_named(path, photo, question)
        )

    return _grouped(paths, recognizer.embedder, recognizer.calibration, named, progress)


def _grouped(
    paths: list[Path],
    embedder: Embedder,
    calibration: Calibration,
    named: Callable[[Path, EmbeddedPhoto], list[bool]],
    progress: Progress,
) -> Unknown:
    """named: for each face of a photo whether the gallery names it."""
    faces: list[UnknownFace] = []
    errors: list[PhotoError] = []
    seen_before: set[str] = set()
    known = unusable = 0
    progress.start("looking", len(paths))
    for path, photo in in_order(embedder.embed_photo, paths):
        progress.advance()
        if isinstance(photo, PhotoError):
            errors.append(photo)
            continue
        try:
            sha256 = images.sha256(path)
            if sha256 in seen_before:
                continue
            are_named = named(path, photo)
        except PhotoError as error:  # gone a moment ago
            errors.append(error)
            continue
        seen_before.add(sha256)
        for seen, is_named in zip(photo.faces, are_named, strict=True):
            if seen.reason:
                unusable += 1
            elif is_named:
                known += 1
            else:
                faces.append(UnknownFace(path, sha256, photo.width, photo.height, seen))
    if not faces:
        return Unknown([], known, unusable, errors)
    vectors = np.stack([face.seen.embedding for face in faces])
    found = groups(vectors, group_limit(calibration))
    return Unknown([[faces[row] for row in group.rows] for group in found], known, unusable, errors)


def spread(faces: list[UnknownFace]) -> float:
    """The root mean square distance of two faces of a group; 0 of one."""
    if len(faces) < 2:
        return 0.0
    total = np.stack([face.seen.embedding for face in faces]).astype(np.float64).sum(axis=0)
    pairs = len(faces) * (len(faces) - 1)
    return float(np.sqrt(max(0.0, 2 - 2 * (float(total @ total) - len(faces)) / pairs)))


def chosen_groups(given: list[str]) -> dict[int, str]:
    """The names of groups by their numbers, from "3=Alice". Raises PersonError."""
    chosen = {}
    for one in given:
        number, found, name = one.partition("=")
        if not found or not number.strip().isdecimal():
            raise PersonError(f"{one}: write GROUP=NAME, as in 3=Alice")
        chosen[int(number)] = clean_name(name)
    return chosen
