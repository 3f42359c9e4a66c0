"""models: list, import."""

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from facesearch.cli.options import options
from facesearch.cli.output import say, show
from facesearch.cli.program import models_app
from facesearch.cli.session import recognizer
from facesearch.core.extras import require
from facesearch.core.paths import model_home


class Template(StrEnum):
    """Where a public network expects eyes, nose and mouth."""

    arcface = "arcface"


class Pixels(StrEnum):
    """The order of channels and the range of values that a public network expects."""

    rgb_0_255 = "rgb-0-255"
    rgb_0_1 = "rgb-0-1"
    rgb_1_1 = "rgb-1-1"
    bgr_0_255 = "bgr-0-255"
    bgr_0_1 = "bgr-0-1"
    bgr_1_1 = "bgr-1-1"


@models_app.command("list")
def models_list() -> None:
    """List the models that --model knows by name.

    Yours come first, then the shipped ones.
    """
    from facesearch.vision.model import known_models

    rows = [
        {"name": each.name, "calibrated": each.calibrated, "folder": str(each.folder)}
        for each in known_models()
    ]
    show(rows, ["name", "calibrated", "folder"], options.form)


@models_app.command("import")
def models_import(
    file: Annotated[
        Path, typer.Argument(help="An ONNX file that makes a vector of 112 x 112 pixels.")
    ],
    name: Annotated[
        str | None, typer.Option(help="The model's name. Default: the name of the file.")
    ] = None,
    template: Annotated[
        Template, typer.Option(help="Where the network expects eyes, nose and mouth.")
    ] = Template.arcface,
    pixels: Annotated[
        Pixels,
        typer.Option(
            "--input",
            help="The order of channels and the range of values that the network expects; `1-1` "
            "is from -1 to 1.",
        ),
    ] = Pixels.rgb_0_255,
) -> None:
    """Make a model of a public network.

    Its faces are found by the default detector. Calibrate it next, on people of your own. Needs
    the extra `train`.
    """
    require("train", "importing")
    from facesearch.training.onnx_import import import_network

    folder = model_home() / (name or file.stem)
    if folder.parent != model_home() or folder.name.startswith("."):
        raise typer.BadParameter(f"{name!r} cannot be the name of a model")
    command = shlex.join(["facesearch", *sys.argv[1:]])
    model = import_network(
        file,
        folder,
        recognizer().model,
        template=template.value,
        pixels=pixels.value,
        command=command,
    )
    show([{"name": model.name, "folder": str(folder)}], ["name", "folder"], options.form)
    say(f"not calibrated yet: facesearch calibrate YOUR_PEOPLE --model {shlex.quote(model.name)}")
