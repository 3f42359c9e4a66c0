"""The student as graphs for ONNX Runtime, in fp32 and in 8 bits, and what they reach.

    python -m models.recipes.student.export WORK WORK/best.safetensors OUT

Writes OUT/student.onnx and OUT/student-int8.onnx: chips (n, 3, 112, 112), (value - 127.5) / 127.5,
to unit embeddings (n, 128). Prints cosine to the teacher, TAR at FMR 1e-3 and 1e-4 with one look of
the people who calibrate, celebrities then families; faces a second of one core in batches of 16.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from safetensors.numpy import load_file

from models.recipes.serving import Graph, quantised, session
from models.recipes.sface_embeddings import sface
from models.recipes.student.chips import faces_of
from models.recipes.student.measure import POPULATIONS, Check
from models.recipes.student.network import REPLACED, STEM, Original, read
from models.recipes.student.visits import plain

CALIBRATING = 1024  # chips that find the scales
BATCH, FEW = 16, 4  # chips at once; where every tensor is looked at

Array = NDArray[np.float32]


def graph(weights: dict[str, Array], original: Original) -> onnx.ModelProto:
    """original: for the strides and groups of the layers."""
    made, x = Graph(), "chips"
    strides = [stride for _, _, _, stride in STEM]
    plan = [(f"stem.{at}", stride, 1) for at, stride in enumerate(strides)]
    plan += [
        (f"body.{at}", layer.stride, layer.groups)
        for at, layer in enumerate(original.layers[REPLACED:])
    ]
    for name, stride, groups in plan:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        x = made.convolution(x, weight, bias, name, stride=stride, groups=groups)
        x = made.node("Relu", [x], f"{name}.relu")
    x = made.node("Flatten", [x], "flat")
    head = [made.constant(weights[f"head.{part}"], f"head.{part}") for part in ("weight", "bias")]
    x = made.node("Gemm", [x, *head], "head", transB=1)
    made.node("LpNormalization", [x], "embeddings", axis=1, p=2)
    return made.model((3, 112, 112), "embeddings", len(weights["head.bias"]))


def speed(path: Path) -> float:
    """Faces a second of processor time, the best of some runs."""
    running, best = session(path), 0.0
    chips = np.random.default_rng(0).uniform(-1, 1, (BATCH, 3, 112, 112)).astype(np.float32)
    for _ in range(8):
        began = time.process_time()
        running.run(None, {"chips": chips})
        best = max(best, BATCH / (time.process_time() - began))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=Path, default=Path("../shared/data/train"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    faces = faces_of("labelled", args.work, args.train)
    rows = np.random.default_rng(1).choice(np.flatnonzero(faces.teach), CALIBRATING, replace=False)

    def batches() -> Iterator[Array]:
        for at in range(0, CALIBRATING, FEW):
            yield plain(faces.pixels[np.sort(rows[at : at + FEW])]).contiguous().numpy()

    made = graph(load_file(args.weights), read(onnx.load_from_string(sface()).graph))
    paths = [args.out / "student.onnx", args.out / "student-int8.onnx"]
    onnx.save(made, paths[0])
    quantised(made, paths[1], batches, whole=["embeddings"])
    check = Check.load(args.train, args.work)
    for path in paths:
        running, cells = session(path), []
        for name in POPULATIONS:
            chosen, parts = check.rows[name], []
            for at in range(0, len(chosen), BATCH):
                x = plain(check.chips.pixels[chosen[at : at + BATCH]]).contiguous().numpy()
                parts.append(running.run(None, {"chips": x})[0])
            cells += check.figures(name, np.concatenate(parts))
        print(
            f"{path.name}: {' '.join(f'{cell:.4f}' for cell in cells)}, {speed(path):.0f} faces/s"
        )


if __name__ == "__main__":
    main()
