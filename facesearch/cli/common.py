"""What the commands share: the program, the global options, the gallery and the model."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from facesearch.cli import internal
from facesearch.cli.output import Form, say
from facesearch.core.errors import FacesearchError, GalleryError
from facesearch.core.paths import DETAIL, MIN_FACE, find_gallery, find_model
from facesearch.core.version import __version__

if TYPE_CHECKING:
    from facesearch.client import Client
    from facesearch.gallery.legacy import Gallery
    from facesearch.storage.vault import Kind
    from facesearch.vision.embedder import Embedder
    from facesearch.vision.model import Model


INTERRUPTED, TERMINATED = 130, 143

GLOBAL_FLAGS = frozenset({"--json", "--csv", "--quiet", "--version", "--debug"})
GLOBAL_VALUES = frozenset(
    {"--gallery", "--key-file", "--model", "--detector", "--precision", "--detail", "--min-face"}
)


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends as orderly as Ctrl-C."""

    came = False


class Interrupted(KeyboardInterrupt):
    """Ctrl-C."""

    came = False


def terminated(number: int, frame: object) -> NoReturn:
    Terminated.came = True
    raise Terminated


def interrupted(number: int, frame: object) -> NoReturn:
    Interrupted.came = True
    raise Interrupted


class Commands(TyperGroup):
    """Turns library errors into one line on stderr and an exit code."""

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
        except OSError as error:  # a disk that is full, a folder that is not ours
            say(f"error: {error.filename or 'input or output'}: {error.strerror or error}")
            raise typer.Exit(FacesearchError.exit_code) from error
        except KeyboardInterrupt as error:
            say("interrupted; what was written so far is kept")
            raise typer.Exit(TERMINATED if Terminated.came else INTERRUPTED) from error


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Who is this, and are these two the same person? Offline, from folders of photos.",
    epilog="These options may also follow the command.",
)
people_app = typer.Typer(no_args_is_help=True, help="List, show, correct and remove people.")
gallery_app = typer.Typer(no_args_is_help=True, help="Look after the gallery.")
models_app = typer.Typer(
    no_args_is_help=True, help="List models, and make one of a public network."
)
app.add_typer(people_app, name="people")
app.add_typer(gallery_app, name="gallery")
app.add_typer(models_app, name="models")


@dataclass
class Options:
    """What the global options say."""

    gallery: str | None = None  # may hold a password
    server: str | None = None  # the address of a service, instead of a gallery
    model: str | None = None
    detector: str | None = None
    precision: str | None = None
    detail: int = DETAIL
    min_face: float = MIN_FACE
    form: Form = "table"
    quiet: bool = False
    key_file: Path | None = None
    debug: bool = False


options = Options()


class Detector(StrEnum):
    """What finds faces."""

    network = "network"
    dlib = "dlib"


class Precision(StrEnum):
    """Of the network's numbers."""

    fp32 = "fp32"
    int8 = "int8"


def globals_first(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The global options, which may stand anywhere, and the other arguments."""
    first: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            return first, [*rest, "--", *waiting]
        if argument in GLOBAL_FLAGS or argument.split("=")[0] in GLOBAL_VALUES:
            first.append(argument)
            if argument in GLOBAL_VALUES:
                first.extend(value for value in [next(waiting, None)] if value is not None)
        else:
            rest.append(argument)
    return first, rest


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"facesearch {__version__}")
        raise typer.Exit


@app.callback()
def common(
    gallery: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="The gallery's folder; or a database, postgresql+psycopg://USER@HOST/NAME; or a "
            "service, http://HOST:8000; else FACESEARCH_GALLERY, ./index_data, or yours.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            help="Opens an encrypted gallery; else FACESEARCH_KEY_FILE, FACESEARCH_PASSPHRASE, "
            "or asked for."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model's name or folder; else FACESEARCH_MODEL, default.")
    ] = None,
    detector: Annotated[
        Detector | None,
        typer.Option(
            help="What finds faces: our own network (any angle, size or cover) or dlib (upright "
            "and frontal) [default: the model's]."
        ),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="In which the network computes; int8 is quicker, for models that have it "
            "[default: the model's]."
        ),
    ] = None,
    detail: Annotated[
        int,
        typer.Option(
            min=160,
            max=10000,
            help="The network looks at photos this many pixels long; more: slower, smaller faces.",
        ),
    ] = DETAIL,
    min_face: Annotated[
        float, typer.Option(min=1, help="Leave out faces narrower than this many pixels.")
    ] = MIN_FACE,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no warnings.")] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Print the trace of an error. It may contain names and paths: asks first, or "
            "wants FACESEARCH_DEBUG=yes.",
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    finder = detector.value if detector else None
    form: Form = "json" if as_json else "csv" if as_csv else "table"
    named = gallery or os.environ.get("FACESEARCH_GALLERY") or ""
    server = named if named.startswith(("http://", "https://")) else None
    given = Options(
        None if server else gallery,
        server,
        model,
        finder,
        precision and precision.value,
        detail,
        min_face,
        form,
        quiet,
        key_file,
    )
    if server and (model, finder, precision, key_file) != (None, None, None, None):
        raise typer.BadParameter(
            "--model, --detector, --precision and --key-file are the service's choice"
        )
    given.debug = debug and internal.allow_debug()
    for key, value in vars(given).items():
        setattr(options, key, value)


def warn(line: str) -> None:
    if line and not options.quiet:
        say(f"warning: {line}")


@contextmanager
def opened(*, create: bool = False) -> "Iterator[Gallery]":
    from facesearch.gallery.legacy import Gallery

    with Gallery(gallery_place(), create=create, keys=given_keys) as gallery:
        yield gallery


def gallery_place() -> Path | str:
    """A folder or a database. Raises GalleryError if a service was named instead."""
    if options.server:
        raise GalleryError(
            f"{options.server}: a service; this command needs the gallery itself, on its machine"
        )
    return find_gallery(options.gallery)


@contextmanager
def opened_if_there() -> "Iterator[Gallery]":
    """The gallery; where there is none an empty one elsewhere, so that none is made."""
    from facesearch.gallery.legacy import Gallery
    from facesearch.storage.database import is_there

    if is_there(gallery_place()):
        with opened() as gallery:
            yield gallery
    else:
        with TemporaryDirectory() as folder, Gallery(Path(folder), create=True) as gallery:
            yield gallery


@contextmanager
def reached() -> "Iterator[Gallery | Client]":
    """The gallery, in its folder or at a service."""
    if options.server is None:
        with opened() as gallery:
            yield gallery
        return
    from facesearch.client import Client

    with Client(options.server) as client:
        yield client


@cache
def given_keys(kind: "Kind") -> bytes:
    """What opens an encrypted gallery: as the options, the environment or the user says."""
    from facesearch.storage.vault import from_environment, key_file_bytes, passphrase_bytes

    if kind == "key file" and options.key_file is not None:
        return key_file_bytes(options.key_file)
    asked = kind == "passphrase" and not os.environ.get("FACESEARCH_PASSPHRASE")
    if asked and sys.stdin.isatty():
        return passphrase_bytes(typer.prompt("Passphrase", hide_input=True, err=True))
    return from_environment(kind)


def chosen_model() -> "Model":
    from facesearch.vision.model import Model

    return Model(find_model(options.model), options.detector, options.precision)


def embedder_of(model: "Model") -> "Embedder":
    from facesearch.vision.embedder import Embedder

    return Embedder(model, options.detail, options.min_face)


Paths = Annotated[list[Path], typer.Argument(help="Photos, and folders of photos.")]
Threshold_ = Annotated[
    float | None, typer.Option(min=0, max=2, help="The largest distance to accept.")
]
Prior = Annotated[
    float,
    typer.Option(
        min=0.000001,
        max=0.999999,
        help="How likely a match was beforehand; the probability printed starts from it.",
    ),
]
