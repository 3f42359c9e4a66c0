"""What is found and what is not: both of our detectors beside the networks that taught ours.

    python scripts/face_labels.py ../shared/data
    python scripts/bench_detection.py models/default --out .work/detection.json

On photos that training never saw: one of each of LFW's dev-test people, and a tenth of photos.zip.
The main face of a photo is known where both teachers see it; the turned, shrunk and covered photos
are made from those. Detectors take turns on each photo, one thread each, the networks with a
longest side of 640. Prints Markdown tables and writes everything as JSON. Takes minutes.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from face_labels import Labelled
from numpy.typing import NDArray
from PIL import Image
from scenes import turned_boxes, warped
from teachers import CenterFace, Guess, YuNet

from facesearch.detect import DETAIL, DlibDetector, NetworkDetector
from facesearch.face import Face
from facesearch.model import DETECTOR, DETECTOR_INT8, LANDMARKS

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Find = Callable[[Pixels], list[Guess]]

TIMED = ((250, 250), (500, 600), (1600, 1200))  # width, height


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A photo whose main face is known, in its pixels: box (4,), points (5, 2)."""

    pixels: Pixels
    box: Array
    points: Array

    @property
    def side(self) -> float:
        return float(np.sqrt((self.box[2:] - self.box[:2]).prod()))


def guess(face: Face) -> Guess:
    box = face.box
    return Guess(
        np.array([box.left, box.top, box.right, box.bottom]), np.array(face.points), face.score
    )


def second_look(find: Find) -> Find:
    """A teacher's `find` with the second look of ours: turned, where the first finds nothing."""

    def look(image: Pixels) -> list[Guess]:
        for turns in range(4):
            found = find(np.ascontiguousarray(np.rot90(image, turns)))
            if found:
                return [_back(face, turns, image.shape[:2]) for face in found]
        return []

    return look


def _back(face: Guess, turns: int, shape: tuple[int, ...]) -> Guess:
    height, width = shape[:2]
    matrix = {
        0: np.array([[1.0, 0, 0], [0, 1, 0]]),
        1: np.array([[0.0, -1, width], [1, 0, 0]]),
        2: np.array([[-1.0, 0, width], [0, -1, height]]),
        3: np.array([[0.0, 1, 0], [-1, 0, height]]),
    }[turns]
    box = turned_boxes(face.box[None], matrix)[0]
    return Guess(box, face.points @ matrix[:, :2].T + matrix[:, 2], face.score)


def detectors(model: Path) -> dict[str, Find]:
    """Every detector as a function of a photo."""
    whole, small = NetworkDetector(model / DETECTOR), NetworkDetector(model / DETECTOR_INT8)
    dlib = DlibDetector(model / LANDMARKS)
    centerface, yunet = CenterFace(), YuNet()
    return {
        "network": lambda image: [guess(face) for face in whole(image)],
        "network int8": lambda image: [guess(face) for face in small(image)],
        "dlib": lambda image: [guess(face) for face in dlib(image)],
        "CenterFace": second_look(lambda image: centerface.every(image, _longest(image))),
        "YuNet": second_look(lambda image: yunet.every(image, _longest(image), 0.6)),
    }


def _longest(image: Pixels) -> int:
    return min(DETAIL, max(image.shape[:2]))


def known(photos: Labelled, most: int) -> list[Known]:
    """Photos with a main face that both teachers place alike, evenly chosen."""
    result = []
    for at, labels in enumerate(photos.labels):
        if not len(labels.boxes):
            continue
        sides = (labels.boxes[:, 2:] - labels.boxes[:, :2]).prod(axis=1)
        main = int(sides.argmax())
        if labels.exact[main]:
            result.append(Known(photos.pixels(at), labels.boxes[main], labels.points[main]))
    chosen = np.linspace(0, len(result) - 1, min(most, len(result))).round().astype(int)
    return [result[at] for at in chosen]


def moved(photo: Known, scale: float, degrees: float) -> Known:
    """The photo scaled and turned clockwise, the canvas grown to hold all of it."""
    turn = np.radians(degrees)
    spin = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    height, width = photo.pixels.shape[:2]
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ spin.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    matrix = np.column_stack([spin, -low])
    across, down = (max(1, int(side)) for side in (high - low + 0.5))
    pixels, _ = warped(photo.pixels, matrix, (down, across))
    points = photo.points @ matrix[:, :2].T + matrix[:, 2]
    return Known(pixels, turned_boxes(photo.box[None], matrix)[0], points)


def covered(photo: Known, part: str) -> Known:
    """The lower 40 % of the face's box black, or a bar over the eyes a quarter as high."""
    pixels = photo.pixels.copy()
    left, top, right, bottom = photo.box
    if part == "mask":
        top = top + 0.6 * (bottom - top)
    else:
        middle, half = photo.points[:2, 1].mean(), 0.125 * (bottom - top)
        top, bottom = middle - half, middle + half
    rows = slice(max(0, round(top)), max(0, round(bottom)))
    pixels[rows, max(0, round(left)) : max(0, round(right))] = 0
    return Known(pixels, photo.box, photo.points)


CONDITIONS: dict[str, Callable[[Known], Known]] = {
    "any face": lambda photo: photo,
    "turned by 20": lambda photo: moved(photo, 1, 20),
    "turned by 40": lambda photo: moved(photo, 1, 40),
    "turned by 60": lambda photo: moved(photo, 1, 60),
    "turned by 90": lambda photo: moved(photo, 1, 90),
    "turned by 180": lambda photo: moved(photo, 1, 180),
    "24 pixels wide": lambda photo: moved(photo, 24 / (photo.box[2] - photo.box[0]), 0),
    "32 pixels wide": lambda photo: moved(photo, 32 / (photo.box[2] - photo.box[0]), 0),
    "48 pixels wide": lambda photo: moved(photo, 48 / (photo.box[2] - photo.box[0]), 0),
    "lower 40 % black": lambda photo: covered(photo, "mask"),
    "bar over the eyes": lambda photo: covered(photo, "bar"),
}


def matches(found: Guess, box: Array) -> bool:
    """Whether a detection is of the face in this box; detectors differ in what a box holds."""
    side = np.sqrt((box[2:] - box[:2]).prod())
    own = np.sqrt((found.box[2:] - found.box[:2]).prod())
    apart = np.linalg.norm(found.box[:2] + found.box[2:] - box[:2] - box[2:]) / 2
    return bool(apart < 0.4 * side and 0.45 < own / side < 2.2)


def recalls(finds: dict[str, Find], photos: list[Known]) -> dict[str, dict[str, float]]:
    """For each condition, the share of main faces that each detector finds."""
    result = {}
    for condition, make in CONDITIONS.items():
        hits = dict.fromkeys(finds, 0)
        for photo in photos:
            made = make(photo)
            for name, find in finds.items():
                hits[name] += any(matches(face, made.box) for face in find(made.pixels))
        result[condition] = {name: count / len(photos) for name, count in hits.items()}
        print(condition, result[condition], flush=True)
    return result


def alarms(finds: dict[str, Find], sets: list[Labelled]) -> dict[str, float]:
    """Detections in a megapixel that no teacher supports, whole photos.

    A teacher's own are alarms where the other sees nothing, not even faintly.
    """
    count, pixels = dict.fromkeys(finds, 0), 0
    for photos in sets:
        for at, labels in enumerate(photos.labels):
            image = photos.pixels(at)
            pixels += image.shape[0] * image.shape[1]
            for name, find in finds.items():
                own = {"CenterFace": 0, "YuNet": 1}.get(name)
                others = labels.unsure[labels.unsure[:, 5] != own][:, :4]
                boxes = np.concatenate([labels.boxes, others])
                count[name] += sum(
                    not any(matches(face, box) for box in boxes) for face in find(image)
                )
    return {name: number / (pixels / 1e6) for name, number in count.items()}


def point_errors(finds: dict[str, Find], photos: list[Known]) -> dict[str, float]:
    """Mean distance of the points from the teachers', in per cent of the eye distance."""
    wrong: dict[str, list[float]] = {name: [] for name in finds}
    for photo in photos:
        eyes = np.linalg.norm(photo.points[1] - photo.points[0])
        for name, find in finds.items():
            for face in find(photo.pixels):
                if matches(face, photo.box):
                    # ours count from the middle of the first pixel
                    points = face.points + (0.5 if name.startswith(("network", "dlib")) else 0)
                    apart = np.linalg.norm(points - photo.points, axis=1)
                    wrong[name].append(float(apart.mean() / eyes * 100))
                    break
    return {name: float(np.mean(values)) for name, values in wrong.items()}


def milliseconds(finds: dict[str, Find], photo: Known, times: int = 15) -> dict[str, list[float]]:
    """The median time of one photo with a face, for each of TIMED."""
    result: dict[str, list[float]] = {name: [] for name in finds}
    for size in TIMED:
        image = np.asarray(Image.fromarray(photo.pixels).resize(size, Image.Resampling.BICUBIC))
        taken: dict[str, list[float]] = {name: [] for name in finds}
        for _ in range(times):
            for name, find in finds.items():
                started = time.perf_counter()
                find(image)
                taken[name].append(time.perf_counter() - started)
        for name, seconds in taken.items():
            result[name].append(float(np.median(seconds) * 1000))
    return result


def table(record: dict[str, object], names: list[str]) -> str:
    recall, errors = record["recall"], record["landmark_error_percent"]
    assert isinstance(recall, dict)
    assert isinstance(errors, dict)
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for condition, values in recall.items():
        lines.append(f"| {condition} | " + " | ".join(f"{values[n]:.3f}" for n in names) + " |")
    rates, times = record["false_alarms_per_megapixel"], record["milliseconds"]
    assert isinstance(rates, dict)
    assert isinstance(times, dict)
    lines.append(
        "| false alarms a megapixel | " + " | ".join(f"{rates[n]:.3f}" for n in names) + " |"
    )
    lines.append(
        "| points, % of eye distance | " + " | ".join(f"{errors[n]:.1f}" for n in names) + " |"
    )
    sizes = " / ".join(f"{width} x {height}" for width, height in TIMED)
    spent = (" / ".join(f"{ms:.0f}" for ms in times[n]) for n in names)
    lines.append(f"| ms at {sizes} | " + " | ".join(spent) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    parser.add_argument("--photos", type=int, default=250, help="of LFW's dev-test people")
    args = parser.parse_args()
    finds = detectors(args.model)
    people, wild = Labelled("lfw-test"), Labelled("wild-test")
    photos = known(people, args.photos) + known(wild, 150)
    record: dict[str, object] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread used",
        "photos": len(photos),
        "recall": recalls(finds, photos),
        "false_alarms_per_megapixel": alarms(finds, [wild]),
        "landmark_error_percent": point_errors(finds, photos),
        "milliseconds": milliseconds(finds, photos[-1]),
    }
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{record['machine']}; {len(photos)} photos\n\n{table(record, list(finds))}")


if __name__ == "__main__":
    main()
