"""Enrolling many photos: jobs with progress, that can be cancelled and survive a stop."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Header, Query, UploadFile
from fastapi.sse import EventSourceResponse, ServerSentEvent

from facesearch.core.uploads import Upload
from facesearch.gallery.legacy import clean_name
from facesearch.service import schemas
from facesearch.service.auth import Role, at_least
from facesearch.service.problems import Problem
from facesearch.service.runner import counts
from facesearch.service.settings import MIB
from facesearch.service.state import Service, Shared
from facesearch.service.uploads import photos_of
from facesearch.storage.job_spool import FINISHED, Job, Spool
from facesearch.storage.settings import now

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[at_least(Role.enroll)])
log = logging.getLogger("facesearch.service")

TELL_SECONDS = 0.3  # between two looks at how far a job is
SPOOL_BYTES, FREE_BYTES = 20_000 * MIB, 1_000 * MIB  # of all that waits; of disk, at least


Which = Annotated[schemas.Which, Form()]
Insist = Annotated[bool, Form()]
More = Annotated[bool, Form(description="Photos are to follow: the job waits for them.")]


@router.post("", response_model=schemas.Job, status_code=202)
async def add(
    service: Shared,
    name: Annotated[str | None, Form(description="Who is on the photos.")] = None,
    photos: Annotated[list[UploadFile] | None, File()] = None,
    folder: Annotated[
        str | None,
        Form(description="Instead of photos: a folder per person that the administrator allowed."),
    ] = None,
    faces: Which = "only",
    insist: Insist = False,
    more: More = False,
) -> dict[str, Any]:
    """Enrol many photos in the background; the answer comes before they are looked at."""
    if (folder is None) == (name is None or not photos):
        raise Problem(422, "give either name and photos, or folder")
    if folder is not None and folder not in service.settings.imports:
        raise Problem(404, f"{folder}: no folder of this name may be imported")
    if name is not None:
        clean_name(name)
    sent = await photos_of(photos or [], service.settings.limits)
    return await service.work(lambda: _add(service, name, sent, folder, faces, insist, more))


def _add(
    service: Service,
    name: str | None,
    sent: list[Upload],
    folder: str | None,
    which: schemas.Which,
    insist: bool,
    more: bool,
) -> dict[str, Any]:
    spool = Spool(service.gallery.folder)
    _check_room(spool)
    job = spool.add(Job("", now(), which, insist, folder=folder))
    return _with_photos(service, spool, job, name, sent, more)


def _with_photos(
    service: Service, spool: Spool, job: Job, name: str | None, sent: list[Upload], more: bool
) -> dict[str, Any]:
    if name is not None:
        contents = [(clean_name(name), photo.name, photo.held()) for photo in sent]
        job = spool.append(job, contents, service.gallery.vault)
    if not more:
        job = replace(job, state="waiting")
        spool.save(job)
        service.jobs.wake()
    return _told(spool, job, 0, 0)


def _check_room(spool: Spool) -> None:
    if spool.size() > SPOOL_BYTES or shutil.disk_usage(spool.folder.parent).free < FREE_BYTES:
        raise Problem(507, "there is no room for more photos until earlier jobs are done")


@router.post("/{number}/photos", response_model=schemas.Job, status_code=202)
async def add_photos(
    service: Shared,
    number: str,
    name: Annotated[str, Form(description="Who is on the photos.")],
    photos: Annotated[list[UploadFile], File()],
    more: More = False,
) -> dict[str, Any]:
    """More photos for a job that waits for them (`more`)."""
    clean_name(name)
    sent = await photos_of(photos, service.settings.limits)

    def added() -> dict[str, Any]:
        spool = Spool(service.gallery.folder)
        job = _job(spool, number)
        if job.state != "open" or spool.is_cancelled(number):
            raise Problem(409, "this job waits for no more photos")
        _check_room(spool)
        return _with_photos(service, spool, job, name, sent, more)

    return await service.work(added)


@router.get("", response_model=schemas.Jobs)
async def jobs(service: Shared) -> dict[str, Any]:
    """Those of the last hour, the oldest first, without their results."""

    def listed() -> dict[str, Any]:
        spool = Spool(service.gallery.folder)
        return {"jobs": [_told(spool, job, 0, 0) for job in spool.jobs()]}

    return await service.work(listed)


@router.get("/{number}", response_model=schemas.Job)
async def job(
    service: Shared,
    number: str,
    offset: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=0, le=10_000)] = 1000,
) -> dict[str, Any]:
    """How far a job is, and what became of the photos that are done."""

    def told() -> dict[str, Any]:
        spool = Spool(service.gallery.folder)
        return _told(spool, _job(spool, number), offset, limit)

    return await service.work(told)


@router.delete("/{number}", response_model=schemas.Job)
async def cancel(service: Shared, number: str) -> dict[str, Any]:
    """Cancel a job: what it has enrolled stays. One that is finished is forgotten."""

    def cancelled() -> dict[str, Any]:
        spool = Spool(service.gallery.folder)
        found = _job(spool, number)
        told = _told(spool, found, 0, 0)
        if found.state in FINISHED:
            spool.remove(number)
        else:
            spool.cancel(number)
            service.jobs.wake()
        return told

    return await service.work(cancelled)


def _watched(service: Shared, number: str) -> Job:
    """Raises Problem 404, before a stream begins."""
    return _job(Spool(service.gallery.folder), number)


@router.get("/{number}/events", response_class=EventSourceResponse)
async def events(
    service: Shared,
    watched: Annotated[Job, Depends(_watched)],
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `progress` (the job), `result` (one for each photo), at last `end`.

    `Last-Event-ID` goes on after a result whose number was received.
    """
    spool, number = Spool(service.gallery.folder), watched.number
    sent = int(last_event_id) if last_event_id and last_event_id.isdecimal() else 0
    last: dict[str, Any] = {}
    while not service.stopping.is_set():
        job = spool.job(number)
        if job is None:
            return
        for row in spool.results(number, sent):
            sent += 1
            yield ServerSentEvent(data=row, event="result", id=str(sent))
        state = _told(spool, job, 0, 0)
        if job.state in FINISHED:
            yield ServerSentEvent(data=state, event="end")
            return
        if state != last:
            last = state
            yield ServerSentEvent(data=state, event="progress")
        await asyncio.sleep(TELL_SECONDS)


def _job(spool: Spool, number: str) -> Job:
    """Raises Problem 404."""
    found = spool.job(number)
    if found is None:
        raise Problem(404, "there is no such job; finished ones are kept for an hour")
    return found


def _told(spool: Spool, job: Job, offset: int, limit: int) -> dict[str, Any]:
    results = spool.results(job.number)
    return {
        "id": job.number,
        "state": job.state,
        "created": job.created,
        "finished": job.finished,
        "looked_at": job.scan_photo,
        "total": job.total,
        "done": len(results),
        "counts": counts(results),
        "reason": job.reason,
        "results": results[offset : offset + limit],
    }
