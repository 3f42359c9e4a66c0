"""review, cluster: what is probably wrong in a gallery; who the unknown faces of photos are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch.cli import session
from facesearch.cli.options import Fpir, Photos, options
from facesearch.cli.output import say, show, shown_progress
from facesearch.cli.program import PEOPLE, app
from facesearch.core.errors import PhotoError
from facesearch.core.lazy import LazyModule
from facesearch.core.words import plural
from facesearch.vision.photo_files import expand

if TYPE_CHECKING:
    from facesearch.client import Client
    from facesearch.gallery import unknown_faces
    from facesearch.gallery.gallery import Gallery
    from facesearch.gallery.unknown_faces import UnknownFace
else:
    unknown_faces = LazyModule("facesearch.gallery.unknown_faces")


@app.command(rich_help_panel=PEOPLE)
def review(
    fpir: Fpir = None,
    photos: Annotated[
        bool, typer.Option(help="Whether to open photos to see if two faces are copies of one.")
    ] = True,
) -> None:
    """Find what is probably wrong in the gallery.

    Faces under a wrong name, one person under two names, copies of one picture; also people who
    are hard to find, people who look alike, and the share of strangers that a search would name,
    today and with ten times as many people. Rejected pairs are not listed again.
    """
    with session.gallery() as gallery, shown_progress(options.quiet) as progress:
        rows = list(gallery.review(fpir=fpir, photos=photos, progress=progress))
    show(rows, ["kind", "name", "photo", "other", "other_photo", "reason"], options.form)
    wrong = sum(row["kind"] not in ("weak", "look-alike", "fpir") for row in rows)
    say(f"{plural(wrong, 'finding')} to put right")


@app.command(rich_help_panel=PEOPLE)
def cluster(
    photos: Photos,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUP=NAME", help="Enroll a group under a name, 3=Alice; may be repeated."
        ),
    ] = None,
    smallest: Annotated[
        int, typer.Option("--smallest", min=1, help="Show groups with at least so many faces.")
    ] = 2,
) -> None:
    """Group the unknown faces of photos, and enroll groups.

    Faces that the gallery can name are left out. For the same photos and the same gallery the
    groups keep their numbers, so look first, then name: --name 3=Alice.
    """
    session.gallery_place()  # a service has no groups
    wanted = unknown_faces.chosen_groups(name or [])
    paths = expand(photos)
    with _to_cluster(bool(wanted)) as gallery, shown_progress(options.quiet) as progress:
        found = gallery.group_unknown(paths, progress=progress)
        for error in found.errors:
            say(f"error: {error}")
        for number in wanted:
            if number not in range(1, len(found.groups) + 1):
                raise typer.BadParameter(
                    f"there is no group {number}; there are {len(found.groups)}"
                )
        enrolled = {}
        for number, whose in wanted.items():
            done = gallery.enroll_group(whose, found.groups[number - 1])
            enrolled[number] = done.faces
            left = [f"{done.rejected} rejected as theirs"] if done.rejected else []
            left += [f"{done.known} enrolled already"] if done.known else []
            out = f"; left out: {', '.join(left)}" if left else ""
            count = plural(done.faces, "face") if done.faces else "no face"
            say(f"group {number}: {count} enrolled as {whose!r}{out}")
    shown = [
        _group(number, faces, wanted.get(number), enrolled.get(number, 0))
        for number, faces in enumerate(found.groups, start=1)
        if len(faces) >= smallest and (not wanted or number in wanted)
    ]
    columns = ["group", "faces", "photos", "spread", "typical"]
    show(shown, [*columns, *(["name", "enrolled"] if wanted else [])], options.form)
    unknown = plural(sum(map(len, found.groups)), "unknown face")
    known = plural(found.known, "known face")
    say(
        f"{unknown} in {plural(len(found.groups), 'group')} on {plural(len(paths), 'photo')}; "
        f"{known}; {plural(found.unusable, 'face')} cannot be recognised"
    )
    if found.errors:
        raise typer.Exit(PhotoError.exit_code)


@contextmanager
def _to_cluster(enroll: bool) -> "Iterator[Gallery | Client]":
    """The gallery. enroll: make one if there is none."""
    if enroll:
        with session.gallery(create=True, model=True) as gallery:
            yield gallery
    else:
        with session.gallery_or_none(model=True) as gallery:
            yield gallery


def _group(
    number: int, faces: "list[UnknownFace]", name: str | None, enrolled: int
) -> dict[str, Any]:
    photos = list(dict.fromkeys(str(face.path) for face in faces))
    return {
        "group": number,
        "faces": len(faces),
        "photos": len(photos),
        "spread": unknown_faces.spread(faces),
        "typical": photos[0],
        "name": name if enrolled else None,
        "enrolled": enrolled,
        "members": [
            {"photo": str(face.path), "box": face.seen.face.box.rounded()} for face in faces
        ],
    }
