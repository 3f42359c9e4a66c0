"""gallery: the state of it."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from facesearch.terminal import show

if TYPE_CHECKING:
    pass

from facesearch.cli.common import gallery_app, opened, options


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
