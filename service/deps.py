"""What routes are given: who asks, and the corpus of this process with those that answer from it.

All are coroutines, though none waits: FastAPI sends each plain function to a thread of its own.
"""

from functools import lru_cache
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from index.corpus import Corpus
from index.errors import OverloadError
from service.access import Caller
from service.adding import Adder
from service.answering import Answerer
from service.checking import Checker
from service.settings import Settings
from service.turns import Turns

# For the OpenAPI document: whether the key is a good one was decided before any route was chosen.
_KEY = HTTPBearer(
    scheme_name="key",
    bearerFormat="ql_…",
    auto_error=False,
    description="Made with `quoteline keys create`. Once there is one, all but help, reference and health takes a key.",
)
KeyDep = Annotated[HTTPAuthorizationCredentials | None, Security(_KEY)]


async def _caller(request: Request, _: KeyDep) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def _corpus(request: Request) -> Corpus:
    corpus: Corpus | None = request.app.state.corpus
    if corpus is None:
        raise OverloadError("the corpus is still being opened, or the server is stopping; try again", retry_after=2)
    return corpus


CorpusDep = Annotated[Corpus, Depends(_corpus)]


async def answerer_of(request: Request) -> Answerer:
    """Return what answers. Raises OverloadError while there is no corpus."""
    await _corpus(request)
    answerer: Answerer = request.app.state.answerer
    return answerer


async def _answerer(request: Request, _: CorpusDep) -> Answerer:
    return await answerer_of(request)


async def _checker(corpus: CorpusDep) -> Checker:
    return Checker(corpus)


async def _adder(request: Request, corpus: CorpusDep) -> Adder:
    return Adder(corpus, request.app.state.reader, request.app.state.fetcher)


async def _turns(request: Request) -> Turns:
    turns: Turns = request.app.state.turns
    return turns


def base_url_of(request: Request) -> str:
    """Return what links to this server begin with."""
    settings: Settings = request.app.state.settings
    if settings.public_url:
        return settings.public_url.rstrip("/")
    scope = request.scope
    server = tuple(scope.get("server") or ())
    return _own_url(scope["scheme"], request.headers.get("host"), scope.get("root_path", ""), server)


@lru_cache(maxsize=64)
def _own_url(scheme: str, host: str | None, root_path: str, server: tuple[str | int | None, ...]) -> str:
    """Return what a request says that this server's address is."""
    headers = [(b"host", host.encode("latin-1"))] if host is not None else []
    scope = {"type": "http", "scheme": scheme, "path": "/", "root_path": root_path, "server": server or None}
    return str(Request({**scope, "query_string": b"", "headers": headers}).base_url).rstrip("/")


async def _base_url(request: Request) -> str:
    return base_url_of(request)


CallerDep = Annotated[Caller, Depends(_caller)]
AnswererDep = Annotated[Answerer, Depends(_answerer)]
CheckerDep = Annotated[Checker, Depends(_checker)]
AdderDep = Annotated[Adder, Depends(_adder)]
TurnsDep = Annotated[Turns, Depends(_turns)]
BaseUrlDep = Annotated[str, Depends(_base_url)]
