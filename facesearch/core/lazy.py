"""Modules that are imported when something in them is first used: light commands stay light."""

from importlib import import_module
from typing import Any


class LazyModule:
    """Stands for a module, and imports it on the first look at anything inside.

    Write the import itself under `if TYPE_CHECKING`, so that type checkers know what is inside.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
