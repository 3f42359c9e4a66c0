"""Two processes train one model."""

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from facesearch.vision.model import Model  # noqa: E402

ROOT = Path(__file__).parents[2]


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def test_two_processes_share_a_batch_and_its_gradient() -> None:
    done = torchrun(str(ROOT / "tests" / "support" / "two_processes.py"))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_processes_make_one_model(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    program = Path(sys.executable).with_name("facesearch")
    options = ["--epochs=2", "--batches=3", "--size=48", f"--out={out}", "--identity=0.1"]
    done = torchrun("--no-python", str(program), "train", str(album), *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("validation") == 1, "the first process reports"
    assert len((out / "left_out.txt").read_text().splitlines()) == 1
    made = Model(out)
    assert made.config["training"]["cost"]["identity"] == 0.1
    assert made.config["data"]["people"] == {"train": 10, "validation": 2, "test": 2}
