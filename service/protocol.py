"""HTTP/1.1 on a connection, as uvicorn speaks it, without the patience that lets idle connections pile up.

For `uvicorn.run(http="service.protocol:Protocol")`. How patient it is comes with the application's lifespan state, so
that it reaches every worker process the way the application does.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from index.errors import OverloadError
from service.gate import LONGEST_ADDRESS, SAFE_HEADERS, UNBOUNDED, SafeHeaders, problem_response, refuse
from service.metrics import count_refusal
from service.problems import respond

# Of one process. Most systems let a process open 1024 files, and the corpus needs some.
CONNECTIONS = 512
# Request line and headers, in bytes.
LONGEST_HEAD = 64 * 1024
_PATIENCE = 20.0


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which ends connections that are slow to send a head, to end a request, or to read an answer.

    A head has to be complete `patience` seconds after the connection was made, or after the first byte of a later
    request; so has a request that was answered before all of it came. An answer has to be read at the same pace.
    More connections than uvicorn's `limit_concurrency` are told to come back; half as many again are cut off.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever uvicorn hands over
        super().__init__(*args, **kwargs)
        self._patience = float(self.app_state.get("patience", _PATIENCE))
        # Ours to hold: uvicorn would answer with a bare line of text.
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self._welcome, self._turn_away = self.app, SafeHeaders(self._answer_busy)
        self._reading, self._writing = _Timer(self.loop), _Timer(self.loop)
        self._in_head = True
        self._heads = 0
        self._head_size = 0

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reading.start(self._patience, self._end_if_idle)
        if self._most is not None and len(self.connections) > 1.5 * self._most:
            count_refusal("connections")
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._reading.stop()
        self._writing.stop()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        self._end()

    def _end_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._end()
        else:
            # The next head may take as long as this request is being worked on.
            self._reading.start(self._patience, self._end_if_idle)

    def _end(self) -> None:
        """Close the connection; what is still to be sent has to be read in time."""
        self.transport.close()
        self._writing.start(self._patience, self.transport.abort)

    # Reading

    def data_received(self, data: bytes) -> None:
        heads = self._heads
        in_head = self._in_head
        super().data_received(data)
        if not (in_head and self._in_head and heads == self._heads) or self.transport.is_closing():
            return
        # Also line ends between two requests, which begin none.
        self._reading.start_once(self._patience, self._end_if_idle)
        self._head_size += len(data)
        if self._head_size > LONGEST_HEAD:
            detail = f"Request line and headers are longer than {LONGEST_HEAD // 1024} KiB; send less."
            self._answer_and_end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too long", detail)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reading.start_once(self._patience, self._end_if_idle)

    def on_headers_complete(self) -> None:
        self._reading.stop()
        self._in_head = False
        self._heads += 1
        crowded = self._most is not None and len(self.connections) > self._most
        self.app = self._turn_away if crowded else self._welcome
        super().on_headers_complete()
        cycle = self.cycle
        # A route that runs in a thread listens to nobody; the log asks here whether its answer arrived.
        self.scope["extensions"] = {"quoteline.connection": {"is_lost": lambda: cycle.disconnected}}

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._reading.stop()
        self._in_head = True
        self._head_size = 0

    # Answering

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._writing.start(self._patience, self.transport.abort)
        elif not self._in_head:
            # The rest of the request is not wanted any more, and uvicorn's own timer ends with each byte of it.
            self._reading.start(self._patience, self._end_if_idle)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._writing.start(self._patience, self._abort_unread)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.transport.is_closing():
            self._writing.start(self._patience, self.transport.abort)
        else:
            self._writing.stop()

    def _abort_unread(self) -> None:
        if self._in_head:
            self.transport.abort()
        else:
            # Who still sends, as fast as has to be, may read afterwards.
            self._writing.start(self._patience, self._abort_unread)

    def send_400_response(self, msg: str) -> None:
        # The parser refuses addresses from 64 KiB on, which are HTTP all the same.
        if len(self.url or b"") > LONGEST_ADDRESS:
            detail = f"The address is longer than {LONGEST_ADDRESS // 1024} KiB; POST /ask takes long filters."
            self._answer_and_end(HTTPStatus.REQUEST_URI_TOO_LONG, "The address is too long", detail)
            return
        self._answer_and_end(HTTPStatus.BAD_REQUEST, "Not HTTP", f"{msg} Send HTTP/1.1.")

    def _answer_and_end(self, status: HTTPStatus, title: str, detail: str) -> None:
        """Answer what is no request that an application could be given."""
        count_refusal("malformed")
        if self.cycle is None or self.cycle.response_complete:
            response = problem_response(status, title, detail)
            headers = {**response.headers, **SAFE_HEADERS, "Connection": "close"}
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode())
            self.transport.write(bytes(response.body))
        self._end()

    async def _answer_busy(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in UNBOUNDED:
            await self._welcome(scope, receive, send)
            return
        response = respond(OverloadError("too many connections are open; try again", retry_after=2))
        response.headers["Connection"] = "close"
        await refuse("connections", response, scope, receive, send)


class _Timer:
    """Calls back once, unless it is stopped before."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float, callback: Callable[[], None]) -> None:
        """Start, anew where it runs."""
        self.stop()
        self._handle = self._loop.call_later(seconds, self._ring, callback)

    def start_once(self, seconds: float, callback: Callable[[], None]) -> None:
        """Start, or go on where it runs."""
        if self._handle is None:
            self.start(seconds, callback)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self, callback: Callable[[], None]) -> None:
        self._handle = None
        callback()
