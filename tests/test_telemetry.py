"""ONNX Runtime is told to send nothing before it is imported, wherever it is imported."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "experiments", "models", "robustness", "scripts", "tests")
RUN = """
import sys, time
from pathlib import Path
import facesearch
from facesearch.vision.onnx import session
session(Path(sys.argv[1]))
time.sleep(1)  # it looks up its host in a thread of its own
"""


def test_a_process_that_loads_a_network_writes_nothing_into_the_home(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = {**os.environ, **home}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    graph = ROOT / "models" / "default" / "network-int8.onnx"
    subprocess.run([sys.executable, "-c", RUN, str(graph)], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def importers() -> list[Path]:
    """Python files of the project, outside the package, that import ONNX Runtime."""
    folders = [ROOT / name for name in FOLDERS]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    return [path for path in files if "onnxruntime" in imported(path)]


def imported(path: Path) -> list[str]:
    """Top-level packages in the order in which a file imports them."""
    names = []
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return [name.partition(".")[0] for name in names]


@pytest.mark.parametrize("path", importers(), ids=lambda path: path.name)
def test_what_imports_onnx_runtime_imports_facesearch_first(path: Path) -> None:
    assert imported(path)[0] == "facesearch"
