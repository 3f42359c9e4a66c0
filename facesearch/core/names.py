"""What a person may be called, and what may be noted of them."""

import unicodedata

from facesearch.core.errors import BadName

LONGEST_NAME = 255
CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}


def clean_name(name: str) -> str:
    """A person's name as it is kept: composed Unicode, spaces trimmed.

    Raises BadName for an empty one, one with control characters, or one over LONGEST_NAME.
    """
    clean = unicodedata.normalize("NFC", name).strip()
    if not clean:
        raise BadName("a person's name must not be empty")
    if len(clean) > LONGEST_NAME:
        raise BadName(
            f"{clean[:20]}...: a name of {len(clean)} characters; {LONGEST_NAME} are the most"
        )
    if not is_clean(clean):
        raise BadName(f"{clean!r}: a name must not hold control or broken characters")
    return clean


def is_clean(text: str) -> bool:
    """Whether a text is without control and broken characters."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)


def visible(text: str) -> str:
    """With control characters, which a terminal would obey, written out: \\x1b."""
    return text.translate(CONTROLS)
