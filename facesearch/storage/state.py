"""The state of a gallery from which something was derived."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class State:
    """Of a gallery, from which something was made."""

    revision: str  # drawn for every write
    change: int  # the last one that it holds, see `history`

    def __str__(self) -> str:
        return f"{self.revision} {self.change}"

    @classmethod
    def of(cls, stamp: str) -> "State | None":
        """What `str` wrote, perhaps with more behind it."""
        revision, _, rest = stamp.partition(" ")
        change = rest.split(" ")[0]
        return cls(revision, int(change)) if change.isdecimal() else None
