"""How long jobs report their progress."""

from typing import Protocol


class Progress(Protocol):
    """Receives the stages of a job, and every step of each."""

    def start(self, stage: str, total: int) -> None:
        """A stage of `total` steps begins; the stage before it is over."""

    def advance(self, note: str = "") -> None:
        """One more step is done. note: a text to show beside the bar."""


class Silent:
    """Ignores all reports."""

    def start(self, stage: str, total: int) -> None:
        pass

    def advance(self, note: str = "") -> None:
        pass
