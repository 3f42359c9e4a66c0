"""A model folder: the network, run by ONNX Runtime, and how chips are made for it."""

import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from facesearch.core.arrays import Chips, Embeddings, FlipConsistencies
from facesearch.core.errors import ModelError
from facesearch.core.face import Point
from facesearch.core.parallel import in_order
from facesearch.core.paths import CALIBRATION, model_home, shipped_models
from facesearch.vision.alignment import TEMPLATE
from facesearch.vision.onnx import Session, session

CONFIG, GRAPH, WEIGHTS = "config.json", "network.onnx", "network.safetensors"
GRAPH_INT8 = "network-int8.onnx"
GRAPHS = {"fp32": GRAPH, "int8": GRAPH_INT8}
LANDMARKS, LANDMARKS_ERROR = "landmarks.dat", "landmarks.json"
DETECTOR, DETECTOR_INT8 = "detector.onnx", "detector-int8.onnx"
# the files that each detector needs
DETECTOR_FILES = {"dlib": (LANDMARKS,), "network": (DETECTOR_INT8, LANDMARKS)}
CARD = "card.md"
CHIPS_PER_RUN = 32
# where a model's configuration does not say its own; meant for genuine pairs at distances below 1
LEAST_FLIP_CONSISTENCY = 0.95


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a face becomes the network's input; part of the fingerprint."""

    size: int = 112  # pixels of a chip's side
    template: tuple[Point, ...] = TEMPLATE
    mean: float = 127.5
    scale: float = 127.5  # the network sees (value - mean) / scale, RGB
    flip_average: bool = True  # the embedding is the mean of the chip's and its mirror image's
    detector: str = "dlib"
    channels: str = "rgb"  # or "bgr", the order in which the network sees them

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Preprocessing":
        template = tuple((float(x), float(y)) for x, y in fields["template"])
        return cls(**{**fields, "template": template})


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that can be named with --model."""

    name: str
    folder: Path
    calibrated: bool


def known_models() -> list[KnownModel]:
    """The shipped models and the user's own; of two with one name the user's own."""
    folders = {
        path.name: path
        for home in (shipped_models(), model_home())
        if home.is_dir()
        for path in sorted(home.iterdir())
        if (path / CONFIG).is_file()
    }
    return [
        KnownModel(name, path, (path / CALIBRATION).is_file()) for name, path in folders.items()
    ]


class Model:
    """A network that makes unit vectors of chips, and what it needs to get the chips."""

    def __init__(
        self, folder: Path, detector: str | None = None, precision: str | None = None
    ) -> None:
        """detector: a key of DETECTOR_FILES, to find faces with another than the model's own.

        precision: a key of GRAPHS, to compute in another than the model's own. Raises ModelError
        for another detector or precision, or if the folder is not a whole model.
        """
        self.folder = folder
        self._loading = threading.Lock()
        for option, given, known in (
            ("detector", detector, DETECTOR_FILES),
            ("precision", precision, GRAPHS),
        ):
            if given is not None and given not in known:
                raise ModelError(f"{option} {given!r}: not known; choose {' or '.join(known)}")
        if not folder.is_dir():
            raise ModelError(f"{folder}: no such model")
        try:
            self.config: dict[str, Any] = json.loads((folder / CONFIG).read_text("utf-8"))
            self.preprocessing = Preprocessing.from_dict(self.config["preprocessing"])
            own = self.preprocessing.detector
            if own not in DETECTOR_FILES:
                raise ValueError(f"its detector {own!r} is not known here")
            self.preprocessing = replace(self.preprocessing, detector=detector or own)
            self.name = folder.name
            if detector not in (None, own):
                self.name += f" --detector {detector}"
            own_precision = self.config.get("precision", "fp32")
            if precision not in (None, own_precision):
                self.name += f" --precision {precision}"
            self.precision = precision or own_precision
            self.graph = GRAPHS[self.precision]
        except FileNotFoundError as error:
            raise ModelError(f"{folder}: no model ({CONFIG} is missing)") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder / CONFIG}: damaged, or of another facesearch ({error})"
            ) from error
        if self.precision != own_precision == "int8" and not (folder / self.graph).is_file():
            raise ModelError(
                f"{folder}: holds no {self.precision} copy ({self.graph} is missing), which an "
                "installed package leaves out; give --model the folder models/default of a "
                "checkout, or leave out --precision"
            )
        for needed in (folder / self.graph, *self.detector_files):
            if not needed.is_file():
                raise ModelError(f"{folder}: incomplete model ({needed.name} is missing)")

    @property
    def detector_files(self) -> list[Path]:
        """The files of its detector and of the predictor of the five points.

        They are its own, or those of the shipped model that `detector_of` in its config names.
        """
        places = [self.folder]
        if other := self.config.get("detector_of"):
            places.append(shipped_models() / str(other))
        names = DETECTOR_FILES[self.preprocessing.detector]
        return [
            next((place / name for place in places if (place / name).is_file()), places[0] / name)
            for name in names
        ]

    @property
    def least_flip_consistency(self) -> float:
        """A face below it cannot be recognised; see `embed_with_consistency`."""
        return float(self.config.get("least_agreement", LEAST_FLIP_CONSISTENCY))

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256, in hexadecimal, of everything that an embedding depends on."""
        digest = hashlib.sha256()
        for part in (self.folder / self.graph, *self.detector_files):
            digest.update(hashlib.sha256(part.read_bytes()).digest())
        fields = asdict(self.preprocessing)
        if fields["channels"] == "rgb":  # older models do not say it
            del fields["channels"]
        digest.update(json.dumps(fields, sort_keys=True).encode())
        return digest.hexdigest()

    def load_in_background(self) -> None:
        """Start to load the network in a thread, so that it is there when it is needed."""

        def load() -> None:
            with suppress(ModelError):  # the first use raises it again
                _ = self._session

        threading.Thread(target=load).start()

    @property
    def _session(self) -> Session:
        with self._loading:
            return self._loaded

    @cached_property
    def _loaded(self) -> Session:
        try:
            return session(self.folder / self.graph)
        # ONNX Runtime's own errors share no base but Exception
        except Exception as error:
            raise ModelError(
                f"{self.folder / self.graph}: no graph that ONNX Runtime can run"
            ) from error

    def embed(self, chips: Chips) -> Embeddings:
        """Unit vectors, (N, D), of chips, (N, size, size, 3) RGB."""
        return self.embed_with_consistency(chips)[0]

    def embed_with_consistency(self, chips: Chips) -> tuple[Embeddings, FlipConsistencies]:
        """Unit vectors, (N, D), and how well each chip agrees with its mirror image, (N,).

        The flip consistency is the length of the mean of both unit vectors: 1 where the network
        sees the same face in both, less where it is unsure of what it sees. It is 1 for a model
        that looks at no mirror image.
        """
        parts = [chips[at : at + CHIPS_PER_RUN] for at in range(0, len(chips), CHIPS_PER_RUN)]
        if not parts:
            return np.empty((0, self.dimension), np.float32), np.empty(0, np.float32)
        if len(parts) == 1:
            return self._run(chips)
        runs = [future.result() for _, future in in_order(self._run, parts, "network")]
        vectors, flip_consistencies = zip(*runs, strict=True)
        return np.concatenate(vectors), np.concatenate(flip_consistencies)

    @property
    def dimension(self) -> int:
        """D, the length of an embedding."""
        return int(self._session.get_outputs()[0].shape[1])

    def _run(self, chips: Chips) -> tuple[Embeddings, FlipConsistencies]:
        how = self.preprocessing
        if how.channels == "bgr":
            chips = chips[..., ::-1]
        count, side = chips.shape[:2]
        pixels = np.empty((count * (1 + how.flip_average), 3, side, side), np.float32)
        np.subtract(chips.transpose(0, 3, 1, 2), how.mean, out=pixels[:count])
        pixels[:count] *= 1 / how.scale
        if how.flip_average:
            pixels[count:] = pixels[:count, :, :, ::-1]
        feeds = {self._session.get_inputs()[0].name: pixels}
        vectors = _unit(np.asarray(self._session.run(None, feeds)[0], np.float32))
        if not how.flip_average:
            return vectors, np.ones(len(chips), np.float32)
        mean = np.asarray((vectors[: len(chips)] + vectors[len(chips) :]) / 2, np.float32)
        return _unit(mean), np.linalg.norm(mean, axis=1)


def _unit(vectors: Embeddings) -> Embeddings:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), np.float32)
