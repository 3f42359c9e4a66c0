"""The four answers, from the people near a face."""

from pathlib import Path

import pytest

from facesearch.matching.decision import Candidate, decide
from facesearch.matching.evidence import posterior


def test_the_four_answers() -> None:
    def near(name: str, distance: float) -> Candidate:
        return Candidate(name, distance, Path(f"{name}.jpg"), 8 - 10 * distance)

    limit = 0.8
    match = decide([near("ann", 0.3), near("bob", 1.2)], limit, 2)
    assert (match.answer, match.name, match.distance) == ("match", "ann", 0.3)
    assert match.probability == posterior([5, -4], 2, 0.5)[0]
    assert decide([near("ann", 0.3)], limit, 2, prior=0.01).probability == pytest.approx(
        posterior([5], 2, 0.01)[0]
    )
    unknown = decide([near("ann", 0.81)], limit, 2)
    assert (unknown.answer, unknown.name) == ("unknown", None)
    assert "0.810" in unknown.reason
    close = decide([near("ann", 0.50), near("bob", 0.51)], limit, 2)
    assert (close.answer, close.name) == ("ambiguous", None)
    assert "ann" in close.reason
    assert "bob" in close.reason
    clear = decide([near("ann", 0.2), near("bob", 0.79)], limit, 2)
    assert clear.answer == "match"
    assert decide([near("ann", limit)], limit, 2).answer == "match"
    assert decide([], limit, 0).answer == "unknown"
