"""What the user does with the people of a gallery: rename, remove, merge, split, set terms."""

from collections.abc import Iterable
from datetime import date

from facesearch.core.errors import PersonError
from facesearch.core.names import is_clean
from facesearch.gallery.change import Change, change_of
from facesearch.gallery.rejections import Contradiction, contradictions
from facesearch.storage import curation as rows
from facesearch.storage import rejections
from facesearch.storage.curation import Terms
from facesearch.storage.database import Database
from facesearch.storage.events import Event
from facesearch.storage.faces import face_numbers, move_faces
from facesearch.storage.people import hide_person, new_person, person_number
from facesearch.storage.store import Store


def rename(store: Store, old: str, new: str) -> Change:
    """Give a person another name. Raises PersonError if `old` is unknown or `new` is taken."""
    return change_of(store.rename(old, new))


def remove(store: Store, name: str) -> Change:
    """Take a person out of every answer, until it is undone. Raises PersonError."""
    return change_of(store.remove(name))


def merge(database: Database, name: str, other: str, *, force: bool = False) -> Change:
    """Give the faces of `other` to `name`.

    The rejections of `other` and the earlier of the two expiry dates go with them; notes of consent
    are joined. force: merge although a face of one was rejected as the other's; those rejections
    are laid aside. Raises PersonError.
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
        event.faces = len(numbers)
        move_faces(connection, numbers, person)
        void = {found.rejection for found in against}
        theirs, mine = (set(rejections.numbers(connection, who)) for who in (absorbed, person))
        detail["rejections"] = sorted(theirs - void)
        detail["laid_aside"] = sorted(mine & void)
        rejections.give(connection, detail["rejections"], person)
        rejections.give(connection, detail["laid_aside"], absorbed)
        before, joined = rows.terms(connection, person), rows.terms(connection, absorbed)
        detail["expires"], detail["consent"] = before.expires, before.consent
        days = [day for day in (before.expires, joined.expires) if day]
        notes = dict.fromkeys(note for note in (before.consent, joined.consent) if note)
        after = Terms(min(days, default=None), "; ".join(notes) or None)
        rows.set_terms(connection, person, after)
        detail["terms"] = after.expires, after.consent
        hide_person(connection, absorbed, other)
    return change_of(event)


def split(
    database: Database, name: str, numbers: Iterable[int], into: str, *, force: bool = False
) -> Change:
    """Give some faces of a person to another, who is added if there is nobody of this name.

    numbers: of the faces. A person who is added expires when the former does. force: split although
    a face was rejected as the other's; the rejections then say that the faces are not the former's.
    Raises PersonError.
    """
    chosen = sorted(set(numbers))
    event = Event(
        "split",
        {"name": name, "other_name": into, "faces": chosen, "made": False, "rejections": []},
        len(chosen),
    )
    detail = event.detail
    with database.write_event(event) as connection:
        person = detail["person"] = person_number(connection, name)
        _check_split(name, into, chosen, face_numbers(connection, person))
        other = rows.number_of(connection, into)
        if other is None:
            other = new_person(connection, into)
            detail["made"] = True
            rows.set_terms(connection, other, Terms(rows.terms(connection, person).expires, None))
        else:
            found = contradictions(database, connection, person, other)
            against = [each for each in found if each.face in chosen]
            _refuse(against, force)
            detail["rejections"] = sorted({each.rejection for each in against})
            rejections.give(connection, detail["rejections"], person)
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
        kept = rows.terms(connection, person)
        new = Terms(
            kept.expires if expires is None else expires or None,
            kept.consent if consent is None else consent or None,
        )
        rows.set_terms(connection, person, new)
    return Change(event.number, event.at, event.action, f"the terms of {name} were set", 0)


def _check_split(name: str, into: str, chosen: list[int], theirs: list[int]) -> None:
    """Raises PersonError unless some of the person's faces are chosen, and not all."""
    if name == into:
        raise PersonError(f"{name}: the faces are theirs already")
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


def _refuse(against: list[Contradiction], force: bool) -> None:
    """Raises PersonError if faces were rejected and the user does not insist."""
    if against and not force:
        first = against[0]
        more = f" and {len(against) - 1} more" if len(against) > 1 else ""
        raise PersonError(
            f"{first.name}: face {first.face} of {first.enrolled_as} ({first.photo}) was rejected "
            f"as theirs (rejection {first.rejection}{more}); --force does it all the same"
        )
