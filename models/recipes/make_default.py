"""Make the default model's folder: dlib's network on this project's chips, or one trained further.

    python -m models.recipes.make_default --dlib models/default
    python -m models.recipes.make_default .cache/default OUT

The second form takes what train_default.py has reached; docs/development/training.md
says why the first one is shipped. The detector's and landmarks' files are those of models/default.
Calibrate it next: python -m models.recipes.calibrate_default.
"""

import facesearch  # noqa: F401  # isort: skip  # before ONNX Runtime, which else calls home

import argparse
import json
import shlex
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime import quantization
from safetensors import safe_open
from safetensors.torch import save_file

from facesearch import __version__
from facesearch.training.network import export_onnx
from facesearch.vision.model import (
    CARD,
    CONFIG,
    DETECTOR,
    DETECTOR_INT8,
    GRAPH,
    GRAPH_INT8,
    LANDMARKS,
    LANDMARKS_ERROR,
    WEIGHTS,
    Preprocessing,
)
from models.recipes import train_default
from models.recipes.dlib_network import DlibNetwork, load_dlib
from models.recipes.teachers import fetch
from models.recipes.train_chips import Chips

SHIPPED = Path("models/default")
LEAST_FLIP_CONSISTENCY = 0.99  # a face in a thousand of the people who calibrate lies below it
TOLD = ["NEAR", "FAR", "HELD", "TAUGHT", "PEOPLE", "PHOTOS", "OTHERS", "RATE", "DLIB_WEIGHT"]
CARD_TEXT = Path(__file__).with_name("default-card.md")


def preprocessing() -> Preprocessing:
    view = train_default.VIEW
    template = tuple((round(float(x), 3), round(float(y), 3)) for x, y in view.template)
    return Preprocessing(size=view.size, template=template, detector="network")


def trained(work: Path) -> tuple[DlibNetwork, dict[str, Any]]:
    """The averaged weights of a run, and its record."""
    network = DlibNetwork().fused()
    with safe_open(work / "checkpoint.safetensors", "pt") as file:
        note = json.loads(file.metadata()["note"])
        names = [name for name in file.keys() if name.startswith("average.")]  # noqa: SIM118
        network.load_state_dict({name[8:]: file.get_tensor(name) for name in names})
    settings = {name.lower(): getattr(train_default, name) for name in TOLD}
    run = {"steps": note["step"], "minutes": round(note["seconds"] / 60), **settings}
    return network.eval(), run


class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Chips for the static quantisation, a few at a time."""

    def __init__(self, pixels: NDArray[np.float32]) -> None:
        self._parts = iter(np.array_split(pixels, max(1, len(pixels) // 16)))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        part = next(self._parts, None)
        return None if part is None else {"chips": part}


def quantise(graph: Path, out: Path, chips: Chips, how: Preprocessing) -> None:
    """The graph in 8 bits, calibrated on chips that training saw; the last layer stays whole."""
    rows = np.random.default_rng(0).choice(np.flatnonzero(chips.parts == "learn"), 256)
    pixels = np.stack([chips.aligned(row, how) for row in rows]).astype(np.float32)
    pixels = ((pixels - how.mean) / how.scale).transpose(0, 3, 1, 2)
    whole = [node for node in _nodes(graph) if node.startswith("/head")]
    prepared = out.with_suffix(".prepared")
    quantization.quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(prepared),
        str(out),
        Reader(pixels),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        # seven bits of weight: processors without VNNI add pairs of products in sixteen
        reduce_range=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod.Percentile,
        nodes_to_exclude=whole,
        extra_options={"CalibPercentile": 99.99},
    )
    prepared.unlink()


def _nodes(graph: Path) -> list[str]:
    import onnx

    return [node.name for node in onnx.load(graph).graph.node]


def card(network: DlibNetwork, record: dict[str, Any], folder: Path) -> str:
    """The card of a model that is not measured yet."""
    run, photos, people = record["training"], record["data"]["photos"], record["data"]["people"]
    known = json.loads((folder / LANDMARKS_ERROR).read_text("utf-8"))
    source = "dlib's, as they are (public domain)"
    if run:
        source += f", trained further: {json.dumps(run)}"
    return CARD_TEXT.read_text("utf-8").format(
        version=__version__,
        weights=sum(value.numel() for value in network.parameters()) / 1e6,
        source=source,
        command=record["command"],
        calibrate=photos["calibrate"],
        calibrators=people["calibrate"],
        measure=photos["measure"],
        measured=people["measure"],
        error=known["mean_error"],
        faces=known["faces"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, nargs="?", help="where train_default.py left its run")
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=Path, default=Path("../shared/data/train"))
    parser.add_argument("--dlib", action="store_true")
    args = parser.parse_args()
    how = preprocessing()
    if args.dlib:
        path = fetch("face_recognition_models", "dlib_face_recognition_resnet_model_v1.dat")
        network, run = load_dlib(path).fused().eval(), {}
    else:
        network, run = trained(args.work)
    args.out.mkdir(parents=True, exist_ok=True)
    export_onnx(network, how.size, args.out / GRAPH)
    chips = Chips.load(args.train)
    quantise(args.out / GRAPH, args.out / GRAPH_INT8, chips, how)
    # half precision: to go on from, not to serve
    halves = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(halves, args.out / WEIGHTS)
    if not (args.out.exists() and args.out.samefile(SHIPPED)):
        for name in (DETECTOR, DETECTOR_INT8, LANDMARKS, LANDMARKS_ERROR):
            shutil.copyfile(SHIPPED / name, args.out / name)
    parts, counts = np.unique(chips.parts, return_counts=True)
    record = {
        "format": 1,
        "architecture": {"name": "dlib-resnet", "dimension": 128},
        "preprocessing": asdict(how),
        "precision": "int8",  # measured as accurate as fp32, and twice as quick
        "training": run,
        "data": {
            "folder": "train",
            "photos": dict(zip(parts.tolist(), counts.tolist(), strict=True)),
            "people": {
                part: len(np.unique(chips.people[chips.parts == part])) for part in parts.tolist()
            },
        },
        "code_version": __version__,
        "command": shlex.join(["python", "-m", "models.recipes.make_default", *sys.argv[1:]]),
        "least_agreement": LEAST_FLIP_CONSISTENCY,
    }
    (args.out / CONFIG).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    (args.out / CARD).write_text(card(network, record, args.out), "utf-8")
    session = onnxruntime.InferenceSession(str(args.out / GRAPH))
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, how.size, how.size)).astype(np.float32)
    with torch.inference_mode():
        apart = np.abs(session.run(None, {"chips": x})[0] - network(torch.from_numpy(x)).numpy())
    print(f"{args.out}: ONNX and PyTorch differ by {apart.max():.1e}")


if __name__ == "__main__":
    main()
