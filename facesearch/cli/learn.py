"""train, evaluate, calibrate."""

import json
import os
import shlex
import sys
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch.cli.output import say, show, shown_progress
from facesearch.core.errors import MissingExtra
from facesearch.core.paths import model_home, shipped_models

if TYPE_CHECKING:
    pass

from facesearch.cli.common import INTERRUPTED, app, chosen_model, embedder_of, options, warn


class Device(StrEnum):
    """Where to train; auto takes a GPU where there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Cost(StrEnum):
    """What training minimises."""

    contrastive = "contrastive"
    triplet = "triplet"


class Mined(StrEnum):
    """The pairs of a batch that count."""

    all = "all"
    random = "random"
    hard = "hard"
    memory = "memory"


class Protocol(StrEnum):
    """What is measured."""

    pairs = "pairs"
    open_set = "open-set"


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="A folder of photos per person.")],
    name: Annotated[
        str | None, typer.Option(help="The model's name [default: the folder's].")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The model's folder, instead of a name.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    batches: Annotated[int | None, typer.Option(min=1, help="In an epoch.")] = None,
    rate: Annotated[float | None, typer.Option(help="The learning rate's peak.")] = None,
    size: Annotated[int | None, typer.Option(min=32, help="Pixels of a chip's side.")] = None,
    loss: Annotated[Cost, typer.Option(help="Of pairs, or of triplets.")] = Cost.contrastive,
    mining: Annotated[
        Mined,
        typer.Option(
            help="The pairs that count: all of a batch, the hardest of each face, as many impostor "
            "as genuine ones at random, or all and those with a memory of earlier batches."
        ),
    ] = Mined.all,
    identity: Annotated[
        float, typer.Option(min=0, help="The weight of an identity softmax beside the loss.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Discard what is there.")] = False,
    pictures: Annotated[
        bool, typer.Option(help="Whether the report may show photos of the data.")
    ] = True,
) -> None:
    """Train a model of your own on a folder of photos per person.

    Split by person, calibrated on people that training never sees, tested on others, once. Ctrl-C
    stops after the last whole epoch; --resume goes on from there. Use it with --model NAME.
    """
    _need_torch()
    from facesearch.evaluation.model_card import REPORT, RESULTS
    from facesearch.training.config import TrainConfig
    from facesearch.training.losses import LossConfig
    from facesearch.training.train import train

    if name is not None and out is not None:
        raise typer.BadParameter("--name and --out exclude each other")
    if resume and restart:
        raise typer.BadParameter("--resume and --restart exclude each other")
    chosen = {"epochs": epochs, "batches": batches, "rate": rate, "size": size, "seed": seed}
    given: dict[str, Any] = {key: value for key, value in chosen.items() if value is not None}
    config = TrainConfig(**given, cost=LossConfig(loss.value, mining.value, identity=identity))
    anew = [word for word in sys.argv[1:] if word not in ("--resume", "--restart")]  # for the card
    folder = out or model_home() / (name or data.resolve().name)
    try:
        with shown_progress(options.quiet, long=True) as progress:
            model = train(
                data,
                folder,
                config,
                chosen_model().detector_files,
                progress,
                detail=options.detail,
                min_face=options.min_face,
                device=device.value,
                resume=resume,
                restart=restart,
                pictures=pictures,
                command=shlex.join(["facesearch", *anew]),
            )
    except KeyboardInterrupt:
        say(f"stopped; --resume goes on from the last whole epoch, kept in {folder}")
        raise typer.Exit(INTERRUPTED) from None
    if int(os.environ.get("RANK", "0")):
        return  # of several processes under torchrun the first one reports
    results = json.loads((folder / REPORT / RESULTS).read_text("utf-8"))
    show(results, ["people", "pairs", "f1", "accuracy", "auc"], options.form)
    left_out = model.config["data"]["left_out"]
    if left_out:
        warn(f"{left_out} photos without a usable face were left out; see left_out.txt")
    say(f"{folder}: done; see card.md and report/report.md; use it with --model {folder}")


def _need_torch() -> None:
    missing = [package for package in ("torch", "onnx") if not find_spec(package)]
    if missing:
        raise MissingExtra(f"training needs {', '.join(missing)}: pip install 'facesearch[train]'")


@app.command()
def evaluate(
    data: Annotated[Path, typer.Argument(help="A folder of photos per person.")],
    pairs: Annotated[
        Path | None, typer.Option(help="A list of pairs in LFW's format, instead of all pairs.")
    ] = None,
    protocol: Annotated[
        Protocol, typer.Option(help="Pairs of photos, or searches of galleries by strangers, too.")
    ] = Protocol.pairs,
    people: Annotated[
        Path | None, typer.Option(help="A list of people in LFW's format: nobody else.")
    ] = None,
    enrolled: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="open-set: people in a gallery; may be repeated [default: 10, 100, 1000]."
        ),
    ] = None,
    photos: Annotated[
        int | None, typer.Option(min=1, help="open-set: photos enrolled of a person [default: 3].")
    ] = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The pictures are aligned chips already.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="A folder for a report with tables and plots.")
    ] = None,
) -> None:
    """Measure a model on people whom it was not trained on, with 95 % intervals.

    With --pairs LFW's protocol: of a list with folds each is judged at the threshold that is most
    accurate on the others, one without at the model's best-F1 threshold. Without it all pairs.
    Photos without a face count as failures.
    """
    searches = protocol is Protocol.open_set
    if pairs is not None and (searches or people is not None):
        raise typer.BadParameter("--pairs excludes --people and --protocol open-set")
    if not searches and (enrolled or photos is not None):
        raise typer.BadParameter("--enrolled and --photos belong to --protocol open-set")
    from facesearch.evaluation import evaluate as measure
    from facesearch.evaluation import report as reporting
    from facesearch.evaluation.lfw import listed, read_pairs
    from facesearch.matching.calibration import calibration_of
    from facesearch.metrics.open_set import PHOTOS
    from facesearch.vision.photo_files import people_in

    model = chosen_model()
    command = shlex.join(["facesearch", *sys.argv[1:]])
    chosen = {} if pairs is not None else people_in(data)
    if people is not None:
        chosen = listed(chosen, people)
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)  # before the work of minutes
    found: reporting.Found
    with shown_progress(options.quiet) as progress:
        embedder = embedder_of(model)
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
            threshold = calibration_of(model).f1_threshold
            if pairs is not None:
                asked = read_pairs(pairs, data)
                found = measure.evaluate(embedder, asked, threshold, progress, aligned=aligned)
            else:
                found = measure.evaluate_all(embedder, chosen, threshold, progress, aligned=aligned)
    if found.unreadable:
        count, first = len(found.unreadable), found.unreadable[0]
        warn(f"{count} photos cannot be read and count as failures; the first: {first}")
    if report is not None:
        reporting.write(report, command, model.name, found)
    table = reporting.table(found)
    rows = table if options.form == "table" else reporting.rows(model.name, found)
    show(rows, list(table[0]), options.form)


@app.command()
def calibrate(
    data: Annotated[
        list[Path], typer.Argument(help="Folders of photos per person; each is one population.")
    ],
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The pictures are aligned chips already.")
    ] = False,
    add: Annotated[
        bool, typer.Option("--add", help="Keep the people whom the model is calibrated with now.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="The model's new folder [default: its own; of a shipped one a copy]."),
    ] = None,
) -> None:
    """Calibrate a model on people of your own: thresholds for the errors you accept.

    They must be people whom the model was not trained on: many of them, a hundred thousand pairs
    of people for a false match rate of 0.001. What is promised holds for each population.
    """
    from facesearch.evaluation.recalibrate import population, recalibrate

    if options.detector is not None or options.precision is not None:
        raise typer.BadParameter("a model is calibrated with its own detector and precision")
    model = chosen_model()
    shipped = model.folder.parent == shipped_models()
    folder = out or (model_home() / model.name if shipped else model.folder)
    cohort = None
    with shown_progress(options.quiet) as progress:
        for part in data:
            people, unused = population(embedder_of(model), part, progress, aligned=aligned)
            if unused:
                warn(f"{part}: {unused} photos without a usable face were left out")
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
