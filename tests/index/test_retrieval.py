import datetime as dt
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from index.articles import Article, Span
from index.corpus import Corpus
from index.derived import Neighbour
from index.encoding import Encoder
from index.errors import FilterError, QuestionError
from index.lexical import analyze
from index.retrieval import (
    K1,
    LONGEST_QUESTION,
    RRF,
    STOPWORDS,
    TIME,
    WEIGHTS,
    B,
    Candidate,
    Retrieved,
    Retriever,
    fuse,
)
from index.store import Filters
from index.testing import HashingEncoder


def article(name: str, text: str, **facts: object) -> Article:
    return replace(Article(name, text, Span(0, len(text))), **facts)  # type: ignore[arg-type]


def add(corpus: Corpus, *articles: Article) -> None:
    assert {outcome.kind for outcome in corpus.add(articles)} <= {"added"}


def retrieve(corpus: Corpus, question: str, *, top_k: int = 50, filters: Filters | None = None) -> Retrieved:
    return Retriever(corpus).retrieve(question, top_k=top_k, filters=filters)


def places(found: Retrieved) -> list[tuple[str, int]]:
    return [(one.sentence.article_id, one.sentence.ordinal) for one in found.candidates]


def quote(corpus: Corpus, candidate: Candidate) -> str:
    return candidate.sentence.span.of(corpus.store.record(candidate.sentence.article_id).article.text)


# Ranking


def test_the_sentence_that_shares_the_questions_words_comes_first(corpus: Corpus) -> None:
    add(
        corpus,
        article("a", "The minister called on Friday. Iran denies sending drones. Others were silent."),
        article("b", "Two eggs are enough. Drones make honey for their queen."),
    )
    found = retrieve(corpus, "Did Iran deny that it sent drones?")
    assert quote(corpus, found.candidates[0]) == "Iran denies sending drones."
    assert places(found)[0] == ("a", 1)
    assert len(places(found)) == 5
    assert quote(corpus, retrieve(corpus, "How many eggs?").candidates[0]) == "Two eggs are enough."


def test_a_score_is_the_weighted_sum_of_its_features(corpus: Corpus) -> None:
    add(corpus, article("a", "Iran denies it. Drones were sent to the front."), article("b", "Iran sent eggs."))
    for candidate in retrieve(corpus, "Did Iran send drones?").candidates:
        features = asdict(candidate.features)
        assert candidate.score == pytest.approx(sum(w * features[name] for name, w in WEIGHTS.items()), abs=1e-5)


def test_cosines_are_those_of_the_encoder(corpus: Corpus, hashing_encoder: HashingEncoder) -> None:
    add(corpus, article("a", "Iran denies it. Drones were sent to the front.", title="News"))
    texts = ["Iran denies it.", "Drones were sent to the front.", "News Iran denies it. Drones were sent to the front."]
    asked, *others = hashing_encoder.encode_questions(["Did Iran send drones?", *texts])
    one, other, passage = (float(asked @ vector) for vector in others)
    found = {c.sentence.ordinal: c.features for c in retrieve(corpus, "Did Iran send drones?").candidates}
    # Vectors are kept in 16 bits.
    assert found[0].cosine == pytest.approx(one, abs=1e-3)
    assert found[1].cosine == pytest.approx(other, abs=1e-3)
    assert found[0].passage_cosine == found[1].passage_cosine == pytest.approx(passage, abs=1e-3)


def test_equal_scores_go_by_article_and_position(corpus: Corpus) -> None:
    same = "Iran denies it. Iran denies it. Iran denies it."
    add(corpus, article("c", same), article("a", same), article("b", same))
    found = retrieve(corpus, "Who denies?")
    assert places(found) == [(name, ordinal) for name in "abc" for ordinal in range(3)]
    assert places(retrieve(corpus, "Who denies?", top_k=4)) == places(found)[:4]


def test_the_best_k_are_the_first_of_more(corpus: Corpus) -> None:
    add(corpus, *(article(f"a{n}", f"Iran denies number {n}. Two eggs, and number {n % 3}.") for n in range(8)))
    more = retrieve(corpus, "Who denies number 2?", top_k=100)
    assert len(more.candidates) == 16
    for k in (1, 5, 15):
        assert retrieve(corpus, "Who denies number 2?", top_k=k).candidates == more.candidates[:k]


def test_asking_twice_gives_the_same(corpus: Corpus) -> None:
    add(corpus, *(article(f"a{n}", f"Iran denies number {n}. It was Friday.") for n in range(8)))
    first, second = (retrieve(corpus, "Who denies it?") for _ in range(2))
    assert (first.candidates, first.passages) == (second.candidates, second.passages)
    assert first.generation == corpus.store.generation
    assert set(first.timings) == {"encode", "search", "score"}


def test_passages_are_told_once_each_and_no_more_than_the_depth(corpus: Corpus) -> None:
    add(corpus, *(article(f"a{n}", f"Iran denies number {n}.") for n in range(12)))
    found = Retriever(corpus, depth=5).retrieve("Who denies number 3?", top_k=50)
    assert len(found.passages) == len(set(found.passages)) == 5
    assert found.passages[0].article_id == "a3"
    assert {candidate.passage for candidate in found.candidates} == set(found.passages)


def test_a_sentence_that_two_passages_share_is_told_once(tmp_path: Path) -> None:
    text = " ".join(f"Iran denies number {n} of its drones." for n in range(12))
    with closing(Corpus(tmp_path, HashingEncoder(window=28))) as corpus:
        add(corpus, article("a", text))
        _, sentences, passages = corpus.store.counts()
        readings = corpus.store.readings(corpus.store.passages_of(Filters()))
        assert sum(readings.counts) > sentences, "no passages overlap"
        found = retrieve(corpus, "Which drones?", top_k=100)
        assert sorted(places(found)) == [("a", ordinal) for ordinal in range(12)]
        assert len(found.passages) == passages
        for candidate in found.candidates:
            passage = candidate.passage
            assert passage.first <= candidate.sentence.ordinal < passage.last


# Time


REPORTS = "Ukraine shot down 300 drones."


@pytest.fixture
def reports(corpus: Corpus) -> Corpus:
    """The same sentence on three days, the first by its id, and on none."""
    for name, date in (
        ("a", dt.date(2022, 9, 9)),
        ("b", dt.date(2022, 10, 9)),
        ("c", dt.date(2022, 11, 9)),
        ("d", None),
    ):
        add(corpus, article(name, REPORTS, date=date))
    return corpus


def test_of_equal_sentences_the_one_of_the_time_that_is_asked_about_comes_first(reports: Corpus) -> None:
    found = retrieve(reports, "How many drones were shot down in October 2022?")
    assert [(one.sentence.article_id, one.fit) for one in found.candidates] == [
        ("b", 1),
        ("d", 0),
        ("a", -1),
        ("c", -1),
    ]
    assert found.window is not None
    assert found.window.words == "in October 2022"
    assert "time" in found.timings


def test_what_a_sentence_says_of_its_time_goes_before_its_articles_date(corpus: Corpus) -> None:
    add(
        corpus,
        article("a", "300 drones were shot down in October.", date=dt.date(2022, 9, 9)),
        article("b", "300 drones were shot down in October.", date=dt.date(2022, 12, 9)),
    )
    found = retrieve(corpus, "How many drones were shot down in October 2022?")
    assert [(one.sentence.article_id, one.fit) for one in found.candidates] == [("b", 1), ("a", -1)]


def test_a_time_weighs_little_against_what_is_asked(reports: Corpus) -> None:
    add(reports, article("e", "Two eggs are enough.", date=dt.date(2022, 10, 10)))
    assert places(retrieve(reports, "How many drones were shot down in October 2022?"))[-1] == ("e", 0)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["c", "b", "d", "a"])), min_size=1, max_size=60),
    st.integers(1, 30),
)
@example([(12, "d")] * 16 + [(11, "b")], 1)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_more_sentences_than_may_be_among_the_first_are_looked_at(
    reports: Corpus, drawn: list[tuple[int, str]], wanted: int
) -> None:
    retriever = Retriever(reports)
    found = retriever.retrieve("How many drones were shot down in October 2022?", top_k=4)
    assert found.window is not None
    by_id = {one.sentence.article_id: one for one in found.candidates}
    # In steps of half of what a time weighs, with ties; in the order that retrieval gives.
    candidates = [replace(by_id[name], score=step * TIME / 2, fit=0.0) for step, name in sorted(drawn, reverse=True)]
    every = retriever._by_time(candidates, found.window)
    assert len(every) == len(candidates)
    assert retriever._by_time(candidates, found.window, wanted) == every[:wanted]


def test_a_question_without_a_time_keeps_its_order(reports: Corpus) -> None:
    found = retrieve(reports, "How many drones were shot down?")
    assert [one.sentence.article_id for one in found.candidates] == ["a", "b", "c", "d"]
    assert found.window is None
    assert not any(one.fit for one in found.candidates)


def test_time_can_be_left_out_of_account(reports: Corpus) -> None:
    found = Retriever(reports).retrieve("How many drones in October 2022?", top_k=5, timely=False)
    assert [one.sentence.article_id for one in found.candidates] == ["a", "b", "c", "d"]
    assert found.window is None


def test_last_month_is_counted_from_today_or_from_the_day_that_is_asked_of(reports: Corpus) -> None:
    asked, retriever = "How many drones were shot down last month?", Retriever(reports)
    for today, best in ((dt.date(2022, 10, 5), "a"), (dt.date(2022, 11, 5), "b"), (dt.date(2022, 12, 5), "c")):
        assert retriever.retrieve(asked, top_k=1, today=today).candidates[0].sentence.article_id == best
    # Added today, and so not there before.
    found = retriever.retrieve(asked, top_k=1, filters=Filters(as_of=dt.date(2022, 12, 5)))
    assert (found.admitted, found.window and found.window.first) == (False, dt.date(2022, 11, 1))


# Filters


@pytest.fixture
def dated(corpus: Corpus) -> Corpus:
    add(
        corpus,
        article("early", "Iran denies it.", date=dt.date(2022, 10, 1), source="Reuters"),
        article("late", "Iran denies all.", date=dt.date(2022, 10, 28), source="Élysée"),
        article("undated", "Iran denies nothing.", source="REUTERS"),
        article("bare", "Two eggs are enough."),
    )
    return corpus


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (Filters(), "bare early late undated"),
        (Filters(article_ids=("late", "bare", "nobody")), "bare late"),
        (Filters(sources=("rEUTERS",)), "early undated"),
        (Filters(sources=("ÉLYSÉE", "reuters")), "early late undated"),
        (Filters(date_from=dt.date(2022, 10, 1)), "early late"),
        (Filters(date_from=dt.date(2022, 10, 2)), "late"),
        (Filters(date_to=dt.date(2022, 10, 28)), "early late"),
        (Filters(date_to=dt.date(2022, 10, 27)), "early"),
        (Filters(date_from=dt.date(2022, 10, 28), date_to=dt.date(2022, 10, 28)), "late"),
        (Filters(sources=("reuters",), date_to=dt.date(2022, 12, 31)), "early"),
        (Filters(article_ids=("undated", "early"), sources=("reuters",)), "early undated"),
    ],
)
def test_only_admitted_articles_answer(dated: Corpus, filters: Filters, wanted: str) -> None:
    found = retrieve(dated, "Who denies?", filters=filters)
    assert found.admitted
    assert sorted({name for name, _ in places(found)}) == wanted.split()
    assert sorted({passage.article_id for passage in found.passages}) == wanted.split()


@pytest.mark.parametrize(
    "filters",
    [
        Filters(article_ids=("nobody",)),
        Filters(sources=("Reuter",)),
        Filters(date_from=dt.date(2022, 10, 29)),
        Filters(date_to=dt.date(2022, 9, 30)),
        Filters(article_ids=("undated",), date_from=dt.date(1900, 1, 1)),
    ],
)
def test_a_filter_that_leaves_nothing_says_so(dated: Corpus, filters: Filters) -> None:
    found = retrieve(dated, "Who denies?", filters=filters)
    assert (found.admitted, found.candidates, found.passages) == (False, (), ())


def test_an_empty_corpus_admits_nothing(corpus: Corpus) -> None:
    assert not retrieve(corpus, "Who denies?").admitted


def test_dates_that_end_before_they_begin_are_refused(dated: Corpus) -> None:
    with pytest.raises(FilterError, match="2022-10-28 is later than date_to 2022-10-01"):
        retrieve(dated, "Who?", filters=Filters(date_from=dt.date(2022, 10, 28), date_to=dt.date(2022, 10, 1)))


def test_filters_leave_the_cosines_as_they_are(dated: Corpus) -> None:
    whole = {one.sentence: one.features for one in retrieve(dated, "Who denies it?").candidates}
    for one in retrieve(dated, "Who denies it?", filters=Filters(sources=("reuters",))).candidates:
        assert one.features.cosine == pytest.approx(whole[one.sentence].cosine, abs=1e-6)
        assert one.features.coverage == pytest.approx(whole[one.sentence].coverage, abs=1e-6)


# Questions


@pytest.mark.parametrize("question", ["", " ", "\n", "?!…", "“ ”", "👩\u200d👩\u200d👧", "\u0301", "_"])
def test_a_question_without_a_word_is_refused(dated: Corpus, question: str) -> None:
    with pytest.raises(QuestionError, match="holds no word"):
        retrieve(dated, question)


def test_a_question_that_is_too_long_is_refused_with_its_length(dated: Corpus) -> None:
    retrieve(dated, "x " * (LONGEST_QUESTION // 2))
    with pytest.raises(QuestionError, match="2,001 characters, at most 2,000"):
        retrieve(dated, "x" * (LONGEST_QUESTION + 1))


def test_a_question_that_no_encoding_can_hold_is_refused(dated: Corpus) -> None:
    with pytest.raises(QuestionError):
        retrieve(dated, "Who denies \ud800?")


@pytest.mark.parametrize("question", ["x" * 1000, "the of and", "どうして?", "²", "oranges", "Who\0denies?", "①"])
def test_any_other_question_is_answered(dated: Corpus, question: str) -> None:
    found = retrieve(dated, question)
    assert len(found.candidates) == 4
    assert all(math.isfinite(candidate.score) for candidate in found.candidates)


def test_a_question_of_stopwords_alone_is_taken_at_its_word(corpus: Corpus) -> None:
    add(corpus, article("a", "To be or not to be."), article("b", "Two eggs are enough."))
    assert places(retrieve(corpus, "to be or not to be"))[0] == ("a", 0)


def test_stopwords_are_terms() -> None:
    assert all(analyze(word) == [word] for word in STOPWORDS)


# Fusion

RANKINGS = st.lists(
    st.lists(st.integers(0, 30), unique=True, max_size=12).map(
        lambda keys: [Neighbour(key, float(-place)) for place, key in enumerate(keys)]
    ),
    max_size=3,
)


@given(RANKINGS)
def test_a_fusion_holds_every_key_once_by_the_sum_of_reciprocal_ranks(rankings: list[list[Neighbour]]) -> None:
    scores: dict[int, float] = {}
    for ranking in rankings:
        for place, neighbour in enumerate(ranking):
            scores[neighbour.key] = scores.get(neighbour.key, 0) + 1 / (RRF + 1 + place)
    assert fuse(*rankings) == sorted(scores, key=lambda key: (-scores[key], key))


@given(RANKINGS)
def test_a_fusion_does_not_depend_on_scores(rankings: list[list[Neighbour]]) -> None:
    scaled = [[Neighbour(one.key, 100 * one.score - 7) for one in ranking] for ranking in rankings]
    assert fuse(*scaled) == fuse(*rankings)


@given(RANKINGS.filter(bool))
def test_a_fusion_of_one_ranking_twice_is_that_ranking(rankings: list[list[Neighbour]]) -> None:
    keys = [neighbour.key for neighbour in rankings[0]]
    assert fuse(rankings[0]) == fuse(rankings[0], rankings[0]) == fuse(rankings[0], []) == keys


# Any corpus, any question

SUBJECTS = ["Iran", "The minister", "Café Bogotá", "Mr. Kuleba", "“Nobody”", "Drones 👩\u200d👧", "Energy plants"]
VERBS = ["denies", "sent", "called", "attacked", "energy", "said that Iran sent"]
OBJECTS = ["it", "drones to Russia", "weapons, and weapons again", "Cafe\u0301s", "the minister on Oct. 28", "3.5 eggs"]
SENTENCES = st.builds(
    lambda subject, verb, object_, end: f"{subject} {verb} {object_}{end}",
    st.sampled_from(SUBJECTS),
    st.sampled_from(VERBS),
    st.sampled_from(OBJECTS),
    st.sampled_from([".", ".", "!", "?", "…", ".”", "\n\n", ""]),
)
TEXTS = st.lists(SENTENCES, min_size=1, max_size=7).flatmap(
    lambda sentences: st.sampled_from([" ", "  ", "\n", "\n\n"]).map(lambda gap: gap.join(sentences))
)


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), question=SENTENCES, top_k=st.integers(1, 40))
def test_candidates_are_sentences_of_the_store_in_descending_order_without_repeats(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], question: str, top_k: int
) -> None:
    with closing(Corpus(tmp_path_factory.mktemp("corpus"), HashingEncoder(dim=64, window=24))) as corpus:
        add(corpus, *(article(f"a{number}", text) for number, text in enumerate(texts)))
        found = retrieve(corpus, question, top_k=top_k)
        assert found.admitted
        assert len(found.candidates) == min(top_k, corpus.store.counts()[1])
        records = {record.article.id: record for record in corpus.store.records()}
        for candidate in found.candidates:
            sentence, record = candidate.sentence, records[candidate.sentence.article_id]
            assert sentence.span == record.sentences[sentence.ordinal]
            sliced = record.article.text[sentence.span.start : sentence.span.end]
            assert sliced == sliced.strip() != ""
            assert candidate.passage.first <= sentence.ordinal < candidate.passage.last
            assert candidate.passage in found.passages
            assert 0 <= candidate.features.coverage <= 1 + 1e-6
            assert 0 <= candidate.features.bm25 <= 1 + 1e-6
        assert len(set(places(found))) == len(found.candidates)
        for one, other in pairwise(found.candidates):
            assert one.score >= other.score - 1e-6


def naive_features(texts: Sequence[str], question: str) -> list[tuple[float, float, float]]:
    """BM25, BM25 of pairs, and coverage of one-sentence texts, each its own passage, as the formulas say it."""
    asked = [term for term in analyze(question) if term not in STOPWORDS] or analyze(question)
    bags = [analyze(text) for text in texts]
    mean = max(sum(map(len, bags)) / len(bags), 1.0)

    def idf(term: str) -> float:
        holding = sum(term in bag for bag in bags)
        return math.log1p((len(bags) - holding + 0.5) / (holding + 0.5))

    def saturated(count: int, bag: list[str]) -> float:
        return count * (K1 + 1) / (count + K1 * (1 - B + B * len(bag) / mean))

    rows = []
    for bag in bags:
        counts, together = Counter(bag), Counter(pairwise(bag))
        bm25 = sum(idf(term) * saturated(counts[term], bag) for term in set(asked))
        pairs = sum((idf(a) + idf(b)) * saturated(together[a, b], bag) for a, b in set(pairwise(asked)))
        met = sum(idf(term) for term in set(asked) if term in counts)
        rows.append((bm25, pairs, met / max(sum(map(idf, set(asked))), 1e-6)))
    best = [max(row[0] for row in rows) or 1, max(row[1] for row in rows) or 1]
    return [(bm25 / best[0], pairs / best[1], coverage) for bm25, pairs, coverage in rows]


WORDS = ["iran", "drone", "weapon", "sent", "minister", "called", "energy", "the", "was"]


@settings(max_examples=25, deadline=None)
@given(
    bags=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), min_size=1, max_size=8),
    asked=st.lists(st.sampled_from(WORDS), min_size=1, max_size=5),
)
def test_bm25_pairs_and_coverage_are_what_their_formulas_say(
    tmp_path_factory: pytest.TempPathFactory, bags: list[list[str]], asked: list[str]
) -> None:
    texts = [" ".join(bag) for bag in bags]
    with closing(Corpus(tmp_path_factory.mktemp("corpus"), HashingEncoder(dim=64))) as corpus:
        add(corpus, *(article(f"a{number}", text) for number, text in enumerate(texts)))
        found = {one.sentence.article_id: one.features for one in retrieve(corpus, " ".join(asked)).candidates}
    for number, wanted in enumerate(naive_features(texts, " ".join(asked))):
        features = found[f"a{number}"]
        assert (features.bm25, features.pairs, features.coverage) == pytest.approx(wanted, rel=1e-4, abs=1e-5)


# While others change it


def test_what_was_removed_or_added_meanwhile_is_not_found(corpus: Corpus, hashing_encoder: HashingEncoder) -> None:
    add(corpus, article("a", "Iran denies it."), article("b", "Iran denies all."))
    with closing(Corpus(corpus.folder, hashing_encoder)) as other:
        other.remove(["a"])
        add(other, article("c", "Iran denies nothing."))
    # This one was not refreshed.
    assert places(retrieve(corpus, "Who denies?")) == [("b", 0)]
    found = retrieve(corpus, "Who denies?", filters=Filters(article_ids=("c",)))
    assert (found.candidates, found.passages) == ((), ())


# The real encoder


@pytest.mark.model
def test_the_seeds_answer_in_other_words_too(tmp_path: Path, real_encoder: Encoder, seeds: list[Article]) -> None:
    with closing(Corpus(tmp_path, real_encoder)) as corpus:
        add(corpus, *seeds)
        denial = retrieve(corpus, "Did Iran deny sending drones?").candidates
        assert "denies sending any weaponry" in " ".join(quote(corpus, one) for one in denial[:2])
        # Without a word in common with the sentence that answers.
        best = retrieve(corpus, "On which weekday was Dmytro telephoned?").candidates[:3]
        assert any("on Friday received a phone call" in quote(corpus, one) for one in best)
