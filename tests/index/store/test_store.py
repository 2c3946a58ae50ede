import ctypes
import datetime as dt
import mmap
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
import pytest

from index.articles import Article, Origin, Passage, Span
from index.errors import (
    ArticleDeletedError,
    ArticleNotFoundError,
    CorpusBusyError,
    CorpusDamagedError,
    CorpusError,
    CorpusVersionError,
    EncoderMismatchError,
)
from index.splitting import split_sentences
from index.store import FORMAT, Filters, Store, connection, open_store, postgres, sqlite
from index.store.rows import RECORD, id_hash, record_from, record_of
from tests.index.store.articles import DIM, TEXT, add, article, put, readings


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Path | str:
    """Where a store may be made: a file, or a schema of a server."""
    found: Path | str = request.getfixturevalue("path" if request.param == "sqlite" else "address")
    return found


@pytest.fixture
def store(place: Path | str) -> Iterator[Store]:
    with closing(open_store(place, encoder="one", dim=DIM)) as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "quoteline.db"


@pytest.fixture
def embedded(path: Path) -> Iterator[Store]:
    """A store in a file, for what is only true of files."""
    with closing(Store(path, encoder="one", dim=DIM)) as opened:
        yield opened


def tamper(place: Path | str, statement: str, *values: object) -> None:
    """Change the database behind the store's back."""
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as connection:
            assert connection.execute(statement, values).rowcount == 1
            connection.commit()
        return
    server, _, schema = place.partition("?schema=")
    with psycopg.connect(server) as connection:
        connection.execute(f"SET search_path TO {schema}")
        assert connection.execute(statement.replace("?", "%s"), values).rowcount == 1


# What goes in comes out


def test_an_article_comes_back_as_it_was_added(store: Store) -> None:
    full = article(
        "a",
        body=Span(2, len(TEXT)),
        title="Títle",
        date=dt.date(2022, 10, 28),
        source="Reuters",
        url="https://example.org/a",
        author="A. B.",
        language="en",
        media_type="application/pdf",
        pages=(0, 9),
        origins={"title": Origin("first line", Span(0, 4)), "date": Origin("html")},
        path="/a/a.pdf",
    )
    add(store, full, article("bare"))
    record = store.record("a")
    assert record.article == full
    assert (record.version, record.current, record.digest, record.generation) == (1, True, full.digest(), 1)
    assert list(record.sentences) == split_sentences(TEXT, full.body)
    assert store.record("bare").article == article("bare")
    assert [one.article.id for one in store.records()] == ["a", "bare"]


@pytest.mark.parametrize("text", ["\ufeffBOM. 𝒳 two.", "CR\r\nLF. \u2028Two.", "A\0B. Two.", "Two.\0"])
def test_text_is_stored_code_point_by_code_point(store: Store, text: str) -> None:
    add(store, article("a", text))
    assert store.record("a").article.text == text
    assert store.summaries()[0].characters == len(text)
    assert store.holding("wo.") == ["a"]
    assert store.check() == []


def test_readings_come_back_in_columns_by_key_without_those_that_are_gone(store: Store) -> None:
    with store.change() as change:
        put(change, article("a"), (0, 2), (1, 4))
        put(change, article("b"), (0, 1))
    wanted = readings(article("a"), (0, 2), (1, 4))
    [first, second] = store.passages_of(Filters(article_ids=("a",)))
    found = store.readings([second, 999, first])
    assert found.passages == (Passage(first, "a", 0, 2), Passage(second, "a", 1, 4))
    assert found.counts.tolist() == [2, 3]
    assert np.array_equal(found.vectors, np.stack([one.vector for one in wanted]))
    assert np.array_equal(found.sentence_vectors, np.concatenate([one.sentence_vectors for one in wanted]))
    assert np.array_equal(found.spans, np.concatenate([one.spans for one in wanted]))
    assert np.array_equal(found.terms, np.concatenate([one.terms for one in wanted]))
    assert found.term_counts.tolist() == [2] * 5
    assert str(found.vectors.dtype) == str(found.sentence_vectors.dtype) == "float32"


def test_texts_and_dates_are_those_of_the_records(store: Store) -> None:
    add(store, article("a", date=dt.date(2022, 10, 28)), article("b"))
    replace_with(store, article("a", "Another text."), 2)
    names = [("a", None), ("a", 1), ("a", 3), ("b", None), ("c", None)]
    there = {name: store.record(*name) for name in names if name not in {("a", 3), ("c", None)}}
    assert store.records_at(names) == there
    assert store.dated_texts_at(names) == {name: (one.article.text, one.article.date) for name, one in there.items()}
    assert there["a", 1].article.date == dt.date(2022, 10, 28)
    assert len(list(store._versions("v.id", names))) == len(there)


def test_a_date_that_makes_no_sense_is_damage(store: Store, place: Path | str) -> None:
    add(store, article("a", date=dt.date(2022, 10, 28)))
    tamper(place, "UPDATE versions SET date = '2022-10-99'")
    with pytest.raises(CorpusDamagedError, match="article 'a'"):
        store.dated_texts_at([("a", None)])
    with pytest.raises(CorpusDamagedError):
        store.records_at([("a", None)])


def test_a_text_of_another_kind_is_damage(embedded: Store, path: Path) -> None:
    add(embedded, article("a"))
    tamper(path, "UPDATE versions SET text = x'00'")
    with pytest.raises(CorpusDamagedError, match="article 'a'"):
        embedded.dated_texts_at([("a", None)])


def test_rows_are_the_same_by_name_and_by_place(store: Store) -> None:
    add(store, article("a"), article("b", "Another text."))
    query = f"SELECT {RECORD} FROM versions v WHERE v.id > ? ORDER BY v.id"  # noqa: S608 - names of columns
    by_place = store.db.tuples(query, ("",))
    assert [record_from(values) for values in by_place] == [record_of(row) for row in store.db.rows(query, ("",))]
    assert [record_from(values).article.id for values in by_place] == ["a", "b"]


def test_no_readings_have_the_shape_of_none(store: Store) -> None:
    none = store.readings([])
    assert (none.passages, none.vectors.shape, none.sentence_vectors.shape) == ((), (0, DIM), (0, DIM))
    assert (none.spans.shape, len(none.terms), len(none.term_counts), len(none.counts)) == ((0, 2), 0, 0, 0)
    assert list(store.vectors_since(0)) == []


def test_summaries_go_by_id_and_in_pages(store: Store) -> None:
    add(store, *(article(name, title=name.upper()) for name in ("b", "a", "d", "c")))
    assert [one.id for one in store.summaries(limit=3)] == ["a", "b", "c"]
    [last] = store.summaries(after="c")
    assert (last.id, last.title, last.characters, last.sentences) == ("d", "D", len(TEXT), 4)
    assert store.counts() == (4, 16, 4)


def test_what_is_not_there_is_refused_by_name(store: Store) -> None:
    with pytest.raises(ArticleNotFoundError, match=r"'a'.*quoteline articles"):
        store.record("a")
    with pytest.raises(ArticleNotFoundError), store.change() as change:
        change.remove("a")
    with pytest.raises(ArticleNotFoundError), store.change() as change:
        change.replace_passages("a", [])
    assert store.known(article_id="a") is None
    assert store.generation == 0


def test_an_article_is_known_by_its_id_its_path_and_its_digest(store: Store) -> None:
    one = article("a", path="/a/a.txt")
    add(store, one, article("b", TEXT + " More."))
    for known in (
        store.known(article_id="a"),
        store.known(path="/a/a.txt"),
        store.known(digest=one.digest()),
    ):
        assert known is not None
        assert (known.id, known.version, known.digest, known.path) == ("a", 1, one.digest(), "/a/a.txt")
    assert store.known(path="/a/b.txt") is None


# Versions


def replace_with(store: Store, one: Article, version: int) -> None:
    with store.change() as change:
        change.supersede(one.id)
        put(change, one, version=version)


def remove(store: Store, article_id: str) -> None:
    with store.change() as change:
        change.remove(article_id)


def test_a_superseded_version_is_readable_and_has_no_passages(store: Store) -> None:
    add(store, article("a"))
    replace_with(store, article("a", "Iran admits it.", title="News"), version=2)
    assert [(one.version, one.current, one.title) for one in store.versions("a")] == [
        (2, True, "News"),
        (1, False, None),
    ]
    assert (store.record("a").version, store.record("a").current) == (2, True)
    assert (store.record("a", 1).article, store.record("a", 1).current) == (article("a"), False)
    assert store.readings(list(store.keys_since(0, 0))).passages == (Passage(2, "a", 0, 1),)
    assert (store.counts(), store.count(), len(store.summaries())) == ((1, 1, 1), 1, 1)
    assert [one.version for one in store.records()] == [2]
    assert store.records_of(["a", "nobody"])["a"].version == 2
    assert store.holding("denies") == []
    assert store.holding("admits") == ["a"]
    assert store.check() == []


def test_a_version_that_never_was_is_refused_by_those_that_are(store: Store) -> None:
    add(store, article("a"))
    replace_with(store, article("a", "Iran admits it."), version=2)
    with pytest.raises(ArticleNotFoundError, match=r"'a' has no version 3; it has 1, 2") as caught:
        store.record("a", 3)
    assert not isinstance(caught.value, ArticleDeletedError)


def test_what_was_deleted_is_told_apart_from_what_never_was(store: Store) -> None:
    add(store, article("a"), article("b"))
    replace_with(store, article("a", "Iran admits it."), version=2)
    remove(store, "a")
    for look in (lambda: store.record("a"), lambda: store.record("a", 1), lambda: store.versions("a")):
        with pytest.raises(ArticleDeletedError, match="'a' was deleted"):
            look()
    with pytest.raises(ArticleNotFoundError) as caught:
        store.record("a", 3)
    assert not isinstance(caught.value, ArticleDeletedError)
    deletion = store.deletion("a")
    assert deletion is not None
    assert (deletion.version, store.deletion("b"), store.last_version("a"), store.last_version("b")) == (2, None, 2, 1)
    assert store.last_version("nobody") == 0


def test_what_is_added_again_goes_on_with_its_numbers_and_its_old_versions_stay_deleted(store: Store) -> None:
    add(store, article("a"))
    remove(store, "a")
    with store.change() as change:
        put(change, article("a"), version=store.last_version("a") + 1)
    assert store.record("a").version == store.record("a", 2).version == 2
    with pytest.raises(ArticleDeletedError, match="version 1 of article 'a' was deleted"):
        store.record("a", 1)
    remove(store, "a")
    assert store.last_version("a") == 2


def test_a_removal_does_not_forget_a_higher_version(store: Store) -> None:
    add(store, article("a"))
    with store.change() as change:
        # As a restore leaves it: there were versions that are no more.
        change.retire(id_hash("a"), 7, None)
    assert store.deletion("a") is None
    remove(store, "a")
    assert store.last_version("a") == 7


def test_only_the_fact_of_a_deletion_is_kept_in_the_files(embedded: Store, path: Path) -> None:
    store = embedded
    add(store, article("secret-id", path="/secret/path", title="secret title"))
    assert not store.has_traces()
    remove(store, "secret-id")
    assert store.has_traces()
    assert store.erase_traces()
    assert not store.has_traces()
    for file in path.parent.iterdir():
        assert b"secret" not in file.read_bytes()
        assert b"Iran denies" not in file.read_bytes()


def test_traces_stay_as_long_as_somebody_reads_an_older_state(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOMENT", 0.05)
    add(store, article("a"))
    reads, ends = threading.Event(), threading.Event()

    def read() -> None:
        with store.frozen():
            reads.set()
            ends.wait(30)

    reader = threading.Thread(target=read)
    reader.start()
    reads.wait(30)
    remove(store, "a")
    assert not store.erase_traces()
    assert store.has_traces()
    ends.set()
    reader.join(30)
    assert store.erase_traces()


# Collections


def test_collections_are_counted_and_listed_by_themselves(store: Store) -> None:
    add(store, article("a"), article("b", collection="wars"), article("c", collection="wars"))
    assert store.collections() == {"default": 1, "wars": 2}
    wars = Filters(collections=("wars", "nothing"))
    assert [one.id for one in store.summaries(filters=wars)] == ["b", "c"]
    assert (store.count(filters=wars), store.count(filters=Filters(collections=("War",)))) == (2, 0)
    assert store.holding("Iran", wars) == ["b", "c"]
    remove(store, "a")
    assert store.collections() == {"wars": 2}


def test_an_article_is_known_in_its_collection_only(store: Store) -> None:
    one = article("a", collection="wars", path="/a/a.txt", url="https://example.org/a")
    add(store, one)
    for named in ({"path": one.path}, {"url": one.url}, {"digest": one.digest()}, {"article_id": "a"}):
        known = store.known(**named, collection="wars")
        assert known is not None
        assert (known.id, known.collection) == ("a", "wars")
        assert store.known(**named) == known
        assert store.known(**named, collection="default") is None


def test_titles_are_searched_in_any_case(store: Store) -> None:
    add(store, article("a", title="ÉLYSÉE Palace"), article("b", title="100% sure"), article("c"))
    assert [one.id for one in store.summaries(title="élysée")] == ["a"]
    assert [one.id for one in store.summaries(title="%")] == ["b"]
    assert store.count(title="a") == 1
    assert store.count(title="A", filters=Filters(collections=("wars",))) == 0


# Filters


@pytest.fixture
def dated(store: Store) -> Store:
    add(
        store,
        article("first", date=dt.date(2022, 10, 1), source="Reuters"),
        article("second", date=dt.date(2022, 10, 28), source="ÉLYSÉE"),
        article("undated", source="reuters"),
        article("unsourced", date=dt.date(2023, 1, 1)),
    )
    return store


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (Filters(), "first second undated unsourced"),
        (Filters(article_ids=("second", "nobody", "first")), "first second"),
        (Filters(article_ids=("Second",)), ""),
        (Filters(sources=("REUTERS",)), "first undated"),
        (Filters(sources=("élysée", "nobody")), "second"),
        (Filters(date_from=dt.date(2022, 10, 28)), "second unsourced"),
        (Filters(date_to=dt.date(2022, 10, 28)), "first second"),
        (Filters(date_from=dt.date(2022, 10, 28), date_to=dt.date(2022, 10, 28)), "second"),
        (Filters(sources=("reuters",), date_to=dt.date(2030, 1, 1)), "first"),
        (Filters(article_ids=("first",), sources=("élysée",)), ""),
        (Filters(article_ids=("';--", "%")), ""),
        (Filters(collections=("default",), sources=("reuters",)), "first undated"),
        (Filters(collections=("Default",)), ""),
    ],
)
def test_filters_admit_the_articles_that_meet_all_of_them(dated: Store, filters: Filters, wanted: str) -> None:
    found = dated.readings(dated.passages_of(filters))
    assert sorted(passage.article_id for passage in found.passages) == wanted.split()


# One change, one transaction


def break_midway(store: Store) -> None:
    with store.change() as change:
        put(change, article("b"))
        change.remove("a")
        change.set_encoder("two")
        raise RuntimeError("midway")


def test_a_change_that_raises_midway_leaves_nothing(store: Store, place: Path | str) -> None:
    add(store, article("a"))
    before = (store.counts(), store.generation, list(store.keys_since(0, 0)))
    with pytest.raises(RuntimeError, match="midway"):
        break_midway(store)
    assert (store.counts(), store.generation, list(store.keys_since(0, 0))) == before
    store.check_encoder()
    with closing(open_store(place, encoder="one", dim=DIM)) as again:
        assert (again.counts(), again.generation) == before[:2]
        assert again.removed_since(0) == []


def test_every_change_raises_the_generation_by_one(store: Store) -> None:
    assert store.generation == 0
    add(store, article("a"), article("b"))
    assert store.generation == 1
    with store.change() as change:
        change.remove("a")
    assert store.generation == 2
    assert store.record("b").generation == 1


def test_what_was_added_and_removed_since_a_generation_is_told(store: Store) -> None:
    add(store, article("a"))
    add(store, article("b", title="B"))
    with store.change() as change:
        change.remove("a")
        put(change, article("c"))
    a, b, c = 1, 2, 3
    assert list(store.keys_since(0, 0)) == [b, c]
    assert list(store.keys_since(2, 0)) == [c]
    assert list(store.keys_since(3, 0)) == []
    assert [store.removed_since(generation) for generation in (0, 2, 3)] == [[a], [a], []]
    assert list(store.texts_since(1)) == [(b, "B", TEXT), (c, None, TEXT)]


def test_the_key_of_a_removed_passage_is_never_used_again(store: Store) -> None:
    add(store, article("a"))
    [key] = list(store.keys_since(0, 0))
    with store.change() as change:
        change.remove("a")
    add(store, article("a"))
    assert list(store.keys_since(0, 0)) == [key + 1]


def test_replaced_passages_leave_the_article_alone(store: Store) -> None:
    add(store, article("a"))
    before = store.record("a")
    with store.change() as change:
        change.replace_passages("a", readings(article("a"), (0, 2), (2, 4)))
    assert store.record("a") == before
    assert store.check() == []
    assert [(one.first, one.last) for one in store.readings(list(store.keys_since(0, 0))).passages] == [(0, 2), (2, 4)]


# What a derived index asks for


def test_whether_anything_is_admitted_is_told_without_looking_at_all(dated: Store) -> None:
    assert dated.admits(Filters())
    assert dated.admits(Filters(sources=("REUTERS",)))
    assert not dated.admits(Filters(sources=("nobody",)))
    assert not dated.admits(Filters(date_to=dt.date(2022, 9, 30)))
    for summary in dated.summaries():
        remove(dated, summary.id)
    assert not dated.admits(Filters())


def test_keys_of_passages_are_an_ascending_array(store: Store) -> None:
    assert (store.passages_of(Filters()).tolist(), str(store.passages_of(Filters()).dtype)) == ([], "int64")
    with store.change() as change:
        for name in ("b", "a"):
            put(change, article(name), (0, 2), (2, 4))
    replace_with(store, article("b"), 2)
    assert store.passages_of(Filters()).tolist() == [3, 4, 5]
    assert store.passages_of(Filters(article_ids=("b",))).tolist() == [5]
    assert store.readings(store.passages_of(Filters())[:1]).passages == (Passage(3, "a", 0, 2),)


def test_a_sample_of_terms_is_drawn_by_chance_and_each_passage_once(store: Store) -> None:
    assert store.sample_terms(5, 1) == (0, [])
    draw = np.random.default_rng(7)
    for batch in range(4):
        with store.change() as change:
            for number in range(10):
                one = article(f"a{batch}{number}")
                [reading] = readings(one, (0, 4))
                terms = draw.integers(0, 2**32, 8, dtype=np.uint32)
                change.add(
                    one, version=1, sentences=split_sentences(one.text), readings=[replace(reading, terms=terms)]
                )
    for number in range(9):
        remove(store, f"a1{number}")
    there = {terms.tobytes() for terms in store.readings(store.passages_of(Filters())).terms.reshape(-1, 8)}
    for wanted in (1, 3, 20, 31, 100):
        total, found = store.sample_terms(wanted, seed=3)
        assert (total, len(found)) == (31, min(wanted, 31))
        assert {terms.tobytes() for terms in found} <= there
        assert len({terms.tobytes() for terms in found}) == len(found)
        again = store.sample_terms(wanted, seed=3)[1]
        assert [terms.tobytes() for terms in again] == [terms.tobytes() for terms in found]
    drawn = {terms.tobytes() for seed in range(60) for terms in store.sample_terms(3, seed)[1]}
    assert drawn == there


def test_what_lies_far_apart_is_sampled_too(store: Store, place: Path | str) -> None:
    add(store, *(article(f"a{number}") for number in range(5)))
    tamper(place, "UPDATE passages SET key = 1000000000000 WHERE key = 5")
    total, found = store.sample_terms(2, seed=1)
    assert (total, len(found)) == (5, 2)


# Several threads, several processes


def test_the_writers_lock_is_one_threads_at_a_time_and_that_may_take_it_again(
    store: Store, place: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE", 0.05)
    monkeypatch.setattr(postgres, "EXCLUSIVE_PATIENCE", 0.05)
    monkeypatch.setattr(postgres, "PATIENCE", 0.05)
    refused: list[str] = []

    def take(one: Store) -> None:
        try:
            with one.exclusive():
                pass
        except CorpusBusyError as error:
            refused.append(str(error))

    with closing(open_store(place, encoder="one", dim=DIM)) as other:
        with store.exclusive():
            with store.exclusive(), store.change() as change:
                put(change, article("a"))
            # Another process, and another thread of this one.
            for one in (other, store):
                in_another_thread(threading.Thread(target=take, args=(one,)))
            with store.frozen():
                assert store.counts()[0] == 1
        assert len(refused) == 2
        assert all("is changing" in said and "try again when it is done" in said for said in refused)
        with other.exclusive():
            add(other, article("b"))
        take(store)
    assert (len(refused), store.counts()[0]) == (2, 2)


def test_the_writers_lock_is_given_up_by_an_error(store: Store, place: Path | str) -> None:
    with pytest.raises(RuntimeError), store.exclusive(), store.exclusive():
        raise RuntimeError("midway")
    with closing(open_store(place, encoder="one", dim=DIM)) as other, other.exclusive():
        add(other, article("a"))


def in_another_thread(work: threading.Thread) -> None:
    work.start()
    work.join(30)
    assert not work.is_alive()


def test_a_frozen_store_shows_one_state_while_others_commit(store: Store) -> None:
    add(store, article("a"))
    with store.frozen():
        in_another_thread(threading.Thread(target=add, args=(store, article("b"))))
        assert (store.generation, store.counts()[0], list(store.keys_since(0, 0))) == (1, 1, [1])
        in_another_thread(threading.Thread(target=add, args=(store, article("c"))))
        assert store.generation == 1
    assert (store.generation, store.counts()[0]) == (3, 3)


def test_readers_do_not_see_what_is_not_committed_and_do_not_wait(store: Store) -> None:
    seen: list[int] = []
    with store.change() as change:
        put(change, article("a"))
        in_another_thread(threading.Thread(target=lambda: seen.append(store.counts()[0])))
    assert seen == [0]
    assert store.counts()[0] == 1


def test_a_second_writer_is_refused_by_name_after_a_while(
    store: Store, place: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.05)
    monkeypatch.setattr(postgres, "PATIENCE", 0.05)
    with closing(open_store(place, encoder="one", dim=DIM)) as other, store.change() as change:
        put(change, article("a"))
        with pytest.raises(CorpusBusyError, match=r"is changing .*quoteline\.db|is changing postgresql:.*; try again"):
            add(other, article("b"))
    assert store.counts()[0] == 1


def test_two_that_make_a_store_at_a_time_make_one(place: Path | str) -> None:
    identities: list[str] = []
    together = threading.Barrier(4)

    def make() -> None:
        together.wait()
        with closing(open_store(place, encoder="one", dim=DIM)) as made:
            identities.append(made.identity)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(identities) == 4
    assert len(set(identities)) == 1


def test_threads_that_ended_leave_no_open_files(store: Store) -> None:
    open_files = Path("/proc/self/fd")
    if not open_files.exists():
        pytest.skip("no /proc here")
    store.counts()
    before = len(list(open_files.iterdir()))
    for _ in range(50):
        in_another_thread(threading.Thread(target=store.counts))
    assert len(list(open_files.iterdir())) < before + 20


# Reading ahead


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not tell what is in memory")
def test_what_was_out_of_memory_is_read_ahead(embedded: Store, path: Path) -> None:
    add(embedded, article("a", text=f"{TEXT} " * 20_000))
    embedded.db.wipe(everything=False)
    forget(path)
    if is_in_memory(path):
        pytest.skip("these files never leave the memory")
    embedded.read_ahead()
    assert within_seconds(10, lambda: is_in_memory(path))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not tell what is in memory")
def test_nothing_is_read_ahead_that_there_is_no_room_for(
    embedded: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(embedded, article("a", text=f"{TEXT} " * 20_000))
    embedded.db.wipe(everything=False)
    forget(path)
    if is_in_memory(path):
        pytest.skip("these files never leave the memory")
    monkeypatch.setattr(sqlite, "_memory_left", lambda: path.stat().st_size)
    embedded.read_ahead()
    assert not within_seconds(0.2, lambda: is_in_memory(path))


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not tell what is locked")
def test_reading_ahead_keeps_the_locks_that_tell_other_processes_of_this_one(embedded: Store, path: Path) -> None:
    def locks() -> int:
        return Path("/proc/locks").read_text(encoding="ascii").count(f":{path.stat().st_ino} ")

    embedded.counts()
    before = locks()
    assert before
    embedded.read_ahead()
    assert locks() == before


def forget(path: Path) -> None:
    """Have the system forget what it holds of a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def is_in_memory(path: Path) -> bool:
    """Whether most of a file is held by the system."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as content:
        pages = bytearray(-(-len(content) // mmap.PAGESIZE))
        address, told = (ctypes.c_char.from_buffer(buffer) for buffer in (content, pages))
        failed = ctypes.CDLL(None).mincore(
            ctypes.c_void_p(ctypes.addressof(address)), ctypes.c_size_t(len(content)), ctypes.byref(told)
        )
        # Without these the buffers cannot be closed.
        del address, told
    assert not failed
    return sum(page & 1 for page in pages) > len(pages) / 2


def within_seconds(seconds: float, claim: Callable[[], bool]) -> bool:
    """Whether `claim` comes true before so many seconds are over."""
    end = time.monotonic() + seconds
    while not (found := claim()) and time.monotonic() < end:
        time.sleep(0.01)
    return found


# What cannot be opened


def test_another_encoder_is_refused_by_name(store: Store, place: Path | str) -> None:
    store.check_encoder()
    with (
        closing(open_store(place, encoder="two", dim=DIM)) as other,
        pytest.raises(EncoderMismatchError, match=r"encoder one, not two.*QUOTELINE_MODEL"),
    ):
        other.check_encoder()


@pytest.mark.parametrize("built", ["99", str(FORMAT + 1), "0", "two"])
def test_another_format_is_refused_by_name(store: Store, place: Path | str, built: str) -> None:
    store.close()
    tamper(place, "UPDATE facts SET value = ? WHERE name = 'format'", built)
    before = place.read_bytes() if isinstance(place, Path) else b""
    with pytest.raises(CorpusVersionError, match=rf"format {built}, .*reads formats up to {FORMAT}"):
        open_store(place, encoder="one", dim=DIM)
    assert not isinstance(place, Path) or place.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_damage(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(CorpusDamagedError, match="bring back a backup"):
        Store(path, encoder="one", dim=DIM)
    assert path.read_bytes() == content


@pytest.mark.parametrize("folder", ["file", "file/below", "file/below/that"])
def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path, folder: str) -> None:
    # A file stops even root.
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CorpusError, match=r"quoteline\.db cannot be"):
        Store(tmp_path / folder / "quoteline.db", encoder="one", dim=DIM)


def test_a_folder_in_the_databases_place_is_refused_by_name(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(CorpusError, match=r"quoteline\.db cannot be opened"):
        Store(path, encoder="one", dim=DIM)


def test_a_store_can_be_closed_twice_and_read_afterwards(store: Store) -> None:
    add(store, article("a"))
    store.close()
    store.close()
    assert store.counts()[0] == 1


# Damage


def test_a_sound_store_has_no_findings(store: Store) -> None:
    add(store, article("a"), article("b", body=Span(16, len(TEXT))))
    assert store.check() == []


def test_a_text_changed_behind_its_back_is_found(store: Store, place: Path | str) -> None:
    add(store, article("a"), article("b"))
    tamper(place, "UPDATE versions SET text = replace(text, 'denies', 'admits') WHERE id = 'a'")
    [finding] = store.check()
    assert finding.startswith("version 1 of article 'a' is not what was written")
    with pytest.raises(CorpusDamagedError, match="version 1 of article 'a'"):
        store.record("a")
    assert store.record("b").article.text == TEXT


@pytest.mark.parametrize("column", ["title", "date", "source", "url", "author", "language"])
def test_metadata_changed_behind_its_back_is_found(store: Store, place: Path | str, column: str) -> None:
    add(store, article("a"))
    tamper(place, f"UPDATE versions SET {column} = '2022-01-01' WHERE id = 'a'")  # noqa: S608 - a name from above
    assert [finding for finding in store.check() if "article 'a'" in finding]
    with pytest.raises(CorpusDamagedError):
        store.record("a")


def spans(*pairs: tuple[int, int]) -> bytes:
    return np.array(pairs, dtype=np.int32).tobytes()


SENTENCES = tuple((span.start, span.end) for span in split_sentences(TEXT))


@pytest.mark.parametrize(
    "moved",
    [
        (*SENTENCES[:3], (SENTENCES[3][0], len(TEXT) + 1)),
        (*SENTENCES[:3], (SENTENCES[3][0] - 3, SENTENCES[3][1])),
        (*SENTENCES[:3], (SENTENCES[3][0] + 1, SENTENCES[3][1])),
        SENTENCES[:3],
        (),
    ],
    ids=["out of the text", "into another", "by one character", "one is missing", "all are missing"],
)
def test_a_sentence_that_was_moved_is_found(
    store: Store, place: Path | str, moved: tuple[tuple[int, int], ...]
) -> None:
    add(store, article("a"), article("b"))
    tamper(place, "UPDATE versions SET sentences = ? WHERE id = 'a'", spans(*moved))
    findings = store.check()
    assert findings
    assert all("article 'a'" in finding for finding in findings)


def test_a_passages_span_that_was_moved_is_found(store: Store, place: Path | str) -> None:
    add(store, article("a"))
    moved = spans(*SENTENCES[:3], (SENTENCES[3][0] + 1, SENTENCES[3][1]))
    tamper(place, "UPDATE passages SET spans = ? WHERE key = 1", moved)
    assert store.check() == [
        "version 1 of article 'a': a passage is not what was written; `quoteline rebuild --encode` makes it again"
    ]
    with pytest.raises(CorpusDamagedError, match="a passage of article 'a'"):
        store.readings([1])


def test_a_sentence_without_a_passage_is_found(store: Store, place: Path | str) -> None:
    with store.change() as change:
        put(change, article("a"), (0, 2), (2, 4))
    tamper(place, "DELETE FROM passages WHERE first = 2")
    assert store.check() == ["version 1 of article 'a': its passages do not hold all of its sentences"]


def test_a_passage_of_another_article_is_found(store: Store, place: Path | str) -> None:
    add(store, article("a"), article("b"))
    tamper(place, "UPDATE passages SET article = 2 WHERE key = 1")
    with pytest.raises(CorpusDamagedError):
        store.readings([1])
    assert store.check() == [
        "version 1 of article 'a': its passages do not hold all of its sentences",
        "version 1 of article 'b': a passage is not what was written; `quoteline rebuild --encode` makes it again",
    ]


@pytest.mark.parametrize("column", ["vector", "spans", "sentence_vectors", "terms", "term_counts", "first"])
def test_a_value_of_another_kind_is_damage_and_no_crash(embedded: Store, path: Path, column: str) -> None:
    store = embedded
    add(store, article("a"))
    tamper(path, f"UPDATE passages SET {column} = 'a text'")  # noqa: S608 - a name from above
    for look in (lambda: store.readings([1]), lambda: list(store.vectors_since(0)), lambda: list(store.texts_since(0))):
        with suppress(CorpusDamagedError):
            look()
    assert store.check() == [
        "version 1 of article 'a': a passage is not what was written; `quoteline rebuild --encode` makes it again"
    ]


def test_a_summary_that_makes_no_sense_is_damage(store: Store, place: Path | str) -> None:
    add(store, article("a", date=dt.date(2022, 10, 28)))
    tamper(place, "UPDATE versions SET date = '2022-10-99'")
    with pytest.raises(CorpusDamagedError, match="article 'a'"):
        store.summaries()


@pytest.mark.parametrize(("name", "value"), [("generation", "7"), ("generation", "x"), ("encoder", "onf")])
def test_facts_that_changed_while_open_are_damage(store: Store, place: Path | str, name: str, value: str) -> None:
    add(store, article("a"))
    tamper(place, "UPDATE facts SET value = ? WHERE name = ?", value, name)
    for look in (lambda: store.generation, store.check_encoder, lambda: add(store, article("b"))):
        with pytest.raises(CorpusDamagedError, match=r"what .* says of itself"):
            look()
    assert len(store.check()) == 1
    with pytest.raises(CorpusDamagedError):
        open_store(place, encoder="one", dim=DIM)


def test_a_fact_of_a_deletion_that_changed_is_found(store: Store, place: Path | str) -> None:
    add(store, article("a"))
    remove(store, "a")
    tamper(place, "UPDATE retired SET version = 0")
    assert store.check() == ["the fact of a deletion is not what was written"]


def test_a_passage_of_a_superseded_version_is_found(store: Store, place: Path | str) -> None:
    add(store, article("a"))
    tamper(place, "UPDATE versions SET current = FALSE")
    assert store.check()[0] == "version 1 of article 'a': it is superseded, and is still searched"


def test_a_database_that_was_moved_away_is_not_made_again(embedded: Store, path: Path) -> None:
    store = embedded
    add(store, article("a"))
    path.rename(path.with_name("elsewhere.db"))
    refused: list[str] = []

    def look() -> None:
        with pytest.raises(CorpusError) as caught:
            store.counts()
        refused.append(str(caught.value))

    in_another_thread(threading.Thread(target=look))
    assert "check that its folder exists" in refused[0]
    assert not path.exists()


def test_a_torn_page_is_found(embedded: Store, path: Path) -> None:
    store = embedded
    add(store, *(article(f"a{number}", TEXT * 20) for number in range(20)))
    store.close()
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\xaa" * (len(content) - len(content) // 2)
    path.write_bytes(content)
    assert store.check()
