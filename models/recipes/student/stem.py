"""Teach the student's stem to give what SFace's own first layers give.

    python -m models.recipes.student.stem WORK [--train ../shared/data/train] [--minutes 25]

Writes WORK/stem.safetensors: the stem and the layer behind it. No names and no teacher are needed;
every place of every chip teaches. Prints how much of the variance is left unexplained.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.torch import save_file

from models.recipes.sface_embeddings import sface
from models.recipes.student.chips import faces_of
from models.recipes.student.network import REPLACED, Example, ScaledAdam, Student, read
from models.recipes.student.visits import plain, visited

BATCH, RATE = 32, 1.2e-2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--train", type=Path, default=Path("../shared/data/train"))
    parser.add_argument("--minutes", type=float, default=25)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    original = read(onnx.load_from_string(sface()).graph)
    student = Student(original).to(memory_format=torch.channels_last)
    own = Example(original, (REPLACED,)).to(memory_format=torch.channels_last).eval()
    learner = ScaledAdam(torch.nn.ModuleList([*student.stem, student.body[0]]))
    faces = faces_of("labelled", args.work, args.train)
    rows, held = np.flatnonzero(faces.teach), np.flatnonzero(~faces.teach)[:256]
    with torch.inference_mode():
        [wanted] = own(plain(faces.pixels[held]))
    centre = wanted.mean((0, 2, 3), keepdim=True).clone()
    weight = 1 / (wanted - centre).pow(2).mean((0, 2, 3), keepdim=True)
    checking = plain(faces.pixels[held])

    def left() -> float:
        """Of the variance, on chips never learnt from."""
        with torch.inference_mode():
            return float(((student.beginning(checking) - wanted).pow(2) * weight).mean())

    began, step, total = time.monotonic(), 0, 0.0
    while (phase := (time.monotonic() - began) / (60 * args.minutes)) < 1:
        some = np.sort(np.random.default_rng((2, step)).choice(rows, BATCH, replace=False))
        x = visited(faces.pixels[some], faces.frames[some], step)
        [goal] = own(x)
        loss = ((student.beginning(x) - goal).pow(2) * weight).mean()
        loss.backward()
        rate = RATE * min(1, (step + 1) / 50) * (0.02 + 0.98 * math.cos(phase * math.pi / 2) ** 2)
        learner.update(rate, 0.0)
        step, total = step + 1, total + float(loss.detach())
        if step % 50 == 0:
            print(f"{step} {phase:.2f} loss {total / 50:.4f} held out {left():.4f}", flush=True)
            total = 0.0
    tensors = {
        name: value.detach().contiguous()
        for name, value in student.state_dict().items()
        if name.startswith(("stem.", "body.0."))
    }
    save_file(tensors, args.work / "stem.safetensors")
    print(f"{step} steps, {left():.4f} of the variance left")


if __name__ == "__main__":
    main()
