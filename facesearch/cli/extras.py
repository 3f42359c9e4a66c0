"""Packages that only some commands need."""

from importlib.util import find_spec

from facesearch.core.errors import MissingExtra


def need(extra: str, what: str, *packages: str) -> None:
    """Check that packages are installed. what: what needs them, as a user says it.

    Raises MissingExtra.
    """
    missing = [package for package in packages if not find_spec(package)]
    if missing:
        raise MissingExtra(f"{what} needs {', '.join(missing)}: pip install 'facesearch[{extra}]'")
