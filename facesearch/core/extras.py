"""The extras of the package: the libraries of each one, and the error if one is missing."""

from importlib.util import find_spec

from facesearch.core.errors import MissingExtra

# the modules that facesearch imports of each extra; pyproject.toml names their distributions
MODULES = {
    "serve": ("fastapi", "starlette", "uvicorn", "h11", "python_multipart", "prometheus_client"),
    "plots": ("matplotlib",),
    "train": ("torch", "onnx", "matplotlib"),
    "postgres": ("psycopg",),
    "milvus": ("pymilvus", "grpc"),
    "ray": ("ray",),
}


def require(extra: str, purpose: str) -> None:
    """Check, without importing them, that the libraries of an extra are installed.

    extra: a key of MODULES. purpose: the subject of the message, for example "training".
    Raises MissingExtra, which names the missing libraries and the command that installs them.
    """
    missing = [module for module in MODULES[extra] if find_spec(module) is None]
    if missing:
        raise MissingExtra(f"{purpose} needs {', '.join(missing)}: {install(extra)}")


def install(extra: str) -> str:
    """The command that installs an extra, for messages."""
    return f"pip install 'facesearch[{extra}]'"
