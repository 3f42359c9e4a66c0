"""Graphs for ONNX Runtime, written by hand, and the same in 8 bits.

A `Graph` grows a convolution at a time. `quantised` computes it in 8 bits, but for some layers:
scales from many chips, every convolution's bias moved by what rounding its weights moves.
"""

import facesearch  # noqa: F401  # isort: skip  # before ONNX Runtime, which else calls home

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime import quantization

Array = NDArray[np.float32]
KINDS = {"Conv", "Relu", "Add", "MaxPool", "AveragePool", "Gemm", "Pad"}  # computed in 8 bits
CLIPPED = 1e-5  # of a tensor's values, at either end, lie beyond its scale


@dataclass(slots=True)
class Graph:
    """An ONNX graph in the making."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, values: NDArray[np.generic], name: str) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def convolution(
        self,
        x: str,
        weight: Array,
        bias: Array,
        name: str,
        *,
        stride: int = 1,
        groups: int = 1,
        pad: int | None = None,
    ) -> str:
        """pad: pixels of nothing on every side; half of the weight's side if it is not given."""
        side = weight.shape[2]
        edge = side // 2 if pad is None else pad
        inputs = [x, self.constant(weight, f"{name}.weight"), self.constant(bias, f"{name}.bias")]
        return self.node(
            "Conv",
            inputs,
            name,
            kernel_shape=[side, side],
            pads=[edge] * 4,
            strides=[stride, stride],
            group=groups,
        )

    def bent(self, x: str, slope: Array, name: str) -> str:
        """PReLU as (1 - a) relu(x) + a x, by convolutions of one weight a channel."""
        count = len(slope)
        nothing, shape = np.zeros(count, np.float32), (count, 1, 1, 1)
        upper = self.node("Relu", [x], f"{name}.relu")
        upper = self.convolution(
            upper, (1 - slope).reshape(shape), nothing, f"{name}.upper", groups=count
        )
        lower = self.convolution(x, slope.reshape(shape), nothing, f"{name}.lower", groups=count)
        return self.node("Add", [upper, lower], name)

    def model(self, chips: tuple[int, ...], output: str, dimension: int) -> onnx.ModelProto:
        """chips: the shape of one."""
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("chips", onnx.TensorProto.FLOAT, ("n", *chips))],
            [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ("n", dimension))],
            self.constants,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(made)
        return made


def session(model: onnx.ModelProto | Path, threads: int = 1) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    content = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@dataclass(slots=True)
class Seen:
    """What a tensor was on many chips."""

    low: float
    high: float
    mean: Array  # of each channel


def observed(model: onnx.ModelProto, names: list[str], batches: Iterator[Array]) -> dict[str, Seen]:
    """The range of each tensor, but for CLIPPED of it, and its mean; the mean over batches.

    All tensors of a batch are held at once.
    """
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    del probed.graph.output[:]
    probed.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    running = session(probed)
    lows, highs, means = ({name: [] for name in names} for _ in range(3))
    for batch in batches:
        for name, values in zip(names, running.run(None, {"chips": batch}), strict=True):
            flat = values.ravel()
            beyond = max(1, int(CLIPPED * len(flat)))
            ends = np.partition(flat, (beyond - 1, len(flat) - beyond))
            lows[name].append(ends[beyond - 1])
            highs[name].append(ends[len(flat) - beyond])
            axes = (0, *range(2, values.ndim))
            means[name].append(values.mean(axis=axes))
    return {
        name: Seen(
            min(0.0, float(np.mean(lows[name]))),
            max(0.0, float(np.mean(highs[name]))),
            np.mean(means[name], axis=0),
        )
        for name in names
    }


def rounded(weight: Array, bits: int) -> Array:
    """Weights as a scale for each output channel leaves them."""
    along = tuple(range(1, weight.ndim))
    most = 2 ** (bits - 1) - 1
    scale = np.abs(weight).max(axis=along, keepdims=True).clip(1e-12) / most
    return np.asarray(np.round(weight / scale) * scale, np.float32)


def corrected(model: onnx.ModelProto, seen: dict[str, Seen], bits: int) -> onnx.ModelProto:
    """The biases moved by what rounding the weights moves the outputs by on average."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    known = {tensor.name: tensor for tensor in made.graph.initializer}
    for node in made.graph.node:
        if node.op_type != "Conv" or node.input[0] not in seen:
            continue
        weight = numpy_helper.to_array(known[node.input[1]])
        groups = next(entry.i for entry in node.attribute if entry.name == "group")
        lost = (weight - rounded(weight, bits)).sum(axis=(2, 3))  # (O, I / groups)
        mean = seen[node.input[0]].mean.reshape(groups, -1)  # (groups, I / groups)
        each = np.repeat(mean, len(weight) // groups, axis=0)
        bias = numpy_helper.to_array(known[node.input[2]]) + (lost * each).sum(axis=1)
        known[node.input[2]].CopyFrom(
            numpy_helper.from_array(bias.astype(np.float32), node.input[2])
        )
    return made


class _Once(quantization.CalibrationDataReader):  # type: ignore[misc]
    """The scales are known: a single chip for ONNX Runtime's own look."""

    def __init__(self, chip: Array) -> None:
        self._left = [chip]

    def get_next(self) -> dict[str, Array] | None:
        return {"chips": self._left.pop()} if self._left else None


def quantised(
    model: onnx.ModelProto,
    out: Path,
    batches: Callable[[], Iterator[Array]],
    *,
    whole: list[str],
    bits: int = 8,
) -> None:
    """whole: the nodes that stay as they are. bits: of a weight; 7 for processors without VNNI."""
    names = ["chips"] + [
        node.output[0]
        for node in model.graph.node
        if node.op_type in KINDS and node.name not in whole
    ]
    seen = observed(model, names, batches())
    ready = corrected(model, seen, bits)
    overrides = {}
    for name, one in seen.items():
        scale = max(one.high - one.low, 1e-6) / 255
        overrides[name] = [
            {
                "scale": np.array(scale, np.float32),
                "zero_point": np.array(round(-one.low / scale), np.uint8),
            }
        ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole.onnx"
        onnx.save(ready, path)
        quantization.quantize_static(
            str(path),
            str(out),
            _Once(next(batches())[:1]),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=bits == 7,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=sorted(KINDS),
            nodes_to_exclude=whole,
            extra_options={"TensorQuantOverrides": overrides},
        )
