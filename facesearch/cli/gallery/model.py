"""gallery reindex, drop-chips: another model for the gallery, and the chips kept for it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch.cli.gallery.photos import CARE
from facesearch.cli.options import options, warn
from facesearch.cli.output import say, show, shown_progress
from facesearch.cli.program import gallery_app
from facesearch.cli.session import local_gallery
from facesearch.core.lazy import LazyModule
from facesearch.core.words import plural

if TYPE_CHECKING:
    from facesearch.gallery import reindex as reindexing
    from facesearch.gallery.reindex import Missing
else:
    reindexing = LazyModule("facesearch.gallery.reindex")


@gallery_app.command("reindex", rich_help_panel=CARE)
def gallery_reindex(
    drop_missing: Annotated[
        bool,
        typer.Option("--drop-missing", help="Remove the faces that cannot be embedded again."),
    ] = False,
) -> None:
    """Change the gallery to the model of --model.

    Every face is embedded again, from its photo or from its kept chip. Until all are done the
    gallery answers with its old model. After an interruption run the same command again.
    """
    with (
        local_gallery(model=True) as gallery,
        shown_progress(options.quiet, long=True) as progress,
    ):
        try:
            done = gallery.reindex(drop_missing=drop_missing, progress=progress)
        except reindexing.FacesMissing as error:
            show(map(_missing, error.missing), ["name", "photo", "reason"], options.form)
            raise
    row = asdict(done) | {"dropped": len(done.dropped)}
    if options.form == "table":
        show(map(_missing, done.dropped), ["name", "photo", "reason"], options.form)
    else:
        show([row], [], options.form)
    if not done.faces:
        say(f"the gallery uses --model {done.model} already; nothing to do")
        return
    say(
        f"{plural(done.faces, 'face')} embedded with --model {done.model}: {done.photo} found "
        f"again in their photos, {done.points} cut out where they were found before, "
        f"{done.chip} from kept chips; {len(done.dropped)} dropped"
    )
    if done.rejections_narrowed:
        warn(
            f"{plural(done.rejections_narrowed, 'rejection')} from now on for the same photo file "
            "only, not for copies of it: the photo is not enrolled, or the face was not found again"
        )


def _missing(face: "Missing") -> dict[str, Any]:
    return {
        "name": face.name,
        "photo": str(face.photo),
        "box": face.box.rounded(),
        "reason": face.reason,
    }


@gallery_app.command("drop-chips", rich_help_panel=CARE)
def gallery_drop_chips() -> None:
    """Delete all kept chips."""
    with local_gallery() as gallery:
        count = gallery.drop_chips()
    say(f"{plural(count, 'chip')} deleted")
