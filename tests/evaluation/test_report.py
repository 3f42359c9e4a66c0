"""What was measured is told to programs and to people, with its intervals."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.evaluation.evaluate import Evaluation, OpenSetEvaluation
from facesearch.evaluation.report import INTERVAL, rows, table, write
from facesearch.metrics.error_rates import binned
from facesearch.metrics.open_set import open_set
from facesearch.metrics.pairs import PairResult


@pytest.fixture
def pairs() -> Evaluation:
    rng = np.random.default_rng(0)
    at = {"0.01": 0.25, "0.001": None}
    return Evaluation(
        result=PairResult(3000, 0.98765, 0.004, 0.97, 0.9, 0.999, 0.012, at),
        failed_to_detect=2,
        people=1200,
        photos=2400,
        genuine_pairs=1000,
        impostor_pairs=2000,
        intervals={
            "accuracy": (0.98, 0.99),
            "f1": (0.96, 0.98),
            "auc": None,
            "eer": (0.01, 0.02),
            "fnmr_at_fmr": {"0.01": (0.2, 0.3), "0.001": None},
        },
        tally=binned(rng.uniform(0, 1, 100), rng.uniform(0.8, 2, 200)),
    )


@pytest.fixture
def searches() -> OpenSetEvaluation:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 3)
    vectors = rng.normal(size=(40, 16))[people] + 0.3 * rng.normal(size=(120, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = open_set(vectors.astype(np.float32), people, np.ones(120, bool), 10, draws=2)
    return OpenSetEvaluation([found], 0, 40, 120, ())


def test_the_row_of_pairs_is_the_documented_one(pairs: Evaluation) -> None:
    (row,) = rows("default", pairs)
    assert row["model"] == "default"
    assert (row["pairs"], row["accuracy"], row["failed_to_detect"]) == (3000, 0.98765, 2)
    assert row["fnmr_at_fmr"] == {"0.01": 0.25, "0.001": None}
    assert row["intervals"]["accuracy"] == (0.98, 0.99)
    json.dumps(row)


def test_the_table_of_pairs(pairs: Evaluation) -> None:
    told = {row["figure"]: (row["value"], row[INTERVAL]) for row in table(pairs)}
    assert told["accuracy"] == ("0.9877", "0.9800 to 0.9900")
    assert told["its deviation over the folds"] == ("0.0040", "")
    assert told["AUC"] == ("0.9990", "")
    assert told["FNMR at FMR 0.01"] == ("0.2500", "0.2000 to 0.3000")
    assert told["FNMR at FMR 0.001"] == ("too few pairs", "")
    assert told["people"] == ("1,200", "")


def test_rows_and_table_of_searches(searches: OpenSetEvaluation) -> None:
    (row,) = rows("default", searches)
    result = searches.results[0]
    assert (row["enrolled"], row["people"], row["photos"]) == (10, 40, 120)
    assert row["rank1"] == result.rank1
    assert len(row["cmc"]) == 10
    (shown,) = table(searches)
    assert shown["rank-1"].startswith(f"{result.rank1:.3f} (")
    assert shown["FNIR at FPIR 0.01"] == "too few probes"
    json.dumps(row)


def test_a_report_replaces_the_one_before(
    pairs: Evaluation, searches: OpenSetEvaluation, tmp_path: Path
) -> None:
    write(tmp_path, "facesearch evaluate lfw", "default", pairs)
    page = (tmp_path / "report.md").read_text("utf-8")
    assert page.startswith("# default measured\n\n`facesearch evaluate lfw`\n")
    assert "| accuracy | 0.9877 | 0.9800 to 0.9900 |" in page
    for name in ("roc", "det", "distances"):
        assert f"![{name}]({name}.png)" in page
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width > 300
    assert json.loads((tmp_path / "results.json").read_text())[0]["people"] == 1200
    write(tmp_path, "facesearch evaluate lfw --protocol open-set", "default", searches)
    assert "| enrolled | known |" in (tmp_path / "report.md").read_text("utf-8")
    assert {"dir.png", "cmc.png"} <= {path.name for path in tmp_path.iterdir()}
    assert json.loads((tmp_path / "results.json").read_text())[0]["enrolled"] == 10
