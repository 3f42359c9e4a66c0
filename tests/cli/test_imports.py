"""A command loads what it needs: who only asks for names waits for no network and no index."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from facesearch.storage.store import Store
from tests.support.new_photos import MODEL, photo

HEAVY = ("onnxruntime", "dlib", "PIL", "faiss", "torch", "cryptography", "alembic", "psycopg")
PROGRAM = f"""
import sys
from facesearch.cli import main
try:
    main()
finally:
    print(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("command", [["people", "list"], ["people", "rename", "ann", "anna"]])
def test_people_are_listed_and_named_without_heavy_libraries(
    tmp_path: Path, command: list[str]
) -> None:
    with closing(Store(tmp_path, create=True)) as store:
        store.add([photo("ann", 1)], MODEL)
    asked = [sys.executable, "-c", PROGRAM, *command, "--gallery", str(tmp_path)]
    told = subprocess.run(asked, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert told.stderr.splitlines()[-1] == ""
