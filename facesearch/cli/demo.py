"""demo: the tour of five minutes, on pictures that it draws."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import typer

from facesearch.cli.program import START, app
from facesearch.core.errors import FacesearchError
from facesearch.core.paths import DEFAULT_MODEL, shipped_models


@app.command(rich_help_panel=START)
def demo(
    out: Annotated[
        Path | None,
        typer.Argument(help="An empty or a new folder. Default: a new temporary folder."),
    ] = None,
) -> None:
    """Take the five-minute tour.

    The demo draws some invented people, enrolls them into a gallery of its own, and asks who is on
    other pictures. It shows every command before it runs it. Your own gallery is not touched.
    """
    from facesearch.demo.pictures import make  # they need Pillow
    from facesearch.demo.tour import NAMED, STEPS, prepare

    folder = Path(mkdtemp(prefix="facesearch-demo-")) if out is None else out
    prepare(folder)
    print(f"# Pictures of invented people are drawn into {folder}.", flush=True)
    make(folder)
    for step in STEPS:
        line = shlex.join(["facesearch", *step.arguments])
        print(f"\n# {step.about}\n$ {line}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "facesearch", *step.arguments],
            cwd=folder,
            env=_environment(),
            check=False,
        )
        if done.returncode != step.code:
            raise FacesearchError(
                f"{line}: ended with exit code {done.returncode} instead of {step.code}"
            )
    print(f"\n# The answers are drawn into {folder / NAMED}.")
    print("# Next, with photos of your own: facesearch enroll --name NAME PHOTOS")


def _environment() -> dict[str, str]:
    """The environment, but the tour's gallery and the shipped model, whatever the user has set."""
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("FACESEARCH_", "MILVUS_"))
    }
    model = str(shipped_models() / DEFAULT_MODEL)
    return kept | {"FACESEARCH_GALLERY": "gallery", "FACESEARCH_MODEL": model, "PYTHONPATH": path}
