"""What the tests of the page share."""

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.served import PATIENCE

SHOTS = Path(__file__).parent.parent.parent / "test-output" / "browser"  # kept after the tests


@dataclass(frozen=True)
class Pictures:
    """The demo's: a folder per person to enrol, and photos to ask about."""

    people: Path
    queries: Path

    def of(self, name: str) -> list[str]:
        return sorted(str(path) for path in (self.people / name).iterdir())

    def query(self, name: str) -> str:
        return str(self.queries / name)


def told(address: str, path: str) -> Any:
    """What the server itself says."""
    with urllib.request.urlopen(f"{address}{path}", timeout=PATIENCE) as answer:
        return json.load(answer)
