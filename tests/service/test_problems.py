"""Requests that are broken are answered with problems."""

import json

import pytest

from tests.support.serving import Running


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x\r\n",
        b"--x\r\nContent-Disposition: form-data; name=photo; filename=a\r\n\r\nabc",
        b"--x\r\nContent-Disposition: form-data; name=photo\r\n\r\nabc\r\n--x--\r\n",
        b"--y--",
        b"\0" * 1000,
    ],
)
def test_broken_multipart(narrow: Running, body: bytes) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    for path in ("/v1/identify", "/v1/people/x/reject", "/v1/people/x/faces"):
        answer = narrow.http.post(path, content=body, headers=kind)
        assert answer.status_code in (400, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'{"embedding": "x"}', b'{"embedding": [NaN]}', b"[" * 100_000]
)
def test_broken_json(narrow: Running, body: bytes) -> None:
    kind = {"Content-Type": "application/json"}
    for path in ("/v1/search", "/v1/people/x/merge", "/v1/people/x/reject"):
        answer = narrow.http.post(path, content=body, headers=kind)
        assert answer.status_code in (400, 422), answer.text
        json.loads(answer.text)
