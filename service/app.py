"""The HTTP application, and the server that it runs in."""

import ctypes
import gc
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from types import FrameType
from typing import Any

import anyio
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from index.articles import Span
from index.corpus import Corpus
from index.encoding import Context, Encoder, load_encoder
from index.entailment import Entailment
from index.errors import QuotelineError
from index.isolation import Isolated
from index.reading import Reader
from index.runtime import cores
from service import metrics, problems
from service.access import AccessMiddleware
from service.fetching import Fetcher
from service.gate import BodyBounds, Gate, SafeHeaders
from service.keys import KeyStore
from service.readers import open_answerer, open_entailment, open_reader
from service.requestlog import LOGGING, Faults, RequestLog
from service.routes import articles, ask, changes, chat, citations, docs, health, page, terminal, tools
from service.routes import metrics as metrics_routes
from service.settings import Settings
from service.straight import Straight
from service.tracing import Tracing, start_tracing
from service.turns import Turns

# How often a server looks for changes that other processes made to the corpus, in seconds.
WATCH = 0.2
# How often what can wait is looked for, in seconds.
TIDY = 1.0
# Deleted articles leave traces in index files. They are erased, which costs as much as building the lexical index anew,
# once nothing was changed for so long, and in any case after so long, in seconds.
QUIET = 20.0
LATEST = 600.0
# How long until another attempt to open a corpus that could not be opened, in seconds.
AGAIN = 5.0
# One of several processes listens once it can answer, and after so long in any case, in seconds: there are the others.
JOINS = 10.0
# How long requests that are at work when the server is told to stop may take, in seconds.
GRACE = 30
# How long to wait for a corpus that is still being opened when the server is told to stop, in seconds.
_GIVE_UP = 5.0
# A process that is still starting on a busy machine is not dead, in seconds.
_START = 60

_DESCRIPTION = """Ask your articles a question; get the sentences that answer it, word for word, with citations that
anyone can check. A quote is always `text[start_char:end_char]` of its article's text: offsets index the source, in code
points, and in UTF-16 units beside them."""
# The first questions, short or not so short, would otherwise pay for what the libraries put off until then.
_WARMING = (
    "Is anybody there?",
    "Is there anybody who can say what all of these articles are about, and when and why?",
)
# What stands for passages before there are any: this sentence, so many times.
_WARMING_SENTENCE, _WARMING_TIMES = "The weather was as fine as it had been the day before.", (1, 10, 23)


def serve(settings: Settings) -> None:
    """Serve until a signal says stop, then finish what is at work; exits with code 0."""
    # Imported here: whoever only builds the application needs no server.
    import uvicorn

    from service.processes import serve_several

    several = settings.workers > 1
    folder = tempfile.TemporaryDirectory(prefix="quoteline-metrics-") if several else None
    if folder is not None:
        # The processes are started anew and import everything themselves: what they know is their environment.
        os.environ.update({metrics.FOLDER: folder.name, **_environment(settings)})
    # uvicorn finishes its work and then sends itself the signal again, for whoever had a handler before it.
    signal.signal(signal.SIGTERM, _leave)
    try:
        if several:
            serve_several("service.app:create_worker_app", **server_options(settings))
        else:
            uvicorn.run(create_app(settings), **server_options(settings))
    finally:
        if folder is not None:
            folder.cleanup()


def server_options(settings: Settings) -> dict[str, Any]:
    """Return what uvicorn is told, whatever application it runs."""
    from service.protocol import CONNECTIONS

    return {
        "workers": settings.workers,
        "host": settings.host,
        "port": settings.port,
        "http": "service.protocol:Protocol",
        "ws": "none",
        "limit_concurrency": CONNECTIONS,
        "timeout_graceful_shutdown": GRACE,
        "timeout_worker_healthcheck": _START,
        "log_config": LOGGING,
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        # Anybody can write X-Forwarded-For.
        "proxy_headers": False,
    }


def create_worker_app() -> FastAPI:
    """Return the application of one of several processes, which knows its settings from the environment."""
    return create_app(Settings())


def create_app(
    settings: Settings,
    *,
    encoder: Encoder | None = None,
    reader: Reader | None = None,
    entailment: Entailment | None = None,
) -> FastAPI:
    """Return the application; once it starts, the corpus is opened beside it, and closed when it ends.

    Until then `app.state.corpus` and `app.state.answerer` are None, and /readyz answers 503.
    encoder: in place of the one that the settings name; as it is there already, the start waits for the corpus. Then
    `reader` and `entailment`, or none, are in place of those that they name.
    """
    provider = start_tracing()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        # Here, because a limiter belongs to the event loop that it is first used in.
        app.state.probes = anyio.CapacityLimiter(2)
        app.state.turns = Turns()
        # Whoever waits to be answered in a chat and goes away has not begun; more at once would not be faster.
        app.state.asking = anyio.CapacityLimiter(_lanes(settings))
        app.state.reader, app.state.fetcher = Isolated(), Fetcher() if settings.fetch else None
        models = _Models(reader if settings.read else None, entailment) if encoder else None
        keeper = _Keeper(app, settings, encoder, models)
        keeper.start()
        try:
            if encoder is not None or settings.workers > 1:
                await anyio.to_thread.run_sync(keeper.tried.wait, JOINS if encoder is None else None)
            yield {"patience": settings.patience}
        finally:
            await anyio.to_thread.run_sync(keeper.end)
            await anyio.to_thread.run_sync(app.state.reader.close)
            if provider is not None:
                await anyio.to_thread.run_sync(provider.shutdown)

    app = FastAPI(
        title="Quoteline",
        version=version("quoteline"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        # Generated clients are named by these: they stay as long as a function's name does.
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings, app.state.corpus, app.state.answerer = settings, None, None
    problems.install(app)
    for routes in (page, ask, chat, citations, articles, changes, health, metrics_routes, terminal, docs, tools):
        app.include_router(routes.router)
    # The one that is added last is the outermost: read upwards, as a request comes in.
    app.add_middleware(Straight)
    app.add_middleware(BodyBounds, max_body=settings.max_body, patience=settings.patience)
    app.add_middleware(AccessMiddleware, settings=settings, keys=KeyStore(settings.keys_file))
    app.add_middleware(Gate, in_flight=settings.in_flight)
    app.add_middleware(Faults)
    if origins := [origin.strip() for origin in settings.cors.split(",") if origin.strip()]:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID", "traceparent"],
            expose_headers=["X-Request-ID", "Quoteline-Verdict"],
        )
    app.add_middleware(SafeHeaders)
    if provider is not None:
        app.add_middleware(Tracing, provider=provider)
    app.add_middleware(RequestLog)
    return app


@dataclass(frozen=True, slots=True)
class _Models:
    """What reads: loaded once, whatever becomes of the corpus."""

    reader: Reader | None
    entailment: Entailment | None

    @classmethod
    def of(cls, settings: Settings) -> "_Models":
        return cls(open_reader(settings), open_entailment(settings))

    def warm(self, question: str) -> None:
        """Have everything read once that is slow when it is read for the first time."""
        passages = _made_up_passages()
        if self.reader is not None:
            self.reader.read(question, passages)
        if self.entailment is not None:
            self.entailment.judge([(passage.text, question) for passage in passages])


class _Keeper(threading.Thread):
    """Opens the corpus, however many attempts that takes; follows what other processes change; closes it."""

    def __init__(self, app: FastAPI, settings: Settings, encoder: Encoder | None, models: "_Models | None") -> None:
        super().__init__(name="corpus", daemon=True)
        self.tried = threading.Event()
        self._state, self._settings = app.state, settings
        self._encoder, self._models = encoder, models
        # Not so where an encoder is at hand: other applications may have come and gone in the same process.
        self._is_alone = encoder is None
        self._ending = threading.Event()
        self._trouble: str | None = None
        self._generation, self._changed = -1, 0.0
        self._traces_since: float | None = None

    def run(self) -> None:
        corpus = self._open_at_last()
        if corpus is None:
            return
        # A thread of its own: nothing else waits for what takes long.
        tidier = threading.Thread(target=self._tidy, args=(corpus,), name="tidier", daemon=True)
        tidier.start()
        try:
            while not self._ending.wait(WATCH):
                self._attend(corpus)
        finally:
            self._state.corpus = self._state.answerer = None
            tidier.join(_GIVE_UP)
            corpus.close()

    def end(self) -> None:
        """Close the corpus and wait until that is done, or give up opening it."""
        self._ending.set()
        # An encoder that is being prepared may take minutes yet; it has changed nothing that would have to be kept.
        self.join(None if self._state.corpus is not None else _GIVE_UP)

    def _open_at_last(self) -> Corpus | None:
        while not self._ending.is_set():
            try:
                return self._open()
            except QuotelineError as error:
                _log().error("the corpus cannot be opened, trying again in %g s: %s", AGAIN, error)
            except Exception:
                # Whatever it is, a thread that ends without a word would leave a server that never gets ready.
                _log().exception("the corpus cannot be opened, trying again in %g s", AGAIN)
            finally:
                self.tried.set()
            self._ending.wait(AGAIN)
        return None

    def _open(self) -> Corpus:
        # The encoder is kept where the others cannot be loaded yet.
        self._encoder = self._encoder or load_encoder(self._settings.model, self._settings.models_folder)
        models = self._models = self._models or _Models.of(self._settings)
        corpus = Corpus(self._settings.corpus_folder, self._encoder, index=self._settings.index)
        try:
            answerer = open_answerer(corpus, self._settings, models.reader, models.entailment)
            for question in _WARMING:
                answerer.ask(question)
            models.warm(_WARMING[0])
        except BaseException:
            corpus.close()
            raise
        _give_memory_back()
        if self._is_alone:
            # What is there now stays. To look through all of it for what does not would hold up a question for 100 ms.
            gc.collect()
            gc.freeze()
        self._state.answerer, self._state.corpus = answerer, corpus
        return corpus

    def _attend(self, corpus: Corpus) -> None:
        """Bring the corpus to its last generation; asking goes on with what was there where that fails."""
        trouble = None
        try:
            try:
                corpus.refresh()
            finally:
                # Of what was deleted nothing stays in memory, whether or not anybody asks.
                self._state.answerer.forget_outdated()
            self._compact_when_quiet(corpus)
        except QuotelineError as error:
            trouble = str(error)
        except Exception as error:
            # Without this thread nothing would ever be caught up with again; the next look may find it mended.
            trouble = f"{type(error).__name__}: {error}"
        if trouble not in (None, self._trouble):
            # Once, and not five times a second.
            _log().warning("the corpus cannot catch up with its last changes: %s", trouble)
        self._trouble = trouble

    def _tidy(self, corpus: Corpus) -> None:
        """Have the corpus do now and then what makes asking faster; what fails is tried again."""
        with suppress(OSError):
            corpus.store.read_ahead()
        while not self._ending.wait(TIDY):
            try:
                corpus.tidy()
            except Exception as error:
                if not self._ending.is_set():
                    _log().warning("the indexes cannot be tidied, trying again in %g s: %s", TIDY, error)

    def _compact_when_quiet(self, corpus: Corpus) -> None:
        """Erase what deletions left in the files once nothing was changed for a while, or after a long while."""
        if not corpus.store.has_traces():
            self._traces_since = None
            return
        now, generation = time.monotonic(), corpus.snapshot.generation
        if self._traces_since is None:
            self._traces_since = now
        if generation != self._generation:
            self._generation, self._changed = generation, now
        if now - self._changed >= QUIET or now - self._traces_since >= LATEST:
            # Where somebody reads an older state, not all can be erased: another attempt is made after as long again.
            self._changed = self._traces_since = now
            corpus.compact()


def _lanes(settings: Settings) -> int:
    """Return how many questions a process answers at a time: each takes a core."""
    # While one waits, for a server such as Milvus or for the other's Python, there is a second.
    least = 2 if settings.index or settings.workers == 1 else 1
    return max(cores() // settings.workers, least)


def _give_memory_back() -> None:
    """Give back to the system what preparing the models took and freed, 4 MB or so, where the C library can."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _made_up_passages() -> list[Context]:
    """Return passages of several lengths, up to all that a reader reads of one."""
    step = len(_WARMING_SENTENCE) + 1
    spans = [Span(n * step, n * step + step - 1) for n in range(max(_WARMING_TIMES))]
    return [Context("", " ".join([_WARMING_SENTENCE] * times), tuple(spans[:times])) for times in _WARMING_TIMES]


def _environment(settings: Settings) -> dict[str, str]:
    """Return the settings as the variables that they are read from."""
    values = settings.model_dump(mode="json", exclude_none=True)
    return {f"QUOTELINE_{name.upper()}": str(value) for name, value in values.items()}


def _leave(_: int, __: FrameType | None) -> None:
    sys.exit(0)


def _log() -> logging.Logger:
    return logging.getLogger("quoteline")
