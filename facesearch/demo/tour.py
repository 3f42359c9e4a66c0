"""The commands of the tour, and the folder that they run in."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from facesearch.core.errors import FacesearchError

MARK = ".facesearch-demo"  # a file in every folder that a tour has made
NAMED = "party-named.jpg"
MADE = ("people", "queries", "gallery", NAMED)


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the tour."""

    about: str  # what it shows
    arguments: tuple[str, ...]  # of `facesearch`
    code: int = 0  # the exit code that it ends with


STEPS = (
    Step(
        "Enroll everybody below people/, which has a folder per person.",
        ("enroll", "--tree", "people"),
    ),
    Step("Who is enrolled?", ("people", "list")),
    Step("Who is on this photo? Exit code 0: a match.", ("identify", "queries/known.jpg")),
    Step(
        "A stranger gets no name. Exit code 1: no match.", ("identify", "queries/stranger.jpg"), 1
    ),
    Step(
        "Several faces in one photo; the answers are drawn into a copy of it.",
        ("identify", "queries/party.jpg", "--annotate", NAMED),
    ),
    Step(
        "Do two photos show the same person? This takes no gallery.",
        ("compare", "people/Cleo/0.jpg", "queries/cleo.jpg"),
    ),
    Step("And these two?", ("compare", "queries/known.jpg", "queries/cleo.jpg"), 1),
)


def prepare(folder: Path) -> None:
    """Make an empty folder for the tour, or empty one that an earlier tour has made.

    Raises FacesearchError for a folder that holds anything else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {path.name for path in folder.iterdir()}
    if found and (MARK not in found or found - {MARK, *MADE}):
        raise FacesearchError(
            f"{folder}: holds other files; give the demo an empty folder, or a new one"
        )
    (folder / MARK).touch()
    for name in found.intersection(MADE):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
