import asyncio
import json
import logging
import logging.config
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message

from index.errors import OverloadError
from service import problems
from service.requestlog import LOGGING, Faults, JsonFormatter, RequestLog

PRIVATE = "Who-stole-the-cheese"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What was logged since, as it would be written, parsed."""
    written: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    handler = Keep()
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("quoteline")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in written]
    logger.removeHandler(handler)
    logger.setLevel(level)


def _app() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/articles/{article_id}")
    def get_article(article_id: str, request: Request) -> PlainTextResponse:
        logging.getLogger("quoteline").info("looking")
        request.state.caller = SimpleNamespace(name="reporter", secret="ql_hidden")  # noqa: S106 - must not be logged
        return PlainTextResponse("found", headers={"Quoteline-Verdict": "answered"})

    @app.get("/fault")
    def fault(q: str = "") -> None:
        hidden = f"local {q}"
        raise ValueError("it broke " + "x" * 1000 + hidden)

    @app.post("/body")
    async def read(request: Request) -> None:
        await request.body()

    @app.get("/healthz")
    def alive() -> None: ...

    @app.get("/readyz")
    def ready() -> None:
        raise OverloadError("not yet")

    app.add_middleware(Faults)
    app.add_middleware(RequestLog)
    return app


@pytest.fixture
def client() -> TestClient:
    return TestClient(_app())


def test_a_request_is_one_line_that_says_what_came_of_it(client: TestClient, lines: Lines) -> None:
    client.get(
        f"/articles/{PRIVATE}?q={PRIVATE}", headers={"Authorization": f"Bearer {PRIVATE}", "X-Request-ID": "abc-1"}
    )
    looking, line = lines()
    assert (looking["event"], looking["request_id"]) == ("looking", "abc-1")
    assert line.pop("time").endswith("+00:00")
    assert 0 < line.pop("ms") < 10_000
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "abc-1",
        "method": "GET",
        "route": "/articles/{article_id}",
        "status": 200,
        "bytes": 5,
        "caller": "reporter",
        "verdict": "answered",
    }


def test_nothing_private_is_in_the_log_whatever_becomes_of_the_request(client: TestClient, lines: Lines) -> None:
    headers = {"Authorization": f"Bearer {PRIVATE}", "User-Agent": PRIVATE, "Cookie": PRIVATE}
    for path in (f"/articles/{PRIVATE}", f"/fault?q={PRIVATE}", f"/{PRIVATE}", f"/body?q={PRIVATE}"):
        client.request("POST" if "body" in path else "GET", path, headers=headers)
    assert [line["route"] for line in lines() if line["event"] == "request"] == [
        "/articles/{article_id}",
        "/fault",
        "unmatched",
        "/body",
    ]
    assert PRIVATE not in json.dumps(lines())


@pytest.mark.parametrize("given", ["a", "A.b_c-1", "x" * 64])
def test_a_request_id_is_kept_and_sent_back(client: TestClient, given: str) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": given}).headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", 'a"}', "é", None])
def test_a_request_id_that_is_none_is_replaced(client: TestClient, given: str | None) -> None:
    headers = {} if given is None else {b"X-Request-ID": given.encode()}
    first, second = (client.get("/healthz", headers=headers).headers["x-request-id"] for _ in range(2))
    assert len(first) == 32
    assert first not in (given, second)


def test_an_unexpected_error_is_one_line_with_its_traceback_and_a_problem_for_the_caller(
    client: TestClient, lines: Lines
) -> None:
    problem = client.get("/fault")
    assert (problem.status_code, problem.json()["title"]) == (500, "Internal error")
    assert problem.headers["x-request-id"]
    (line,) = lines()
    assert (line["level"], line["status"], line["route"]) == ("error", 500, "/fault")
    assert "ValueError: it broke" in line["traceback"]
    assert "in fault" in line["traceback"]
    assert max(map(len, line["traceback"].splitlines())) <= 200


def test_probes_are_logged_only_when_they_fail(client: TestClient, lines: Lines) -> None:
    client.get("/healthz")
    client.get("/readyz")
    assert [(line["route"], line["status"], line["level"]) for line in lines()] == [("/readyz", 503, "warning")]


def test_a_client_that_leaves_before_its_body_is_there_is_499_and_no_fault(lines: Lines) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None: ...

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        raise ClientDisconnect if (await receive())["type"] == "http.disconnect" else AssertionError

    scope = {"type": "http", "method": "POST", "path": "/body", "headers": []}
    asyncio.run(RequestLog(Faults(app))(scope, receive, send))
    (line,) = lines()
    assert (line["status"], line["level"]) == (499, "info")
    assert "traceback" not in line


def test_a_client_that_leaves_while_a_thread_works_is_499(lines: Lines) -> None:
    app = FastAPI()
    working, go_on = threading.Event(), threading.Event()

    @app.get("/slow")
    def slow() -> str:
        working.set()
        assert go_on.wait(5)
        return "too late"

    server = uvicorn.Server(
        uvicorn.Config(RequestLog(app), http="service.protocol:Protocol", ws="none", log_config=None, lifespan="off")
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.005)
        with socket.create_connection(listener.getsockname()) as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            assert working.wait(5)
        while server.server_state.connections:
            time.sleep(0.005)
        go_on.set()
        server.should_exit = True
        thread.join()
    (line,) = lines()
    assert (line["route"], line["status"]) == ("/slow", 499)


def test_an_error_that_no_middleware_inside_caught_is_logged_as_well(lines: Lines) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("outside")

    app: ASGIApp = RequestLog(broken)
    assert TestClient(app, raise_server_exceptions=False).get("/").status_code == 500
    (line,) = lines()
    assert (line["status"], line["level"]) == (500, "error")
    assert "ValueError: outside" in line["traceback"]


def test_no_text_can_pass_for_a_second_line() -> None:
    record = logging.LogRecord("quoteline", logging.INFO, "", 0, "a\nb\u2028c %s", ("d\r\x1b[31m",), None)
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["event"] == "a\nb\u2028c d\r\x1b[31m"


def test_the_servers_own_lines_have_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    # As another server in this process may have left it.
    logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logging.config.dictConfig(LOGGING)
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
        logging.getLogger("quoteline").info("open")
        logging.getLogger("httpx").info("not ours")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.getLogger("quoteline").setLevel(logging.NOTSET)
        sys.stderr.flush()
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["Invalid HTTP request received.", "open"]
