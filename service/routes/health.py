"""For those who operate the service: whether it is alive, and whether it is ready.

These have threads of their own: however many questions wait for one, a server that is alive has to say so.
"""

from collections.abc import Callable
from typing import Literal, TypeVar, TypeVarTuple

import anyio
from fastapi import APIRouter, Request
from pydantic import BaseModel

from index.corpus import Corpus
from index.errors import OverloadError
from service.answering import Answerer
from service.problems import responses

router = APIRouter(tags=["health"])

Got = TypeVar("Got")
Given = TypeVarTuple("Given")


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """The corpus can answer."""

    status: Literal["ready"]
    generation: int
    articles: int
    sentences: int
    passages: int
    encoder: str
    reader: str | None


@router.get("/healthz", responses=responses(500), summary="Alive?")
async def healthz() -> Health:
    """Return 200 while the process is alive."""
    return Health(status="ok")


@router.get("/readyz", responses=responses(500, 503), summary="Ready?")
async def readyz(request: Request) -> Readiness:
    """Return 200 once the corpus can answer, and 503 until then and while the server stops."""
    corpus: Corpus | None = request.app.state.corpus
    answerer: Answerer | None = request.app.state.answerer
    if corpus is None or answerer is None:
        raise OverloadError("the corpus is not open yet, or not any more; try again", retry_after=2)
    return await in_probe_thread(request, _readiness, corpus, answerer)


async def in_probe_thread(request: Request, function: Callable[[*Given], Got], *given: *Given) -> Got:
    """Return what `function` returns, run in one of the threads that are kept for operators."""
    return await anyio.to_thread.run_sync(function, *given, limiter=request.app.state.probes)


def _readiness(corpus: Corpus, answerer: Answerer) -> Readiness:
    if not corpus.ready():
        raise OverloadError("what searches the corpus cannot be reached, or is being filled; try again", retry_after=2)
    articles, sentences, passages = corpus.store.counts()
    return Readiness(
        status="ready",
        generation=corpus.snapshot.generation,
        articles=articles,
        sentences=sentences,
        passages=passages,
        encoder=corpus.encoder.name,
        reader=answerer.reader_name,
    )
