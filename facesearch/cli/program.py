"""The program `facesearch`: its commands in the order of use, its help, and how errors end it.

To add a command, write a module with `@app.command(rich_help_panel=...)` and name it in MODULES.
"""

import re
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from facesearch.cli import internal, signals
from facesearch.cli.options import options, read_options
from facesearch.cli.output import say
from facesearch.core.errors import FacesearchError

FIND, PEOPLE, GALLERY, MODELS, START = (
    "Find people",
    "People",
    "Gallery and service",
    "Models",
    "First steps",
)
MODULES = {  # where each command is; help lists them in this order
    "enroll": "enroll",
    "identify": "identify",
    "compare": "compare",
    "people": "people",
    "undo": "people",
    "review": "review",
    "cluster": "review",
    "gallery": "gallery",
    "serve": "serve",
    "models": "models",
    "evaluate": "evaluate",
    "calibrate": "calibrate",
    "train": "train",
    "demo": "demo",
}
HELP = {"help_option_names": ["-h", "--help"]}
FLAGS = frozenset({"--json", "--csv", "--quiet", "--version", "--debug"})
VALUES = frozenset(
    {"--gallery", "--key-file", "--model", "--detector", "--precision", "--detail", "--min-face"}
)
TYPE = re.compile(r"<(.+?)>")  # as Typer shows what an option takes
RANGE = re.compile(r"([\d.e-]+)<=x<=([\d.e-]+)")
TYPES = {
    "str": "TEXT",
    "list[str]": "TEXT",
    "path": "PATH",
    "int": "N",
    "int range": "N",
    "list[int]": "N",
    "float": "NUMBER",
    "float range": "NUMBER",
}


class Command(TyperCommand):
    """A command with plain help. A shell completes the global options after it, too."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _with_global_options(ctx, super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [_argument(piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _list_parameters(self, ctx, formatter)


class Group(TyperGroup):
    """Commands, listed in the panels that they name."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _with_global_options(ctx, super().get_params(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _list_parameters(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        shown = [(name, command) for name, command in named if command and not command.hidden]
        if not shown:
            return
        width = max(len(name) for name, _ in shown)
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in shown:
            panel = getattr(command, "rich_help_panel", None) or "Commands"
            line = command.get_short_help_str(formatter.width - width - 6)
            panels.setdefault(panel, []).append((name.ljust(width), line))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)


class Program(Group):
    """All commands: global options stand anywhere; an error is one line and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = list(MODULES)
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: order.index(name) if name in order else len(order))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # a shell completes what stands where it stands
            first, rest = globals_first(args)
            args = [*first, *rest]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except FacesearchError as error:
            if options.debug:
                internal.print_trace(error)
            say(f"error: {error}")
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError:
            raise  # whoever read the results has seen enough; Typer ends the program
        except OSError as error:  # a full disk, a folder that belongs to somebody else
            say(f"error: {error.filename or 'input or output'}: {error.strerror or error}")
            raise typer.Exit(FacesearchError.exit_code) from error
        except KeyboardInterrupt as error:
            say("interrupted; everything written so far is kept")
            raise typer.Exit(signals.exit_code()) from error


class Commands(typer.Typer):
    """A Typer whose commands are of our class and say where the global options are explained."""

    def command(self, *arguments: Any, **settings: Any) -> Callable[[Any], Any]:
        settings.setdefault("cls", Command)
        settings.setdefault(
            "epilog", "Global options (--gallery, --json, ...): see facesearch --help."
        )
        return super().command(*arguments, **settings)


def globals_first(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split a command line into the global options, wherever they stand, and the rest."""
    first: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            return first, [*rest, "--", *waiting]
        if argument in FLAGS or argument.split("=")[0] in VALUES:
            first.append(argument)
            if argument in VALUES:
                first.extend(value for value in [next(waiting, None)] if value is not None)
        else:
            rest.append(argument)
    return first, rest


def parameters(command: Any, ctx: Any) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The arguments and the options of a command, each with its meaning, in plain words."""
    arguments, given = [], []
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is None:
            continue
        name, text = record
        if param.param_type_name == "argument":
            text = text.replace("[required]", "").strip()  # as the usage shows
            arguments.append((_argument(name.split(" <")[0]), text))
        else:
            text = RANGE.sub(r"\1 to \2", text).replace("x>=", "at least ")
            given.append((TYPE.sub(lambda found: TYPES.get(found[1], found[1]), name), text))
    return arguments, given


def _list_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    """Write the arguments and the options of a command into its help."""
    headings = zip(("Arguments", "Options"), parameters(command, ctx), strict=True)
    for heading, rows in headings:
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)


def _argument(piece: str) -> str:
    """An argument as usage shows it: PHOTOS... for Typer's {photos}..."""
    return piece.replace("{", "").replace("}", "").upper()


def _with_global_options(ctx: Any, own: list[Any]) -> list[Any]:
    root = ctx.find_root()
    if not ctx.resilient_parsing or ctx is root:
        return own
    names = {param.name for param in own}
    return [*own, *(param for param in root.command.params if param.name not in names)]


def _group(help: str) -> Commands:
    return Commands(cls=Group, no_args_is_help=True, rich_markup_mode=None, help=help)


app = Commands(
    cls=Program,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP,
    help="Recognise people in photos, offline: who is this, and are these two the same person?",
    epilog="Options may stand before or after the command. Start with: facesearch demo",
)
app.callback()(read_options)
people_app = _group("List, show, correct and remove people.")
gallery_app = _group("Look after the gallery itself.")
models_app = _group("List models, and import a public network as one.")
app.add_typer(people_app, name="people", rich_help_panel=PEOPLE)
app.add_typer(gallery_app, name="gallery", rich_help_panel=GALLERY)
app.add_typer(models_app, name="models", rich_help_panel=MODELS)
