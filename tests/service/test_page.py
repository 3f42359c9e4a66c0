"""The files of the page: compressed, kept by browsers but asked about, and nothing beside them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.exceptions import HTTPException

from facesearch.service.page import FOLDER, page
from tests.support.serving import Running, running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("page") / "gallery") as found:
        yield found


@pytest.mark.parametrize("path", ["/", "/index.html", "/app.js", "/style.css"])
def test_a_file_is_sent_whole_and_compressed(service: Running, path: str) -> None:
    file = FOLDER / (path[1:] or "index.html")
    packed = service.http.get(path)
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert packed.content == file.read_bytes()
    plain = service.http.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == file.read_bytes()
    assert plain.headers["content-type"] == packed.headers["content-type"]


def test_a_browser_fetches_a_file_again_only_when_it_changed(service: Running) -> None:
    first = service.http.get("/app.js")
    assert first.headers["cache-control"] == "no-cache"
    again = service.http.get("/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    head = service.http.head("/app.js", headers={"Accept-Encoding": "identity"})
    assert int(head.headers["content-length"]) == len((FOLDER / "app.js").read_bytes())


def test_files_are_only_read(service: Running) -> None:
    service.ask("POST", "/index.html", 405)
    service.ask("GET", "/nothing.js", 404)


def test_a_link_out_of_the_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "index.html").write_text("page")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")

    async def asked(path: str) -> str:
        transport = httpx.ASGITransport(app=page(folder))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return (await http.get(path)).text

    assert asyncio.run(asked("/")) == "page"
    with pytest.raises(HTTPException) as error:
        asyncio.run(asked("/link.txt"))
    assert error.value.status_code == 404
