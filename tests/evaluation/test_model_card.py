"""The sections and tables of a model's card."""

from pathlib import Path

import pytest

from facesearch.evaluation.model_card import thresholds_table, write_section
from facesearch.matching.calibration import calibrate
from tests.support.crowd import cohort


def test_a_section_is_replaced_in_its_place(tmp_path: Path) -> None:
    page = tmp_path / "card.md"
    write_section(page, "## One", "first")
    assert page.read_text() == "# Model card\n\n## One\n\nfirst\n"
    write_section(page, "## Two", "second\n\nparagraph")
    write_section(page, "## One", "changed\n### below\nkept with it")
    assert page.read_text() == (
        "# Model card\n\n## One\n\nchanged\n### below\nkept with it\n\n"
        "## Two\n\nsecond\n\nparagraph\n"
    )


def test_the_thresholds_that_can_be_promised() -> None:
    found = calibrate(
        cohort(300, 3, seed=0, name="press").joined(cohort(5, 3, seed=1, name="few people"))
    )
    table = thresholds_table(found)
    assert "| few people | 5 | 15 | 15 | 90 | none |" in table
    assert f"| best F1 ({found.f1:.3f}) | {found.f1_threshold:.4f} |" in table
    assert "| FMR" not in table, "one of the populations promises nothing"
    alone = calibrate(cohort(300, 3, seed=0, name="press"))
    assert f"| FMR 0.01 | {alone.threshold(0.01):.4f} |" in thresholds_table(alone)
    assert "| FMR 0.0001 |" not in thresholds_table(alone)


@pytest.mark.parametrize("heading", ["## One", "## Other"])
def test_a_page_that_somebody_wrote_stays(tmp_path: Path, heading: str) -> None:
    page = tmp_path / "card.md"
    page.write_text("# Mine\n\nwords\n\n## One\n\nold\n\n## Last\n\nend")
    write_section(page, heading, "new")
    lines = page.read_text().splitlines()
    assert lines[:3] == ["# Mine", "", "words"]
    assert lines[lines.index(heading) + 2] == "new"
    assert ("old" in lines) == (heading == "## Other")
    assert "end" in lines
