"""Changes take turns: a few at work, some that wait, no more."""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from index.errors import OverloadError
from service.metrics import CHANGING

T = TypeVar("T")

# In one process: one is encoded while another is written. Threads that wait for a change are not there for those who
# ask.
AT_WORK, WAITING = 2, 16


class Turns:
    """Lets work be done in threads, a few at a time; belongs to the event loop that it is made in."""

    def __init__(self, *, at_work: int = AT_WORK, waiting: int = WAITING) -> None:
        self._limiter = CapacityLimiter(at_work)
        self._most = at_work + waiting
        self._inside = 0

    def check(self) -> None:
        """Raise OverloadError where too many wait already."""
        if self._inside >= self._most:
            raise OverloadError("too many changes wait for their turn; try again", retry_after=5)

    async def take(self, work: Callable[[], T], *, begun: bool = False) -> T:
        """Do some work when its turn comes, to its end, also where nobody waits for it any more.

        begun: it is a further step of something that was let in before. Raises OverloadError otherwise.
        """
        if not begun:
            self.check()
        self._inside += 1
        CHANGING.inc()
        try:
            return await run_sync(work, limiter=self._limiter)
        finally:
            self._inside -= 1
            CHANGING.dec()
