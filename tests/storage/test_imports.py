"""The SQL layer is quick to import: nothing of photos, networks or indexes comes with it."""

import subprocess
import sys

import pytest

HEAVY = ("onnxruntime", "dlib", "PIL", "faiss", "torch", "cryptography", "alembic", "psycopg")
PROGRAM = f"""
import sys
import {{module}}
print(*[name for name in {HEAVY} if name in sys.modules])
"""


@pytest.mark.parametrize("module", ["store", "people", "job_spool", "audit_log", "recovery"])
def test_the_sql_layer_loads_nothing_heavy(module: str) -> None:
    program = PROGRAM.format(module=f"facesearch.storage.{module}")
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stderr == ""
    assert told.stdout.split() == []


def test_a_list_of_people_loads_nothing_heavy(tmp_path: object) -> None:
    """Also with a gallery that is there, and read."""
    program = f"""
import sys
from pathlib import Path
from facesearch.storage.store import Store
Store(Path(sys.argv[1]), create=True).close()
for name in [name for name in sys.modules if name.split(".")[0] == "alembic"]:
    del sys.modules[name]  # which made the tables
assert Store(Path(sys.argv[1]), create=False).people() == []
print(*[name for name in {HEAVY} if name in sys.modules])
"""
    asked = [sys.executable, "-c", program, f"{tmp_path}/gallery"]
    told = subprocess.run(asked, capture_output=True, text=True)
    assert told.stderr == ""
    assert told.stdout.split() == []
