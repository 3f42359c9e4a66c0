"""Lists of pairs are judged as an obvious loop would judge them; missing faces are failures."""

from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import DataError, PhotoError
from facesearch.core.progress import Silent
from facesearch.evaluation.evaluate import evaluate, evaluate_all, evaluate_open_set, gather
from facesearch.evaluation.lfw import Pair, listed
from facesearch.vision.embedder import Embedder
from facesearch.vision.photo_files import People, people_in


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


def test_gathering_keeps_the_order_and_counts_failures(
    embedder: Embedder, people: Path, no_face: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    photo = people / "person-02" / "pose-1.jpg"
    gathered = gather(embedder, [no_face, photo, text, photo], Silent())
    assert gathered.found.tolist() == [False, True, False, True]
    chip = embedder.read_principal(photo)
    assert chip is not None
    assert np.allclose(gathered.embeddings[[1, 3]], embedder.embed(chip[None]), atol=1e-5)
    assert not gathered.embeddings[[0, 2]].any()
    assert [str(error).split(":")[0] for error in gathered.unreadable] == [str(text)]
    chips = gather(embedder, [no_face, photo], Silent(), aligned=True)
    assert chips.found.all()
    assert np.allclose(np.linalg.norm(chips.embeddings, axis=1), 1, atol=1e-5)
    assert len(gather(embedder, [], Silent()).found) == 0


def test_more_photos_than_are_embedded_together(
    embedder: Embedder, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = sorted(people.glob("person-0[01]/*.jpg"))
    whole = gather(embedder, photos, Silent())
    monkeypatch.setattr("facesearch.evaluation.evaluate.CHIPS_AT_ONCE", 3)
    assert np.allclose(gather(embedder, photos, Silent()).embeddings, whole.embeddings, atol=1e-5)


def test_all_pairs_of_a_folder_agree_with_the_list_of_them(
    embedder: Embedder, people: Path, no_face: Path
) -> None:
    """A list of as many genuine and impostor pairs gives the same figures."""
    chosen = {f"person-0{n}": sorted((people / f"person-0{n}").glob("*.jpg"))[:2] for n in range(3)}
    chosen["person-00"] = [*chosen["person-00"], no_face]
    photos = [(name, photo) for name, shown in chosen.items() for photo in shown]
    every = [
        Pair(a, b, first == second, 0)
        for number, (first, a) in enumerate(photos)
        for second, b in photos[:number]
    ]
    genuine = [pair for pair in every if pair.same]
    impostor = [pair for pair in every if not pair.same]
    assert (len(genuine), len(impostor)) == (5, 16)
    listed = evaluate(embedder, genuine * 16 + impostor * 5, 1.0, Silent()).result
    found = evaluate_all(embedder, chosen, 1.0, Silent())
    assert (found.genuine_pairs, found.impostor_pairs, found.result.pairs) == (5, 16, 21)
    assert (found.people, found.photos, found.failed_to_detect) == (3, 7, 1)
    assert found.result.accuracy == pytest.approx(listed.accuracy)
    assert found.result.f1 == pytest.approx(listed.f1)
    assert found.result.auc == pytest.approx(listed.auc)
    assert found.result.eer == pytest.approx(listed.eer, abs=1e-3)
    assert set(found.result.fnmr_at_fmr.values()) == {None}


def test_people_who_cannot_be_measured(
    embedder: Embedder, people: Path, no_face: Path, tmp_path: Path
) -> None:
    ann, ben = (sorted((people / name).glob("*.jpg")) for name in ("person-00", "person-01"))

    def open_set(people: People, enrolled: list[int]) -> None:
        evaluate_open_set(embedder, people, Silent(), enrolled=enrolled)

    with pytest.raises(DataError, match="one person alone"):
        evaluate_all(embedder, {"ann": ann}, 1.0, Silent())
    with pytest.raises(DataError, match="nobody has two photos"):
        evaluate_all(embedder, {"ann": ann[:1], "ben": ben[:1]}, 1.0, Silent())
    with pytest.raises(DataError, match="not one of the photos has a face"):
        evaluate_all(embedder, {"ann": [no_face, no_face], "ben": [no_face]}, 1.0, Silent())
    with pytest.raises(DataError, match="1 people are too few to enrol 1"):
        open_set({"ann": ann}, [1])
    with pytest.raises(DataError, match="nobody has two photos"):
        open_set({"ann": ann[:1], "ben": ben[:1]}, [1])
    with pytest.raises(DataError, match="not one of the photos has a face"):
        open_set({"ann": [no_face, no_face], "ben": [no_face]}, [1])
    with pytest.raises(DataError, match="2 people are too few to enrol 10; choose a number"):
        open_set({"ann": ann, "ben": ben}, [])


def test_an_unreadable_photo_of_a_folder_is_a_failure(
    embedder: Embedder, people: Path, tmp_path: Path
) -> None:
    ann, ben = (sorted((people / name).glob("*.jpg")) for name in ("person-00", "person-01"))
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    chosen = {"ann": [*ann[:2], text], "ben": ben[:1]}
    found = evaluate_all(embedder, chosen, 2.0, Silent())
    assert (found.failed_to_detect, len(found.unreadable)) == (1, 1)
    assert found.result.accuracy == pytest.approx((1 / 3 + 1 / 3) / 2)  # all readable pairs match
    sought = evaluate_open_set(embedder, chosen, Silent(), enrolled=[1])
    assert (sought.failed_to_detect, len(sought.unreadable)) == (1, 1)


def test_lfw_dev_test(embedder: Embedder, lfw: Path) -> None:
    """The shipped model on a part of LFW's dev-test list: people that it never saw."""
    from facesearch.evaluation.lfw import read_pairs

    pairs = read_pairs(lfw / "pairsDevTest.txt", lfw)
    some = pairs[:500:5] + pairs[500::5]
    found = evaluate(embedder, some, 0.0, Silent())
    assert found.result.pairs == 200
    assert found.failed_to_detect < 8
    assert found.result.auc > 0.93


def test_lfw_people_of_the_dev_test(embedder: Embedder, lfw: Path) -> None:
    """Twenty people with two photos or more, and sixty with one."""
    everybody = listed(people_in(lfw), lfw / "peopleDevTest.txt")
    assert sum(map(len, everybody.values())) == 3708
    several = [name for name, photos in everybody.items() if len(photos) > 1][:20]
    single = [name for name, photos in everybody.items() if len(photos) == 1][:60]
    chosen = {name: everybody[name][:4] for name in several + single}
    found = evaluate_all(embedder, chosen, 1.0, Silent())
    assert found.result.auc > 0.93
    low, high = found.intervals["auc"] or (0.0, 0.0)
    assert low < found.result.auc < high
    sought = evaluate_open_set(embedder, chosen, Silent())
    assert [result.enrolled for result in sought.results] == [10]
    assert sought.results[0].unknown_probes == 70
    assert sought.results[0].rank1 > 0.8
