import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.articles import Article, Span
from index.batches import Outcome
from index.corpus import Corpus
from index.errors import CorpusDamagedError
from index.nearduplicates import shingles, similarity
from index.testing import HashingEncoder

ENCODER = HashingEncoder(dim=32)
STORM = (
    "The storm reached the coast on Friday night. It tore the roofs off forty houses. Nobody was hurt, the mayor said. "
    "The harbour stays closed until Monday. Two ferries wait outside it."
)
UPDATE = f"{STORM} The army sends tents."
OTHER = "Cheese became cheaper in most markets last week. The farmers ask why. Nobody knows an answer to that yet."


def article(name: str, text: str, **facts: object) -> Article:
    return replace(Article(name, text, Span(0, len(text))), **facts)  # type: ignore[arg-type]


def add(corpus: Corpus, *articles: Article, within: frozenset[str] | None = None) -> list[Outcome]:
    return list(corpus.add(articles, within=within))


def pairs(corpus: Corpus) -> dict[str, list[str]]:
    found = corpus.store.near_duplicates_of([summary.id for summary in corpus.store.summaries()])
    return {one: sorted(others) for one, others in found.items()}


def rows(corpus: Corpus, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(corpus.folder / "quoteline.db")) as connection:
        return connection.execute(query).fetchall()


def change(corpus: Corpus, statement: str) -> None:
    with closing(sqlite3.connect(corpus.folder / "quoteline.db")) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with closing(Corpus(tmp_path / "corpus", ENCODER)) as opened:
        yield opened


def test_a_near_duplicate_is_told_of_when_it_is_added_and_kept(corpus: Corpus) -> None:
    [storm, other] = add(corpus, article("storm", STORM), article("other", OTHER))
    assert (storm.near_duplicates, other.near_duplicates) == ((), ())
    [update] = add(corpus, article("update", UPDATE, title="What we know"))
    share = similarity(shingles(STORM), shingles(UPDATE))
    assert (update.kind, update.near_duplicates) == ("added", (("storm", share),))
    assert corpus.store.near_duplicates_of(["storm", "update", "other", "none"]) == {
        "storm": {"update": share},
        "update": {"storm": share},
    }
    assert corpus.store.record("storm").article.text == STORM
    assert corpus.check() == []


def test_articles_of_one_batch_are_told_of_each_other_whatever_their_order(corpus: Corpus) -> None:
    outcomes = add(corpus, article("storm", STORM), article("other", OTHER), article("update", UPDATE))
    assert [[one for one, _ in outcome.near_duplicates] for outcome in outcomes] == [["update"], [], ["storm"]]


def test_the_most_similar_one_is_told_first(corpus: Corpus) -> None:
    add(corpus, article("update", UPDATE), article("copy", STORM))
    [outcome] = add(corpus, article("storm", STORM))
    assert [name for name, _ in outcome.near_duplicates] == ["copy", "update"]
    assert list(corpus.store.near_duplicates_of(["storm"])["storm"]) == ["copy", "update"]


def test_the_text_above_the_body_counts_for_nothing(corpus: Corpus) -> None:
    head = "title: What we know\n\n"
    add(corpus, article("storm", STORM))
    add(corpus, Article("copy", head + STORM, Span(len(head), len(head + STORM))))
    assert corpus.store.near_duplicates_of(["storm"]) == {"storm": {"copy": 1.0}}


def test_a_new_version_is_compared_in_place_of_the_old_one(corpus: Corpus) -> None:
    add(corpus, article("storm", STORM), article("update", UPDATE))
    [replaced] = add(corpus, article("storm", OTHER))
    assert (replaced.kind, replaced.near_duplicates, pairs(corpus)) == ("replaced", (), {})
    [replaced] = add(corpus, article("storm", STORM))
    assert [name for name, _ in replaced.near_duplicates] == ["update"]
    assert rows(corpus, "SELECT count(*) FROM signatures") == [(2,)]
    assert corpus.check() == []


def test_an_article_is_no_near_duplicate_of_its_own_older_version(corpus: Corpus) -> None:
    add(corpus, article("storm", STORM))
    [replaced] = add(corpus, article("storm", UPDATE))
    assert (replaced.near_duplicates, pairs(corpus)) == ((), {})


def test_of_a_removed_article_nothing_is_kept(corpus: Corpus) -> None:
    add(corpus, article("storm", STORM), article("update", UPDATE), article("copy", STORM))
    signatures, bands = rows(corpus, "SELECT * FROM signatures"), rows(corpus, "SELECT * FROM bands")
    corpus.remove(["copy"])
    assert pairs(corpus) == {"storm": ["update"], "update": ["storm"]}
    assert [row for row in signatures if row[0] in (1, 2)] == rows(corpus, "SELECT * FROM signatures")
    assert [row for row in bands if row[1] in (1, 2)] == rows(corpus, "SELECT * FROM bands")
    corpus.remove(["storm", "update"])
    for name in ("signatures", "bands", "near_duplicates"):
        assert rows(corpus, f"SELECT * FROM {name}") == []  # noqa: S608 - names of our own


def test_of_a_removed_article_nothing_is_kept_where_its_signature_was_damaged(corpus: Corpus) -> None:
    for damage in ("zeroblob(192)", "x'0102030405'", "'text'", "NULL"):
        add(corpus, article("storm", STORM))
        change(corpus, f"UPDATE OR IGNORE signatures SET signature = {damage}")  # noqa: S608 - from above
        corpus.remove(["storm"])
        assert rows(corpus, "SELECT * FROM bands") == []


def test_only_those_in_collections_that_may_be_seen_are_told_of(corpus: Corpus) -> None:
    add(corpus, article("storm", STORM, collection="agency"), article("copy", STORM, collection="own"))
    [seen] = add(corpus, article("update", UPDATE, collection="own"), within=frozenset({"own"}))
    assert [name for name, _ in seen.near_duplicates] == ["copy"]
    assert set(corpus.store.near_duplicates_of(["update"])["update"]) == {"copy", "storm"}
    assert set(corpus.store.near_duplicates_of(["update"], within={"agency"})["update"]) == {"storm"}
    assert corpus.store.near_duplicates_of(["update"], within={"none"}) == {}


def test_two_processes_that_add_at_once_miss_nothing(corpus: Corpus) -> None:
    with closing(Corpus(corpus.folder, ENCODER)) as other:
        threads = [
            threading.Thread(target=add, args=(one, *(article(f"{name}{n}", f"{STORM} Number {n}.") for n in range(4))))
            for name, one in (("x", corpus), ("y", other))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    found = pairs(corpus)
    assert len(found) == 8
    assert {len(others) for others in found.values()} == {7}


# Many of one form


def form(number: int) -> Article:
    return article(f"w{number:03}", f"{STORM} It is {number} degrees in the north and {number + 3} in the south.")


def test_of_a_form_that_very_many_articles_share_each_keeps_a_few(corpus: Corpus) -> None:
    outcomes = add(corpus, *map(form, range(120)))
    assert all(outcome.near_duplicates for outcome in outcomes)
    found = pairs(corpus)
    assert len(found) == 120
    assert max(map(len, found.values())) <= 64
    assert corpus.check() == []


def test_near_duplicates_of_20_articles_are_told_within_a_moment(corpus: Corpus) -> None:
    add(corpus, *map(form, range(40)))
    names = [f"w{number:03}" for number in range(20)]
    best = 1.0
    for _ in range(20):
        started = time.perf_counter()
        corpus.store.near_duplicates_of(names)
        best = min(best, time.perf_counter() - started)
    # A millisecond, where nothing else uses the machine.
    assert best < 0.02


# Invariants

TEXTS = st.sampled_from([STORM, UPDATE, OTHER, f"{OTHER} And so on.", STORM[:120], "Two eggs are enough."])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("abcd"), TEXTS | st.none()), max_size=8))
def test_whatever_was_done_the_pairs_are_those_of_the_texts_that_are_there(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str | None]]
) -> None:
    with closing(Corpus(tmp_path_factory.mktemp("corpus"), ENCODER)) as corpus:
        there: dict[str, str] = {}
        for name, text in steps:
            if text is not None:
                add(corpus, article(name, text))
                there[name] = text
            elif there.pop(name, None):
                corpus.remove([name])
        wanted = {
            one: {other: share for other in there if other != one and (share := alike(there[one], there[other])) >= 0.5}
            for one in there
        }
        assert corpus.store.near_duplicates_of(there) == {one: found for one, found in wanted.items() if found}
        assert corpus.check() == []
        before = rows(corpus, "SELECT * FROM bands"), rows(corpus, "SELECT * FROM near_duplicates")
        corpus.store.find_near_duplicates_again()
        assert (rows(corpus, "SELECT * FROM bands"), rows(corpus, "SELECT * FROM near_duplicates")) == before


def alike(one: str, other: str) -> float:
    return similarity(shingles(one), shingles(other))


# Damage


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE signatures SET signature = zeroblob(192)", "its signature is not what was written"),
        ("DELETE FROM signatures", "its signature is not what was written"),
        (
            "UPDATE bands SET band = band + 1 WHERE band = (SELECT min(band) FROM bands)",
            "its signature is not what was",
        ),
        ("INSERT INTO bands VALUES (1, 77)", "signatures of no article"),
        ("UPDATE near_duplicates SET similarity = 0.9", "a pair of near-duplicates is not what was written"),
        ("DELETE FROM near_duplicates WHERE one < other", "a pair of near-duplicates is not what was written"),
        ("UPDATE versions SET current = 0 WHERE id = 'storm'", "of no article that is searched"),
    ],
)
def test_damage_is_found_and_made_good_from_the_texts(corpus: Corpus, statement: str, finding: str) -> None:
    add(corpus, article("storm", STORM), article("update", UPDATE))
    change(corpus, statement)
    assert any(finding in one for one in corpus.check())
    if "versions" not in statement:
        with closing(Corpus(corpus.folder, ENCODER, rebuild=True)) as again:
            assert again.check() == []
            assert pairs(again) == {"storm": ["update"], "update": ["storm"]}


def test_a_damaged_pair_is_refused(corpus: Corpus) -> None:
    add(corpus, article("storm", STORM), article("update", UPDATE))
    change(corpus, "UPDATE near_duplicates SET similarity = 0.99")
    with pytest.raises(CorpusDamagedError, match="`quoteline rebuild` makes that again"):
        corpus.store.near_duplicates_of(["storm"])
