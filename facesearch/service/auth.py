"""Who may do what: tokens, roles and sessions, and the checks against other sites' pages."""

import hashlib
import hmac
import ipaddress
import logging
import os
import socket
import time
from collections.abc import Iterable
from enum import IntEnum
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Receive, Scope, Send

from facesearch.core.errors import FacesearchError
from facesearch.service.body_limits import refuse
from facesearch.service.problems import Problem
from facesearch.service.settings import Settings, Token

log = logging.getLogger("facesearch.service")

COOKIE, COOKIE_SECONDS = "facesearch", 12 * 3600
SHORTEST = 16  # characters of a token
OLD_ENROLL = "enrol"  # as token files before version 0.2 spell the role
OPEN = ("/healthz", "/readyz", "/v1/session", "/v1/openapi.json")  # for everybody who may connect
SAFE = ("GET", "HEAD", "OPTIONS")


class Role(IntEnum):
    """What a client may do; each role may do what the ones before it may."""

    search = 1  # identify, compare, search; see who is enrolled
    enroll = 2  # add people and faces
    admin = 3  # correct and remove people, see the review and what was changed


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Read a file with lines "role token".

    Raises FacesearchError if others may read the file, or if a line of it is wrong.
    """
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise FacesearchError(f"{path}: others may read it; chmod 600 makes it yours alone")
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise FacesearchError(f"{path}: cannot be read ({error.strerror})") from error
    found = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == OLD_ENROLL:
            words[0] = Role.enroll.name
            log.warning(
                f"{path}: line {number}: the role enrol is called enroll now; please change it"
            )
        if len(words) != 2 or words[0] not in Role.__members__:
            raise FacesearchError(
                f"{path}: line {number} is not a role ({', '.join(Role.__members__)}) and a token"
            )
        found.append(checked(Token(*words), f"{path}: line {number}"))
    if not found:
        raise FacesearchError(f"{path}: holds no token; write lines like: search SECRET")
    return tuple(found)


def checked(token: Token, place: str) -> Token:
    """Return the token. Raises FacesearchError if it is short enough to be guessed."""
    if len(token.secret) < SHORTEST or not token.secret.isascii():
        raise FacesearchError(f"{place}: a token has {SHORTEST} ASCII characters or more")
    return token


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """Refuses requests that are not allowed, before their bodies are read; notes others' roles."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self._tokens, self._limits = app, settings.tokens, settings.limits
        self._names = {"localhost", *(name.lower() for name in settings.host_names)}
        if not is_loopback(settings.host):
            self._names |= {settings.host.lower(), socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check_host(headers.get(b"host", ""))
            _check_origin(scope, headers)
            role = self._role(scope, headers)
        except Problem as problem:
            await refuse(problem, scope, receive, send, self._limits)
            return
        scope.setdefault("state", {})["role"] = role
        await self.app(scope, receive, send)

    def _check_host(self, host: str) -> None:
        """Raise Problem unless the host is an address or a name of this service.

        DNS rebinding makes the name of another site lead here.
        """
        name = _host_name(host)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            if name not in self._names:
                raise Problem(
                    421, "not a host name of this service; `--host-name` adds one"
                ) from None

    def _role(self, scope: Scope, headers: dict[bytes, str]) -> Role | None:
        """Return the role of the request, None without a token. Raises Problem if one is needed."""
        if not self._tokens:
            return Role.admin
        found = role_of(self._tokens, headers)
        if found is None and needs_role(scope["path"]):
            raise unauthorised()
        return found


def unauthorised() -> Problem:
    detail = "a token is needed: send it as `Authorization: Bearer TOKEN`"
    return Problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="facesearch"'})


def needs_role(path: str) -> bool:
    return path not in OPEN and (path.startswith("/v1/") or path == "/metrics")


def role_of(tokens: Iterable[Token], headers: dict[bytes, str]) -> Role | None:
    """Return the role that a bearer token, or else a session cookie, stands for.

    Every token is compared, so that the time says nothing about them.
    """
    scheme, _, secret = headers.get(b"authorization", "").partition(" ")
    cookie = _cookie(headers.get(b"cookie", ""))
    role = None
    for token in tokens:
        given = scheme.lower() == "bearer" and _same(secret.strip(), token.secret)
        if given or (not scheme and _is_session(cookie, token)):
            role = max(role or Role.search, Role[token.role])
    return role


def session(token: Token) -> str:
    """Return the value of a cookie that stands for a token for some hours without revealing it."""
    expires = str(int(time.time()) + COOKIE_SECONDS)
    return f"{expires}.{_signature(token, expires)}"


def token_of(tokens: Iterable[Token], authorization: str) -> Token | None:
    """Return the token in an Authorization header, None if it is none of ours."""
    scheme, _, secret = authorization.partition(" ")
    found = None
    for token in tokens:
        if scheme.lower() == "bearer" and _same(secret.strip(), token.secret):
            found = token
    return found


def _signature(token: Token, expires: str) -> str:
    message = f"facesearch session {token.role} {expires}".encode()
    return hmac.new(token.secret.encode(), message, hashlib.sha256).hexdigest()


def _is_session(cookie: str, token: Token) -> bool:
    expires, _, signature = cookie.partition(".")
    sound = _same(signature, _signature(token, expires))
    return sound and expires.isdecimal() and int(expires) > time.time()


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _same(given: str, secret: str) -> bool:
    """Compare in a time that does not depend on the secret, nor on its length."""
    hashes = (hashlib.sha256(text.encode()).digest() for text in (given, secret))
    return hmac.compare_digest(*hashes)


def _host_name(host: str) -> str:
    """Return the host without its port, an IPv6 address without its brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _check_origin(scope: Scope, headers: dict[bytes, str]) -> None:
    """Raise Problem for a request of another site's page, which may not even show a picture."""
    api = scope["path"].startswith("/v1/")
    if api and headers.get(b"sec-fetch-site") in ("cross-site", "same-site"):
        raise Problem(403, "asked by a page of another site")
    origin = headers.get(b"origin")
    if origin is None or scope["method"] in SAFE:
        return
    try:
        theirs = urlsplit(origin)
        same = theirs.netloc.lower() == headers.get(b"host", "").lower()
    except ValueError:
        same = False
    if not same or theirs.scheme not in ("http", "https"):
        raise Problem(403, "asked by a page of another origin")


bearer = HTTPBearer(auto_error=False, description="Where tokens are set up.")


def at_least(role: Role) -> Any:
    """Return a dependency that admits this role and those above it."""

    def check(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
    ) -> None:
        found = request.scope["state"]["role"]
        if found is None:
            raise unauthorised()
        if found < role:
            raise Problem(403, f"this token may not do that; it takes the role {role.name}")

    return Depends(check)
