"""For those who operate the service: whether it is alive, and whether it is ready."""

from fastapi import APIRouter
from pydantic import BaseModel

from service.deps import CorpusDep
from service.problems import responses

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process is alive."""

    status: str


class Readiness(BaseModel):
    """The corpus can answer."""

    status: str
    generation: int
    articles: int
    sentences: int
    passages: int
    encoder: str


@router.get("/healthz", summary="Alive?")
def healthz() -> Health:
    """Return 200 while the process is alive."""
    return Health(status="ok")


@router.get("/readyz", responses=responses(500, 503), summary="Ready?")
def readyz(corpus: CorpusDep) -> Readiness:
    """Return 200 once the corpus can answer."""
    articles, sentences, passages = corpus.store.counts()
    return Readiness(
        status="ready",
        generation=corpus.snapshot.generation,
        articles=articles,
        sentences=sentences,
        passages=passages,
        encoder=corpus.encoder.name,
    )
