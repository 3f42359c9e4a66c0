"""Bodies that are too large, too slow or never end."""

import time

import pytest

from tests.support.serving import Running, Sent, answered


def test_too_much_is_held_for_all_together(narrow: Running) -> None:
    """Three bodies of less than a request may have, none of them finished."""
    lines = [narrow.connect() for _ in range(3)]
    head = "POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    answers = []
    for line in lines:
        line.sendall(head.encode() + b"x" * 900_000)
    for line in lines:
        answers.append(line.recv(100).split()[1])
        line.close()
    assert b"503" in answers
    assert set(answers) <= {b"503", b"408"}


@pytest.mark.slow
def test_slow_clients_hold_no_worker(narrow: Running, shot: Sent) -> None:
    """Twenty clients that send half of something, and one that behaves."""
    full = b"Content-Length: 500\r\n\r\n"
    heads = [b"", b"GET /v1/peo", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A"]
    bodies = [full, full + b"x" * 100]
    starts = heads + [
        b"POST /v1/identify HTTP/1.1\r\nHost: localhost\r\n" + each for each in bodies
    ]
    lines = [(narrow.connect(), start) for start in 4 * starts]
    for line, start in lines:
        line.sendall(start)
    assert narrow.http.post("/v1/identify", files=shot).status_code in (200, 409)
    assert narrow.service.work.taken <= 1
    for line, start in lines:
        answer = answered(line)
        line.close()
        if full in start:
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"did not arrive in time" in answer
        else:
            assert answer == b""


@pytest.mark.slow
def test_a_body_that_trickles(narrow: Running) -> None:
    """A byte now and then keeps no connection for ever."""
    began = time.monotonic()
    with narrow.connect() as line:
        line.sendall(
            b"POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n"
        )
        for _ in range(100):
            try:
                line.sendall(b"x")
            except OSError:
                break
            time.sleep(0.1)
            if time.monotonic() - began > 8:
                break
        assert answered(line).startswith(b"HTTP/1.1 408")


def test_a_second_request_that_is_half_sent(narrow: Running) -> None:
    with narrow.connect() as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTT")
        answer = answered(line)
    assert answer.count(b"HTTP/1.1 200") == 1


def test_a_client_that_leaves(narrow: Running) -> None:
    for _ in range(5):
        with narrow.connect() as line:
            line.sendall(
                b"POST /v1/undo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc"
            )
    assert narrow.get("/healthz") == {"status": "ok"}
