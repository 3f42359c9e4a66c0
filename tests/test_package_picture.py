"""The picture of the packages in the docs shows the imports that there are."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_picture_of_the_packages_is_current() -> None:
    pytest.importorskip("grimp", reason="import-linter is not installed")
    command = [sys.executable, ROOT / "scripts" / "package_picture", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
