"""Work is spread over the cores, a bounded part at a time, and comes back in order."""

import threading
import time
from collections.abc import Iterator

import pytest

from facesearch.core.parallel import WORKERS, in_order


def test_order_and_errors() -> None:
    def work(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return 10 // (number - 20)

    found = []
    for number, future in in_order(work, range(40)):
        error = future.exception()
        found.append((number, future.result() if error is None else type(error)))
    assert found == [
        (number, 10 // (number - 20) if number != 20 else ZeroDivisionError) for number in range(40)
    ]


def test_no_more_than_a_few_are_held_and_closing_drops_the_rest() -> None:
    taken: list[int] = []
    gate = threading.Event()

    def endless() -> Iterator[int]:
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    done: list[int] = []

    def work(number: int) -> None:
        gate.wait(10)
        done.append(number)

    results = in_order(work, endless(), name="bounded")
    next(results)
    assert len(taken) == 4 * WORKERS + 1
    results.close()  # type: ignore[attr-defined]
    gate.set()
    time.sleep(0.2)
    assert len(done) <= WORKERS


def test_work_may_spread_its_parts_under_another_name() -> None:
    def inner(number: int) -> int:
        return number + 1

    def outer(number: int) -> int:
        return sum(future.result() for _, future in in_order(inner, range(number), "inner"))

    results = in_order(outer, [3] * 4 * WORKERS, "outer")
    assert [future.result() for _, future in results] == [6] * 4 * WORKERS


def test_errors_of_the_items_are_raised() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the list ends badly")

    with pytest.raises(OSError, match="ends badly"):
        list(in_order(str, broken()))
