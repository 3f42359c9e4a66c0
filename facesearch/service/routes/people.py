"""Who is enrolled: list, show, enrol, correct, remove, undo."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, UploadFile
from fastapi.responses import Response

from facesearch import serialization
from facesearch.core.progress import Silent
from facesearch.core.uploads import Upload
from facesearch.gallery.legacy import clean_name
from facesearch.service import schemas
from facesearch.service.auth import Role, at_least
from facesearch.service.problems import Problem
from facesearch.service.redaction import name_of, redacted
from facesearch.service.routes.search import jpeg
from facesearch.service.state import Service, Shared
from facesearch.service.uploads import photos_of

router = APIRouter(prefix="/v1", tags=["people"])
SEARCH, ENROLL, ADMIN = ([at_least(role)] for role in Role)


@router.get("/people", response_model=schemas.People, dependencies=SEARCH)
async def people(
    service: Shared,
    search: Annotated[str, Query(max_length=255, description="Part of the name.")] = "",
    offset: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Everybody, by name, each with the number of a typical face."""
    return await service.work(lambda: _people(service.gallery, search, offset, limit))


def _people(gallery: Any, search: str, offset: int, limit: int) -> dict[str, Any]:
    wanted = search.casefold()
    found = [each for each in gallery.people() if wanted in each.name.casefold()]
    some = found[offset : offset + limit]
    typical = [asdict(each) | {"face": gallery.typical_face(each.name)} for each in some]
    return {"people": typical, "total": len(found)}


@router.get("/people/{name:path}", response_model=schemas.PersonShown, dependencies=SEARCH)
async def person(service: Shared, name: str) -> dict[str, Any]:
    """A person's faces, with their numbers and how typical they are."""

    def shown() -> dict[str, Any]:
        known = service.gallery.person(name)
        profile = service.gallery.profile(name)
        typical = service.gallery.typical_face(known.name)
        faces = [row | {"id": row["face"]} for row in serialization.faces(profile, name_of)]
        return asdict(known) | {"face": typical, "faces": faces, "count": known.faces}

    return await service.work(shown)


@router.post("/people/{name:path}/faces", response_model=schemas.Enrolled, dependencies=ENROLL)
async def enroll(
    service: Shared,
    name: str,
    photos: Annotated[list[UploadFile], File()],
    faces: Annotated[schemas.Which, Form()] = "only",
    insist: Annotated[bool, Form()] = False,
    dry_run: Annotated[bool, Form()] = False,
) -> dict[str, Any]:
    """Enrol a person from photos; they are looked at together, as a folder is.

    faces: of a photo with several. insist: enrol what would be held back, and near duplicates.
    """
    clean_name(name)
    sent = await photos_of(photos, service.settings.limits)
    return await service.work(lambda: _enrolled(service, name, sent, faces, insist, dry_run))


def _enrolled(
    service: Service,
    name: str,
    photos: list[Upload],
    which: schemas.Which,
    insist: bool,
    dry_run: bool,
) -> dict[str, Any]:
    found = service.gallery.enroll(
        [(name, photo) for photo in photos],
        service.embedder,
        Silent(),
        which,
        insist=insist,
        dry_run=dry_run,
        keep=True,
    )
    results = [serialization.enrolment(result, name_of) for result in found]
    for row in results:
        row["reason"] = redacted(row["reason"], service.gallery)
    return {"results": results}


@router.patch("/people/{name:path}", response_model=schemas.Person, dependencies=ADMIN)
async def change(service: Shared, name: str, asked: schemas.Change) -> dict[str, Any]:
    """Another name, until when they may be kept, and on what consent ("" removes it)."""

    def changed() -> dict[str, Any]:
        now = clean_name(name)
        if asked.expires is not None or asked.consent is not None:
            service.gallery.set_terms(now, expires=asked.expires, consent=asked.consent)
        if asked.name is not None and clean_name(asked.name) != now:
            service.gallery.rename(now, asked.name)
            now = clean_name(asked.name)
        face = service.gallery.typical_face(now)
        return asdict(service.gallery.person(now)) | {"face": face}

    if asked.name is None and asked.expires is None and asked.consent is None:
        raise Problem(422, "give name, expires or consent")
    return await service.work(changed)


@router.delete("/people/{name:path}", response_model=schemas.Removed, dependencies=ADMIN)
async def remove(service: Shared, name: str, purge: bool = False) -> dict[str, Any]:
    """Take a person out of every answer; undo brings them back, unless they are purged."""

    def removed() -> dict[str, Any]:
        faces = service.gallery.purge(name) if purge else service.gallery.remove(name)
        return {"action": "purge" if purge else "remove", "name": clean_name(name), "faces": faces}

    return await service.work(removed)


@router.post("/people/{name:path}/merge", response_model=schemas.Moved, dependencies=ADMIN)
async def merge(service: Shared, name: str, asked: schemas.Merge) -> dict[str, Any]:
    """Two names are one person: the faces of `other` become theirs."""

    def merged() -> dict[str, Any]:
        stays, other = clean_name(name), clean_name(asked.other)
        faces = service.gallery.merge(stays, other, force=asked.force)
        return {"action": "merge", "name": stays, "other": other, "faces": faces}

    return await service.work(merged)


@router.post("/people/{name:path}/split", response_model=schemas.Moved, dependencies=ADMIN)
async def split(service: Shared, name: str, asked: schemas.Split) -> dict[str, Any]:
    """Some faces of a person are another's."""

    def parted() -> dict[str, Any]:
        whose, into = clean_name(name), clean_name(asked.into)
        faces = service.gallery.split(whose, asked.faces, into, force=asked.force)
        return {"action": "split", "name": whose, "other": into, "faces": faces}

    return await service.work(parted)


@router.get(
    "/faces/{number}/chip",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "The face, aligned."}},
    dependencies=SEARCH,
)
async def chip(service: Shared, number: Annotated[int, schemas.Number]) -> Response:
    """The picture of an enrolled face: its kept chip, or cut out of its photo if that is there."""
    from facesearch.core.errors import PhotoError

    try:
        picture = await service.work(lambda: jpeg(service.gallery.picture(number)))
    except PhotoError as error:
        said = str(error)
        line = await service.work(lambda: redacted(said, service.gallery))
        raise Problem(404, line, type(error).__name__) from error
    return Response(picture, media_type="image/jpeg")
