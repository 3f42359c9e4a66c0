"""How near the people of a cohort come to a gallery, kept while the gallery grows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Distances, Embeddings
from facesearch.index.faiss_index import Numbers, PersonIndex, SearchIndex
from facesearch.matching.cohort import Cohort
from facesearch.matching.thresholds import ImpostorScores
from facesearch.metrics.pairs import pairwise_distances

QUERIES = 1024  # faces of the cohort that are searched at once
TEMPLATES = 4096  # that they are compared with at once


@dataclass(frozen=True, slots=True)
class Nearness:
    """The nearest person of a gallery to each face."""

    people: Numbers  # (R,)
    distances: Distances  # (R,)

    def updated(
        self, faces: Embeddings, index: SearchIndex, changed: Numbers, there: Numbers
    ) -> "Nearness":
        """After a change of the gallery.

        faces: the same as before, (R, D). changed: who changed. there: those of them who are in the
        index, as it is now.
        """
        people, distances = self.people.copy(), self.distances.copy()
        again = np.isin(people, changed)  # the nearest is gone, or elsewhere
        for at in range(0, len(there), TEMPLATES):
            some = there[at : at + TEMPLATES]
            apart = pairwise_distances(faces, index.of(some))
            best = apart.argmin(axis=1)
            least = apart[np.arange(len(faces)), best]
            nearer = least < distances
            people[nearer], distances[nearer] = some[best[nearer]], least[nearer]
        if again.any():
            found = nearest(faces[again], index)
            people[again], distances[again] = found.people, found.distances
        return Nearness(people, distances)


def nearest(faces: Embeddings, index: SearchIndex) -> Nearness:
    """Of every face, (R, D), the nearest person of an index in which somebody is."""
    people = np.empty(len(faces), np.int64)
    distances = np.empty(len(faces))
    for at in range(0, len(faces), QUERIES):
        block = faces[at : at + QUERIES]
        found = index.search(block, 1, exact=True)[0][:, 0]
        people[at : at + QUERIES] = found
        cosines = np.einsum("rd,rd->r", block, index.of(found), dtype=np.float64)
        distances[at : at + QUERIES] = np.sqrt(np.maximum(2 - 2 * cosines, 0))
    return Nearness(people, distances)


def impostor_scores_of(
    cohort: Cohort, enrolled: NDArray[np.float32], photos: NDArray[np.uint64]
) -> ImpostorScores:
    """The people of a cohort as strangers to a gallery.

    enrolled: templates, (P, D), at least one. photos: see `strange`.
    """
    near = nearest(
        cohort.embeddings[cohort.firsts], PersonIndex(np.arange(len(enrolled)), enrolled)
    )
    rows = strange(cohort, photos)
    return ImpostorScores(near.distances[rows], cohort.populations[cohort.firsts][rows])


def strange(cohort: Cohort, photos: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Who of a cohort is no photo's of a gallery, (R,).

    photos: `content_key` of the gallery's photos; whoever is on one of them is no stranger.
    """
    known = cohort.photo_people[np.isin(cohort.photos, photos)]
    return ~np.isin(cohort.people[cohort.firsts], known)
