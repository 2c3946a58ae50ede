import datetime as dt
from types import SimpleNamespace

import pytest

from index.articles import Article, Span
from index.corpus import Corpus
from index.store import Filters, Store, change


@pytest.fixture
def store(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two articles of the 1st of November, one of which was replaced on the 3rd."""
    for day, name, text in ((1, 'a "\\', "Iran denies it."), (1, "b", "Two eggs."), (3, 'a "\\', "Iran admits it.")):
        now = dt.datetime(2022, 11, day, 12, tzinfo=dt.UTC).timestamp()
        monkeypatch.setattr(change, "time", SimpleNamespace(time=lambda now=now: now))
        list(corpus.add([Article(name, text, Span(0, len(text)), title=f"Title of {text}")]))
    return corpus.store


def test_the_list_of_a_day_has_the_versions_of_then(store: Store) -> None:
    def listed(day: int) -> list[tuple[str, int]]:
        filters = Filters(as_of=dt.date(2022, 11, day))
        found = store.summaries(filters=filters)
        assert store.count(filters=filters) == len(found)
        return [(one.id, one.version) for one in found]

    assert listed(1) == listed(2) == [('a "\\', 1), ("b", 1)]
    assert listed(3) == [('a "\\', 2), ("b", 1)]
    assert store.count(filters=Filters(as_of=dt.date(2022, 10, 31))) == 0
    assert store.count(filters=Filters(as_of=dt.date(2022, 11, 1)), title="admits") == 0


def test_a_day_is_a_filter_of_its_own() -> None:
    assert not Filters()
    assert Filters(as_of=dt.date(2022, 11, 1))


def test_versions_are_looked_up_by_number_or_as_the_current_one(store: Store) -> None:
    found = store.records_at([('a "\\', 1), ('a "\\', None), ("b", None), ("b", 2), ("c", None)])
    assert {name: (record.version, record.article.text) for name, record in found.items()} == {
        ('a "\\', 1): (1, "Iran denies it."),
        ('a "\\', None): (2, "Iran admits it."),
        ("b", None): (1, "Two eggs."),
    }
    assert store.records_at([]) == {}


def test_superseded_are_versions_that_were_current_then_and_are_not_now(store: Store) -> None:
    [(key, name, version)] = store.superseded(Filters(as_of=dt.date(2022, 11, 2)))
    assert (name, version) == ('a "\\', 1)
    assert store.superseded(Filters(as_of=dt.date(2022, 11, 3))) == store.superseded(Filters()) == []
    assert store.there([key, 999]) == {key}


def test_texts_are_ranked_by_what_they_hold_of_the_words(store: Store) -> None:
    keys = [1, 2, 3]
    assert store.holding_most(keys, {"egg": 1.0}, 1) == [2]
    assert store.holding_most(keys, {"EGG": 1.0, "iran": 0.6, "den": 0.6}, 1) == [1]
    assert store.holding_most(keys, {"100%": 1.0}, 2) == store.holding_most(keys, {}, 2) == [1, 2]
