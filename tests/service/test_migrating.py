from contextlib import closing
from pathlib import Path

import pytest

from index.articles import Article, Span
from index.corpus import Corpus
from index.errors import CorpusError, EncoderMismatchError
from index.store import Filters, open_store
from index.testing import HashingEncoder
from service.migrating import copy_articles

ENCODER = HashingEncoder(dim=32)


def article(name: str, text: str = "") -> Article:
    text = text or f"Number {name} it is."
    return Article(name, text, Span(0, len(text)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with closing(Corpus(tmp_path / "corpus", ENCODER)) as corpus:
        list(corpus.add(article(f"a{number}") for number in range(150)))
        list(corpus.add([article("a1", "It is new.")]))
    return tmp_path / "corpus"


def ids(address: str) -> list[str]:
    with closing(open_store(address, encoder=ENCODER.name, dim=ENCODER.dim)) as store:
        assert store.check() == []
        return [summary.id for summary in store.summaries(filters=Filters())]


def test_all_versions_are_copied_and_the_source_stays(folder: Path, address: str) -> None:
    told: list[tuple[int, int]] = []
    copied = copy_articles(folder, address, ENCODER, lambda done, total: told.append((done, total)))
    assert (copied.articles, copied.versions) == (150, 151)
    assert told[-1] == (300, 300)
    assert ids(address) == sorted(f"a{number}" for number in range(150))
    with closing(Corpus(folder, ENCODER)) as corpus:
        assert corpus.check() == []


def test_a_copy_that_broke_off_goes_on_and_one_that_is_whole_is_left_alone(folder: Path, address: str) -> None:
    def break_off(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_articles(folder, address, ENCODER, break_off)
    copied = copy_articles(folder, address, ENCODER, lambda *_: None)
    assert 0 < copied.there_before < copied.articles == 150
    again = copy_articles(folder, address, ENCODER, lambda *_: None)
    assert again.there_before == again.articles == 150


def test_a_place_with_another_corpus_is_refused_and_left_as_it_is(folder: Path, address: str, tmp_path: Path) -> None:
    with closing(Corpus(tmp_path / "other", ENCODER)) as corpus:
        list(corpus.add([article("b")]))
    copy_articles(tmp_path / "other", address, ENCODER, lambda *_: None)
    with pytest.raises(CorpusError, match="not empty"):
        copy_articles(folder, address, ENCODER, lambda *_: None)
    assert ids(address) == ["b"]


def test_a_corpus_that_grew_since_is_not_taken_for_the_same(folder: Path, address: str) -> None:
    copy_articles(folder, address, ENCODER, lambda *_: None)
    with closing(Corpus(folder, ENCODER)) as corpus:
        list(corpus.add([article("a2", "It is new, too.")]))
    with pytest.raises(CorpusError, match="not empty"):
        copy_articles(folder, address, ENCODER, lambda *_: None)


def test_without_a_corpus_there_is_nothing_to_copy_and_none_is_made(tmp_path: Path, address: str) -> None:
    with pytest.raises(CorpusError, match="QUOTELINE_DATA"):
        copy_articles(tmp_path / "nothing", address, ENCODER, lambda *_: None)
    assert list(tmp_path.iterdir()) == []


def test_another_encoder_is_refused(folder: Path, address: str) -> None:
    with pytest.raises(EncoderMismatchError):
        copy_articles(folder, address, HashingEncoder(dim=32, name="other"), lambda *_: None)
