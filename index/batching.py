"""Calls of several threads put together: who comes while others are served goes with the next batch.

Nobody waits for company: a call that finds a free lane goes at once, alone. It is what databases call group commit.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batching(Generic[Item, Result]):
    """A function of many items, called with one item by each of many threads. No thread of its own."""

    def __init__(
        self,
        serve: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        size: Callable[[Item], int],
        room: int,
        lanes: int = 1,
    ) -> None:
        """serve: returns a result for each item, in order. lanes: how often it may be at work at a time.

        room: the sum of sizes that a batch may have; an item that is larger goes alone.
        """
        self._serve = serve
        self._size, self._room = size, room
        self._free = lanes
        self._waiting: deque[_Call[Item, Result]] = deque()
        self._lock = threading.Lock()

    def __call__(self, item: Item) -> Result:
        """Return the item's result. Raises what `serve` raised for the batch that the item was in."""
        call: _Call[Item, Result] = _Call(item)
        with self._lock:
            if self._free:
                self._free -= 1
                call.batch = [call]
            else:
                self._waiting.append(call)
        if not call.batch:
            call.woken.wait()
        # Whoever is woken with a batch in hand serves it, and the others in it wait; this one's item is its first.
        batch, call.batch = call.batch, []
        if batch:
            self._lead(batch)
        return call.outcome()

    def _lead(self, batch: "list[_Call[Item, Result]]") -> None:
        try:
            results = self._serve([call.item for call in batch])
            for call, result in zip(batch, results, strict=True):
                call.result = [result]
        except BaseException as error:
            # Whatever it is, the others must not wait for ever.
            for call in batch:
                call.error = error
        finally:
            self._hand_over()
            for call in batch[1:]:
                call.woken.set()

    def _hand_over(self) -> None:
        """Give the lane to the one who waits longest, with all who fit in beside it; or leave it free."""
        with self._lock:
            batch = self._next()
            if not batch:
                self._free += 1
                return
            batch[0].batch = batch
        batch[0].woken.set()

    def _next(self) -> "list[_Call[Item, Result]]":
        batch: list[_Call[Item, Result]] = []
        room = self._room
        while self._waiting and (not batch or self._size(self._waiting[0].item) <= room):
            batch.append(self._waiting.popleft())
            room -= self._size(batch[-1].item)
        return batch


class _Call(Generic[Item, Result]):
    """One thread's call: it is woken with its outcome, or with a batch that it is to serve, its own item first."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.woken = threading.Event()
        self.batch: list[_Call[Item, Result]] = []
        # None or one, so that None can be a result.
        self.result: list[Result] = []
        self.error: BaseException | None = None

    def outcome(self) -> Result:
        if self.error is not None:
            raise self.error
        return self.result[0]
