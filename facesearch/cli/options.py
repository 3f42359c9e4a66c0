"""The global options, and the options that several commands share."""

import os
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from facesearch.cli import internal
from facesearch.cli.output import Form, say
from facesearch.core.paths import DETAIL, MIN_FACE
from facesearch.core.version import __version__


@dataclass
class Options:
    """What the global options of this run say."""

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
    """The detectors of faces."""

    network = "network"
    dlib = "dlib"


class Precision(StrEnum):
    """The number formats in which a network computes."""

    fp32 = "fp32"
    int8 = "int8"


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"facesearch {__version__}")
        raise typer.Exit


def read_options(
    gallery: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="The gallery: a folder, a database (postgresql+psycopg://USER@HOST/NAME) or a "
            "service (http://HOST:8000). Default: FACESEARCH_GALLERY, then ./index_data, then "
            "your own gallery.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            help="The key file that opens an encrypted gallery. Default: FACESEARCH_KEY_FILE, "
            "FACESEARCH_PASSPHRASE, or a question on the terminal."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The name or the folder of a model. Default: FACESEARCH_MODEL, then `default`."
        ),
    ] = None,
    detector: Annotated[
        Detector | None,
        typer.Option(
            help="How faces are found: `network` finds them at any angle, size or cover; `dlib` "
            "only upright and from the front. Default: the model's own."
        ),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="How the network computes: int8 is faster, if the model has it. "
            "Default: the model's own."
        ),
    ] = None,
    detail: Annotated[
        int,
        typer.Option(
            min=160,
            max=10000,
            help="Photos are shrunk to this length in pixels before faces are looked for. More "
            "finds smaller faces and takes longer.",
        ),
    ] = DETAIL,
    min_face: Annotated[
        float, typer.Option(min=1, help="Ignore faces narrower than this many pixels.")
    ] = MIN_FACE,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print results as JSON, one object a line.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print results as comma-separated values.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Show no progress and no warnings.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Print the stack trace of an error. It may contain names and paths, so it asks "
            "first; FACESEARCH_DEBUG=yes answers.",
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Set `options` from the command line. Raises typer.BadParameter if they contradict."""
    if as_json and as_csv:
        raise typer.BadParameter("choose either --json or --csv")
    named = gallery or os.environ.get("FACESEARCH_GALLERY") or ""
    server = named if named.startswith(("http://", "https://")) else None
    if server and (model, detector, precision, key_file) != (None, None, None, None):
        raise typer.BadParameter(
            "a service chooses these itself: --model, --detector, --precision, --key-file"
        )
    given = Options(
        gallery=None if server else gallery,
        server=server,
        model=model,
        detector=detector.value if detector else None,
        precision=precision.value if precision else None,
        detail=detail,
        min_face=min_face,
        form="json" if as_json else "csv" if as_csv else "table",
        quiet=quiet,
        key_file=key_file,
        debug=debug and internal.allow_debug(),
    )
    for field in fields(Options):
        setattr(options, field.name, getattr(given, field.name))


def warn(line: str) -> None:
    """Print a warning on stderr, unless there is nothing to say or --quiet is given."""
    if line and not options.quiet:
        say(f"warning: {line}")


Photos = Annotated[list[Path], typer.Argument(help="Photos, and folders of photos.")]
Fpir = Annotated[
    float | None,
    typer.Option(help="The share of strangers who may be given a name by mistake. Default: 0.01."),
]
Fmr = Annotated[
    float | None,
    typer.Option(
        help="The share of different people who may be called the same by mistake. Default: 0.001."
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0, max=2, help="The largest distance that is a match, instead of an accepted error."
    ),
]
Prior = Annotated[
    float,
    typer.Option(
        min=0.000001,
        max=0.999999,
        help="How likely a match was before looking; the printed probability starts from it.",
    ),
]
Aligned = Annotated[
    bool,
    typer.Option("--aligned", help="The pictures are aligned chips already; detect nothing."),
]
