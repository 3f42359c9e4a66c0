"""A value that is worked out once for as long as what it is made from stays the same."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Latest(Generic[Value]):
    """Remembers one value with the key that it holds for; safe to ask from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._kept: tuple[Hashable, Value] | None = None

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value for this key. `make` is called if another key was asked for last."""
        with self._lock:
            if self._kept is None or self._kept[0] != key:
                self._kept = key, make()
            return self._kept[1]
