"""Names are stored in one form, and what is no name is refused."""

import unicodedata

import pytest

from facesearch.core.errors import BadName, PersonError
from facesearch.core.names import LONGEST_NAME, clean_name, is_clean, visible


def test_one_form_of_a_name() -> None:
    assert clean_name("  Ada Lovelace\t") == "Ada Lovelace"
    apart = unicodedata.normalize("NFD", "Zoë")
    assert apart != "Zoë"
    assert clean_name(apart) == "Zoë"
    assert clean_name("x" * LONGEST_NAME) == "x" * LONGEST_NAME


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (" \n ", "must not be empty"),
        ("x" * (LONGEST_NAME + 1), "a name of 256 characters"),
        ("Ada\x1b[31m", "control or broken characters"),
        ("Ada\ud800", "control or broken characters"),
    ],
)
def test_what_is_no_name(name: str, reason: str) -> None:
    with pytest.raises(BadName, match=reason) as error:
        clean_name(name)
    assert isinstance(error.value, PersonError)
    assert is_clean(str(error.value)), "the message is fit for a terminal"


def test_control_characters_are_written_out() -> None:
    assert visible("a\x1b[31mb\x9bc") == r"a\x1b[31mb\x9bc"
    assert visible("Zoë\u2028") == "Zoë\u2028"
