import datetime as dt
from collections.abc import Sequence

import pytest

from index.articles import Article, Span
from index.confidence import Calibration
from index.corpus import Corpus
from index.entailment import Stance, Thresholds
from index.testing import OverlapEntailment, OverlapReader
from service.answering import Answer, Answerer

OVERLAP = Calibration("overlap", {"logit": 1.0, "fusion": 0.1}, {"order": 1.0, "bias": -1.0}, {"odds": 1.0})
DENIED = "Iran denies that Iran sent armed drones to Russia."
SENT = "Iran sent armed drones to Russia, said Kyiv."
QUESTION = "Did Iran send armed drones to Russia?"


class WordEntailment(OverlapEntailment):
    """Says what a premise's first word says: "Iran denies" opposes, "Iran sent" supports; all else touches it."""

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        return [Stance(float("sent" in one and "denies" not in one), float("denies" in one)) for one, _ in pairs]


def _article(name: str, text: str, date: dt.date | None = None) -> Article:
    return Article(id=name, text=text, body=Span(0, len(text)), date=date)


def _ask(corpus: Corpus, question: str, *articles: Article, top_k: int = 5, compare: bool = True) -> Answer:
    for _ in corpus.add(articles):
        pass
    answerer = Answerer(
        corpus, reader=OverlapReader(), calibration=OVERLAP, perhaps=0.01, answered=0.02, entailment=WordEntailment()
    )
    return answerer.ask(question, top_k=top_k, compare=compare)


def test_both_sides_of_a_yes_or_no_question_are_told(corpus: Corpus) -> None:
    answer = _ask(corpus, QUESTION, _article("a", DENIED), _article("b", f"It rained. {SENT}"))
    assert {one.article_id: one.says for one in answer.citations if one.says} == {"a": "no", "b": "yes"}
    assert answer.comparison is not None
    assert answer.comparison.verdict == "contested"


def test_a_question_that_wants_no_yes_gets_none(corpus: Corpus) -> None:
    answer = _ask(corpus, "Who sent armed drones to Russia?", _article("a", DENIED), _article("b", SENT))
    assert [one.says for one in answer.citations] == [None, None]
    # Each of the two opposes the other to this fake only where it denies: that is one way, and says nothing.
    assert answer.comparison is not None
    assert answer.comparison.differences == ()


def test_another_source_that_says_so_takes_the_place_of_a_sentence_that_says_nothing(corpus: Corpus) -> None:
    weak = " ".join(f"Russia counted armed drones number {number} of Iran." for number in ("one", "six", "ten"))
    crowd = _article("a", f"{SENT} {weak}")
    answer = _ask(corpus, QUESTION, crowd, _article("b", f"The dog slept. {DENIED}"), top_k=2)
    assert [(one.article_id, one.says) for one in answer.citations] == [("a", "yes"), ("b", "no")]
    assert [one.n for one in answer.citations] == [1, 2]


def test_one_text_in_three_outlets_is_one_voice_and_one_source_of_its_place(corpus: Corpus) -> None:
    told = "The minister told reporters that armed drones had been sent to Russia by Iran on Friday."
    words = {"alpha": "rain wind snow", "beta": "bread milk salt", "gamma": "cats dogs owls"}
    rest = {name: " ".join(f"{own} {n} {own}." for n in range(9)) for name, own in words.items()}
    answer = _ask(corpus, QUESTION, *(_article(name, f"{told} {text}") for name, text in rest.items()))
    first = answer.citations[0]
    assert first.quote == told
    assert {first.article_id, *(place.article_id for place in first.places)} == {"alpha", "beta", "gamma"}
    for place in first.places:
        text = corpus.store.record(place.article_id).article.text
        assert place.quote == text[place.start_char : place.end_char]
    assert first.says == "yes"
    assert answer.comparison is not None
    assert answer.comparison.sides[0].sources == 3


def test_near_duplicate_articles_count_as_one_source(corpus: Corpus) -> None:
    body = " ".join(f"Sentence number {n} tells what happened in town {n * 7} on that long day." for n in range(20))
    outlets = [_article(name, f"{SENT} {body} {name}.") for name in ("alpha", "beta")]
    answer = _ask(corpus, QUESTION, *outlets)
    assert answer.comparison is not None
    assert [side.sources for side in answer.comparison.sides] == [1]
    assert answer.comparison.summary == "One source only."


def test_about_now_the_newest_place_is_quoted_and_the_answer_says_that_it_is_old(corpus: Corpus) -> None:
    told = "The foreign minister of Ukraine is Dmytro Kuleba, as everybody in Kyiv knows."
    old, new = dt.date(2020, 5, 1), dt.date(2022, 10, 28)
    answer = _ask(corpus, "Who is the foreign minister of Ukraine?", _article("a", told, old), _article("b", told, new))
    [voice] = answer.citations
    assert (voice.article_id, [place.article_id for place in voice.places]) == ("b", ["a"])
    assert answer.age is not None
    assert answer.age.startswith("The newest of these is from 28 October 2022, ")


def test_what_was_asked_about_the_past_is_not_called_old(corpus: Corpus) -> None:
    answer = _ask(corpus, "Who was hurt?", _article("a", "Nobody was hurt.", dt.date(2020, 5, 1)))
    assert answer.citations
    assert answer.age is None


def test_a_quote_carries_who_says_it_and_when_it_speaks_of(corpus: Corpus) -> None:
    text = "Ukraine reported last month that 🚀 drones had come from Iran."
    [citation] = _ask(corpus, QUESTION, _article("a", text, dt.date(2022, 10, 28))).citations
    assert citation.attribution is not None
    assert (citation.attribution.speaker.text, citation.attribution.kind) == ("Ukraine", "says")
    [time] = citation.times
    assert (time.words.text, time.first, time.last) == ("last month", dt.date(2022, 9, 1), dt.date(2022, 9, 30))
    assert citation.quote[time.words.start_char - citation.start_char :].startswith("last month")


def test_switched_off_nothing_is_compared(corpus: Corpus) -> None:
    answer = _ask(corpus, QUESTION, _article("a", DENIED), _article("b", SENT), compare=False)
    assert answer.comparison is None
    assert [(one.says, one.attribution) for one in answer.citations] == [(None, None)] * 2


@pytest.mark.parametrize("top_k", [1, 3, 9])
def test_no_more_is_cited_than_is_wanted_and_no_more_is_judged_than_can_be(corpus: Corpus, top_k: int) -> None:
    articles = [_article(f"a{n}", f"Iran sent armed drones number {n} to Russia. It rained.") for n in range(12)]
    answer = _ask(corpus, QUESTION, *articles, top_k=top_k)
    assert len(answer.citations) == top_k
    assert len([one for one in answer.citations if one.says]) <= 8


def test_thresholds_leave_unsaid_what_the_model_is_not_sure_of(corpus: Corpus) -> None:
    for _ in corpus.add([_article("a", DENIED), _article("b", SENT)]):
        pass
    unsure = WordEntailment(thresholds=Thresholds(2.0, 2.0))
    answer = Answerer(corpus, perhaps=0, entailment=unsure).ask(QUESTION)
    assert [one.says for one in answer.citations] == [None, None]
