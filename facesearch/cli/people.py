"""people: list, show, rename, remove."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch.terminal import say, show

if TYPE_CHECKING:
    pass

from facesearch.cli.common import opened, options, people_app


@people_app.command("list")
def people_list() -> None:
    """Everybody who is enrolled."""
    with opened() as gallery:
        show(
            (asdict(person) for person in gallery.people()),
            ["name", "faces", "photos"],
            options.form,
        )


@people_app.command("show")
def people_show(name: str) -> None:
    """The enrolled faces of a person."""
    with opened() as gallery:
        show(
            (
                {"name": face.name, "photo": str(face.photo), "box": face.box.rounded()}
                for face in gallery.faces_of(name)
            ),
            ["photo", "box"],
            options.form,
        )


@people_app.command("rename")
def people_rename(old: str, new: str) -> None:
    """Give a person another name."""
    with opened() as gallery:
        gallery.rename(old, new)
    say(f"{old!r} is now {new!r}")


@people_app.command("remove")
def people_remove(
    name: str,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a person with all that is kept of them: faces, embeddings, photos' records.

    The photos themselves are not touched.
    """
    with opened() as gallery:
        faces = len(gallery.faces_of(name))
        if not yes:
            typer.confirm(f"Remove {name!r} with {faces} faces for good?", abort=True, err=True)
        gallery.remove(name)
    say(f"{name!r} and {faces} faces removed")
