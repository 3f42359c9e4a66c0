"""What is found and what is not: both of our detectors beside the networks that taught ours.

    python -m models.recipes.face_labels ../shared/data
    python -m benchmarks.detection models/default --out .work/detection.json

On photos that training never saw: one of each of LFW's dev-test people, and a tenth of photos.zip.
The main face of a photo is known where both teachers see it; the turned, shrunk and covered photos
are made from those. Detectors take turns on each photo, one thread each, the networks with a
longest side of 640. Prints Markdown tables and writes everything as JSON. Takes minutes.
"""

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measuring import machine
from facesearch.core.face import Face
from facesearch.evaluation.model_card import write_section
from facesearch.vision.dlib_detector import DlibDetector
from facesearch.vision.images import read
from facesearch.vision.model import CARD, DETECTOR, DETECTOR_INT8, LANDMARKS
from facesearch.vision.network_detector import DETAIL, NetworkDetector
from models.recipes.face_labels import Labelled, Labels
from models.recipes.scenes import turned_boxes, warped
from models.recipes.teachers import CenterFace, Guess, YuNet

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Find = Callable[[Pixels], list[Guess]]
FINDS: dict[str, Find] = {}  # a worker's own

OURS = ("network", "network int8", "dlib")
ANY, POINTS, ALARMS = "any face", "points off, % of eye distance", "false alarms a megapixel"
TIMED = ((250, 250), (500, 600), (1600, 1200))  # width, height


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A photo and its main face in the photo's pixels: box (4,), points (5, 2)."""

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
    whole = NetworkDetector(model / DETECTOR, model / LANDMARKS)
    small = NetworkDetector(model / DETECTOR_INT8, model / LANDMARKS)
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
    ANY: lambda photo: photo,
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
    """Whether a detection is the face in this box, whatever the detector counts to a face."""
    side = np.sqrt((box[2:] - box[:2]).prod())
    own = np.sqrt((found.box[2:] - found.box[:2]).prod())
    apart = np.linalg.norm(found.box[:2] + found.box[2:] - box[:2] - box[2:]) / 2
    return bool(apart < 0.4 * side and 0.45 < own / side < 2.2)


def judge(photo: Known) -> dict[str, dict[str, float]]:
    """For each detector: 1 for each condition in which it finds the main face, else 0; and how far
    its points lie from the teachers', in per cent of the eye distance, NaN without a face."""
    result: dict[str, dict[str, float]] = {name: {} for name in FINDS}
    for condition, make in CONDITIONS.items():
        made = make(photo)
        for name, find in FINDS.items():
            right = [face for face in find(made.pixels) if matches(face, made.box)]
            result[name][condition] = float(bool(right))
            if condition == ANY:
                result[name][POINTS] = off(right[0], made, name) if right else float("nan")
    return result


def off(face: Guess, photo: Known, name: str) -> float:
    # ours count from the middle of the first pixel
    points = face.points + (0.5 if name in OURS else 0)
    eyes = np.linalg.norm(photo.points[1] - photo.points[0])
    return float(np.linalg.norm(points - photo.points, axis=1).mean() / eyes * 100)


def alarms(photo: tuple[Pixels, Labels]) -> dict[str, int]:
    """How many detections of each detector are confirmed by no teacher.

    A teacher's own detection is an alarm where the other sees nothing, not even faintly.
    """
    pixels, labels = photo
    count = {}
    for name, find in FINDS.items():
        own = {"CenterFace": 0, "YuNet": 1}.get(name)
        others = labels.unsure[labels.unsure[:, 5] != own][:, :4]
        boxes = np.concatenate([labels.boxes, others])
        faces = find(pixels)
        count[name] = sum(not any(matches(face, box) for box in boxes) for face in faces)
    return count


def measure(model: Path, photos: list[Known], wild: Labelled) -> dict[str, dict[str, float]]:
    """Figures of each detector, on all cores: a photo at a time."""
    with ProcessPoolExecutor(initializer=prepare, initargs=(model,)) as pool:
        judged = list(pool.map(judge, photos, chunksize=4))
        whole = [(wild.pixels(at), wild.labels[at]) for at in range(len(wild))]
        false = list(pool.map(alarms, whole, chunksize=4))
    area = sum(pixels.shape[0] * pixels.shape[1] for pixels, _ in whole) / 1e6
    return {
        name: {
            figure: float(np.nanmean([photo[name][figure] for photo in judged]))
            for figure in judged[0][name]
        }
        | {ALARMS: sum(count[name] for count in false) / area}
        for name in judged[0]
    }


def prepare(model: Path) -> None:
    FINDS.update(detectors(model))


def milliseconds(finds: dict[str, Find], pixels: Pixels, times: int = 15) -> dict[str, list[float]]:
    """The median time of one photo with a face, for each of TIMED."""
    result: dict[str, list[float]] = {name: [] for name in finds}
    for size in TIMED:
        image = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
        taken: dict[str, list[float]] = {name: [] for name in finds}
        for _ in range(times):
            for name, find in finds.items():
                started = time.perf_counter()
                find(image)
                taken[name].append(time.perf_counter() - started)
        for name, seconds in taken.items():
            result[name].append(float(np.median(seconds) * 1000))
    return result


def table(figures: dict[str, dict[str, float]], times: dict[str, list[float]]) -> str:
    lines = [f"| | {' | '.join(figures)} |", "|---" * (len(figures) + 1) + "|"]
    for figure in [*CONDITIONS, ALARMS, POINTS]:
        digits = 1 if figure == POINTS else 3
        values = " | ".join(f"{values[figure]:.{digits}f}" for values in figures.values())
        lines.append(f"| {figure} | {values} |")
    return "\n".join([*lines, time_row(times)])


def time_row(times: dict[str, list[float]]) -> str:
    sizes = " / ".join(f"{width} x {height}" for width, height in TIMED)
    spent = " | ".join(" / ".join(f"{ms:.0f}" for ms in values) for values in times.values())
    return f"| ms at {sizes} | {spent} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    parser.add_argument("--photos", type=int, default=150, help="of each of the two sets")
    parser.add_argument("--figures", type=Path, help="an earlier --out: measure only the time anew")
    args = parser.parse_args()
    if args.figures:
        record = json.loads(args.figures.read_text())
    else:
        wild = Labelled("wild-test")
        photos = known(Labelled("lfw-test"), args.photos) + known(wild, args.photos)
        record = {"photos": len(photos), "figures": measure(args.model, photos, wild)}
    portrait = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    times = milliseconds(detectors(args.model), read(portrait))
    record |= {"machine": machine(), "milliseconds": {"sizes": TIMED, **times}}
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")
    text = f"""{machine()}, one thread each; {record["photos"]} photos

{table(record["figures"], times)}"""
    print(text)
    command = "python -m benchmarks.detection models/default"
    note = f"Measured by `{command}`; what it means, and where it falls short: "
    note += "`docs/development/detection.md`."
    write_section(args.model / CARD, "## Finding faces", f"{note} {text}")


if __name__ == "__main__":
    main()
