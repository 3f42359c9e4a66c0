"""compare: whether two photos show one person."""

from pathlib import Path

from tests.support.commands import (
    CALIBRATION,
    Run,
    one_line_error,
)


def test_compare(run: Run, hopper: Path, query: Path, collins: Path, no_face: Path) -> None:
    same = run("compare", hopper, query, "--json")
    assert same.code == 0
    (row,) = same.lines
    assert list(row)[:8] == [
        "a",
        "b",
        "same",
        "answer",
        "distance",
        "threshold",
        "probability",
        "reason",
    ]
    assert (row["same"], row["answer"]) == (True, "match")
    different = run("compare", hopper, collins, "--json")
    assert (different.code, different.lines[0]["same"]) == (1, False)
    lenient = run("compare", hopper, collins, "--threshold", "2", "--json")
    assert (lenient.code, lenient.lines[0]["threshold"]) == (0, 2.0)
    nobody = run("compare", hopper, no_face, "--json")
    assert nobody.code == 1
    assert nobody.lines[0]["same"] is None
    assert nobody.lines[0]["answer"] == "unusable"
    assert nobody.lines[0]["reason"] == f"{no_face}: no face found"
    looser, stricter = (
        run("compare", hopper, query, "--fmr", rate, "--json").lines[0]["threshold"]
        for rate in ("0.1", "0.01")
    )
    assert stricter < looser
    one_line_error(run("compare", hopper, query, "--fmr", "1e-9"), CALIBRATION, "1e-09", "support")
    assert run("compare", hopper, query, "--fmr", "0.1", "--threshold", "1").code == 2
