"""evaluate: pairs, searches, reports."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.commands import (
    DATA,
    PHOTO,
    Run,
    one_line_error,
)


@pytest.fixture
def measured(people: Path, no_face: Path, tmp_path: Path) -> Path:
    """Drawn people in LFW's form, one with a photo without a face, one with a file that is none."""
    root = tmp_path / "measured"
    for person in sorted(people.iterdir()):
        (root / person.name).mkdir(parents=True)
        for number, photo in enumerate(sorted(person.iterdir())[:3], start=1):
            shutil.copy(photo, root / person.name / f"{person.name}_{number:04}.jpg")
    shutil.copy(no_face, root / "person-00" / "person-00_0004.jpg")
    return root


def test_evaluate_a_list_of_pairs(run: Run, measured: Path, tmp_path: Path) -> None:
    lines = ["2\t2"]
    for fold in range(2):
        lines += [f"person-0{fold}\t1\t{4 - fold}", f"person-0{fold + 2}\t2\t3"]
        lines += [f"person-0{fold}\t1\tperson-0{n}\t2" for n in (4, 5)]
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("\n".join(lines) + "\n")
    ran = run("evaluate", measured, "--pairs", pairs, "--json")
    assert ran.code == 0, ran.err
    (row,) = ran.lines
    assert list(row)[:9] == [
        "model",
        "pairs",
        "accuracy",
        "accuracy_std",
        "f1",
        "threshold",
        "auc",
        "eer",
        "fnmr_at_fmr",
    ]
    assert (row["model"], row["pairs"], row["failed_to_detect"]) == ("default", 8, 1)
    assert row["fnmr_at_fmr"] == {"0.01": None, "0.001": None, "0.0001": None}
    assert (row["genuine_pairs"], row["impostor_pairs"], row["people"]) == (4, 4, 6)
    low, high = row["intervals"]["accuracy"]
    assert low <= row["accuracy"] <= high
    assert run("evaluate", measured, "--pairs", pairs, "--people", pairs).code == 2
    assert run("evaluate", measured, "--pairs", pairs, "--protocol", "open-set").code == 2
    (measured / "person-04" / "person-04_0002.jpg").write_text("no photo")
    one_line_error(run("evaluate", measured, "--pairs", pairs), PHOTO, "not an image")


def test_evaluate_all_pairs_of_a_folder(run: Run, measured: Path, tmp_path: Path) -> None:
    (measured / "person-05" / "person-05_0003.jpg").write_text("no photo")
    report = tmp_path / "deep" / "report"
    ran = run("evaluate", measured, "--json", "--report", report)
    assert ran.code == 0, ran.err
    (row,) = ran.lines
    assert (row["genuine_pairs"], row["impostor_pairs"], row["pairs"]) == (21, 150, 171)
    assert (row["people"], row["photos"], row["failed_to_detect"]) == (6, 19, 2)
    assert "warning: 1 photo cannot be read" in ran.err
    assert set(row["intervals"]) == {"accuracy", "f1", "auc", "eer", "fnmr_at_fmr"}
    assert (row["fnmr_at_fmr"]["0.01"] is None, row["fnmr_at_fmr"]["0.001"]) == (False, None)
    files = {path.name for path in report.iterdir()}
    assert files == {"results.json", "report.md", "roc.png", "det.png", "distances.png"}
    assert json.loads((report / "results.json").read_text()) == ran.lines
    page = (report / "report.md").read_text()
    assert f"evaluate {measured} --json --report {report}`" in page
    assert f"| AUC | {row['auc']:.4f} |" in page
    chosen = tmp_path / "people.txt"
    chosen.write_text("2\nperson-02\t3\nperson-01\t3\n")
    (report / "notes.txt").write_text("mine")
    some = run("evaluate", measured, "--people", chosen, "--report", report, "--quiet")
    assert some.code == 0
    assert "pairs, genuine" in some.out
    assert (report / "notes.txt").read_text() == "mine"
    (again,) = json.loads((report / "results.json").read_text())
    assert (again["people"], again["genuine_pairs"], again["impostor_pairs"]) == (2, 6, 9)
    one_line_error(run("evaluate", measured, "--people", tmp_path / "no"), DATA, "cannot be read")
    assert run("evaluate", measured, "--enrolled", "2").code == 2


def test_evaluate_searches(run: Run, measured: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    arguments = ("evaluate", measured, "--protocol", "open-set")
    sizes = ("--enrolled", "2", "--enrolled", "4")
    ran = run(*arguments, *sizes, "--photos", "1", "--json", "--report", report)
    assert ran.code == 0, ran.err
    small, large = ran.lines
    assert list(small)[:9] == [
        "model",
        "enrolled",
        "known_probes",
        "unknown_probes",
        "rank1",
        "fnir_at_fpir",
        "intervals",
        "failed_to_detect",
        "draws",
    ]
    assert [row["enrolled"] for row in (small, large)] == [2, 4]
    assert (small["unknown_probes"], large["unknown_probes"]) == (4, 2)
    assert large["known_probes"] in (8, 9)
    assert small["fnir_at_fpir"] == {"0.1": None, "0.01": None, "0.001": None}
    assert len(large["cmc"]) == 4
    assert large["dir"][-1] == [1.0, large["rank1"]]
    assert small["failed_to_detect"] == 1
    files = {path.name for path in report.iterdir()}
    assert files == {"results.json", "report.md", "dir.png", "cmc.png"}
    assert "| 4 |" in (report / "report.md").read_text()
    chips = run(*arguments, "--enrolled", "5", "--photos", "9", "--aligned")
    assert chips.code == 0
    assert "too few probes" in chips.out
    one_line_error(run(*arguments), DATA, "6 people are too few", "--enrolled")
