"""Writes the report and the card of a trained model: tables, curves, sample pairs."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facesearch.core.arrays import Distances
from facesearch.evaluation.plots import (
    History,
    SamplePairs,
    draw_det,
    draw_distances,
    draw_losses,
    draw_pairs,
    draw_roc,
)
from facesearch.matching.calibration import Calibration
from facesearch.metrics.error_rates import binned
from facesearch.metrics.pairs import PairResult, fnmr_at_fmr
from facesearch.vision.model import CARD, LANDMARKS_ERROR

REPORT, RESULTS = "report", "results.json"
CALIBRATED = "## Calibration"  # the heading of a section of the card
THRESHOLD_RATES = (0.1, 0.01, 0.001, 0.0001)  # false match rates whose thresholds are listed


@dataclass(frozen=True, slots=True)
class SplitResult:
    """The figures of a model on one part of the people."""

    name: str
    result: PairResult  # of as many impostor pairs as genuine ones
    genuine: Distances
    impostor: Distances  # of all impostor pairs


def write_report(
    folder: Path,
    record: dict[str, Any],
    history: History,
    calibration: Calibration,
    splits: list[SplitResult],
    samples: list[SamplePairs],
) -> None:
    """Write `report/` and `card.md` into a model folder, with `report/results.json` for programs.

    record: the content of config.json. history: a record for each epoch. samples: pairs of chips to
    show; leave them empty for a model that will be given away.
    """
    report = folder / REPORT
    report.mkdir(exist_ok=True)
    tallies = {split.name: binned(split.genuine, split.impostor) for split in splits}
    draw_losses(history, report / "loss.png")
    draw_roc(tallies, report / "roc.png")
    draw_det(tallies, report / "det.png")
    draw_distances(tallies, calibration.f1_threshold, "best F1", report / "distances.png")
    pictures = ["loss", "roc", "det", "distances"]
    for sample in samples:
        draw_pairs(sample, calibration.f1_threshold, report / f"pairs-{sample.name}.png")
        pictures.append(f"pairs-{sample.name}")
    shown = "\n\n".join(f"![{name}]({name}.png)" for name in pictures)
    table = split_table(splits)
    text = f"# Report\n\n{table}\n\n{thresholds_table(calibration)}\n\n{shown}\n"
    (report / "report.md").write_text(text, "utf-8")
    rows = [{"people": split.name, **asdict(split.result)} for split in splits]
    (report / RESULTS).write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    landmarks = folder / LANDMARKS_ERROR
    points = json.loads(landmarks.read_text("utf-8")) if landmarks.is_file() else None
    (folder / CARD).write_text(_card(record, calibration, table, points), "utf-8")


def split_table(splits: list[SplitResult]) -> str:
    """The figures of each part, as a table in Markdown."""
    head = (
        "| people | pairs | F1 | accuracy | AUC | FNMR at FMR 0.01 | FNMR at FMR 0.001 |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    rows = (
        f"| {split.name} | {split.result.pairs:,} | {split.result.f1:.3f} "
        f"| {split.result.accuracy:.3f} | {split.result.auc:.3f} "
        + "".join(
            f"| {fnmr_at_fmr(split.genuine, split.impostor, rate):.3f} " for rate in (0.01, 0.001)
        )
        + "|"
        for split in splits
    )
    return head + "\n".join(rows)


def write_section(page: Path, heading: str, text: str) -> None:
    """Write a section into a Markdown page, in place of the one with its heading, or at the end.

    heading: the whole line, which begins with `## `.
    """
    lines = page.read_text("utf-8").splitlines() if page.is_file() else ["# Model card", ""]
    start = lines.index(heading) if heading in lines else len(lines)
    after = start + 1
    while after < len(lines) and not lines[after].startswith("## "):
        after += 1
    if start == len(lines) and lines[-1]:
        lines.append("")
        start = after = len(lines)
    lines[start:after] = [heading, "", *text.splitlines(), ""]
    page.write_text("\n".join(lines).rstrip() + "\n", "utf-8")


def thresholds_table(calibration: Calibration) -> str:
    """The people behind a calibration and its thresholds, as tables in Markdown."""
    people = "\n".join(
        f"| {part.name} | {part.people:,} | {part.faces:,} | {part.genuine_pairs:,} "
        f"| {part.impostor_pairs:,} | {part.rates[0]:.2g} |"
        if part.rates
        else f"| {part.name} | {part.people:,} | {part.faces:,} | {part.genuine_pairs:,} "
        f"| {part.impostor_pairs:,} | none |"
        for part in calibration.populations
    )
    rates = [rate for rate in THRESHOLD_RATES if rate >= calibration.smallest_fmr]
    thresholds = "\n".join(
        f"| FMR {rate:g} | {calibration.threshold(rate):.4f} |" for rate in rates
    )
    return f"""Calibrated on people whom training never saw:

| population | people | faces | genuine pairs | impostor pairs | smallest FMR |
|---|---|---|---|---|---|
{people}

Thresholds that keep a false match rate for each of these populations, with 95 % confidence:

| for | threshold |
|---|---|
| best F1 ({calibration.f1:.3f}) | {calibration.f1_threshold:.4f} |
{thresholds}"""


def _cost(cost: dict[str, Any]) -> str:
    """The LossConfig of a run in words."""
    numbers = {
        "contrastive": f"margins {cost['near']} and {cost['far']}",
        "triplet": f"margin {cost['margin']}",
    }[cost["loss"]]
    beside = f", beside an identity softmax (weight {cost['identity']})" if cost["identity"] else ""
    return f"the {cost['loss']} loss ({numbers}; mining: {cost['mining']}){beside}"


def _card(
    record: dict[str, Any], calibration: Calibration, table: str, points: dict[str, Any] | None
) -> str:
    data, training = record["data"], record["training"]
    people = ", ".join(f"{count:,} to {part}" for part, count in data["people"].items())
    photos = ", ".join(f"{count:,} to {part}" for part, count in data["photos"].items())
    landmarks = (
        f"mean error {points['mean_error']:.2%} of the eye distance on {points['faces']:,} faces\n"
        f"of {points['data']}, against the teachers named in `models/README.md`"
        if points
        else "their error was not measured"
    )
    return f"""# Model card

**Use**: telling whether two photos show one person, with facesearch {record["code_version"]}.

**Network**: residual, widths {record["architecture"]["widths"]}, chips of
{training["size"]} x {training["size"]} pixels, {record["architecture"]["dimension"]} numbers a
face, trained with {_cost(training["cost"])}.

**Data**: `{data["folder"]}`; people: {people}; photos: {photos}; {data["left_out"]} photos without
a usable face left out. Split: {data["split"]}. Nobody stands in two parts.

**Command**: `{record["command"]}`

**Five points** (`landmarks.dat`): {landmarks}.

## Measured

Pairs of people of each part, as many impostor as genuine ones; at the threshold with the best F1
on the validation people. Photos in which no face is found are not in these figures.

{table}

{CALIBRATED}

{thresholds_table(calibration)}

## Limits

The errors above hold for photos like the training data's. Other cameras, ages, skin tones, poses or
qualities have other errors: measure with `facesearch evaluate` on people of your own before a name
has consequences. Not for deciding about people without a person in between.

## Licence

The weights derive from the photos named above; their terms are those of the photos.
"""
