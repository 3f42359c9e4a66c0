"""What a gallery's owner may choose: settings with a few allowed values."""

from facesearch.core.errors import GalleryError
from facesearch.storage.database import Database
from facesearch.storage.settings import get_setting, set_setting
from facesearch.storage.sqlite import Sqlite

# the first is the default
PREFERENCES = {
    "audit": ("off", "on"),
    "keep-chips": ("off", "on"),
    "search": ("local", "pgvector"),
}


def preference(database: Database, key: str) -> str:
    """The value of one of PREFERENCES."""
    with database.read() as connection:
        return get_setting(connection, key) or PREFERENCES[key][0]


def check(key: str, value: str, *, in_folder: bool) -> None:
    """Raises GalleryError for another key or value. in_folder: is the gallery one?"""
    allowed = PREFERENCES.get(key)
    if allowed is None:
        raise GalleryError(f"{key}: no such setting; there are {', '.join(PREFERENCES)}")
    if value not in allowed:
        raise GalleryError(f"{key}: {value!r} is not one of {', '.join(allowed)}")
    if in_folder and value == "pgvector":
        raise GalleryError("search: pgvector searches galleries in PostgreSQL only")


def prefer(database: Database, key: str, value: str) -> None:
    """Raises GalleryError for another key or value."""
    check(key, value, in_folder=isinstance(database.engine, Sqlite))
    with database.write("set", {key: value}) as connection:
        set_setting(connection, key, value)
