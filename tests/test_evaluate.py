"""Lists of pairs are judged as an obvious loop would judge them; missing faces are failures."""

from pathlib import Path

import numpy as np
import pytest

from facesearch.data import Pair
from facesearch.embed import Embedder
from facesearch.errors import DataError, PhotoError
from facesearch.evaluate import evaluate
from facesearch.progress import Silent


def test_pairs_agree_with_a_loop(embedder: Embedder, people: Path) -> None:
    photos = sorted(people.glob("person-0[0-3]/pose-[0-2].jpg"))
    pairs = [
        Pair(a, b, a.parent == b.parent, fold=0)
        for number, a in enumerate(photos)
        for b in photos[:number]
    ]
    vectors = {path: embedder.embed(embedder.read(path).chips)[0] for path in photos}
    distances = [float(np.linalg.norm(vectors[pair.a] - vectors[pair.b])) for pair in pairs]
    threshold = float(np.median(distances))
    found = evaluate(embedder, pairs, threshold, Silent())
    right = [(d <= threshold) == pair.same for d, pair in zip(distances, pairs, strict=True)]
    hits = sum(d <= threshold and pair.same for d, pair in zip(distances, pairs, strict=True))
    called = sum(d <= threshold for d in distances)
    same = sum(pair.same for pair in pairs)
    assert found.failed_to_detect == 0
    assert found.result.accuracy == pytest.approx(np.mean(right))
    assert found.result.f1 == pytest.approx(2 * hits / (called + same))


def test_a_photo_without_a_face_never_matches(
    embedder: Embedder, people: Path, no_face: Path
) -> None:
    a, b = people / "person-00" / "pose-0.jpg", people / "person-01" / "pose-0.jpg"
    pairs = [Pair(a, a, True, 0), Pair(a, no_face, True, 0), Pair(b, no_face, False, 0)]
    found = evaluate(embedder, pairs, 2.0, Silent())
    assert found.failed_to_detect == 1
    assert found.result.accuracy == pytest.approx(2 / 3)
    nobody = [Pair(no_face, no_face, True, 0), Pair(no_face, no_face, False, 0)]
    assert evaluate(embedder, nobody, 2.0, Silent()).result.accuracy == 0.5


def test_bad_lists(embedder: Embedder, people: Path, tmp_path: Path) -> None:
    a = people / "person-00" / "pose-0.jpg"
    with pytest.raises(DataError, match="of one person and pairs of different people"):
        evaluate(embedder, [Pair(a, a, True, 0)], 1.0, Silent())
    gone = [Pair(a, tmp_path / "gone.jpg", True, 0), Pair(a, a, False, 0)]
    with pytest.raises(PhotoError, match="no such file"):
        evaluate(embedder, gone, 1.0, Silent())


def test_lfw_dev_test(embedder: Embedder, lfw: Path) -> None:
    """The shipped model on a part of LFW's dev-test list: people that it never saw."""
    from facesearch.data import read_pairs

    pairs = read_pairs(lfw / "pairsDevTest.txt", lfw)
    some = pairs[:500:5] + pairs[500::5]
    found = evaluate(embedder, some, 0.0, Silent())
    assert found.result.pairs == 200
    assert found.failed_to_detect < 8
    assert found.result.auc > 0.93
