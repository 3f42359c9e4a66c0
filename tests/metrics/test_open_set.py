"""Searches agree with loops over probes and galleries; failures count."""

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.core.errors import DataError
from facesearch.metrics.open_set import Draw, Searches, draw, open_set, search, summary
from facesearch.metrics.pairs import NEVER

Drawn = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]


def drawn(seed: int, people: int = 40, missing: float = 0.1) -> Drawn:
    """Embeddings of people, a third of them with one photo, some photos without a face."""
    rng = np.random.default_rng(seed)
    counts = np.where(np.arange(people) % 3 == 0, 1, rng.integers(2, 7, people))
    who = rng.permutation(np.repeat(np.arange(people), counts))
    embeddings = rng.normal(size=(people, 12))[who] + 0.8 * rng.normal(size=(len(who), 12))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    found = rng.random(len(who)) >= missing
    embeddings[~found] = 0
    return embeddings.astype(np.float32), who, found


@pytest.mark.parametrize("enrolled", [1, 10, 35])
@pytest.mark.parametrize("photos", [1, 3, 100])
def test_galleries_and_probes_by_person(enrolled: int, photos: int) -> None:
    _, who, _ = drawn(0)
    counts = np.bincount(who)
    one = draw(who, enrolled, photos, np.random.default_rng(1))
    assert len(set(one.enrolled)) == enrolled
    assert np.array_equal(one.enrolled[one.places], who[one.rows])
    for person in one.enrolled:
        kept = min(photos, max(counts[person] - 1, 1))
        assert np.sum(who[one.rows] == person) == kept
        assert np.sum(who[one.known] == person) == counts[person] - kept
    used = [*one.rows, *one.known, *one.unknown]
    assert len(used) == len(set(used))
    assert sorted(who[one.unknown]) == sorted(set(range(40)) - set(one.enrolled))
    single = sum(counts[one.enrolled] == 1)
    assert single == max(0, enrolled - sum(counts > 1))


def slow_search(
    data: Drawn, one: Draw
) -> tuple[list[tuple[int, int, float]], list[tuple[int, float]]]:
    """Known probes with person, rank and distance, unknown ones with person and nearest."""
    embeddings, who, found = data
    gallery = {}
    for place, person in enumerate(one.enrolled):
        shown = [
            embeddings[r]
            for r, p in zip(one.rows, one.places, strict=True)
            if p == place and found[r]
        ]
        if shown:
            mean = np.mean(np.array(shown, float), axis=0)
            gallery[int(person)] = mean / np.linalg.norm(mean)

    def near(row: int) -> dict[int, float]:
        if not found[row]:
            return {}
        return {p: float(np.linalg.norm(embeddings[row] - v)) for p, v in gallery.items()}

    known = []
    for row in one.known:
        apart, own = near(row), int(who[row])
        if own in apart:
            known.append((own, sum(d <= apart[own] for d in apart.values()), apart[own]))
        else:
            known.append((own, 99999, NEVER))
    unknown = [(int(who[row]), min(near(row).values(), default=NEVER)) for row in one.unknown]
    return known, unknown


def slow_fnir(
    known: list[tuple[int, int, float]], unknown: list[tuple[int, float]], fpir: float
) -> float:
    best = 1.0
    for threshold in [-1.0, *(d for _, _, d in known), *(d for _, d in unknown)]:
        if threshold < NEVER and sum(d <= threshold for _, d in unknown) <= fpir * len(unknown):
            missed = sum(rank != 1 or d > threshold for _, rank, d in known)
            best = min(best, missed / len(known))
    return best


@pytest.mark.parametrize("seed", range(3))
def test_searches_agree_with_loops(seed: int) -> None:
    data = drawn(seed)
    rng = np.random.default_rng(seed)
    result = open_set(*data, 12, photos=2, draws=4, seed=seed)
    slow = [
        slow_search(data, draw(data[1], 12, 2, again))
        for again in [np.random.default_rng(seed)]
        for _ in range(4)
    ]
    assert result.unknown_probes == 28
    assert result.known_probes == round(np.mean([len(known) for known, _ in slow]))
    assert result.rank1 == result.cmc[0]
    for rank, share in enumerate(result.cmc, start=1):
        shares = [np.mean([r <= rank for _, r, _ in known]) for known, _ in slow]
        assert share == pytest.approx(np.mean(shares))
    assert len(result.cmc) == 12
    assert result.fnir_at_fpir == {
        "0.1": pytest.approx(np.mean([slow_fnir(*one, 0.1) for one in slow])),
        "0.01": None,
        "0.001": None,
    }
    assert result.dir[-1] == (1.0, result.rank1)
    for fpir, rate in result.dir[:-1:7]:
        assert rate == pytest.approx(1 - np.mean([slow_fnir(*one, fpir) for one in slow]))
    # people literally repeated, as the bootstrap weighs them
    times = rng.multinomial(40, np.full(40, 1 / 40))
    one = search(*data, draw(data[1], 12, 2, np.random.default_rng(seed)))
    known, unknown = ([probe for probe in side for _ in range(times[probe[0]])] for side in slow[0])
    for fpir in (0.1, 0.3):
        assert one.tally(times.astype(float)).fnmr_at_fmr(fpir) == pytest.approx(
            slow_fnir(known, unknown, fpir)
        )


def test_failures_are_misses_and_stay_in_the_denominators() -> None:
    embeddings = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1, 2, 2]]
    who = np.array([0, 0, 0, 1, 1, 2, 3])
    found = np.array([True, True, False, False, True, False, True])
    one = Draw(
        enrolled=np.array([1, 0]),
        rows=np.array([3, 0]),
        places=np.array([0, 1]),
        known=np.array([1, 2, 4]),
        unknown=np.array([5, 6]),
    )
    seen = search(embeddings * found[:, None], who, found, one)
    assert seen.rank.tolist() == [1, 3, 3]  # found; no face; enrolled without a face
    assert seen.distance[0] == pytest.approx(0, abs=1e-3)
    assert seen.nearest == pytest.approx([NEVER, np.sqrt(2)])
    assert seen.tally().fnmr_at_fmr(0.5) == pytest.approx(2 / 3)
    result = summary([seen], 2, 4)
    assert result.cmc == pytest.approx([1 / 3, 1 / 3])
    assert result.dir[-1][1] == pytest.approx(1 / 3)


def test_at_a_tie_strangers_and_others_win() -> None:
    seen = Searches(
        rank=np.array([1, 1, 2]),
        distance=np.array([0.5, 0.4, 0.1]),
        person=np.array([0, 1, 2]),
        nearest=np.array([0.5, 0.5, 0.9, 1.0]),
        stranger=np.array([3, 4, 5, 6]),
    )
    assert seen.tally().fnmr_at_fmr(0.25) == pytest.approx(2 / 3)  # 0.5 would let two in
    twins = np.eye(2, dtype=np.float32)[[0, 0, 0, 1]]
    who = np.array([0, 0, 1, 2])
    one = Draw(np.array([0, 1]), np.array([0, 2]), np.array([0, 1]), np.array([1]), np.array([3]))
    assert search(twins, who, np.ones(4, bool), one).rank.tolist() == [2]


def test_a_person_is_searched_for_by_all_their_other_photos() -> None:
    """And the gallery's size, the seed and more photos matter as they should."""
    data = drawn(3, people=120, missing=0)
    assert open_set(*data, 10) == open_set(*data, 10)
    assert open_set(*data, 10) != open_set(*data, 10, seed=1)
    small, large = (open_set(*data, size).fnir_at_fpir["0.1"] for size in (10, 70))
    assert small is not None
    assert large is not None
    assert small < large
    one, many = (open_set(*data, 40, photos=photos).rank1 for photos in (1, 5))
    assert one < many
    assert open_set(*data, 10).fnir_at_fpir["0.01"] is not None
    assert open_set(*data, 30).fnir_at_fpir["0.01"] is None  # 90 strangers


def test_intervals_hold_the_figure() -> None:
    result = open_set(*drawn(4, people=150), 50)
    within = result.intervals["fnir_at_fpir"]
    assert isinstance(within, dict)
    assert within["0.01"] is not None
    assert result.fnir_at_fpir["0.01"] is not None
    low, high = within["0.01"]
    assert low <= result.fnir_at_fpir["0.01"] <= high
    assert 0.01 < high - low < 0.5
    assert within["0.001"] is None


def test_too_few_people() -> None:
    embeddings, found = np.eye(4, dtype=np.float32), np.ones(4, bool)
    with pytest.raises(DataError, match="2 people are too few to enrol 2"):
        open_set(embeddings, np.array([0, 0, 1, 1]), found, 2)
    with pytest.raises(DataError, match="nobody has two photos"):
        open_set(embeddings, np.arange(4), found, 2)
    result = open_set(embeddings, np.array([0, 0, 0, 1]), found, 1, photos=50)
    assert (result.known_probes, result.unknown_probes) == (1, 1)
    assert result.dir == [(1.0, result.rank1)]
