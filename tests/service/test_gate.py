import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from fastapi.testclient import TestClient
from prometheus_client import generate_latest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import gate
from service.gate import LARGEST_QUESTION, LONGEST_ADDRESS, MIB, SLOWEST, BodyBounds, Gate, SafeHeaders
from service.metrics import REGISTRY
from tests.service.live import running

PATIENCE = 0.3


async def _echo_length(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


def _bounded(*, max_body: int = 1, patience: float = PATIENCE, app: ASGIApp = _echo_length) -> TestClient:
    return TestClient(BodyBounds(app, max_body=max_body, patience=patience))


def _refused(reason: str) -> float:
    return REGISTRY.get_sample_value("quoteline_refused_total", {"reason": reason}) or 0


@contextmanager
def _serving(app: ASGIApp) -> Iterator[int]:
    """Yield the port at which uvicorn serves `app`, with its own protocol."""
    config = uvicorn.Config(app, port=0, http="httptools", ws="none", log_config=None, lifespan="off")
    with running(config) as port:
        yield port


def _head(path: str = "/ask", *, length: int | None = None, kind: str = "application/json") -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n".encode()


def _answer(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    answer = b""
    while got := connection.recv(65536):
        answer += got
    return answer


# In flight


def _gated(app: ASGIApp, in_flight: int, requests: int, path: str = "/ask") -> list[int]:
    """Return the statuses of so many requests that arrive at once."""

    async def one(entry: ASGIApp) -> int:
        statuses: list[int] = []

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def receive() -> Message:
            raise AssertionError("a body was read")

        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
        await entry({**scope, "headers": []}, receive, send)
        return statuses[0]

    async def all_of_them() -> list[int]:
        entry = Gate(app, in_flight=in_flight)
        first = await asyncio.gather(*(one(entry) for _ in range(requests)))
        # Whoever was let in has left again.
        assert await one(entry) == 200
        return list(first)

    return asyncio.run(all_of_them())


async def _work(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0.01)
    await PlainTextResponse("done")(scope, receive, send)


def test_more_than_may_be_in_flight_are_told_to_come_back_before_any_work() -> None:
    before = _refused("overload")
    assert sorted(_gated(_work, in_flight=3, requests=5)) == [200, 200, 200, 503, 503]
    assert _refused("overload") - before == 2


def test_a_request_that_fails_leaves_its_place() -> None:
    calls = iter([True, False])

    async def fails_once(scope: Scope, receive: Receive, send: Send) -> None:
        if next(calls):
            raise ValueError
        await _work(scope, receive, send)

    client = TestClient(Gate(fails_once, in_flight=1), raise_server_exceptions=False)
    assert [client.get("/ask").status_code for _ in range(2)] == [500, 200]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_operators_are_let_in_however_busy_it_is(path: str) -> None:
    assert _gated(_work, in_flight=1, requests=4, path=path) == [200] * 4


def test_what_is_refused_is_a_problem_that_says_when_to_come_back() -> None:
    busy = TestClient(Gate(_work, in_flight=0)).get("/ask")
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
    assert (busy.headers["content-type"], busy.json()["title"]) == ("application/problem+json", "Busy")


def test_requests_at_work_are_a_gauge() -> None:
    seen = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(REGISTRY.get_sample_value("quoteline_in_flight"))
        await _work(scope, receive, send)

    TestClient(Gate(look, in_flight=1)).get("/ask")
    assert seen == [1]
    assert b"quoteline_in_flight 0.0" in generate_latest(REGISTRY)


def test_an_address_may_be_long_but_not_longer() -> None:
    client = TestClient(Gate(_work, in_flight=1))
    room = LONGEST_ADDRESS - len("/ask") - len("q=")
    assert client.get("/ask?q=" + "x" * room).status_code == 200
    assert client.get("/ask?q=" + "x" * (room + 1)).json()["status"] == 414
    assert client.get("/" + "x" * LONGEST_ADDRESS).status_code == 414


# Bodies


@pytest.mark.parametrize(
    ("path", "limit"), [("/articles", 8 * MIB), ("/articles/a", 8 * MIB), ("/ask", LARGEST_QUESTION)]
)
def test_a_body_at_its_limit_passes_and_one_byte_more_does_not_whether_announced_or_not(path: str, limit: int) -> None:
    client = _bounded(max_body=8, patience=30)
    assert client.post(path, content=b"x" * limit).text == str(limit)
    before = _refused("too_large")
    for content in (b"x" * (limit + 1), iter([b"x" * limit, b"x"])):
        problem = client.post(path, content=content)
        assert (problem.status_code, problem.json()["title"]) == (413, "Too large")
    assert _refused("too_large") - before == 2


def test_json_lines_may_be_as_long_as_they_like_but_only_where_articles_go() -> None:
    lines = b"{}\n" * MIB
    for kind in ("application/x-ndjson", "Application/JSONL; charset=utf-8"):
        headers = {"Content-Type": kind}
        assert _bounded().post("/articles", content=lines, headers=headers).text == str(len(lines))
        assert _bounded().post("/ask", content=lines, headers=headers).status_code == 413


def test_the_longest_valid_question_fits() -> None:
    longest = {
        "question": "🚀" * 2000,
        "filters": {"article_ids": ["🚀" * 200] * 1000, "date_from": "2022-01-01", "date_to": "2022-01-02"},
    }
    assert len(json.dumps(longest)) < LARGEST_QUESTION


def test_an_announced_body_is_refused_without_the_app_and_its_sender_can_read_why() -> None:
    async def untouched(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the app was called")

    app = BodyBounds(untouched, max_body=1, patience=PATIENCE)
    with _serving(app) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(_head("/articles", length=3 * MIB, kind="text/plain"))
        # As clients do that read nothing before all is sent.
        for _ in range(3):
            connection.sendall(b"x" * MIB)
        answer = _answer(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close\r\n" in answer
    assert b"larger than 1 MiB" in answer


def test_a_refused_sender_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "LINGER", 0.2)
    with (
        _serving(BodyBounds(_echo_length, max_body=1, patience=5)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        began = time.monotonic()
        connection.sendall(_head("/articles", length=3 * MIB, kind="text/plain"))
        assert _answer(connection).startswith(b"HTTP/1.1 413 ")
        assert 0.2 <= time.monotonic() - began < 2


# Slow senders


def _send_slowly(port: int, pieces: list[bytes], pause: float) -> tuple[bytes, float]:
    """Return the answer, and how long it took."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(_head(length=10 * 1024))
        for piece in pieces:
            time.sleep(pause)
            try:
                connection.sendall(piece)
            except OSError:
                break
        return _answer(connection), time.monotonic() - began


def test_a_sender_that_falls_silent_is_dropped_and_told_so() -> None:
    before = _refused("slow")
    with _serving(BodyBounds(_echo_length, max_body=1, patience=PATIENCE)) as port:
        answer, seconds = _send_slowly(port, [], 0)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["title"] == "Sent too slowly"
    assert PATIENCE <= seconds < PATIENCE + 1
    assert _refused("slow") - before == 1


def test_a_byte_now_and_then_does_not_hold_a_place() -> None:
    with _serving(BodyBounds(_echo_length, max_body=1, patience=PATIENCE)) as port:
        answer, seconds = _send_slowly(port, [b"x"] * 20, PATIENCE / 3)
    # A byte that arrives after the connection was closed can take the answer with it.
    assert answer.startswith(b"HTTP/1.1 408 ") or answer == b""
    assert seconds < 2
    assert _waits([b"x"] * 20, pause=PATIENCE / 3) < PATIENCE + 0.2


def test_a_sender_that_keeps_the_pace_is_not_dropped_however_long_it_takes() -> None:
    pieces = [b"x" * int(SLOWEST * PATIENCE)] * 4
    assert _waits(pieces, pause=PATIENCE / 2) >= 4 * PATIENCE / 2


def _waits(pieces: list[bytes], pause: float, work: float = 0.0) -> float:
    """Return after how long an app that reads such a body is done with it, whether it got all of it or not."""

    async def read() -> float:
        rest = iter(pieces)
        done = 0.0

        async def receive() -> Message:
            await asyncio.sleep(pause)
            piece = next(rest, None)
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal done
            try:
                async for _ in Request(scope, receive).stream():
                    await asyncio.sleep(work)
            finally:
                done = time.monotonic()

        async def send(_: Message) -> None: ...

        scope = {"type": "http", "method": "POST", "path": "/ask", "headers": []}
        began = time.monotonic()
        await BodyBounds(app, max_body=1, patience=PATIENCE)(scope, receive, send)
        return done - began

    return asyncio.run(read())


def test_time_that_the_app_takes_is_not_the_senders() -> None:
    seconds = _waits([b"x"] * 8, pause=0.001, work=PATIENCE / 3)
    assert seconds >= 8 * PATIENCE / 3


def test_waiting_for_the_client_to_go_away_has_no_limit() -> None:
    """As a streamed response does, once the body is read."""

    async def listens(scope: Scope, receive: Receive, send: Send) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.sleep(2 * PATIENCE)
            yield b"b"

        await Request(scope, receive).body()
        await StreamingResponse(body())(scope, receive, send)

    with (
        _serving(BodyBounds(listens, max_body=1, patience=PATIENCE)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        connection.sendall(_head(length=1).replace(b"HTTP/1.1", b"HTTP/1.0") + b"x")
        assert _answer(connection).endswith(b"\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


@pytest.mark.parametrize("notices", [True, False])
def test_an_answer_that_has_begun_is_broken_off_when_the_sender_falls_silent(notices: bool) -> None:
    async def answers_early(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        try:
            await Request(scope, receive).body()
        except ClientDisconnect:
            if notices:
                raise
        await send({"type": "http.response.body", "body": b"late", "more_body": False})

    with (
        _serving(BodyBounds(answers_early, max_body=1, patience=PATIENCE)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        connection.sendall(_head(length=10))
        answer = _answer(connection)
    assert answer.endswith(b"5\r\nearly\r\n")


def test_a_client_that_leaves_on_its_own_is_not_called_slow() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        raise AssertionError("nobody is there")

    scope = {"type": "http", "method": "POST", "path": "/ask", "headers": []}
    before = _refused("slow")
    with pytest.raises(ClientDisconnect):
        asyncio.run(BodyBounds(_echo_length, max_body=1, patience=1)(scope, receive, send))
    assert _refused("slow") == before


# Headers


def test_every_response_carries_safe_headers_and_one_of_its_own_wins() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {"Content-Security-Policy": "default-src 'self'"} if scope["path"] == "/page" else {}
        await PlainTextResponse("", headers=headers)(scope, receive, send)

    client = TestClient(SafeHeaders(app))
    plain, page = client.get("/").headers, client.get("/page").headers
    assert plain["x-content-type-options"] == "nosniff"
    assert plain["x-frame-options"] == "DENY"
    assert plain["referrer-policy"] == "no-referrer"
    assert plain["cross-origin-resource-policy"] == "same-origin"
    assert plain["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert page.get_list("content-security-policy") == ["default-src 'self'"]
