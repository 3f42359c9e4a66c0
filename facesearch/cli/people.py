"""people: list, show, rename, merge, split, reject, set, remove; undo."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch import serialization
from facesearch.cli.output import say, show
from facesearch.core.names import clean_name

if TYPE_CHECKING:
    from facesearch.gallery.profile import Profile

from facesearch.cli.common import (
    app,
    chosen_model,
    embedder_of,
    gallery_place,
    options,
    people_app,
    reached,
    warn,
)

Force = Annotated[
    bool, typer.Option("--force", help="Although a face was rejected as the other's.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@people_app.command("list")
def people_list() -> None:
    """Everybody who is enrolled."""
    with reached() as gallery:
        everybody = [asdict(person) for person in gallery.people()]
    terms = [key for key in ("expires", "consent") if any(row[key] for row in everybody)]
    show(everybody, ["name", "faces", "photos", *terms], options.form)


@people_app.command("show")
def people_show(
    name: str,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Draw the faces, cut from their photos, into this file.")
    ] = None,
) -> None:
    """The enrolled faces of a person, with their numbers and how typical they are.

    distance: from the mean of the person's faces; agreement: with its mirror image, low for a face
    that is hard to recognise.
    """
    with reached() as gallery:
        profile = gallery.profile(name)
        person = gallery.person(name)
    show(
        serialization.faces(profile),
        ["face", "photo", "box", "added", "agreement", "distance", "note"],
        options.form,
    )
    if options.form == "table":
        _sum_up(profile, person.expires, person.consent)
    if contact_sheet is not None:
        gallery_place()  # its photos are needed
        from facesearch.gallery.contact_sheet import contact_sheet as draw

        gone = draw(profile, contact_sheet)
        for path in gone:
            warn(f"{path}: gone, or another photo now; `gallery relink` finds photos that moved")
        say(f"{contact_sheet}: {len(profile.faces)} faces drawn")


def _sum_up(profile: "Profile", expires: str | None, consent: str | None) -> None:
    say(f"{profile.name}: {len(profile.faces)} faces in {profile.photos} photos")
    if profile.faces:
        sides = sorted(round(each.face.box.width) for each in profile.faces)
        worst = min(each.face.flip_consistency for each in profile.faces)
        say(f"added {profile.first} to {profile.last}")
        say(f"faces {sides[0]} to {sides[-1]} pixels wide, the middle one {sides[len(sides) // 2]}")
        say(f"agreement {worst:.3f} and more")
    if expires:
        say(f"expires after {expires}")
    if consent:
        say(f"consent: {consent}")


def _tell(line: str, row: dict[str, Any]) -> None:
    """What was done: a line for people, a row for programs."""
    say(line)
    if options.form != "table":
        show([row], [], options.form)


@people_app.command("rename")
def people_rename(old: str, new: str) -> None:
    """Give a person another name."""
    old, new = clean_name(old), clean_name(new)
    with reached() as gallery:
        gallery.rename(old, new)
    _tell(f"{old!r} is now {new!r}", {"action": "rename", "name": new, "old": old})


@people_app.command("merge")
def people_merge(
    name: Annotated[str, typer.Argument(help="Who stays.")],
    other: Annotated[str, typer.Argument(help="Whose faces become theirs.")],
    force: Force = False,
) -> None:
    """Two names are one person: the faces of OTHER become the faces of NAME."""
    name, other = clean_name(name), clean_name(other)
    with reached() as gallery:
        faces = gallery.merge(name, other, force=force)
    row = {"action": "merge", "name": name, "other": other, "faces": faces}
    _tell(f"{other!r} is now {name!r}: {faces} faces; `undo` parts them again", row)


@people_app.command("split")
def people_split(
    name: str,
    faces: Annotated[str, typer.Option(help="Their numbers as `people show` prints them: 3,5,7.")],
    into: Annotated[str, typer.Option(help="Whose they are: a new name, or somebody enrolled.")],
    force: Force = False,
) -> None:
    """Some faces of a person are another's."""
    try:
        numbers = [int(number) for number in faces.split(",") if number.strip()]
    except ValueError as error:
        raise typer.BadParameter("--faces: give numbers with commas between them") from error
    name, into = clean_name(name), clean_name(into)
    with reached() as gallery:
        count = gallery.split(name, numbers, into, force=force)
    row = {"action": "split", "name": name, "other": into, "faces": count}
    _tell(f"{count} faces of {name!r} are now {into!r}'s; `undo` gives them back", row)


@people_app.command("reject")
def people_reject(
    name: str,
    photo: Path,
    face: Annotated[
        int | None, typer.Option(min=0, help="Of a photo with several, as identify counts them.")
    ] = None,
) -> None:
    """The face on PHOTO is not NAME: never again, and not enrolled as theirs any more."""
    from facesearch.gallery.legacy import Gallery

    name = clean_name(name)
    with reached() as gallery:
        if isinstance(gallery, Gallery):
            found = gallery.reject(name, photo, embedder_of(chosen_model()), face)
        else:
            found = gallery.reject(name, photo, face=face)
    row = serialization.rejected(name, photo, found)
    out = f"; {found.taken_out} enrolled face taken out" if found.taken_out else ""
    _tell(f"{photo}: face {found.face} is not {name!r} (rejection {found.number}){out}", row)
    if found.copies:
        listed = ",".join(map(str, found.copies))
        warn(
            f"{name!r} keeps faces {listed}, which are nearly the same face; "
            "`people split --faces` takes them out"
        )


@people_app.command("rejections")
def people_rejections(
    forget: Annotated[
        int | None, typer.Option(help="Take this rejection back, by its number.")
    ] = None,
) -> None:
    """Which faces are known not to be whose."""
    with reached() as gallery:
        if forget is not None:
            gallery.forget(forget)
            _tell(f"rejection {forget} is forgotten", {"action": "forget", "rejection": forget})
            return
        photos = gallery.photos_of_rejections()
        kept = list(serialization.rejections(gallery.rejections(), photos))
    show(kept, ["rejection", "name", "photo", "box", "at"], options.form)


@people_app.command("set")
def people_set(
    name: str,
    expires: Annotated[
        str | None,
        typer.Option(help="The last day, 2027-12-31; `gallery purge-expired` ends it. Or: never."),
    ] = None,
    consent: Annotated[str | None, typer.Option(help="A note; an empty one removes it.")] = None,
) -> None:
    """Until when a person may be kept, and on what consent."""
    if expires is None and consent is None:
        raise typer.BadParameter("give --expires, --consent or both")
    name = clean_name(name)
    with reached() as gallery:
        gallery.set_terms(name, expires="" if expires == "never" else expires, consent=consent)
        person = gallery.person(name)
    row = {"action": "set", "name": name, "expires": person.expires, "consent": person.consent}
    _tell(f"{name!r}: expires {person.expires or 'never'}; consent: {person.consent or '-'}", row)


@people_app.command("remove")
def people_remove(
    name: str,
    yes: Yes = False,
    purge: Annotated[
        bool,
        typer.Option("--purge", help="For good: leave nothing of them, also if removed before."),
    ] = False,
) -> None:
    """Remove a person from every answer. `undo` brings them back; with --purge nothing does.

    The photos themselves are not touched.
    """
    name = clean_name(name)
    with reached() as gallery:
        if purge:
            kept = gallery.kept_of(name)
            faces = sum(each.faces for each in kept)
            if kept and not yes:
                whom = ", ".join(f"{each.name!r} ({each.faces} faces)" for each in kept)
                typer.confirm(f"Leave nothing of {whom}, for good?", abort=True, err=True)
            gallery.purge(name)
        else:
            faces = len(gallery.faces_of(name))
            if not yes:
                typer.confirm(f"Remove {name!r} with {faces} faces?", abort=True, err=True)
            gallery.remove(name)
    row = {"action": "purge" if purge else "remove", "name": name, "faces": faces}
    done = "purged; nothing of them is kept" if purge else "removed; `undo` brings them back"
    _tell(f"{name!r} and {faces} faces {done}", row)


@app.command()
def undo(
    event: Annotated[
        int | None, typer.Option(help="The change with this number instead of the last one.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show what can be undone.")] = False,
) -> None:
    """Undo the last merge, split, rename, remove or reject that is not undone yet."""
    with reached() as gallery:
        if listed:
            undoable = (
                {"event": each.event, "at": each.at, "action": each.action, "what": each.line}
                for each in gallery.changes()
            )
            show(undoable, ["event", "at", "what"], options.form)
            return
        done = gallery.undo(event)
    row = {"action": "undo", "event": done.event, "undone": done.action, "what": done.line}
    _tell(f"undone: {done.line}", row)
