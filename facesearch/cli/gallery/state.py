"""gallery info, set, leave-milvus: what a gallery is and how it works."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch.cli.options import options
from facesearch.cli.output import say, show
from facesearch.cli.program import gallery_app
from facesearch.cli.session import gallery, gallery_place, local_gallery
from facesearch.core.lazy import LazyModule

if TYPE_CHECKING:
    from facesearch.serialization import gallery as serialized
    from facesearch.storage import preferences
else:
    serialized = LazyModule("facesearch.serialization.gallery")
    preferences = LazyModule("facesearch.storage.preferences")

STATE = "State and settings"


@gallery_app.command("info", rich_help_panel=STATE)
def gallery_info() -> None:
    """Show the place, sizes, model and index of the gallery."""
    with gallery() as found:
        row = serialized.GALLERY_INFO.row(found.info())
    row["folder"] = options.server or str(row["folder"])
    if options.form == "table":
        show([{"": key, " ": value} for key, value in row.items()], ["", " "], options.form)
    else:
        show([row], [], options.form)


@gallery_app.command("set", rich_help_panel=STATE)
def gallery_set(
    key: Annotated[str, typer.Argument(help="audit, keep-chips or search.")],
    value: Annotated[str, typer.Argument(help="Its new value.")],
) -> None:
    """Change a setting of the gallery.

    audit on|off: whether to record when a search was made and whom it found (see `gallery audit`).

    keep-chips on|off: whether to keep a small picture of every face enrolled from then on, some
    14 kB each. With them the model can be changed without the photos.

    search local|pgvector: where the nearest people are found: by an index in memory, or by the
    database itself (PostgreSQL only).
    """
    preferences.check(
        key, value, in_folder=isinstance(gallery_place(), Path)
    )  # before a gallery is made
    with local_gallery(create=True) as gallery:
        gallery.set_preference(key, value)
    say(f"{key} is {value} now")


@gallery_app.command("leave-milvus", rich_help_panel=STATE)
def gallery_leave_milvus(
    lost: Annotated[
        bool, typer.Option("--lost", help="The server is gone for good, with all that it held.")
    ] = False,
) -> None:
    """Delete the data of this gallery from Milvus.

    The environment variable MILVUS_URI names the server.
    """
    with local_gallery() as gallery:
        gallery.leave_milvus(lost=lost)
    say("Milvus holds nothing of this gallery any more")
