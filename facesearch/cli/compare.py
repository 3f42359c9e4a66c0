"""compare: whether two photos show the same person."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch.cli.options import Fmr, Prior, Threshold, options, warn
from facesearch.cli.output import show
from facesearch.cli.program import FIND, app
from facesearch.cli.session import recognizer
from facesearch.core.lazy import LazyModule

if TYPE_CHECKING:
    from facesearch import client
    from facesearch.serialization import answers
else:
    answers = LazyModule("facesearch.serialization.answers")
    client = LazyModule("facesearch.client")


@app.command(rich_help_panel=FIND)
def compare(
    a: Annotated[Path, typer.Argument(help="A photo.")],
    b: Annotated[Path, typer.Argument(help="Another photo.")],
    fmr: Fmr = None,
    threshold: Threshold = None,
    prior: Prior = 0.5,
) -> None:
    """Tell whether two photos show the same person.

    No gallery is needed. In a photo with several faces the largest one counts.

    Exit code: 0 for the same person, 1 for different people or an unusable face.
    """
    if fmr is not None and threshold is not None:
        raise typer.BadParameter("choose either --fmr or --threshold")
    if options.server is not None:
        with client.Client(options.server) as service:
            result = service.compare(a, b, fmr=fmr, threshold=threshold, prior=prior)
    else:
        result = recognizer().compare(a, b, fmr=fmr, threshold=threshold, prior=prior)
    warn(result.warning)
    show(
        [answers.COMPARISON.row(result)],
        ["a", "b", "same", "distance", "threshold", "probability", "reason"],
        options.form,
    )
    raise typer.Exit(0 if result.same else 1)
