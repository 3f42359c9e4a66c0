"""What is wrong in the gallery, and what was changed: review, reject, undo, audit."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.datastructures import UploadFile

from facesearch.core.names import clean_name
from facesearch.gallery.change import Change
from facesearch.gallery.gallery import Gallery
from facesearch.serialization.people import REJECTED, REJECTION, UNDONE
from facesearch.serialization.record import name_of
from facesearch.serialization.responses import (
    Audit,
    Changes,
    Forgotten,
    RejectedPairs,
    Rejections,
    Reviewed,
)
from facesearch.service import schemas
from facesearch.service.auth import Role, at_least
from facesearch.service.problems import Problem
from facesearch.service.state import Shared
from facesearch.service.uploads import photo_of

router = APIRouter(prefix="/v1", tags=["curate"], dependencies=[at_least(Role.admin)])


@router.get("/review")
async def review(
    service: Shared, fpir: Annotated[float | None, Query(gt=0, lt=1)] = None, photos: bool = True
) -> Reviewed:
    """What is probably wrong: mislabelled faces, people under two names, copies, look-alikes.

    `face` and `other_face` are the numbers of the faces, or of a typical one where a person as a
    whole is meant. photos: open the photos of two faces that may be of one picture.
    """

    def reviewed() -> Reviewed:
        rows = service.gallery.review(fpir=fpir, photos=photos)
        return Reviewed(findings=[_finding(service.gallery, row) for row in rows])

    return await service.work(reviewed)


def _finding(gallery: Gallery, row: dict[str, Any]) -> Any:
    """A row of the review with bare names of photos, and with typical faces for people."""
    for prefix, who in (("", row["name"]), ("other_", row["other"])):
        if row[f"{prefix}photo"] is not None:
            row[f"{prefix}photo"] = name_of(row[f"{prefix}photo"])
        if row[f"{prefix}face"] is None and who is not None:
            row[f"{prefix}face"] = gallery.typical_face(who)
    return row


_REJECT = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["face"],
                    "properties": {"face": {"type": "integer", "minimum": 0}},
                    "example": {"face": 3},
                }
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["photo"],
                    "properties": {
                        "photo": {"type": "string", "format": "binary"},
                        "face": {"type": "integer", "minimum": 0},
                    },
                }
            },
        },
    }
}


@router.post("/people/{name:path}/reject", response_model=REJECTED.model, openapi_extra=_REJECT)
async def reject(service: Shared, name: str, request: Request) -> Any:
    """A face is not this person's: never again, and not enrolled as theirs any more.

    JSON {"face"}: an enrolled face. Multipart: a photo, and which of its faces as identify counts.
    """
    clean = clean_name(name)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            asked = schemas.Reject.model_validate_json(await request.body())
        except ValueError as error:
            raise Problem(422, 'body: give the number of a face, as in {"face": 3}') from error
        found = await service.work(lambda: service.gallery.reject_face(clean, asked.face))
        return REJECTED.written(found, name=clean, photo=Path())
    if kind != "multipart/form-data":
        raise Problem(415, "give JSON with the number of a face, or a photo as multipart/form-data")
    async with request.form() as form:
        photo, which = form.get("photo"), form.get("face")
        if not isinstance(photo, UploadFile):
            raise Problem(422, "body.photo: Field required")
        if which is not None and not (isinstance(which, str) and which.isdecimal()):
            raise Problem(422, "body.face: a number, counted from 0")
        sent = await photo_of(photo, service.settings.limits)
    face = None if which is None else int(which)
    found = await service.work(lambda: service.gallery.reject(clean, sent, face=face))
    return REJECTED.written(found, name=clean, photo=sent)


@router.get("/rejections")
async def rejections(service: Shared) -> Rejections:
    """Faces that are known not to be a person's."""

    def listed() -> Rejections:
        photos = service.gallery.photos_of_rejections()
        return Rejections(
            rejections=[
                REJECTION.written(each, photo=photos.get(each.sha256))
                for each in service.gallery.rejections()
            ]
        )

    return await service.work(listed)


@router.get("/rejections/pairs")
async def rejected_pairs(service: Shared) -> RejectedPairs:
    """Enrolled faces that were rejected as another person's."""
    return await service.work(lambda: RejectedPairs(pairs=service.gallery.rejected_pairs()))


@router.delete("/rejections/{number}")
async def forget(service: Shared, number: Annotated[int, schemas.Number]) -> Forgotten:
    """Take a rejection back."""
    await service.work(lambda: service.gallery.forget(number))
    return Forgotten(action="forget", rejection=number)


@router.get("/changes")
async def changes(service: Shared) -> Changes:
    """What can be undone, the latest first."""
    return await service.work(lambda: Changes(changes=service.gallery.changes()))


@router.post("/undo", response_model=UNDONE.model)
async def undo(service: Shared, asked: schemas.Undo | None = None) -> Any:
    """Undo a change: the last one, or that of an event."""
    event = asked.event if asked else None
    done: Change = await service.work(lambda: service.gallery.undo(event))
    return UNDONE.written(done, action="undo")


@router.get("/audit")
async def audit(service: Shared, since: datetime | None = None) -> Audit:
    """The searches, as far as they were recorded; since: in UTC unless it names a zone."""
    return await service.work(lambda: Audit(searches=service.gallery.searches(since)))
