"""From a finished run to a model folder: weights, graph, calibration, report and card."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings, FlipConsistencies, content_key
from facesearch.core.paths import CALIBRATION, COHORT
from facesearch.core.progress import Progress
from facesearch.core.version import __version__
from facesearch.evaluation.model_card import SplitResult, write_report
from facesearch.evaluation.plots import SamplePairs
from facesearch.matching.calibration import calibrate
from facesearch.matching.cohort import Cohort
from facesearch.metrics.pairs import all_pairs, balanced, evaluate_pairs, sample
from facesearch.training.checkpoint import Run
from facesearch.training.dataset import Faces
from facesearch.training.network import export_onnx, save_weights
from facesearch.training.preparation import Prepared
from facesearch.vision import images, model
from facesearch.vision.model import Model
from facesearch.vision.photo_files import all_photos


def make_model(
    ready: Prepared,
    run: Run,
    staging: Path,
    progress: Progress,
    *,
    pictures: bool = True,
    command: str = "",
) -> None:
    """Write the whole model into the folder `staging`, in place of what is there.

    pictures: whether the report may show photos of the data. command: for the card.
    """
    config, parts, cache = run.config, ready.parts, ready.cache
    detector_files = ready.reader.detector_files
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    save_weights(run.embedder, staging / model.WEIGHTS)
    export_onnx(run.embedder, config.size, staging / model.GRAPH)
    for file in detector_files:
        shutil.copyfile(file, staging / file.name)
    landmarks_error = detector_files[-1].with_name(model.LANDMARKS_ERROR)
    if landmarks_error.is_file():
        shutil.copyfile(landmarks_error, staging / model.LANDMARKS_ERROR)
    record = {
        "format": 1,
        "architecture": asdict(config.network),
        "preprocessing": asdict(ready.reader.preprocessing),
        "training": asdict(config),
        "data": {
            "folder": ready.data.name,
            "fingerprint": ready.identity,
            "split": ready.split.source,
            "people": {name: len(np.unique(faces.people)) for name, faces in parts.items()},
            "photos": {name: len(faces) for name, faces in parts.items()},
            "left_out": len(cache.left_out),
        },
        "code_version": __version__,
        "command": command,
    }
    (staging / model.CONFIG).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    kept = [photo for photo in all_photos(ready.split.validation) if cache.row(photo) is not None]
    keys = np.array([content_key(images.sha256(photo)) for photo in kept], np.uint64)
    _measure(staging, record, parts, keys, run, progress, pictures)
    (staging / "left_out.txt").write_bytes(os.fsencode("\n".join([*cache.left_out.values(), ""])))


def _measure(
    folder: Path,
    record: dict[str, Any],
    parts: Mapping[str, Faces],
    keys: NDArray[np.uint64],
    run: Run,
    progress: Progress,
    pictures: bool,
) -> None:
    """Calibrate on the validation people, then measure every part, the test people once.

    keys: `content_key` of each of the validation people's photos.
    """
    config, serving = run.config, Model(folder)
    progress.start("measuring", len(parts))
    embeddings: dict[str, Embeddings] = {}
    flip_consistencies: dict[str, FlipConsistencies] = {}
    for name, faces in parts.items():
        embeddings[name], flip_consistencies[name] = serving.embed_with_consistency(
            faces.inner(config.size)
        )
        progress.advance(name)
    cohort = Cohort.drawn(
        embeddings["validation"],
        flip_consistencies["validation"],
        parts["validation"].people,
        keys,
        record["data"]["folder"],
        config.seed,
    )
    calibration = calibrate(cohort, config.seed)
    cohort.save(folder / COHORT)
    calibration.save(folder / CALIBRATION)
    splits, samples = [], []
    for name, faces in parts.items():
        rows = sample(faces.people, config.seed)
        genuine, impostor = all_pairs(embeddings[name][rows], faces.people[rows])
        distance, same = balanced(genuine, impostor, config.seed)
        one_fold = np.zeros(len(same), np.int64)
        result = evaluate_pairs(distance, same, one_fold, calibration.f1_threshold)
        splits.append(SplitResult(name, result, genuine, impostor))
        if pictures:
            samples.append(sample_pairs(name, faces, embeddings[name], config.size, config.seed))
    write_report(folder, record, run.history, calibration, splits, samples)


def sample_pairs(
    name: str, faces: Faces, embeddings: Embeddings, size: int, seed: int, count: int = 12
) -> SamplePairs:
    """`count` genuine pairs and as many impostor pairs of the faces, drawn with `seed`."""
    rng = np.random.default_rng(seed)
    several = np.flatnonzero(np.bincount(faces.people)[faces.people] > 1)
    first, second = [], []
    for same, drawn in ((True, rng.choice(several, count)), (False, rng.choice(len(faces), count))):
        for face in drawn:
            others = np.flatnonzero((faces.people == faces.people[face]) == same)
            first.append(face)
            second.append(rng.choice(others[others != face]))
    distance = np.linalg.norm(embeddings[first] - embeddings[second], axis=1).astype(np.float64)
    a, b = (faces.inner(size, np.array(side)) for side in (first, second))
    return SamplePairs(name, a, b, np.arange(2 * count) < count, distance)
