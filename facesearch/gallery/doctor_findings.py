"""What the doctor finds, and what puts it right."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from facesearch.storage.connection import Connection

Severity = Literal["error", "warning", "note"]
Cure = Callable[[Connection], object]

_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a gallery."""

    kind: str
    what: str  # which row or file, and what is wrong with it
    severity: Severity  # error: answers would be refused; warning: can go wrong; note: good to know
    repair: str  # what --repair does about it; empty if it can do nothing
    repaired: bool = False


@dataclass(slots=True)
class Findings:
    """The findings of an examination in the order in which they were made."""

    found: list[Finding] = field(default_factory=list)
    cures: list[tuple[int, Cure]] = field(default_factory=list)  # each with the place of its own
    lost: list[dict[str, Any]] = field(default_factory=list)  # faces that have to be enrolled again

    def add(
        self, kind: str, what: str, severity: Severity, repair: str = "", cure: Cure | None = None
    ) -> None:
        """Note a finding. cure: does within a transaction what `repair` says."""
        if cure is not None:
            self.cures.append((len(self.found), cure))
        self.found.append(Finding(kind, what, severity, repair))

    def change(self, *, what: str | None = None, repaired: bool = True, place: int = -1) -> None:
        """Change a finding, the last one by default."""
        former = self.found[place]
        self.found[place] = replace(former, what=what or former.what, repaired=repaired)

    def has_errors(self) -> bool:
        """Whether something was found for which answers would be refused."""
        return any(finding.severity == "error" for finding in self.found)

    def worst_first(self) -> list[Finding]:
        """All findings, by severity."""
        return sorted(self.found, key=lambda finding: _ORDER[finding.severity])
