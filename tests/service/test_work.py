"""Too many requests at once, and those that take too long."""

import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.support.serving import Running, running


@pytest.mark.slow
def test_too_many_at_once_and_too_long(
    narrow: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two are worked on, two wait, and one more is told so at once."""
    gate = threading.Event()
    monkeypatch.setattr(narrow.service.gallery, "people", lambda: gate.wait(20) and [])
    found: list[int] = []

    def ask() -> None:
        found.append(httpx.get(f"{narrow.url}/v1/people", timeout=30).status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while narrow.service.work.taken < 4:
        time.sleep(0.01)
    refused = narrow.http.get("/v1/people")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert narrow.get("/healthz") == {"status": "ok"}, "it needs no thread"
    gate.set()
    for thread in threads:
        thread.join()
    assert found == 4 * [200]


@pytest.mark.slow
def test_what_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    with running(tmp_path / "gallery", limits={"work_seconds": 0.3, "threads": 1}) as service:
        monkeypatch.setattr(service.service.gallery, "people", lambda: gate.wait(20) and [])
        problem = service.get("/v1/people", 503)
        assert problem["detail"] == "not answered within 0.3 seconds; try again later"
        assert service.service.work.taken == 1, "its thread is still counted"
        gate.set()
        while service.service.work.taken:
            time.sleep(0.01)
        monkeypatch.undo()
        assert service.get("/v1/people")["total"] == 0
