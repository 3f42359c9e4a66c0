"""What the service is made of: the gallery, the models, and what is known of their errors."""

import re
from dataclasses import asdict
from typing import Any

import numpy as np
from fastapi import APIRouter

from facesearch.matching.calibration import BINS, Calibration, Population
from facesearch.matching.thresholds import DEFAULT_FMR, DEFAULT_FPIR, threshold_to_compare
from facesearch.service import schemas
from facesearch.service.auth import Role, at_least
from facesearch.service.routes.search import shares
from facesearch.service.state import Service, Shared
from facesearch.vision.model import CARD, Model, known_models

router = APIRouter(prefix="/v1", tags=["models"], dependencies=[at_least(Role.search)])

REPORT = "report/report.md"


@router.get("/gallery", response_model=schemas.GalleryInfo)
async def gallery(service: Shared) -> dict[str, Any]:
    """Its sizes, its model, its index."""

    def told() -> dict[str, Any]:
        info = asdict(service.gallery.info())
        return info | {"folder": service.gallery.folder.name}

    return await service.work(told)


@router.get("/models", response_model=schemas.Models)
async def models(service: Shared) -> dict[str, Any]:
    """Those that are known by name; the service uses the current one."""

    def listed() -> dict[str, Any]:
        mine = service.settings.model
        found = [
            {"name": each.name, "calibrated": each.calibrated, "current": each.folder == mine}
            for each in known_models()
        ]
        if not any(each["current"] for each in found):
            calibrated = service.calibrated is not None
            found.append({"name": mine.name, "calibrated": calibrated, "current": True})
        return {"models": found}

    return await service.work(listed)


@router.get("/models/current", response_model=schemas.CurrentModel)
async def current(service: Shared) -> dict[str, Any]:
    """The model's card, and what its calibration says of its errors.

    Curves are points [distance, FMR, FNMR], one a bin: what a threshold there would give for pairs
    of that population. `realised` is what was measured on people whom neither training nor
    calibration saw, where the model's report has it.
    """
    return await service.work(lambda: _current(service))


def _current(service: Service) -> dict[str, Any]:
    model = service.model
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "dimension": model.dimension,
        "detector": model.preprocessing.detector,
        "card": _text(model, CARD),
        "calibration": None if service.calibrated is None else _calibration(service.calibrated),
        "realised": realised(_text(model, REPORT)),
    }


def _text(model: Model, name: str) -> str:
    path = model.folder / name
    return path.read_text("utf-8") if path.is_file() else ""


def _calibration(calibration: Calibration) -> dict[str, Any]:
    limit = threshold_to_compare(calibration, None)
    return {
        "bins": list(BINS),
        "people": calibration.people,
        "fmr": DEFAULT_FMR,
        "fpir": DEFAULT_FPIR,
        "threshold": limit.distance,
        "warning": limit.warning,
        "smallest_fmr": calibration.smallest_fmr if calibration.smallest_fmr < 1 else None,
        "f1": calibration.f1,
        "f1_threshold": calibration.f1_threshold,
        "populations": [_population(part) for part in calibration.populations],
    }


def _population(part: Population) -> dict[str, Any]:
    impostor, genuine = shares(part.impostor_histogram), 1 - shares(part.genuine_histogram)
    points = np.column_stack([BINS, impostor, genuine])
    return asdict(part) | {"curve": points.round(9).tolist()}


_RATES = re.compile(r"(FMR|FPIR) ([\d.]+): \1, \w+")

_PAIR = re.compile(r"([\d.e-]+), ([\d.e-]+)")


def realised(report: str) -> list[dict[str, Any]]:
    """The tables of a report with requested and realised error rates, a row for each pair."""
    found = []
    header: list[str] = []
    for line in report.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(cells) < 2:
            header = []
        elif not header:
            header = cells
        else:
            for title, cell in zip(header, cells, strict=False):
                rate, numbers = (
                    _RATES.fullmatch(title),
                    re.fullmatch(r"([\d.e-]+), ([\d.e-]+)", cell),
                )
                if rate and numbers:
                    row = dict(zip(header, cells, strict=False))
                    found.append(
                        {
                            "people": cells[0],
                            "gallery": row.get("gallery"),
                            "rate": rate[1],
                            "requested": float(rate[2]),
                            "realised": float(numbers[1]),
                            "missed": float(numbers[2]),
                        }
                    )
    return found
