"""Draws the plots of reports. matplotlib is imported when the first one is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Chips
from facesearch.core.extras import require
from facesearch.metrics.error_rates import Floats, Tally

History = list[dict[str, float]]  # a record for each epoch of training
BINS = np.linspace(0, 2, 81)  # of the histograms of distances


@dataclass(frozen=True, slots=True)
class SamplePairs:
    """A few pairs of chips to show in a report."""

    name: str
    first: Chips  # (P, S, S, 3)
    second: Chips
    same: NDArray[np.bool_]
    distance: Floats


def draw_losses(history: History, path: Path) -> None:
    """Draw the loss of training and validation by epoch."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    epochs = [record["epoch"] for record in history]
    axes.plot(epochs, [record["train_loss"] for record in history], label="training")
    axes.plot(epochs, [record["validation_loss"] for record in history], label="validation")
    axes.set(xlabel="epoch", ylabel="contrastive loss", title="Loss")
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_roc(tallies: dict[str, Tally], path: Path) -> None:
    """Draw the true against the false match rate, a curve for each name."""
    curves = {}
    for name, tally in tallies.items():
        fmr, fnmr = _curve(tally)
        curves[name] = fmr, 1 - fnmr
    _draw_curves(curves, path, ("false match rate", "true match rate", "ROC"), yscale="linear")


def draw_det(tallies: dict[str, Tally], path: Path) -> None:
    """Draw the false non-match against the false match rate, a curve for each name."""
    curves = {name: _curve(tally) for name, tally in tallies.items()}
    _draw_curves(curves, path, ("false match rate", "false non-match rate", "DET"), yscale="log")


def draw_dir(curves: dict[str, tuple[Floats, Floats]], path: Path) -> None:
    """Draw the detection and identification rate against FPIR, a curve for each name."""
    labels = (
        "false positive identification rate",
        "detection and identification rate",
        "Open-set identification",
    )
    _draw_curves(curves, path, labels, yscale="linear")


def draw_cmc(curves: dict[str, Sequence[float]], path: Path) -> None:
    """Draw the share of known probes whose person is among the nearest 1, 2, ..., for each name."""
    figure, axes = _figure()
    for name, shares in curves.items():
        axes.plot(range(1, len(shares) + 1), shares, marker=".", label=name)
    axes.set(xlabel="rank", ylabel="known probes found", title="Cumulative match characteristic")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _save(figure, axes, path)


def _curve(tally: Tally) -> tuple[Floats, Floats]:
    """FMR and FNMR from the first false match on, with no more points than can be seen."""
    fmr, fnmr = tally.rates()
    lowest = fmr[fmr > 0].min()
    at = np.unique(np.searchsorted(fmr, np.geomspace(lowest, 1, 2000), side="right") - 1)
    return fmr[at], fnmr[at]


def _draw_curves(
    curves: dict[str, tuple[Floats, Floats]], path: Path, labels: tuple[str, str, str], yscale: str
) -> None:
    figure, axes = _figure()
    for name, (x, y) in curves.items():
        axes.plot(x, y, label=name)
    xlabel, ylabel, title = labels
    axes.set(xscale="log", yscale=yscale, xlabel=xlabel, ylabel=ylabel, title=title)
    axes.grid(alpha=0.3)
    _save(figure, axes, path)


def draw_distances(tallies: dict[str, Tally], threshold: float, label: str, path: Path) -> None:
    """Draw histograms of genuine and impostor distances, and the threshold with its label."""
    plt = _pyplot()
    figure, all_axes = plt.subplots(
        len(tallies),
        1,
        figsize=(6, max(3.0, 2.4 * len(tallies))),
        sharex=True,
        layout="constrained",
    )
    for axes, (name, tally) in zip(np.atleast_1d(all_axes), tallies.items(), strict=True):
        for kind, weights in (("genuine", tally.genuine), ("impostor", tally.impostor)):
            counts, _ = np.histogram(tally.distance, BINS, weights=weights)
            density = counts / max(counts.sum(), 1)
            axes.stairs(density, BINS, fill=True, alpha=0.6, label=kind)
        axes.axvline(threshold, color="black", linewidth=1, label=label)
        axes.set(title=name, yticks=[])
        axes.legend()
    figure.supxlabel("distance")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_pairs(sample: SamplePairs, threshold: float, path: Path) -> None:
    """Draw pairs of chips, each with the model's answer and whether it is right."""
    plt = _pyplot()
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


def _pyplot() -> Any:
    require("plots", "a plot")
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _figure() -> tuple[Any, Any]:
    figure, axes = _pyplot().subplots(figsize=(5, 5), layout="constrained")
    return figure, axes


def _save(figure: Any, axes: Any, path: Path) -> None:
    axes.legend()
    figure.savefig(path, dpi=110)
    _pyplot().close(figure)
