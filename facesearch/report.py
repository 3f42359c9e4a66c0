"""The report and the card of a trained model: curves, tables, sample pairs."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesearch.calibrate import BINS, Calibration
from facesearch.metrics import Distances, PairResult, candidates, error_rates, fnmr_at_fmr
from facesearch.model import CARD, LANDMARKS_ERROR, Chips

REPORT, RESULTS = "report", "results.json"
CALIBRATED = "## Calibration"  # a section of the card
History = list[dict[str, float]]
RATES = (0.1, 0.01, 0.001, 0.0001)


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What one part of the people says of a model."""

    name: str
    result: PairResult  # of as many impostor pairs as genuine ones
    genuine: Distances
    impostor: Distances  # of all impostor pairs


@dataclass(frozen=True, slots=True)
class SamplePairs:
    """A few pairs of chips to look at."""

    name: str
    first: Chips  # (P, S, S, 3)
    second: Chips
    same: NDArray[np.bool_]
    distance: Distances


def write_report(
    folder: Path,
    record: dict[str, Any],
    history: History,
    calibration: Calibration,
    splits: list[SplitResult],
    samples: list[SamplePairs],
) -> None:
    """`report/` and `card.md` in a model folder; `report/results.json` for programs.

    record: config.json's. samples: shown as they are, so leave them empty for a model that is
    given away.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    report = folder / REPORT
    report.mkdir(exist_ok=True)
    _draw_losses(history, report / "loss.png")
    _draw_curves(splits, report)
    _draw_distances(splits, calibration, report / "distances.png")
    pictures = ["loss", "roc", "det", "distances"]
    for sample in samples:
        _draw_pairs(sample, calibration.f1_threshold, report / f"pairs-{sample.name}.png")
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
    """F1, accuracy and number of pairs of each part, as Markdown."""
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
    """Put a section of second rank into a Markdown page, in place of the one so called, or last."""
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
    """The people behind a calibration and its thresholds for false match rates, as Markdown."""
    people = "\n".join(
        f"| {part.name} | {part.people:,} | {part.faces:,} | {part.genuine_pairs:,} "
        f"| {part.impostor_pairs:,} | {part.rates[0]:.2g} |"
        if part.rates
        else f"| {part.name} | {part.people:,} | {part.faces:,} | {part.genuine_pairs:,} "
        f"| {part.impostor_pairs:,} | none |"
        for part in calibration.populations
    )
    rates = [rate for rate in RATES if rate >= calibration.smallest_fmr]
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
face, trained with the contrastive loss (margins {training["near"]} and {training["far"]}).

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


def _draw_losses(history: History, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    epochs = [record["epoch"] for record in history]
    axes.plot(epochs, [record["train_loss"] for record in history], label="training")
    axes.plot(epochs, [record["validation_loss"] for record in history], label="validation")
    axes.set(xlabel="epoch", ylabel="contrastive loss", title="Loss")
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_curves(splits: list[SplitResult], folder: Path) -> None:
    from matplotlib import pyplot as plt

    figures = {name: plt.subplots(figsize=(5, 5), layout="constrained") for name in ("roc", "det")}
    for split in splits:
        at = candidates(split.genuine, split.impostor)
        at = at[np.unique(np.geomspace(1, len(at), 4000).astype(int)) - 1]  # dense at low rates
        fmr, fnmr = error_rates(split.genuine, split.impostor, at)
        seen = fmr > 0
        figures["roc"][1].plot(fmr[seen], 1 - fnmr[seen], label=split.name)
        figures["det"][1].plot(fmr[seen], fnmr[seen], label=split.name)
    figures["roc"][1].set(
        xscale="log", xlabel="false match rate", ylabel="true match rate", title="ROC"
    )
    figures["det"][1].set(
        xscale="log",
        yscale="log",
        xlabel="false match rate",
        ylabel="false non-match rate",
        title="DET",
    )
    for name, (figure, axes) in figures.items():
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(folder / f"{name}.png", dpi=110)
        plt.close(figure)


def _draw_distances(splits: list[SplitResult], calibration: Calibration, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure, all_axes = plt.subplots(
        len(splits), 1, figsize=(6, 2.4 * len(splits)), sharex=True, layout="constrained"
    )
    bins = np.array(BINS)
    for axes, split in zip(np.atleast_1d(all_axes), splits, strict=True):
        axes.hist(split.genuine, bins, density=True, alpha=0.6, label="genuine")
        axes.hist(split.impostor, bins, density=True, alpha=0.6, label="impostor")
        axes.axvline(calibration.f1_threshold, color="black", linewidth=1, label="best F1")
        axes.set(title=split.name, yticks=[])
        axes.legend()
    figure.supxlabel("distance")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_pairs(sample: SamplePairs, threshold: float, path: Path) -> None:
    from matplotlib import pyplot as plt

    columns = 4
    rows = -(-len(sample.same) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(9, 1.7 * rows), layout="constrained")
    for axes in np.atleast_1d(grid).flat:
        axes.axis("off")
    for axes, a, b, same, distance in zip(
        np.atleast_1d(grid).flat,
        sample.first,
        sample.second,
        sample.same,
        sample.distance,
        strict=False,
    ):
        axes.imshow(np.concatenate([a, b], axis=1))
        said = distance <= threshold
        right = bool(said == same)
        axes.set_title(
            f"{'same' if said else 'different'} ({distance:.2f}): {'right' if right else 'WRONG'}",
            fontsize=8,
            color="darkgreen" if right else "darkred",
        )
    figure.suptitle(f"{sample.name}: pairs with the model's answer")
    figure.savefig(path, dpi=110)
    plt.close(figure)
