"""facesearch: an index of people made from folders of photos."""

import os
from typing import TYPE_CHECKING, Any

from facesearch.core.version import __version__

if TYPE_CHECKING:
    from facesearch.client import Client

# Before anything imports ONNX Runtime, which else looks up a host and writes a device id.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Client":  # imported only by whoever asks for it
        from facesearch.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
