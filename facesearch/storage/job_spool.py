"""Jobs of the service and the photos that wait for them, in the gallery's own database.

A job is written before anybody is told of it, with its photos as they were sent (sealed where the
gallery is encrypted). A result is written for every photo that is done. So a job survives the end
of the service and the loss of every cache, and a purge reaches it.
"""

import json
import secrets
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Literal

import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.storage.database import Database
from facesearch.storage.row_checksums import JOB_PHOTOS, JOB_RESULTS, JOBS
from facesearch.storage.schema import job_photos, job_results, jobs
from facesearch.storage.vault import Vault

PURPOSE = "spool"  # of what is sealed
UNUSED_BYTES, UNUSED_SHARE = 64 << 20, 0.5  # of a database, from which on it is made smaller

State = Literal["open", "waiting", "running", "done", "cancelled", "failed"]
FINISHED = ("done", "cancelled", "failed")


class JobGone(GalleryError):
    """A job was removed, or finished, in the meantime."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be enrolled, and how far that is."""

    number: str  # 16 hexadecimal digits; empty before `JobSpool.add`
    created: str  # ISO 8601, UTC
    which: Literal["only", "largest", "all"]
    insist: bool
    state: State = "open"  # photos may still come; "waiting": for its turn
    folder: str | None = None  # the allowed folder of this name, instead of photos
    looked_at: int = 0  # photos
    total: int = 0  # photos
    reason: str = ""  # why it failed
    finished: str | None = None  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class NewJobPhoto:
    """A photo to be enrolled by a job."""

    name: str  # of the person
    file: str  # the bare file name
    content: bytes


@dataclass(frozen=True, slots=True)
class JobPhoto:
    """A photo that waits in the spool."""

    key: str  # its place among those of the job: 000000, 000001...
    name: str  # of the person
    file: str  # the bare file name


class JobSpool:
    """The jobs of a gallery. Every method raises GalleryError if the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Asking

    def jobs(self) -> list[Job]:
        """All jobs, the oldest first. A damaged row is left out; the doctor tells of it."""
        with self._database.read() as connection:
            rows = connection.execute(JOBS.select()).all()
        found = [_job(row) for row in rows if JOBS.is_sound(row)]
        return sorted(found, key=lambda job: (job.created, job.number))

    def job(self, number: str) -> Job | None:
        """The job of this number; None if there is none, or if its row is damaged."""
        with self._database.read() as connection:
            return _read(connection, number)

    def photos(self, number: str) -> list[JobPhoto]:
        """The photos that wait for a job, in the order in which they were sent."""
        query = sa.select(job_photos.c.id, job_photos.c.name, job_photos.c.file)
        query = query.where(job_photos.c.job == number).order_by(job_photos.c.id)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [JobPhoto(row.id.split("/")[-1], row.name, row.file) for row in rows]

    def content(self, number: str, key: str) -> bytes:
        """The content of a photo as it was sent.

        Raises JobGone if it is there no more, Tampered or Damaged if it is not what was written.
        """
        query = JOB_PHOTOS.select().where(job_photos.c.id == f"{number}/{key}")
        with self._database.read() as connection:
            row = connection.execute(query).first()
            if row is None:
                raise self._gone(number)
            JOB_PHOTOS.check(row)
        return self._database.unsealed(row.content, PURPOSE)

    def results(self, number: str, start: int = 0) -> list[dict[str, Any]]:
        """What became of each photo that is done, in that order, from the `start`th on."""
        query = JOB_RESULTS.select().where(job_results.c.job == number)
        query = query.order_by(job_results.c.id).offset(start)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [json.loads(row.result) for row in rows if JOB_RESULTS.is_sound(row)]

    def done(self, number: str) -> set[str]:
        """The keys of the photos that are done."""
        query = sa.select(job_results.c.key).where(job_results.c.job == number)
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def is_cancelled(self, number: str) -> bool:
        """Whether a job was cancelled, or removed."""
        query = sa.select(jobs.c.cancelled).where(jobs.c.number == number)
        with self._database.read() as connection:
            found = connection.execute(query).scalar()
        return found is None or bool(found)

    def size(self) -> int:
        """The bytes of all photos that wait."""
        query = sa.select(sa.func.coalesce(sa.func.sum(job_photos.c.size), 0))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def free_bytes(self) -> int | None:
        """The free space on the database's disk; None if it is on another machine."""
        with self._database.translate_errors():
            return self._database.engine.free_bytes()

    def is_older(self, job: Job, seconds: float) -> bool:
        """Whether a job was finished longer ago than this."""
        if job.finished is None:
            return False
        past = datetime.now(UTC) - datetime.fromisoformat(job.finished)
        return past > timedelta(seconds=seconds)

    # Writing

    def add(self, job: Job, photos: Iterable[NewJobPhoto] = ()) -> Job:
        """Write a new job with its photos; returns it with the number that it was given."""
        number = secrets.token_hex(8)
        with self._database.append() as connection:
            job = replace(job, number=number, total=0)
            connection.execute(jobs.insert().values(asdict(job) | {"cancelled": False}))
            return self._add_photos(connection, job, photos)

    def append(self, number: str, photos: Iterable[NewJobPhoto], state: State = "open") -> Job:
        """Write more photos for an open job, and its state from now on.

        Raises JobGone if the job is open no more.
        """
        with self._database.append() as connection:
            job = _read(connection, number)
            if job is None or job.state != "open":
                raise self._gone(number)
            return self._add_photos(connection, replace(job, state=state), photos)

    def save(self, job: Job) -> None:
        """Write how far a job is. Raises JobGone."""
        with self._database.append() as connection:
            self._update(connection, job)

    def finish(self, job: Job) -> None:
        """Write how a job ended, and delete its photos. Raises JobGone."""
        with self._database.append() as connection:
            self._update(connection, job)
            connection.execute(job_photos.delete().where(job_photos.c.job == job.number))
        self._shrink()

    def tell(self, number: str, key: str, result: dict[str, Any]) -> None:
        """Write what became of a photo. key: the photo's. Raises JobGone."""
        with self._database.append() as connection:
            if _read(connection, number) is None:
                raise self._gone(number)
            values = {"job": number, "key": key, "result": result}
            connection.execute(job_results.insert().values(values))

    def cancel(self, number: str) -> None:
        """Have a job end after the photo that is under way."""
        query = jobs.update().where(jobs.c.number == number).values(cancelled=True)
        with self._database.append() as connection:
            connection.execute(query)

    def remove(self, number: str) -> None:
        """Delete a job with its photos and results."""
        with self._database.append() as connection:
            connection.execute(jobs.delete().where(jobs.c.number == number))
        with self._database.translate_errors():
            self._database.engine.drop_claim(_claim(number))
        self._shrink()

    def claimed(self, number: str) -> AbstractContextManager[bool]:
        """Try to be the only one who does a job; gives whether this is so, for its duration."""
        return self._database.engine.claim(_claim(number))

    def _add_photos(
        self, connection: sa.Connection, job: Job, photos: Iterable[NewJobPhoto]
    ) -> Job:
        total = job.total
        for photo in photos:
            content = self._database.sealed(photo.content, PURPOSE)
            values = {
                "id": f"{job.number}/{total:06}",
                "job": job.number,
                "name": photo.name,
                "file": photo.file,
                "size": len(content),
                "content": content,
            }
            _insert_photo(connection, values)
            total += 1
        job = replace(job, total=total)
        self._update(connection, job)
        return job

    def _update(self, connection: sa.Connection, job: Job) -> None:
        query = jobs.update().where(jobs.c.number == job.number).values(asdict(job))
        if not connection.execute(query).rowcount:
            raise self._gone(job.number)

    def _gone(self, number: str) -> JobGone:
        return JobGone(f"{self._database.name}: the job {number} is there no more")

    def _shrink(self) -> None:
        """Give the disk back what deleted photos took, if that is most of the database."""
        database = self._database
        with database.read() as connection:
            unused, share = database.engine.unused_share(connection)
        if unused > UNUSED_BYTES and share > UNUSED_SHARE:
            database.compact()


# Within a transaction of the caller


def forget(connection: sa.Connection, names: Collection[str]) -> None:
    """Delete all jobs with a photo or a result of people of these names, whatever their state."""
    found = set()
    for photo in connection.execute(sa.select(job_photos.c.job, job_photos.c.name)):
        if photo.name in names:
            found.add(photo.job)
    for row in connection.execute(JOB_RESULTS.select()):
        # nobody knows of whom a damaged one told
        if not JOB_RESULTS.is_sound(row) or _tells_of(json.loads(row.result), names):
            found.add(row.job)
    for number in found:
        connection.execute(jobs.delete().where(jobs.c.number == number))


def reseal(database: Database, connection: sa.Connection, new: Vault) -> None:
    """Seal the photos of all jobs with another key.

    Raises GalleryError, and changes nothing, if one of them is not what was written.
    """
    for key in connection.execute(sa.select(job_photos.c.id)).scalars().all():
        row = connection.execute(JOB_PHOTOS.select().where(job_photos.c.id == key)).one()
        JOB_PHOTOS.check(row)
        content = new.seal(database.unsealed(row.content, PURPOSE), PURPOSE)
        values = row._asdict() | {"content": content, "size": len(content)}
        connection.execute(job_photos.delete().where(job_photos.c.id == key))
        _insert_photo(connection, values)


def _insert_photo(connection: sa.Connection, values: dict[str, Any]) -> None:
    """Insert a row of `job_photos` with its checksum, so that the content is not read again."""
    checksum = JOB_PHOTOS.sum(SimpleNamespace(**values))
    connection.execute(job_photos.insert().values(values | {"checksum": checksum}))


def _read(connection: sa.Connection, number: str) -> Job | None:
    row = connection.execute(JOBS.select().where(jobs.c.number == number)).first()
    return _job(row) if row is not None and JOBS.is_sound(row) else None


def _job(row: Any) -> Job:
    return Job(**{name: getattr(row, name) for name in Job.__dataclass_fields__})


def _claim(number: str) -> str:
    return f"job-{number}"


def _tells_of(result: dict[str, Any], names: Collection[str]) -> bool:
    other = result.get("other") or {}
    told = result.get("name"), other.get("name")
    return any(name in told or name in result.get("reason", "") for name in names)
