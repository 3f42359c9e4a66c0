"""The journal of an enrolment: what it found on photos that are not decided yet.

An enrolment that is interrupted takes up its entries again. The table exists only while one needs
it. Entries are face data, and sealed like the faces themselves.
"""

import zlib
from collections.abc import Collection, Mapping

import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.storage.database import Database
from facesearch.storage.schema import Checksum

_entries = sa.Table(
    "looked",
    sa.MetaData(),
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("how", sa.Text, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("checksum", Checksum, nullable=False),
)


def recall(database: Database, how: str, hashes: Collection[str]) -> dict[str, bytes]:
    """The entries of photos by their SHA-256; those that are damaged are left out.

    how: the way in which the photos were read, as it was given to `keep`.
    """
    found: dict[str, bytes] = {}
    with database.read() as connection:
        if not sa.inspect(connection).has_table(_entries.name):
            return found
        asked = _entries.c.how == how, _entries.c.sha256.in_(hashes)
        for row in connection.execute(sa.select(_entries).where(*asked)):
            if not isinstance(row.content, bytes) or row.checksum != zlib.crc32(row.content):
                continue
            try:
                found[row.sha256] = database.unsealed(row.content, "face")
            except GalleryError:
                continue
    return found


def keep(database: Database, how: str, entries: Mapping[str, bytes]) -> None:
    """Write entries by the SHA-256 of their photos, in place of earlier ones."""
    with database.append() as connection:
        _entries.create(connection, checkfirst=True)
        for sha256, entry in entries.items():
            content = database.sealed(entry, "face")
            row = {"sha256": sha256, "how": how, "content": content}
            same = _entries.c.sha256 == sha256, _entries.c.how == how
            connection.execute(_entries.delete().where(*same))
            connection.execute(_entries.insert().values(row | {"checksum": zlib.crc32(content)}))


def forget(database: Database, hashes: Collection[str]) -> None:
    """Delete the entries of photos, which are decided now."""
    with database.append() as connection:
        _entries.create(connection, checkfirst=True)
        connection.execute(_entries.delete().where(_entries.c.sha256.in_(hashes)))


def forget_all(connection: sa.Connection) -> None:
    """Drop the journal: an enrolment that was interrupted begins anew."""
    connection.execute(sa.text("DROP TABLE IF EXISTS looked"))
