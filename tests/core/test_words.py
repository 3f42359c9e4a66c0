"""Numbers in messages."""

import pytest

from facesearch.core.words import plural


@pytest.mark.parametrize(
    ("count", "nouns", "said"),
    [(1, ("face",), "1 face"), (0, ("face",), "0 faces"), (2, ("person", "people"), "2 people")],
)
def test_plural_forms_agree(count: int, nouns: tuple[str, ...], said: str) -> None:
    assert plural(count, *nouns) == said
