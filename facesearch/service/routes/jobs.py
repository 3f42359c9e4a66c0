"""Jobs: many photos enrolled in the background, with progress, until done or cancelled."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Header, Query, UploadFile
from fastapi.sse import EventSourceResponse, ServerSentEvent

from facesearch.core.names import clean_name
from facesearch.core.uploads import Upload
from facesearch.enrollment.results import WhichFaces
from facesearch.serialization.responses import Job as JobAnswer
from facesearch.serialization.responses import Jobs
from facesearch.service.auth import Role, at_least
from facesearch.service.problems import Problem
from facesearch.service.routes.people import Doubtful, Insist
from facesearch.service.runner import counts
from facesearch.service.settings import MIB
from facesearch.service.state import Service, Shared
from facesearch.service.uploads import photos_of
from facesearch.storage.job_spool import FINISHED, Job, JobGone, JobSpool, NewJobPhoto
from facesearch.storage.settings import now

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[at_least(Role.enroll)])
log = logging.getLogger("facesearch.service")

EVENT_SECONDS = 0.3  # between two looks at how far a job is
SPOOL_BYTES, FREE_BYTES = 20_000 * MIB, 1_000 * MIB  # of all that waits; of disk, at least
CLOSED = "this job waits for no more photos"


Which = Annotated[WhichFaces, Form(description="Of a photo with several.")]
More = Annotated[bool, Form(description="Photos are to follow: the job waits for them.")]


@router.post("", response_model=JobAnswer, status_code=202)
async def add(
    service: Shared,
    name: Annotated[str | None, Form(description="Who is on the photos.")] = None,
    photos: Annotated[list[UploadFile] | None, File()] = None,
    folder: Annotated[
        str | None,
        Form(description="Instead of photos: a folder per person that the administrator allowed."),
    ] = None,
    faces: Which = "only",
    include_doubtful: Doubtful = False,
    insist: Insist = False,
    more: More = False,
) -> dict[str, Any]:
    """Enroll many photos in the background; the answer comes before they are looked at."""
    if (folder is None) == (name is None or not photos):
        raise Problem(422, "give either name and photos, or folder")
    if folder is not None and folder not in service.settings.imports:
        raise Problem(404, f"{folder}: no folder of this name may be imported")
    if name is not None:
        clean_name(name)
    sent = await photos_of(photos or [], service.settings.limits)
    doubtful = include_doubtful or insist
    return await service.work(lambda: _add(service, name, sent, folder, faces, doubtful, more))


def _add(
    service: Service,
    name: str | None,
    sent: list[Upload],
    folder: str | None,
    which: WhichFaces,
    insist: bool,
    more: bool,
) -> dict[str, Any]:
    spool = service.gallery.jobs
    _check_room(spool)
    job = Job("", now(), which, insist, "open" if more else "waiting", folder)
    job = spool.add(job, _waiting(name, sent))
    service.jobs.wake()
    return _answer(spool, job, 0, 0)


def _waiting(name: str | None, sent: list[Upload]) -> list[NewJobPhoto]:
    """The photos of a request for the spool. Raises PersonError for what is no name."""
    if name is None:
        return []
    return [NewJobPhoto(clean_name(name), photo.name, photo.held()) for photo in sent]


def _check_room(spool: JobSpool) -> None:
    free = spool.free_bytes()
    if spool.size() > SPOOL_BYTES or (free is not None and free < FREE_BYTES):
        raise Problem(507, "there is no room for more photos until earlier jobs are done")


@router.post("/{number}/photos", response_model=JobAnswer, status_code=202)
async def add_photos(
    service: Shared,
    number: str,
    name: Annotated[str, Form(description="Who is on the photos.")],
    photos: Annotated[list[UploadFile], File()],
    more: More = False,
) -> dict[str, Any]:
    """Send more photos for a job that waits for them (`more`)."""
    clean_name(name)
    sent = await photos_of(photos, service.settings.limits)

    def added() -> dict[str, Any]:
        spool = service.gallery.jobs
        job = _job(spool, number)
        if job.state != "open" or spool.is_cancelled(number):
            raise Problem(409, CLOSED)
        _check_room(spool)
        try:
            job = spool.append(number, _waiting(name, sent), "open" if more else "waiting")
        except JobGone as error:  # another request was quicker
            raise Problem(409, CLOSED) from error
        service.jobs.wake()
        return _answer(spool, job, 0, 0)

    return await service.work(added)


@router.get("", response_model=Jobs)
async def jobs(service: Shared) -> dict[str, Any]:
    """The jobs of the last hour, the oldest first, without their results."""

    def listed() -> dict[str, Any]:
        spool = service.gallery.jobs
        return {"jobs": [_answer(spool, job, 0, 0) for job in spool.jobs()]}

    return await service.work(listed)


@router.get("/{number}", response_model=JobAnswer)
async def job(
    service: Shared,
    number: str,
    offset: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=0, le=10_000)] = 1000,
) -> dict[str, Any]:
    """How far a job is, and what became of the photos that are done."""

    def shown() -> dict[str, Any]:
        spool = service.gallery.jobs
        return _answer(spool, _job(spool, number), offset, limit)

    return await service.work(shown)


@router.delete("/{number}", response_model=JobAnswer)
async def cancel(service: Shared, number: str) -> dict[str, Any]:
    """Cancel a job: what it has enrolled stays. One that is finished is forgotten."""

    def cancelled() -> dict[str, Any]:
        spool = service.gallery.jobs
        found = _job(spool, number)
        answer = _answer(spool, found, 0, 0)
        if found.state in FINISHED:
            spool.remove(number)
        else:
            spool.cancel(number)
            service.jobs.wake()
        return answer

    return await service.work(cancelled)


def _watched(service: Shared, number: str) -> Job:
    """Raises Problem 404, before a stream begins."""
    return _job(service.gallery.jobs, number)


@router.get("/{number}/events", response_class=EventSourceResponse)
async def events(
    service: Shared,
    watched: Annotated[Job, Depends(_watched)],
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `progress` (the job), `result` (one for each photo), at last `end`.

    `Last-Event-ID` goes on after a result whose number was received.
    """
    spool, number = service.gallery.jobs, watched.number
    sent = int(last_event_id) if last_event_id and last_event_id.isdecimal() else 0
    last: dict[str, Any] = {}
    while not service.stopping.is_set():
        job = await asyncio.to_thread(spool.job, number)
        if job is None:
            return
        for row in await asyncio.to_thread(spool.results, number, sent):
            sent += 1
            yield ServerSentEvent(data=row, event="result", id=str(sent))
        state = await asyncio.to_thread(_answer, spool, job, 0, 0)
        if job.state in FINISHED:
            yield ServerSentEvent(data=state, event="end")
            return
        if state != last:
            last = state
            yield ServerSentEvent(data=state, event="progress")
        await asyncio.sleep(EVENT_SECONDS)


def _job(spool: JobSpool, number: str) -> Job:
    """Raises Problem 404."""
    found = spool.job(number)
    if found is None:
        raise Problem(404, "there is no such job; finished ones are kept for an hour")
    return found


def _answer(spool: JobSpool, job: Job, offset: int, limit: int) -> dict[str, Any]:
    results = spool.results(job.number)
    return {
        "id": job.number,
        "state": job.state,
        "created": job.created,
        "finished": job.finished,
        "looked_at": job.looked_at,
        "total": job.total,
        "done": len(results),
        "counts": counts(results),
        "reason": job.reason,
        "results": results[offset : offset + limit],
    }
