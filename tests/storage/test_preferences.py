"""Settings that an owner may choose: a default each, and no value but those that there are."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from facesearch.core.errors import GalleryError
from facesearch.storage import preferences
from facesearch.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "gallery", create=True)) as store:
        yield store


def test_the_first_value_is_the_default(store: Store) -> None:
    for key, values in preferences.PREFERENCES.items():
        assert preferences.preference(store.database, key) == values[0]


def test_a_choice_is_kept(store: Store, tmp_path: Path) -> None:
    preferences.prefer(store.database, "audit", "on")
    with closing(Store(tmp_path / "gallery", create=False)) as other:
        assert preferences.preference(other.database, "audit") == "on"
        assert preferences.preference(other.database, "keep-chips") == "off"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("audits", "on", "audits: no such setting; there are audit, keep-chips, search"),
        ("audit", "yes", "audit: 'yes' is not one of off, on"),
        ("search", "pgvector", "pgvector is only possible for a gallery in PostgreSQL"),
    ],
)
def test_what_cannot_be_chosen(store: Store, key: str, value: str, said: str) -> None:
    revision = store.revision()
    with pytest.raises(GalleryError, match=said):
        preferences.prefer(store.database, key, value)
    assert store.revision() == revision
    if key == "search":
        preferences.check(key, value, in_folder=False)
