"""Jobs keep what they were given: through stops and kills, encryption, damage, and lost caches."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.gallery import encryption, purge
from facesearch.gallery.doctor import examine
from facesearch.storage import job_spool
from facesearch.storage.job_spool import Job, JobGone, JobPhoto, JobSpool, NewJobPhoto
from facesearch.storage.schema import job_photos, job_results, jobs
from facesearch.storage.store import Store
from facesearch.storage.vault import Secret
from tests.support.new_photos import MODEL, photo

NEW = Job("", "2026-01-01T00:00:00+00:00", "only", False)
ADA, BO = NewJobPhoto("Ada", "a.jpg", b"a photo of Ada"), NewJobPhoto("Bo", "b.jpg", b"one of Bo")
SECRET = Secret("key file", b"k" * 32)


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    with closing(Store(where, create=True)) as store:
        yield store


@pytest.fixture
def spool(store: Store) -> JobSpool:
    return JobSpool(store.database)


def again(where: Path | str) -> Store:
    """The gallery as another program opens it."""
    return Store(where, create=False, keys=lambda kind: SECRET.content)


def test_a_spool_keeps_what_it_is_told(spool: JobSpool, where: Path | str) -> None:
    first = spool.add(NEW, [ADA])
    assert len(first.number) == 16
    assert first == replace(NEW, number=first.number, total=1)
    job = spool.append(first.number, [BO, BO], "waiting")
    assert job == replace(first, state="waiting", total=3)
    later = spool.add(replace(NEW, created="2026-01-02T00:00:00+00:00", folder="family"))
    job = replace(job, state="running", looked_at=1)
    spool.save(job)
    spool.tell(job.number, "000000", {"name": "Ada", "photo": "a.jpg"})
    spool.tell(job.number, "000001", {"name": "Bo", "photo": "b.jpg"})
    spool.cancel(later.number)
    with closing(again(where)) as other:
        kept = JobSpool(other.database)
        assert kept.jobs() == [job, later]
        assert kept.job(job.number) == job
        sent = [
            JobPhoto(f"00000{place}", each.name, each.file)
            for place, each in enumerate([ADA, BO, BO])
        ]
        assert kept.photos(job.number) == sent
        assert [kept.content(job.number, each.key) for each in sent] == [
            ADA.content,
            BO.content,
            BO.content,
        ]
        assert kept.size() == len(ADA.content) + 2 * len(BO.content)
        assert kept.done(job.number) == {"000000", "000001"}
        assert kept.results(job.number, 1) == [{"name": "Bo", "photo": "b.jpg"}]
        assert kept.is_cancelled(later.number)
        assert not kept.is_cancelled(job.number)


def test_the_end_of_a_job(spool: JobSpool) -> None:
    job = spool.add(NEW, [ADA])
    done = replace(job, state="done", finished="2026-01-01T00:00:09+00:00")
    spool.finish(done)
    assert spool.job(job.number) == done
    assert spool.photos(job.number) == []
    assert spool.size() == 0
    assert spool.is_older(done, 3600)
    assert not spool.is_older(job, -1), "it goes on"
    with pytest.raises(JobGone):
        spool.append(job.number, [BO])
    spool.remove(job.number)
    assert spool.job(job.number) is None
    assert spool.jobs() == []


def test_a_job_that_was_removed(spool: JobSpool) -> None:
    job = spool.add(NEW, [ADA])
    spool.remove(job.number)
    assert spool.is_cancelled(job.number), "so that whoever does it ends"
    for told in (
        lambda: spool.save(job),
        lambda: spool.finish(job),
        lambda: spool.tell(job.number, "000000", {}),
        lambda: spool.append(job.number, [BO]),
        lambda: spool.content(job.number, "000000"),
    ):
        with pytest.raises(JobGone, match=job.number):
            told()
    for number in ("..", "../x", "", "A" * 16, "0" * 17):
        assert spool.job(number) is None


CLAIM = """
import sys
from pathlib import Path
from facesearch.storage.job_spool import JobSpool
from facesearch.storage.store import Store
where = sys.argv[1]
spool = JobSpool(Store(where if "://" in where else Path(where), create=False).database)
with spool.claimed(sys.argv[2]) as mine:
    print(mine, flush=True)
    sys.stdin.readline()
"""


def test_one_program_does_a_job_until_it_is_killed(spool: JobSpool, where: Path | str) -> None:
    job, other = spool.add(NEW), spool.add(NEW)
    child = subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(where), job.number],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "True\n"
    with spool.claimed(job.number) as mine, spool.claimed(other.number) as another:
        assert (mine, another) == (False, True)
    child.kill()
    child.communicate()
    with spool.claimed(job.number) as mine:
        assert mine


def test_jobs_survive_a_lost_cache_folder(spool: JobSpool, store: Store, where: Path | str) -> None:
    """As with a container whose cache is in memory."""
    job = spool.add(NEW, [ADA])
    for path in store.database.folder.iterdir():
        if not path.name.startswith("gallery.db"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if isinstance(where, str):
        shutil.rmtree(store.database.folder)
    store.close()
    with closing(again(where)) as other:
        kept = JobSpool(other.database)
        assert kept.jobs() == [job]
        assert kept.content(job.number, "000000") == ADA.content
        with kept.claimed(job.number) as mine:
            assert mine
        kept.finish(job)


def test_photos_are_sealed_where_faces_are(
    spool: JobSpool, store: Store, where: Path | str
) -> None:
    def stored() -> bytes:
        with store.database.read() as connection:
            return bytes(connection.execute(sa.select(job_photos.c.content)).scalar_one())

    job = spool.add(NEW, [ADA])
    assert stored() == ADA.content
    encryption.encrypt(store.database, SECRET)
    assert ADA.content not in stored()
    with closing(again(where)) as other:
        assert JobSpool(other.database).content(job.number, "000000") == ADA.content
    spool.append(job.number, [BO])
    if isinstance(where, Path):
        files = [path for path in where.iterdir() if path.is_file()]
        assert all(each.content not in path.read_bytes() for path in files for each in (ADA, BO))
    encryption.decrypt(store.database)
    assert [spool.content(job.number, f"00000{place}") for place in (0, 1)] == [
        ADA.content,
        BO.content,
    ]
    assert examine(where) == []


def test_a_purge_takes_the_jobs_of_a_person(
    spool: JobSpool, store: Store, where: Path | str
) -> None:
    store.add([photo("Ada", 1)], MODEL)
    sent = spool.add(NEW, [BO, ADA])
    told = spool.add(NEW, [BO])
    spool.tell(told.number, "000000", {"name": "Bo", "reason": "enrolled as Ada already"})
    other = spool.add(NEW, [BO])
    spool.tell(other.number, "000000", {"name": "Bo", "other": None})
    purge.purge(store.database, "Ada")
    assert spool.jobs() == [other]
    assert spool.job(sent.number) is None
    assert store.database.clean()
    if isinstance(where, Path):
        store.close()
        assert ADA.content not in (where / "gallery.db").read_bytes()


def test_damage_is_noticed_and_repaired(spool: JobSpool, store: Store, where: Path | str) -> None:
    whole, broken = spool.add(NEW, [ADA, BO]), spool.add(NEW, [ADA])
    spool.tell(whole.number, "000000", {"name": "Ada"})
    spool.tell(whole.number, "000001", {"name": "Bo"})
    with store.database.append() as connection:
        # what a flipped bit does: the row changes, its checksum does not
        for table, change, row in (
            (jobs, {"reason": "damaged"}, jobs.c.number == broken.number),
            (job_photos, {"content": b"damaged"}, job_photos.c.id == f"{whole.number}/000001"),
            (job_results, {"key": "damaged"}, job_results.c.key == "000001"),
        ):
            former = connection.execute(sa.select(table.c.checksum).where(row)).scalar_one()
            connection.execute(table.update().where(row).values(change))
            now = job_results.c.key == "damaged" if table is job_results else row
            connection.execute(table.update().where(now).values(checksum=former))
    assert spool.jobs() == [whole], "the service goes on with the others"
    with pytest.raises(GalleryError, match=r"damaged: the photo of a job, .* is not what was"):
        spool.content(whole.number, "000001")
    assert spool.results(whole.number) == [{"name": "Ada"}]
    kinds = ["damaged job_photos", "damaged job_results", "damaged jobs"]
    assert sorted(finding.kind for finding in examine(where)) == kinds
    assert all(finding.repaired for finding in examine(where, repair=True))
    assert examine(where) == []
    assert spool.jobs() == [whole]
    assert [each.key for each in spool.photos(whole.number)] == ["000000"]


def test_a_database_gives_the_disk_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_spool, "UNUSED_BYTES", 1 << 20)
    with closing(Store(tmp_path, create=True)) as store:
        spool = JobSpool(store.database)
        job = spool.add(NEW, [replace(ADA, content=bytes(4 << 20))])
        assert (tmp_path / "gallery.db").stat().st_size > 4 << 20
        spool.finish(job)
        assert (tmp_path / "gallery.db").stat().st_size < 1 << 20
        assert spool.job(job.number) == job


KILLED = """
import sys
from pathlib import Path
from facesearch.storage.job_spool import Job, JobSpool, NewJobPhoto
from facesearch.storage.store import Store
where = sys.argv[1]
store = Store(where if "://" in where else Path(where), create=False)
spool = JobSpool(store.database)
sealed, count = store.database.sealed, 0
def slow(content, purpose):
    global count
    count += 1
    if count == 3:
        print("half", flush=True)
        sys.stdin.readline()
    return sealed(content, purpose)
store.database.sealed = slow
spool.add(Job("", "2026-01-01T00:00:00+00:00", "only", False), [NewJobPhoto("A", "a", b"a")] * 9)
"""


def test_a_kill_while_photos_come_leaves_no_half_job(spool: JobSpool, where: Path | str) -> None:
    before = spool.add(NEW, [ADA])
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(where)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "half\n"
    child.kill()
    child.communicate()
    assert spool.jobs() == [before]
    assert spool.size() == len(ADA.content)
    assert spool.add(NEW, [BO]).total == 1
