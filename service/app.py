"""The HTTP application."""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from index.corpus import Corpus
from index.encoding import Encoder, load_encoder
from index.errors import QuotelineError
from service import problems
from service.answering import Answerer
from service.routes import articles, ask, health, terminal
from service.settings import Settings

# How often a server looks for changes that other processes made to the corpus, in seconds.
WATCH = 0.5

_DESCRIPTION = """Ask your articles a question; get the sentences that answer it, word for word, with citations that
anyone can check. A quote is always `text[start_char:end_char]` of its article's text: offsets index the source, in code
points, and in UTF-16 units beside them."""


def create_app(settings: Settings, *, encoder: Encoder | None = None) -> FastAPI:
    """Return the application; the corpus is opened when it starts, and closed when it ends.

    encoder: in place of the one that the settings name.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        corpus = Corpus(settings.corpus_folder, encoder or load_encoder(settings.model, settings.models_folder))
        answerer = Answerer(corpus, answered=settings.answered, perhaps=settings.perhaps)
        # The first questions, short or not so short, would otherwise pay for what the libraries put off until then.
        for question in (
            "Is anybody there?",
            "Is there anybody who can say what all of these articles are about, and when and why?",
        ):
            answerer.ask(question)
        app.state.settings, app.state.corpus, app.state.answerer = settings, corpus, answerer
        stop = threading.Event()
        watcher = threading.Thread(target=_watch, args=(corpus, stop), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
            corpus.close()

    app = FastAPI(title="Quoteline", version=version("quoteline"), description=_DESCRIPTION, lifespan=lifespan)
    problems.install(app)
    for routes in (ask, articles, health, terminal):
        app.include_router(routes.router)
    return app


def _watch(corpus: Corpus, stop: threading.Event) -> None:
    while not stop.wait(WATCH):
        try:
            corpus.refresh()
        except QuotelineError as error:
            # Asking goes on with what was there; the next look may find it mended.
            logging.getLogger("quoteline").warning("cannot catch up: %s", error)
