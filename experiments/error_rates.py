"""Requested against realised error rates of a model, on people whom it never saw.

    python -m experiments.error_rates ../shared/data [--model models/default]

Prints a table for comparisons (FMR), one for searches (FPIR) of galleries of 10, 100 and 1,000, and
one for probabilities; writes them into the model's card, and with a plot of their reliability into
its report, if it has one. See models.recipes.held_out for the data.

    python -m experiments.error_rates ../shared/data --embeddings ../shared/data/train/teacher.npy

prints the first two tables for another network, from its embeddings of all chips in the order of
the index: calibrated on the even half of the people, measured on the odd one.
"""

import argparse
import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import this_command
from facesearch.core.errors import CalibrationError
from facesearch.core.templates import templates
from facesearch.evaluation.model_card import REPORT, write_section
from facesearch.gallery.impostor_search import impostor_scores_of
from facesearch.matching.calibration import Calibration, calibrate, calibration_of, cohort_of
from facesearch.matching.cohort import Cohort
from facesearch.matching.evidence import evidence_trials, features
from facesearch.metrics.pairs import all_pairs, sample
from facesearch.vision.model import CARD, Model
from models.recipes.held_out import People, held_out
from models.recipes.train_chips import POPULATIONS

RATES = (0.1, 0.05, 0.01, 0.001)
SIZES = (10, 100, 1000)
PHOTOS = 3  # enrolled of a person, at most
DRAWS = 10


def comparisons(populations: list[People], calibration: Calibration) -> str:
    """A table of the realised FMR and FNMR at the thresholds for requested FMR.

    Impostor pairs use one face of each person, so that every two people count the same. The figures
    are means over DRAWS draws.
    """
    lines = [
        "| people | pairs of people, genuine pairs | "
        + " | ".join(f"FMR {rate:g}: FMR, FNMR" for rate in RATES)
        + " |",
        "|---" * (len(RATES) + 2) + "|",
    ]
    for part in populations:
        rows = sample(part.people, seed=0)
        genuine, _ = all_pairs(part.embeddings[rows], part.people[rows])
        matched, count = np.zeros(len(RATES)), int(part.people.max()) + 1
        at = [threshold_or_none(calibration, rate) for rate in RATES]
        for draw in range(DRAWS):
            faces = one_of_each(np.arange(len(part.people)), part, np.random.default_rng(draw))
            _, impostor = all_pairs(part.embeddings[faces], part.people[faces])
            matched += [np.mean(impostor <= (limit or 0)) for limit in at]
        cells = [part.name, f"{count * (count - 1) // 2:,}, {len(genuine):,}"]
        for limit, share in zip(at, matched / DRAWS, strict=True):
            cells.append(
                "refused" if limit is None else f"{share:.2g}, {np.mean(genuine > limit):.3f}"
            )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def threshold_or_none(calibration: Calibration, fmr: float) -> float | None:
    try:
        return calibration.threshold(fmr)
    except CalibrationError:
        return None


def one_of_each(
    rows: NDArray[np.int64], part: People, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw one of the rows of each person."""
    shuffled = rng.permutation(rows)
    return shuffled[np.unique(part.people[shuffled], return_index=True)[1]]


def gallery(
    part: People, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw a gallery: rows of enrolled faces and their people (0 to size - 1), and known probes.

    People with two photos or more are enrolled first; at least one of their photos is kept as a
    probe.
    """
    counts = np.bincount(part.people)
    order = rng.permutation(len(counts))
    chosen = order[np.argsort(counts[order] < 2, kind="stable")][:size]
    enrolled, owners, probes, mates = [], [], [], []
    for number, person in enumerate(chosen):
        faces = rng.permutation(np.flatnonzero(part.people == person))
        kept = max(1, min(PHOTOS, len(faces) - 1))
        enrolled += faces[:kept].tolist()
        owners += [number] * kept
        probes += faces[kept : kept + PHOTOS].tolist()
        mates += [number] * len(faces[kept : kept + PHOTOS])
    return tuple(np.array(rows, np.int64) for rows in (enrolled, owners, probes, mates))


def searches(populations: list[People], cohort: Cohort) -> str:
    """Realised FPIR and FNIR of searches, at the thresholds for requested FPIR."""
    lines = [
        "| people | gallery | strangers | "
        + " | ".join(f"FPIR {rate:g}: FPIR, FNIR" for rate in RATES)
        + " |",
        "|---" * (len(RATES) + 3) + "|",
    ]
    for part in populations:
        for size in SIZES:
            sums, asked = np.zeros((len(RATES), 2)), 0
            supported = np.ones(len(RATES), bool)
            for draw in range(DRAWS):
                rng = np.random.default_rng(draw)
                enrolled, owners, probes, mates = gallery(part, size, rng)
                template = templates(part.embeddings[enrolled], owners)
                others = np.flatnonzero(~np.isin(part.people, part.people[enrolled]))
                outside = one_of_each(others, part, rng)
                asked += len(outside)
                near = 2 - 2 * (part.embeddings[outside] @ template.T).max(axis=1)
                known = 2 - 2 * part.embeddings[probes] @ template.T
                first = known.argmin(axis=1) == mates
                own = known[np.arange(len(mates)), mates]
                strangers = impostor_scores_of(cohort, template, np.empty(0, np.uint64))
                for number, rate in enumerate(RATES):
                    supported[number] &= rate >= strangers.smallest_fpir
                    at = strangers.threshold(rate) ** 2
                    sums[number] += [np.mean(near <= at), np.mean(~(first & (own <= at)))]
            if not asked:  # everybody is enrolled
                continue
            cells = [
                f"{false:.2g}, {missed:.3f}" if well else "refused"
                for (false, missed), well in zip(sums / DRAWS, supported, strict=True)
            ]
            lines.append(f"| {part.name} | {size:,} | {asked // DRAWS:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cllr(ratios: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    """The cost of log likelihood ratios, in bits; 1 for ratios that carry no information.

    Source: Brummer and du Preez, Computer Speech and Language 20, 2006.
    """
    lost = np.logaddexp(0, -ratios[same]).mean() + np.logaddexp(0, ratios[~same]).mean()
    return float(lost / 2 / np.log(2))


def least_cllr(ratios: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    """Cllr after the best monotone map: the least that a calibration could reach.

    The map comes from pool adjacent violators, which knows the answers; both kinds weigh the same.
    """
    order = np.argsort(ratios, kind="stable")
    weight = np.where(same[order], 1 / same.sum(), 1 / (~same).sum())
    blocks: list[list[float]] = []  # weight of genuine, weight
    for is_same, one in zip(same[order], weight, strict=True):
        blocks.append([one * is_same, one])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            genuine, total = blocks.pop()
            blocks[-1][0] += genuine
            blocks[-1][1] += total
    genuine, total = np.array(blocks).T
    share = np.clip(genuine / total, 1e-12, 1 - 1e-12)
    bits = -(genuine * np.log2(share) + (total - genuine) * np.log2(1 - share))
    return float(bits.sum() / 2)


def probabilities(populations: list[People], calibration: Calibration, plot: Path | None) -> str:
    """Cllr, and how often faces are one person among those given some probability of it."""
    from matplotlib import pyplot as plt

    weights = np.array(calibration.evidence.weights)
    edges = np.array([0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1])
    said = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    lines = [
        "| people | Cllr | at best | without the quality | " + " | ".join(said) + " |",
        "|---" * (len(said) + 4) + "|",
    ]
    figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for part in populations:
        keys = np.arange(len(part.people), dtype=np.uint64)
        faces = Cohort.drawn(part.embeddings, part.flip_consistencies, part.people, keys, part.name)
        x, same = evidence_trials(faces, seed=0)
        ratios = x @ weights
        plain = features(
            -x[:, 1], np.full(len(x), np.median(part.flip_consistencies)), np.exp(x[:, 4])
        )
        likely = 1 / (1 + np.exp(-ratios))
        weight = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
        cells, points = [], []
        for low, high in pairwise(edges):
            inside = (likely >= low) & ((likely < high) | (high == 1))
            total = weight[inside].sum()
            share = weight[inside & same].sum() / total if inside.sum() >= 30 else np.nan
            cells.append("" if np.isnan(share) else f"{share:.2f}")
            points.append((np.average(likely[inside], weights=weight[inside]), share))
        axes.plot(*np.array(points).T, marker="o", label=part.name)
        lines.append(
            f"| {part.name} | {cllr(ratios, same):.3f} | {least_cllr(ratios, same):.3f} "
            f"| {cllr(plain @ weights, same):.3f} | {' | '.join(cells)} |"
        )
    axes.set(
        xlabel="probability said, at even prior odds",
        ylabel="share of one person",
        title="Reliability",
    )
    axes.legend()
    if plot is not None:
        figure.savefig(plot, dpi=110)
    plt.close(figure)
    return "\n".join(lines)


def of_another_network(data: Path, embeddings: Path) -> tuple[Cohort, list[People]]:
    """The cohort of the even half and the people of the odd one."""
    with (data / "train" / "index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    vectors = np.load(embeddings).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    number = np.array([int(row["person"].strip("p")) for row in rows])
    place = np.array([POPULATIONS.get(row["source"], "") for row in rows])
    cohort: Cohort | None = None
    measured = []
    for name in ("celebrities", "families"):
        even, odd = ((place == name) & (number % 2 == half) for half in (0, 1))
        keys = np.zeros(int(even.sum()), np.uint64)
        sure = np.ones(len(keys), np.float32)
        part = Cohort.drawn(vectors[even], sure, number[even], keys, name)
        cohort = part if cohort is None else cohort.joined(part)
        _, people = np.unique(number[odd], return_inverse=True)
        measured.append(People(name, vectors[odd], np.ones(int(odd.sum()), np.float32), people))
    assert cohort is not None
    return cohort, measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--embeddings", type=Path, help="of another network; print its tables")
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    args = parser.parse_args()
    if args.embeddings:
        cohort, measured = of_another_network(args.data, args.embeddings)
        print(comparisons(measured, calibrate(cohort)), searches(measured, cohort), sep="\n\n")
        return
    model = Model(args.model)
    calibration, cohort = calibration_of(model), cohort_of(model)
    populations = held_out(args.data, model)
    report = model.folder / REPORT
    has_report = (report / "report.md").is_file()
    text = f"""Measured by `{this_command()}`, on people whom neither
training nor calibration saw: LFW's dev-test people (press) and a tenth of the people of
`../shared/data/train`.
A rate that the calibration cannot promise is refused.

Two faces compared, at the threshold for an accepted FMR:

{comparisons(populations, calibration)}

A face searched in a gallery with up to {PHOTOS} photos of each person, at the threshold for an
accepted FPIR, the mean of {DRAWS} drawn galleries:

{searches(populations, cohort)}

Probabilities at even prior odds (Cllr in bits: 0 is perfect, 1 says nothing), and the share of
faces that are one person among those for which a probability was said:

{probabilities(populations, calibration, report / "reliability.png" if has_report else None)}"""
    print(text)
    write_section(model.folder / CARD, "## Error rates", text)
    if has_report:
        text += "\n\n![reliability](reliability.png)"
        write_section(report / "report.md", "## Error rates", text)


if __name__ == "__main__":
    main()
