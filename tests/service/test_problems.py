import json
import logging

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message

from index.errors import (
    ForbiddenError,
    ModelNotFoundError,
    NoKeyError,
    OverloadError,
    QuestionError,
    QuotelineError,
    RateError,
)
from service.gate import LARGEST_QUESTION
from service.problems import MEDIA_TYPE, install, openai_error, respond
from service.settings import Settings

ERRORS = [
    (NoKeyError("k"), 401, "invalid_request_error", "invalid_api_key"),
    (ForbiddenError("f"), 403, "invalid_request_error", "insufficient_permissions"),
    (ModelNotFoundError("m"), 404, "invalid_request_error", "model_not_found"),
    (QuestionError("q"), 400, "invalid_request_error", "invalid_question"),
    (RateError("r", retry_after=3), 429, "rate_limit_error", "rate_limit_exceeded"),
    (OverloadError("o"), 503, "server_error", "server_busy"),
    (QuotelineError("x"), 500, "server_error", None),
]


def _client(error: QuotelineError) -> TestClient:
    app = FastAPI()
    app.state.settings = Settings()
    install(app)

    @app.get("/v1/ask")
    @app.get("/ask")
    def ask() -> None:
        raise error

    return TestClient(app)


@pytest.mark.parametrize(("error", "status", "kind", "code"), ERRORS)
def test_errors_below_v1_are_what_openai_clients_read_and_all_others_problem_documents(
    error: QuotelineError, status: int, kind: str, code: str | None
) -> None:
    theirs, ours = (_client(error).get(path) for path in ("/v1/ask", "/ask"))
    assert (theirs.status_code, theirs.headers["Content-Type"]) == (status, "application/json")
    told = theirs.json()["error"]
    assert set(told) == {"message", "type", "param", "code"}
    assert (told["type"], told["code"]) == (kind, code)
    assert (ours.status_code, ours.headers["Content-Type"]) == (422 if status == 400 else status, MEDIA_TYPE)
    assert told["message"] == ours.json()["detail"]
    for name in ("Retry-After", "WWW-Authenticate"):
        assert theirs.headers.get(name) == ours.headers.get(name)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("GET", "/v1/nothing", b"", 404, None),
        ("GET", "/v1/chat/completions", b"", 405, None),
        ("POST", "/v1/chat/completions", b"{", 400, "1"),
        ("POST", "/v1/chat/completions", b"{}", 400, "messages"),
        ("POST", "/v1/chat/completions", b" " * (LARGEST_QUESTION + 1), 413, None),
    ],
)
def test_so_are_errors_that_no_route_raises(
    served: TestClient, method: str, path: str, body: bytes, status: int, param: str | None
) -> None:
    response = served.request(method, path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    assert response.json()["error"]["param"] == param
    assert response.json()["error"]["message"]


def test_headers_that_were_added_to_a_refusal_are_kept() -> None:
    sent: list[Message] = []

    async def note(message: Message) -> None:
        sent.append(message)

    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    response = respond(OverloadError("busy", retry_after=7))
    response.headers["Connection"] = "close"
    steps = response({"type": "http", "path": "/v1/models", "headers": [], "method": "GET"}, nothing, note)
    with pytest.raises(StopIteration):
        steps.send(None)
    headers = dict(sent[0]["headers"])
    assert (headers[b"connection"], headers[b"retry-after"]) == (b"close", b"7")
    assert int(headers[b"content-length"]) == len(sent[1]["body"])
    assert json.loads(sent[1]["body"])["error"]["message"] == "busy"


def test_what_is_told_in_a_stream_is_not_what_the_log_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "quoteline"):
        told = openai_error(QuotelineError("/secret"))
    assert "secret" not in told.message
    assert "secret" in caplog.text
