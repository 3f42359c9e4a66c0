"""Train facesearch's predictor of the five points on LFW's dev-train people.

    python -m models.recipes.train_landmarks ../shared/data/lfw --out models/default/landmarks.dat
    python -m models.recipes.train_landmarks ../shared/data/lfw --out OUT.dat --network DIR

Teachers (models/recipes/teachers.py): eyes from dlib's public-domain predictor, nose tip and mouth
corners from the mean of CenterFace and YuNet. Boxes are those of dlib's frontal detector, moved and
scaled so that the predictor forgives a loose box; with --network, faces are seen as the network
detector shows them to the predictor: upright, at one size, in one box. The error is measured on
LFW's dev-test people and written beside the predictor, as landmarks.json; --measure does only that.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import dlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesearch.core.face import Box, Face, principal
from facesearch.evaluation.lfw import people_list
from facesearch.vision import dlib_detector, images, network_detector, photo_files
from facesearch.vision.model import DETECTOR_INT8, LANDMARKS, LANDMARKS_ERROR
from models.recipes.teachers import CACHE, CenterFace, DlibEyes, Guess, YuNet

Points = NDArray[np.float64]
Row = tuple[Path, list[int], Points, float]  # photo, box, points, disagreement of the teachers
POINTS = ("image-left eye", "image-right eye", "nose", "image-left mouth", "image-right mouth")
MIRRORED = [1, 0, 2, 4, 3]  # a mirrored face's points, in our order
DISAGREEMENT = 0.15  # of the eye distance; beyond it the teachers' labels are not trained on
MODELS: dict[str, object] = {}


def label(path: Path) -> tuple[list[int], Points, float] | None:
    """dlib's box, the teachers' points and their disagreement; None if a teacher sees no face."""
    if not MODELS:
        MODELS.update(yunet=YuNet(), centerface=CenterFace(), eyes=DlibEyes())
    image = images.read(path)
    found = dlib_detector.boxes(image)
    if not found:
        return None
    faces = [Face(box, (), score) for box, score in found]
    box = principal(faces, image.shape[1], image.shape[0]).box
    guesses = [MODELS["yunet"](image), MODELS["centerface"](image)]  # type: ignore[operator]
    if any(guess is None or not inside(guess, box.centre) for guess in guesses):
        return None
    rounded = box.rounded()
    eyes = MODELS["eyes"](image, rounded)  # type: ignore[operator]
    both = np.stack([guess.points[2:] for guess in guesses])
    scale = np.linalg.norm(eyes[1] - eyes[0])
    apart = float(np.linalg.norm(both[0] - both[1], axis=1).max() / scale)
    return rounded, np.concatenate([eyes, both.mean(axis=0)]), apart


def inside(guess: Guess, point: tuple[float, float]) -> bool:
    left, top, right, bottom = guess.box
    return bool(left < point[0] < right and top < point[1] < bottom)


def photos(lfw: Path, people: str) -> list[Path]:
    return [
        path for name in people_list(lfw / people) for path in photo_files.photos_in(lfw / name)
    ]


def labels(lfw: Path, people: str, most: int) -> list[Row]:
    """The labels of the photos of a list of people, `most` drawn ones, kept in the cache."""
    paths = photos(lfw, people)
    if len(paths) > most:
        paths = sorted(random.Random(0).sample(paths, most))
    cache = CACHE / f"landmarks-{people}-{len(paths)}.json"
    if not cache.exists():
        with ProcessPoolExecutor() as pool:
            rows = [
                row and [row[0], row[1].tolist(), row[2]]
                for row in pool.map(label, paths, chunksize=32)
            ]
        cache.write_text(json.dumps(rows))
    rows = json.loads(cache.read_text())
    print(
        f"{people}: {len(rows)} photos, {sum(row is not None for row in rows)} labelled", flush=True
    )
    return [
        (path, row[0], np.array(row[1]), row[2])
        for path, row in zip(paths, rows, strict=True)
        if row is not None
    ]


def moved_box(box: list[int], rng: np.random.Generator) -> list[int]:
    """A box of another size beside the detector's, as a looser detector would give it."""
    left, top, right, bottom = box
    half = (right - left) / 2 * rng.uniform(0.85, 1.2)
    x, y = (left + right) / 2, (top + bottom) / 2
    x, y = np.array([x, y]) + rng.uniform(-0.08, 0.08, 2) * (right - left)
    return [round(side) for side in (x - half, y - half, x + half, y + half)]


def turned(image: Image.Image, points: Points, angle: float) -> tuple[Image.Image, Points]:
    """The image turned about its centre, `angle` degrees counter-clockwise, and its points."""
    centre = (np.array(image.size) - 1) / 2
    sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    spin = np.array([[cosine, sine], [-sine, cosine]])
    return image.rotate(angle, Image.Resampling.BILINEAR), (points - centre) @ spin.T + centre


def examples(
    rows: list[Row], rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.uint8], dlib.full_object_detection]]:
    """Every face once as it is and once mirrored, each turned a little, in its moved box."""
    for path, box, points, apart in rows:
        if apart > DISAGREEMENT:
            continue
        # the mean of the channels, as dlib reads a colour image
        grey = images.read(path).mean(axis=2).round().astype(np.uint8)
        for mirrored in (False, True):
            image, marks, sides = Image.fromarray(grey), points, box
            if mirrored:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                marks = (np.array([image.width - 1, 0]) + [-1, 1] * points)[MIRRORED]
                sides = [image.width - box[2], box[1], image.width - box[0], box[3]]
            middle = np.array([[sides[0] + sides[2], sides[1] + sides[3]]]) / 2
            image, both = turned(image, np.concatenate([marks, middle]), rng.normal(0, 8))
            shift = (both[5] - middle[0]).round().astype(int)
            sides = moved_box([side + shift[i % 2] for i, side in enumerate(sides)], rng)
            around, inner, factor, corner = dlib_detector.patch(np.asarray(image), Box(*sides))
            marks = (both[:5] - corner + 0.5) * factor - 0.5
            parts = [dlib.point(round(x), round(y)) for x, y in marks]
            rectangle = dlib.rectangle(*inner[:2], inner[2] - 1, inner[3] - 1)
            yield around, dlib.full_object_detection(rectangle, parts)


def near_examples(
    rows: list[Row], detector: network_detector.NetworkDetector, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.uint8], dlib.full_object_detection]]:
    """Every face as it is and mirrored, each turned a little, as the detector shows it."""
    for path, _, points, apart in rows:
        if apart > DISAGREEMENT:
            continue
        picture = Image.fromarray(images.read(path))
        for mirrored in (False, True):
            image, marks = picture, points
            if mirrored:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                marks = (np.array([image.width - 1, 0]) + [-1, 1] * points)[MIRRORED]
            image, marks = turned(image, marks, rng.normal(0, 8))
            pixels = np.array(image)
            # somewhere about the face, as a first look would be
            loose = marks + rng.normal(0, 0.05 * np.linalg.norm(marks[1] - marks[0]), marks.shape)
            seen = detector.near(pixels, loose)
            if seen is None:
                continue
            chip, back = network_detector.upright(pixels, seen, *network_detector.CLOSE_POINTS)
            forward = np.linalg.inv(np.vstack([back, [0, 0, 1]]))[:2]
            marks = marks @ forward[:, :2].T + forward[:, 2]
            parts = [dlib.point(round(x), round(y)) for x, y in marks]
            left, top, right, bottom = network_detector.close_box(len(chip))
            rectangle = dlib.rectangle(left, top, right - 1, bottom - 1)
            grey = chip.mean(axis=2).round().astype(np.uint8)
            yield grey, dlib.full_object_detection(rectangle, parts)


def errors(detector: dlib_detector.DlibDetector, rows: list[Row]) -> Points:
    """(N, 5): distances of the points from the teachers', in eye distances."""
    result = []
    for path, box, points, _ in rows:
        found = detector.points(images.read(path), Box(*box))
        scale = np.linalg.norm(points[1] - points[0])
        result.append(np.linalg.norm(found - points, axis=1) / scale)
    return np.array(result)


def near_errors(detector: network_detector.NetworkDetector, rows: list[Row]) -> Points:
    """The same for the points of the network detector's faces; a face not found is left out."""
    result = []
    for path, box, points, _ in rows:
        middle = np.array(Box(*box).centre)
        for face in detector(images.read(path)):
            if np.abs(np.array(face.box.centre) - middle).max() < face.box.width / 4:
                scale = np.linalg.norm(points[1] - points[0])
                result.append(np.linalg.norm(np.array(face.points) - points, axis=1) / scale)
                break
    return np.array(result)


def train(args: argparse.Namespace) -> None:
    rows = labels(args.lfw, "peopleDevTrain.txt", args.photos)
    pictures, detections = [], []
    rng = np.random.default_rng(args.seed)
    if args.network:
        detector = network_detector.NetworkDetector(
            args.network / DETECTOR_INT8, args.network / LANDMARKS
        )
        made = near_examples(rows, detector, rng)
    else:
        made = examples(rows, rng)
    for picture, detection in made:
        pictures.append(picture)
        detections.append([detection])
    options = dlib.shape_predictor_training_options()
    options.tree_depth = 4
    options.cascade_depth = 10
    options.num_trees_per_cascade_level = args.trees
    options.oversampling_amount = args.oversampling
    options.feature_pool_region_padding = 0.25  # brows, lids and lips lie outside the points
    options.num_test_splits = 60
    options.random_seed = str(args.seed)
    options.num_threads = 2
    started = time.monotonic()
    predictor = dlib.train_shape_predictor(pictures, detections, options)
    predictor.save(str(args.out))
    seconds = time.monotonic() - started
    print(f"{len(pictures)} examples, {seconds:.0f} s, {args.out.stat().st_size / 1e6:.2f} MB")


def measure(args: argparse.Namespace) -> None:
    rows = labels(args.lfw, "peopleDevTest.txt", args.photos)
    if args.network:
        wrong = near_errors(
            network_detector.NetworkDetector(args.network / DETECTOR_INT8, args.out), rows
        )
    else:
        wrong = errors(dlib_detector.DlibDetector(args.out), rows)
    record = {
        "data": "LFW's dev-test people",
        "faces": len(wrong),
        "mean_error": wrong.mean(),  # all in eye distances
        "mean_error_of_points": dict(zip(POINTS, wrong.mean(axis=0), strict=True)),
        "error_of_95_percent_of_faces": np.quantile(wrong.mean(axis=1), 0.95),
    }
    text = json.dumps(record, indent=1)
    args.out.with_name(LANDMARKS_ERROR).write_text(text + "\n")
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lfw", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--measure", action="store_true", help="only measure what is at --out")
    parser.add_argument("--network", type=Path, help="a model folder, for its detector")
    parser.add_argument("--photos", type=int, default=10**6, help="at most, of each list")
    parser.add_argument("--trees", type=int, default=280, help="in each of 10 cascade levels")
    parser.add_argument("--oversampling", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not args.measure:
        train(args)
    measure(args)


if __name__ == "__main__":
    main()
