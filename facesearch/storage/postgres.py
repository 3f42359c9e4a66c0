"""The engine of a gallery in PostgreSQL: one database, or one schema of it."""

import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from facesearch.core import secure_files
from facesearch.core.errors import GalleryError, MissingExtra
from facesearch.core.extras import install
from facesearch.storage import pgvector
from facesearch.storage.schema import people
from facesearch.storage.settings import CACHE_NAME, get_setting, set_setting

OLDEST = 14  # the oldest version of the server that works
CONNECT_SECONDS = 10
SHOWN = ("host", "port", "dbname")  # options of a URL that messages show; others may be secrets
EXAMPLE = "postgresql+psycopg://USER@HOST/DATABASE"
# tables that commands create beside those of the schema
OTHER_TABLES = ("reembedded", "looked", pgvector.TABLE)
WAITED = ("55P03",)  # lock_not_available
LOST = ("08", "57P")  # classes: the connection broke, the server stops
# a schema holds one gallery, and each gallery has its own lock
LOCK = "hashtextextended('facesearch ' || coalesce(current_schema(), ''), 0)"
CLAIM = "hashtextextended('facesearch ' || coalesce(current_schema(), '') || ' ' || :name, 0)"


class Postgres:
    """See `Engine`."""

    def __init__(self, url: str, *, create: bool) -> None:
        """Raises GalleryError as `Database` does, and MissingExtra without psycopg."""
        parsed = _parsed(url)
        self.name = _shown(parsed)
        hidden = (str(value) for key, value in parsed.query.items() if key not in SHOWN)
        self._secrets = [secret for secret in (parsed.password, *hidden) if secret]
        limits = {} if "connect_timeout" in parsed.query else {"connect_timeout": CONNECT_SECONDS}
        try:
            self._engine = sa.create_engine(
                parsed,
                hide_parameters=True,
                pool_pre_ping=True,  # the server may have been restarted
                connect_args=limits,
            )
        except ImportError as error:
            raise MissingExtra(
                f"{self.name}: a gallery in PostgreSQL needs psycopg: {install('postgres')}"
            ) from error
        self._reading = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._alone = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        try:
            with self.translate_errors(), self.reading() as connection:
                self._check_server(connection)
                if not create and self.is_new(connection):
                    raise GalleryError(f"{self.name}: no gallery here yet; enroll somebody first")
                self.writable = self._may_write(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _check_server(self, connection: sa.Connection) -> None:
        version = self._engine.dialect.server_version_info or (0,)
        if int(version[0]) < OLDEST:
            raise GalleryError(
                f"{self.name}: PostgreSQL {version[0]} is too old; {OLDEST} is the oldest that does"
            )
        encoding = connection.execute(sa.text("SHOW server_encoding")).scalar_one()
        if encoding != "UTF8":
            raise GalleryError(
                f"{self.name}: keeps texts as {encoding}, which does not hold every name; make a "
                "database with `createdb --encoding UTF8 --template template0`"
            )

    def _may_write(self, connection: sa.Connection) -> bool:
        """Whether the server is no standby, and the role may insert."""
        asked = "SELECT NOT pg_is_in_recovery() AND (to_regclass('faces') IS NULL"
        asked += " OR has_table_privilege(to_regclass('faces'), 'INSERT'))"
        return bool(connection.execute(sa.text(asked)).scalar_one())

    @cached_property
    def folder(self) -> Path:
        """The folder of this user's caches of this gallery, on this machine."""
        from platformdirs import user_cache_path

        with self.translate_errors(), self.reading() as connection:
            identity = get_setting(connection, CACHE_NAME) or ""
        if not re.fullmatch("[0-9a-f]{32}", identity):
            raise GalleryError(f"{self.name}: damaged: the setting {CACHE_NAME!r} is not ours")
        folder = user_cache_path("facesearch", appauthor=False) / identity
        with suppress(OSError):  # caches are dispensable
            folder.mkdir(mode=secure_files.FOLDER, parents=True, exist_ok=True)
        return folder

    # Transactions

    def busy(self) -> AbstractContextManager[None]:
        """See `Engine`; the pool keeps connections open in any case."""
        return nullcontext()

    def reading(self) -> sa.Connection:
        """See `Engine`."""
        return self._reading.connect()

    @contextmanager
    def writing(self, seconds: float) -> Iterator[sa.Connection]:
        """See `Engine`."""
        with self._engine.begin() as connection:  # READ COMMITTED
            self._wait(connection, "LOCAL", seconds, "pg_advisory_xact_lock")
            yield connection

    @contextmanager
    def alone(self, seconds: float) -> Iterator[sa.Connection]:
        """See `Engine`."""
        with self._alone.connect() as connection:
            connection.detach()  # the lock and the limit end with the connection
            self._wait(connection, "SESSION", seconds, "pg_advisory_lock")
            yield connection

    @contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """See `Engine`."""
        asked = f"SELECT pg_try_advisory_lock({CLAIM})"
        with self._alone.connect() as connection:
            connection.detach()  # the claim ends with the connection
            yield bool(connection.execute(sa.text(asked), {"name": name}).scalar_one())

    def drop_claim(self, name: str) -> None:
        """A claim leaves nothing in the server."""

    def _wait(self, connection: sa.Connection, scope: str, seconds: float, lock: str) -> None:
        milliseconds = max(1, int(1000 * seconds))  # 0 would be for ever
        connection.execute(sa.text(f"SET {scope} lock_timeout = {milliseconds}"))
        try:
            connection.execute(sa.text(f"SELECT {lock}({LOCK})"))
        except sa.exc.OperationalError as error:
            if _state(error) not in WAITED:
                raise
            raise GalleryError(
                f"{self.name}: another facesearch has been writing for {seconds} "
                "seconds; try again when it is done"
            ) from error

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """See `Engine`."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise GalleryError(f"{self.name}: {self._reason(error)}") from error
        except OSError as error:
            raise GalleryError(f"{self.name}: {error.strerror or error}") from error

    def _reason(self, error: sa.exc.DBAPIError) -> str:
        """One line for a message, without PostgreSQL's details: they may name a person."""
        state = _state(error)
        diagnosis = getattr(error.orig, "diag", None)
        said = getattr(diagnosis, "message_primary", None) or str(error.orig)
        for secret in self._secrets:
            said = said.replace(secret, "***")
        said = " ".join(said.split())
        if error.connection_invalidated or state.startswith(LOST):
            return f"the connection was lost, and what was not finished is undone ({said})"
        if error.statement is None and not state:
            return f"cannot be reached ({said})"
        return f"PostgreSQL refuses: {said}"

    # The life of a gallery

    def is_new(self, connection: sa.Connection) -> bool:
        """See `Engine`."""
        return not sa.inspect(connection).has_table("alembic_version")

    def prepare(self, seconds: float) -> None:
        """See `Engine`; nothing to do here."""

    def made(self, connection: sa.Connection) -> None:
        """Give a new gallery the name of its caches."""
        if get_setting(connection, CACHE_NAME) is None:
            set_setting(connection, CACHE_NAME, secrets.token_hex(16))

    def update_templates(self, connection: sa.Connection) -> None:
        """See `Engine`."""
        pgvector.update_templates(connection, self.name)

    def templates(self) -> pgvector.TemplateTable | None:
        """See `Engine`; they are there if the owner chose to search with pgvector."""
        with self.translate_errors(), self.reading() as connection:
            chosen = pgvector.is_chosen(connection)
        return pgvector.TemplateTable(self) if chosen else None

    def check_sound(self, connection: sa.Connection) -> None:
        """PostgreSQL checks its pages when it reads them."""

    def as_stored(self, connection: sa.Connection) -> None:
        """See `Engine`; PostgreSQL only stores valid texts."""

    def free_bytes(self) -> None:
        """The disk is the server's."""

    def unused_share(self, connection: sa.Connection) -> tuple[int, float]:
        """PostgreSQL uses freed space again by itself."""
        return 0, 0.0

    def overwrite(self, connection: sa.Connection, seconds: float) -> bool:
        """Rewrite the tables without what was deleted; PostgreSQL then deletes the former files.

        Its log, its backups and freed blocks of the disk are out of reach. Returns False if other
        programs are in the way. Raises GalleryError if the tables belong to another role.
        """
        query = sa.text(
            "SELECT relname, pg_has_role(relowner, 'USAGE') FROM pg_class WHERE relkind = 'r' "
            "AND relnamespace = to_regnamespace(quote_ident(current_schema()))"
            "AND relname = ANY(:names)"
        )
        names = [*people.metadata.tables, *OTHER_TABLES]
        for table, mine in connection.execute(query, {"names": names}).all():
            if not mine:
                raise GalleryError(
                    f"{self.name}: what was removed is not overwritten yet: the tables belong to "
                    "another role, which has to open the gallery for it"
                )
            try:
                connection.execute(sa.text(f"VACUUM FULL {table}"))
            except sa.exc.OperationalError as error:
                if _state(error) not in WAITED:
                    raise
                return False
        return True


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise GalleryError(f"--gallery: not a URL of a database; write {EXAMPLE}") from error
    if parsed.drivername not in ("postgresql", "postgresql+psycopg"):
        raise GalleryError(
            f"--gallery: {parsed.drivername}: no such kind of gallery; write {EXAMPLE}"
        )
    return parsed.set(drivername="postgresql+psycopg")


def _shown(url: sa.URL) -> str:
    """The URL as messages show it, without secrets."""
    query = {key: value for key, value in url.query.items() if key in SHOWN}
    place = (url.host, url.port, url.database)
    shown = sa.URL.create(url.drivername, url.username, None, *place, query)
    return shown.render_as_string(hide_password=False).replace("%2F", "/")


def _state(error: sa.exc.DBAPIError) -> str:
    """The SQLSTATE, five characters; empty if the server was not reached."""
    state: Any = getattr(error.orig, "sqlstate", None)
    return str(state or "")
