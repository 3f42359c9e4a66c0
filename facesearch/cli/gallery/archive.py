"""gallery export, import: a gallery in one file."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch.cli.options import options, warn
from facesearch.cli.output import say, show
from facesearch.cli.program import gallery_app
from facesearch.cli.session import local_gallery
from facesearch.core.lazy import LazyModule
from facesearch.core.words import plural

if TYPE_CHECKING:
    from facesearch.gallery import archive_format as archives
else:
    archives = LazyModule("facesearch.gallery.archive_format")

MOVE = "Archive"


@gallery_app.command("export", rich_help_panel=MOVE)
def gallery_export(
    file: Annotated[Path, typer.Argument(help="The archive to write.")],
    chips: Annotated[bool, typer.Option("--chips", help="Include the kept chips.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write people, faces and embeddings into one archive.

    The photos themselves are not in it, and neither are removed people. The archive is not
    encrypted; only your user account can read it.
    """
    with local_gallery() as gallery:
        contents = gallery.export(file, chips=chips, force=force)
    if options.form != "table":
        show([{"file": str(file)} | asdict(contents)], [], options.form)
    people = plural(contents.people, "person", "people")
    faces, kept = plural(contents.faces, "face"), plural(contents.chips, "chip")
    say(f"{file}: {people}, {faces}, {kept}")


@gallery_app.command("import", rich_help_panel=MOVE)
def gallery_import(
    file: Annotated[Path, typer.Argument(help="An archive that `gallery export` wrote.")],
) -> None:
    """Add the people of an archive to the gallery.

    People with the same name become one; photos that are enrolled already stay as they are. The
    whole archive is checked before anything is written.
    """
    with archives.Archive(file) as archive, local_gallery(create=True) as gallery:
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

    def count(people: int, faces: int) -> str:
        return f"{plural(people, 'person', 'people')} and {plural(faces, 'face')}"

    say(
        f"{count(merged.people_added, merged.faces_added)} added, "
        f"{count(merged.people_joined, merged.faces_known)} known already, "
        f"{plural(len(merged.refused), 'face')} left out"
        + (f", {len(merged.contradicted)} kept against a rejection" if merged.contradicted else "")
    )
