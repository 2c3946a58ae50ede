"""Working ahead: while a caller is busy with one item, another thread works on the next ones."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import chain, islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    items: Iterable[Item], work: Callable[[Item], Result], executor: Executor, *, depth: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with what `work` makes of it, in order; `executor` works on the next ones meanwhile.

    items: taken in the caller's thread, at most `depth` before they are yielded. One alone is worked on in the caller's
    thread, too. Where `items` raises, what came before is yielded first; so it is where `work` raises.
    """
    source = _Source(items)
    first = list(islice(source, 2))
    if len(first) < 2:
        yield from ((item, work(item)) for item in first)
        source.check()
        return
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    rest = chain(first, source)
    try:
        while True:
            waiting.extend((item, executor.submit(work, item)) for item in islice(rest, depth - len(waiting)))
            if not waiting:
                break
            item, result = waiting.popleft()
            yield item, result.result()
    finally:
        for _, result in waiting:
            result.cancel()
    source.check()


class _Source(Iterator[Item]):
    """Some items, which end where they cannot go on; `check` raises why."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._broken: Exception | None = None

    def __next__(self) -> Item:
        if self._broken is not None:
            raise StopIteration
        try:
            return next(self._items)
        except StopIteration:
            raise
        except Exception as error:
            self._broken = error
            raise StopIteration from error

    def check(self) -> None:
        if self._broken is not None:
            raise self._broken
