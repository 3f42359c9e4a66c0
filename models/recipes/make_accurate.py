"""Make the model folder `accurate`: SFace and dlib's network side by side, in one graph.

    python -m models.recipes.sface_embeddings ../shared/data/train .cache/sface.npy
    python -m models.recipes.make_accurate models/accurate

Both networks' embeddings are centred, weighted, set side by side and reduced to 128 numbers, as the
people who learn (train_chips.py) vary most. The graph cuts each network's picture out of one larger
chip; weights are stored in 8 bits a number, one scale for each output channel, and computed with in
fp32. Calibrate it next:

    python -m models.recipes.calibrate_default ../shared/data --model models/accurate
"""

import argparse
import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import compose, helper, numpy_helper

from facesearch import __version__
from facesearch.training.network import export_onnx
from facesearch.vision.alignment import TEMPLATE_SIZE
from facesearch.vision.model import (
    CARD,
    CONFIG,
    GRAPH,
    LANDMARKS_ERROR,
    Preprocessing,
)
from models.recipes.dlib_network import load_dlib
from models.recipes.sface_embeddings import sface
from models.recipes.teachers import fetch
from models.recipes.train_chips import Chips, View
from models.recipes.train_default import VIEW, unit

SHIPPED = Path("models/default")
CARD_TEXT = Path(__file__).with_name("accurate-card.md")
DLIB_WEIGHT = 0.35  # of dlib's squared distances in the whole; flat between 0.3 and 0.4
SIDE, DOWN = 188, 15  # pixels of the chip, and how far below its middle dlib's picture lies
WHOLE = View(SIDE, VIEW.scale, (VIEW.middle[0], VIEW.middle[1] - DOWN / VIEW.scale))
LEAST_FLIP_CONSISTENCY = 0.97  # a face in a thousand of the people who calibrate lies below it
FEWEST = 4096  # numbers of a tensor that is worth packing

Array = NDArray[np.float32]


def reduction(axis: int) -> Array:
    """(112, SIDE): one axis of the chip to one of SFace's picture, antialiased by triangles."""
    middle = (SIDE - 1) / 2 + (np.arange(TEMPLATE_SIZE) - WHOLE.middle[axis]) * WHOLE.scale
    weights = 1 - np.abs(np.arange(SIDE)[None] - middle[:, None]) / WHOLE.scale
    weights = weights.clip(0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def projection(train: Path, faces: Path) -> dict[str, Array]:
    """The networks' means, and the matrices that reduce both embeddings to 128 numbers."""
    learn = Chips.load(train).parts == "learn"
    parts, found = [], {}
    teachers = {
        "dlib": (np.load(train / "teacher.npy"), DLIB_WEIGHT),
        "sface": (np.load(faces), 1 - DLIB_WEIGHT),
    }
    for name, (raw, weight) in teachers.items():
        vectors = unit(raw[learn].astype(np.float32))
        found[f"{name}.mean"] = vectors.mean(axis=0)
        parts.append(math.sqrt(weight) * unit(vectors - found[f"{name}.mean"]))
    both = np.concatenate(parts, axis=1)
    found["mean"] = both.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((both - found["mean"]).T))
    return {**found, "axes": axes[:, -128:].astype(np.float32)}


def packed(graph: onnx.GraphProto) -> None:
    """Large weights as 8-bit numbers and a scale; ONNX Runtime unpacks them when it loads them."""
    kept, nodes = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < FEWEST or values.ndim < 2:
            kept.append(tensor)
            continue
        along = tuple(range(1, values.ndim))
        scale = np.abs(values).max(axis=along, keepdims=True).clip(1e-12) / 127
        name = tensor.name
        kept += [
            numpy_helper.from_array(np.round(values / scale).astype(np.int8), f"{name}.packed"),
            numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"),
        ]
        nodes += [
            helper.make_node("Cast", [f"{name}.packed"], [f"{name}.plain"], to=1),
            helper.make_node("Mul", [f"{name}.plain", f"{name}.scale"], [name]),
        ]
    everything = [*nodes, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(everything)


def assembled(dlib: onnx.ModelProto, other: onnx.ModelProto, how: dict[str, Array]) -> bytes:
    """The whole graph: chips (n, 3, SIDE, SIDE), values in [-1, 1], to unit embeddings."""
    dlib, other = compose.add_prefix(dlib, "dlib/"), compose.add_prefix(other, "sface/")
    edge = (SIDE - VIEW.size) // 2
    constants = {
        "top left": np.array([edge + DOWN, edge], np.int64),
        "bottom right": np.array([edge + DOWN + VIEW.size, edge + VIEW.size], np.int64),
        "axes of both": np.array([2, 3], np.int64),
        "across": np.ascontiguousarray(reduction(0).T),
        "down": reduction(1),
        "half": np.array(127.5, np.float32),
        "dlib weight": np.array(math.sqrt(DLIB_WEIGHT), np.float32),
        "sface weight": np.array(math.sqrt(1 - DLIB_WEIGHT), np.float32),
        **how,
    }

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], **attributes)

    before = [
        node("Slice", ["chips", "top left", "bottom right", "axes of both"], "dlib/chips"),
        node("MatMul", ["chips", "across"], "narrow"),
        node("MatMul", ["down", "narrow"], "small"),
        node("Mul", ["small", "half"], "spread"),
        node("Add", ["spread", "half"], other.graph.input[0].name),
    ]
    after = []
    for name, output in (
        ("dlib", dlib.graph.output[0].name),
        ("sface", other.graph.output[0].name),
    ):
        after += [
            node("LpNormalization", [output], f"{name}.unit", axis=-1, p=2),
            node("Sub", [f"{name}.unit", f"{name}.mean"], f"{name}.off"),
            node("LpNormalization", [f"{name}.off"], f"{name}.centred", axis=-1, p=2),
            node("Mul", [f"{name}.centred", f"{name} weight"], f"{name}.part"),
        ]
    after += [
        node("Concat", ["dlib.part", "sface.part"], "both", axis=1),
        node("Sub", ["both", "mean"], "both.off"),
        node("MatMul", ["both.off", "axes"], "reduced"),
        node("LpNormalization", ["reduced"], "embeddings", axis=-1, p=2),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [*before, *dlib.graph.node, *other.graph.node, *after],
        "accurate",
        [helper.make_tensor_value_info("chips", kind, ("n", 3, SIDE, SIDE))],
        [helper.make_tensor_value_info("embeddings", kind, ("n", 128))],
        [
            *dlib.graph.initializer,
            *other.graph.initializer,
            *(numpy_helper.from_array(values, name) for name, values in constants.items()),
        ],
    )
    packed(graph)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=Path, default=Path("../shared/data/train"))
    parser.add_argument("--sface", type=Path, default=Path(".cache/sface.npy"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = fetch("face_recognition_models", "dlib_face_recognition_resnet_model_v1.dat")
    export_onnx(load_dlib(path).fused().eval(), VIEW.size, args.out / GRAPH)
    dlib, other = onnx.load(args.out / GRAPH), onnx.load_from_string(sface())
    how = projection(args.train, args.sface)
    (args.out / GRAPH).write_bytes(assembled(dlib, other, how))
    shutil.copyfile(SHIPPED / LANDMARKS_ERROR, args.out / LANDMARKS_ERROR)
    template = tuple((round(float(x), 3), round(float(y), 3)) for x, y in WHOLE.template)
    record = {
        "format": 1,
        "architecture": {"name": "sface and dlib-resnet", "dimension": 128},
        "preprocessing": asdict(Preprocessing(SIDE, template, detector="network")),
        "detector_of": SHIPPED.name,  # the detector and the points, shipped once
        "training": {"dlib_weight": DLIB_WEIGHT},
        "data": {"folder": "train"},
        "code_version": __version__,
        "command": "python -m models.recipes.make_accurate models/accurate",
        "least_agreement": LEAST_FLIP_CONSISTENCY,
    }
    (args.out / CONFIG).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    shutil.copyfile(CARD_TEXT, args.out / CARD)
    print(f"{args.out}: {(args.out / GRAPH).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
