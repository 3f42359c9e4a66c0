"""models: list, import."""

import shlex
import sys
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch.cli.output import say, show
from facesearch.core.errors import MissingExtra
from facesearch.core.paths import model_home

if TYPE_CHECKING:
    pass

from facesearch.cli.common import chosen_model, models_app, options


class Template(StrEnum):
    """Where a public network expects the five points."""

    arcface = "arcface"


class Pixels(StrEnum):
    """What a public network takes for a pixel."""

    rgb_0_255 = "rgb-0-255"
    rgb_0_1 = "rgb-0-1"
    rgb_1_1 = "rgb-1-1"
    bgr_0_255 = "bgr-0-255"
    bgr_0_1 = "bgr-0-1"
    bgr_1_1 = "bgr-1-1"


@models_app.command("list")
def models_list() -> None:
    """The models that --model knows by name: yours, then the shipped ones."""
    from facesearch.vision.model import known_models

    rows = [
        {"name": each.name, "calibrated": each.calibrated, "folder": str(each.folder)}
        for each in known_models()
    ]
    show(rows, ["name", "calibrated", "folder"], options.form)


@models_app.command("import")
def models_import(
    file: Annotated[Path, typer.Argument(help="An ONNX file: 112 x 112 pixels to a vector.")],
    name: Annotated[
        str | None, typer.Option(help="The model's name [default: the file's].")
    ] = None,
    template: Annotated[
        Template, typer.Option(help="Where it expects the five points.")
    ] = Template.arcface,
    pixels: Annotated[
        Pixels, typer.Option("--input", help="The order of its channels, and their range.")
    ] = Pixels.rgb_0_255,
) -> None:
    """Make a model of a public network. Calibrate it next, on people of your own.

    -1-1 stands for values from -1 to 1. The default detector finds its faces.
    """
    if not find_spec("onnx"):
        raise MissingExtra("importing needs onnx: pip install 'facesearch[train]'")
    from facesearch.training.onnx_import import import_network

    folder = model_home() / (name or file.stem)
    if folder.parent != model_home() or folder.name.startswith("."):
        raise typer.BadParameter(f"{name!r} is no name for a model")
    command = shlex.join(["facesearch", *sys.argv[1:]])
    model = import_network(
        file, folder, chosen_model(), template=template.value, pixels=pixels.value, command=command
    )
    show([{"name": model.name, "folder": str(folder)}], ["name", "folder"], options.form)
    say(f"not calibrated yet: facesearch calibrate YOUR_PEOPLE --model {shlex.quote(model.name)}")
