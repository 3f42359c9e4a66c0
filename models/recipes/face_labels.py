"""Faces marked by teachers on the photos that the detector learns from and is measured on.

    python -m models.recipes.face_labels ../shared/data

A face is learnt where CenterFace and YuNet both see it; what only one of them sees is neither a
face nor background. Pixels and labels are kept below .cache/detector.
"""

import argparse
import io
import json
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesearch.evaluation.lfw import LFW_TEST, LFW_TRAIN, people_list
from facesearch.vision import dlib_detector, images, photo_files
from models.recipes.teachers import CACHE, CenterFace, DlibEyes, Guess, YuNet, distinct, overlap

STORE = CACHE.parent / "detector"
TEACHER_SURE, TEACHER_UNSURE = (
    0.5,
    0.3,
)  # a teacher's score of a face, and of what must not be called background
SAME_BOX_IOU = 0.4  # overlap of two boxes of one face
CLOSE = 0.08  # of the box's side: mean distance of the teachers' points that are learnt
HELD_OUT = 10  # one photo in so many of photos.zip is kept for measuring
MODELS: list[object] = []

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Labels:
    """What the teachers see in one photo, in its pixels, counted from the first one's corner.

    boxes: (N, 4), points: (N, 5, 2) of faces that both see; exact: (N,), whether their points
    agree. unsure: (M, 6), boxes that only one of them sees, its score, 0 for CenterFace or 1 for
    YuNet.
    """

    boxes: NDArray[np.float64]
    points: NDArray[np.float64]
    exact: NDArray[np.bool_]
    unsure: NDArray[np.float64]


def label(pixels: Pixels) -> Labels:
    """What the teachers see in a photo."""
    if not MODELS:
        MODELS.extend([CenterFace(), YuNet(), DlibEyes()])
    centerface, yunet, eyes = MODELS
    assert isinstance(centerface, CenterFace)
    assert isinstance(yunet, YuNet)
    assert isinstance(eyes, DlibEyes)
    longest = max(pixels.shape[:2])
    first = distinct(
        [
            guess
            for factor in (1, 1.5)
            for guess in centerface.every(pixels, round(longest * factor), TEACHER_UNSURE)
        ]
    )
    second = distinct(
        [
            guess
            for factor in (1, 2)
            for guess in yunet.every(pixels, round(longest * factor), TEACHER_UNSURE)
        ]
    )
    boxes, points, exact, unsure = [], [], [], []
    upright = [box.rounded() for box, _ in dlib_detector.boxes(pixels)]
    for guess in first:
        match = _best(guess.box, second)
        if match is None or min(guess.score, match.score) < TEACHER_SURE:
            unsure.append([*guess.box, guess.score, 0])
            continue
        second.remove(match)
        box = (guess.box + match.box) / 2
        side = np.sqrt((box[2:] - box[:2]).prod())
        marks = (guess.points + match.points) / 2
        apart = np.linalg.norm(guess.points - match.points, axis=1).mean() / side
        frontal = _containing(upright, marks[2], side)
        if frontal is not None:
            pupils = eyes(pixels, frontal) + 0.5  # dlib counts from the middle of a pixel
            # turned faces fool dlib's predictor: it must stay near what the others see
            if np.linalg.norm(pupils - marks[:2], axis=1).max() < CLOSE * side:
                marks[:2] = pupils
        boxes.append(box)
        points.append(marks)
        exact.append(apart < CLOSE)
    unsure.extend([*guess.box, guess.score, 1] for guess in second)
    return Labels(
        np.array(boxes).reshape(-1, 4),
        np.array(points).reshape(-1, 5, 2),
        np.array(exact, bool),
        np.array(unsure).reshape(-1, 6),
    )


def _best(box: NDArray[np.float64], guesses: list[Guess]) -> Guess | None:
    """The guess that overlaps a box most, if it is of the same face."""
    if not guesses:
        return None
    shares = overlap(box, np.array([guess.box for guess in guesses]))
    return guesses[int(shares.argmax())] if shares.max() >= SAME_BOX_IOU else None


def _containing(
    boxes: list[list[int]], point: NDArray[np.float64], side: float
) -> list[int] | None:
    """dlib's box of a face with this nose and about this size."""
    for left, top, right, bottom in boxes:
        inside = left < point[0] < right and top < point[1] < bottom
        if inside and 0.6 < (right - left) / side < 1.7:
            return [left, top, right, bottom]
    return None


def lfw_photos(lfw: Path, people: str) -> list[Path]:
    return [
        path for name in people_list(lfw / people) for path in photo_files.photos_in(lfw / name)
    ]


def wild_photos(archive: Path, held_out: bool) -> list[str]:
    """The names in photos.zip to learn from, or those to measure on."""
    with zipfile.ZipFile(archive) as photos:
        names = sorted(name for name in photos.namelist() if name.endswith(".webp"))
    return [name for at, name in enumerate(names) if (at % HELD_OUT == 0) is held_out]


def read_member(archive: Path, name: str) -> Pixels:
    with zipfile.ZipFile(archive) as photos, Image.open(io.BytesIO(photos.read(name))) as image:
        return np.asarray(image.convert("RGB"))


def _work(photo: tuple[Path, str]) -> tuple[Pixels, Labels]:
    path, member = photo
    pixels = read_member(path, member) if member else images.read(path)
    return pixels, label(pixels)


class Labelled:
    """A set of photos with their labels, kept in files: pixels mapped, never decoded again."""

    def __init__(self, name: str) -> None:
        entries = json.loads((STORE / f"{name}.json").read_text())
        self._pixels = np.memmap(STORE / f"{name}.pixels", np.uint8, "r")
        self._places = [(entry["at"], entry["height"], entry["width"]) for entry in entries]
        self.labels = [
            Labels(
                np.array(entry["boxes"], np.float64).reshape(-1, 4),
                np.array(entry["points"], np.float64).reshape(-1, 5, 2),
                np.array(entry["exact"], bool),
                np.array(entry["unsure"], np.float64).reshape(-1, 6),
            )
            for entry in entries
        ]

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, at: int) -> Pixels:
        """(H, W, 3) RGB."""
        start, height, width = self._places[at]
        return np.asarray(self._pixels[start : start + 3 * height * width]).reshape(
            height, width, 3
        )


def keep(name: str, photos: list[tuple[Path, str]]) -> None:
    """Label photos on all cores and keep them as a set called `name`, unless it is there."""
    if (STORE / f"{name}.json").exists():
        return
    STORE.mkdir(parents=True, exist_ok=True)
    started, entries, at = time.monotonic(), [], 0
    with (STORE / f"{name}.pixels").open("wb") as file, ProcessPoolExecutor() as pool:
        for pixels, labels in pool.map(_work, photos, chunksize=16):
            file.write(pixels.tobytes())
            entries.append(
                {
                    "at": at,
                    "height": pixels.shape[0],
                    "width": pixels.shape[1],
                    "boxes": labels.boxes.round(2).tolist(),
                    "points": labels.points.round(2).tolist(),
                    "exact": labels.exact.tolist(),
                    "unsure": labels.unsure.round(2).tolist(),
                }
            )
            at += pixels.size
            if len(entries) % 500 == 0:
                print(f"{name}: {len(entries)}, {time.monotonic() - started:.0f} s", flush=True)
    (STORE / f"{name}.json").write_text(json.dumps(entries))
    faces = sum(len(entry["boxes"]) for entry in entries)
    unsure = sum(len(entry["unsure"]) for entry in entries)
    print(f"{name}: {len(entries)} photos, {faces} faces, {unsure} unsure", flush=True)


def sets(data: Path) -> Iterator[tuple[str, list[tuple[Path, str]]]]:
    """Names and photos of the sets; those that end in -test are for measuring alone."""
    archive = data / "train" / "photos.zip"
    yield "wild-train", [(archive, name) for name in wild_photos(archive, held_out=False)]
    yield "lfw-train", [(path, "") for path in lfw_photos(data / "lfw", LFW_TRAIN)]
    yield "wild-test", [(archive, name) for name in wild_photos(archive, held_out=True)]
    # a photo of every person: more would only be slower
    first = lfw_photos(data / "lfw", LFW_TEST)
    yield "lfw-test", [(path, "") for path in first if path.stem.endswith("_0001")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="holds lfw/ and train/photos.zip")
    args = parser.parse_args()
    for name, photos in sets(args.data):
        keep(name, photos)


if __name__ == "__main__":
    main()
