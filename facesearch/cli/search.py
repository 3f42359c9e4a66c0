"""enroll, identify, compare."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch import serialization
from facesearch.cli.output import say, show, shown_progress
from facesearch.core.errors import NothingEnrolled, PhotoError
from facesearch.vision import photo_files

if TYPE_CHECKING:
    from facesearch.client import Client
    from facesearch.core.progress import Progress
    from facesearch.enrollment.local_reader import PhotoReader
    from facesearch.gallery.legacy import Gallery, Identification
    from facesearch.matching.comparison import Comparison
    from facesearch.vision.embedder import Embedder

from facesearch.cli.common import (
    Paths,
    Prior,
    Threshold_,
    app,
    chosen_model,
    embedder_of,
    opened,
    opened_if_there,
    options,
    reached,
    warn,
)


class Faces(StrEnum):
    """Which faces of a photo with several."""

    only = "only"
    largest = "largest"
    all = "all"


@app.command()
def enroll(
    photos: Paths,
    name: Annotated[str | None, typer.Option(help="Who is on the photos.")] = None,
    tree: Annotated[
        bool, typer.Option("--tree", help="A folder per person; its name is theirs.")
    ] = False,
    faces: Annotated[
        Faces,
        typer.Option(
            help="Of a photo with several: the only one that is like the rest of the folder, the "
            "largest, or all."
        ),
    ] = Faces.only,
    yes: Annotated[
        bool, typer.Option("--yes", help="Enrol what would be held back, and near duplicates.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would become of each; write nothing.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Look at the photos on a Ray cluster: HOST:PORT, auto, or local for this machine.",
        ),
    ] = None,
) -> None:
    """Enrol people from photos: --name for one person, --tree for a folder per person.

    A folder is looked at as a whole: a face that is unlike the rest of it is held back, with the
    reason, unless --yes is given. Photos known already, by content, are left alone; one bad photo
    never stops the rest.
    """
    if (name is None) != tree:
        raise typer.BadParameter("give either --name NAME or --tree")
    if ray is not None and options.server:
        raise typer.BadParameter("--ray: a service looks at the photos itself")
    from facesearch.gallery.legacy import Gallery, clean_name

    if tree:
        from facesearch.vision.photo_files import people_in

        people = [found for folder in photos for found in people_in(folder).items()]
        asked = [(who, path) for who, paths in people for path in paths]
        entries = [entry for folder in photos for entry in folder.iterdir() if entry.is_file()]
        loose = sum(entry.suffix.lower() in photo_files.SUFFIXES for entry in entries)
        if loose:
            warn(f"{loose} photos lie beside the people's folders and are left alone")
    else:
        assert name is not None
        name = clean_name(name)  # before any work is done
        asked = [(name, path) for path in photo_files.expand(photos)]

    embedder = None if options.server else embedder_of(chosen_model())
    counts = {"enrolled": 0, "duplicate": 0, "skipped": 0, "held": 0}

    def results(
        gallery: "Gallery | Client", progress: "Progress", looker: "PhotoReader | None"
    ) -> Iterator[dict[str, Any]]:
        how: dict[str, bool] = {"insist": yes, "dry_run": dry_run}
        if isinstance(gallery, Gallery):
            assert embedder is not None
            found = gallery.enroll(asked, embedder, progress, faces.value, looker=looker, **how)
        else:
            found = gallery.enroll(asked, None, progress, faces.value, **how)
        for result in found:
            counts["held" if result.held else result.status] += 1
            yield serialization.enrolment(result)

    with (
        _to_enroll(dry_run) as gallery,
        _looker(ray, embedder) as looker,
        shown_progress(options.quiet) as progress,
    ):
        show(
            results(gallery, progress, looker),
            ["photo", "name", "status", "reason"],
            options.form,
            skip=lambda row: row["status"] == "enrolled" and not row["reason"],
        )
    whom = f"{len(people)} people" if tree else repr(name)
    say(
        f"{whom}: {counts['enrolled']} enrolled, {counts['duplicate']} known already, "
        f"{counts['skipped']} skipped, {counts['held']} held back"
        + (" (--yes enrols these as well)" if counts["held"] else "")
        + ("; nothing was written" if dry_run else "")
    )
    if not counts["enrolled"] + counts["duplicate"]:
        raise NothingEnrolled("no photo was enrolled")


@contextmanager
def _to_enroll(dry_run: bool) -> "Iterator[Gallery | Client]":
    """The gallery; a dry run makes none."""
    if options.server:
        with reached() as there:
            yield there
    else:
        with opened_if_there() if dry_run else opened(create=True) as gallery:
            yield gallery


@contextmanager
def _looker(address: str | None, embedder: "Embedder | None") -> "Iterator[PhotoReader | None]":
    """The workers of a Ray cluster, where there is one."""
    if address is None or embedder is None:
        yield None
        return
    from facesearch.enrollment.ray_reader import workers

    with workers(address, embedder, verbose=options.debug) as looker:
        yield looker


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
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Compare with everybody, in a gallery of millions too."),
    ] = False,
    annotate: Annotated[
        Path | None,
        typer.Option(help="Draw the answers: a file, or for several photos a folder."),
    ] = None,
) -> None:
    """Name every face in photos: match, unknown, ambiguous or unusable."""

    if fpir is not None and threshold is not None:
        raise typer.BadParameter("--fpir and --threshold exclude each other")
    paths = list(photo_files.expand(photos))
    errors: list[PhotoError] = []
    matches = 0
    embedder = None if options.server else embedder_of(chosen_model())
    with reached() as gallery, shown_progress(options.quiet) as progress:
        every = _searched(gallery, embedder, paths, fpir, threshold, progress, top, prior, exact)

        def answers() -> Iterator[dict[str, Any]]:
            nonlocal matches
            for path, found in every:
                if isinstance(found, PhotoError):
                    errors.append(found)
                    say(f"error: {found}")
                    continue
                matches += sum(answer.decision.answer == "match" for answer in found)
                if annotate is not None:
                    _annotate(path, found, annotate, several=len(paths) > 1)
                yield from (serialization.identification(answer) for answer in found)

        show(
            answers(),
            ["photo", "face", "answer", "name", "distance", "probability", "reason"],
            options.form,
        )
    if errors:
        raise typer.Exit(PhotoError.exit_code)
    raise typer.Exit(0 if matches else 1)


def _searched(
    gallery: "Gallery | Client",
    embedder: "Embedder | None",
    paths: list[Path],
    fpir: float | None,
    threshold: float | None,
    progress: "Progress",
    top: int,
    prior: float,
    exact: bool,
) -> "Iterator[tuple[Path, list[Identification] | PhotoError]]":
    from facesearch.gallery.legacy import Gallery

    if not isinstance(gallery, Gallery):
        return gallery.identify(
            paths, fpir=fpir, threshold=threshold, top=top, prior=prior, progress=progress
        )
    from facesearch.matching.calibration import calibration_of
    from facesearch.matching.thresholds import Threshold, threshold_to_search

    assert embedder is not None
    calibration = calibration_of(embedder.model)
    if threshold is not None:
        limit = Threshold(threshold)
    else:
        gallery.check_model(embedder)
        strangers = gallery.impostor_scores(embedder.model)
        limit = threshold_to_search(calibration, strangers, fpir)
        warn(limit.warning)
    return gallery.identify(
        paths, embedder, limit.distance, calibration, progress, top, prior, exact=exact
    )


def _annotate(path: Path, found: "list[Identification]", out: Path, several: bool) -> None:
    from facesearch.vision.annotate import annotate

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
    if fmr is not None and threshold is not None:
        raise typer.BadParameter("--fmr and --threshold exclude each other")
    if options.server:
        from facesearch.client import Client

        with Client(options.server) as client:
            result = client.compare(a, b, fmr=fmr, threshold=threshold, prior=prior)
    else:
        result = _compared(a, b, fmr, threshold, prior)
    show(
        [serialization.comparison(result)],
        ["a", "b", "same", "distance", "threshold", "probability", "reason"],
        options.form,
    )
    raise typer.Exit(0 if result.same else 1)


def _compared(
    a: Path, b: Path, fmr: float | None, threshold: float | None, prior: float
) -> "Comparison":
    embedder = embedder_of(chosen_model())
    from facesearch.matching import comparison, thresholds  # while the network is loaded
    from facesearch.matching.calibration import calibration_of

    calibration = calibration_of(embedder.model)
    limit = (
        thresholds.Threshold(threshold)
        if threshold is not None
        else thresholds.threshold_to_compare(calibration, fmr)
    )
    warn(limit.warning)
    return comparison.compare(embedder, calibration, a, b, limit.distance, prior)
