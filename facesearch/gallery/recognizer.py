"""A model with its detector and calibration, loaded once and shared by threads."""

import threading
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from facesearch.core.arrays import Embeddings, Pixels
from facesearch.core.errors import ModelError
from facesearch.core.face import Box, Point
from facesearch.core.lazy import LazyModule
from facesearch.core.paths import CALIBRATION, DETAIL, MIN_FACE, find_model
from facesearch.core.photos import Photo

if TYPE_CHECKING:
    from facesearch.matching import calibration as calibrations
    from facesearch.matching import comparison, thresholds
    from facesearch.matching.calibration import Calibration
    from facesearch.matching.comparison import Comparison
    from facesearch.matching.thresholds import Threshold
    from facesearch.vision import embedder as embedders
    from facesearch.vision import model as models
    from facesearch.vision import photo_input
    from facesearch.vision import quality as qualities
    from facesearch.vision.embedder import Embedder
    from facesearch.vision.model import Model
else:
    calibrations = LazyModule("facesearch.matching.calibration")
    comparison = LazyModule("facesearch.matching.comparison")
    thresholds = LazyModule("facesearch.matching.thresholds")
    embedders = LazyModule("facesearch.vision.embedder")
    models = LazyModule("facesearch.vision.model")
    photo_input = LazyModule("facesearch.vision.photo_input")
    qualities = LazyModule("facesearch.vision.quality")

MODELS_KEPT = 4  # models of a process that stay loaded
EVEN = 0.5  # how likely two photos show one person where nothing is known beforehand


@dataclass(frozen=True, slots=True)
class FaceQuality:
    """What was measured to judge whether a face can be recognised."""

    eye_distance: float  # pixels of the photo between the eyes
    sharpness: float  # the sharpest photos lie at 0.5; below 0.05 a face is blurred
    contrast: float  # grey levels of 255
    skew: float  # how far the five points are from a frontal face's; 0.08 for the most frontal
    flip_consistency: float  # of the embedding with that of the mirror image, 0 to 1


@dataclass(frozen=True, slots=True, eq=False)
class DetectedFace:
    """A face of a photo, with what the model makes of it."""

    box: Box  # in pixels of the upright photo
    points: tuple[Point, ...]  # eye centres, nose tip, mouth corners; image-left before right
    score: float  # the detector's own; higher is surer
    embedding: Embeddings = field(repr=False)  # (D,), a unit vector
    reason: str  # why the face cannot be recognised; empty if it can
    quality: FaceQuality
    chip: Pixels = field(repr=False)  # (S, S, 3), RGB: the face aligned, as the network sees it


class Recognizer:
    """A model with its detector, and its calibration. Everything is loaded when it is needed first.

    Several threads may use it at once.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        detector: str | None = None,
        precision: str | None = None,
        detail: int = DETAIL,
        min_face: float = MIN_FACE,
    ) -> None:
        """model: a name or a folder, see `find_model`. Raises ModelError if there is none.

        detector, precision: instead of the model's own. detail: the longest side, in pixels, of
        what the detector looks at. min_face: pixels; narrower faces are left out.
        """
        self.folder = find_model(None if model is None else str(model))
        self._detector, self._precision = detector, precision
        self._detail, self._min_face = detail, min_face
        self._lock = threading.RLock()
        self._model: Model | None = None
        self._embedder: Embedder | None = None
        self._calibration: tuple[tuple[int, int], Calibration] | None = None  # of which file

    @classmethod
    def of(cls, embedder: "Embedder") -> "Recognizer":
        """One that uses an embedder that exists already."""
        made = cls(embedder.model.folder, detail=embedder.detail, min_face=embedder.min_face)
        made._model, made._embedder = embedder.model, embedder
        return made

    @property
    def model(self) -> "Model":
        """Raises ModelError if the folder is not a whole model."""
        with self._lock:
            if self._model is None:
                self._model = models.Model(self.folder, self._detector, self._precision)
            return self._model

    @property
    def embedder(self) -> "Embedder":
        """The model with its detector; the network itself loads in a thread. Raises ModelError."""
        with self._lock:
            if self._embedder is None:
                self._embedder = embedders.Embedder(self.model, self._detail, self._min_face)
            return self._embedder

    @property
    def calibration(self) -> "Calibration":
        """What distances mean, read again if its file has changed. Raises ModelError if none."""
        file = self.folder / CALIBRATION
        with self._lock:
            try:
                status = file.stat()
            except OSError:
                return calibrations.calibration_of(self.model)  # which says what is wrong
            stamp = status.st_mtime_ns, status.st_size
            if self._calibration is None or self._calibration[0] != stamp:
                self._calibration = stamp, calibrations.calibration_of(self.model)
            return self._calibration[1]

    @property
    def calibrated(self) -> "Calibration | None":
        """The calibration, or None for a model without one."""
        try:
            return self.calibration
        except ModelError:
            return None

    def load_in_background(self) -> None:
        """Begin to load the network, beside whatever else is done until it is needed."""
        self.model.load_in_background()

    def detect(self, photo: Photo) -> list[DetectedFace]:
        """Every face of a photo, the largest first. Raises PhotoError."""
        embedder = self.embedder
        aligned = embedder.read(photo_input.as_path(photo))
        found = []
        for seen, chip in zip(embedder.faces(aligned), aligned.chips, strict=True):
            sharpness, contrast = qualities.sharpness(chip)
            quality = FaceQuality(
                seen.face.eye_distance,
                sharpness,
                contrast,
                qualities.skew(seen.face),
                seen.flip_consistency,
            )
            found.append(
                DetectedFace(
                    seen.face.box,
                    seen.face.points,
                    seen.face.score,
                    seen.embedding,
                    seen.reason,
                    quality,
                    chip,
                )
            )
        return found

    def compare(
        self,
        a: Photo,
        b: Photo,
        *,
        fmr: float | None = None,
        threshold: float | None = None,
        prior: float = EVEN,
        keep_chips: bool = False,
    ) -> "Comparison":
        """Compare the largest usable faces of two photos.

        fmr: the accepted share of pairs of different people that are called the same, by default
        0.001; threshold: the largest distance to accept, instead. prior: the probability, before
        the photos were looked at, that they show one person. keep_chips: give the faces that were
        compared chips to keep. Raises PhotoError, CalibrationError for a rate that the model cannot
        promise, ModelError without a calibration, and ValueError for fmr with threshold.
        """
        embedder, calibration = self.embedder, self.calibration
        limit = self.compare_threshold(fmr, threshold)
        first, second = photo_input.as_path(a), photo_input.as_path(b)
        found = comparison.compare(
            embedder, calibration, first, second, limit.distance, prior, keep=keep_chips
        )
        return replace(found, a=a, b=b, warning=limit.warning)

    def compare_threshold(
        self, fmr: float | None = None, threshold: float | None = None
    ) -> "Threshold":
        """The largest distance that `compare` accepts. Raises as `compare` does."""
        if threshold is None:
            return thresholds.threshold_to_compare(self.calibration, fmr)
        if fmr is not None:
            raise ValueError("fmr and threshold exclude each other")
        return thresholds.Threshold(threshold)


_making = threading.Lock()


def recognizer(
    model: str | Path | None = None,
    detector: str | None = None,
    precision: str | None = None,
    detail: int = DETAIL,
    min_face: float = MIN_FACE,
) -> Recognizer:
    """The recogniser of this process for these choices: the same one whenever it is asked for.

    A model whose files have changed since is another one. Raises ModelError if there is no such
    model.
    """
    folder = find_model(None if model is None else str(model)).absolute()
    with _making:
        return _made(folder, _stamp(folder), detector, precision, detail, min_face)


def _stamp(folder: Path) -> tuple[int, ...]:
    """When the files that make a model were written."""
    return tuple(file.stat().st_mtime_ns for file in sorted(folder.glob("*.onnx")))


@lru_cache(maxsize=MODELS_KEPT)
def _made(
    folder: Path,
    stamp: tuple[int, ...],
    detector: str | None,
    precision: str | None,
    detail: int,
    min_face: float,
) -> Recognizer:
    return Recognizer(folder, detector, precision, detail, min_face)
