"""identify: who is on photos."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch.cli.options import Fpir, Photos, Prior, Threshold, options, warn
from facesearch.cli.output import say, show, shown_progress
from facesearch.cli.program import FIND, app
from facesearch.cli.session import gallery
from facesearch.core.errors import PhotoError
from facesearch.core.lazy import LazyModule
from facesearch.vision.photo_files import expand

if TYPE_CHECKING:
    from facesearch.matching.identification import IdentifiedFace
    from facesearch.serialization import answers as serialized
    from facesearch.vision import annotate as pictures
else:
    serialized = LazyModule("facesearch.serialization.answers")
    pictures = LazyModule("facesearch.vision.annotate")


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
    with gallery(model=True) as searched, shown_progress(options.quiet) as progress:
        every = searched.identify_each(
            paths,
            fpir=fpir,
            threshold=threshold,
            top=top,
            prior=prior,
            exact=exact,
            progress=progress,
        )

        def answers() -> Iterator[dict[str, Any]]:
            nonlocal matches
            warned = False
            for path, result in zip(paths, (result for _, result in every), strict=True):
                if result.error is not None:
                    errors.append(result.error)
                    say(f"error: {result.error}")
                    continue
                if not warned:
                    warn(result.warning)
                    warned = True
                matches += sum(face.answer == "match" for face in result.faces)
                if annotate is not None:
                    _annotate(path, result.faces, annotate, several=len(paths) > 1)
                yield from map(serialized.IDENTIFIED_FACE.row, result.faces)

        show(
            answers(),
            ["photo", "face", "answer", "name", "distance", "probability", "reason"],
            options.form,
        )
    if errors:
        raise typer.Exit(PhotoError.exit_code)
    raise typer.Exit(0 if matches else 1)


def _annotate(path: Path, faces: "list[IdentifiedFace]", out: Path, several: bool) -> None:
    """Draw the answers of one photo into a file, or into a new file of a folder.

    Raises PhotoError if the picture cannot be written, or would overwrite the photo.
    """
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
    drawn = [
        (face.box, face.answer, face.name or face.answer) for face in faces if face.box is not None
    ]
    pictures.annotate(path, drawn, out)
