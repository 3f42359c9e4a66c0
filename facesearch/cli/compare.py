"""compare: whether two photos show the same person."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch import serialization
from facesearch.cli.options import Fmr, Prior, Threshold, options, warn
from facesearch.cli.output import show
from facesearch.cli.program import FIND, app
from facesearch.cli.session import chosen_model, embedder_of

if TYPE_CHECKING:
    from facesearch.matching.comparison import Comparison


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
    if options.server:
        from facesearch.legacy_client import Client

        with Client(options.server) as client:
            result = client.compare(a, b, fmr=fmr, threshold=threshold, prior=prior)
    else:
        result = _compared(a, b, fmr, threshold, prior)
    show(
        [serialization.comparison(result)],
        ["a", "b", "same", "distance", "threshold", "probability", "reason"],
        options.form,
    )
    raise typer.Exit(0 if result.same else 1)


def _compared(
    a: Path, b: Path, fmr: float | None, threshold: float | None, prior: float
) -> "Comparison":
    embedder = embedder_of(chosen_model())
    from facesearch.matching import comparison, thresholds  # while the network is loaded
    from facesearch.matching.calibration import calibration_of

    calibration = calibration_of(embedder.model)
    limit = (
        thresholds.Threshold(threshold)
        if threshold is not None
        else thresholds.threshold_to_compare(calibration, fmr)
    )
    warn(limit.warning)
    return comparison.compare(embedder, calibration, a, b, limit.distance, prior)
