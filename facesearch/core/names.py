"""Which texts are allowed as a person's name or in a note."""

import unicodedata

from facesearch.core.errors import BadName

LONGEST_NAME = 255
CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}


def clean_name(name: str) -> str:
    """The form in which a person's name is stored: composed Unicode, spaces trimmed.

    Raises BadName for a name that is empty, has control characters or is longer than LONGEST_NAME.
    """
    clean = unicodedata.normalize("NFC", name).strip()
    if not clean:
        raise BadName("a person's name must not be empty")
    if len(clean) > LONGEST_NAME:
        raise BadName(
            f"{clean[:20]}...: a name of {len(clean)} characters; the most are {LONGEST_NAME}"
        )
    if not is_clean(clean):
        raise BadName(f"{clean!r}: a name must not hold control or broken characters")
    return clean


def is_clean(text: str) -> bool:
    """Whether a text has no control characters and no broken ones."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)


def visible(text: str) -> str:
    """The text with its control characters written out (\\x1b), so that no terminal obeys them."""
    return text.translate(CONTROLS)
