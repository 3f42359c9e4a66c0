"""A change to the people of a gallery: an entry of its event log, in words."""

from dataclasses import dataclass

from facesearch.core.face import Box
from facesearch.storage.events import Event

_LINES = {
    "rename": "{old} became {new}",
    "remove": "{name} was removed",
    "merge": "{other_name} was merged into {name} ({count})",
    "split": "{count} of {name} became {other_name}'s",
    "reject": "a face was rejected as {name}'s",
}


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was done to people; all but `terms` can be undone."""

    event: int  # its number in the log
    at: str  # ISO 8601, UTC
    action: str
    line: str  # what was done, in words
    faces: int  # how many it touched


@dataclass(frozen=True, slots=True)
class Rejected(Change):
    """A face that was said not to be a person's."""

    number: int  # of the rejection
    face: int  # of the photo, as identify counts; by `reject_face` the number of the face
    box: Box
    copies: list[int]  # enrolled as theirs from other photos, so near that they are this face, too

    @property
    def taken_out(self) -> int:
        """How many faces were enrolled as theirs until then."""
        return self.faces


def change_of(event: Event) -> Change:
    """The change that an event of the log tells of; its action is one of `_LINES`."""
    return Change(event.number, event.at, event.action, line_of(event), event.faces)


def line_of(event: Event) -> str:
    """What was done, in words."""
    count = f"{event.faces} face{'' if event.faces == 1 else 's'}"
    return _LINES[event.action].format(**event.detail, count=count)
