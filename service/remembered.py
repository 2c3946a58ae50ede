"""What was found out before is not found out again, as long as nothing has changed that it depends on."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from index.engine import Snapshot

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

# What all that is remembered may take, in bytes as `size` estimates them.
MOST_BYTES = 32 * 1024 * 1024
# The store's generation, and what is searched: of one generation there may be one after another, such as when indexes
# are written anew.
State = tuple[int, Snapshot]


class Remembered(Generic[Key, Value]):
    """Values by what they were made for, of one state of the corpus; those that were wanted last.

    Safe to use from several threads. At the first look at another state all is forgotten, so that nothing of a deleted
    article is ever found here.
    """

    def __init__(self, most: int, size: Callable[[Value], int], *, most_bytes: int = MOST_BYTES) -> None:
        """most: how many values. size: about how many bytes of memory a value takes."""
        self._most, self._most_bytes, self._size = most, most_bytes, size
        self._lock = threading.Lock()
        self._state: State | None = None
        self._held: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._bytes = 0
        self._at_work: dict[Key, Future[Value]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def find(self, key: Key, state: State, make: Callable[[], Value]) -> tuple[Value, bool]:
        """Return what `make` makes, or made in the same state before; and whether it was made before.

        state: as it was seen after the value was asked for, and before `make` is called. Of those who want the same at
        once one makes it, and the others wait; where it cannot, each of them tries.
        """
        with self._lock:
            self._turn_to(state)
            is_current = self._is_current(state)
            if is_current and key in self._held:
                self._held.move_to_end(key)
                return self._held[key][0], True
            others: Future[Value] | None = self._at_work.get(key) if is_current else None
            own: Future[Value] = Future()
            if is_current and others is None:
                self._at_work[key] = own
        if others is not None:
            return (make(), False) if others.exception() else (others.result(), True)
        try:
            value = make()
        except BaseException as error:
            self._note(key, own)
            own.set_exception(error)
            raise
        self._note(key, own, value)
        own.set_result(value)
        return value, False

    def turn_to(self, state: State) -> None:
        """Forget what is of an earlier state."""
        with self._lock:
            self._turn_to(state)

    def _turn_to(self, state: State) -> None:
        # Of two who look at once, the one who looked first may come last.
        if not self._is_current(state) and (self._state is None or state[0] >= self._state[0]):
            self._state = state
            self._held.clear()
            self._bytes = 0
            # Who waits for what is being made holds on to it; nobody else will be given it.
            self._at_work.clear()

    def _is_current(self, state: State) -> bool:
        return self._state is not None and state[0] == self._state[0] and state[1] is self._state[1]

    def _note(self, key: Key, made: "Future[Value]", value: Value | None = None) -> None:
        """Let nobody wait any more, and remember the value, unless the state has changed since."""
        with self._lock:
            if self._at_work.get(key) is not made:
                return
            del self._at_work[key]
            if value is None or (size := self._size(value)) > self._most_bytes:
                return
            self._held[key] = value, size
            self._bytes += size
            while len(self._held) > self._most or self._bytes > self._most_bytes:
                _, (_, dropped) = self._held.popitem(last=False)
                self._bytes -= dropped
