"""Searches and comparisons: identify, search, compare."""

import base64
import io
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, File, Query, UploadFile
from numpy.typing import NDArray
from PIL import Image

from facesearch.core.arrays import Pixels
from facesearch.core.embedded import EmbeddedFace
from facesearch.core.uploads import Upload
from facesearch.gallery.search_results import IdentifyResult, SearchResult
from facesearch.matching.calibration import BINS, Calibration
from facesearch.serialization.answers import IDENTIFIED, SEARCHED
from facesearch.serialization.responses import COMPARED, Chips, SearchThreshold, Standing
from facesearch.service import schemas
from facesearch.service.auth import Role, at_least
from facesearch.service.problems import Problem
from facesearch.service.state import Service, Shared
from facesearch.service.uploads import photo_of
from facesearch.vision.stored_chips import read_kept

router = APIRouter(prefix="/v1", tags=["search"], dependencies=[at_least(Role.search)])

Rate = Annotated[float | None, Query(gt=0, lt=1)]
Distance = Annotated[float | None, Query(ge=0, le=2, description="Instead of an error rate.")]
Prior = Annotated[float, Query(ge=0.000001, le=0.999999)]
Top = Annotated[int, Query(ge=1, le=100)]
QUALITY = 90  # of JPEG


@router.post("/identify")
async def identify(
    service: Shared,
    photo: Annotated[UploadFile, File()],
    fpir: Rate = None,
    threshold: Distance = None,
    top: Top = 5,
    prior: Prior = 0.5,
    exact: bool = False,
) -> Annotated[IdentifyResult, IDENTIFIED]:
    """Name every face of a photo: match, unknown, ambiguous or unusable; the largest face first.

    A photo without a face gives one answer whose face and box are null. exact: miss nobody, in a
    gallery of millions too.
    """
    _check_one(fpir=fpir, threshold=threshold)
    sent = await photo_of(photo, service.settings.limits)

    def identified() -> IdentifyResult:
        ((_, result),) = service.gallery.identify_each(
            sent, fpir=fpir, threshold=threshold, top=top, prior=prior, exact=exact
        )
        if result.error is not None:
            raise result.error
        return result

    return await service.work(identified)


@router.post("/search")
async def search(service: Shared, asked: schemas.Search) -> Annotated[SearchResult, SEARCHED]:
    """Whose an embedding of this service's model is."""
    _check_one(fpir=asked.fpir, threshold=asked.threshold)

    def searched() -> SearchResult:
        try:
            return service.gallery.search(
                asked.embedding, fpir=asked.fpir, threshold=asked.threshold, top=asked.top
            )
        except ValueError as error:  # no unit vector
            raise Problem(422, str(error)) from error

    return await service.work(searched)


@router.get("/threshold")
async def threshold(service: Shared, fpir: Rate = None) -> SearchThreshold:
    """The largest distance that a search accepts at an error rate."""

    def found() -> SearchThreshold:
        limit = service.gallery.search_threshold(fpir)
        return SearchThreshold(distance=limit.distance, warning=limit.warning)

    return await service.work(found)


@router.post("/compare", response_model=COMPARED.model)
async def compare(
    service: Shared,
    a: Annotated[UploadFile, File()],
    b: Annotated[UploadFile, File()],
    fmr: Rate = None,
    threshold: Distance = None,
    prior: Prior = 0.5,
) -> Any:
    """Tell whether two photos show one person: their largest usable faces are compared.

    `chips` are both faces, aligned (null where there is none). `standing` says how the distance
    compares with pairs of the calibration.
    """
    _check_one(fmr=fmr, threshold=threshold)
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
) -> Any:
    recognizer = service.gallery.recognizer
    found = recognizer.compare(a, b, fmr=fmr, threshold=threshold, prior=prior, keep_chips=True)
    chips = [*(_chip(face) for face in found.faces), None, None]
    near = None if found.distance is None else standing(recognizer.calibration, found.distance)
    return COMPARED.written(found, chips=Chips(a=chips[0], b=chips[1]), standing=near)


def _check_one(**given: float | None) -> None:
    """Raise Problem if both an error rate and a threshold were given."""
    if all(value is not None for value in given.values()):
        raise Problem(422, f"{' and '.join(given)} exclude each other")


def _chip(face: EmbeddedFace) -> str | None:
    if face.kept is None:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(read_kept(face.kept))).decode()}"


def jpeg(pixels: Pixels) -> bytes:
    """Return a picture as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def standing(calibration: Calibration, distance: float) -> Standing:
    """Return where a distance lies among those of the calibration.

    Each population counts the same.
    """
    genuine, impostor = [], []
    for part in calibration.populations:
        if part.genuine_pairs and part.impostor_pairs:
            genuine.append(1 - _below(part.genuine_histogram, distance))
            impostor.append(_below(part.impostor_histogram, distance))
    return Standing(genuine=float(np.mean(genuine)), impostor=float(np.mean(impostor)))


def _below(histogram: tuple[int, ...], distance: float) -> float:
    """Return the share of a histogram in BINS that lies below a distance, linear inside a bin."""
    return float(np.interp(distance, BINS, shares(histogram)))


def shares(histogram: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the share of a histogram that lies below each edge of BINS, (len(BINS),)."""
    counts = np.concatenate([[0], np.cumsum(histogram)])
    return np.asarray(counts / max(1, counts[-1]))
