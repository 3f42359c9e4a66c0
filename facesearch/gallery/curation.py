"""What the user does with the people of a gallery: merge, split, set terms, and undo."""

import json
from collections.abc import Iterable
from datetime import date
from typing import Any

import sqlalchemy as sa

from facesearch.core.errors import PersonError
from facesearch.core.face import SAME_BOX_IOU, Box
from facesearch.core.names import is_clean
from facesearch.gallery.change import Change, change_of
from facesearch.gallery.rejections import Contradiction, contradictions, drop_rejection
from facesearch.storage import events
from facesearch.storage.database import Database
from facesearch.storage.events import Event
from facesearch.storage.faces import face_counts, face_numbers, move_faces
from facesearch.storage.people import hide_person, new_person, person_number, set_name
from facesearch.storage.row_checksums import check_face
from facesearch.storage.schema import face_rows, faces, people, photos, rejections
from facesearch.storage.store import Store

UNDOABLE = ("merge", "split", "rename", "remove", "reject")


def rename(store: Store, old: str, new: str) -> Change:
    """Give a person another name. Raises PersonError if `old` is unknown or `new` is taken."""
    return change_of(store.rename(old, new))


def remove(store: Store, name: str) -> Change:
    """Take a person out of every answer, until it is undone. Raises PersonError."""
    return change_of(store.remove(name))


def merge(database: Database, name: str, other: str, *, force: bool = False) -> Change:
    """Give the faces of `other` to `name`.

    Rejections and the earlier of two expiry dates go with them; notes of consent are joined.
    force: although a face of one was rejected as the other's; those rejections are laid aside.
    Raises PersonError.
    """
    event = Event("merge", {"name": name, "other_name": other})
    detail = event.detail
    with database.write_event(event) as connection:
        person = detail["person"] = person_number(connection, name)
        absorbed = detail["other"] = person_number(connection, other)
        if person == absorbed:
            raise PersonError(f"{name}: cannot be merged with themselves")
        against = contradictions(database, connection, person, absorbed)
        _refuse(against, force)
        numbers = detail["faces"] = face_numbers(connection, absorbed)
        move_faces(connection, numbers, person)
        void = {found.rejection for found in against}
        theirs, mine = (set(_rejections_of(connection, who)) for who in (absorbed, person))
        detail["rejections"] = sorted(theirs - void)
        detail["laid_aside"] = sorted(mine & void)
        _give_rejections(connection, detail["rejections"], person)
        _give_rejections(connection, detail["laid_aside"], absorbed)
        detail["expires"], detail["consent"] = _terms(connection, person)
        expires, consent = _terms(connection, absorbed)
        dates = [day for day in (detail["expires"], expires) if day]
        notes = dict.fromkeys(note for note in (detail["consent"], consent) if note)
        _set_terms(connection, person, min(dates, default=None), "; ".join(notes) or None)
        detail["terms"] = _terms(connection, person)
        hide_person(connection, absorbed, other)
        event.faces = len(numbers)
    return change_of(event)


def split(
    database: Database, name: str, numbers: Iterable[int], into: str, *, force: bool = False
) -> Change:
    """Give some faces of a person to another, who is made if need be.

    numbers: of the faces. Who is made expires as the former does. force: although a face was
    rejected as the other's; then the rejections say that they are not the former's. Raises
    PersonError.
    """
    chosen = sorted(set(numbers))
    event = Event("split", {"name": name, "other_name": into, "faces": chosen, "made": False})
    event.faces = len(chosen)
    detail = event.detail
    detail["rejections"] = []
    with database.write_event(event) as connection:
        person = detail["person"] = person_number(connection, name)
        if name == into:
            raise PersonError(f"{name}: the faces are theirs already")
        theirs = face_numbers(connection, person)
        strange = sorted(set(chosen) - set(theirs))
        if strange:
            listed = ", ".join(map(str, strange))
            raise PersonError(f"{name}: has no face {listed}; `people show` prints the numbers")
        if not chosen:
            raise PersonError(f"{name}: no face was chosen")
        if len(chosen) == len(theirs):
            raise PersonError(
                f"{name}: these are all of their faces; `people rename` or `people merge` them"
            )
        query = sa.select(people.c.id).where(people.c.name == into)
        other = connection.execute(query).scalar()
        if other is None:
            other = new_person(connection, into)
            detail["made"] = True
            _set_terms(connection, other, _terms(connection, person)[0], None)
        else:
            found = contradictions(database, connection, person, other)
            against = [each for each in found if each.face in chosen]
            _refuse(against, force)
            detail["rejections"] = sorted({each.rejection for each in against})
            _give_rejections(connection, detail["rejections"], person)
        detail["other"] = other
        move_faces(connection, chosen, other)
    return change_of(event)


def set_terms(
    database: Database, name: str, *, expires: str | None = None, consent: str | None = None
) -> Change:
    """Note until when a person may be kept, and on what consent.

    None leaves a note as it is, an empty text takes it away. expires: the last day, ISO 8601.
    Raises PersonError.
    """
    if expires:
        try:
            expires = date.fromisoformat(expires).isoformat()
        except ValueError as error:
            raise PersonError(f"{name}: {expires!r} is no date; write it as 2027-12-31") from error
    if consent and not is_clean(consent):
        raise PersonError(f"{name}: a note must not hold control or broken characters")
    event = Event("terms", {})
    with database.write_event(event) as connection:
        person = person_number(connection, name)
        given = (expires, consent)
        kept = _terms(connection, person)
        terms = [old if new is None else new or None for new, old in zip(given, kept, strict=True)]
        _set_terms(connection, person, *terms)
    return Change(event.number, event.at, event.action, f"the terms of {name} were set", 0)


# Undoing


def changes(database: Database) -> list[Change]:
    """What can be undone, the latest first."""
    with database.read() as connection:
        return [change_of(event) for event in _done(connection)]


def undo(database: Database, event: int | None = None) -> Change:
    """Undo a change: the last one that is not undone, or that of an event.

    Raises PersonError if there is none, or if what happened since is in the way; then nothing has
    changed.
    """
    detail: dict[str, Any] = {}
    with database.write("undo", detail) as connection:
        done = _done(connection)
        if event is not None:
            done = [each for each in done if each.number == event]
        if not done:
            which = "nothing" if event is None else f"event {event}: nothing"
            raise PersonError(f"{which} to undo; `undo --list` shows what can be undone")
        change = change_of(done[0])
        detail["event"] = change.event
        try:
            _UNDO[change.action](database, connection, done[0].detail)
        except PersonError as error:
            raise PersonError(f"cannot be undone: {change.line}: {error}") from error
    return change


def _undo_rename(database: Database, connection: sa.Connection, what: dict[str, Any]) -> None:
    _check_there(connection, what["person"], what["new"])
    set_name(connection, what["person"], what["old"])


def _undo_remove(database: Database, connection: sa.Connection, what: dict[str, Any]) -> None:
    _bring_back(connection, what["person"], what["name"])
    _check_photos_free(database, connection, faces.c.person == what["person"])


def _undo_merge(database: Database, connection: sa.Connection, what: dict[str, Any]) -> None:
    person, other = what["person"], what["other"]
    _check_there(connection, person, None)
    _check_owned(connection, what["faces"], person)
    _bring_back(connection, other, what["other_name"])
    move_faces(connection, what["faces"], other)
    there = set(_rejections_of(connection, person))
    _give_rejections(connection, [each for each in what["rejections"] if each in there], other)
    aside = set(_rejections_of(connection, other))
    _give_rejections(connection, [each for each in what["laid_aside"] if each in aside], person)
    if list(_terms(connection, person)) == what["terms"]:  # else they were set anew
        _set_terms(connection, person, what["expires"], what["consent"])


def _undo_split(database: Database, connection: sa.Connection, what: dict[str, Any]) -> None:
    person, other = what["person"], what["other"]
    _check_there(connection, person, None)
    _check_owned(connection, what["faces"], other)
    move_faces(connection, what["faces"], person)
    there = set(_rejections_of(connection, person))
    _give_rejections(connection, [each for each in what["rejections"] if each in there], other)
    if what["made"] and not face_numbers(connection, other):
        query = sa.select(people.c.name).where(people.c.id == other, people.c.removed.is_(None))
        name = connection.execute(query).scalar()
        if name is not None:
            hide_person(connection, other, name)


def _undo_reject(database: Database, connection: sa.Connection, what: dict[str, Any]) -> None:
    person, other = what["person"], what["other"]
    _check_there(connection, person, None)
    if other is not None:
        _check_owned(connection, what["faces"], other)
        move_faces(connection, what["faces"], person)
        _check_photos_free(database, connection, faces.c.id.in_(what["faces"]))
        connection.execute(people.delete().where(people.c.id == other))
    if what["rejection"] is not None:
        drop_rejection(connection, what["rejection"])


_UNDO = {
    "rename": _undo_rename,
    "remove": _undo_remove,
    "merge": _undo_merge,
    "split": _undo_split,
    "reject": _undo_reject,
}


def _done(connection: sa.Connection) -> list[Event]:
    """The events that can be undone, the latest first."""
    undone = events.undone(connection)
    done = [each for each in events.logged(connection, UNDOABLE) if _can_be_undone(each)]
    done = [each for each in reversed(done) if each.number not in undone]
    counts = face_counts(connection) if any(each.action == "remove" for each in done) else {}
    for each in done:
        if each.action == "remove":  # the log does not say which faces they had, and still have
            each.faces = counts.get(each.detail["person"], 0)
    return done


def _can_be_undone(event: Event) -> bool:
    """Not so what was done before undoing existed, or what concerns somebody who was purged."""
    what = event.detail
    if event.action == "reject" and what.get("rejection") is None and what.get("other") is None:
        return False  # the rejection was taken back
    return "person" in what


def _check_there(connection: sa.Connection, person: int, name: str | None) -> None:
    """Raises PersonError unless the person is there, under this name if one is given."""
    query = sa.select(people.c.name, people.c.removed).where(people.c.id == person)
    row = connection.execute(query).first()
    if row is None or row.removed is not None:
        raise PersonError("the person has been removed since")
    if name is not None and row.name != name:
        raise PersonError(f"{name} is called {row.name} now")


def _check_owned(connection: sa.Connection, numbers: list[int], person: int) -> None:
    lost = sorted(set(numbers) - set(face_numbers(connection, person)))
    if lost:
        raise PersonError(f"face {', '.join(map(str, lost))} went elsewhere since")


def _check_photos_free(
    database: Database, connection: sa.Connection, back: sa.ColumnElement[bool]
) -> None:
    """Raises PersonError if a face that comes back was enrolled again since."""
    shared = sa.select(faces.c.photo).where(back)
    query = (
        face_rows(photos.c.path, people.c.name, people.c.removed, back.label("back"))
        .join(photos, photos.c.id == faces.c.photo)
        .join(people, people.c.id == faces.c.person)
        .where(faces.c.photo.in_(shared), sa.or_(back, people.c.removed.is_(None)))
        .order_by(faces.c.id)
    )
    rows = connection.execute(query).all()
    for row in rows:
        check_face(row)
    coming = [row for row in rows if row.back]
    for other in (row for row in rows if not row.back):
        box = Box(*json.loads(other.box))
        for face in coming:
            if (
                other.photo == face.photo
                and box.overlap(Box(*json.loads(face.box))) >= SAME_BOX_IOU
            ):
                raise PersonError(f"{other.path} is enrolled as {other.name} since")


def _bring_back(connection: sa.Connection, person: int, name: str) -> None:
    query = sa.select(people.c.removed).where(people.c.id == person)
    row = connection.execute(query).first()
    if row is None or row.removed is None:
        raise PersonError(f"{name} is not a removed person any more")
    set_name(connection, person, name)
    connection.execute(people.update().where(people.c.id == person).values(removed=None))


# Small questions


def _refuse(against: list[Contradiction], force: bool) -> None:
    if against and not force:
        first = against[0]
        more = f" and {len(against) - 1} more" if len(against) > 1 else ""
        raise PersonError(
            f"{first.name}: face {first.face} of {first.enrolled_as} ({first.photo}) was rejected "
            f"as theirs (rejection {first.rejection}{more}); --force does it all the same"
        )


def _rejections_of(connection: sa.Connection, person: int) -> list[int]:
    query = sa.select(rejections.c.id).where(rejections.c.person == person)
    return list(connection.execute(query).scalars())


def _give_rejections(connection: sa.Connection, numbers: list[int], person: int) -> None:
    for number in numbers:
        mine = rejections.c.id == number
        connection.execute(rejections.update().where(mine).values(person=person))


def _terms(connection: sa.Connection, person: int) -> tuple[str | None, str | None]:
    query = sa.select(people.c.expires, people.c.consent).where(people.c.id == person)
    expires, consent = connection.execute(query).one()
    return expires, consent


def _set_terms(
    connection: sa.Connection, person: int, expires: str | None, consent: str | None
) -> None:
    values = {"expires": expires, "consent": consent}
    connection.execute(people.update().where(people.c.id == person).values(values))
