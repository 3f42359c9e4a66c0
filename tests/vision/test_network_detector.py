"""The network finds turned, tiny, covered and crowded faces, once each, where they are."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facesearch.core.errors import ModelError
from facesearch.core.face import Face
from facesearch.core.paths import shipped_models
from facesearch.vision.alignment import align
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import DETECTOR, DETECTOR_INT8, LANDMARKS
from facesearch.vision.network_detector import STRIDES, NetworkDetector, decoded, merged

Pixels = NDArray[np.uint8]

FOLDER = shipped_models() / "default"
POINTS = FOLDER / LANDMARKS
# read off the photograph by hand: eye centres, nose tip, mouth corners
HOPPER = np.array([(221, 190), (304, 187), (270, 238), (237, 274), (306, 270)])
WIDTH = 155  # of her face, in the photograph


@pytest.fixture(scope="module")
def network() -> NetworkDetector:
    return NetworkDetector(FOLDER / DETECTOR, POINTS)


def scaled(image: Pixels, factor: float) -> Pixels:
    size = round(image.shape[1] * factor), round(image.shape[0] * factor)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def turned(image: Pixels, degrees: float) -> tuple[Pixels, NDArray[np.float64]]:
    """A photo turned clockwise about its middle, and the matrix that takes its points along."""
    turn = math.radians(degrees)
    spin = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    picture = Image.fromarray(image).rotate(
        -degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(90, 90, 90)
    )
    before = (np.array(image.shape[1::-1]) - 1) / 2
    after = (np.array(picture.size) - 1) / 2
    return np.asarray(picture), np.column_stack([spin, after - spin @ before])


def miss(face: Face, points: NDArray[np.float64]) -> float:
    """The mean distance of a face's points from where they are, in eye distances."""
    apart = np.linalg.norm(np.array(face.points) - points, axis=1)
    return float(apart.mean() / np.linalg.norm(points[1] - points[0]))


def test_points_of_a_portrait(network: NetworkDetector, hopper_pixels: Pixels) -> None:
    (face,) = network(hopper_pixels)
    assert miss(face, HOPPER) < 0.1
    x, y = face.box.centre
    assert np.hypot(x - 265, y - 225) < 30
    assert 0.5 < face.score < 1


@pytest.mark.parametrize("degrees", [20, -40, 60, 90, 135, 180, 270])
def test_turned_faces_are_found_with_the_eyes_of_the_upright_one(
    network: NetworkDetector, hopper_pixels: Pixels, degrees: float
) -> None:
    image, matrix = turned(hopper_pixels, degrees)
    (face,) = network(image)
    assert miss(face, HOPPER @ matrix[:, :2].T + matrix[:, 2]) < 0.12


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_turned_by_quarters_gives_the_same_embedding(
    network: NetworkDetector, embedder: Embedder, hopper_pixels: Pixels, turns: int
) -> None:
    size = embedder.preprocessing.size
    image = np.ascontiguousarray(np.rot90(hopper_pixels, turns))
    (upright,), (face,) = network(hopper_pixels), network(image)
    chips = [align(hopper_pixels, upright.points, size), align(image, face.points, size)]
    first, second = embedder.embed(np.array(chips))
    assert np.linalg.norm(first - second) < 0.35


@pytest.mark.parametrize("width", [20, 24, 32, 48])
def test_tiny_faces(network: NetworkDetector, hopper_pixels: Pixels, width: int) -> None:
    factor = width / WIDTH
    (face,) = network(scaled(hopper_pixels, factor))
    assert miss(face, (HOPPER + 0.5) * factor - 0.5) < 0.2


def test_large_faces(network: NetworkDetector, hopper_pixels: Pixels) -> None:
    """A face that fills the photo, and that photo enlarged beyond the working size."""
    close = hopper_pixels[120:330, 160:370]
    for factor in (1, 3, 10):
        (face,) = network(scaled(close, factor))
        assert miss(face, (HOPPER - [160, 120] + 0.5) * factor - 0.5) < 0.12


def test_covered_faces(network: NetworkDetector, hopper_pixels: Pixels) -> None:
    masked, barred = hopper_pixels.copy(), hopper_pixels.copy()
    masked[245:330, 190:340] = 0
    barred[170:210, 190:340] = 0
    for image in (masked, barred):
        (face,) = network(image)
        assert miss(face, HOPPER) < 0.25


def test_a_crowd(network: NetworkDetector, hopper_pixels: Pixels, collins: Path) -> None:
    """Drawn people and two portraits in rows of five: each is found once, and nothing else is."""
    from facesearch.demo.drawn_people import portrait

    pictures = [np.asarray(portrait(person, pose)) for person in range(6) for pose in range(3)]
    pictures += [hopper_pixels[80:380, 120:420], np.asarray(Image.open(collins))[20:320, 70:370]]
    crowd = np.zeros((4 * 100, 5 * 100, 3), np.uint8)
    for at, picture in enumerate(pictures):
        row, column = divmod(at, 5)
        small = Image.fromarray(picture).resize((100, 100), Image.Resampling.LANCZOS)
        crowd[100 * row : 100 * row + 100, 100 * column : 100 * column + 100] = np.asarray(small)
    faces = network(crowd)
    places = {(int(face.box.centre[1] // 100), int(face.box.centre[0] // 100)) for face in faces}
    assert len(faces) == len(places) == 20


def test_order_is_stable_and_begins_with_the_largest(
    network: NetworkDetector, group_photo: Path
) -> None:
    image = np.asarray(Image.open(group_photo))
    faces = network(image)
    assert len(faces) == 3
    assert network(image) == faces
    areas = [face.box.width * face.box.height for face in faces]
    assert areas == sorted(areas, reverse=True)
    twin = np.concatenate([image, image], axis=1)
    lefts = [(round(face.box.width, 1), face.box.left) for face in network(twin)]
    assert len(lefts) == 6
    assert network(twin) == network(twin)


def test_detail_finds_what_the_working_size_loses(hopper_pixels: Pixels) -> None:
    """A large face, so that there is no second look, and one of two pixels at the first."""
    canvas = np.full((3200, 3200, 3), 90, np.uint8)
    large, small = scaled(hopper_pixels, 3), scaled(hopper_pixels, 0.16)
    canvas[: large.shape[0], : large.shape[1]] = large
    canvas[2500 : 2500 + small.shape[0], 2500 : 2500 + small.shape[1]] = small
    assert len(NetworkDetector(FOLDER / DETECTOR, POINTS, detail=320)(canvas)) == 1
    first, second = NetworkDetector(FOLDER / DETECTOR, POINTS, detail=3200)(canvas)
    assert miss(first, (HOPPER + 0.5) * 3 - 0.5) < 0.12
    assert miss(second, (HOPPER + 0.5) * 0.16 - 0.5 + 2500) < 0.2


def test_a_large_photo_is_searched_small_and_answered_large(
    network: NetworkDetector, hopper_pixels: Pixels
) -> None:
    """Pixel (x, y) of the copy is pixels 2x to 2x + 1 of the photo: its middle is at 2x + 0.5."""
    small = scaled(hopper_pixels, 640 / max(hopper_pixels.shape[:2]))
    (face,) = network(small)
    (twice,) = network(small.repeat(2, axis=0).repeat(2, axis=1))
    assert miss(twice, np.array(face.points) * 2 + 0.5) < 0.05  # the predictor has other pixels
    assert twice.box.left == pytest.approx(2 * face.box.left, abs=1e-3)
    assert twice.box.bottom == pytest.approx(2 * face.box.bottom, abs=1e-3)


def test_nothing(network: NetworkDetector, no_face: Path) -> None:
    assert network(np.asarray(Image.open(no_face))) == []
    for shape in ((1, 1, 3), (2, 500, 3), (500, 1, 3)):
        assert network(np.zeros(shape, np.uint8)) == []


def test_int8_agrees(network: NetworkDetector, hopper_pixels: Pixels, group_photo: Path) -> None:
    small = NetworkDetector(FOLDER / DETECTOR_INT8, POINTS)
    for image in (hopper_pixels, np.asarray(Image.open(group_photo))):
        whole, quick = network(image), small(image)
        assert len(whole) == len(quick)
        for face in quick:
            nearest = min(
                whole, key=lambda other, face=face: math.dist(other.box.centre, face.box.centre)
            )
            assert miss(face, np.array(nearest.points)) < 0.07


def test_the_files_are_small() -> None:
    assert (FOLDER / DETECTOR).stat().st_size <= 3_000_000
    assert (FOLDER / DETECTOR_INT8).stat().st_size <= 1_000_000


def test_a_file_that_is_no_detector(tmp_path: Path) -> None:
    path = tmp_path / "detector.onnx"
    path.write_bytes(b"nonsense")
    for wrong in (path, FOLDER / "network.onnx"):
        with pytest.raises(ModelError, match="no detector that ONNX Runtime can run"):
            NetworkDetector(wrong, POINTS)


def test_cells_become_boxes_and_points() -> None:
    """One cell of each map, worked out by hand."""
    maps = [np.full((15, 64 // stride, 96 // stride), -9.0, np.float32) for stride in STRIDES]
    fields = [2.0, 0.25, -0.5, math.log(4), math.log(2), *np.arange(10) / 10]
    for index, stride in enumerate(STRIDES):
        maps[index][:, 1, 2] = fields
        boxes, points, scores = decoded([*maps], 0.6)
        assert len(boxes) == index + 1
        x, y = 2.5 * stride, 1.5 * stride
        middle = x + 0.25 * stride, y - 0.5 * stride
        box = [middle[0] - 2 * stride, middle[1] - stride]
        box += [middle[0] + 2 * stride, middle[1] + stride]
        assert boxes[index] == pytest.approx(box, abs=1e-4)
        assert scores[index] == pytest.approx(1 / (1 + math.exp(-2)))
        for number in range(5):
            place = x + 0.2 * number * stride - 0.5, y + (0.2 * number + 0.1) * stride - 0.5
            assert points[index, number] == pytest.approx(place, abs=1e-4)
    assert len(decoded(maps, 0.9)[0]) == 0


def test_overlapping_answers_become_one() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [2, 2, 6, 6]], float)
    points = np.zeros((4, 5, 2)) + np.arange(4)[:, None, None]
    scores = np.array([0.6, 0.9, 0.7, 0.5])
    found, five, sure = merged(boxes, points, scores)
    assert sure.tolist() == [0.9, 0.7]
    assert found[0] == pytest.approx((0.9 * boxes[1] + 0.6 * boxes[0]) / 1.5)
    assert five[0] == pytest.approx(np.full((5, 2), 0.6))
    assert found[1] == pytest.approx(boxes[2])
    empty = merged(np.empty((0, 4)), np.empty((0, 5, 2)), np.empty(0))
    assert [part.shape for part in empty] == [(0, 4), (0, 5, 2), (0,)]


def test_merging_leaves_what_a_slow_greedy_search_leaves() -> None:
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 100, (60, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 30, (60, 2))], axis=1)
    scores = rng.uniform(0.5, 1, 60)

    def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        across = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        down = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
        return across * down / (areas - across * down)

    kept: list[int] = []
    for at in np.argsort(-scores):
        if all(overlap(boxes[at], boxes[other]) <= 0.4 for other in kept):
            kept.append(int(at))
    assert merged(boxes, np.zeros((60, 5, 2)), scores)[2].tolist() == scores[kept].tolist()
