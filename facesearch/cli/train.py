"""train: a model of one's own."""

import json
import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from facesearch.cli.options import options, warn
from facesearch.cli.output import say, show, shown_progress
from facesearch.cli.program import MODELS, app
from facesearch.cli.session import recognizer
from facesearch.cli.signals import INTERRUPTED
from facesearch.core.extras import require
from facesearch.core.paths import model_home
from facesearch.core.words import plural


class Device(StrEnum):
    """Where to train; auto takes a GPU if there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Cost(StrEnum):
    """The loss that training minimises."""

    contrastive = "contrastive"
    triplet = "triplet"


class Mined(StrEnum):
    """Which pairs of a batch the loss counts."""

    all = "all"
    random = "random"
    hard = "hard"
    memory = "memory"


@app.command(rich_help_panel=MODELS)
def train(
    data: Annotated[Path, typer.Argument(help="A folder with a folder of photos per person.")],
    name: Annotated[
        str | None, typer.Option(help="The model's name. Default: the name of the folder.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write the model to, instead of a name.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How many epochs to train.")] = None,
    batches: Annotated[int | None, typer.Option(min=1, help="Batches in an epoch.")] = None,
    rate: Annotated[float | None, typer.Option(help="The peak of the learning rate.")] = None,
    size: Annotated[int | None, typer.Option(min=32, help="The side of a chip, in pixels.")] = None,
    loss: Annotated[Cost, typer.Option(help="The loss.")] = Cost.contrastive,
    mining: Annotated[
        Mined,
        typer.Option(
            help="The pairs that the loss counts: `all` of a batch; `hard`, the hardest of each "
            "face; `random`, as many impostor pairs as genuine ones; or `memory`, all, and pairs "
            "with faces of earlier batches."
        ),
    ] = Mined.all,
    identity: Annotated[
        float,
        typer.Option(min=0, help="The weight of an identity softmax beside the loss."),
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="The seed of everything random.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a stopped run.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard a stopped run and begin again.")
    ] = False,
    pictures: Annotated[
        bool, typer.Option(help="Whether the report may show photos of the data.")
    ] = True,
) -> None:
    """Train a model of your own on a folder of photos per person.

    The people are split three ways: the model learns from the first, is calibrated on the second
    and is tested once on the third. Ctrl-C stops after the last whole epoch, and --resume continues
    from there. Use the model with --model NAME. Needs the extra `train`.
    """
    require("train", "training")
    from facesearch.evaluation.model_card import REPORT, RESULTS
    from facesearch.training.config import TrainConfig
    from facesearch.training.losses import LossConfig
    from facesearch.training.train import train as train_model

    if name is not None and out is not None:
        raise typer.BadParameter("choose either --name or --out")
    if resume and restart:
        raise typer.BadParameter("choose either --resume or --restart")
    chosen = {"epochs": epochs, "batches": batches, "rate": rate, "size": size, "seed": seed}
    given: dict[str, Any] = {key: value for key, value in chosen.items() if value is not None}
    config = TrainConfig(**given, cost=LossConfig(loss.value, mining.value, identity=identity))
    for_card = [word for word in sys.argv[1:] if word not in ("--resume", "--restart")]
    folder = out or model_home() / (name or data.resolve().name)
    try:
        with shown_progress(options.quiet, long=True) as progress:
            model = train_model(
                data,
                folder,
                config,
                recognizer().model.detector_files,
                progress,
                detail=options.detail,
                min_face=options.min_face,
                device=device.value,
                resume=resume,
                restart=restart,
                pictures=pictures,
                command=shlex.join(["facesearch", *for_card]),
            )
    except KeyboardInterrupt:
        say(f"stopped; --resume goes on from the last whole epoch, kept in {folder}")
        raise typer.Exit(INTERRUPTED) from None
    if int(os.environ.get("RANK", "0")):
        return  # of several processes under torchrun only the first one reports
    results = json.loads((folder / REPORT / RESULTS).read_text("utf-8"))
    show(results, ["people", "pairs", "f1", "accuracy", "auc"], options.form)
    left_out = model.config["data"]["left_out"]
    if left_out:
        photos = plural(left_out, "photo")
        warn(f"{photos} without a usable face left out of training; left_out.txt lists them")
    say(f"{folder}: trained; read card.md and report/report.md; use it with --model {folder}")
