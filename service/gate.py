"""What every request passes on its way to a route: bounds on how many, how long and how slow; and safe headers.

None of this reads a body before it decides. What is refused is told so, as a problem document.
"""

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.errors import OverloadError, TooLargeError
from service.metrics import IN_FLIGHT, count_refusal
from service.problems import Problem, ProblemResponse, respond

MIB = 1024 * 1024
# Requests of those who operate the service; they are answered however busy it is.
UNBOUNDED = frozenset({"/healthz", "/readyz", "/metrics"})
# Path and query together, in bytes. Filters of more ids than fit can be posted.
LONGEST_ADDRESS = 16 * 1024
# Of a body that brings no articles, in bytes: a question with filters of a thousand ids, all in \uXXXX escapes, is less
# than 2.5 MiB.
LARGEST_QUESTION = 4 * MIB
# In bytes per second, once a sender has used up its patience: 128 kbit/s. Less would let one hold a place for hours.
SLOWEST = 16 * 1024
# How long what follows a refusal is read and thrown away, in seconds. To close at once would reset the connection, and
# a client that is still sending would not get to read why.
LINGER = 5.0

# Sent line by line, each line with a limit of its own, and so as long as it likes.
# No name more than the route knows, which reads all else as a whole.
JSON_LINES = frozenset(f"application/{name}" for name in ("x-ndjson", "ndjson", "jsonl", "jsonlines", "x-jsonlines"))

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # Pages of the origins that CORS names are not kept out by it: it is about requests made without CORS.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_SAFE_HEADERS = tuple((name.lower().encode(), value.encode()) for name, value in SAFE_HEADERS.items())


class SafeHeaders:
    """Middleware that adds to each response the headers that keep browsers from misusing it.

    A header that the response has already is left as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def safe_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                message["headers"] = [*given, *(header for header in _SAFE_HEADERS if header[0] not in names)]
            await send(message)

        await self._app(scope, receive, safe_send)


class Gate:
    """Middleware that lets in at most so many requests at once, with addresses of bounded length."""

    def __init__(self, app: ASGIApp, *, in_flight: int) -> None:
        self._app = app
        self._most = in_flight
        self._at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNBOUNDED:
            await self._app(scope, receive, send)
        elif len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST_ADDRESS:
            await refuse("address", _too_long(), scope, receive, send)
        elif self._at_work >= self._most:
            error = OverloadError("the server is busy with as much as it can take; try again", retry_after=1)
            await refuse("overload", respond(error), scope, receive, send)
        else:
            await self._work(scope, receive, send)

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._at_work += 1
        IN_FLIGHT.inc()
        try:
            await self._app(scope, receive, send)
        finally:
            self._at_work -= 1
            IN_FLIGHT.dec()


class BodyBounds:
    """Middleware that bounds how large a body may be, and how slowly it may be sent."""

    def __init__(self, app: ASGIApp, *, max_body: int, patience: float) -> None:
        """max_body: in MiB. patience: in seconds."""
        self._app = app
        self._max_body = max_body * MIB
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope)
        announced = Headers(scope=scope).get("content-length", "")
        if limit is not None and announced.isdecimal() and int(announced) > limit:
            await refuse("too_large", respond(_too_large(limit)), scope, receive, send)
            return
        body = _Body(receive, send, limit=limit, patience=self._patience)
        try:
            await self._app(scope, body.receive, body.send)
        except ClientDisconnect:
            if body.refusal is None:
                raise
        await body.refuse(scope)

    def _limit(self, scope: Scope) -> int | None:
        """Return the largest body that this request may have, in bytes; None where only its lines have a limit."""
        if not scope["path"].startswith("/articles"):
            return min(LARGEST_QUESTION, self._max_body)
        kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        return None if kind in JSON_LINES else self._max_body


class _Body:
    """One body on its way in, until it ends or is refused; to the app, a refusal looks as if the sender had gone."""

    def __init__(self, receive: Receive, send: Send, *, limit: int | None, patience: float) -> None:
        self.refusal: tuple[str, Response] | None = None
        self._receive, self._send = receive, send
        self._limit, self._patience = limit, patience
        self._ended = False
        self._started = False
        self._size = 0
        self._waited = 0.0

    async def receive(self) -> Message:
        if self.refusal is not None:
            return {"type": "http.disconnect"}
        if self._ended:
            # What comes now is at most that the client goes away, and that may take as long as the work does.
            return await self._receive()
        try:
            message = await self._next()
        except TimeoutError:
            self.refusal = ("slow", _too_slow(self._patience))
            return {"type": "http.disconnect"}
        self._size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._limit is not None and self._size > self._limit:
            self.refusal = ("too_large", respond(_too_large(self._limit)))
            return {"type": "http.disconnect"}
        return message

    async def _next(self) -> Message:
        """Wait for more, as long as patience lasts; only time spent waiting here is the sender's."""
        left = self._patience + self._size / SLOWEST - self._waited
        began = time.monotonic()
        try:
            # What has come already is taken without waiting, even where no time is left.
            async with asyncio.timeout(min(self._patience, left)):
                return await self._receive()
        finally:
            self._waited += time.monotonic() - began

    async def send(self, message: Message) -> None:
        # What the app makes of a body that was cut short is not for the client.
        if self.refusal is None:
            self._started = True
            await self._send(message)

    async def refuse(self, scope: Scope) -> None:
        """Answer with the refusal, if there is one; a response that has begun is broken off, with its connection."""
        if self.refusal is None:
            return
        reason, response = self.refusal
        if self._started:
            count_refusal(reason)
        elif reason == "slow" or self._ended:
            # There is no use in waiting for more of it.
            await refuse(reason, response, scope, _nothing_more, self._send)
        else:
            await refuse(reason, response, scope, self._receive, self._send)


async def refuse(reason: str, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the response to a request whose body has not been read; throw away what comes of it, for a while."""
    count_refusal(reason)
    headers = Headers(scope=scope)
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        await response(scope, receive, send)
        return
    # Nobody would look where the next request begins in what is still coming.
    response.headers["Connection"] = "close"

    async def lingering_send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            await _drain(receive)
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)

    await response(scope, receive, lingering_send)


async def _drain(receive: Receive) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            while (await receive()).get("more_body", False):
                pass


async def _nothing_more() -> Message:
    return {"type": "http.disconnect"}


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"the request is larger than {limit // MIB} MiB, the limit; send it in parts")


def _too_slow(patience: float) -> Response:
    detail = (
        f"The request came too slowly: a sender may be silent for {patience:g} seconds, and then has to send "
        f"{SLOWEST // 1024} KiB per second. Send it again, over a better line or in parts."
    )
    return problem_response(HTTPStatus.REQUEST_TIMEOUT, "Sent too slowly", detail)


def _too_long() -> Response:
    detail = f"The address is longer than {LONGEST_ADDRESS // 1024} KiB; POST /ask takes long filters."
    return problem_response(HTTPStatus.REQUEST_URI_TOO_LONG, "The address is too long", detail)


def problem_response(status: HTTPStatus, title: str, detail: str) -> Response:
    """Return a problem document for what is refused before any error of ours could be raised."""
    return ProblemResponse(Problem(type="about:blank", title=title, status=status, detail=detail, errors=[]))
