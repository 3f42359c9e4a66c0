"""gallery: the state of it, photos that moved, people whose time is over."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch.cli.output import say, show, shown_progress

if TYPE_CHECKING:
    pass

from facesearch.cli.common import gallery_app, gallery_place, given_keys, opened, options, reached


@gallery_app.command("info")
def gallery_info() -> None:
    """Where the gallery is, its sizes, its model, its index."""
    with reached() as gallery:
        row = asdict(gallery.info())
    row["folder"] = options.server or str(row["folder"])
    if options.form == "table":
        show([{"": key, " ": value} for key, value in row.items()], ["", " "], options.form)
    else:
        show([row], [], options.form)


@gallery_app.command("relink")
def gallery_relink(
    folder: Annotated[Path, typer.Argument(help="Where the photos are now; searched as a whole.")],
) -> None:
    """Find enrolled photos that were moved, by their content, and keep where they are now.

    Ends with 1 if some are still missing.
    """
    with opened() as gallery, shown_progress(options.quiet) as progress:
        links = gallery.relink(folder, progress)
    show(
        ({"photo": str(link.photo), "status": link.status, "was": str(link.was)} for link in links),
        ["photo", "status", "was"],
        options.form,
        skip=lambda row: row["status"] == "unchanged",
    )
    counts = {
        status: sum(link.status == status for link in links)
        for status in ("relinked", "missing", "unchanged")
    }
    say(
        f"{counts['relinked']} relinked, {counts['missing']} still missing, "
        f"{counts['unchanged']} unchanged"
    )
    raise typer.Exit(1 if counts["missing"] else 0)


@gallery_app.command("purge-expired")
def gallery_purge_expired(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say whom it would take.")
    ] = False,
) -> None:
    """Leave nothing of everybody whose last day is over (`people set --expires`), in UTC."""
    from facesearch.gallery.purge import today

    with opened() as gallery:
        gone = gallery.expired(today()) if dry_run else gallery.purge_expired(today())
    show(
        (
            {"name": kept.name, "faces": kept.faces, "expires": kept.expires, "purged": not dry_run}
            for kept in gone
        ),
        ["name", "faces", "expires"],
        options.form,
    )
    say(f"{len(gone)} people {'would be ' if dry_run else ''}purged")


@gallery_app.command("leave-milvus")
def gallery_leave_milvus(
    lost: Annotated[
        bool, typer.Option("--lost", help="The server is gone for good, with what it held.")
    ] = False,
) -> None:
    """Drop what the Milvus of MILVUS_URI has of this gallery."""
    with opened() as gallery:
        gallery.leave_milvus(lost=lost)
    say("Milvus has nothing of this gallery any more")


@gallery_app.command("doctor")
def gallery_doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Put right what can be put right.")
    ] = False,
    photos: Annotated[
        bool, typer.Option("--photos", help="Compare the content of the photos, too.")
    ] = False,
) -> None:
    """Examine the gallery: the database, every row, the index, the files.

    Ends with 0 if nothing is wrong, or nothing any more, else with 1.
    """
    from facesearch.gallery.doctor import examine

    found = examine(gallery_place(), repair=repair, hashes=photos, keys=given_keys)
    left = [finding for finding in found if not finding.repaired]
    columns = ["severity", "kind", "what", "repair", *(["repaired"] if repair else [])]
    show((asdict(finding) for finding in found), columns, options.form)
    say(f"{len(found)} findings, {len(found) - len(left)} repaired" if found else "all is well")
    raise typer.Exit(1 if left else 0)
