"""The people of the gallery: list, show, enroll, correct, remove."""

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, UploadFile
from fastapi.responses import Response

from facesearch.core.errors import PhotoError
from facesearch.core.names import clean_name
from facesearch.core.uploads import Upload
from facesearch.enrollment.results import WhichFaces
from facesearch.gallery.gallery import Gallery
from facesearch.serialization.people import beside, changed
from facesearch.serialization.responses import (
    LISTED_PERSON,
    SHOWN_FACE,
    Corrected,
    Enrolled,
    Moved,
    People,
    PersonShown,
    PurgeTargets,
    Removed,
)
from facesearch.service import schemas
from facesearch.service.auth import Role, at_least
from facesearch.service.problems import Problem
from facesearch.service.redaction import redacted, redacted_result
from facesearch.service.routes.search import jpeg
from facesearch.service.state import Service, Shared
from facesearch.service.uploads import photos_of

router = APIRouter(prefix="/v1", tags=["people"])
SEARCH, ENROLL, ADMIN = ([at_least(role)] for role in Role)

Doubtful = Annotated[
    bool, Form(description="Enroll also what would be held back, and near copies.")
]
Insist = Annotated[bool, Form(deprecated=True, description="The former `include_doubtful`.")]


@router.get("/people", dependencies=SEARCH)
async def people(
    service: Shared,
    search: Annotated[str, Query(max_length=255, description="Part of the name.")] = "",
    offset: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> People:
    """Everybody, by name, each with the number of a typical face."""
    return await service.work(lambda: _people(service.gallery, search, offset, limit))


def _people(gallery: Gallery, search: str, offset: int, limit: int) -> People:
    wanted = search.casefold()
    found = [each for each in gallery.people() if wanted in each.name.casefold()]
    some = [
        LISTED_PERSON.written(each, face=gallery.typical_face(each.name))
        for each in found[offset : offset + limit]
    ]
    return People(people=some, total=len(found))


@router.get("/people/{name:path}", dependencies=SEARCH)
async def person(service: Shared, name: str) -> PersonShown:
    """A person's faces, with their numbers and how typical they are."""
    return await service.work(lambda: _shown(service.gallery, name))


def _shown(gallery: Gallery, name: str) -> PersonShown:
    profile = gallery[name]
    return PersonShown(
        name=profile.name,
        count=len(profile.faces),
        photos=profile.photos,
        created=profile.created,
        expires=profile.expires,
        consent=profile.consent,
        face=gallery.typical_face(profile.name),
        faces=[SHOWN_FACE.written(face, **beside(profile, face)) for face in profile.faces],
    )


@router.post("/people/{name:path}/faces", dependencies=ENROLL)
async def enroll(
    service: Shared,
    name: str,
    photos: Annotated[list[UploadFile], File()],
    faces: Annotated[WhichFaces, Form(description="Of a photo with several.")] = "only",
    include_doubtful: Doubtful = False,
    insist: Insist = False,
    dry_run: Annotated[bool, Form(description="Write nothing.")] = False,
) -> Enrolled:
    """Enroll a person from photos, which are looked at together, as a folder is."""
    clean_name(name)
    sent = await photos_of(photos, service.settings.limits)
    doubtful = include_doubtful or insist
    return await service.work(lambda: _enrolled(service, name, sent, faces, doubtful, dry_run))


def _enrolled(
    service: Service,
    name: str,
    photos: list[Upload],
    faces: WhichFaces,
    include_doubtful: bool,
    dry_run: bool,
) -> Enrolled:
    report = service.gallery.enroll(
        name,
        photos,
        faces=faces,
        include_doubtful=include_doubtful,
        dry_run=dry_run,
        keep_chips=True,
    )
    results = [redacted_result(each, service.gallery) for each in report.photos]
    return Enrolled(results=results, event=report.event)


@router.patch("/people/{name:path}", dependencies=ADMIN)
async def correct(service: Shared, name: str, asked: schemas.Correction) -> Corrected:
    """Give a person another name, or note until when they may be kept, and on what consent."""
    if asked.name is None and asked.expires is None and asked.consent is None:
        raise Problem(422, "give name, expires or consent")

    def corrected() -> Corrected:
        gallery, now, changes = service.gallery, clean_name(name), []
        if asked.expires is not None or asked.consent is not None:
            terms = gallery.set_terms(now, expires=asked.expires, consent=asked.consent)
            changes.append(terms)
        if asked.name is not None and (clean_name(asked.name) != now or not changes):
            changes.append(gallery.rename(now, asked.name))
            now = clean_name(asked.name)
        fields = asdict(gallery.person(now))
        return Corrected(**fields, face=gallery.typical_face(now), changes=changes)

    return await service.work(corrected)


@router.delete("/people/{name:path}", dependencies=ADMIN)
async def remove(service: Shared, name: str, purge: bool = False) -> Removed:
    """Take a person out of every answer; `undo` brings them back, unless they are purged."""

    def removed() -> Removed:
        whom = clean_name(name)
        if purge:
            faces = service.gallery.purge(whom)
            nothing: Any = {"event": None, "at": None, "what": None}
            return Removed(action="purge", name=whom, faces=faces, **nothing)
        return Removed(**changed(service.gallery.remove(whom), "remove", whom))

    return await service.work(removed)


@router.post("/people/{name:path}/merge", dependencies=ADMIN)
async def merge(service: Shared, name: str, asked: schemas.Merge) -> Moved:
    """Two names are one person: the faces of `other` become theirs."""

    def merged() -> Moved:
        stays, other = clean_name(name), clean_name(asked.other)
        change = service.gallery.merge(stays, other, force=asked.force)
        return Moved(**changed(change, "merge", stays, other=other))

    return await service.work(merged)


@router.post("/people/{name:path}/split", dependencies=ADMIN)
async def split(service: Shared, name: str, asked: schemas.Split) -> Moved:
    """Some faces of a person are another's."""

    def parted() -> Moved:
        whose, into = clean_name(name), clean_name(asked.into)
        change = service.gallery.split(whose, asked.faces, into, force=asked.force)
        return Moved(**changed(change, "split", whose, other=into))

    return await service.work(parted)


@router.get("/purge-targets", dependencies=ADMIN)
async def purge_targets(
    service: Shared, name: Annotated[str, Query(max_length=1000)]
) -> PurgeTargets:
    """Of whom a purge would leave nothing: who bears the name, and those removed who bore it."""
    return await service.work(lambda: PurgeTargets(people=service.gallery.kept_of(name)))


@router.get("/expired", dependencies=ADMIN)
async def expired(service: Shared, on: date) -> PurgeTargets:
    """Whose last day was before this one."""
    return await service.work(lambda: PurgeTargets(people=service.gallery.expired(on)))


@router.post("/purge-expired", dependencies=ADMIN)
async def purge_expired(service: Shared, asked: schemas.PurgeExpired) -> PurgeTargets:
    """Leave nothing of everybody whose last day was before this one; answers who they were."""
    return await service.work(lambda: PurgeTargets(people=service.gallery.purge_expired(asked.on)))


@router.get(
    "/faces/{number}/chip",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "The face, aligned."}},
    dependencies=SEARCH,
)
async def chip(service: Shared, number: Annotated[int, schemas.Number]) -> Response:
    """The picture of an enrolled face: its kept chip, or cut out of its photo if that is there."""
    try:
        picture = await service.work(lambda: jpeg(service.gallery.picture(number)))
    except PhotoError as error:
        message = str(error)
        line = await service.work(lambda: redacted(message, service.gallery))
        raise Problem(404, line, type(error).__name__) from error
    return Response(picture, media_type="image/jpeg")
