"""The state of a gallery that a cache was made from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class State:
    """A state of a gallery's people and faces."""

    revision: str  # drawn for every write
    change: int  # the last one in the change log

    def __str__(self) -> str:
        return f"{self.revision} {self.change}"

    @classmethod
    def of(cls, stamp: str) -> "State | None":
        """The state in a stamp that begins with `str(state)`; None if it does not."""
        revision, _, rest = stamp.partition(" ")
        change = rest.split(" ")[0]
        return cls(revision, int(change)) if change.isdecimal() else None
