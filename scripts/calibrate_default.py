"""Calibrate the shipped model on three populations that its training never saw.

    python scripts/calibrate_default.py ../shared/data [--model models/default]

press: LFW's dev-train people whom training left for validation (photos); celebrities and families:
the even half of the people of ../shared/data/train (aligned chips).
"""

import argparse
import tempfile
from pathlib import Path

from unpack_chips import unpack

from facesearch.data import people_in, split_people
from facesearch.embed import Embedder
from facesearch.model import Model
from facesearch.progress import Silent
from facesearch.recalibrate import population, recalibrate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    args = parser.parse_args()
    model = Model(args.model)
    embedder = Embedder(model)
    lfw = (args.data / "lfw").resolve()
    seed = model.config["training"]["seed"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for person in split_people(lfw, people_in(lfw), seed).validation:
            (folder / "press").mkdir(exist_ok=True)
            (folder / "press" / person).symlink_to(lfw / person)
        unpack(args.data / "train", folder, "even")
        cohort, unused = population(embedder, folder / "press", Silent())
        for part in ("celebrities", "families"):
            chips, _ = population(embedder, folder / part, Silent(), aligned=True)
            cohort = cohort.joined(chips)
    calibration = recalibrate(model, cohort, args.model)
    for measured in calibration.populations:
        print(measured.name, measured.people, "people,", measured.faces, "faces")
    print(f"{unused} press photos without a usable face were left out")


if __name__ == "__main__":
    main()
