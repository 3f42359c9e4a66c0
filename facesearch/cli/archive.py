"""gallery: another model, kept chips, one file of everything."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch.cli.output import say, show, shown_progress

if TYPE_CHECKING:
    from facesearch.gallery.reindex import Missing

from facesearch.cli.common import chosen_model, embedder_of, gallery_app, opened, options, warn


@gallery_app.command("reindex")
def gallery_reindex(
    drop_missing: Annotated[
        bool,
        typer.Option("--drop-missing", help="Remove the faces that cannot be embedded again."),
    ] = False,
) -> None:
    """Move the gallery to the model of --model, from the photos, or from kept chips.

    The gallery answers with its old model until everything is done. After an interruption the same
    command goes on.
    """
    from facesearch.gallery.reindex import FacesMissing

    with opened() as gallery, shown_progress(options.quiet, long=True) as progress:
        embedder = embedder_of(chosen_model())
        try:
            done = gallery.reindex(embedder, progress, drop_missing=drop_missing)
        except FacesMissing as error:
            show(map(_missing, error.missing), ["name", "photo", "reason"], options.form)
            raise
    row = asdict(done) | {"dropped": len(done.dropped)}
    if options.form == "table":
        show(map(_missing, done.dropped), ["name", "photo", "reason"], options.form)
    else:
        show([row], [], options.form)
    if not done.faces:
        say(f"enrolled with --model {done.model} already; nothing to do")
        return
    say(
        f"{done.faces} faces are embedded with --model {done.model} now: {done.photo} found again "
        f"in their photos, {done.points} cut out where they were found before, {done.chip} from "
        f"kept chips; {len(done.dropped)} dropped"
    )
    if done.rejections_narrowed:
        warn(
            f"{done.rejections_narrowed} rejections hold for the very same photo only from now on, "
            "not for copies of it: their photos are not enrolled, or the faces not found again"
        )


def _missing(face: "Missing") -> dict[str, Any]:
    return {
        "name": face.name,
        "photo": str(face.photo),
        "box": face.box.rounded(),
        "reason": face.reason,
    }


@gallery_app.command("drop-chips")
def gallery_drop_chips() -> None:
    """Delete every kept chip."""
    with opened() as gallery:
        count = gallery.drop_chips()
    say(f"{count} chips deleted")


@gallery_app.command("export")
def gallery_export(
    file: Path,
    chips: Annotated[bool, typer.Option("--chips", help="With the kept chips.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write people, photos' records, faces and embeddings to one archive.

    The archive is not encrypted; only you may read it. Removed people are not in it.
    """
    with opened() as gallery:
        contents = gallery.export(file, chips=chips, force=force)
    if options.form != "table":
        show([{"file": str(file)} | asdict(contents)], [], options.form)
    say(f"{file}: {contents.people} people, {contents.faces} faces, {contents.chips} chips")


@gallery_app.command("import")
def gallery_import(file: Path) -> None:
    """Add what an archive holds; people of one name become one, known photos stay as they are.

    Everything is checked before anything is written.
    """
    from facesearch.gallery.archive_format import Archive

    with Archive(file) as archive, opened(create=True) as gallery:
        merged = gallery.import_archive(archive)
    for refused in merged.refused:
        warn(f"{refused.photo}, {refused.name}: {refused.reason}; left out")
    for stays in merged.contradicted:
        warn(f"{stays.photo}, {stays.name}: stays enrolled, but {stays.reason}")
    if options.form != "table":
        lists = {
            key: [asdict(each) | {"photo": str(each.photo)} for each in getattr(merged, key)]
            for key in ("refused", "contradicted")
        }
        show([asdict(merged) | lists], [], options.form)
    say(
        f"{merged.people_added} people and {merged.faces_added} faces added, "
        f"{merged.people_joined} people and {merged.faces_known} faces known already, "
        f"{len(merged.refused)} faces left out"
        + (f", {len(merged.contradicted)} rejected there but kept" if merged.contradicted else "")
    )
