"""What the two networks of `accurate` say of every chip, one look at a time.

    python -m models.recipes.student.teacher WORK labelled 0 1 [--train ../shared/data/train]
    python -m models.recipes.student.teacher WORK photos 0 [--share 0/2]

For each set of chips WORK/<set>-looks.npy: (N, 2, 256) float16, the raw outputs of SFace and of
dlib's network for the chip (look 0) and for its mirror image (look 1); NaN where nobody has looked
yet, so that a run goes on where one stopped, several may share the work, and whoever learns takes
what is there. `targets` makes of them what `accurate` gives. OpenVINO where it is installed, else
ONNX Runtime; a look takes 25 ms on one core.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from models.recipes.make_accurate import DLIB_WEIGHT
from models.recipes.sface_embeddings import sface
from models.recipes.student.chips import SETS, Faces, faces_of
from models.recipes.train_chips import View, sampled
from models.recipes.train_default import VIEW as DLIB_VIEW
from models.recipes.train_default import unit

ROOT = Path(__file__).parents[3]
BATCH = 16
TEMPLATE_VIEW = View(112, 1.0, (55.5, 55.5))

Array = NDArray[np.float32]


def runner(graph: bytes, size: int) -> Callable[[Array], Array]:
    """A network of one thread for batches of BATCH pictures."""
    try:
        import openvino
    except ImportError:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda x: np.asarray(session.run(None, {name: x})[0])
    core = openvino.Core()
    model = core.read_model(graph)
    model.reshape([BATCH, 3, size, size])
    how = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", how).create_infer_request()
    return lambda x: np.array(request.infer({0: np.ascontiguousarray(x)})[0])


class Teacher:
    """Stored chips to raw outputs."""

    def __init__(self) -> None:
        self._sface = runner(sface(), 112)
        self._dlib = runner((ROOT / "models" / "default" / "network.onnx").read_bytes(), 150)

    def __call__(self, pixels: NDArray[np.uint8], mirrored: bool) -> Array:
        """(B, 256) of (B, 128, 128, 3), B at most BATCH."""
        count = len(pixels)
        whole = np.concatenate([pixels, np.zeros((BATCH - count, *pixels.shape[1:]), np.uint8)])
        chips = torch.from_numpy(whole)
        frames = torch.zeros(BATCH, 4, 2)
        large = sampled(chips, frames, DLIB_VIEW, None).numpy()
        small = whole[:, 8:120, 8:120].transpose(0, 3, 1, 2).astype(np.float32)
        if mirrored:
            large, small = large[..., ::-1], small[..., ::-1]
        return np.concatenate([self._sface(small), self._dlib(large)], axis=1)[:count]


WEIGHTS = {"dlib": DLIB_WEIGHT, "sface": 1 - DLIB_WEIGHT}
PLACES = {"dlib": slice(128, 256), "sface": slice(0, 128)}  # in the raw outputs


class Projection:
    """The way from both networks' outputs to the 128 numbers of `accurate`."""

    def __init__(self, accurate: Path = ROOT / "models" / "accurate" / "network.onnx") -> None:
        tensors = {
            tensor.name: numpy_helper.to_array(tensor)
            for tensor in onnx.load(accurate).graph.initializer
        }
        self.known = {name: tensors[name] for name in ("dlib.mean", "sface.mean", "mean")}
        axes = tensors["axes.packed"].astype(np.float32) * tensors["axes.scale"]
        self.known["axes"] = axes

    def __call__(self, raw: Array) -> Array:
        """Unit vectors, (N, 128), of outputs, (N, 256): SFace's, then dlib's."""
        parts = [
            np.sqrt(weight) * unit(unit(raw[:, PLACES[name]]) - self.known[f"{name}.mean"])
            for name, weight in WEIGHTS.items()
        ]
        both = np.concatenate(parts, axis=1).astype(np.float32)
        return unit((both - self.known["mean"]) @ self.known["axes"])


def targets(looks: NDArray[np.float16], projection: Projection) -> Array:
    """What `accurate` says with both looks averaged, (N, 128), or with the one that is there.

    NaN where there is none.
    """
    count = len(looks)
    total = np.zeros((count, 128), np.float32)
    for look in range(looks.shape[1]):
        known = np.flatnonzero(np.isfinite(looks[:, look, 0]))
        if len(known):
            total[known] += projection(looks[known, look].astype(np.float32))
    total[~np.isfinite(looks[:, :, 0]).any(axis=1)] = np.nan
    return unit(total)


def opened(path: Path, count: int, mode: str) -> NDArray[np.float16]:
    """The looks' file, made full of NaN if it is not there."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        np.save(partial.with_suffix(".new.npy"), np.full((count, 2, 256), np.nan, np.float16))
        partial.with_suffix(".new.npy").replace(path)
    return np.asarray(np.lib.format.open_memmap(path, mode))


def look(faces: Faces, out: NDArray[np.float16], which: int, rows: NDArray[np.int64]) -> None:
    teacher = Teacher()
    rows = rows[~np.isfinite(out[rows, which, 0].astype(np.float32))]
    began = time.monotonic()
    for at in range(0, len(rows), BATCH):
        some = rows[at : at + BATCH]
        out[some, which] = teacher(faces.pixels[some], bool(which))
        if at % (BATCH * 100) == 0:
            print(
                f"{faces.name} look {which}: {at} of {len(rows)}, {time.monotonic() - began:.0f} s",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("looks", type=int, nargs="+")
    parser.add_argument("--train", type=Path, default=Path("../shared/data/train"))
    parser.add_argument("--share", default="0/1", help="which part of how many")
    parser.add_argument("--most", type=int, help="only so many, those that are needed first")
    args = parser.parse_args()
    torch.set_num_threads(1)
    part, parts = map(int, args.share.split("/"))
    faces = faces_of(args.set, args.work, args.train)
    out = opened(args.work / f"{args.set}-looks.npy", len(faces.pixels), "r+")
    for which in args.looks:
        look(faces, out, which, faces.order[: args.most][part::parts])


if __name__ == "__main__":
    main()
