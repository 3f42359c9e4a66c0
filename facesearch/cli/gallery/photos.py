"""gallery relink: enrolled photos that were moved."""

from pathlib import Path
from typing import Annotated

import typer

from facesearch.cli.options import options
from facesearch.cli.output import say, show, shown_progress
from facesearch.cli.program import gallery_app
from facesearch.cli.session import local_gallery

CARE = "Care"


@gallery_app.command("relink", rich_help_panel=CARE)
def gallery_relink(
    folder: Annotated[
        Path, typer.Argument(help="Where the photos are now; subfolders are searched, too.")
    ],
) -> None:
    """Find enrolled photos that were moved, by their content.

    The gallery remembers the new places. Photos that changed cannot be found.

    Exit code: 0 if every photo is found, 1 if some are still missing.
    """
    with local_gallery() as gallery, shown_progress(options.quiet) as progress:
        links = gallery.relink(folder, progress=progress)
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
