"""A gallery of invented people, which most tests of its upkeep share."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from facesearch.gallery.gallery import Gallery
from facesearch.storage.store import Store
from tests.support.invented_photos import MODEL, photo


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    """The rows of `gallery`, to look at and to change as another program would."""
    with closing(Store(where, create=True)) as store:
        yield store


@pytest.fixture
def gallery(where: Path | str, store: Store) -> Iterator[Gallery]:
    """ann with faces 1 to 3, bob with faces 4 and 5; on either engine."""
    new = [photo("ann", n) for n in (1, 2, 3)] + [photo("bob", n) for n in (4, 5)]
    store.add(new, MODEL)
    with Gallery(where) as gallery:
        yield gallery
