"""Tools for language models at /mcp (Model Context Protocol, streamable HTTP)."""

from collections.abc import Awaitable, Callable

import anyio
from fastapi import APIRouter
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

Answering = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Tools:
    """An ASGI application; a class, because Starlette takes a function for one that is given a request."""

    def __init__(self) -> None:
        self._answer: Answering | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # For logs and metrics: Starlette, unlike FastAPI, does not say which route was taken.
        scope["route"] = _ROUTE
        if self._answer is None:
            self._answer = await anyio.to_thread.run_sync(_load)
        await self._answer(scope, receive, send)


def _load() -> Answering:
    # Imported at first use: the package takes 24 MB and half a second, which is nothing to those who never speak it.
    from service.toolserver import answer_request

    return answer_request


# POST alone: a stream (GET) would have nothing to say, and there are no sessions to end (DELETE).
_ROUTE = Route("/mcp", _Tools(), methods=["POST"], include_in_schema=False)
router = APIRouter()
router.routes.append(_ROUTE)
