"""The chips of the development data as folders of people, for calibrate and evaluate --aligned.

    python scripts/unpack_chips.py ../shared/data/train OUT --half even

writes OUT/celebrities/<person>/*.png and OUT/families/<person>/*.png, 112 x 112: the people with
even (or odd) numbers, so that one half can calibrate a model and the other half measure it.
"""

import argparse
import csv
import io
import zipfile
from pathlib import Path

from PIL import Image

POPULATIONS = {"celeba": "celebrities", "pins": "celebrities", "fiw": "families"}
MARGIN = 8  # pixels around the template


def unpack(train: Path, out: Path, half: str) -> None:
    """See the module. half: "even" or "odd"."""
    archives = [zipfile.ZipFile(train / f"chips-{number}.zip") for number in (0, 1)]
    holder = {name: archive for archive in archives for name in archive.namelist()}
    with (train / "index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        population = POPULATIONS.get(row["source"])
        odd = int(row["person"].strip("p")) % 2 == 1
        if population is None or odd != (half == "odd"):
            continue
        chip = Image.open(io.BytesIO(holder[row["file"]].read(row["file"]))).convert("RGB")
        inner = chip.crop((MARGIN, MARGIN, chip.width - MARGIN, chip.height - MARGIN))
        target = out / population / row["person"] / f"{Path(row['file']).stem}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        inner.save(target, compress_level=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--half", choices=("even", "odd"), required=True)
    args = parser.parse_args()
    unpack(args.train, args.out, args.half)


if __name__ == "__main__":
    main()
