"""Which photographs must not teach: whoever resembles somebody that the student is measured on.

    python -m models.recipes.student.leave_out WORK [--train ../shared/data/train]

Writes WORK/photos-left-out.npy, (N,) bool: faces nearer to a photo of an LFW person, or of a person
who calibrates or measures in the development data, than LIKE, within which most pairs of one person
lie; and faces that nobody has looked at yet. Writes fairface-held-out.txt, the pictures that
calibrate. Prints how often pairs of one person and of two lie within that in LFW.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.recipes.student.chips import calibrates, faces_of, rows_of
from models.recipes.student.teacher import Projection, opened, targets

LIKE = 0.45  # cosine between the teacher's embeddings

Array = NDArray[np.float32]


def known(work: Path, name: str, count: int, projection: Projection) -> Array:
    return targets(opened(work / f"{name}-looks.npy", count, "r"), projection)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--train", type=Path, default=Path("../shared/data/train"))
    args = parser.parse_args()
    projection = Projection()
    lfw, labelled, photos = (
        faces_of(name, args.work, args.train) for name in ("lfw", "labelled", "photos")
    )
    people = np.array([row["original"].split("/")[0] for row in rows_of(args.work / "lfw")])
    seen = known(args.work, "lfw", len(lfw.pixels), projection)
    whole = np.isfinite(seen[:, 0])
    seen, people = seen[whole], people[whole]
    rng = np.random.default_rng(0)
    some = rng.permutation(len(seen))[:6000]
    alike = seen[some] @ seen[some].T
    same = people[some][:, None] == people[some]
    upper = np.triu(np.ones_like(same), 1)
    for bar in (0.35, 0.4, 0.45, 0.5, 0.55):
        one, two = (alike > bar)[same & upper].mean(), (alike > bar)[~same & upper].mean()
        print(f"cosine over {bar}: {one:.4f} of pairs of one person, {two:.2e} of two")
    others = known(args.work, "labelled", len(labelled.pixels), projection)
    others = others[~labelled.teach & np.isfinite(others[:, 0])]
    crowd = np.concatenate([seen, others])
    faces = known(args.work, "photos", len(photos.pixels), projection)
    nearest = np.full(len(faces), np.inf, np.float32)
    for at in range(0, len(faces), 2048):
        part = faces[at : at + 2048]
        nearest[at : at + 2048] = (part @ crowd.T).max(axis=1)
    left_out = ~(nearest < LIKE)
    np.save(args.work / "photos-left-out.npy", left_out)
    rows = rows_of(args.work / "photos")
    held = [
        row["original"] for row in rows if row["set"] == "fairface" and calibrates(row["original"])
    ]
    (args.work / "fairface-held-out.txt").write_text("\n".join(sorted(set(held))) + "\n", "utf-8")
    sets = np.array([row["set"] for row in rows])
    looked = np.isfinite(faces[:, 0])
    for name in np.unique(sets):
        mine = (sets == name) & looked
        print(
            f"{name}: {(sets == name).sum()} faces, {mine.sum()} looked at,"
            f" {(left_out & mine).sum()} resemble, {(photos.teach & ~left_out & mine).sum()} teach"
        )


if __name__ == "__main__":
    main()
