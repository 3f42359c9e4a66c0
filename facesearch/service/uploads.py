"""The photos in multipart requests."""

from collections.abc import Sequence

from starlette.datastructures import UploadFile

from facesearch.core.uploads import Upload, uploaded
from facesearch.service.problems import Problem
from facesearch.service.settings import MIB, Limits


async def photo_of(file: UploadFile, limits: Limits) -> Upload:
    """Return the photo in an uploaded file. Raises Problem 413 if it is too large."""
    content = await file.read()
    photo = uploaded(file.filename or "", lambda: content)
    if len(content) > limits.photo_bytes:
        raise Problem(413, f"{photo}: larger than {limits.photo_bytes // MIB} MiB")
    return photo


async def photos_of(files: Sequence[UploadFile], limits: Limits) -> list[Upload]:
    """Return the photos in uploaded files. Raises Problem 413 for too many or too large ones."""
    if len(files) > limits.photos:
        raise Problem(413, f"{len(files)} photos; {limits.photos} are the most in one request")
    return [await photo_of(file, limits) for file in files]
