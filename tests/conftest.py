import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from index.articles import Article
from index.corpus import Corpus
from index.encoding import DEFAULT_MODEL, Encoder, load_encoder
from index.formats import read_articles
from index.reading import DEFAULT_READER, Reader, load_reader
from index.testing import HashingEncoder, OverlapReader
from tests.index.store.postgresql import Server, server

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def hashing_encoder() -> HashingEncoder:
    return HashingEncoder()


@pytest.fixture(scope="session")
def real_encoder() -> Encoder:
    """The default encoder; prepared under `var/models` of the checkout where it is not yet."""
    return load_encoder(DEFAULT_MODEL, CHECKOUT / "var" / "models")


@pytest.fixture(scope="session")
def overlap_reader() -> OverlapReader:
    return OverlapReader()


@pytest.fixture(scope="session")
def real_reader() -> Reader:
    """The default reader; prepared under `var/models` of the checkout where it is not yet."""
    reader = load_reader(DEFAULT_READER, CHECKOUT / "var" / "models")
    assert reader is not None
    return reader


@pytest.fixture
def corpus(tmp_path: Path, hashing_encoder: HashingEncoder) -> Iterator[Corpus]:
    opened = Corpus(tmp_path / "corpus", hashing_encoder)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def seeds() -> list[Article]:
    articles = []
    for path in sorted((CHECKOUT / "seeds").glob("*.txt")):
        with path.open("rb") as file:
            for article in read_articles(file, name=path.name, path=str(path)):
                assert isinstance(article, Article), article
                articles.append(article)
    return articles


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """One server for all tests; each has a schema of its own there."""
    with server() as opened:
        yield opened


@pytest.fixture
def address(postgresql: Server) -> Iterator[str]:
    """The address of a schema that is not there yet."""
    schema = f"test_{uuid.uuid4().hex}"
    yield f"{postgresql.address}?schema={schema}"
    postgresql.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
