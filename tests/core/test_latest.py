"""A value is worked out once for each key, however many threads ask."""

import threading

import pytest

from facesearch.core.latest import Latest


def test_only_the_latest_key_is_remembered() -> None:
    made: list[str] = []
    latest: Latest[str] = Latest()

    def make(value: str) -> str:
        made.append(value)
        return value.upper()

    for key, value in (("1", "a"), ("1", "b"), ("2", "c"), ("1", "d")):
        found = latest.get(key, lambda value=value: make(value))
        assert found == {"a": "A", "b": "A", "c": "C", "d": "D"}[value]
    assert made == ["a", "c", "d"]


def test_eight_threads_work_it_out_once() -> None:
    latest: Latest[object] = Latest()
    begin = threading.Barrier(8)
    found: list[object] = []

    def work() -> None:
        begin.wait()
        found.append(latest.get("key", object))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_what_fails_is_not_remembered() -> None:
    latest: Latest[int] = Latest()
    with pytest.raises(ZeroDivisionError):
        latest.get("key", lambda: 1 // 0)
    assert latest.get("key", lambda: 2) == 2
