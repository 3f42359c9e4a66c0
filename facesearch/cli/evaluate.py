"""evaluate: how often a model errs, on people that it was not trained on."""

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from facesearch.cli.options import Aligned, options, warn
from facesearch.cli.output import show, shown_progress
from facesearch.cli.program import MODELS, app
from facesearch.cli.session import recognizer
from facesearch.core.extras import require
from facesearch.core.words import plural


class Protocol(StrEnum):
    """What is measured: comparisons of pairs, or searches in galleries."""

    pairs = "pairs"
    open_set = "open-set"


@app.command(rich_help_panel=MODELS)
def evaluate(
    data: Annotated[Path, typer.Argument(help="A folder with a folder of photos per person.")],
    pairs: Annotated[
        Path | None,
        typer.Option(help="Compare the pairs of this list, in LFW's format, instead of all pairs."),
    ] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="Measure comparisons of `pairs`, or searches (`open-set`), also by strangers."
        ),
    ] = Protocol.pairs,
    people: Annotated[
        Path | None,
        typer.Option(help="Use only the people of this list, in LFW's format."),
    ] = None,
    enrolled: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="open-set: how many people to enroll; may be repeated. Default: 10, 100, 1000.",
        ),
    ] = None,
    photos: Annotated[
        int | None,
        typer.Option(min=1, help="open-set: how many photos to enroll of a person. Default: 3."),
    ] = None,
    aligned: Aligned = False,
    report: Annotated[
        Path | None, typer.Option(help="Write a report with tables and plots into this folder.")
    ] = None,
) -> None:
    """Measure a model's errors on other people, with 95 % intervals.

    Without --pairs all pairs of photos are compared. With it LFW's protocol holds: if the list has
    folds, each is judged at the threshold that is most accurate on the others; if it has none, at
    the model's best-F1 threshold. A photo without a face counts as a failure.
    """
    searches = protocol is Protocol.open_set
    if pairs is not None and (searches or people is not None):
        raise typer.BadParameter("--pairs goes with neither --people nor --protocol open-set")
    if not searches and (enrolled or photos is not None):
        raise typer.BadParameter("--enrolled and --photos need --protocol open-set")
    if report is not None:
        require("plots", "--report")
    from facesearch.evaluation import evaluate as measure
    from facesearch.evaluation import report as reporting
    from facesearch.evaluation.lfw import listed, read_pairs
    from facesearch.metrics.open_set import PHOTOS
    from facesearch.vision.photo_files import people_in

    model = recognizer().model
    command = shlex.join(["facesearch", *sys.argv[1:]])
    chosen = {} if pairs is not None else people_in(data)
    if people is not None:
        chosen = listed(chosen, people)
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)  # before minutes of work
    found: reporting.Found
    with shown_progress(options.quiet) as progress:
        embedder = recognizer().embedder
        if searches:
            found = measure.evaluate_open_set(
                embedder,
                chosen,
                progress,
                enrolled=enrolled or (),
                photos=photos or PHOTOS,
                aligned=aligned,
            )
        else:
            threshold = recognizer().calibration.f1_threshold
            if pairs is not None:
                asked = read_pairs(pairs, data)
                found = measure.evaluate(embedder, asked, threshold, progress, aligned=aligned)
            else:
                found = measure.evaluate_all(embedder, chosen, threshold, progress, aligned=aligned)
    if found.unreadable:
        count, first = len(found.unreadable), found.unreadable[0]
        warn(f"{plural(count, 'photo')} cannot be read and count as failures; the first: {first}")
    if report is not None:
        reporting.write(report, command, model.name, found)
    table = reporting.table(found)
    rows = table if options.form == "table" else reporting.rows(model.name, found)
    show(rows, list(table[0]), options.form)
