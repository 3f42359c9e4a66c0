"""Calibrates a model anew, on a folder with a folder of photos per person."""

import shutil
from pathlib import Path

import numpy as np

from facesearch.core.arrays import content_key
from facesearch.core.errors import DataError, ModelError
from facesearch.core.paths import CALIBRATION, COHORT
from facesearch.core.progress import Progress
from facesearch.evaluation.evaluate import gather
from facesearch.evaluation.model_card import CALIBRATED, thresholds_table, write_section
from facesearch.matching.calibration import Calibration, calibrate, cohort_of
from facesearch.matching.cohort import Cohort
from facesearch.vision import images, model
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model
from facesearch.vision.photo_files import people_in


def population(
    embedder: Embedder, folder: Path, progress: Progress, *, aligned: bool = False
) -> tuple[Cohort, int]:
    """The people of a folder with a folder per person, and how many photos could not be used.

    aligned: whether the pictures are chips already. Raises DataError if no photo can be used.
    """
    people = people_in(folder)
    photos = [path for paths in people.values() for path in paths]
    owners = np.repeat(np.arange(len(people)), [len(paths) for paths in people.values()])
    faces = gather(embedder, photos, progress, aligned=aligned)
    rows = np.flatnonzero(faces.found)
    if not len(rows):
        raise DataError(f"{folder}: no photo in which a face can be used")
    cohort = Cohort.drawn(
        faces.embeddings[rows],
        faces.flip_consistencies[rows],
        owners[rows],
        np.array([content_key(images.sha256(photos[row])) for row in rows], np.uint64),
        folder.resolve().name,
    )
    return cohort, len(photos) - len(rows)


def recalibrate(served: Model, cohort: Cohort, out: Path, *, add: bool = False) -> Calibration:
    """Calibrate a model with `cohort`, and with `add` also with the people it has already.

    out: the folder for the model with its new calibration, which may be its own folder. The rest of
    the model stays as it is, and so does its fingerprint, so that galleries made with it still
    work. Raises ModelError if `out` holds another model, and CalibrationError if the cohort has no
    genuine or no impostor pair.
    """
    if add:
        cohort = cohort_of(served).joined(cohort)
    calibration = calibrate(cohort)
    if not (out.exists() and out.samefile(served.folder)):
        if (out / model.CONFIG).exists() and Model(out).fingerprint != served.fingerprint:
            raise ModelError(f"{out}: another model is here; choose another --out")
        if not (out / model.CONFIG).exists():
            shutil.copytree(served.folder, out, dirs_exist_ok=True)
            for file in served.detector_files:  # may be those of another shipped model
                shutil.copyfile(file, out / file.name)
    for name, save in ((COHORT, cohort.save), (CALIBRATION, calibration.save)):
        partial = out / f"{name}.new"
        save(partial)
        partial.replace(out / name)
    write_section(out / model.CARD, CALIBRATED, thresholds_table(calibration))
    return calibration
