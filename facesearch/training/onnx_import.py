"""Makes a model folder of a public network's ONNX file, or says why it cannot."""

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facesearch.core.errors import ModelError
from facesearch.core.face import Point
from facesearch.core.version import __version__
from facesearch.core.words import plural
from facesearch.vision.alignment import TEMPLATE, TEMPLATE_SIZE
from facesearch.vision.model import CARD, CONFIG, GRAPH, LANDMARKS_ERROR, Model, Preprocessing

TEMPLATES: dict[str, tuple[Point, ...]] = {"arcface": TEMPLATE}
SMALLEST = 16  # numbers of an embedding; a network that gives fewer is for something else


@dataclass(frozen=True, slots=True)
class Input:
    """How a network takes pixels: (value - mean) / scale, in this order of channels."""

    mean: float
    scale: float
    channels: str


INPUTS = {
    "rgb-0-255": Input(0, 1, "rgb"),
    "rgb-0-1": Input(0, 255, "rgb"),
    "rgb-1-1": Input(127.5, 127.5, "rgb"),
    "bgr-0-255": Input(0, 1, "bgr"),
    "bgr-0-1": Input(0, 255, "bgr"),
    "bgr-1-1": Input(127.5, 127.5, "bgr"),
}


def import_network(
    file: Path, out: Path, detector_model: Model, *, template: str, pixels: str, command: str = ""
) -> Model:
    """Make the model folder `out` of a network that takes 112 x 112 pixels and gives a vector.

    The model is not calibrated. detector_model: the model whose detector and points it gets.
    template: a key of TEMPLATES. pixels: a key of INPUTS. command: for the card. Raises ModelError
    for a network that cannot be run, and if `out` exists.
    """
    if out.exists():
        raise ModelError(f"{out}: exists already; give another --name")
    how = INPUTS[pixels]
    preprocessing = replace(
        Preprocessing(template=TEMPLATES[template], detector=detector_model.preprocessing.detector),
        mean=how.mean,
        scale=how.scale,
        channels=how.channels,
    )
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror})") from error
    graph = plain(content, str(file))
    digest = hashlib.sha256(content).hexdigest()
    record = {
        "format": 1,
        "architecture": {"name": "imported", "file": file.name, "sha256": digest},
        "preprocessing": asdict(preprocessing),
        "training": {},
        "data": {},
        "code_version": __version__,
        "command": command,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as work:
        made = Path(work) / out.name
        made.mkdir()
        (made / GRAPH).write_bytes(graph)
        for path in (*detector_model.detector_files, detector_model.folder / LANDMARKS_ERROR):
            if path.is_file():
                shutil.copyfile(path, made / path.name)
        (made / CONFIG).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        (made / CARD).write_text(_card(record), "utf-8")
        _tried(Model(made), file)
        made.rename(out)
    return Model(out)


def plain(content: bytes, name: str) -> bytes:
    """An ONNX file made to take any number of pictures, with weights that are plain numbers.

    Quantised weights are unpacked, since some are packed in ways that ONNX Runtime cannot read, and
    dropout is removed. name: the file's, for the error. Raises ModelError for no ONNX file, or one
    with other inputs or outputs than a face network has.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_from_string(content)
    except DecodeError as error:
        raise ModelError(f"{name}: no ONNX file") from error
    graph = model.graph
    _unpack(graph)
    # older files list their weights as inputs, too, some of them weights that nothing uses
    taken = {name for node in graph.node for name in node.input}
    taken -= {entry.name for entry in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name in taken]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ModelError(
            f"{name}: has {plural(len(inputs), 'input')} and "
            f"{plural(len(graph.output), 'output')}, not one of each"
        )
    shape = inputs[0].type.tensor_type.shape.dim
    sides = [axis.dim_value for axis in shape]
    if len(sides) != 4 or any(
        side not in (0, wanted)
        for side, wanted in zip(sides[1:], (3, TEMPLATE_SIZE, TEMPLATE_SIZE), strict=True)
    ):
        text = " x ".join(str(side or "any") for side in sides)
        raise ModelError(f"{name}: takes {text}, not n x 3 x {TEMPLATE_SIZE} x {TEMPLATE_SIZE}")
    del graph.input[:]
    graph.input.extend(inputs)
    for entry in (graph.input[0], graph.output[0]):
        if entry.type.tensor_type.shape.dim:
            entry.type.tensor_type.shape.dim[0].dim_param = "n"
    return bytes(model.SerializeToString())


def _unpack(graph: Any) -> None:
    """Compute the nodes that depend on weights alone, which unpacks quantised weights."""
    from onnx import numpy_helper

    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        constant = all(name in known for name in node.input)
        if node.op_type == "DequantizeLinear" and constant and len(node.input) == 3:
            known[node.output[0]] = _dequantised(node, *(known[name] for name in node.input))
        elif node.op_type == "Reshape" and constant:
            values, shape = (known[name] for name in node.input)
            known[node.output[0]] = values.reshape(shape)
        else:
            if node.op_type == "Dropout":
                node.op_type = "Identity"
                del node.attribute[:], node.input[1:], node.output[1:]
            kept.append(node)
    used = {name for node in kept for name in node.input}
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.initializer.extend(
        numpy_helper.from_array(values, name) for name, values in known.items() if name in used
    )


def _dequantised(node: Any, values: Any, scale: Any, zero: Any) -> Any:
    """Source: ONNX operator DequantizeLinear, per tensor, per axis and blocked."""
    attributes = {entry.name: entry.i for entry in node.attribute}
    axis, block = attributes.get("axis", 1), attributes.get("block_size", 0)
    if scale.size == 1:
        scale, zero = scale.reshape(()), zero.reshape(())
    elif block and scale.ndim == values.ndim:
        whole = tuple(slice(0, size) for size in values.shape)
        scale, zero = (np.repeat(part, block, axis)[whole] for part in (scale, zero))
    else:
        shape = [-1 if at == axis else 1 for at in range(values.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return ((values.astype(np.float32) - zero.astype(np.float32)) * scale).astype(np.float32)


def _tried(model: Model, file: Path) -> None:
    """Raise ModelError if the network cannot be run, or does not give embeddings."""
    size = model.preprocessing.size
    chips = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    try:
        vectors = model.embed(chips)
        alone = model.embed(chips[:1])
    except ModelError as error:
        raise ModelError(f"{file}: {str(error.__cause__ or error).splitlines()[0]}") from error
    # ONNX Runtime's own errors share no base but Exception
    except Exception as error:
        raise ModelError(f"{file}: does not run: {str(error).splitlines()[0]}") from error
    if vectors.ndim != 2 or vectors.shape[1] < SMALLEST:
        shape = " x ".join(map(str, vectors.shape[1:]))
        raise ModelError(f"{file}: gives {shape} numbers a picture, which is no embedding")
    if not np.isfinite(vectors).all() or np.abs(vectors[0] - vectors[1]).max() < 1e-6:
        raise ModelError(f"{file}: gives the same for different pictures, or no numbers")
    if np.abs(vectors[0] - alone[0]).max() > 1e-3:
        raise ModelError(f"{file}: gives something else for a picture among others")


def _card(record: dict[str, Any]) -> str:
    source = record["architecture"]
    return f"""# Model card

**Network**: imported from `{source["file"]}` (SHA-256 `{source["sha256"]}`).

**Command**: `{record["command"]}`

**Data and licence**: those of the file's authors; facesearch knows neither.

**Measured**: nothing yet. `facesearch calibrate` finds its thresholds on people of your own,
`facesearch evaluate` measures it.
"""
