"""How near is a face to a person, and are scores worth normalising? FNIR at FPIR 0.01.

    python -m experiments.person_scores ../shared/data [--sface FILE.npy]

On the even half of the people of ../shared/data/train, with the embeddings of dlib's network
(teacher.npy) and, where given, of SFace (models.recipes.sface_embeddings),
which learnt from none of them.
Galleries of 100 and 1,000 people, or as many as there are; thresholds at exactly FPIR 0.01 of the
drawn strangers, so that only the scores differ. The cohort that normalises is the odd half: of both
populations, or without the gallery's own, as it is for a user whose photos are like no cohort's.
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.core.templates import templates
from models.recipes.train_chips import POPULATIONS

FPIR = 0.01
DRAWS = 5
NEAREST = 100  # of the cohort, in an adaptive normalisation

Scores = NDArray[np.float32]  # cosines, probes x people: higher is nearer
Score = Callable[[Embeddings, Embeddings, NDArray[np.int64]], Scores]


def by_person(
    cosines: Scores, owners: NDArray[np.int64], rule: Callable[[Scores], Scores]
) -> Scores:
    """`rule` takes the sorted cosines of a person's faces, (probes, faces), to one, (probes,)."""
    people = [np.sort(cosines[:, owners == person], axis=1) for person in np.unique(owners)]
    return np.stack([rule(one) for one in people], axis=1)


def nearest(probes: Embeddings, faces: Embeddings, owners: NDArray[np.int64]) -> Scores:
    return by_person(probes @ faces.T, owners, lambda one: one[:, -1])


def template(probes: Embeddings, faces: Embeddings, owners: NDArray[np.int64]) -> Scores:
    return probes @ templates(faces, owners).T


def mean(probes: Embeddings, faces: Embeddings, owners: NDArray[np.int64]) -> Scores:
    return by_person(probes @ faces.T, owners, lambda one: one.mean(axis=1))


def trimmed(probes: Embeddings, faces: Embeddings, owners: NDArray[np.int64]) -> Scores:
    """The mean without the farthest quarter."""
    return by_person(probes @ faces.T, owners, lambda one: one[:, one.shape[1] // 4 :].mean(axis=1))


def top_two(probes: Embeddings, faces: Embeddings, owners: NDArray[np.int64]) -> Scores:
    return by_person(probes @ faces.T, owners, lambda one: one[:, -2:].mean(axis=1))


def normalised(cohort: Embeddings, kind: str) -> Score:
    """Scores of templates less what the cohort's people get, in its deviations.

    z: of the person; t: of the probe; s: both; adaptive s: of the NEAREST of the cohort alone;
    adaptive mean: that without the deviations. Source: Matejka et al., Interspeech 2017.
    """

    def statistics(vectors: Embeddings, adaptive: bool) -> tuple[Scores, Scores]:
        cosines = vectors @ cohort.T
        if adaptive:
            cosines = np.partition(cosines, -NEAREST, axis=1)[:, -NEAREST:]
        return cosines.mean(axis=1), cosines.std(axis=1)

    def score(probes: Embeddings, faces: Embeddings, owners: NDArray[np.int64]) -> Scores:
        people = templates(faces, owners)
        cosines = probes @ people.T
        adaptive = kind.startswith("adaptive")
        (of_person, person_spread), (of_probe, probe_spread) = (
            statistics(vectors, adaptive) for vectors in (people, probes)
        )
        if kind == "adaptive mean":
            return 2 * cosines - of_person - of_probe[:, None]
        z = (cosines - of_person) / person_spread
        t = (cosines - of_probe[:, None]) / probe_spread[:, None]
        return z if kind == "z" else t if kind == "t" else z + t

    return score


def fnir(
    vectors: Embeddings,
    people: NDArray[np.int64],
    size: int,
    photos: int,
    scores: dict[str, Score],
) -> tuple[int, dict[str, float]]:
    """The size of the gallery, and the FNIR of each score at FPIR, the mean of DRAWS draws."""
    counts = np.bincount(people)
    found: dict[str, list[float]] = {name: [] for name in scores}
    size = min(size, int(np.sum(counts > photos)))
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        chosen = rng.permutation(np.flatnonzero(counts > photos))[:size]
        drawn = [rng.permutation(np.flatnonzero(people == person)) for person in chosen]
        faces = np.concatenate([rows[:photos] for rows in drawn])
        owners = np.repeat(np.arange(size), photos)
        probes = np.concatenate([rows[photos : photos + 5] for rows in drawn])
        mates = np.repeat(np.arange(size), [len(rows[photos : photos + 5]) for rows in drawn])
        shuffled = rng.permutation(np.flatnonzero(~np.isin(people, chosen)))
        strangers = shuffled[np.unique(people[shuffled], return_index=True)[1]]
        for name, score in scores.items():
            best = np.sort(score(vectors[strangers], vectors[faces], owners).max(axis=1))[::-1]
            known = score(vectors[probes], vectors[faces], owners)
            own = known[np.arange(len(mates)), mates]
            right = (known.argmax(axis=1) == mates) & (own > best[int(FPIR * len(best))])
            found[name].append(1 - float(right.mean()))
    return size, {name: float(np.mean(values)) for name, values in found.items()}


def table(title: str, rows: list[tuple[str, dict[str, float]]]) -> None:
    names = list(rows[0][1])
    print(f"\n| {title} | {' | '.join(names)} |\n{'|---' * (len(names) + 1)}|")
    for name, values in rows:
        print(f"| {name} | {' | '.join(f'{values[each]:.3f}' for each in names)} |")


def index(data: Path) -> list[dict[str, str]]:
    with (data / "train" / "index.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sface", type=Path)
    args = parser.parse_args()
    rows = index(args.data)
    networks = {
        "dlib": np.load(args.data / "train" / "teacher.npy").astype(np.float32),
    }
    if args.sface:
        networks["SFace"] = np.load(args.sface).astype(np.float32)
    names = [row["person"] for row in rows]
    number = np.array([int(name.strip("p")) for name in names])
    place = np.array([POPULATIONS.get(row["source"], "") for row in rows])
    kinds = {"nearest": nearest, "template": template, "mean": mean, "trimmed mean": trimmed}
    kinds["two nearest"] = top_two
    of_persons, of_norms = [], []
    for network, raw in networks.items():
        vectors = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        for population in ("celebrities", "families"):
            mine = (place == population) & (number % 2 == 0)
            _, people = np.unique(number[mine], return_inverse=True)
            for size, photos in ((100, 3), (1000, 3), (1000, 1)):
                found = fnir(vectors[mine], people, size, photos, kinds)
                if photos > 1:
                    title = f"{network}, {population}, {found[0]} people with {photos} photos"
                    of_persons.append((title, found[1]))
                norms: dict[str, Score] = {"none": template}
                for inside in (True, False):
                    odd = (number % 2 == 1) & (inside | (place != population)) & (place != "")
                    firsts = np.unique(np.where(odd, number, -1), return_index=True)[1][1:]
                    which = "" if inside else ", other people"
                    for kind in ("z", "t", "s", "adaptive s", "adaptive mean"):
                        norms[kind + which] = normalised(vectors[firsts], kind)
                found = fnir(vectors[mine], people, size, photos, norms)
                title = f"{network}, {population}, {found[0]} people with {photos} photos"
                of_norms.append((title, found[1]))
    table("FNIR at FPIR 0.01: a person's distance", of_persons)
    table("FNIR at FPIR 0.01: normalisation of templates", of_norms)


if __name__ == "__main__":
    main()
