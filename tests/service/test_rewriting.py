import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.conversation import Turn
from service.rewriting import LONGEST_REWRITE, Rewriter, _question_in

TURNS = [Turn("Did Iran supply drones to Russia?", ("Iran denied that it supplied drones.",))]
WHOLE = "Why did Iran supply drones to Russia?"


class Model(ThreadingHTTPServer):
    """An OpenAI-compatible server on this machine, which answers what it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content: Any = WHOLE
        self.status = 200
        self.raw: bytes | None = None
        self.before = 0.0
        self.between = 0.0
        self.requests: list[tuple[str, str | None, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def answer(self) -> bytes:
        if self.raw is not None:
            return self.raw
        return json.dumps({"choices": [{"message": {"role": "assistant", "content": self.content}}]}).encode()


class Handler(BaseHTTPRequestHandler):
    server: Model

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers["Authorization"], body))
        time.sleep(self.server.before)
        answer = self.server.answer()
        try:
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            for byte in answer if self.server.between else b"":
                self.wfile.write(bytes([byte]))
                time.sleep(self.server.between)
            self.wfile.write(b"" if self.server.between else answer)
        except (BrokenPipeError, ConnectionResetError):
            pass  # who asked has gone

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the library's name
        pass


@pytest.fixture
def model() -> Iterator[Model]:
    server = Model()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def rewriter(model: Model) -> Iterator[Rewriter]:
    made = Rewriter(model.url, "small", "secret")
    yield made
    made.close()


def test_a_model_rewrites_the_question(model: Model, rewriter: Rewriter) -> None:
    assert rewriter.rewrite("Why?", TURNS) == WHOLE
    ((path, authorization, body),) = model.requests
    assert (path, authorization) == ("/v1/chat/completions", "Bearer secret")
    assert (body["model"], body["temperature"], body["stream"]) == ("small", 0, False)
    told = body["messages"][-1]["content"]
    assert "Did Iran supply drones to Russia?" in told
    assert told.endswith("Last question: Why?")


def test_without_a_key_none_is_sent(model: Model) -> None:
    rewriter = Rewriter(model.url, "small")
    assert rewriter.rewrite("Why?", TURNS) == WHOLE
    rewriter.close()
    assert model.requests[0][1] is None


def test_a_first_question_is_not_sent_anywhere(model: Model, rewriter: Rewriter) -> None:
    assert rewriter.rewrite("Why?", []) is None
    assert model.requests == []


@pytest.mark.parametrize(
    "content",
    [
        f"{WHOLE}\nBecause it could.",
        f'"{WHOLE}"',
        f"Rewritten question: {WHOLE}",
        f"  {WHOLE}  ",
        f"**{WHOLE}**",
    ],
)
def test_of_what_a_model_says_the_first_line_is_the_question(model: Model, rewriter: Rewriter, content: str) -> None:
    model.content = content
    assert rewriter.rewrite("Why?", TURNS) == WHOLE


@pytest.mark.parametrize(
    "content",
    [
        "",
        "   \n ",
        "?",
        "Because Iran wanted to.",
        "Who? Why? When?",
        f"{'Why ' * 100}?",
        "Why <script>alert(1)</script>?",
        "See https://example.org?",
        "Why\u202e did it?",
        None,
        7,
        [{"type": "text", "text": WHOLE}],
    ],
)
def test_what_is_not_one_question_is_not_taken(model: Model, rewriter: Rewriter, content: object) -> None:
    model.content = content
    assert rewriter.rewrite("Why?", TURNS) is None


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"{}", b'{"choices": []}', b"\xff\xfe", b"x" * 200_000])
def test_junk_is_not_taken(model: Model, rewriter: Rewriter, raw: bytes) -> None:
    model.raw = raw
    assert rewriter.rewrite("Why?", TURNS) is None


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
def test_an_error_is_not_taken(model: Model, rewriter: Rewriter, status: int) -> None:
    model.status = status
    assert rewriter.rewrite("Why?", TURNS) is None


@pytest.mark.parametrize(("before", "between"), [(3.0, 0.0), (0.0, 0.05)], ids=["silent", "dripping"])
def test_a_slow_model_is_not_waited_for(model: Model, before: float, between: float) -> None:
    model.before, model.between = before, between
    rewriter = Rewriter(model.url, "small", patience=0.3)
    started = time.monotonic()
    assert rewriter.rewrite("Why?", TURNS) is None
    assert time.monotonic() - started < 2
    rewriter.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "not a url", ""])
def test_a_server_that_is_not_there_is_no_error(url: str) -> None:
    rewriter = Rewriter(url, "small", patience=0.3)
    assert rewriter.rewrite("Why?", TURNS) is None
    rewriter.close()


def test_errors_are_logged_once_and_say_nothing_of_the_conversation(
    model: Model, rewriter: Rewriter, caplog: pytest.LogCaptureFixture
) -> None:
    model.status = 500
    with caplog.at_level(logging.WARNING, logger="service.rewriting"):
        for _ in range(3):
            rewriter.rewrite("Why?", TURNS)
    (record,) = [record for record in caplog.records if record.name == "service.rewriting"]
    assert "rewrite_url" in record.getMessage()
    assert not {"Iran", "secret", "Why?"} & set(record.getMessage().split())


def test_half_of_a_surrogate_pair_is_no_error(rewriter: Rewriter) -> None:
    assert rewriter.rewrite("Why \ud800?", [Turn("\udfff?")]) == WHOLE


def test_a_conversation_of_any_length_is_sent_in_few_words(model: Model, rewriter: Rewriter) -> None:
    rewriter.rewrite("Why? " * 1000, [Turn("Who? " * 1000, ("Somebody. " * 1000,) * 50)] * 50)
    assert len(model.requests[0][2]["messages"][-1]["content"]) < 7000


@settings(deadline=None)
@given(st.text())
def test_whatever_is_taken_is_one_short_question(answer: str) -> None:
    question = _question_in(answer)
    assert question is None or (
        question.endswith("?")
        and question.count("?") == 1
        and len(question) <= LONGEST_REWRITE
        and question.isprintable()
    )
