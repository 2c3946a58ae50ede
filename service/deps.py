"""What routes are given: the corpus and the answerer of this process.

All are coroutines, though none waits: FastAPI sends each plain function to a thread of its own.
"""

from typing import Annotated

from fastapi import Depends, Request

from index.corpus import Corpus
from service.answering import Answerer
from service.settings import Settings


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _corpus(request: Request) -> Corpus:
    corpus: Corpus = request.app.state.corpus
    return corpus


async def _answerer(request: Request) -> Answerer:
    answerer: Answerer = request.app.state.answerer
    return answerer


async def _base_url(request: Request) -> str:
    settings: Settings = request.app.state.settings
    return (settings.public_url or str(request.base_url)).rstrip("/")


SettingsDep = Annotated[Settings, Depends(_settings)]
CorpusDep = Annotated[Corpus, Depends(_corpus)]
AnswererDep = Annotated[Answerer, Depends(_answerer)]
BaseUrlDep = Annotated[str, Depends(_base_url)]
