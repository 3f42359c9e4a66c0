"""Photos that wait to be enrolled by a job, beside the gallery: written before the job is told of.

A job is a folder: what it is to do, the contents of its photos as they were sent (sealed where the
gallery is encrypted), and a line for every photo that is done. A killed service loses none of it.
"""

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from facesearch.core import secure_files
from facesearch.storage.vault import Vault

FOLDER = "spool"
JOB, RESULTS, CANCEL, LOCK = "job.json", "results.jsonl", "cancel", "lock"
PURPOSE = "spool"

State = Literal["open", "waiting", "running", "done", "cancelled", "failed"]
FINISHED = ("done", "cancelled", "failed")


@dataclass(frozen=True, slots=True)
class Sent:
    """A photo that was sent."""

    name: str  # of the person on it
    file: str  # its bare name
    content: str  # of the file in the job's folder


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be enrolled, and how far it is."""

    number: str
    created: str  # ISO 8601, UTC
    which: Literal["only", "largest", "all"]
    insist: bool
    state: State = "open"
    folder: str | None = None  # that was allowed by this name, instead of photos
    photos: tuple[Sent, ...] = ()
    scan_photo: int = 0
    total: int = 0
    reason: str = ""  # why it failed
    finished: str | None = None


class Spool:
    """The jobs of a gallery."""

    def __init__(self, gallery: Path) -> None:
        self.folder = gallery / FOLDER

    def jobs(self) -> list[Job]:
        """The oldest first."""
        found = [self.job(path.name) for path in self.folder.glob("*") if path.is_dir()]
        return sorted((job for job in found if job), key=lambda job: (job.created, job.number))

    def job(self, number: str) -> Job | None:
        """None if there is none of this number."""
        path = self.path(number)
        if path is None:
            return None
        try:
            fields: dict[str, Any] = json.loads((path / JOB).read_text("utf-8"))
            fields["photos"] = tuple(Sent(**sent) for sent in fields["photos"])
            return Job(**fields)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def path(self, number: str) -> Path | None:
        """The job's folder; None for what is no number of ours."""
        return self.folder / number if re.fullmatch("[0-9a-f]{16}", number) else None

    def add(self, job: Job) -> Job:
        """Keep a new job, under a number of its own."""
        job = replace(job, number=secrets.token_hex(8))
        self._at(job.number).mkdir(mode=secure_files.FOLDER, parents=True)
        self.folder.chmod(secure_files.FOLDER)
        self.save(job)
        return job

    def save(self, job: Job) -> None:
        """As it is now. Raises OSError."""
        path = self._at(job.number) / JOB
        partial = path.with_suffix(".new")
        with secure_files.opened(partial) as file:
            file.write(json.dumps(asdict(job)).encode())
        partial.replace(path)

    def append(self, job: Job, photos: list[tuple[str, str, bytes]], vault: Vault) -> Job:
        """More photos: each the person's name, the file's and the content. Raises OSError."""
        sent: list[Sent] = []
        for name, file, content in photos:
            place = f"{len(job.photos) + len(sent):06}"
            with secure_files.opened(self._at(job.number) / place) as out:
                out.write(vault.seal(content, PURPOSE))
            sent.append(Sent(name, file, place))
        job = replace(job, photos=job.photos + tuple(sent), total=job.total + len(sent))
        self.save(job)
        return job

    def content(self, job: Job, sent: Sent, vault: Vault) -> bytes:
        """Raises OSError, Tampered."""
        return vault.open((self._at(job.number) / sent.content).read_bytes(), PURPOSE)

    def tell(self, job: Job, key: str, row: dict[str, Any]) -> None:
        """A photo is done. key: which."""
        path = self._at(job.number) / RESULTS
        secure_files.make(path)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "row": row}) + "\n")

    def results(self, number: str, start: int = 0) -> list[dict[str, Any]]:
        """A row for each photo that is done, in that order, from the `start`th on."""
        return [line["row"] for line in list(self._lines(number))[start:]]

    def done(self, number: str) -> set[str]:
        """The keys of the photos that are done."""
        return {line["key"] for line in self._lines(number)}

    def _lines(self, number: str) -> Iterator[dict[str, Any]]:
        try:
            text = (self._at(number) / RESULTS).read_text("utf-8")
        except FileNotFoundError:
            return
        for line in text.splitlines():
            with suppress(ValueError):  # the last one may be cut off
                yield json.loads(line)

    def cancel(self, number: str) -> None:
        secure_files.make(self._at(number) / CANCEL)

    def is_cancelled(self, number: str) -> bool:
        return (self._at(number) / CANCEL).exists()

    def drop_contents(self, job: Job) -> None:
        """The photos are not needed any more."""
        for sent in job.photos:
            (self._at(job.number) / sent.content).unlink(missing_ok=True)

    def remove(self, number: str) -> None:
        shutil.rmtree(self._at(number), ignore_errors=True)

    def size(self) -> int:
        """Bytes of everything that waits."""
        return sum(path.stat().st_size for path in self.folder.glob("*/*"))

    def _at(self, number: str) -> Path:
        path = self.path(number)
        assert path is not None
        return path


def forget(gallery: Path, name: str) -> None:
    """Leave nothing of a person: jobs with photos or results of theirs go, whatever their state."""
    spool = Spool(gallery)
    for job in spool.jobs():
        named = any(sent.name == name for sent in job.photos)
        told = any(_tells_of(row, name) for row in spool.results(job.number))
        if named or told:
            spool.cancel(job.number)
            spool.remove(job.number)


def _tells_of(row: dict[str, Any], name: str) -> bool:
    other = row.get("other") or {}
    return name in (row.get("name"), other.get("name")) or name in row.get("reason", "")
