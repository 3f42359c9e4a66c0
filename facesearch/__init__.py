"""facesearch: an index of people made from folders of photos."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facesearch.client import Client

__version__ = "0.1.0"
__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Client":  # imported only by whoever asks for it
        from facesearch.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
