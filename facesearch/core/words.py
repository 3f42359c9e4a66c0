"""Numbers in messages."""


def plural(count: int, noun: str, nouns: str = "") -> str:
    """A number with its noun: 1 face, 2 faces, 2 people. nouns: the plural if it takes no s."""
    return f"{count} {noun if count == 1 else nouns or f'{noun}s'}"
