"""identify, compare, search."""

import base64
import io
import math
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, File, Query, UploadFile
from numpy.typing import NDArray
from PIL import Image

from facesearch import serialization
from facesearch.core.arrays import Embeddings, Pixels
from facesearch.core.errors import PhotoError
from facesearch.core.progress import Silent
from facesearch.core.uploads import Upload
from facesearch.matching import comparison, decision, thresholds
from facesearch.matching.calibration import BINS, Calibration
from facesearch.service import schemas
from facesearch.service.auth import Role, at_least
from facesearch.service.problems import Problem
from facesearch.service.redaction import name_of
from facesearch.service.state import Service, Shared
from facesearch.service.uploads import photo_of
from facesearch.vision.embedder import EmbeddedFace
from facesearch.vision.stored_chips import read_kept

router = APIRouter(prefix="/v1", tags=["search"], dependencies=[at_least(Role.search)])

Rate = Annotated[float | None, Query(gt=0, lt=1)]
Distance = Annotated[float | None, Query(ge=0, le=2, description="Instead of an error rate.")]
Prior = Annotated[float, Query(ge=0.000001, le=0.999999)]
Top = Annotated[int, Query(ge=1, le=100)]
QUALITY = 90  # of JPEG


@router.post("/identify", response_model=schemas.Identified)
async def identify(
    service: Shared,
    photo: Annotated[UploadFile, File()],
    fpir: Rate = None,
    threshold: Distance = None,
    top: Top = 5,
    prior: Prior = decision.EVEN,
) -> dict[str, Any]:
    """Name every face of a photo: match, unknown, ambiguous or unusable; the largest face first.

    A photo without a face gives one answer whose face and box are null.
    """
    sent = await photo_of(photo, service.settings.limits)
    return await service.work(lambda: _identified(service, sent, fpir, threshold, top, prior))


def _identified(
    service: Service,
    photo: Upload,
    fpir: float | None,
    threshold: float | None,
    top: int,
    prior: float,
) -> dict[str, Any]:
    limit = _search_threshold(service, fpir, threshold)
    (found,) = (
        answers
        for _, answers in service.gallery.identify(
            [photo],
            service.embedder,
            limit.distance,
            service.calibration,
            Silent(),
            top,
            prior,
        )
    )
    if isinstance(found, PhotoError):
        raise found
    width, height = photo.size or (None, None)
    return {
        "photo": photo.name,
        "width": width,
        "height": height,
        "warning": limit.warning,
        "faces": [serialization.identification(answer, name_of) for answer in found],
    }


def _search_threshold(
    service: Service, fpir: float | None, threshold: float | None
) -> thresholds.Threshold:
    if threshold is not None:
        if fpir is not None:
            raise Problem(422, "fpir and threshold exclude each other")
        return thresholds.Threshold(threshold)
    service.gallery.check_model(service.embedder)
    strangers = service.gallery.impostor_scores(service.model)
    return thresholds.threshold_to_search(service.calibration, strangers, fpir)


@router.post("/search", response_model=schemas.Searched)
async def search(service: Shared, asked: schemas.Search) -> dict[str, Any]:
    """The people nearest to an embedding of this model."""
    dimension = service.model.dimension
    length = math.hypot(*asked.embedding)
    if len(asked.embedding) != dimension or not abs(length - 1) <= 0.01:
        raise Problem(422, f"embedding: not a unit vector of {dimension} numbers")
    vector = np.asarray(np.array(asked.embedding) / length, np.float32)
    return await service.work(lambda: _searched(service, vector, asked))


def _searched(service: Service, vector: Embeddings, asked: schemas.Search) -> dict[str, Any]:
    limit = _search_threshold(service, asked.fpir, asked.threshold)
    decision, near = service.gallery.search(vector, service.model, limit.distance, asked.top)
    return {
        "answer": decision.answer,
        "name": decision.name,
        "distance": decision.distance,
        "threshold": limit.distance,
        "probability": decision.probability,
        "reason": decision.reason,
        "warning": limit.warning,
        "candidates": serialization.candidates(near, name_of),
    }


@router.post("/compare", response_model=schemas.Compared)
async def compare(
    service: Shared,
    a: Annotated[UploadFile, File()],
    b: Annotated[UploadFile, File()],
    fmr: Rate = None,
    threshold: Distance = None,
    prior: Prior = decision.EVEN,
) -> dict[str, Any]:
    """Whether two photos show one person: their largest usable faces are compared.

    `chips` are both faces, aligned, as `data:` addresses (null where there is none). `standing`
    says how the distance compares with pairs of the calibration: the share of pairs of one person
    that are farther apart, and of pairs of two people that are nearer.
    """
    limits = service.settings.limits
    first, second = await photo_of(a, limits), await photo_of(b, limits)
    return await service.work(lambda: _compared(service, first, second, fmr, threshold, prior))


def _compared(
    service: Service,
    a: Upload,
    b: Upload,
    fmr: float | None,
    threshold: float | None,
    prior: float,
) -> dict[str, Any]:
    if fmr is not None and threshold is not None:
        raise Problem(422, "fmr and threshold exclude each other")
    calibration = service.calibration
    limit = (
        thresholds.Threshold(threshold)
        if threshold is not None
        else thresholds.threshold_to_compare(calibration, fmr)
    )
    found = comparison.compare(
        service.embedder, calibration, a, b, limit.distance, prior, keep=True
    )
    chips = [*(_chip(face) for face in found.faces), None, None]
    return serialization.comparison(found, name_of) | {
        "warning": limit.warning,
        "chips": {"a": chips[0], "b": chips[1]},
        "standing": None if found.distance is None else standing(calibration, found.distance),
    }


def _chip(face: EmbeddedFace) -> str | None:
    if face.kept is None:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(read_kept(face.kept))).decode()}"


def jpeg(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def standing(calibration: Calibration, distance: float) -> dict[str, float]:
    """Where a distance lies among those of the calibration; each population counts the same.

    genuine: the share of pairs of one person that are farther apart. impostor: the share of pairs
    of two people that are nearer.
    """
    genuine, impostor = [], []
    for part in calibration.populations:
        if part.genuine_pairs and part.impostor_pairs:
            genuine.append(1 - _below(part.genuine_histogram, distance))
            impostor.append(_below(part.impostor_histogram, distance))
    return {"genuine": float(np.mean(genuine)), "impostor": float(np.mean(impostor))}


def _below(histogram: tuple[int, ...], distance: float) -> float:
    """The share of a histogram in BINS that lies below a distance, linear inside a bin."""
    return float(np.interp(distance, BINS, shares(histogram)))


def shares(histogram: tuple[int, ...]) -> NDArray[np.float64]:
    """Of all that lies below each edge of BINS, (len(BINS),)."""
    counts = np.concatenate([[0], np.cumsum(histogram)])
    return np.asarray(counts / max(1, counts[-1]))
