"""review, cluster: what is probably wrong in a gallery; who is on photos of nobody knows whom."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch.cli.output import say, show, shown_progress
from facesearch.core.errors import PhotoError

if TYPE_CHECKING:
    from facesearch.gallery.unknown_faces import UnknownFace

from facesearch.cli.common import (
    Paths,
    app,
    chosen_model,
    embedder_of,
    opened,
    opened_if_there,
    options,
    reached,
)


@app.command()
def review(
    fpir: Annotated[
        float | None,
        typer.Option(help="Accepted share of strangers who are given a name [default: 0.01]."),
    ] = None,
    photos: Annotated[
        bool, typer.Option(help="Look at the photos of what may be one picture twice.")
    ] = True,
) -> None:
    """What is probably wrong in the gallery: mislabelled faces, people under two names, copies.

    Also who is found less surely than others, who look alike, and the share of strangers to whom a
    search gives a name, now and with ten times as many people. What was rejected is not told again.
    """
    from facesearch.gallery.legacy import Gallery

    with reached() as gallery, shown_progress(options.quiet) as progress:
        if isinstance(gallery, Gallery):
            rows = list(gallery.review(chosen_model(), progress, fpir, photos=photos))
        else:
            rows = list(gallery.review(fpir))
    show(rows, ["kind", "name", "photo", "other", "other_photo", "reason"], options.form)
    wrong = sum(row["kind"] not in ("weak", "look-alike", "fpir") for row in rows)
    say(f"{wrong} findings to put right")


@app.command()
def cluster(
    photos: Paths,
    name: Annotated[
        list[str] | None,
        typer.Option(help="GROUP=NAME: enrol a group of those shown; may be repeated."),
    ] = None,
    smallest: Annotated[
        int, typer.Option("--smallest", min=1, help="Faces of a group that is shown.")
    ] = 2,
) -> None:
    """Group the unknown faces of photos; enrol a group with --name 3=Alice.

    Faces that the gallery names are left out. The groups of the same photos and the same gallery
    have the same numbers.
    """
    from facesearch.gallery.unknown_faces import chosen_groups, group_unknown
    from facesearch.matching.calibration import calibration_of
    from facesearch.vision.photo_files import expand

    wanted = chosen_groups(name or [])
    embedder = embedder_of(chosen_model())
    calibration = calibration_of(embedder.model)
    with (
        opened(create=True) if wanted else opened_if_there() as gallery,
        shown_progress(options.quiet) as progress,
    ):
        paths = list(expand(photos))
        found = group_unknown(gallery, paths, embedder, calibration, progress)
        for error in found.errors:
            say(f"error: {error}")
        for number in wanted:
            if number not in range(1, len(found.groups) + 1):
                raise typer.BadParameter(f"there is no group {number}")
        enrolled = {}
        for number, whose in wanted.items():
            done = gallery.enroll_faces(whose, found.groups[number - 1], embedder)
            enrolled[number] = done.faces
            left = [f"{done.rejected} rejected as theirs"] if done.rejected else []
            left += [f"{done.known} enrolled already"] if done.known else []
            out = f"; left out: {', '.join(left)}" if left else ""
            say(f"group {number}: {done.faces or 'no'} faces enrolled as {whose!r}{out}")
    shown = [
        _group(number, faces, wanted.get(number), enrolled.get(number, 0))
        for number, faces in enumerate(found.groups, start=1)
        if len(faces) >= smallest and (not wanted or number in wanted)
    ]
    columns = ["group", "faces", "photos", "spread", "typical"]
    show(shown, [*columns, *(["name", "enrolled"] if wanted else [])], options.form)
    say(
        f"{len(found.groups)} groups of {sum(map(len, found.groups))} unknown faces on "
        f"{len(paths)} photos; {found.known} faces are known, {found.unusable} cannot be recognised"
    )
    if found.errors:
        raise typer.Exit(PhotoError.exit_code)


def _group(
    number: int, faces: "list[UnknownFace]", name: str | None, enrolled: int
) -> dict[str, Any]:
    from facesearch.gallery.unknown_faces import spread

    photos = list(dict.fromkeys(str(face.path) for face in faces))
    return {
        "group": number,
        "faces": len(faces),
        "photos": len(photos),
        "spread": spread(faces),
        "typical": photos[0],
        "name": name if enrolled else None,
        "enrolled": enrolled,
        "members": [
            {"photo": str(face.path), "box": face.seen.face.box.rounded()} for face in faces
        ],
    }
