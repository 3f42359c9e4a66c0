"""What is wrong in the gallery and what was changed: review, reject, undo."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.datastructures import UploadFile

from facesearch import serialization
from facesearch.gallery.legacy import clean_name
from facesearch.service import schemas
from facesearch.service.auth import Role, at_least
from facesearch.service.problems import Problem
from facesearch.service.redaction import name_of
from facesearch.service.state import Shared
from facesearch.service.uploads import photo_of

router = APIRouter(prefix="/v1", tags=["curate"], dependencies=[at_least(Role.admin)])


@router.get("/review", response_model=schemas.Reviewed)
async def review(
    service: Shared, fpir: Annotated[float | None, Query(gt=0, lt=1)] = None
) -> dict[str, Any]:
    """What is probably wrong: mislabelled faces, people under two names, copies, look-alikes.

    `face` and `other_face` are the numbers of the faces, or of a typical one where a person as a
    whole is meant.
    """

    def reviewed() -> dict[str, Any]:
        gallery = service.gallery
        found = gallery.reviewed(service.model, fpir)
        for row in found:
            for prefix, who in (("", row["name"]), ("other_", row["other"])):
                if row[f"{prefix}photo"] is not None:
                    row[f"{prefix}photo"] = name_of(Path(row[f"{prefix}photo"]))
                if row[f"{prefix}face"] is None and who is not None:
                    row[f"{prefix}face"] = gallery.typical_face(who)
        return {"findings": found}

    return await service.work(reviewed)


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


@router.post("/people/{name:path}/reject", response_model=schemas.Rejected, openapi_extra=_REJECT)
async def reject(service: Shared, name: str, request: Request) -> dict[str, Any]:
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
        found = await service.work(
            lambda: service.gallery.reject_face(clean, asked.face, service.model)
        )
        return serialization.rejected(clean, Path(), found, name_of)
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
    found = await service.work(lambda: service.gallery.reject(clean, sent, service.embedder, face))
    return serialization.rejected(clean, sent, found, name_of)


@router.get("/rejections", response_model=schemas.Rejections)
async def rejections(service: Shared) -> dict[str, Any]:
    """Which faces are known not to be whose."""

    def listed() -> dict[str, Any]:
        photos = service.gallery.photos_of_rejections()
        return {
            "rejections": list(
                serialization.rejections(service.gallery.rejections(), photos, name_of)
            )
        }

    return await service.work(listed)


@router.delete("/rejections/{number}", response_model=schemas.Forgotten)
async def forget(service: Shared, number: Annotated[int, schemas.Number]) -> dict[str, Any]:
    """Take a rejection back."""
    await service.work(lambda: service.gallery.forget(number))
    return {"action": "forget", "rejection": number}


@router.get("/changes", response_model=schemas.Changes)
async def changes(service: Shared) -> dict[str, Any]:
    """What can be undone, the latest first."""
    found = await service.work(service.gallery.changes)
    return {
        "changes": [
            {"event": each.event, "at": each.at, "action": each.action, "what": each.line}
            for each in found
        ]
    }


@router.post("/undo", response_model=schemas.Undone)
async def undo(service: Shared, asked: schemas.Undo | None = None) -> dict[str, Any]:
    """Undo a change: the last one, or that of an event."""
    event = asked.event if asked else None
    done = await service.work(lambda: service.gallery.undo(event))
    return {"action": "undo", "event": done.event, "undone": done.action, "what": done.line}


@router.get("/audit", response_model=schemas.Audit)
async def audit(service: Shared, since: datetime | None = None) -> dict[str, Any]:
    """The searches, as far as they were recorded; since: UTC unless it says more."""
    found = await service.work(lambda: service.gallery.searches(since))
    return {"searches": [asdict(each) for each in found]}
