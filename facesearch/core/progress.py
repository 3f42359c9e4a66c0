"""How long jobs tell of their progress, whoever listens."""

from typing import Protocol


class Progress(Protocol):
    """Told of every stage of a job and every step in it."""

    def start(self, stage: str, total: int) -> None:
        """A stage of `total` steps begins; the one before it is over."""

    def advance(self, note: str = "") -> None:
        """One more step is done; `note` is worth showing beside the bar."""


class Silent:
    """Listens and says nothing."""

    def start(self, stage: str, total: int) -> None:
        pass

    def advance(self, note: str = "") -> None:
        pass
