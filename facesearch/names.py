"""What a person may be called."""

import unicodedata

from facesearch.errors import BadName

LONGEST_NAME = 255


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
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in clean):
        raise BadName(f"{clean!r}: a name must not hold control or broken characters")
    return clean
