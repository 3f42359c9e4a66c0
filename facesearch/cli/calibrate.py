"""calibrate: thresholds from people of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from facesearch.cli.options import Aligned, options, warn
from facesearch.cli.output import say, show, shown_progress
from facesearch.cli.program import MODELS, app
from facesearch.cli.session import recognizer
from facesearch.core.paths import model_home, shipped_models
from facesearch.core.words import plural


@app.command(rich_help_panel=MODELS)
def calibrate(
    data: Annotated[
        list[Path],
        typer.Argument(help="Folders with a folder of photos per person; each is a population."),
    ],
    aligned: Aligned = False,
    add: Annotated[
        bool,
        typer.Option("--add", help="Keep the people that the model is calibrated with today."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder to write the calibrated model to. Default: the model's own folder; "
            "for a shipped model, a copy among your models."
        ),
    ] = None,
) -> None:
    """Calibrate a model on people of your own.

    Calibration finds the thresholds for the errors that you accept. Take people that the model was
    not trained on, and many: a false match rate of 0.001 takes some 100,000 pairs of different
    people. The thresholds keep their promise for each population.
    """
    if options.detector is not None or options.precision is not None:
        raise typer.BadParameter(
            "--detector and --precision: a model is calibrated with its own detector and precision"
        )
    from facesearch.evaluation.recalibrate import population, recalibrate

    model = recognizer().model
    shipped = model.folder.parent == shipped_models()
    folder = out or (model_home() / model.name if shipped else model.folder)
    cohort = None
    with shown_progress(options.quiet) as progress:
        for part in data:
            people, unused = population(recognizer().embedder, part, progress, aligned=aligned)
            if unused:
                warn(f"{part}: {plural(unused, 'photo')} without a usable face left out")
            cohort = people if cohort is None else cohort.joined(people)
    assert cohort is not None
    calibration = recalibrate(model, cohort, folder, add=add)
    rows = [
        {
            "population": part.name,
            "people": part.people,
            "faces": part.faces,
            "genuine_pairs": part.genuine_pairs,
            "impostor_pairs": part.impostor_pairs,
            "smallest_fmr": part.rates[0] if part.rates else None,
        }
        for part in calibration.populations
    ]
    show(rows, list(rows[0]), options.form)
    say(f"{folder}: calibrated; use it with --model {folder if out else model.name}")
