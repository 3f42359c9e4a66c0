"""gallery: the state of it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch.settings import find_gallery
from facesearch.terminal import say, show

if TYPE_CHECKING:
    pass

from facesearch.cli.common import gallery_app, given_keys, opened, options


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
    from facesearch.doctor import examine

    found = examine(find_gallery(options.gallery), repair=repair, hashes=photos, keys=given_keys)
    left = [finding for finding in found if not finding.repaired]
    columns = ["severity", "kind", "what", "repair", *(["repaired"] if repair else [])]
    show((asdict(finding) for finding in found), columns, options.form)
    say(f"{len(found)} findings, {len(found) - len(left)} repaired" if found else "all is well")
    raise typer.Exit(1 if left else 0)
