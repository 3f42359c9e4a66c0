"""Calibrate the shipped model on three populations that its training never saw.

    python -m models.recipes.calibrate_default ../shared/data [--model models/default]

press: LFW's dev-train people (photos); celebrities and families: the people of ../shared/data/train
who calibrate (aligned chips, see train_chips.py).
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from facesearch.core.progress import Silent
from facesearch.evaluation.lfw import people_list
from facesearch.evaluation.recalibrate import population, recalibrate
from facesearch.matching.cohort import Cohort
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model
from models.recipes.held_out import embedded_chips
from models.recipes.train_chips import Chips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    args = parser.parse_args()
    model = Model(args.model)
    lfw = (args.data / "lfw").resolve()
    with tempfile.TemporaryDirectory() as folder:
        press = Path(folder) / "press"
        press.mkdir()
        for person in people_list(lfw / "peopleDevTrain.txt"):
            (press / person).symlink_to(lfw / person)
        cohort, unused = population(Embedder(model), press, Silent())
    chips = Chips.load(args.data / "train")
    for name in ("celebrities", "families"):
        vectors, flip_consistencies, people = embedded_chips(chips, model, "calibrate", name)
        nobody = np.zeros(len(people), np.uint64)  # chips are nobody's photos
        cohort = cohort.joined(Cohort.drawn(vectors, flip_consistencies, people, nobody, name))
    calibration = recalibrate(model, cohort, args.model)
    for measured in calibration.populations:
        print(measured.name, measured.people, "people,", measured.faces, "faces")
    print(f"{unused} press photos without a usable face were left out")


if __name__ == "__main__":
    main()
