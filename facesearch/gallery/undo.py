"""Undoing what was done to the people of a gallery."""

from typing import Any

from facesearch.core.errors import PersonError
from facesearch.core.face import SAME_BOX_IOU
from facesearch.gallery.change import Change, change_of
from facesearch.storage import curation as rows
from facesearch.storage import events, rejections
from facesearch.storage.connection import Connection
from facesearch.storage.curation import Terms
from facesearch.storage.database import Database
from facesearch.storage.events import Event
from facesearch.storage.faces import face_numbers, move_faces
from facesearch.storage.people import hide_person, set_name

UNDOABLE = ("merge", "split", "rename", "remove", "reject")


def changes(database: Database) -> list[Change]:
    """What can be undone, the latest first."""
    with database.read() as connection:
        return [change_of(event) for event in _undoable(connection)]


def undo(database: Database, event: int | None = None) -> Change:
    """Undo a change, by the number of its event; None: the last one that is not undone.

    Returns the change that was undone. Raises PersonError if there is none, or if something that
    happened since is in the way; then nothing has changed.
    """
    detail: dict[str, Any] = {}
    with database.write("undo", detail) as connection:
        found = _undoable(connection)
        if event is not None:
            found = [each for each in found if each.number == event]
        if not found:
            which = "nothing" if event is None else f"event {event}: nothing"
            raise PersonError(f"{which} to undo; `undo --list` shows what can be undone")
        change = change_of(found[0])
        detail["event"] = change.event
        try:
            _UNDO[change.action](connection, found[0].detail)
        except PersonError as error:
            raise PersonError(f"cannot be undone: {change.line}: {error}") from error
    return change


def _undoable(connection: Connection) -> list[Event]:
    """The events that can be undone, the latest first."""
    undone = events.undone(connection)
    found = [
        event
        for event in reversed(events.logged(connection, UNDOABLE))
        if event.number not in undone and _is_complete(event)
    ]
    removed = [event for event in found if event.action == "remove"]
    counts = rows.face_counts(connection, {event.detail["person"] for event in removed})
    for event in removed:  # the person still has the faces that the log leaves out
        event.faces = counts.get(event.detail["person"], 0)
    return found


def _is_complete(event: Event) -> bool:
    """Whether an event tells all that undoing it takes.

    One does not that is older than undoing, or that concerns somebody who was purged, or whose
    rejection was taken back.
    """
    what = event.detail
    if event.action == "reject" and what.get("rejection") is None and what.get("other") is None:
        return False
    return "person" in what


def _undo_rename(connection: Connection, what: dict[str, Any]) -> None:
    _check_there(connection, what["person"], what["new"])
    set_name(connection, what["person"], what["old"])


def _undo_remove(connection: Connection, what: dict[str, Any]) -> None:
    _bring_back(connection, what["person"], what["name"])
    _check_photos_free(connection, face_numbers(connection, what["person"]))


def _undo_merge(connection: Connection, what: dict[str, Any]) -> None:
    person, other = what["person"], what["other"]
    _check_there(connection, person)
    _check_owned(connection, what["faces"], person)
    _bring_back(connection, other, what["other_name"])
    move_faces(connection, what["faces"], other)
    _give_back(connection, what["rejections"], person, other)
    _give_back(connection, what["laid_aside"], other, person)
    now = rows.terms(connection, person)
    if [now.expires, now.consent] == what["terms"]:  # else they were set since
        rows.set_terms(connection, person, Terms(what["expires"], what["consent"]))


def _undo_split(connection: Connection, what: dict[str, Any]) -> None:
    person, other = what["person"], what["other"]
    _check_there(connection, person)
    _check_owned(connection, what["faces"], other)
    move_faces(connection, what["faces"], person)
    _give_back(connection, what["rejections"], person, other)
    if what["made"] and not face_numbers(connection, other):
        row = rows.person_row(connection, other)
        if row is not None and not row.removed:
            hide_person(connection, other, row.name)


def _undo_reject(connection: Connection, what: dict[str, Any]) -> None:
    person, other = what["person"], what["other"]
    _check_there(connection, person)
    if other is not None:
        _check_owned(connection, what["faces"], other)
        move_faces(connection, what["faces"], person)
        _check_photos_free(connection, what["faces"])
        rows.drop_person(connection, other)
    if what["rejection"] is not None:
        rejections.drop(connection, what["rejection"])


_UNDO = {
    "rename": _undo_rename,
    "remove": _undo_remove,
    "merge": _undo_merge,
    "split": _undo_split,
    "reject": _undo_reject,
}


def _check_there(connection: Connection, person: int, name: str | None = None) -> None:
    """Raises PersonError unless the person is enrolled, under this name if one is given."""
    row = rows.person_row(connection, person)
    if row is None or row.removed:
        raise PersonError("the person has been removed since")
    if name is not None and row.name != name:
        raise PersonError(f"{name} is called {row.name} now")


def _check_owned(connection: Connection, numbers: list[int], person: int) -> None:
    """Raises PersonError unless all these faces are still the person's."""
    lost = sorted(set(numbers) - set(face_numbers(connection, person)))
    if lost:
        raise PersonError(f"face {', '.join(map(str, lost))} went elsewhere since")


def _check_photos_free(connection: Connection, coming: list[int]) -> None:
    """Raises PersonError if one of these faces, which come back, was enrolled again since."""
    back, others = rows.beside(connection, coming)
    for other in others:
        for face in back:
            if other.photo == face.photo and other.box.overlap(face.box) >= SAME_BOX_IOU:
                raise PersonError(f"{other.path} is enrolled as {other.name} since")


def _bring_back(connection: Connection, person: int, name: str) -> None:
    """Make a removed person an enrolled one of this name again. Raises PersonError."""
    row = rows.person_row(connection, person)
    if row is None or not row.removed:
        raise PersonError(f"{name} is not a removed person any more")
    set_name(connection, person, name)
    rows.unhide_person(connection, person)


def _give_back(connection: Connection, numbers: list[int], now: int, former: int) -> None:
    """Give rejections that are still one person's to another, whose they were before."""
    there = set(rejections.numbers(connection, now))
    rejections.give(connection, [number for number in numbers if number in there], former)
