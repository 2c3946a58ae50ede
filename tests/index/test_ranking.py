import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.articles import Article, Passage, Span
from index.confidence import OURS, Calibration, calibration_for, logistic
from index.corpus import Corpus
from index.encoding import Context
from index.ranking import CLEAR, READ, UNREAD_LOGIT, Ranker, Ranking, rank_read
from index.reading import UNREAD, Reading
from index.retrieval import Candidate, Retrieved, Retriever
from index.store import Filters
from index.testing import HashingEncoder, OverlapReader

# A sentence is as likely as its reader says, and nothing else counts.
PLAIN = Calibration("", {"logit": 1.0}, {"order": 1.0}, {"odds": 1.0})
FUSED = Calibration("", {"logit": 1.0, "fusion": 3.0}, {"order": 1.0, "bias": -3.0}, {"odds": 1.0})
WORDS = "drone minister rocket bridge harvest treaty dawn harbour winter doctor engine village".split()  # noqa: SIM905

Score = Callable[[str, Context, int], float]


class ScriptedReader:
    """A fake Reader: a function of question, passage and the sentence's number says each score.

    The part is the sentence's first two letters. It notes what it reads.
    """

    def __init__(self, score: Score) -> None:
        self._score = score
        self.read_passages: list[Context] = []

    @property
    def name(self) -> str:
        return "scripted"

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        self.read_passages += passages
        return [
            [
                Reading(self._score(question, passage, number), Span(span.start, span.start + 2))
                for number, span in enumerate(passage.spans)
            ]
            for passage in passages
        ]


def by_chance(seed: int, *, lowest: float = -12.0, highest: float = 2.0) -> Score:
    """Return scores that look random, some of them UNREAD, and are the same for the same passage and sentence."""

    def score(question: str, passage: Context, number: int) -> float:
        digest = hashlib.blake2b(f"{seed} {question} {passage.text} {number}".encode(), digest_size=2).digest()
        return UNREAD if digest[0] < 20 else lowest + (highest - lowest) * digest[1] / 255

    return score


def article(name: str, sentences: int) -> Article:
    told = [
        f"The {WORDS[n % 12]} of {name} met {WORDS[n * n % 11]} number {n} near the {WORDS[(n + 5) % 12]}."
        for n in range(sentences)
    ]
    text = " ".join(told)
    return Article(name, text, Span(0, len(text)), title="T")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, hashing_encoder: HashingEncoder) -> Iterator[Corpus]:
    """A corpus of some passages, whose neighbours share sentences."""
    opened = Corpus(tmp_path_factory.mktemp("library"), hashing_encoder)
    assert all(outcome.kind == "added" for outcome in opened.add([article("long", 40), article("short", 3)]))
    yield opened
    opened.close()


def retrieve(corpus: Corpus, question: str, top_k: int = 200, filters: Filters | None = None) -> Retrieved:
    return Retriever(corpus).retrieve(question, top_k=top_k, filters=filters)


def places(candidates: Sequence[Candidate]) -> list[tuple[str, int]]:
    return [(one.sentence.article_id, one.sentence.ordinal) for one in candidates]


def ranked_places(ranking: Ranking) -> list[tuple[str, int]]:
    return places([one.candidate for one in ranking.sentences])


def passages_of(found: Retrieved) -> list[Passage]:
    return list(dict.fromkeys(one.passage for one in found.candidates))


def text_of(corpus: Corpus, passage: Passage) -> str:
    record = corpus.store.record(passage.article_id)
    return record.article.text[record.sentences[passage.first].start : record.sentences[passage.last - 1].end]


QUESTIONS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
CALIBRATIONS = st.sampled_from([PLAIN, FUSED, calibration_for("another"), OURS])
some = settings(max_examples=30, deadline=None)


@given(QUESTIONS, st.integers(0, 99), st.integers(0, 6), st.integers(1, 120), CALIBRATIONS)
@some
def test_every_candidate_comes_out_once_and_the_best_few_passages_are_read_in_order(
    library: Corpus, question: str, seed: int, depth: int, top_k: int, calibration: Calibration
) -> None:
    found = retrieve(library, question, top_k)
    reader = ScriptedReader(by_chance(seed))
    ranking = Ranker(library, reader, calibration, depth=depth).rank(question, found)
    assert sorted(ranked_places(ranking)) == sorted(places(found.candidates))
    assert {id(one.candidate) for one in ranking.sentences} == set(map(id, found.candidates))
    assert ranking.read == len(reader.read_passages) <= depth
    read = [text_of(library, passage) for passage in passages_of(found)[: ranking.read]]
    assert [passage.text for passage in reader.read_passages] == read
    assert all(0 <= one.probability <= 1 for one in ranking.sentences)
    assert set(ranking.timings) == {"read"}


@given(QUESTIONS, st.integers(0, 99), st.sampled_from([PLAIN, FUSED]))
@some
def test_the_likelier_comes_first_and_retrieval_decides_between_equals(
    library: Corpus, question: str, seed: int, calibration: Calibration
) -> None:
    found = retrieve(library, question)
    ranking = Ranker(library, ScriptedReader(by_chance(seed)), calibration).rank(question, found)
    place = {one: number for number, one in enumerate(places(found.candidates))}
    keys = [(-one.probability, place[at]) for one, at in zip(ranking.sentences, ranked_places(ranking), strict=True)]
    # Under PLAIN scores of equal odds are equal; under FUSED no two are, but by rounding.
    assert [key[0] for key in keys] == sorted(key[0] for key in keys)
    assert calibration is FUSED or keys == sorted(keys)
    assert ranking.judgement.probability == pytest.approx(ranking.sentences[0].probability)


@given(QUESTIONS, st.integers(0, 99))
@some
def test_a_part_lies_in_its_sentence_and_is_what_the_reader_said(library: Corpus, question: str, seed: int) -> None:
    found = retrieve(library, question)
    ranking = Ranker(library, ScriptedReader(by_chance(seed)), PLAIN).rank(question, found)
    read = {(p.article_id, n) for p in passages_of(found)[: ranking.read] for n in range(p.first, p.last)}
    told = [one for one in ranking.sentences if one.part]
    assert told
    assert set(places([one.candidate for one in told])) <= read
    for one in told:
        span = one.candidate.sentence.span
        assert one.part == Span(span.start, span.start + 2)


def test_words_that_answer_are_found_in_the_article(library: Corpus) -> None:
    question = "Who met bridge number 25?"
    ranking = Ranker(library, OverlapReader(), PLAIN).rank(question, retrieve(library, question))
    best = ranking.sentences[0]
    assert best.part is not None
    text = library.store.record(best.candidate.sentence.article_id).article.text
    assert "number 25" in best.part.of(text)
    assert best.part.of(text) in best.candidate.sentence.span.of(text)


@pytest.mark.parametrize("clear", [0, 1, 2])
def test_reading_stops_once_the_answer_is_clear(library: Corpus, clear: int) -> None:
    question = "Which drone met the minister?"
    found = retrieve(library, question)
    wanted = text_of(library, passages_of(found)[clear])
    odds = math.log(CLEAR / (1 - CLEAR))
    for score, read in ((odds + 0.01, clear + 1), (odds - 0.01, READ)):
        reader = ScriptedReader(lambda _, passage, number: score if (passage.text, number) == (wanted, 2) else -3.0)  # noqa: B023
        assert Ranker(library, reader, PLAIN, depth=READ).rank(question, found).read == read


def test_without_a_reader_retrieval_has_the_last_word(library: Corpus) -> None:
    found = retrieve(library, "Which drone met the minister?")
    ranker = Ranker(library, None, calibration_for(""))
    ranking = ranker.rank("Which drone met the minister?", found)
    assert ranked_places(ranking) == places(found.candidates)
    assert (ranking.read, dict(ranking.timings), ranker.wanted) == (0, {}, 0)
    assert all(one.part is None for one in ranking.sentences)


@pytest.mark.parametrize("score", [UNREAD_LOGIT - 0.1, UNREAD_LOGIT, UNREAD_LOGIT + 0.1])
def test_what_was_not_read_stands_behind_what_may_answer_and_before_what_does_not(
    library: Corpus, score: float
) -> None:
    question = "Which drone met the minister?"
    found = retrieve(library, question)
    ranking = Ranker(library, ScriptedReader(lambda *_: score), PLAIN, depth=1).rank(question, found)
    passage = passages_of(found)[0]
    read = {(passage.article_id, number) for number in range(passage.first, passage.last)}
    order = [place in read for place in ranked_places(ranking)]
    assert 0 < sum(order) < len(order)
    if score == UNREAD_LOGIT:
        assert ranked_places(ranking) == places(found.candidates)
    else:
        assert order == sorted(order, reverse=score > UNREAD_LOGIT)
    unread = {one.probability for one, was_read in zip(ranking.sentences, order, strict=True) if not was_read}
    assert unread == {logistic(UNREAD_LOGIT)}


@given(QUESTIONS, st.integers(0, 99), CALIBRATIONS)
@some
def test_what_was_read_before_is_ranked_as_what_is_read_now(
    library: Corpus, question: str, seed: int, calibration: Calibration
) -> None:
    found = retrieve(library, question)
    ranker = Ranker(library, ScriptedReader(by_chance(seed)), calibration)
    everything = list(ranker.read(question, found.candidates))
    assert len(everything) == READ
    ranking = ranker.rank(question, found)
    assert rank_read(calibration, found.candidates, everything) == replace(ranking, timings={})
    assert rank_read(calibration, found.candidates, everything[: ranking.read]) == replace(ranking, timings={})


def test_what_gives_the_order_no_weight_has_everything_read(library: Corpus) -> None:
    question = "Which drone met the minister?"
    found = retrieve(library, question)
    sure = Calibration("", {"logit": 1.0}, {"bias": 9.0}, {"odds": 1.0})
    assert Ranker(library, ScriptedReader(lambda *_: 9.0), sure).rank(question, found).read == READ


def test_no_part_of_a_sentence_answers_yes_or_no(library: Corpus) -> None:
    for question, has_parts in (("Did the drone meet number 3?", False), ("Which drone met number 3?", True)):
        ranking = Ranker(library, OverlapReader(), PLAIN).rank(question, retrieve(library, question))
        assert any(one.part for one in ranking.sentences) == has_parts


@pytest.mark.parametrize("step", [1.0, -1.0])
def test_a_sentence_of_two_passages_takes_the_better_of_its_readings(library: Corpus, step: float) -> None:
    question = "Which drone met the minister?"
    found = retrieve(library, question, filters=Filters(article_ids=("long",)))
    passages = passages_of(found)
    scores = {text_of(library, passage): step * number for number, passage in enumerate(passages)}
    reader = ScriptedReader(lambda _, passage, __: scores[passage.text] - 6.0)
    ranking = Ranker(library, reader, PLAIN, depth=len(passages)).rank(question, found)
    assert ranking.read == len(passages)
    shared = 0
    for one in ranking.sentences:
        ordinal = one.candidate.sentence.ordinal
        over = [text_of(library, passage) for passage in passages if passage.first <= ordinal < passage.last]
        shared += len(over) > 1
        wanted = max(scores[text] for text in over) - 6.0
        assert one.probability == pytest.approx(logistic(wanted))
    assert shared


def test_a_sentence_that_is_cut_off_counts_as_not_read(library: Corpus) -> None:
    question = "Which drone met the minister?"
    found = retrieve(library, question)
    ranking = Ranker(library, ScriptedReader(lambda *_: UNREAD), PLAIN).rank(question, found)
    assert ranked_places(ranking) == places(found.candidates)
    assert all(one.part is None for one in ranking.sentences)


def test_an_article_that_is_removed_meanwhile_is_not_read(tmp_path: Path, hashing_encoder: HashingEncoder) -> None:
    corpus = Corpus(tmp_path / "corpus", hashing_encoder)
    list(corpus.add([article("long", 30), article("short", 3)]))
    found = retrieve(corpus, "drone")
    corpus.remove(["long"])
    reader = ScriptedReader(lambda *_: -1.0)
    ranking = Ranker(corpus, reader, PLAIN, depth=50).rank("drone", found)
    corpus.close()
    assert sorted(ranked_places(ranking)) == sorted(places(found.candidates))
    assert [passage.text.count("short") for passage in reader.read_passages] == [3]


def test_nothing_found_is_nothing_ranked(corpus: Corpus) -> None:
    ranking = Ranker(corpus, ScriptedReader(lambda *_: 9.0), PLAIN).rank("Why?", retrieve(corpus, "Why?"))
    assert (ranking.sentences, ranking.read, ranking.judgement.probability) == ((), 0, 0.0)
