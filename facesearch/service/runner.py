"""The thread that works on the jobs: progress, cancelling, going on after a stop."""

import logging
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from facesearch.core.errors import FacesearchError, PhotoError
from facesearch.core.internal_errors import line_of
from facesearch.core.uploads import Upload, uploaded
from facesearch.gallery.gallery import Gallery
from facesearch.serialization.enrollment import ENROLLED_PHOTO
from facesearch.serialization.record import name_of
from facesearch.service.redaction import redacted, redacted_result
from facesearch.storage.job_spool import FINISHED, Job, JobGone, JobPhoto, JobSpool, State
from facesearch.storage.row_checksums import Damaged
from facesearch.storage.settings import now
from facesearch.storage.vault import Tampered
from facesearch.vision.photo_files import people_in

log = logging.getLogger("facesearch.service")

LOOK_SECONDS = 2  # between two looks for jobs that another process has left
KEPT_SECONDS = 3600  # for which a finished job is kept


class _Cancelled(Exception):
    pass


class _Stopped(Exception):
    pass


class Runner:
    """A thread that works on the jobs of a gallery, one after the other.

    Several processes share the jobs: the one that holds a job's lock works on it.
    """

    def __init__(
        self,
        gallery: Gallery,
        imports: dict[str, Path],
        stopping: threading.Event,
    ) -> None:
        self._gallery, self._imports = gallery, imports
        self._spool, self._stopping = gallery.jobs, stopping
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look for jobs now."""
        self._news.set()

    def close(self) -> None:
        """Leave the job that is being done where it is; the next start goes on with it."""
        if self._thread.is_alive():
            self.wake()
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for job in self._jobs():
                if self._stopping.is_set():
                    return
                try:
                    self._look_at(job)
                except JobGone:
                    log.info("a job was removed while it was done")
                except Exception as error:  # one job must not end all others
                    log.error(line_of(error))
            self._news.wait(LOOK_SECONDS)
            self._news.clear()

    def _jobs(self) -> list[Job]:
        """All jobs; none while the database cannot be used, which the next look may find better."""
        try:
            return self._spool.jobs()
        except FacesearchError as error:
            log.error(line_of(error))
            return []

    def _look_at(self, job: Job) -> None:
        if job.state in FINISHED:
            if self._spool.is_older(job, KEPT_SECONDS):
                self._spool.remove(job.number)
            return
        if job.state == "open" and not self._spool.is_cancelled(job.number):
            return
        with self._spool.claimed(job.number) as mine:
            current = self._spool.job(job.number)
            if mine and current is not None and current.state not in FINISHED:
                self._do(current)

    def _do(self, job: Job) -> None:
        progress = _JobProgress(self._spool, replace(job, state="running"), self._stopping)
        state: State = "done"
        reason = ""
        try:
            self._enroll(job, progress)
        except _Stopped:
            self._spool.save(replace(progress.job, state="waiting"))
            return
        except _Cancelled:
            state = "cancelled"
        except JobGone:
            raise
        except FacesearchError as error:
            reason = str(error)
            for name, folder in self._imports.items():
                reason = reason.replace(str(folder), name)
            state, reason = "failed", redacted(reason, self._gallery)
        done = replace(progress.job, state=state, reason=reason, finished=now())
        self._spool.finish(done)

    def _enroll(self, job: Job, progress: "_JobProgress") -> None:
        progress.check()
        done = self._spool.done(job.number)
        asked: list[tuple[str, Path]] = []
        keys: dict[int, str] = {}
        for key, name, path in self._photos(job):
            if key not in done:
                asked.append((name, path))
                keys[id(path)] = key
        progress.begin(len(done), len(asked))
        found = self._gallery.enroll_each(
            asked,
            faces=job.which,
            include_doubtful=job.insist,
            keep_chips=True,
            progress=progress,
        )
        for result in found:
            row = ENROLLED_PHOTO.row(redacted_result(result, self._gallery), name_of)
            self._spool.tell(job.number, keys[id(result.photo)], row)
            progress.check()

    def _photos(self, job: Job) -> Iterable[tuple[str, str, Path]]:
        """Key, name and photo of everything that the job is about."""
        if job.folder is None:
            sent = self._spool.photos(job.number)
            return [(photo.key, photo.name, self._sent(job, photo)) for photo in sent]
        folder = self._imports.get(job.folder)
        if folder is None:
            raise FacesearchError(f"{job.folder}: no folder of this name may be imported any more")
        return [
            (str(path.relative_to(folder)), name, path)
            for name, paths in people_in(folder).items()
            for path in paths
        ]

    def _sent(self, job: Job, photo: JobPhoto) -> Upload:
        def content() -> bytes:
            try:
                return self._spool.content(job.number, photo.key)
            except (Tampered, Damaged) as error:
                raise PhotoError(f"{photo.file}: not what was sent any more") from error

        return uploaded(photo.file, content)


class _JobProgress:
    """The progress of a job, kept so that every process can tell of it."""

    def __init__(self, spool: JobSpool, job: Job, stopping: threading.Event) -> None:
        self.job = job
        self._spool, self._stopping = spool, stopping

    def begin(self, done: int, left: int) -> None:
        self.job = replace(self.job, looked_at=done, total=done + left)
        self._spool.save(self.job)

    def start(self, stage: str, total: int) -> None:
        pass

    def advance(self, note: str = "") -> None:
        self.job = replace(self.job, looked_at=self.job.looked_at + 1)
        self._spool.save(self.job)
        self.check()

    def check(self) -> None:
        """Raises _Cancelled, _Stopped."""
        if self._spool.is_cancelled(self.job.number):
            raise _Cancelled
        if self._stopping.is_set():
            raise _Stopped


def counts(results: list[dict[str, Any]]) -> dict[str, int]:
    counts = Counter("held" if row["held"] else row["status"] for row in results)
    return {key: counts[key] for key in ("enrolled", "duplicate", "skipped", "held")}
