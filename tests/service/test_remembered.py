import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.articles import Article, Span
from index.corpus import Corpus
from index.engine import Snapshot
from index.store import Filters
from index.testing import HashingEncoder
from service.answering import Answer, Answerer
from service.conversation import Turn
from service.remembered import Remembered


def article(name: str, text: str, collection: str | None = None) -> Article:
    return Article(name, text, Span(0, len(text)), collection=collection)


def add(corpus: Corpus, *articles: Article) -> None:
    for _ in corpus.add(articles):
        pass


def plain(answer: Answer) -> Answer:
    return replace(answer, timings_ms={})


def is_remembered(answer: Answer) -> bool:
    return "remembered" in answer.timings_ms


# What is remembered


def snapshot() -> Snapshot:
    """Something of its own that a state can be of."""
    return cast(Snapshot, object())


def made(value: str) -> Callable[[], str]:
    return lambda: value


def test_a_value_is_made_once_for_each_key_in_each_state() -> None:
    kept: Remembered[str, str] = Remembered(10, len)
    one, other = snapshot(), snapshot()
    assert kept.find("a", (1, one), made("first")) == ("first", False)
    assert kept.find("a", (1, one), made("second")) == ("first", True)
    assert kept.find("b", (1, one), made("third")) == ("third", False)
    assert kept.find("a", (1, other), made("fourth")) == ("fourth", False)
    assert kept.find("a", (2, other), made("fifth")) == ("fifth", False)
    assert len(kept) == 1


def test_who_saw_an_earlier_state_is_given_nothing_and_leaves_nothing() -> None:
    kept: Remembered[str, str] = Remembered(10, len)
    one = snapshot()
    kept.find("a", (2, one), made("new"))
    assert kept.find("a", (1, one), made("old")) == ("old", False)
    assert kept.find("a", (2, one), made("newer")) == ("new", True)


def test_what_was_being_made_when_the_state_changed_is_not_remembered() -> None:
    kept: Remembered[str, str] = Remembered(10, len)
    one = snapshot()

    def make() -> str:
        kept.turn_to((2, one))
        return "old"

    assert kept.find("a", (1, one), make) == ("old", False)
    assert kept.find("a", (2, one), made("new")) == ("new", False)


def test_the_last_that_were_wanted_are_kept_as_many_and_as_large_as_there_may_be() -> None:
    state = 1, snapshot()
    few: Remembered[str, str] = Remembered(2, len)
    for key in "abac":
        few.find(key, state, made(key))
    assert [few.find(key, state, made("?"))[1] for key in "ac"] == [True, True]
    assert not few.find("b", state, made("?"))[1]
    small: Remembered[str, str] = Remembered(10, len, most_bytes=5)
    for key in ("aaa", "bb", "cc", "dddddd"):
        small.find(key, state, made(key))
    assert [small.find(key, state, made(key))[1] for key in ("bb", "cc", "aaa", "dddddd")] == [True, True, False, False]


def test_a_value_that_could_not_be_made_is_tried_again() -> None:
    kept: Remembered[str, str] = Remembered(10, len)
    state = 1, snapshot()

    def fail() -> str:
        raise ValueError("not now")

    with pytest.raises(ValueError, match="not now"):
        kept.find("a", state, fail)
    assert kept.find("a", state, made("now")) == ("now", False)


@pytest.mark.parametrize("fails", [False, True])
def test_of_several_who_want_the_same_at_once_one_makes_it(*, fails: bool) -> None:
    kept: Remembered[str, str] = Remembered(10, len)
    state = 1, snapshot()
    begun, go_on, calls = threading.Event(), threading.Event(), []

    def make() -> str:
        calls.append(threading.get_ident())
        if len(calls) > 1:
            return "made again"
        begun.set()
        assert go_on.wait(10)
        if fails:
            raise ValueError
        return "made"

    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(kept.find, "a", state, make)
        assert begun.wait(10)
        others = [threads.submit(kept.find, "a", state, make) for _ in range(3)]
        go_on.set()
        wanted = ("made again", False) if fails else ("made", True)
        assert [other.result(10) for other in others] == [wanted] * 3
        assert (first.exception(10) is not None) == fails
    assert len(calls) == (4 if fails else 1)


# What is answered


def test_an_answer_that_was_given_before_is_given_again_and_says_so(corpus: Corpus) -> None:
    add(corpus, article("a", "Iran denies sending drones. It rained."))
    answerer = Answerer(corpus, remember=10)
    first, second = (answerer.ask("Who denies sending drones?") for _ in range(2))
    assert plain(first) == plain(second)
    assert not is_remembered(first)
    assert set(second.timings_ms) == {"remembered", "total"}


def test_nothing_is_remembered_unless_that_is_wanted(corpus: Corpus) -> None:
    add(corpus, article("a", "Iran denies sending drones."))
    answerer = Answerer(corpus)
    assert not any(is_remembered(answerer.ask("Who denies it?")) for _ in range(2))


@pytest.mark.parametrize(
    "other",
    [
        {"top_k": 1},
        {"compare": False},
        {"base_url": "http://elsewhere"},
        {"filters": Filters(collections=("b",))},
        {"filters": Filters(article_ids=("b",))},
        {"turns": [Turn("Who is the minister of Iran?")]},
    ],
)
def test_what_is_asked_in_another_way_is_answered_anew(corpus: Corpus, other: dict[str, Any]) -> None:
    texts = ("Iran denies sending drones. The minister said so.", "Two drones fell. They were sent by Iran.")
    add(corpus, *(article(name, text, name) for name, text in zip("ab", texts, strict=True)))
    answerer, forgetful = Answerer(corpus, remember=10), Answerer(corpus)
    question = "When did they send drones?"
    answerer.ask(question)
    answer = answerer.ask(question, **other)
    assert not is_remembered(answer)
    assert plain(answer) == plain(forgetful.ask(question, **other))


def test_a_deleted_article_is_never_cited_again_whichever_process_deleted_it(
    tmp_path: Path, hashing_encoder: HashingEncoder
) -> None:
    corpus, other = Corpus(tmp_path, hashing_encoder), Corpus(tmp_path, hashing_encoder)
    add(corpus, article("a", "Iran denies sending drones."), article("b", "Others deny sending drones."))
    answerer = Answerer(corpus, remember=10)
    assert "a" in {one.article_id for one in answerer.ask("Who denies sending drones?").citations}
    other.remove(["a"])
    # This process has not refreshed its indexes yet.
    assert "a" not in {one.article_id for one in answerer.ask("Who denies sending drones?").citations}
    corpus.close()
    other.close()


def test_nothing_of_a_deleted_article_stays_in_memory_where_nobody_asks(corpus: Corpus) -> None:
    add(corpus, article("a", "Iran denies sending drones."))
    answerer = Answerer(corpus, remember=10)
    answerer.ask("Who denies it?")
    corpus.remove(["a"])
    assert answerer._remembered is not None
    assert len(answerer._remembered) == 1
    answerer.forget_outdated()
    assert len(answerer._remembered) == 0


_TEXTS = [
    "Iran denies sending drones. The minister called on Friday.",
    "Two eggs are enough. Drones make honey for their queen.",
    "Iran denies sending drones. Others were silent.",
    "The queen sent eggs to Iran.",
]
_NAMES = st.sampled_from(["a", "b", "c"])
_QUESTIONS = st.sampled_from(["Who denies sending drones?", "Who sent eggs?", "How many eggs are enough?"])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), _NAMES, st.sampled_from(_TEXTS)),
        st.tuples(st.just("remove"), _NAMES, st.just("")),
        st.tuples(st.just("compact"), st.just(""), st.just("")),
        st.tuples(st.just("ask"), st.sampled_from(["", "a", "b"]), _QUESTIONS),
    ),
    min_size=4,
    max_size=24,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_answers_are_those_of_one_that_remembers_nothing(
    tmp_path_factory: pytest.TempPathFactory, hashing_encoder: HashingEncoder, steps: list[tuple[str, str, str]]
) -> None:
    corpus = Corpus(tmp_path_factory.mktemp("remembered"), hashing_encoder)
    answerer, forgetful = Answerer(corpus, remember=2), Answerer(corpus)
    for what, name, text in steps:
        if what == "add":
            add(corpus, article(name, text))
        elif what == "remove" and corpus.store.known(article_id=name):
            corpus.remove([name])
        elif what == "compact":
            corpus.compact()
        elif what == "ask":
            filters = Filters(article_ids=(name,)) if name else None
            for _ in range(2):
                assert plain(answerer.ask(text, filters=filters)) == plain(forgetful.ask(text, filters=filters))
    corpus.close()
