"""identify: who is on photos."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch import serialization
from facesearch.cli.options import Fpir, Photos, Prior, Threshold, options, warn
from facesearch.cli.output import say, show, shown_progress
from facesearch.cli.program import FIND, app
from facesearch.cli.session import chosen_model, embedder_of, reached
from facesearch.core.errors import PhotoError
from facesearch.vision.photo_files import expand

if TYPE_CHECKING:
    from facesearch.core.progress import Progress
    from facesearch.gallery.legacy import Gallery, Identification
    from facesearch.legacy_client import Client
    from facesearch.vision.embedder import Embedder


@app.command(rich_help_panel=FIND)
def identify(
    photos: Photos,
    top: Annotated[int, typer.Option(min=1, help="How many candidates to list for a face.")] = 5,
    fpir: Fpir = None,
    threshold: Threshold = None,
    prior: Prior = 0.5,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Compare with everybody, even in a gallery of millions."),
    ] = False,
    annotate: Annotated[
        Path | None,
        typer.Option(
            help="Draw the answers into a copy of the photo: a file; for several photos, a folder."
        ),
    ] = None,
) -> None:
    """Name every face in photos.

    The answer for a face is match, unknown, ambiguous (two people come equally near) or unusable
    (the face cannot be recognised; the reason says why).

    Exit code: 0 if a face matched, 1 if none did, 4 if a photo could not be read.
    """
    if fpir is not None and threshold is not None:
        raise typer.BadParameter("choose either --fpir or --threshold")
    paths = list(expand(photos))
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
    from facesearch.matching import thresholds
    from facesearch.matching.calibration import calibration_of

    assert embedder is not None
    calibration = calibration_of(embedder.model)
    if threshold is not None:
        limit = thresholds.Threshold(threshold)
    else:
        gallery.check_model(embedder)
        strangers = gallery.impostor_scores(embedder.model)
        limit = thresholds.threshold_to_search(calibration, strangers, fpir)
        warn(limit.warning)
    return gallery.identify(
        paths, embedder, limit.distance, calibration, progress, top, prior, exact=exact
    )


def _annotate(path: Path, found: "list[Identification]", out: Path, several: bool) -> None:
    """Draw the answers of one photo into a file, or into a new file of a folder.

    Raises PhotoError if the picture cannot be written, or would overwrite the photo.
    """
    from facesearch.vision.annotate import annotate

    if out.exists() and out.samefile(path):
        raise PhotoError(f"{out}: is the photo itself; name another file for --annotate")
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
