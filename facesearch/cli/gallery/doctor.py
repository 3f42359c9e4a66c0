"""gallery doctor: what is damaged."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch.cli.gallery.photos import CARE
from facesearch.cli.options import options
from facesearch.cli.output import say, show
from facesearch.cli.program import gallery_app
from facesearch.cli.session import gallery_place, given_keys
from facesearch.core.lazy import LazyModule
from facesearch.core.words import plural

if TYPE_CHECKING:
    from facesearch.gallery import doctor as examination
else:
    examination = LazyModule("facesearch.gallery.doctor")


@gallery_app.command("doctor", rich_help_panel=CARE)
def gallery_doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair everything that can be repaired.")
    ] = False,
    photos: Annotated[
        bool,
        typer.Option("--photos", help="Also check that the photos are still what was enrolled."),
    ] = False,
) -> None:
    """Look for damage in the database, the index and the files.

    Exit code: 0 if nothing is wrong, or everything was repaired; 1 if something is wrong.
    """
    found = examination.examine(gallery_place(), repair=repair, hashes=photos, keys=given_keys)
    left = [finding for finding in found if not finding.repaired]
    columns = ["severity", "kind", "what", "repair", *(["repaired"] if repair else [])]
    show((asdict(finding) for finding in found), columns, options.form)
    repaired = len(found) - len(left)
    say(f"{plural(len(found), 'finding')}, {repaired} repaired" if found else "all is well")
    raise typer.Exit(1 if left else 0)
