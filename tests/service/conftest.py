from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from index.articles import Article, Span
from index.corpus import Corpus
from index.encoding import Encoder
from index.reading import Reader
from index.testing import HashingEncoder, OverlapReader
from service.app import create_app
from service.settings import Settings

# Code points outside the basic plane, an accent of its own, a URL, a source and a date: what offsets trip over.
EMOJI_TEXT = (
    "🚀 The rocket rose at dawn. The cafe\u0301 by the pad was full 🎉 of guests. "
    "Nobody was hurt, said the 👩‍🚀 in charge. The rocket rose again."
)
EMOJI = Article(
    id="emoji",
    text=EMOJI_TEXT,
    body=Span(0, len(EMOJI_TEXT)),
    title="A launch",
    source="Space Daily",
    url="https://example.org/launch?id=1#top",
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of a server whose encoder is faked; so its reader is, or there is none."""
    return Settings(data=tmp_path, reader="none")


@pytest.fixture
def served(
    settings: Settings, seeds: list[Article], hashing_encoder: HashingEncoder, overlap_reader: OverlapReader
) -> Iterator[TestClient]:
    """A server on the seeds and the emoji article, with the hashing encoder and the reader that counts words."""
    yield from serve(settings, [*seeds, EMOJI], hashing_encoder, overlap_reader)


def serve(settings: Settings, articles: list[Article], encoder: Encoder, reader: Reader) -> Iterator[TestClient]:
    corpus = Corpus(settings.corpus_folder, encoder)
    for _ in corpus.add(articles):
        pass
    corpus.close()
    with client_of(create_app(settings, encoder=encoder, reader=reader)) as client:
        yield client


def client_of(app: FastAPI) -> TestClient:
    """Return a client on this machine, as the server sees it."""
    return TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000), raise_server_exceptions=False)
