"""Settings that the owner of a gallery may choose, each from a few values."""

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
    """Raises GalleryError if a setting has no such value.

    in_folder: whether the gallery is a folder; a few values need PostgreSQL.
    """
    allowed = PREFERENCES.get(key)
    if allowed is None:
        raise GalleryError(f"{key}: no such setting; there are {', '.join(PREFERENCES)}")
    if value not in allowed:
        raise GalleryError(f"{key}: {value!r} is not one of {', '.join(allowed)}")
    if in_folder and value == "pgvector":
        raise GalleryError("search: pgvector is only possible for a gallery in PostgreSQL")


def prefer(database: Database, key: str, value: str) -> None:
    """Choose the value of a setting. Raises GalleryError as `check` does."""
    check(key, value, in_folder=isinstance(database.engine, Sqlite))
    with database.write("set", {key: value}) as connection:
        set_setting(connection, key, value)
