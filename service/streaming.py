"""Replies that are told while they are made, as server-sent events."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import anyio
from anyio.to_thread import run_sync
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from index.errors import QuotelineError
from service.completions import Reply, Wire
from service.problems import OpenAIError, openai_error
from service.requestlog import note_fault

# How long a client waits for its first byte, in seconds. What comes before that is known when the response begins: an
# error has a status of its own, and a verdict its header.
AT_ONCE = 0.1


class ReplyStream(Response):
    """A response that makes a reply in a thread, and tells it.

    Whoever goes away while the thread is waited for is not answered any more. A thread that has begun comes to its end:
    it cannot be stopped, and to let another begin in its place would be more at once than there may be.
    """

    media_type = "text/event-stream"

    def __init__(self, make: Callable[[], Reply], wire: Wire, limiter: anyio.CapacityLimiter) -> None:
        """limiter: of those that are made at once."""
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._make, self._wire, self._limiter = make, wire, limiter
        self._opened = False
        # Two may come to it at once.
        self._opening = anyio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream. Raises what making the reply raises, where nothing was sent yet."""
        failed: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_when_left, receive, group.cancel_scope)
            group.start_soon(self._open_in_time, send)
            try:
                reply = await run_sync(self._make, limiter=self._limiter)
            except Exception as error:
                # Raised below, where no task group wraps it into another.
                failed = error
            else:
                await self._open(send, reply.headers)
                await _send_all(send, self._wire.telling(reply))
            if failed is not None and self._opened:
                await self._open(send)
                await _send_all(send, self._wire.failing(_told(failed)))
            group.cancel_scope.cancel()
        if failed is None:
            return
        if not self._opened:
            raise failed
        if not isinstance(failed, QuotelineError):
            note_fault(scope, failed)

    async def _open_in_time(self, send: Send) -> None:
        await anyio.sleep(AT_ONCE)
        await self._open(send)

    async def _open(self, send: Send, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        """Begin the response, unless it has begun; comes back once it has."""
        async with self._opening:
            if not self._opened:
                self._opened = True
                self.headers.update(headers)
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                for data in self._wire.opening():
                    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _cancel_when_left(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _send_all(send: Send, events: Iterable[bytes]) -> None:
    """Send events one by one, to the end of the response: who reads slowly is waited for."""
    for data in events:
        await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _told(error: Exception) -> OpenAIError:
    """Return what is told of an error in the middle of a stream."""
    if isinstance(error, QuotelineError):
        return openai_error(error)
    return openai_error(QuotelineError(f"a reply failed with {type(error).__name__}"))
