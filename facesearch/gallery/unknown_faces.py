"""Faces of photos whom the gallery does not know, in groups."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.core.errors import PersonError, PhotoError
from facesearch.core.progress import Progress
from facesearch.gallery.gallery import Gallery, clean_name
from facesearch.matching.calibration import Calibration
from facesearch.matching.clustering import group_limit, groups
from facesearch.matching.decision import threshold_to_search
from facesearch.vision import images
from facesearch.vision.embedder import EmbeddedFace, Embedder, in_order


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


def group_unknown(
    gallery: Gallery,
    paths: list[Path],
    embedder: Embedder,
    calibration: Calibration,
    progress: Progress,
) -> Unknown:
    """Group the faces that a search of the gallery does not name.

    A photo that is there twice, by content, counts once. Raises GalleryError for another model.
    """
    gallery.check_model(embedder)
    limit = None
    if gallery.people():
        strangers = gallery.impostor_scores(embedder.model)
        limit = threshold_to_search(calibration, strangers, None).distance
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
            named = (
                [False] * len(photo.faces)
                if limit is None
                else gallery.names(path, photo, limit, calibration)
            )
        except PhotoError as error:  # gone a moment ago
            errors.append(error)
            continue
        seen_before.add(sha256)
        for seen, is_known in zip(photo.faces, named, strict=True):
            if seen.reason:
                unusable += 1
            elif is_known:
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
