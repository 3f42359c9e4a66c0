"""Bringing a gallery's tables to the newest version, in one transaction."""

import re
from pathlib import Path

import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.storage import row_checksums
from facesearch.storage.engine import NOT_A_GALLERY, Engine
from facesearch.storage.schema import SCHEMA


def upgrade(engine: Engine, seconds: float) -> None:
    """Create the tables of a new gallery, or run the migrations that an older one lacks.

    seconds: how long to wait for another program that writes. Raises GalleryError if the gallery is
    damaged, newer than this program, or old and not writable.
    """
    version = _version(engine)
    if version == SCHEMA:
        return
    if version > SCHEMA:
        raise GalleryError(f"{engine.name}: made by a newer facesearch; update this one")
    if not engine.writable:
        raise GalleryError(f"{engine.name}: needs an update, but cannot be written to")
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine.prepare(seconds)
    try:
        with engine.writing(seconds) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            engine.made(connection)
            row_checksums.fill_checksums(connection)
    except CommandError as error:  # no migration has this number
        raise GalleryError(f"{engine.name}: {NOT_A_GALLERY} ({error})") from error


def _version(engine: Engine) -> str:
    """The version of the tables, four digits; 0000 if there are none yet.

    Raises GalleryError if the database does not say.
    """
    with engine.reading() as connection:
        if sa.inspect(connection).has_table("alembic_version"):
            query = sa.text("SELECT version_num FROM alembic_version")
            version = connection.execute(query).scalar()
        else:
            version = "0000" if engine.is_new(connection) else None
    if re.fullmatch("[0-9]{4}", version or "") is None:
        raise GalleryError(
            f"{engine.name}: {NOT_A_GALLERY} (it does not say of which version it is)"
        )
    return str(version)
