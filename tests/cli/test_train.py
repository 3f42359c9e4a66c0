"""train: a model of one's own."""

import signal
import subprocess
from pathlib import Path

import pytest

from facesearch.core import extras
from tests.support.commands import (
    EXTRA,
    MODEL,
    Run,
    command,
    one_line_error,
)


@pytest.mark.slow
def test_ctrl_c_in_training_can_be_resumed(run: Run, people: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    arguments = ("train", people, "--name", "mine", "--size", "48", "--epochs", "3", "--batches=2")
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(b"epoch 2"):
            break  # so that the first one is kept
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"--resume goes on" in err
    assert b"Traceback" not in err
    one_line_error(run(*arguments), MODEL, "--resume goes on, --restart begins anew")
    assert run(*arguments, "--resume", "--restart").code == 2
    resumed = run(*arguments, "--resume", "--quiet", "--json")
    assert (resumed.code, [line["people"] for line in resumed.lines]) == (
        0,
        ["train", "validation", "test"],
    )
    assert "epoch" not in resumed.err
    assert run("--model", "mine", "compare", *sorted(people.glob("person-00/*"))[:2]).code in (0, 1)


def test_training_without_torch_says_what_to_install(
    run: Run, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "torch" else True)
    ran = run("train", people)
    one_line_error(ran, EXTRA, "training needs torch: pip install 'facesearch[train]'")
