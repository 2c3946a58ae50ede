import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.batching import Batching


class Doubling:
    """Doubles numbers; knows the batches that it was given, and how many it had in hand at once at most."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self.most = 0
        self._seconds = seconds
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        with self._lock:
            self.batches.append(list(numbers))
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(self._seconds)
        with self._lock:
            self._now -= 1
        return [2 * number for number in numbers]


def doubled(batching: Batching[int, int], numbers: Sequence[int], *, threads: int = 16) -> list[int]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(batching, numbers))


@settings(max_examples=25, deadline=None)
@given(
    numbers=st.lists(st.integers(1, 9), max_size=60),
    room=st.integers(0, 20),
    lanes=st.integers(1, 4),
    threads=st.integers(1, 12),
)
def test_every_call_gets_its_own_result_and_no_batch_is_too_large(
    numbers: list[int], room: int, lanes: int, threads: int
) -> None:
    serve = Doubling(seconds=0.0002)
    batching = Batching(serve, size=lambda number: number, room=room, lanes=lanes)
    assert doubled(batching, numbers, threads=threads) == [2 * number for number in numbers]
    assert sorted(number for batch in serve.batches for number in batch) == sorted(numbers)
    assert all(sum(batch) <= room or len(batch) == 1 for batch in serve.batches)
    assert serve.most <= lanes


def test_who_comes_alone_goes_alone_and_at_once() -> None:
    serve = Doubling()
    batching = Batching(serve, size=lambda _: 1, room=8)
    assert [batching(number) for number in range(5)] == [0, 2, 4, 6, 8]
    assert serve.batches == [[0], [1], [2], [3], [4]]


def test_who_comes_while_others_are_served_goes_with_the_next_batch_in_order() -> None:
    began, go_on = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def serve(numbers: Sequence[int]) -> Sequence[int]:
        batches.append(list(numbers))
        began.set()
        assert go_on.wait(10)
        return numbers

    batching = Batching(serve, size=lambda _: 1, room=3)
    threads = [threading.Thread(target=batching, args=[number]) for number in range(6)]
    threads[0].start()
    assert began.wait(10)
    for number, thread in enumerate(threads[1:], start=1):
        thread.start()
        while len(batching._waiting) < number:
            time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert batches == [[0], [1, 2, 3], [4, 5]]


def test_an_error_reaches_all_of_its_batch_and_nobody_else() -> None:
    def serve(numbers: Sequence[int]) -> Sequence[int]:
        time.sleep(0.001)
        if 13 in numbers:
            raise ValueError("an unlucky number")
        return numbers

    batching = Batching(serve, size=lambda _: 1, room=4)

    def called(number: int) -> int | None:
        try:
            return batching(number)
        except ValueError:
            return None

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(called, range(40)))
    assert found[13] is None
    assert found.count(None) <= 4
    assert all(one in (None, number) for number, one in enumerate(found))
    # The lane is free again.
    assert batching(7) == 7


def test_too_few_results_are_an_error_and_nobody_waits_for_ever() -> None:
    batching: Batching[int, int] = Batching(lambda _: [], size=lambda _: 1, room=4)
    for _ in range(2):
        with pytest.raises(ValueError, match="shorter"):
            batching(1)
