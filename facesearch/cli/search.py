"""enroll, identify, compare."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch.errors import NothingEnrolled, PhotoError
from facesearch.settings import find_gallery
from facesearch.terminal import say, show, shown_progress

if TYPE_CHECKING:
    from facesearch.decide import Threshold
    from facesearch.gallery import Enrolment, Gallery, Identification
    from facesearch.progress import Progress

from facesearch.cli.common import (
    Paths,
    Prior,
    Threshold_,
    app,
    chosen_model,
    embedder_of,
    opened,
    options,
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
) -> None:
    """Enrol people from photos: --name for one person, --tree for a folder per person.

    A folder is looked at as a whole: a face that is unlike the rest of it is held back, with the
    reason, unless --yes is given. Photos known already, by content, are left alone; one bad photo
    never stops the rest.
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
    counts = {"enrolled": 0, "duplicate": 0, "skipped": 0, "held": 0}

    def results(gallery: "Gallery", progress: "Progress") -> Iterator[dict[str, Any]]:
        found = gallery.enroll(asked, embedder, progress, faces.value, insist=yes, dry_run=dry_run)
        for result in found:
            counts["held" if result.held else result.status] += 1
            yield _enrolment(result)

    with _to_enroll(dry_run) as gallery, shown_progress(options.quiet) as progress:
        show(
            results(gallery, progress),
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
def _to_enroll(dry_run: bool) -> "Iterator[Gallery]":
    """The gallery; for a dry run without one an empty one elsewhere."""
    from facesearch.gallery import Gallery

    if dry_run and not (find_gallery(options.gallery) / "gallery.db").exists():
        with TemporaryDirectory() as folder, Gallery(Path(folder), create=True) as gallery:
            yield gallery
    else:
        with opened(create=True) as gallery:
            yield gallery


def _enrolment(result: "Enrolment") -> dict[str, Any]:
    other = result.other
    return {
        "photo": str(result.photo),
        "name": result.name,
        "status": result.status,
        "reason": result.reason,
        "faces": result.faces,
        "held": result.held,
        "distance": result.distance,
        "nearest": str(result.nearest) if result.nearest else None,
        "other": {"name": other.name, "distance": other.distance, "photo": str(other.photo)}
        if other
        else None,
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
                paths, embedder, limit.distance, calibration, progress, top, prior, exact=exact
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
