"""The results of an evaluation: rows for programs, tables for people, a report with plots."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from facesearch.evaluation.evaluate import Evaluation, OpenSetEvaluation
from facesearch.metrics.bootstrap import REPLICATES, Interval

Row = dict[str, Any]
INTERVAL = "95 % interval"  # the heading of a column
Found = Evaluation | OpenSetEvaluation


def rows(model: str, found: Found) -> list[Row]:
    """The objects that `facesearch evaluate --json` prints."""
    return (
        [_pairs_row(model, found)]
        if isinstance(found, Evaluation)
        else _open_set_rows(model, found)
    )


def table(found: Found) -> list[Row]:
    """The rows of the table for people: figures with their intervals."""
    return _pairs_table(found) if isinstance(found, Evaluation) else _open_set_table(found)


def write(folder: Path, command: str, model: str, found: Found) -> None:
    """Write results.json, report.md and plots into a folder, in place of an earlier report's.

    command: the one that measured, which the report names.
    """
    if isinstance(found, Evaluation):
        text, pictures = _pairs_text(found), _draw_pairs(folder, model, found)
    else:
        text, pictures = _open_set_text(found), _draw_open_set(folder, found)
    shown = "\n\n".join(f"![{name}]({name}.png)" for name in pictures)
    page = f"# {model} measured\n\n`{command}`\n\n{_markdown(table(found))}\n\n{text}\n\n{shown}\n"
    (folder / "report.md").write_text(page, "utf-8", errors="backslashreplace")
    results = json.dumps(rows(model, found), indent=1)
    (folder / "results.json").write_text(results + "\n", "utf-8")


def _pairs_row(model: str, found: Evaluation) -> Row:
    """See `rows`."""
    return {
        "model": model,
        **asdict(found.result),
        "failed_to_detect": found.failed_to_detect,
        "people": found.people,
        "photos": found.photos,
        "genuine_pairs": found.genuine_pairs,
        "impostor_pairs": found.impostor_pairs,
        "intervals": found.intervals,
    }


def _open_set_rows(model: str, found: OpenSetEvaluation) -> list[Row]:
    """See `rows`: an object for each size of the gallery."""
    made = []
    for result in found.results:
        row = {"model": model, **asdict(result)}
        after = {key: row.pop(key) for key in ("draws", "cmc", "dir")}
        counts = {"people": found.people, "photos": found.photos}
        made.append({**row, "failed_to_detect": found.failed_to_detect, **after, **counts})
    return made


def _pairs_table(found: Evaluation) -> list[Row]:
    """A row for each figure, with its interval."""
    result, around = found.result, found.intervals
    figures: list[tuple[str, float | None, Any]] = [
        ("accuracy", result.accuracy, around["accuracy"]),
        ("F1", result.f1, around["f1"]),
        ("AUC", result.auc, around["auc"]),
        ("EER", result.eer, around["eer"]),
    ]
    at_fmr = around["fnmr_at_fmr"]
    assert isinstance(at_fmr, dict)
    for rate, value in result.fnmr_at_fmr.items():
        figures.append((f"FNMR at FMR {rate}", value, at_fmr[rate]))
    rows = [
        {"figure": name, "value": _figure(value), INTERVAL: _interval(interval)}
        for name, value, interval in figures
    ]
    if result.accuracy_std:
        spread = f"{result.accuracy_std:.4f}"
        rows.insert(1, {"figure": "its deviation over the folds", "value": spread, INTERVAL: ""})
    counts = {
        "threshold": f"{result.threshold:.4f}",
        "pairs, genuine": f"{found.genuine_pairs:,}",
        "pairs, impostor": f"{found.impostor_pairs:,}",
        "people": f"{found.people:,}",
        "photos": f"{found.photos:,}",
        "photos without a usable face": f"{found.failed_to_detect:,}",
    }
    return rows + [{"figure": n, "value": v, INTERVAL: ""} for n, v in counts.items()]


def _open_set_table(found: OpenSetEvaluation) -> list[Row]:
    """A row for each size of the gallery, the figures with their intervals."""
    rows = []
    for result in found.results:
        at_fpir = result.intervals["fnir_at_fpir"]
        rank1 = result.intervals["rank1"]
        assert isinstance(at_fpir, dict)
        assert not isinstance(rank1, dict)
        row: Row = {
            "enrolled": result.enrolled,
            "known": result.known_probes,
            "unknown": result.unknown_probes,
            "rank-1": _with_interval(result.rank1, rank1),
        }
        for rate, value in result.fnir_at_fpir.items():
            row[f"FNIR at FPIR {rate}"] = _with_interval(value, at_fpir[rate])
        rows.append(row)
    return rows


def _figure(value: float | None) -> str:
    return "too few pairs" if value is None else f"{value:.4f}"


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def _with_interval(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "too few probes"
    return f"{value:.3f}" + (
        "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"
    )


def _pairs_text(found: Evaluation) -> str:
    return (
        "Two photos match at a distance up to the threshold. Photos without a usable face match "
        "nothing and stay in every figure. Where all pairs of a folder are measured, accuracy and "
        "F1 weigh genuine and impostor pairs alike, as if there were as many of either. "
        f"Intervals: {REPLICATES} bootstrap replicates over people."
    )


def _open_set_text(found: OpenSetEvaluation) -> str:
    return (
        f"{found.people:,} people, {found.photos:,} photos, {found.failed_to_detect:,} of them "
        "without a usable face; these count as failures. Means over "
        f"{found.results[0].draws} galleries of each size. *Known* probes show people who are "
        "enrolled, *unknown* ones others. A known probe is found if its own person is the nearest "
        "and within the threshold that gives the FPIR among the unknown probes of the same "
        f"gallery. In brackets 95 % intervals: {REPLICATES} bootstrap replicates over people, "
        "with the galleries fixed."
    )


def _draw_pairs(folder: Path, model: str, found: Evaluation) -> list[str]:
    from facesearch.evaluation.plots import draw_det, draw_distances, draw_roc

    tallies = {model: found.tally}
    draw_roc(tallies, folder / "roc.png")
    draw_det(tallies, folder / "det.png")
    draw_distances(tallies, found.result.threshold, "threshold", folder / "distances.png")
    return ["roc", "det", "distances"]


def _draw_open_set(folder: Path, found: OpenSetEvaluation) -> list[str]:
    from facesearch.evaluation.plots import draw_cmc, draw_dir

    sizes = {f"{result.enrolled:,} enrolled": result for result in found.results}
    fpir, rate = ({n: np.array(r.dir)[:, side] for n, r in sizes.items()} for side in (0, 1))
    draw_dir({name: (fpir[name], rate[name]) for name in sizes}, folder / "dir.png")
    draw_cmc({name: result.cmc for name, result in sizes.items()}, folder / "cmc.png")
    return ["dir", "cmc"]


def _markdown(rows: list[Row]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
