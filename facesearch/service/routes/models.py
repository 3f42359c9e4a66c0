"""What the service is made of: the gallery, its models, and what is known of their errors."""

import re
from dataclasses import asdict, replace

import numpy as np
from fastapi import APIRouter

from facesearch.gallery.info import GalleryInfo
from facesearch.gallery.recognizer import Recognizer
from facesearch.matching.calibration import BINS, Calibration, Population
from facesearch.matching.thresholds import DEFAULT_FMR, DEFAULT_FPIR
from facesearch.serialization.gallery import GalleryInfoJson
from facesearch.serialization.responses import (
    CalibrationCurves,
    CurrentModel,
    Models,
    ModelSummary,
    PopulationCurve,
    Realised,
)
from facesearch.service.auth import Role, at_least
from facesearch.service.routes.search import shares
from facesearch.service.state import Shared
from facesearch.vision.model import CARD, Model, known_models

router = APIRouter(prefix="/v1", tags=["models"], dependencies=[at_least(Role.search)])

REPORT = "report/report.md"


@router.get("/gallery")
async def gallery(service: Shared) -> GalleryInfoJson:
    """The sizes of the gallery, its model and its index."""

    def shown() -> GalleryInfo:
        return replace(service.gallery.info(), folder=service.gallery.folder.name)

    return await service.work(shown)


@router.get("/models")
async def models(service: Shared) -> Models:
    """The models that are known by name; the service uses the current one."""

    def listed() -> Models:
        mine = service.settings.model
        found = [
            ModelSummary(name=each.name, calibrated=each.calibrated, current=each.folder == mine)
            for each in known_models()
        ]
        if not any(each.current for each in found):
            calibrated = service.gallery.recognizer.calibrated is not None
            found.append(ModelSummary(name=mine.name, calibrated=calibrated, current=True))
        return Models(models=found)

    return await service.work(listed)


@router.get("/models/current")
async def current(service: Shared) -> CurrentModel:
    """The model's card, and what its calibration says about its errors.

    Curves are points [distance, FMR, FNMR], one a bin: the errors of a threshold there, for pairs
    of that population. `realised` is what was measured on people whom neither training nor
    calibration saw, where the model's report has it.
    """
    return await service.work(lambda: _current(service.gallery.recognizer))


def _current(recognizer: Recognizer) -> CurrentModel:
    model, calibration = recognizer.model, recognizer.calibrated
    return CurrentModel(
        name=model.name,
        fingerprint=model.fingerprint,
        dimension=model.dimension,
        detector=model.preprocessing.detector,
        card=_text(model, CARD),
        calibration=None if calibration is None else _calibration(recognizer, calibration),
        realised=realised(_text(model, REPORT)),
    )


def _text(model: Model, name: str) -> str:
    path = model.folder / name
    return path.read_text("utf-8") if path.is_file() else ""


def _calibration(recognizer: Recognizer, calibration: Calibration) -> CalibrationCurves:
    limit = recognizer.compare_threshold()
    return CalibrationCurves(
        bins=list(BINS),
        people=calibration.people,
        fmr=DEFAULT_FMR,
        fpir=DEFAULT_FPIR,
        threshold=limit.distance,
        warning=limit.warning,
        smallest_fmr=calibration.smallest_fmr if calibration.smallest_fmr < 1 else None,
        f1=calibration.f1,
        f1_threshold=calibration.f1_threshold,
        populations=[_population(part) for part in calibration.populations],
    )


def _population(part: Population) -> PopulationCurve:
    impostor, genuine = shares(part.impostor_histogram), 1 - shares(part.genuine_histogram)
    points = np.column_stack([BINS, impostor, genuine])
    return PopulationCurve(**asdict(part), curve=points.round(9).tolist())


_RATES = re.compile(r"(FMR|FPIR) ([\d.]+): \1, \w+")
_PAIR = re.compile(r"([\d.e-]+), ([\d.e-]+)")


def realised(report: str) -> list[Realised]:
    """Read the tables of a report with requested and realised error rates."""
    found = []
    header: list[str] = []
    for line in report.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(cells) < 2:
            header = []
        elif not header:
            header = cells
        else:
            row = dict(zip(header, cells, strict=False))
            found += [each for title, cell in row.items() if (each := _realised(row, title, cell))]
    return found


def _realised(row: dict[str, str], title: str, cell: str) -> Realised | None:
    """The rate in a cell of a report; None for any other cell."""
    rate, numbers = _RATES.fullmatch(title), _PAIR.fullmatch(cell)
    if not rate or not numbers:
        return None
    return Realised(
        people=next(iter(row.values())),
        gallery=row.get("gallery"),
        rate="FMR" if rate[1] == "FMR" else "FPIR",
        requested=float(rate[2]),
        realised=float(numbers[1]),
        missed=float(numbers[2]),
    )
