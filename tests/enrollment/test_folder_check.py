"""A folder is judged as a whole: who is its person, and who is not."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.enrollment.folder_check import CERTAIN, Folder, Verdict
from facesearch.matching.calibration import Calibration, calibration_of
from facesearch.matching.decision import Candidate
from facesearch.vision.embedder import Embedder
from tests.support.invented import faces_of

NOBODY = np.empty((0, 128), np.float32)


@pytest.fixture(scope="session")
def calibration(embedder: Embedder) -> Calibration:
    return calibration_of(embedder.model)


def judged(
    photos: list[NDArray[np.float32]],
    calibration: Calibration,
    others: list[Candidate] | None = None,
    known: NDArray[np.float32] = NOBODY,
) -> list[Verdict]:
    sure = [np.full(len(faces), 0.999) for faces in photos]
    folder = Folder(photos, sure, known, 0.999, calibration)
    verdicts = [folder.judge(place, others or [], 100) for place in range(len(photos))]
    assert None not in verdicts
    return [verdict for verdict in verdicts if verdict is not None]


def test_the_face_in_most_photos_is_the_person_whatever_the_order(
    calibration: Calibration,
) -> None:
    ann, bob, eve = faces_of(0, 4), faces_of(1, 4), faces_of(2, 4)
    photos = {
        "ann": ann[:1],
        "bob": bob[:1],
        "ann and bob": np.stack([bob[1], ann[1]]),
        "ann and eve": np.stack([ann[2], eve[2]]),
        "bob and eve": np.stack([bob[3], eve[3]]),
        "ann again": ann[3:],
    }
    for order in itertools.permutations(photos):
        found = dict(zip(order, judged([photos[n] for n in order], calibration), strict=True))
        assert not found["ann"].held
        assert not found["ann again"].held
        assert found["bob"].held
        assert found["ann and bob"].face == 1
        assert found["ann and eve"].face == 0
        assert found["bob and eve"].face is None
        assert "none like the rest of the folder" in found["bob and eve"].reason


def test_what_is_held_back_says_why(calibration: Calibration) -> None:
    ann, bob = faces_of(0, 3), faces_of(1, 1)
    photos = [ann[:1], bob, ann[1:2], ann[2:]]
    alone = judged(photos, calibration)[1]
    assert (alone.held, alone.other) == (True, None)
    assert "unlike the rest of the folder" in alone.reason
    assert alone.reason.endswith("like nobody known")
    assert alone.distance is not None
    assert alone.distance > 0.5
    assert alone.nearest in (0, 2, 3)
    other = Candidate("Bob", 0.2, Path("bob.jpg"), 10.0)
    like_bob = judged(photos, calibration, [other])[1]
    assert like_bob.other == other
    assert like_bob.reason.endswith("like Bob (0.200)")


def test_one_or_two_photos_are_not_judged_without_another_person(
    calibration: Calibration,
) -> None:
    ann, bob = faces_of(0, 1), faces_of(1, 1)
    for photos in ([ann], [ann, bob], [ann, bob, faces_of(2, 1)]):
        assert [verdict.held for verdict in judged(photos, calibration)] == [False] * len(photos)
    clearly = Candidate("Bob", 0.1, Path("bob.jpg"), 18.0)
    (held,) = judged([bob], calibration, [clearly])
    assert held.held
    assert held.reason == "nothing else shows whose it is, like Bob (0.100)"
    perhaps = Candidate("Bob", 0.4, Path("bob.jpg"), 1.0)
    assert not judged([bob], calibration, [perhaps])[0].held


def test_who_is_surely_another_is_held_back_however_many_there_are(
    calibration: Calibration,
) -> None:
    ann, away = faces_of(0, 3), faces_of(7, 1)[0]

    def folder(share: float) -> Folder:
        doubtful = (1 - share) * ann.mean(axis=0) + share * away
        photos = [*np.split(ann, 3), (doubtful / np.linalg.norm(doubtful))[None]]
        return Folder(photos, [np.full(1, 0.999)] * 4, NOBODY, 0.0, calibration)

    said = {share: folder(share).evidence(3).log_ratio for share in np.linspace(0.1, 0.9, 81)}
    share, own = min(said.items(), key=lambda pair: abs(pair[1]))  # nothing for it or against it
    assert abs(own) < 1
    for surer, held in ((2 * CERTAIN - 0.1, False), (2 * CERTAIN + 0.1, True)):
        other = Candidate("Bob", 0.2, Path("bob.jpg"), own + surer)
        verdict = folder(share).judge(3, [other], 1_000_000)
        assert verdict is not None
        assert (verdict.held, verdict.other) == (held, other)


def test_a_tie_is_no_answer(calibration: Calibration) -> None:
    ann, bob = faces_of(0, 3), faces_of(1, 3)
    even = [ann[:1], ann[1:2], bob[:1], bob[1:2]]
    assert [verdict.held for verdict in judged(even, calibration)] == [False] * 4
    together = [np.stack(pair) for pair in zip(ann, bob, strict=True)]
    for verdict in judged(together, calibration):
        assert verdict.face is None
        assert verdict.reason == "2 faces found, and nothing says whose is whose"
    known = judged(together, calibration, known=faces_of(1, 5)[3:])
    assert [verdict.face for verdict in known] == [1, 1, 1]


def test_what_depends_on_others_waits_for_them(calibration: Calibration) -> None:
    photos = [*np.split(faces_of(0, 3), 3), faces_of(1, 1)]
    folder = Folder(photos, [np.ones(1)] * 4, NOBODY, 0.0, calibration)
    answers = [folder.judge(place, None, 0) for place in range(4)]
    assert [answer is None for answer in answers] == [False, False, False, True]


def test_a_large_folder_is_judged_by_a_part_of_it(calibration: Calibration) -> None:
    photos = [*np.split(faces_of(0, 2400), 2400), *np.split(faces_of(1, 40), 40)]
    folder = Folder(photos, [np.ones(1)] * len(photos), NOBODY, 0.0, calibration)
    held = [
        place
        for place in [*range(0, 2400, 100), *range(2400, 2440)]
        if (verdict := folder.judge(place, [], 1)) is None or verdict.held
    ]
    assert held == list(range(2400, 2440))


def test_an_empty_folder(calibration: Calibration) -> None:
    assert Folder([], [], NOBODY, 0.0, calibration).template is None
