"""enroll: people and their photos into the gallery."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch.cli import session
from facesearch.cli.options import Photos, options, warn
from facesearch.cli.output import say, show, shown_progress
from facesearch.cli.program import FIND, app
from facesearch.core.errors import NothingEnrolled
from facesearch.core.lazy import LazyModule
from facesearch.core.names import clean_name
from facesearch.core.words import plural
from facesearch.vision.photo_files import SUFFIXES, expand, people_in

if TYPE_CHECKING:
    from facesearch.client import Client
    from facesearch.enrollment import ray_reader
    from facesearch.enrollment.local_reader import PhotoReader
    from facesearch.gallery.gallery import Gallery
    from facesearch.serialization import enrollment
else:
    enrollment = LazyModule("facesearch.serialization.enrollment")
    ray_reader = LazyModule("facesearch.enrollment.ray_reader")


class Faces(StrEnum):
    """Which faces of a photo are enrolled if it shows several."""

    only = "only"
    largest = "largest"
    all = "all"


@app.command(rich_help_panel=FIND)
def enroll(
    photos: Photos,
    name: Annotated[str | None, typer.Option(help="The person on the photos.")] = None,
    tree: Annotated[
        bool,
        typer.Option(
            "--tree", help="Enroll everybody below a folder that has one folder per person."
        ),
    ] = False,
    faces: Annotated[
        Faces,
        typer.Option(
            help="In a photo with several faces: `only` enrolls the one that looks like the rest "
            "of the folder, `largest` the largest, `all` every face."
        ),
    ] = Faces.only,
    include_doubtful: Annotated[
        bool,
        typer.Option(
            "--include-doubtful", help="Enroll faces that would be held back and near duplicates."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", hidden=True)] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would happen to each photo; write nothing."),
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Look for faces on a Ray cluster: HOST:PORT, `auto`, or `local` (this machine).",
        ),
    ] = None,
) -> None:
    """Enroll people from photos: one with --name, many with --tree.

    A face that looks unlike the other faces of its folder is held back, and the table says why;
    --include-doubtful enrolls it all the same. A photo that is enrolled already is left alone.
    One bad photo never stops the rest.

    Exit code: 0 if a photo was enrolled or known, 5 if none was.
    """
    if (name is None) != tree:
        raise typer.BadParameter("give either --name NAME or --tree")
    if ray is not None and options.server:
        raise typer.BadParameter("--ray: a service looks for the faces itself")
    if yes:
        warn("--yes is called --include-doubtful now; the next release drops the old name")

    if tree:
        people = [found for folder in photos for found in people_in(folder).items()]
        asked = [(who, path) for who, paths in people for path in paths]
        entries = [entry for folder in photos for entry in folder.iterdir() if entry.is_file()]
        loose = sum(entry.suffix.lower() in SUFFIXES for entry in entries)
        if loose:
            warn(f"{plural(loose, 'photo')} beside the folders of people: left out")
    else:
        assert name is not None
        name = clean_name(name)  # before any work is done
        asked = [(name, path) for path in expand(photos)]

    counts = {"enrolled": 0, "duplicate": 0, "skipped": 0, "held": 0}
    with (
        _to_enroll(dry_run) as gallery,
        _reader(ray) as reader,
        shown_progress(options.quiet) as progress,
    ):

        def rows() -> Iterator[dict[str, Any]]:
            every = gallery.enroll_each(
                asked,
                faces=faces.value,
                include_doubtful=include_doubtful or yes,
                dry_run=dry_run,
                reader=reader,
                progress=progress,
            )
            for photo in every:
                counts["held" if photo.held else photo.status] += 1
                yield enrollment.ENROLLED_PHOTO.row(photo)

        show(
            rows(),
            ["photo", "name", "status", "reason"],
            options.form,
            skip=lambda row: row["status"] == "enrolled" and not row["reason"],
        )
    whom = plural(len(people), "person", "people") if tree else repr(name)
    say(
        f"{whom}: {counts['enrolled']} enrolled, {counts['duplicate']} known already, "
        f"{counts['skipped']} skipped, {counts['held']} held back"
        + (" (--include-doubtful enrolls them)" if counts["held"] else "")
        + ("; this was a dry run, nothing was written" if dry_run else "")
    )
    if not counts["enrolled"] + counts["duplicate"]:
        raise NothingEnrolled("no photo was enrolled; the reasons are listed above")


@contextmanager
def _to_enroll(dry_run: bool) -> "Iterator[Gallery | Client]":
    """The gallery. Makes one if there is none, but not for a dry run."""
    if dry_run:
        with session.gallery_or_none(model=True) as gallery:
            yield gallery
    else:
        with session.gallery(create=True, model=True) as gallery:
            yield gallery


@contextmanager
def _reader(address: str | None) -> "Iterator[PhotoReader | None]":
    """The workers of a Ray cluster, or None without an address."""
    if address is None:
        yield None
    else:
        embedder = session.recognizer().embedder
        with ray_reader.workers(address, embedder, verbose=options.debug) as reader:
            yield reader
