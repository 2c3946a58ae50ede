import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from index import superseded
from index.articles import Article, Span
from index.confidence import RETRIEVAL
from index.corpus import Corpus
from index.encoding import Context, Encoded
from index.errors import ArticleDeletedError
from index.ranking import Ranker
from index.retrieval import Candidate, Retrieved, Retriever
from index.store import Filters, change
from index.superseded import Superseded
from index.testing import HashingEncoder, OverlapReader

# One article, told anew on each of three days; another that was deleted; one that is as it was.
DRONES = ("300 drones were shot down.", "400 drones were shot down.", "500 drones were shot down.")
EGGS = "Two eggs are enough for drones."
GONE = "No drones were ever shot down."


def article(name: str, text: str, **facts: object) -> Article:
    return replace(Article(name, text, Span(0, len(text))), **facts)  # type: ignore[arg-type]


class CountingEncoder(HashingEncoder):
    """Counts the passages that it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.passages = 0

    def encode_passages(self, passages: Sequence[Context]) -> list[Encoded]:
        self.passages += len(passages)
        return super().encode_passages(passages)


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def on_day(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Let it be a day of November 2022, at an hour of UTC."""

    def be(day: int, hour: int) -> None:
        now = dt.datetime(2022, 11, day, hour, tzinfo=dt.UTC).timestamp()
        monkeypatch.setattr(change, "time", SimpleNamespace(time=lambda: now))

    return be


@pytest.fixture
def told(tmp_path: Path, encoder: CountingEncoder, on_day: Callable[[int, int], None]) -> Iterator[Corpus]:
    """A corpus that was changed on the 1st, the 2nd (at its two ends) and the 4th."""
    with closing(Corpus(tmp_path / "corpus", encoder)) as corpus:
        on_day(1, 12)
        for one in (article("drones", DRONES[0], source="A"), article("eggs", EGGS), article("gone", GONE)):
            assert [outcome.kind for outcome in corpus.add([one])] == ["added"]
        on_day(2, 0)
        assert [outcome.kind for outcome in corpus.add([article("drones", DRONES[1], source="B")])] == ["replaced"]
        on_day(2, 23)
        corpus.remove(["gone"])
        on_day(4, 12)
        assert [outcome.kind for outcome in corpus.add([article("drones", DRONES[2], source="A")])] == ["replaced"]
        encoder.passages = 0
        yield corpus


def day(number: int) -> dt.date:
    return dt.date(2022, 11, number)


def ask(corpus: Corpus, filters: Filters, question: str = "How many drones were shot down?") -> Retrieved:
    return Retriever(corpus).retrieve(question, top_k=50, filters=filters)


def quote(corpus: Corpus, candidate: Candidate) -> str:
    record = corpus.store.record(candidate.sentence.article_id, candidate.version)
    assert record.sentences[candidate.sentence.ordinal] == candidate.sentence.span
    return candidate.sentence.span.of(record.article.text)


def quotes(corpus: Corpus, filters: Filters) -> list[str]:
    return [quote(corpus, candidate) for candidate in ask(corpus, filters).candidates]


@pytest.mark.parametrize(
    ("number", "wanted"),
    [
        (1, [DRONES[0], EGGS]),
        (2, [DRONES[1], EGGS]),
        (3, [DRONES[1], EGGS]),
        (4, [DRONES[2], EGGS]),
        (9, [DRONES[2], EGGS]),
    ],
)
def test_a_day_is_answered_from_what_there_was_at_its_end(told: Corpus, number: int, wanted: list[str]) -> None:
    assert quotes(told, Filters(as_of=day(number))) == wanted


def test_what_was_deleted_since_is_gone_for_good(told: Corpus) -> None:
    for number in (1, 2):
        assert GONE not in quotes(told, Filters(as_of=day(number)))
    told.remove(["drones"])
    assert quotes(told, Filters(as_of=day(1))) == [EGGS]
    with pytest.raises(ArticleDeletedError):
        told.store.record("drones", 1)


def test_before_the_first_article_nothing_is_admitted(told: Corpus) -> None:
    for early in (dt.date(2022, 10, 31), dt.date.min):
        found = ask(told, Filters(as_of=early))
        assert (found.candidates, found.passages, found.admitted) == ((), (), False)


def test_any_later_day_is_answered_like_today(told: Corpus, encoder: CountingEncoder) -> None:
    now = ask(told, Filters())
    for late in (day(4), dt.date(2100, 1, 1), dt.date.max):
        found = ask(told, Filters(as_of=late))
        assert (found.candidates, found.passages) == (now.candidates, now.passages)
    assert encoder.passages == 0


def test_other_filters_are_asked_of_the_version_of_that_day(told: Corpus) -> None:
    assert quotes(told, Filters(sources=("B",), as_of=day(2))) == [DRONES[1]]
    assert quotes(told, Filters(sources=("B",), as_of=day(4))) == []
    assert quotes(told, Filters(article_ids=("eggs",), as_of=day(2))) == [EGGS]
    assert not ask(told, Filters(sources=("B",), as_of=day(1))).admitted


def test_who_may_not_see_an_article_now_does_not_see_what_it_was(
    told: Corpus, on_day: Callable[[int, int], None]
) -> None:
    on_day(5, 12)
    assert [one.kind for one in told.add([article("drones", DRONES[2], collection="secret")])] == ["replaced"]
    assert quotes(told, Filters(collections=("default",), as_of=day(1))) == [EGGS]
    assert quotes(told, Filters(collections=("secret",), as_of=day(1))) == [DRONES[0]]


def test_an_older_version_scores_as_it_did_when_it_was_current(
    tmp_path: Path, on_day: Callable[[int, int], None]
) -> None:
    texts = [f"{number} drones were shot down. It was cold. Iran denies it." for number in (300, 400)]
    with closing(Corpus(tmp_path / "corpus", HashingEncoder())) as corpus:
        on_day(1, 12)
        list(corpus.add([article("a", texts[0], title="News")]))
        before = ask(corpus, Filters())
        on_day(2, 12)
        list(corpus.add([article("a", texts[1], title="News")]))
        after = ask(corpus, Filters(as_of=day(1)))
    assert [one.sentence for one in after.candidates] == [one.sentence for one in before.candidates]
    for one, other in zip(after.candidates, before.candidates, strict=True):
        assert (one.version, other.version, one.terms) == (1, None, other.terms)
        assert one.features.cosine == other.features.cosine
        assert one.features.passage_cosine == other.features.passage_cosine
        assert one.score == pytest.approx(other.score, abs=0.01)


def test_a_reader_reads_the_version_that_is_quoted(told: Corpus) -> None:
    for number, text in ((1, DRONES[0]), (2, DRONES[1]), (4, DRONES[2])):
        retrieved = ask(told, Filters(as_of=day(number)), text)
        ranking = Ranker(told, OverlapReader(), RETRIEVAL).rank(text, retrieved)
        best = max(ranking.sentences, key=lambda one: one.part is not None and len(one.part))
        assert best.part is not None
        record = told.store.record("drones", best.candidate.version)
        assert best.part.of(record.article.text) == text.rstrip(".")


def test_a_version_is_encoded_once(told: Corpus, encoder: CountingEncoder) -> None:
    retriever = Retriever(told)
    for _ in range(3):
        retriever.retrieve("Drones?", top_k=5, filters=Filters(as_of=day(1)))
    assert encoder.passages == 1


def test_nothing_is_kept_of_what_was_deleted(told: Corpus) -> None:
    former = Superseded(told)
    assert former.find(Filters(as_of=day(1)), {"drone": 1.0}).versions
    assert former._splits.kept()
    assert former._readings.kept()
    told.remove(["drones"])
    assert not former.find(Filters(as_of=day(1)), {"drone": 1.0}).versions
    assert not former._splits.kept()
    assert not former._readings.kept()


def test_of_many_versions_those_are_read_that_hold_the_questions_words(
    tmp_path: Path,
    encoder: CountingEncoder,
    on_day: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(superseded, "MOST_VERSIONS", 4)
    monkeypatch.setattr(superseded, "MOST_PASSAGES", 2)
    with closing(Corpus(tmp_path / "corpus", encoder)) as corpus:
        on_day(1, 12)
        list(
            corpus.add(
                article(f"a{n}", f"Number {n} hopes for denials." if n % 5 == 3 else f"{n} eggs.") for n in range(20)
            )
        )
        on_day(2, 12)
        list(corpus.add(article(f"a{n}", f"Nothing of {n}.") for n in range(20)))
        encoder.passages = 0
        found = ask(corpus, Filters(as_of=day(1)), "Who hoped to deny?")
        assert {one.sentence.article_id for one in found.candidates} <= {"a3", "a8", "a13", "a18"}
        assert len(found.candidates) == encoder.passages == 2


def test_values_that_were_not_asked_for_longest_are_dropped_first() -> None:
    kept: superseded._Kept[int, str] = superseded._Kept(2)
    kept.keep(1, "a")
    kept.keep(2, "b")
    assert kept.get(1) == "a"
    kept.keep(3, "c")
    assert [kept.get(key) for key in (1, 2, 3)] == ["a", None, "c"]


def test_joined_readings_are_those_of_both(told: Corpus) -> None:
    former = Superseded(told).find(Filters(as_of=day(1)), {"drone": 1.0})
    current = told.store.readings(told.store.passages_of(Filters()))
    [old] = former.readings.passages
    both = superseded.joined(current, former.readings, {old.key})
    assert both.passages == (*current.passages, old)
    assert both.counts.sum() == len(both.spans) == len(both.sentence_vectors) == len(both.term_counts)
    assert both.term_counts.sum() == len(both.terms)
    np.testing.assert_array_equal(both.vectors[-1], former.readings.vectors[0])
    assert superseded.joined(current, former.readings, set()).passages == current.passages
