"""A lazy module is imported on the first look inside, and is then the module."""

import subprocess
import sys

import pytest

from facesearch.core.lazy import LazyModule


def test_nothing_is_imported_before_it_is_used() -> None:
    code = (
        "import sys; from facesearch.core.lazy import LazyModule\n"
        "names = LazyModule('facesearch.core.names')\n"
        "print('facesearch.core.names' in sys.modules)\n"
        "print(names.clean_name('  Ada '))\n"
        "print('facesearch.core.names' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "Ada", "True"]


def test_what_is_not_there() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = LazyModule("facesearch.core.names").nothing
    with pytest.raises(ModuleNotFoundError):
        _ = LazyModule("facesearch.core.no_such_module").anything
