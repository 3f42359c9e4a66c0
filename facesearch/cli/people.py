"""people: list, show, rename, merge, split, reject, rejections, set, remove; undo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch.cli import session
from facesearch.cli.options import options, warn
from facesearch.cli.output import say, show
from facesearch.cli.program import PEOPLE, app, people_app
from facesearch.core.lazy import LazyModule
from facesearch.core.names import clean_name
from facesearch.core.words import plural

if TYPE_CHECKING:
    from facesearch.gallery import contact_sheet as sheets
    from facesearch.gallery.profile import PersonProfile
    from facesearch.serialization import people as serialized
else:
    serialized = LazyModule("facesearch.serialization.people")
    sheets = LazyModule("facesearch.gallery.contact_sheet")

Name = Annotated[str, typer.Argument(help="The person's name.")]
Force = Annotated[
    bool,
    typer.Option("--force", help="Do it even if a face was rejected as the other person's."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@people_app.command("list")
def people_list() -> None:
    """List everybody who is enrolled."""
    with session.gallery() as gallery:
        everybody = [serialized.PERSON.row(person) for person in gallery.people()]
    terms = [key for key in ("expires", "consent") if any(row[key] for row in everybody)]
    show(everybody, ["name", "faces", "photos", *terms], options.form)


@people_app.command("show")
def people_show(
    name: Name,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Draw the faces into this picture file.")
    ] = None,
) -> None:
    """Show the enrolled faces of a person, and how typical each is.

    distance: how far the face lies from the mean of the person's faces. agreement: how much the
    face agrees with its mirror image; it is low for a face that is hard to recognise.
    """
    with session.gallery() as gallery:
        person = gallery[clean_name(name)]
    show(
        serialized.faces(person),
        ["face", "photo", "box", "added", "agreement", "distance", "note"],
        options.form,
    )
    if options.form == "table":
        _sum_up(person)
    if contact_sheet is not None:
        session.gallery_place()  # only there are the photos
        for path in sheets.contact_sheet(person, contact_sheet):
            warn(f"{path}: is missing or was changed; `gallery relink` finds photos that moved")
        say(f"{contact_sheet}: {plural(len(person.faces), 'face')} drawn")


def _sum_up(person: "PersonProfile") -> None:
    say(f"{person.name}: {plural(len(person.faces), 'face')} in {plural(person.photos, 'photo')}")
    if person.faces:
        sides = sorted(round(face.box.width) for face in person.faces)
        worst = min(face.flip_consistency for face in person.faces)
        say(f"added from {person.first} to {person.last}")
        say(f"{sides[0]} to {sides[-1]} pixels wide, median {sides[len(sides) // 2]}")
        say(f"lowest agreement {worst:.3f}")
    if person.expires:
        say(f"expires after {person.expires}")
    if person.consent:
        say(f"consent: {person.consent}")


def _tell(line: str, row: dict[str, Any]) -> None:
    """Print what was done: a line for people, and a row for programs that asked for one."""
    say(line)
    if options.form != "table":
        show([row], [], options.form)


@people_app.command("rename")
def people_rename(
    old: Annotated[str, typer.Argument(help="The name today.")],
    new: Annotated[str, typer.Argument(help="The new name.")],
) -> None:
    """Give a person another name."""
    old, new = clean_name(old), clean_name(new)
    with session.gallery() as gallery:
        change = gallery.rename(old, new)
    row = serialized.changed(change, "rename", new, old=old)
    _tell(f"{old!r} is called {new!r} now", row)


@people_app.command("merge")
def people_merge(
    name: Annotated[str, typer.Argument(help="The name that stays.")],
    other: Annotated[str, typer.Argument(help="The name that goes; its faces move to NAME.")],
    force: Force = False,
) -> None:
    """Make one person of two names."""
    name, other = clean_name(name), clean_name(other)
    with session.gallery() as gallery:
        change = gallery.merge(name, other, force=force)
    moved = plural(change.faces, "face")
    row = serialized.changed(change, "merge", name, other=other)
    _tell(f"{moved} of {other!r} moved to {name!r}; `undo` parts the two again", row)


@people_app.command("split")
def people_split(
    name: Name,
    faces: Annotated[
        str, typer.Option(help="The faces to move, by the numbers of `people show`: 3,5,7.")
    ],
    into: Annotated[
        str, typer.Option(help="Who the faces belong to: a new name, or somebody enrolled.")
    ],
    force: Force = False,
) -> None:
    """Move some faces of a person to another person."""
    try:
        numbers = [int(number) for number in faces.split(",") if number.strip()]
    except ValueError as error:
        raise typer.BadParameter("--faces: give numbers separated by commas: 3,5,7") from error
    name, into = clean_name(name), clean_name(into)
    with session.gallery() as gallery:
        change = gallery.split(name, numbers, into, force=force)
    moved = plural(change.faces, "face")
    row = serialized.changed(change, "split", name, other=into)
    _tell(f"{moved} of {name!r} moved to {into!r}; `undo` moves them back", row)


@people_app.command("reject")
def people_reject(
    name: Name,
    photo: Annotated[Path, typer.Argument(help="The photo with the face.")],
    face: Annotated[
        int | None,
        typer.Option(min=0, help="Which face, if the photo has several: its number in `identify`."),
    ] = None,
) -> None:
    """Record that the face on a photo is not this person.

    No search gives the face this name again. If it is enrolled as theirs, it is taken out.
    """
    name = clean_name(name)
    with session.gallery(model=True) as gallery:
        found = gallery.reject(name, photo, face=face)
    row = serialized.REJECTED.row(found, name=name, photo=photo)
    out = f"; {plural(found.taken_out, 'enrolled face')} taken out" if found.taken_out else ""
    _tell(f"{photo}: face {found.face} is not {name!r} (rejection {found.number}){out}", row)
    if found.copies:
        listed = ",".join(map(str, found.copies))
        warn(
            f"{name!r} keeps almost the same face from other photos ({listed}); if it is not "
            f"theirs there either, move it: `people split {name!r} --faces {listed}`"
        )


@people_app.command("rejections")
def people_rejections(
    forget: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Delete the rejection with this number."),
    ] = None,
) -> None:
    """List the faces that were rejected, and whose they are not."""
    with session.gallery() as gallery:
        if forget is not None:
            gallery.forget(forget)
            _tell(f"rejection {forget} is deleted", {"action": "forget", "rejection": forget})
            return
        photos = gallery.photos_of_rejections()
        kept = serialized.rejections(gallery.rejections(), photos)
    show(kept, ["rejection", "name", "photo", "box", "at"], options.form)


@people_app.command("set")
def people_set(
    name: Name,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="The last day to keep the person, 2027-12-31, or `never`; see `gallery "
            "purge-expired`.",
        ),
    ] = None,
    consent: Annotated[
        str | None, typer.Option(help="A note on their consent; an empty one deletes it.")
    ] = None,
) -> None:
    """Set how long a person may be kept, and with what consent."""
    if expires is None and consent is None:
        raise typer.BadParameter("give --expires, --consent or both")
    name = clean_name(name)
    with session.gallery() as gallery:
        until = "" if expires == "never" else expires
        change = gallery.set_terms(name, expires=until, consent=consent)
        person = gallery.person(name)
    row = serialized.changed(change, "set", name, expires=person.expires, consent=person.consent)
    _tell(f"{name!r}: expires {person.expires or 'never'}; consent: {person.consent or '-'}", row)


@people_app.command("remove")
def people_remove(
    name: Name,
    yes: Yes = False,
    purge: Annotated[
        bool,
        typer.Option(
            "--purge", help="For good: keep nothing of them, not even of an earlier removal."
        ),
    ] = False,
) -> None:
    """Remove a person from the gallery.

    `undo` brings them back; after --purge nothing can. The photo files are not touched.
    """
    name = clean_name(name)
    with session.gallery() as gallery:
        if purge:
            kept = gallery.kept_of(name)
            faces = sum(each.faces for each in kept)
            if kept and not yes:
                whom = ", ".join(f"{each.name!r} ({plural(each.faces, 'face')})" for each in kept)
                typer.confirm(f"Purge {whom}, for good?", abort=True, err=True)
            gallery.purge(name)
            row = {"action": "purge", "name": name, "faces": faces}
        else:
            faces = gallery.person(name).faces
            if not yes:
                typer.confirm(
                    f"Remove {name!r} with {plural(faces, 'face')}?", abort=True, err=True
                )
            row = serialized.changed(gallery.remove(name), "remove", name)
    done = "purged; nothing of them is kept" if purge else "removed; `undo` brings them back"
    _tell(f"{name!r} and {plural(faces, 'face')} {done}", row)


@app.command(rich_help_panel=PEOPLE)
def undo(
    event: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Undo this change of --list, not the last one."),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List what can be undone.")] = False,
) -> None:
    """Undo the last change to people.

    A merge, split, rename, remove or reject that is not undone yet can be undone.
    """
    with session.gallery() as gallery:
        if listed:
            changes = map(serialized.CHANGE.row, gallery.changes())
            show(changes, ["event", "at", "what"], options.form)
            return
        done = gallery.undo(event)
    _tell(f"undone: {done.line}", serialized.UNDONE.row(done, action="undo"))
