"""Enrolling many photos in the background: progress, cancelling, a stop in the midst of it."""

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facesearch.core.errors import FacesearchError
from facesearch.gallery.gallery import Gallery
from facesearch.service import runner
from facesearch.service.limited_embedder import LimitedEmbedder
from facesearch.storage import job_spool
from facesearch.storage.job_spool import Job
from facesearch.vision.embedder import Embedder
from tests.support.postgres_server import Server
from tests.support.serving import Running, photos, running


def finished(service: Running, number: str) -> Any:
    while True:
        told = service.get(f"/v1/jobs/{number}")
        if told["state"] in job_spool.FINISHED:
            return told
        time.sleep(0.05)


def left(folder: Path, number: str) -> tuple[Job | None, int]:
    """A job after the service stopped, and how many photos are done."""
    with Gallery(folder) as gallery:
        return gallery.jobs.job(number), len(gallery.jobs.results(number))


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], threading.Event]:
    """After so many photos, reading waits until the event is set."""

    def hold(count: int) -> threading.Event:
        gate, read = threading.Event(), LimitedEmbedder.read
        seen: list[Path] = []

        def waiting(self: LimitedEmbedder, path: Path, *, keep: bool = False) -> Any:
            seen.append(path)
            if len(seen) > count:
                gate.wait(30)
            return read(self, path, keep=keep)

        monkeypatch.setattr(LimitedEmbedder, "read", waiting)
        return gate

    return hold


def test_a_job_with_events(people: Path, no_face: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    with running(folder) as service:
        sent = photos(people / "person-00" / "pose-0.jpg", people / "person-00" / "pose-1.jpg")
        fields = {"name": "Ada", "more": "true", "insist": "true"}
        job = service.post("/v1/jobs", 202, files=sent, data=fields)
        assert (job["state"], job["total"]) == ("open", 2)
        files = photos(people / "person-03" / "pose-0.jpg", no_face)
        place = f"/v1/jobs/{job['id']}/photos"
        job = service.post(place, 202, files=files, data={"name": "Bo"})
        assert job["total"] == 4
        problem = service.post(place, 409, files=files, data={"name": "Bo"})
        assert problem["detail"] == "this job waits for no more photos"
        with service.http.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            blocks = "".join(stream.iter_text()).strip().split("\n\n")
        events = []
        for block in blocks:
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            events.append((fields["event"], json.loads(fields["data"]), fields.get("id")))
        rows = [data for kind, data, _ in events if kind == "result"]
        assert [number for kind, _, number in events if kind == "result"] == ["1", "2", "3", "4"]
        assert events[-1][0] == "end"
        assert events[-1][1]["counts"] == {"enrolled": 3, "duplicate": 0, "skipped": 1, "held": 0}
        done = service.get(f"/v1/jobs/{job['id']}", params={"offset": 1, "limit": 2})
        assert done["results"] == rows[1:3]
        assert (done["state"], done["done"]) == ("done", 4)
        header = {"Last-Event-ID": "3"}
        with service.http.stream("GET", f"/v1/jobs/{job['id']}/events", headers=header) as stream:
            assert "".join(stream.iter_text()).count("event: result") == 1
        assert {each["name"]: each["faces"] for each in service.get("/v1/people")["people"]} == {
            "Ada": 2,
            "Bo": 1,
        }
        assert service.service.gallery.jobs.size() == 0, "the photos are gone"
        for path in folder.rglob("*"):
            assert path.stat().st_mode & 0o077 == 0
        assert [each["id"] for each in service.get("/v1/jobs")["jobs"]] == [job["id"]]
        service.ask("DELETE", f"/v1/jobs/{job['id']}")
        service.get(f"/v1/jobs/{job['id']}", 404)


def test_a_stop_in_the_midst_and_nothing_twice(
    people: Path, tmp_path: Path, held: Callable[[int], threading.Event]
) -> None:
    folder = tmp_path / "gallery"
    shots = [people / f"person-{who:02}" / f"pose-{pose}.jpg" for who in (0, 3) for pose in (0, 1)]
    gate = held(3)
    with running(folder) as service:
        fields = {"name": "Ada", "more": "true", "faces": "all"}
        job = service.post("/v1/jobs", 202, files=photos(*shots[:2]), data=fields)
        place = f"/v1/jobs/{job['id']}/photos"
        service.post(place, 202, files=photos(*shots[2:]), data={"name": "Bo"})
        while service.get(f"/v1/jobs/{job['id']}")["looked_at"] < 3:
            time.sleep(0.02)
        with service.http.stream("GET", f"/v1/jobs/{job['id']}/events"):
            threading.Timer(0.3, gate.set).start()
            service.service.stopping.set()
    kept, before = left(folder, job["id"])
    assert kept is not None
    assert kept.state == "waiting"
    assert before < 4
    with running(folder) as service:
        done = finished(service, job["id"])
        assert [row["status"] for row in done["results"]] == 4 * ["enrolled"]
        assert sorted(row["photo"] for row in done["results"]) == sorted(
            shot.name for shot in shots
        )
        assert service.get("/v1/gallery")["faces"] == 4
        again = service.post("/v1/jobs", 202, files=photos(*shots[:2]), data={"name": "Ada"})
        counts = finished(service, again["id"])["counts"]
        assert counts == {"enrolled": 0, "duplicate": 2, "skipped": 0, "held": 0}


def test_a_job_in_postgresql_survives_the_loss_of_the_cache_folder(
    people: Path,
    tmp_path: Path,
    postgres: Server,
    held: Callable[[int], threading.Event],
) -> None:
    """As with a container, whose cache is in memory."""
    url = postgres.database("gallery")
    shots = [people / f"person-{who:02}" / "pose-0.jpg" for who in (0, 3, 1)]
    gate = held(1)
    with running(url) as service:
        fields = {"name": "Ada", "faces": "all", "insist": "true"}
        job = service.post("/v1/jobs", 202, files=photos(*shots), data=fields)
        while service.get(f"/v1/jobs/{job['id']}")["looked_at"] < 1:
            time.sleep(0.02)
        threading.Timer(0.3, gate.set).start()
        service.service.stopping.set()
    shutil.rmtree(tmp_path / "cache")
    with running(url) as service:
        done = finished(service, job["id"])
        assert done["state"] == "done"
        assert sorted(row["photo"] for row in done["results"]) == sorted(
            shot.name for shot in shots
        )
        assert service.service.gallery.jobs.size() == 0


def test_a_cancelled_job_keeps_what_it_enrolled(
    people: Path, tmp_path: Path, held: Callable[[int], threading.Event]
) -> None:
    gate = held(1)
    with running(tmp_path / "gallery") as service:
        sent = photos(*(people / "person-00" / f"pose-{pose}.jpg" for pose in range(4)))
        job = service.post("/v1/jobs", 202, files=sent, data={"name": "Ada"})
        while service.get(f"/v1/jobs/{job['id']}")["state"] != "running":
            time.sleep(0.02)
        service.ask("DELETE", f"/v1/jobs/{job['id']}")
        gate.set()
        assert finished(service, job["id"])["state"] == "cancelled"
        waiting = service.post("/v1/jobs", 202, files=sent, data={"name": "Ada", "more": "true"})
        service.ask("DELETE", f"/v1/jobs/{waiting['id']}")
        assert finished(service, waiting["id"])["state"] == "cancelled"
        assert service.get("/v1/people")["total"] == 0


def test_a_folder_that_was_allowed(people: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for who in ("person-00", "person-03"):
        shutil.copytree(people / who, tree / who)
    (tree / "person-00" / "broken.jpg").write_bytes(b"no picture")
    with running(tmp_path / "gallery", imports={"family": tree}) as service:
        job = service.post("/v1/jobs", 202, data={"folder": "family", "insist": "true"})
        done = finished(service, job["id"])
        assert done["counts"] == {"enrolled": 10, "duplicate": 0, "skipped": 1, "held": 0}
        assert str(tmp_path) not in json.dumps(done)
        kept = service.service.gallery["person-00"].faces
        assert kept[0].photo.parent == tree / "person-00", "these are files, and can be found again"
        shutil.rmtree(tree)
        job = service.post("/v1/jobs", 202, data={"folder": "family"})
        done = finished(service, job["id"])
        assert (done["state"], done["reason"]) == ("failed", "family: no such folder")


def test_a_purge_takes_jobs_along(people: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    with running(folder) as service:
        sent = photos(people / "person-00" / "pose-0.jpg")
        job = service.post("/v1/jobs", 202, files=sent, data={"name": "Ada"})
        other = service.post(
            "/v1/jobs", 202, files=photos(people / "person-03" / "pose-0.jpg"), data={"name": "Bo"}
        )
        finished(service, job["id"])
        finished(service, other["id"])
    with Gallery(folder) as gallery:
        gallery.purge("Ada")
        assert [each.number for each in gallery.jobs.jobs()] == [other["id"]]


def test_jobs_are_forgotten_after_a_while(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "KEPT_SECONDS", -1)
    monkeypatch.setattr(runner, "LOOK_SECONDS", 0.05)
    with running(tmp_path / "gallery") as service:
        sent = photos(people / "person-00" / "pose-0.jpg")
        job = service.post("/v1/jobs", 202, files=sent, data={"name": "Ada"})
        while service.http.get(f"/v1/jobs/{job['id']}").status_code == 200:
            time.sleep(0.02)
        assert service.get("/v1/people")["total"] == 1


def test_an_import_that_is_not_allowed_any_more(tmp_path: Path, embedder: Embedder) -> None:
    with running(tmp_path / "gallery") as service:
        jobs = service.service.jobs
        gone = Job("0" * 16, "", "only", False, folder="family")
        with pytest.raises(FacesearchError, match="no folder of this name may be imported"):
            jobs._photos(gone)


def test_only_folders_that_were_allowed_are_imported(narrow: Running) -> None:
    for folder in ("/etc", "..", "nothing"):
        reason = narrow.post("/v1/jobs", 404, data={"folder": folder})["detail"]
        assert reason == f"{folder}: no folder of this name may be imported"
    narrow.post("/v1/jobs", 422)
    narrow.post("/v1/jobs", 422, data={"name": "x"})
