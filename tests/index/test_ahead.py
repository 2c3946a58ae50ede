import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.ahead import ahead

DEPTH = 3


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as opened:
        yield opened


@given(st.lists(st.integers(), max_size=20), st.integers(1, 5))
def test_all_results_come_in_order(items: list[int], depth: int) -> None:
    with ThreadPoolExecutor(2) as executor:
        assert list(ahead(items, str, executor, depth=depth)) == [(item, str(item)) for item in items]


def test_no_more_is_taken_than_is_to_be_ahead(executor: ThreadPoolExecutor) -> None:
    taken: list[int] = []
    results = ahead((taken.append(item) or item for item in range(20)), str, executor, depth=DEPTH)  # type: ignore[func-returns-value]
    for number, _ in enumerate(results):
        assert len(taken) == min(number + DEPTH, 20)


def test_the_next_one_is_worked_on_while_the_caller_is_busy(executor: ThreadPoolExecutor) -> None:
    begun = [threading.Event() for _ in range(2)]

    def work(number: int) -> None:
        begun[number].set()

    results = ahead(range(2), work, executor, depth=DEPTH)
    next(results)
    assert begun[1].wait(10)


def test_one_alone_is_worked_on_by_the_caller(executor: ThreadPoolExecutor) -> None:
    [(_, who)] = ahead([1], lambda _: threading.current_thread(), executor, depth=DEPTH)
    assert who is threading.current_thread()
    workers = {who for _, who in ahead([1, 2], lambda _: threading.current_thread(), executor, depth=DEPTH)}
    assert threading.current_thread() not in workers


@pytest.mark.parametrize("good", [0, 1, 2, 7])
def test_what_came_before_a_broken_source_is_yielded_before_its_error(executor: ThreadPoolExecutor, good: int) -> None:
    def source() -> Iterator[int]:
        yield from range(good)
        raise OSError("the disk went away")

    results = ahead(source(), str, executor, depth=DEPTH)
    assert [next(results) for _ in range(good)] == [(item, str(item)) for item in range(good)]
    with pytest.raises(OSError, match="went away"):
        next(results)


@pytest.mark.parametrize("bad", [0, 1, 5])
def test_what_came_before_work_that_fails_is_yielded_before_its_error(executor: ThreadPoolExecutor, bad: int) -> None:
    def work(number: int) -> int:
        if number == bad:
            raise MemoryError("too much")
        return number

    results = ahead(range(9), work, executor, depth=DEPTH)
    assert [next(results) for _ in range(bad)] == [(item, item) for item in range(bad)]
    with pytest.raises(MemoryError, match="too much"):
        next(results)


def test_nothing_more_is_worked_on_once_the_caller_leaves(executor: ThreadPoolExecutor) -> None:
    may_end = threading.Event()
    worked: list[int] = []

    def work(number: int) -> None:
        worked.append(number)
        if number:
            may_end.wait(10)

    results = ahead(range(9), work, executor, depth=DEPTH)
    next(results)
    assert isinstance(results, Iterator)
    results.close()  # type: ignore[attr-defined]
    may_end.set()
    executor.shutdown()
    assert len(worked) <= 2
