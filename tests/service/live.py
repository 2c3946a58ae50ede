"""A server on a port of its own, in a thread, for clients that speak to nothing less."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from index.articles import Article
from index.corpus import Corpus
from index.testing import HashingEncoder, OverlapReader
from service.app import create_app
from service.settings import Settings


@contextmanager
def live_server(folder: Path, articles: Sequence[Article]) -> Iterator[str]:
    """Yield the address of a server of `articles`, with the encoder and the reader that need no model."""
    settings = Settings(data=folder, reader="none")
    fill(settings, articles)
    app = create_app(settings, encoder=HashingEncoder(), reader=OverlapReader())
    config = uvicorn.Config(app, http="service.protocol:Protocol", ws="none", log_config=None, server_header=False)
    with running(config) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(config: uvicorn.Config) -> Iterator[int]:
    """Yield the port of a server in a thread; it ends when the block does."""
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def fill(settings: Settings, articles: Sequence[Article]) -> None:
    """Make a corpus of `articles` where the settings say."""
    corpus = Corpus(settings.corpus_folder, HashingEncoder())
    assert {outcome.kind for outcome in corpus.add(articles)} <= {"added"}
    corpus.close()
