"""The files of the web page: read once, so that no path from a request meets a file system."""

import gzip
import hashlib
import mimetypes
from pathlib import Path

from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from facesearch.service.problems import Problem

FOLDER = Path(__file__).parent / "static"
INDEX = "/index.html"


class _File:
    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.packed = gzip.compress(self.content, mtime=0)
        self.kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self.tag = f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'


class Page:
    """Serves what lies in a folder when the service starts."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            f"/{path.relative_to(folder).as_posix()}": _File(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        path = INDEX if scope["path"] == "/" else scope["path"]
        found = self._files.get(path)
        if found is None:
            return Problem(404, "there is nothing here").response()
        if scope["method"] not in ("GET", "HEAD"):
            return Problem(405, "only to be read", headers={"Allow": "GET, HEAD"}).response()
        headers = Headers(scope=scope)
        said = {"ETag": found.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if headers.get("if-none-match") == found.tag:
            return Response(status_code=304, headers=said)
        content = found.content
        if "gzip" in headers.get("accept-encoding", ""):
            content, said["Content-Encoding"] = found.packed, "gzip"
        if scope["method"] == "HEAD":
            said["Content-Length"], content = str(len(content)), b""
        return Response(content, media_type=found.kind, headers=said)
