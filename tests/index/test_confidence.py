from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from index.confidence import ANSWERED, PERHAPS, any_answers, sentence_answers
from index.retrieval import Features

SILENT = Features(cosine=0.0, bm25=0.0, pairs=0.0, passage_cosine=0.0, passage_bm25=0.0, coverage=0.0)
COSINES = st.floats(-1, 1)
SHARES = st.floats(0, 1)


@given(COSINES, SHARES)
def test_a_probability_lies_between_none_and_certainty(cosine: float, coverage: float) -> None:
    assert 0 < sentence_answers(replace(SILENT, cosine=cosine, coverage=coverage)) < 1


@given(SHARES, SHARES, SHARES)
def test_what_is_nearer_answers_rather(cosine: float, nearer: float, coverage: float) -> None:
    one, other = (sentence_answers(replace(SILENT, cosine=c, coverage=coverage)) for c in sorted([cosine, nearer]))
    assert one <= other


@given(st.floats(-1, 0.5), SHARES, SHARES)
def test_what_holds_more_of_the_question_answers_rather(cosine: float, coverage: float, more: float) -> None:
    one, other = (sentence_answers(replace(SILENT, cosine=cosine, coverage=c)) for c in sorted([coverage, more]))
    assert one <= other


@given(COSINES, SHARES, SHARES, COSINES)
def test_what_a_corpus_or_a_question_scales_is_not_counted(
    cosine: float, coverage: float, share: float, passage: float
) -> None:
    features = replace(SILENT, cosine=cosine, coverage=coverage)
    scaled = replace(features, bm25=share, pairs=share, passage_bm25=share, passage_cosine=passage)
    assert sentence_answers(scaled) == sentence_answers(features)


@given(st.lists(st.builds(replace, st.just(SILENT), cosine=COSINES, coverage=SHARES), min_size=1))
def test_any_answers_as_likely_as_the_likeliest(found: list[Features]) -> None:
    assert any_answers(found) == max(map(sentence_answers, found))
    assert any_answers(reversed(found)) == any_answers(found)


def test_nothing_found_answers_nothing() -> None:
    assert any_answers([]) == 0


def test_a_sentence_about_something_else_does_not_answer_and_a_close_one_does() -> None:
    assert sentence_answers(replace(SILENT, cosine=0.2, coverage=0.2)) < PERHAPS
    assert sentence_answers(replace(SILENT, cosine=0.75, coverage=1.0)) > ANSWERED
    assert 0 < PERHAPS < ANSWERED < 1
