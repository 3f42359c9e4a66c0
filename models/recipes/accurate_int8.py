"""`accurate` with one look and in 8 bits: its graph static and written anew.

    python -m models.recipes.accurate_int8 WORK OUT [--train ../shared/data/train]

WORK is the student's (its README): the chips and looks of the development data. SFace's
normalisations are folded and its PReLU written as (1 - a) relu(x) + a x, so that 8 bits run
through. Writes OUT/accurate.onnx and OUT/accurate-int8.onnx, chips of 188 pixels as `accurate`
takes them. Prints for each the cosine to two looks in fp32, TAR at FMR 1e-3 and 1e-4 of the people
who calibrate, celebrities then families, and faces a second of one core in batches of 16.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import Tensor

from facesearch.vision.model import Preprocessing
from models.recipes.dlib_network import DlibNetwork, load_dlib
from models.recipes.make_accurate import DOWN, SIDE, VIEW, WHOLE, reduction
from models.recipes.serving import Graph, quantised, session
from models.recipes.sface_embeddings import sface
from models.recipes.student.measure import POPULATIONS, Check
from models.recipes.student.network import read
from models.recipes.student.teacher import WEIGHTS, Projection
from models.recipes.teachers import fetch

CALIBRATING, BATCH = 1024, 16
FEW = 2  # chips at once where every tensor is looked at

Array = NDArray[np.float32]


def dlib_part(made: Graph, x: str, network: DlibNetwork) -> str:
    """dlib's network, its normalisations folded: chips of 150 pixels to raw embeddings."""

    def numbers(tensor: Tensor) -> Array:
        return np.asarray(tensor.detach().numpy())

    stem = network.stem
    x = made.convolution(x, numbers(stem.weight), numbers(stem.bias), "dlib.stem", stride=2, pad=0)
    x = made.node("Relu", [x], "dlib.stem.relu")
    x = made.node("MaxPool", [x], "dlib.pool", kernel_shape=[3, 3], strides=[2, 2])
    side = 35
    for number, block in enumerate(network.blocks):
        name = f"dlib.{number}"
        first, second = block.first, block.second
        stride, pad = (2, 0) if block.down else (1, 1)
        weight, bias = numbers(first.weight), numbers(first.bias)
        y = made.convolution(x, weight, bias, f"{name}.first", stride=stride, pad=pad)
        y = made.node("Relu", [y], f"{name}.first.relu")
        y = made.convolution(y, numbers(second.weight), numbers(second.bias), f"{name}.second")
        if block.down:
            x = made.node("AveragePool", [x], f"{name}.half", kernel_shape=[2, 2], strides=[2, 2])
            inner, side = (side - 3) // 2 + 1, side // 2
            if block.grown:
                pads = np.array([0, 0, 0, 0, 0, block.grown, 0, 0], np.int64)
                x = made.node("Pad", [x, made.constant(pads, f"{name}.wide")], f"{name}.wider")
            if inner < side:
                pads = np.array([0, 0, 0, 0, 0, 0, side - inner, side - inner], np.int64)
                y = made.node("Pad", [y, made.constant(pads, f"{name}.large")], f"{name}.larger")
        x = made.node("Add", [x, y], f"{name}.sum")
        x = made.node("Relu", [x], name)
    x = made.node("ReduceMean", [x], "dlib.mean of places", axes=[2, 3], keepdims=0)
    head = [
        made.constant(numbers(part), f"dlib.head.{kind}")
        for kind, part in (("weight", network.head.weight), ("bias", network.head.bias))
    ]
    return made.node("Gemm", [x, *head], "dlib", transB=1)


def sface_part(made: Graph, x: str) -> str:
    """SFace: chips of 112 pixels to raw embeddings."""
    original = read(onnx.load_from_string(sface()).graph)
    for number, layer in enumerate(original.layers):
        name = f"sface.{number}"
        x = made.convolution(
            x, layer.weight, layer.bias, name, stride=layer.stride, groups=layer.groups
        )
        x = made.bent(x, layer.slope, f"{name}.bent")
    x = made.node("Flatten", [x], "sface.flat")
    head = [
        made.constant(original.head, "sface.head.weight"),
        made.constant(original.head_bias, "sface.head.bias"),
    ]
    return made.node("Gemm", [x, *head], "sface", transB=1)


def assembled(network: DlibNetwork, projection: Projection) -> onnx.ModelProto:
    """Chips (n, 3, 188, 188), values in [-1, 1], to unit embeddings, (n, 128)."""
    made = Graph()
    edge = (SIDE - VIEW.size) // 2
    corners = [
        made.constant(np.array(values, np.int64), name)
        for name, values in (
            ("top left", [edge + DOWN, edge]),
            ("bottom right", [edge + DOWN + VIEW.size, edge + VIEW.size]),
            ("axes", [2, 3]),
        )
    ]
    large = made.node("Slice", ["chips", *corners], "large")
    across = made.constant(np.ascontiguousarray(reduction(0).T), "across")
    narrow = made.node("MatMul", ["chips", across], "narrow")
    small = made.node("MatMul", [made.constant(reduction(1), "down"), narrow], "small")
    parts = []
    said = {"dlib": dlib_part(made, large, network), "sface": sface_part(made, small)}
    for name, weight in WEIGHTS.items():
        x = made.node("LpNormalization", [said[name]], f"{name}.unit", axis=1, p=2)
        mean = made.constant(projection.known[f"{name}.mean"], f"{name}.mean")
        x = made.node("Sub", [x, mean], f"{name}.off")
        x = made.node("LpNormalization", [x], f"{name}.centred", axis=1, p=2)
        share = made.constant(np.array(np.sqrt(weight), np.float32), f"{name}.weight")
        parts.append(made.node("Mul", [x, share], f"{name}.part"))
    x = made.node("Concat", parts, "both", axis=1)
    x = made.node("Sub", [x, made.constant(projection.known["mean"], "mean")], "both.off")
    x = made.node("MatMul", [x, made.constant(projection.known["axes"], "directions")], "reduced")
    made.node("LpNormalization", [x], "embeddings", axis=1, p=2)
    return made.model((3, SIDE, SIDE), "embeddings", 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=Path, default=Path("../shared/data/train"))
    parser.add_argument("--whole", nargs="*", default=[], help="layers that stay in fp32")
    parser.add_argument("--most", type=int, default=10**9, help="chips of a population")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    check = Check.load(args.train, args.work)
    template = tuple((float(x), float(y)) for x, y in WHOLE.template)
    how = Preprocessing(SIDE, template, detector="network")

    def cut(rows: NDArray[np.int64]) -> Array:
        chips = np.stack([check.chips.aligned(int(row), how) for row in rows])
        return np.ascontiguousarray(
            (chips.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
        )

    learn = np.flatnonzero(check.chips.parts == "learn")
    rows = np.random.default_rng(1).choice(learn, CALIBRATING, replace=False)

    def batches() -> Iterator[Array]:
        for at in range(0, CALIBRATING, FEW):
            yield cut(rows[at : at + FEW])

    path = fetch("face_recognition_models", "dlib_face_recognition_resnet_model_v1.dat")
    made = assembled(load_dlib(path).fused().eval(), Projection())
    paths = [args.out / "accurate.onnx", args.out / "accurate-int8.onnx"]
    onnx.save(made, paths[0])
    quantised(made, paths[1], batches, whole=["dlib", "sface", *args.whole])
    for path in paths:
        running, cells, best = session(path), [], 0.0
        for name in POPULATIONS:
            chosen, parts = check.rows[name], []
            for at in range(0, len(chosen), BATCH):
                x = cut(chosen[at : at + BATCH])
                began = time.process_time()
                parts.append(running.run(None, {"chips": x})[0])
                best = max(best, len(x) / (time.process_time() - began))
            cells += check.figures(name, np.concatenate(parts))
        print(f"{path.name}: {' '.join(f'{cell:.4f}' for cell in cells)}, {best:.0f} faces/s")


if __name__ == "__main__":
    main()
