"""How well `cluster` groups faces of people nobody knows: pairwise and B-cubed figures.

    python -m benchmarks.clusters ../shared/data models/default [--out results.json]

Measured on LFW's dev-test people (most have one photo) and on the people of pins who measure (many
photos each). The limit is that of `cluster`; how it was chosen is shown with --choose, on the
people with whom the model is calibrated, who are none of those.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import this_command
from facesearch.matching.calibration import calibration_of, cohort_of
from facesearch.matching.clustering import average_linkage, group_limit
from facesearch.vision.model import Model
from models.recipes.held_out import CACHE, held_out
from models.recipes.train_chips import Chips

RATES = (0.1, 0.03, 0.01, 0.003, 0.001)  # false match rates whose thresholds are tried


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a grouping. B-cubed: Bagga and Baldwin, 1998, the mean over faces."""

    faces: int
    people: int
    groups: int
    precision: float  # of the pairs in one group, those of one person
    recall: float  # of the pairs of one person, those in one group
    b_precision: float
    b_recall: float
    b_f: float


def scores(groups: NDArray[np.int64], people: NDArray[np.int64]) -> Scores:
    """Compare groups with people. groups, people: of each face, (N,), numbered from 0."""
    both = np.unique(np.stack([groups, people]), axis=1, return_inverse=True)[1].ravel()
    shared, grouped, owned = (np.bincount(part) for part in (both, groups, people))

    def pairs(counts: NDArray[np.int64]) -> int:
        return int((counts * (counts - 1) // 2).sum())

    same = pairs(shared)
    b_precision = float((shared[both] / grouped[groups]).mean())
    b_recall = float((shared[both] / owned[people]).mean())
    return Scores(
        len(groups),
        len(owned),
        len(grouped),
        same / max(1, pairs(grouped)),
        same / max(1, pairs(owned)),
        b_precision,
        b_recall,
        2 * b_precision * b_recall / (b_precision + b_recall),
    )


def table(rows: dict[str, Scores]) -> str:
    lines = [
        "| faces of | faces | people | groups | pairwise precision | recall | B-cubed precision "
        "| recall | F |",
        "|---" * 9 + "|",
    ]
    for name, row in rows.items():
        counts = f"{row.faces:,} | {row.people:,} | {row.groups:,}"
        shares = (row.precision, row.recall, row.b_precision, row.b_recall, row.b_f)
        lines.append(f"| {name} | {counts} | {' | '.join(f'{one:.3f}' for one in shares)} |")
    return "\n".join(lines)


def choose(model: Model) -> dict[str, Scores]:
    """The scores at every rate, on every population of the cohort."""
    calibration, cohort = calibration_of(model), cohort_of(model)
    rows = {}
    for number, name in enumerate(cohort.names):
        part = cohort.of(number)
        for rate in RATES:
            known = [one.threshold(rate) for one in calibration.populations]
            limit = min(one for one in known if one is not None)
            groups = average_linkage(part.embeddings, limit)
            rows[f"{name}, FMR {rate:g} ({limit:.3f})"] = scores(groups, part.people)
        groups = average_linkage(part.embeddings, calibration.f1_threshold)
        rows[f"{name}, best F1 ({calibration.f1_threshold:.3f})"] = scores(groups, part.people)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--choose", action="store_true", help="compare limits, measure nobody")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    model = Model(args.model)
    if args.choose:
        print(table(choose(model)))
        return
    limit = group_limit(calibration_of(model))
    press = next(part for part in held_out(args.data, model) if part.name == "press")
    kept = np.load(CACHE / model.fingerprint[:16] / "celebrities.npz")
    chips = Chips.load(args.data / "train")
    mine = np.isin(kept["people"], np.unique(chips.people[chips.sources == "pins"]))
    people = np.unique(kept["people"][mine], return_inverse=True)[1]
    rows = {
        "LFW dev-test": scores(average_linkage(press.embeddings, limit), press.people),
        "pins, many photos each": scores(average_linkage(kept["vectors"][mine], limit), people),
    }
    print(f"`{this_command()}`, limit {limit:.3f}\n\n{table(rows)}")
    if args.out:
        found = {name: asdict(row) for name, row in rows.items()}
        args.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
