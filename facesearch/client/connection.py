"""Requests to a service: tokens, certificates, retries, errors, and events of jobs."""

import json
import os
import ssl
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import time
from typing import Any, TypeVar

import httpx
import httpx_sse
import stamina
from pydantic import BaseModel, ValidationError

from facesearch.core import errors
from facesearch.core.errors import FacesearchError, GalleryError

TOKEN, TOKEN_FILE = "FACESEARCH_TOKEN", "FACESEARCH_TOKEN_FILE"
SECONDS = 120  # until an answer is given up
ATTEMPTS, RETRY_SECONDS = 5, 60  # of a request that was refused for now, all together
WAIT_SECONDS = 0.2  # before the first retry, where the service does not say how long
REFUSED = "Overloaded"  # the error of a request that the service has not begun to work on

Answer = TypeVar("Answer", bound=BaseModel)


class Connection:
    """A service at an address. Several threads may use it at once."""

    def __init__(
        self, url: str, token: str | None = None, *, verify: bool | str | os.PathLike[str] = True
    ) -> None:
        """token, verify: see `Client`."""
        self.url = url.rstrip("/")
        token = token or _token()
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=SECONDS,
            verify=verify if isinstance(verify, bool) else _trust(Path(verify)),
        )

    def close(self) -> None:
        """Close the connections to the service."""
        self._http.close()

    def get(self, model: type[Answer], path: str, **asked: Any) -> Answer:
        """Ask for something. asked: parameters; those that are None are left out."""
        return self.ask(model, "GET", path, params=given(asked))

    def ask(
        self, model: type[Answer], method: str, path: str, *, again: bool = False, **how: Any
    ) -> Answer:
        """Send a request and read its answer.

        again: whether to repeat it is harmless, although the service may have begun with it. Raises
        the error that the gallery would raise, and GalleryError if the service cannot be reached.
        """
        answer = self.send(method, path, again=again, **how)
        try:
            return model.model_validate_json(answer.content)
        except ValidationError as error:
            raise GalleryError(f"{self.url}: no facesearch answers there") from error

    def send(self, method: str, path: str, *, again: bool = False, **how: Any) -> httpx.Response:
        """The same, and return the answer as it is."""
        again = again or method == "GET"
        retries = stamina.retry_context(
            on=lambda error: _pause(error, again),
            attempts=ATTEMPTS,
            timeout=RETRY_SECONDS,
            wait_initial=WAIT_SECONDS,
        )
        try:
            for attempt in retries:
                with attempt:
                    return self._http.request(method, path, **how).raise_for_status()
        except httpx.HTTPStatusError as error:
            raise self._error(error.response) from error
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        raise AssertionError("a retry ends with an answer or an error")

    def events(self, job: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """What a job tells until it ends: `progress`, `result` and `end`, each with its fields.

        A connection that breaks off is taken up again where it was. Raises as `ask` does.
        """
        last = "0"
        while True:
            headers = {"Last-Event-ID": last}
            place = f"/v1/jobs/{job}/events"
            try:
                with httpx_sse.connect_sse(self._http, "GET", place, headers=headers) as source:
                    if source.response.is_error:
                        source.response.read()
                        raise self._error(source.response)
                    for event in source.iter_sse():
                        last = event.id or last
                        if not event.data:  # a comment that keeps the connection alive
                            continue
                        yield event.event, json.loads(event.data)
                        if event.event == "end":
                            return
            except httpx.RemoteProtocolError:  # the service stopped: it may be back already
                continue
            except (httpx.HTTPError, httpx_sse.SSEError) as error:
                raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> GalleryError:
        reason = str(error) or type(error).__name__
        return GalleryError(f"{self.url}: cannot be reached ({reason})")

    def _error(self, answer: httpx.Response) -> FacesearchError:
        """The error of an answer, as the gallery would raise it."""
        try:
            problem = answer.json()
            detail, name = str(problem["detail"]), str(problem.get("error", ""))
        except (ValueError, KeyError, TypeError):
            return GalleryError(f"{self.url}: answers with {answer.status_code}")
        kind = getattr(errors, name, None) if name else None
        if isinstance(kind, type) and issubclass(kind, FacesearchError):
            return kind(detail)
        if answer.status_code == 401:
            detail += f"; set {TOKEN}, or {TOKEN_FILE} to a file with it"
        return FacesearchError(f"{self.url}: {detail}")


def given(asked: dict[str, Any]) -> dict[str, Any]:
    """The parameters that are not None."""
    return {key: value for key, value in asked.items() if value is not None}


def _pause(error: Exception, again: bool) -> bool | float:
    """Whether to repeat a request after an error; the seconds to wait if the service says so."""
    if not isinstance(error, httpx.HTTPStatusError):
        # a service that starts anew: the request may have reached it
        return again and isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
    answer = error.response
    refused = answer.status_code == 429 or _kind(answer) == REFUSED
    if not refused and not (again and answer.status_code == 503):
        return False
    return _retry_after(answer.headers.get("retry-after", ""))


def _kind(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("error", ""))
    except (ValueError, AttributeError):
        return ""


def _retry_after(header: str) -> bool | float:
    """The seconds of a Retry-After header; True where there is none."""
    if header.isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time())
    except (ValueError, TypeError):
        return True


def _token() -> str | None:
    """The token in the environment, or in the file that it names. Raises FacesearchError."""
    if found := os.environ.get(TOKEN):
        return found
    file = os.environ.get(TOKEN_FILE)
    if not file:
        return None
    try:
        return Path(file).read_text("utf-8").strip()
    except OSError as error:
        raise FacesearchError(f"{file}: cannot be read ({error.strerror})") from error


def _trust(authorities: Path) -> ssl.SSLContext:
    """Trust the certificates of a file. Raises FacesearchError if it holds none."""
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or str(error)
        raise FacesearchError(f"{authorities}: holds no certificates ({reason})") from error
