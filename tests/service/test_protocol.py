import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from service.protocol import LONGEST_HEAD, Protocol
from tests.service.live import running

PATIENCE = 0.5
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def _with_state(app: ASGIApp) -> ASGIApp:
    """Return `app` with a lifespan that says how patient to be."""

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        for event in ("startup", "shutdown"):
            await receive()
            scope["state"]["patience"] = PATIENCE
            await send({"type": f"lifespan.{event}.complete"})

    return both


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


@contextmanager
def _serving(app: ASGIApp = _hello, *, connections: int | None = None) -> Iterator[Callable[[], socket.socket]]:
    """Yield what connects to a server with our protocol."""
    config = uvicorn.Config(
        _with_state(app),
        http="service.protocol:Protocol",
        ws="none",
        log_config=None,
        limit_concurrency=connections,
        server_header=False,
    )
    with running(config) as port:
        assert config.http_protocol_class is Protocol
        yield lambda: socket.create_connection(("127.0.0.1", port), timeout=5)


def _all(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    answer = b""
    try:
        while got := connection.recv(65536):
            answer += got
    except ConnectionResetError:
        pass
    return answer


def _one(connection: socket.socket) -> bytes:
    """Return one answer; more may follow."""
    answer = b""
    while b"hello" not in answer:
        got = connection.recv(65536)
        assert got, answer
        answer += got
    return answer


def _open_for(connection: socket.socket) -> float:
    began = time.monotonic()
    assert _all(connection) == b""
    return time.monotonic() - began


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b", b"\r\n"])
def test_a_head_that_is_not_complete_in_time_ends_the_connection(begun: bytes) -> None:
    with _serving() as connect, connect() as connection:
        connection.sendall(begun)
        assert PATIENCE * 0.9 <= _open_for(connection) < PATIENCE + 1


def test_a_byte_of_the_head_now_and_then_buys_no_time() -> None:
    with _serving() as connect, connect() as connection:
        began = time.monotonic()
        for byte in REQUEST[:-1]:
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(PATIENCE / 6)
        assert time.monotonic() - began < 2 * PATIENCE
        assert _all(connection) == b""


def test_the_next_head_has_to_be_complete_in_time_from_its_first_byte_on() -> None:
    with _serving() as connect, connect() as connection:
        connection.sendall(REQUEST)
        _one(connection)
        # uvicorn keeps an idle connection for its own, longer, time.
        time.sleep(PATIENCE * 1.5)
        connection.sendall(REQUEST)
        assert b"hello" in _one(connection)
        connection.sendall(REQUEST[:5])
        assert PATIENCE * 0.9 <= _open_for(connection) < PATIENCE + 1


def test_a_head_that_began_together_with_the_request_before_it_has_its_time_as_well() -> None:
    with _serving() as connect, connect() as connection:
        connection.sendall(REQUEST + REQUEST[:5])
        _one(connection)
        assert _open_for(connection) < PATIENCE + 1


def test_line_ends_between_requests_do_not_hold_a_connection() -> None:
    with _serving() as connect, connect() as connection:
        connection.sendall(REQUEST)
        _one(connection)
        began = time.monotonic()
        while time.monotonic() - began < 4 * PATIENCE:
            try:
                connection.sendall(b"\r\n")
            except OSError:
                break
            time.sleep(PATIENCE / 6)
        assert time.monotonic() - began < 2 * PATIENCE


def test_work_that_takes_longer_than_patience_is_answered_and_so_is_what_was_sent_meanwhile() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(2 * PATIENCE)
        await _hello(scope, receive, send)

    with _serving(slow) as connect, connect() as connection:
        connection.sendall(REQUEST + REQUEST[:10])
        assert b"hello" in _one(connection)
        connection.sendall(REQUEST[10:])
        assert b"hello" in _one(connection)


def test_a_request_that_was_answered_early_has_to_end_in_time() -> None:
    with _serving() as connect, connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        _one(connection)
        began = time.monotonic()
        while time.monotonic() - began < 4 * PATIENCE:
            try:
                connection.sendall(b"x")
            except OSError:
                break
            time.sleep(PATIENCE / 6)
        assert time.monotonic() - began < 2 * PATIENCE


def test_after_an_early_answer_the_rest_is_skipped_and_the_next_request_is_served() -> None:
    with _serving() as connect, connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        _one(connection)
        connection.sendall(b"xyz")
        time.sleep(PATIENCE * 1.5)
        connection.sendall(REQUEST)
        assert b"hello" in _one(connection)


def test_an_answer_that_nobody_reads_ends_the_connection() -> None:
    done = threading.Event()
    lost = []

    async def much(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        lost.append(scope["extensions"]["quoteline.connection"]["is_lost"]())
        done.set()

    with _serving(much) as connect, connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(REQUEST)
        assert done.wait(5)
    assert lost == [True]


def test_the_application_can_ask_whether_its_client_is_gone() -> None:
    seen = []
    left = threading.Event()

    async def looks(scope: Scope, receive: Receive, send: Send) -> None:
        is_lost = scope["extensions"]["quoteline.connection"]["is_lost"]
        seen.append(is_lost())
        while not is_lost():
            await asyncio.sleep(0.01)
        seen.append(is_lost())
        left.set()

    with _serving(looks) as connect:
        with connect() as connection:
            connection.sendall(REQUEST)
            while not seen:
                time.sleep(0.01)
        assert left.wait(5)
    assert seen == [False, True]


def test_a_head_without_an_end_is_refused() -> None:
    with _serving() as connect, connect() as connection:
        try:
            for _ in range(LONGEST_HEAD // 1000 + 500):
                connection.sendall(b"GET / HTTP/1.1\r\nX-A: " if not _ else b"x" * 1000)
        except OSError:
            pass
        answer = _all(connection)
    # What was sent on after the answer can take the answer with it.
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""


@pytest.mark.parametrize(
    ("sent", "status"), [(b"nonsense\r\n\r\n", b"400"), (b"GET /" + b"x" * LONGEST_HEAD + b"x", b"431")]
)
def test_what_is_no_request_gets_a_problem_document(
    sent: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with _serving() as connect, connect() as connection, caplog.at_level(logging.CRITICAL):
        connection.sendall(sent)
        head, _, body = _all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"application/problem+json" in head
    assert b"X-Content-Type-Options: nosniff" in head
    assert json.loads(body)["status"] == int(status)


def test_more_connections_than_the_limit_are_told_to_come_back_but_not_operators() -> None:
    with _serving(connections=2) as connect, connect() as first, connect() as second, connect() as third:
        third.sendall(REQUEST)
        head, _, body = _all(third).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 2" in head
        assert b"x-frame-options: DENY" in head
        assert json.loads(body)["title"] == "Busy"
        for connection in (first, second):
            connection.sendall(REQUEST)
            assert b"hello" in _one(connection)
        with connect() as operator:
            operator.sendall(REQUEST.replace(b"/ ", b"/healthz ", 1))
            assert b"hello" in _one(operator)


def test_far_more_connections_than_the_limit_are_cut_off() -> None:
    with _serving(connections=2) as connect, connect(), connect(), connect(), connect() as fourth:
        assert _open_for(fourth) < PATIENCE * 0.9


def test_a_body_is_read_as_ever() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        await PlainTextResponse(f"hello {len(body)}")(scope, receive, send)

    with _serving(echo) as connect, connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)
        assert b"hello 200000" in _one(connection)
