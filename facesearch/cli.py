"""The command line: parse, call, print."""

import json
import os
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from facesearch import __version__
from facesearch.errors import FacesearchError, MissingExtra, NothingEnrolled, PhotoError
from facesearch.settings import (
    DETAIL,
    MIN_FACE,
    find_gallery,
    find_model,
    model_home,
    shipped_models,
)
from facesearch.terminal import Form, say, show, shown_progress

if TYPE_CHECKING:
    from facesearch.decide import Threshold
    from facesearch.embed import Embedder
    from facesearch.gallery import Enrolment, Gallery, Identification
    from facesearch.model import Model
    from facesearch.progress import Progress

INTERRUPTED = 130

GLOBAL_FLAGS = frozenset({"--json", "--csv", "--quiet", "--version"})
GLOBAL_VALUES = frozenset(
    {"--gallery", "--model", "--detector", "--precision", "--detail", "--min-face"}
)


class Commands(TyperGroup):
    """Turns library errors into one line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except FacesearchError as error:
            say(f"error: {error}")
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError:
            raise  # whoever read the results has seen enough; Typer ends the program
        except OSError as error:  # a disk that is full, a folder that is not ours
            say(f"error: {error.filename or 'input or output'}: {error.strerror or error}")
            raise typer.Exit(FacesearchError.exit_code) from error
        except KeyboardInterrupt as error:
            say("interrupted; what was written so far is kept")
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Who is this, and are these two the same person? Offline, from folders of photos.",
    epilog="These options may also follow the command.",
)
people_app = typer.Typer(no_args_is_help=True, help="List, show, rename and remove people.")
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

    gallery: Path | None = None
    model: str | None = None
    detector: str | None = None
    precision: str = "fp32"
    detail: int = DETAIL
    min_face: float = MIN_FACE
    form: Form = "table"
    quiet: bool = False


options = Options()


class Detector(StrEnum):
    """What finds faces."""

    network = "network"
    dlib = "dlib"


class Precision(StrEnum):
    """Of the network's numbers."""

    fp32 = "fp32"
    int8 = "int8"


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


class Faces(StrEnum):
    """Which faces of a photo with several."""

    only = "only"
    largest = "largest"
    all = "all"


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


def main() -> None:
    """The command `facesearch`."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd metadata
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not every path is UTF-8, not every terminal either
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    app(globals_first(sys.argv[1:]))


def globals_first(arguments: list[str]) -> list[str]:
    """The arguments with the global options moved to the front, so that they may stand anywhere."""
    first: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            return [*first, *rest, "--", *waiting]
        if argument in GLOBAL_FLAGS or argument.split("=")[0] in GLOBAL_VALUES:
            first.append(argument)
            if argument in GLOBAL_VALUES:
                first.extend(value for value in [next(waiting, None)] if value is not None)
        else:
            rest.append(argument)
    return first + rest


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"facesearch {__version__}")
        raise typer.Exit


@app.callback()
def common(
    gallery: Annotated[
        Path | None,
        typer.Option(help="The gallery's folder; else FACESEARCH_GALLERY, ./index_data, or yours."),
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
        Precision,
        typer.Option(
            help="In which the network computes; int8 is quicker, for models that have it."
        ),
    ] = Precision.fp32,
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
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    global options
    finder = detector.value if detector else None
    form: Form = "json" if as_json else "csv" if as_csv else "table"
    options = Options(gallery, model, finder, precision.value, detail, min_face, form, quiet)


def warn(line: str) -> None:
    if line and not options.quiet:
        say(f"warning: {line}")


@contextmanager
def opened(*, create: bool = False) -> "Iterator[Gallery]":
    from facesearch.gallery import Gallery

    with Gallery(find_gallery(options.gallery), create=create) as gallery:
        yield gallery


def chosen_model() -> "Model":
    from facesearch.model import Model

    return Model(find_model(options.model), options.detector, options.precision)


def embedder_of(model: "Model") -> "Embedder":
    from facesearch.embed import Embedder

    return Embedder(model, options.detail, options.min_face)


# Commands

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


@app.command()
def enroll(
    photos: Paths,
    name: Annotated[str | None, typer.Option(help="Who is on the photos.")] = None,
    tree: Annotated[
        bool, typer.Option("--tree", help="A folder per person; its name is theirs.")
    ] = False,
    faces: Annotated[Faces, typer.Option(help="Of a photo with several faces.")] = Faces.only,
) -> None:
    """Enrol people from photos: --name for one person, --tree for a folder per person.

    Photos known already, by content, are left alone; one bad photo never stops the rest.
    """
    if (name is None) != tree:
        raise typer.BadParameter("give either --name NAME or --tree")
    from facesearch import images
    from facesearch.gallery import clean_name

    if tree:
        from facesearch.data import people_in

        people = [found for folder in photos for found in people_in(folder).items()]
        asked = [(who, path) for who, paths in people for path in paths]
        entries = [entry for folder in photos for entry in folder.iterdir() if entry.is_file()]
        loose = sum(entry.suffix.lower() in images.SUFFIXES for entry in entries)
        if loose:
            warn(f"{loose} photos lie beside the people's folders and are left alone")
    else:
        assert name is not None
        name = clean_name(name)  # before any work is done
        asked = [(name, path) for path in images.expand(photos)]

    embedder = embedder_of(chosen_model())
    counts = {"enrolled": 0, "duplicate": 0, "skipped": 0}

    def results(gallery: "Gallery", progress: "Progress") -> Iterator[dict[str, Any]]:
        for result in gallery.enroll(asked, embedder, progress, faces.value):
            counts[result.status] += 1
            yield _enrolment(result)

    with opened(create=True) as gallery, shown_progress(options.quiet) as progress:
        show(
            results(gallery, progress),
            ["photo", "name", "status", "reason"],
            options.form,
            skip=lambda row: row["status"] == "enrolled" and not row["reason"],
        )
    whom = f"{len(people)} people" if tree else repr(name)
    say(
        f"{whom}: {counts['enrolled']} enrolled, {counts['duplicate']} known already, "
        f"{counts['skipped']} skipped"
    )
    if not counts["enrolled"] + counts["duplicate"]:
        raise NothingEnrolled("no photo was enrolled")


def _enrolment(result: "Enrolment") -> dict[str, Any]:
    return {
        "photo": str(result.photo),
        "name": result.name,
        "status": result.status,
        "reason": result.reason,
        "faces": result.faces,
    }


@app.command()
def identify(
    photos: Paths,
    top: Annotated[int, typer.Option(min=1, help="Candidates listed for each face.")] = 5,
    fpir: Annotated[
        float | None,
        typer.Option(help="Accepted share of strangers who are given a name [default: 0.01]."),
    ] = None,
    threshold: Threshold_ = None,
    prior: Prior = 0.5,
    annotate: Annotated[
        Path | None,
        typer.Option(help="Draw the answers: a file, or for several photos a folder."),
    ] = None,
) -> None:
    """Name every face in photos: match, unknown, ambiguous or unusable."""
    from facesearch import images
    from facesearch.calibrate import calibration_of
    from facesearch.decide import Threshold, threshold_to_search

    if fpir is not None and threshold is not None:
        raise typer.BadParameter("--fpir and --threshold exclude each other")
    paths = list(images.expand(photos))
    errors: list[PhotoError] = []
    matches = 0
    with opened() as gallery, shown_progress(options.quiet) as progress:
        embedder = embedder_of(chosen_model())
        calibration = calibration_of(embedder.model)
        if threshold is not None:
            limit = Threshold(threshold)
        else:
            gallery.check_model(embedder)
            strangers = gallery.strangers(embedder.model)
            limit = threshold_to_search(calibration, strangers, fpir)
            warn(limit.warning)

        def rows() -> Iterator[dict[str, Any]]:
            nonlocal matches
            answers = gallery.identify(
                paths, embedder, limit.distance, calibration, progress, top, prior
            )
            for path, found in answers:
                if isinstance(found, PhotoError):
                    errors.append(found)
                    say(f"error: {found}")
                    continue
                matches += sum(answer.decision.answer == "match" for answer in found)
                if annotate is not None:
                    _annotate(path, found, annotate, several=len(paths) > 1)
                yield from (_identification(answer) for answer in found)

        show(
            rows(),
            ["photo", "face", "answer", "name", "distance", "probability", "reason"],
            options.form,
        )
    if errors:
        raise typer.Exit(PhotoError.exit_code)
    raise typer.Exit(0 if matches else 1)


def _identification(answer: "Identification") -> dict[str, Any]:
    decision = answer.decision
    return {
        "photo": str(answer.photo),
        "face": answer.face,
        "box": answer.box.rounded() if answer.box else None,
        "answer": decision.answer,
        "name": decision.name,
        "distance": decision.distance,
        "threshold": answer.threshold,
        "probability": decision.probability,
        "reason": decision.reason,
        "candidates": [
            {"name": near.name, "distance": near.distance, "photo": str(near.photo)}
            for near in answer.candidates
        ],
    }


def _annotate(path: Path, found: "list[Identification]", out: Path, several: bool) -> None:
    from facesearch.draw import annotate

    if out.exists() and out.samefile(path):
        raise PhotoError(f"{out}: the annotated picture would overwrite the photo")
    if several or out.is_dir():
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PhotoError(f"{out}: cannot be written ({error.strerror})") from error
        out = out / f"{path.stem}.jpg"
        number = 1
        while out.exists():
            number += 1
            out = out.with_stem(f"{path.stem}-{number}")
    annotate(
        path,
        [
            (answer.box, answer.decision.answer, answer.decision.name or answer.decision.answer)
            for answer in found
            if answer.box is not None
        ],
        out,
    )


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="A photo.")],
    b: Annotated[Path, typer.Argument(help="Another photo.")],
    fmr: Annotated[
        float | None,
        typer.Option(help="Accepted share of different people called the same [default: 0.001]."),
    ] = None,
    threshold: Threshold_ = None,
    prior: Prior = 0.5,
) -> None:
    """Tell whether two photos show the same person."""
    from facesearch import decide
    from facesearch.calibrate import calibration_of

    if fmr is not None and threshold is not None:
        raise typer.BadParameter("--fmr and --threshold exclude each other")
    embedder = embedder_of(chosen_model())
    calibration = calibration_of(embedder.model)
    limit: Threshold = (
        decide.Threshold(threshold)
        if threshold is not None
        else decide.threshold_to_compare(calibration, fmr)
    )
    warn(limit.warning)
    result = decide.compare(embedder, calibration, a, b, limit.distance, prior)
    row = {
        "a": str(a),
        "b": str(b),
        "same": result.same,
        "answer": result.answer,
        "distance": result.distance,
        "threshold": result.threshold,
        "probability": result.probability,
        "reason": result.reason,
    }
    show([row], ["a", "b", "same", "distance", "threshold", "probability", "reason"], options.form)
    raise typer.Exit(0 if result.same else 1)


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
    from facesearch.loss import LossConfig
    from facesearch.report import REPORT, RESULTS
    from facesearch.train import TrainConfig, train

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
                chosen_model().finders,
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
    missing = [package for package in ("torch", "torchvision", "onnx") if not find_spec(package)]
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
    from facesearch import evaluate as measure
    from facesearch import findings
    from facesearch.calibrate import calibration_of
    from facesearch.data import listed, people_in, read_pairs
    from facesearch.openset import PHOTOS

    model = chosen_model()
    command = shlex.join(["facesearch", *sys.argv[1:]])
    chosen = {} if pairs is not None else people_in(data)
    if people is not None:
        chosen = listed(chosen, people)
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)  # before the work of minutes
    found: findings.Found
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
        findings.write(report, command, model.name, found)
    table = findings.table(found)
    rows = table if options.form == "table" else findings.rows(model.name, found)
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
    from facesearch.recalibrate import population, recalibrate

    if options.detector is not None or options.precision != "fp32":
        raise typer.BadParameter("a model is calibrated with its own detector, in fp32")
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


@people_app.command("list")
def people_list() -> None:
    """Everybody who is enrolled."""
    with opened() as gallery:
        show(
            (asdict(person) for person in gallery.people()),
            ["name", "faces", "photos"],
            options.form,
        )


@people_app.command("show")
def people_show(name: str) -> None:
    """The enrolled faces of a person."""
    with opened() as gallery:
        show(
            (
                {"name": face.name, "photo": str(face.photo), "box": face.box.rounded()}
                for face in gallery.faces_of(name)
            ),
            ["photo", "box"],
            options.form,
        )


@people_app.command("rename")
def people_rename(old: str, new: str) -> None:
    """Give a person another name."""
    with opened() as gallery:
        gallery.rename(old, new)
    say(f"{old!r} is now {new!r}")


@people_app.command("remove")
def people_remove(
    name: str,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a person with all that is kept of them: faces, embeddings, photos' records.

    The photos themselves are not touched.
    """
    with opened() as gallery:
        faces = len(gallery.faces_of(name))
        if not yes:
            typer.confirm(f"Remove {name!r} with {faces} faces for good?", abort=True, err=True)
        gallery.remove(name)
    say(f"{name!r} and {faces} faces removed")


@gallery_app.command("info")
def gallery_info() -> None:
    """Where the gallery is, its sizes, its model, its index."""
    with opened() as gallery:
        row = asdict(gallery.info())
    row["folder"] = str(row["folder"])
    if options.form == "table":
        show([{"": key, " ": value} for key, value in row.items()], ["", " "], options.form)
    else:
        show([row], [], options.form)


@models_app.command("list")
def models_list() -> None:
    """The models that --model knows by name: yours, then the shipped ones."""
    from facesearch.model import CALIBRATION, CONFIG

    folders = {
        path.name: path
        for home in (shipped_models(), model_home())
        if home.is_dir()
        for path in sorted(home.iterdir())
        if (path / CONFIG).is_file()
    }
    rows = [
        {"name": name, "calibrated": (path / CALIBRATION).is_file(), "folder": str(path)}
        for name, path in folders.items()
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
    from facesearch.imported import import_network

    folder = model_home() / (name or file.stem)
    if folder.parent != model_home() or folder.name.startswith("."):
        raise typer.BadParameter(f"{name!r} is no name for a model")
    command = shlex.join(["facesearch", *sys.argv[1:]])
    model = import_network(
        file, folder, chosen_model(), template=template.value, pixels=pixels.value, command=command
    )
    show([{"name": model.name, "folder": str(folder)}], ["name", "folder"], options.form)
    say(f"not calibrated yet: facesearch calibrate YOUR_PEOPLE --model {shlex.quote(model.name)}")
