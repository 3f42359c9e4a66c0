"""The web page: the files in `static`, compressed on the way."""

from pathlib import Path
from typing import Any

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from typing_extensions import override

FOLDER = Path(__file__).parent / "static"


def page(folder: Path = FOLDER) -> ASGIApp:
    """Serve the files of a folder, and its index.html as `/`; no path leads out of the folder."""
    return GZipMiddleware(_Files(directory=folder, html=True))


class _Files(StaticFiles):
    """Files that a browser keeps, but asks about each time whether they have changed."""

    @override
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response
