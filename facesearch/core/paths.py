"""Where models and galleries are found."""

import os
from pathlib import Path

from facesearch.core.errors import ModelError

AnyPath = str | os.PathLike[str]

DEFAULT_MODEL = "default"
DETAIL = 640  # pixels; the longest side of the copy that the network detector looks at
CALIBRATION, COHORT = "calibration.json", "cohort.safetensors"  # files of a model's folder
MIN_FACE = 10.0  # pixels; narrower faces are not reported


def user_data() -> Path:
    """The folder for a user's galleries and models."""
    from platformdirs import user_data_path

    return user_data_path("facesearch", appauthor=False)


def model_home() -> Path:
    """The folder of the user's own models: FACESEARCH_MODELS, or one in the user's data folder."""
    chosen = os.environ.get("FACESEARCH_MODELS")
    return Path(chosen) if chosen else user_data() / "models"


def shipped_models() -> Path:
    """The models that come with facesearch: inside the package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def find_model(name: str | None = None) -> Path:
    """The folder of a model, by its name or path.

    A name is looked for among the user's own models, then among the shipped ones. Without a name it
    is FACESEARCH_MODEL, or else the shipped default. Raises ModelError if there is no such folder.
    """
    name = name or os.environ.get("FACESEARCH_MODEL") or DEFAULT_MODEL
    path = Path(name)
    named = [model_home() / name, shipped_models() / name] if path.name == name else []
    places = [*named, path]
    for place in places:
        if place.is_dir():
            return place
    raise ModelError(f"{name}: no such model; looked in {', '.join(str(p) for p in places)}")


def find_gallery(given: Path | str | None = None) -> Path | str:
    """The gallery to use, as a folder or the URL of a database.

    It is the one given, or FACESEARCH_GALLERY, or ./index_data if there is one, or the user's own.
    """
    chosen = given or os.environ.get("FACESEARCH_GALLERY")
    if chosen:
        return str(chosen) if "://" in str(chosen) else Path(chosen)
    local = Path("index_data")
    return local if local.is_dir() else user_data() / "gallery"
