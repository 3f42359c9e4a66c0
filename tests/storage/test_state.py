"""A state is written into stamps, and read from them."""

import pytest

from facesearch.storage.state import State


@pytest.mark.parametrize("stamp", ["aa 7", "aa 7 of a model", "aa 7 "])
def test_a_stamp_that_begins_with_a_state(stamp: str) -> None:
    assert State.of(stamp) == State("aa", 7)
    assert str(State("aa", 7)) == "aa 7"


@pytest.mark.parametrize("stamp", ["", "aa", "aa ", "aa x", "aa -1", "aa 7x"])
def test_a_stamp_of_nothing(stamp: str) -> None:
    assert State.of(stamp) is None
