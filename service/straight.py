"""The straight way of a question: what a framework does to find out what is asked takes longer than many an answer."""

import json
from collections.abc import Awaitable, Callable

from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.errors import QuotelineError
from service.deps import answerer_of, base_url_of
from service.problems import respond
from service.routes.ask import ASK, AskRequest, answer_to


class Straight:
    """Middleware that answers what is plainly a `POST /ask`, as its route does.

    All else goes on to `app`: what is not valid, too, which FastAPI tells of at length.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _may_be_plain(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        content = await request.body()
        body = _read(content)
        if body is None:
            await self._app(scope, _again(content, receive), send)
            return
        # For logs and metrics.
        scope["route"] = ASK
        try:
            answerer = await answerer_of(request)
            response = await answer_to(body, request, answerer, request.state.caller, base_url_of(request))
        except QuotelineError as error:
            response = respond(error)
        await response(scope, receive, send)


def _may_be_plain(scope: Scope) -> bool:
    # Without a caller, the request was refused.
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != ASK.path or scope.get("root_path"):
        return False
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return kinds == [b"application/json"] and "caller" in scope.get("state", {})


def _read(content: bytes) -> AskRequest | None:
    """Return what is asked; None where it is not valid."""
    try:
        # As FastAPI reads it: by Python's reader of JSON, whose values are looked at then.
        return AskRequest.model_validate(json.loads(content))
    except (ValueError, ValidationError, RecursionError):
        return None


def _again(content: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Return what receives a body once more that has been received."""
    waiting: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def received() -> Message:
        return waiting.pop() if waiting else await receive()

    return received
