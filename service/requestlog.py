"""The log: one JSON object per line on stderr, one line per request. Never a question, an article or a key."""

import json
import logging
import re
import time
import traceback
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.labels import method_of, route_of
from service.metrics import observe_request

# Those who operate the service ask these every few seconds; only what goes wrong there is worth a line.
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
# What is logged, as nginx does, where a client went away before it had its answer.
CLIENT_GONE = 499

# For `logging.config.dictConfig`, and for uvicorn's `log_config`, which also reaches its worker processes.
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "service.requestlog.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "quoteline": {"level": "INFO"},
        # uvicorn's own handlers, where it was started with them before, write lines of another form.
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.error": {"handlers": [], "level": "NOTSET", "propagate": True},
    },
}

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# The message of an error may hold some of what was asked; so much of each line of a traceback is enough to mend it.
_LONGEST_LINE = 200

_log = logging.getLogger("quoteline")
_request_id: ContextVar[str | None] = ContextVar("quoteline_request_id", default=None)


class JsonFormatter(logging.Formatter):
    """One line of JSON per record: time, level, event, the id of the request, and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; letters beyond ASCII are escaped, so that nothing in it can pass for another line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if (request_id := _request_id.get()) is not None:
            line["request_id"] = request_id
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)

    def formatException(  # noqa: N802 - logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """Return the traceback, without locals, each line of it cut."""
        lines = "".join(traceback.format_exception(ei[1])).splitlines()
        return "\n".join(line[:_LONGEST_LINE] for line in lines)


class RequestLog:
    """Middleware that gives each request an id, and logs and counts it when it is done."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        token = _request_id.set(given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex)
        exchange = _Exchange(scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            # It goes on to whoever answers it; here it is only remembered for the log.
            note_fault(scope, error)
            raise
        finally:
            exchange.report()
            _request_id.reset(token)


class Faults:
    """Middleware that turns what nobody expected into a problem document, and hands it to the log.

    Starlette's own stands outside of all middlewares: its answers have no request id and no safe headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except ClientDisconnect:
            # Nobody is left to be answered, and nothing is at fault.
            return
        except Exception as error:
            # Whatever it is, the caller is told so and the log has it. Once an answer has begun, the connection ends.
            note_fault(scope, error)
            if not started:
                response = await scope["app"].exception_handlers[Exception](Request(scope), error)
                await response(scope, receive, send)


def note_fault(scope: Scope, error: BaseException) -> None:
    """Keep an unexpected error for the line that the request gets in the log."""
    scope.setdefault("state", {}).setdefault("fault", error)


class _Exchange:
    """One request and its answer, as they pass by."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._started = time.perf_counter()
        self._status = 0
        self._size = 0
        self._verdict: str | None = None
        self._complete = False
        self._gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._complete:
            self._gone = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = _request_id.get() or ""
            self._status = message["status"]
            self._verdict = headers.get("quoteline-verdict")
        else:
            self._size += len(message.get("body", b""))
        await self._send(message)
        self._complete = message["type"] == "http.response.body" and not message.get("more_body", False)

    def report(self) -> None:
        """Log and count the request."""
        seconds = time.perf_counter() - self._started
        status = self._final_status()
        observe_request(route_of(self._scope), method_of(self._scope), status, seconds)
        if self._scope["path"] in QUIET and status < 400:
            return
        state = self._scope.get("state", {})
        fields = {
            "method": method_of(self._scope),
            "route": route_of(self._scope),
            "status": status,
            "ms": round(1000 * seconds, 2),
            "bytes": self._size,
            "caller": getattr(state.get("caller"), "name", None),
            "verdict": self._verdict,
        }
        fault = state.get("fault")
        level = logging.ERROR if fault else logging.WARNING if status >= 500 else logging.INFO
        known = {name: value for name, value in fields.items() if value is not None}
        _log.log(level, "request", extra={"fields": known}, exc_info=fault)

    def _final_status(self) -> int:
        # Only the protocol knows that a client left while its answer was being made, and nobody was listening.
        connection = self._scope.get("extensions", {}).get("quoteline.connection")
        if self._gone or (connection and connection["is_lost"]()):
            return CLIENT_GONE
        # Without any answer, the server was stopped in the middle of the work.
        return self._status or 500
