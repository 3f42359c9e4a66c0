"""What every index of a gallery can do, wherever it keeps the templates."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings

Numbers = NDArray[np.int64]  # the numbers of people, (P,)


class SearchIndex(Protocol):
    """The templates of people, to be searched. Every person has one template."""

    def __len__(self) -> int: ...

    @property
    def dimension(self) -> int:
        """D of the templates; 0 while the index is empty and takes any."""
        ...

    def search(
        self, query: Embeddings, count: int, *, exact: bool = False
    ) -> tuple[Numbers, Embeddings]:
        """The nearest people of each query, nearest first: numbers and distances, (Q, count).

        query: unit vectors, (Q, D). There are fewer columns if there are fewer people. exact: miss
        nobody, even if that takes longer.
        """
        ...

    def of(self, numbers: Numbers) -> Embeddings:
        """The templates of these people, (P, D). Raises KeyError if the index lacks one of them."""
        ...


class PeopleIndex(SearchIndex, Protocol):
    """An index that can be changed."""

    def put(self, numbers: Numbers, templates: Embeddings) -> None:
        """Add people, or replace their templates. numbers: (P,), each once."""
        ...

    def drop(self, numbers: Numbers) -> None:
        """Remove people; those that the index lacks are passed over."""
        ...
