import json
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index import embedded, lexical, vectors
from index.articles import Article, Span
from index.corpus import Corpus
from index.derived import Neighbour
from index.embedded import Embedded, EmbeddedSnapshot
from index.encoding import Vectors
from index.store import Filters, sqlite, store
from index.testing import HashingEncoder
from index.vectors import VectorIndex

ENCODER = HashingEncoder()
WORDS = [
    "drone",
    "weapon",
    "minister",
    "call",
    "iran",
    "russia",
    "friday",
    "attack",
    "city",
    "water",
    "eggs",
    "oranges",
]


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let segments come about with as few rows as a test has."""
    monkeypatch.setattr(vectors, "EXACT", 8)
    monkeypatch.setattr(vectors, "RECENT", 4)
    monkeypatch.setattr(store, "BLOCK", 5)


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with closing(Corpus(tmp_path, ENCODER)) as opened:
        yield opened


def article(number: int, collection: str = "default") -> Article:
    text = f"Number {number} tells of {WORDS[number % len(WORDS)]} and {WORDS[number // 3 % len(WORDS)]}."
    return Article(f"a{number}", text, Span(0, len(text)), collection=collection, named=True)


def add(corpus: Corpus, *numbers: int, collection: str = "default") -> None:
    assert {one.kind for one in corpus.add(article(number, collection) for number in numbers)} <= {"added", "replaced"}


def engine_of(corpus: Corpus) -> Embedded:
    assert isinstance(corpus._engine, Embedded)
    return corpus._engine


def segments_in(folder: Path) -> set[str]:
    return {path.name for path in (folder / "vectors").glob("segment-*")}


def nearest(corpus: Corpus, question: str, filters: Filters | None = None) -> list[int]:
    vectors = ENCODER.encode_questions([question])
    return [one.key for one in corpus.snapshot.search(lambda: vectors, [], 5, filters or Filters()).dense]


def test_tidying_makes_segments_that_find_the_same_and_are_kept(corpus: Corpus) -> None:
    add(corpus, *range(30))
    before = nearest(corpus, "Who tells of water?")
    assert corpus.tidy()
    assert not corpus.tidy()
    assert nearest(corpus, "Who tells of water?") == before
    assert corpus.check() == []
    assert segments_in(corpus.folder)
    with closing(Corpus(corpus.folder, ENCODER)) as again:
        assert nearest(again, "Who tells of water?") == before
        assert not again.tidy()


def test_what_is_added_after_tidying_is_found_and_what_is_removed_is_not(corpus: Corpus) -> None:
    add(corpus, *range(20))
    corpus.tidy()
    first = nearest(corpus, "Number 3 tells of call")[0]
    corpus.remove(["a3"])
    add(corpus, 40)
    assert first not in nearest(corpus, "Number 3 tells of call")
    assert nearest(corpus, article(40).text)[0] == max(corpus.store.keys_since(0, 0))
    assert corpus.check() == []


def test_another_process_takes_over_the_segments_that_were_merged(corpus: Corpus) -> None:
    with closing(Corpus(corpus.folder, ENCODER)) as other:
        add(corpus, *range(20))
        other.refresh()
        before = nearest(other, "Who tells of eggs?")
        corpus.tidy()
        there = segments_in(corpus.folder)
        assert other.tidy()
        # It is the very same files: nothing was merged once more.
        assert segments_in(corpus.folder) == there
        assert nearest(other, "Who tells of eggs?") == before
        assert other.check() == []
        add(other, 50)
        corpus.refresh()
        assert corpus.check() == other.check() == []


def lexical_segments(corpus: Corpus) -> int:
    return len(json.loads((corpus.folder / "lexical" / "meta.json").read_bytes())["segments"])


def told(corpus: Corpus) -> list[object]:
    """Return all that the lexical index says to some terms."""
    terms = ["water", "iran", "3", "number"]
    reader = snapshot_of(corpus).lexical
    return [reader.frequencies(terms), *(reader.search([term], 50) for term in terms)]


def snapshot_of(corpus: Corpus) -> EmbeddedSnapshot:
    assert isinstance(corpus.snapshot, EmbeddedSnapshot)
    return corpus.snapshot


@pytest.fixture
def few_lexical_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "ENOUGH", 2)


@pytest.mark.usefixtures("few_lexical_segments")
def test_tidying_puts_small_lexical_segments_together_and_finds_the_same(corpus: Corpus) -> None:
    for number in range(7):
        add(corpus, number)
    corpus.remove(["a3"])
    scattered = lexical_segments(corpus)
    assert scattered > 2
    assert corpus.tidy()
    assert lexical_segments(corpus) <= 2
    # A removed passage counted until its segment was written again.
    assert corpus.snapshot.frequencies(["number"]) == [6]
    assert corpus.check() == []
    assert not corpus.tidy()
    tidied = told(corpus)
    with closing(Corpus(corpus.folder, ENCODER, rebuild=True)) as again:
        assert told(again) == tidied


@pytest.mark.usefixtures("few_lexical_segments")
def test_another_process_reads_the_lexical_segments_that_were_put_together(corpus: Corpus) -> None:
    with closing(Corpus(corpus.folder, ENCODER)) as other:
        for number in range(7):
            add(corpus, number)
        other.refresh()
        before = snapshot_of(other)
        corpus.tidy()
        assert other.tidy()
        assert snapshot_of(other).lexical is not before.lexical
        assert other.snapshot.generation == before.generation
        assert told(other) == told(corpus)
        assert not other.tidy()
        # A view of before goes on, though its files are gone.
        assert before.lexical.search(["number"], 50)
        add(other, 8)
        corpus.refresh()
        assert told(other) == told(corpus)


@pytest.mark.usefixtures("few_lexical_segments")
def test_lexical_segments_are_left_alone_while_another_process_writes(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        add(corpus, number)
    scattered = lexical_segments(corpus)
    monkeypatch.setattr(sqlite, "PATIENCE", 0.05)
    with closing(Corpus(corpus.folder, ENCODER)) as other:
        with other.store.exclusive():
            corpus.tidy()
        assert lexical_segments(corpus) == scattered
        corpus.tidy()
        assert lexical_segments(corpus) <= 2


def test_segments_of_a_generation_that_is_not_followed_yet_are_left_for_later(corpus: Corpus) -> None:
    with closing(Corpus(corpus.folder, ENCODER)) as other:
        add(corpus, *range(20))
        corpus.tidy()
        # It has not seen what was added: its lexical index is of the generation before.
        assert not other.tidy()
        other.refresh()
        assert other.tidy()
        assert other.check() == []


def test_a_rebuild_catches_up_block_by_block(corpus: Corpus) -> None:
    add(corpus, *range(33))
    before = nearest(corpus, "Who tells of a city?")
    corpus.close()
    with closing(Corpus(corpus.folder, ENCODER, rebuild=True)) as again:
        assert nearest(again, "Who tells of a city?") == before
        # More than a block is never in memory without being merged.
        assert len(engine_of(again)._snapshot.vectors._recent) <= 5 + vectors.RECENT
        assert again.check() == []


def test_compaction_leaves_nothing_of_a_removed_vector_in_any_file(corpus: Corpus) -> None:
    add(corpus, *range(20))
    corpus.tidy()
    [(_, rows)] = [one for one in corpus.store.vectors_since(0) if 4 in one[0]]
    vector = rows[3].astype(np.float16).tobytes()
    assert any(vector in path.read_bytes() for path in (corpus.folder / "vectors").iterdir())
    corpus.remove(["a3"])
    assert corpus.compact()
    assert not any(vector in path.read_bytes() for path in (corpus.folder / "vectors").iterdir())
    assert corpus.check() == []


def test_passages_that_filters_admit_are_looked_up_once_for_each_generation(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(corpus, *range(6))
    add(corpus, *range(6, 12), collection="news")
    asked: list[Filters] = []
    look = corpus.store.passages_of

    def watched(filters: Filters) -> NDArray[np.int64]:
        asked.append(filters)
        return look(filters)

    monkeypatch.setattr(corpus.store, "passages_of", watched)
    news = Filters(collections=("news",))
    assert nearest(corpus, "Who tells of water?", news) == nearest(corpus, "Who tells of water?", news)
    assert set(nearest(corpus, "Who tells of water?", news)) <= set(look(news).tolist())
    assert asked == [news]
    add(corpus, 12, collection="news")
    nearest(corpus, "Who tells of water?", news)
    assert asked == [news, news]


def test_no_more_filters_are_kept_than_a_few(corpus: Corpus) -> None:
    add(corpus, *range(3))
    for number in range(embedded.KEPT_FILTERS + 5):
        corpus.snapshot.admits(Filters(sources=(f"source {number}",)))
    assert len(engine_of(corpus)._snapshot.admitted._kept) == embedded.KEPT_FILTERS


def test_those_who_wait_are_searched_along_and_find_what_they_would_find_alone(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(corpus, *range(40))
    asked = ENCODER.encode_questions([f"a {word} and more" for word in WORDS])
    alone = [corpus.snapshot.search(partial(np.copy, one[np.newaxis]), [], 5, Filters()).dense for one in asked]
    searched: list[int] = []
    search = VectorIndex.search

    def counted(self: VectorIndex, queries: Vectors, k: int, **rest: Any) -> list[list[Neighbour]]:  # noqa: ANN401
        searched.append(len(queries))
        return search(self, queries, k, **rest)

    monkeypatch.setattr(VectorIndex, "search", counted)
    together = [corpus.snapshot.search(lambda: asked, [], 5, Filters()).dense]
    together += [corpus.snapshot.search(partial(np.copy, one[np.newaxis]), [], 5, Filters()).dense for one in asked[1:]]
    assert together == alone
    assert searched == [len(asked)]


def test_what_was_searched_before_a_change_is_not_what_is_found_after_it(corpus: Corpus) -> None:
    add(corpus, *range(12))
    asked = ENCODER.encode_questions([f"what of {WORDS[1]}?", f"what of {WORDS[2]}?"])
    corpus.snapshot.search(lambda: asked, [], 50, Filters())
    add(corpus, 12, 13, 14)
    assert len(corpus.snapshot.search(lambda: asked[1:], [], 50, Filters()).dense) == 15


def test_nobody_is_searched_along_where_a_filter_is_asked_with(corpus: Corpus) -> None:
    add(corpus, 1, 2, collection="news")
    add(corpus, 3, 4, 5)
    asked = ENCODER.encode_questions(["what of iran?", "what of russia?"])
    news = Filters(collections=("news",))
    assert len(corpus.snapshot.search(lambda: asked, [], 50, news).dense) == 2
    assert len(corpus.snapshot.search(lambda: asked[1:], [], 50, Filters()).dense) == 5
    assert len(corpus.snapshot.search(lambda: asked[1:], [], 50, news).dense) == 2


def test_few_who_went_away_are_remembered(corpus: Corpus) -> None:
    add(corpus, 1)
    for number in range(embedded.KEPT_AHEAD):
        asked = ENCODER.encode_questions([f"now {number}", f"then {number}", f"never {number}"])
        corpus.snapshot.search(partial(np.copy, asked), [], 5, Filters())
    assert isinstance(corpus.snapshot, EmbeddedSnapshot)
    assert len(corpus.snapshot._ahead._kept) == embedded.KEPT_AHEAD
