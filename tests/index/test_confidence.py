from dataclasses import replace

import pytest
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


@given(COSINES, SHARES, st.floats(0.01, 1))
def test_what_is_nearer_or_holds_more_of_the_question_answers_rather(
    cosine: float, coverage: float, more: float
) -> None:
    features = replace(SILENT, cosine=cosine, coverage=coverage)
    assert sentence_answers(replace(features, cosine=cosine + more)) > sentence_answers(features)
    assert sentence_answers(replace(features, coverage=coverage + more)) > sentence_answers(features)


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


@pytest.mark.parametrize(("cosine", "coverage", "wanted"), [(0.0, 0.0, 0.012), (0.5, 0.5, 0.317), (1.0, 1.0, 0.944)])
def test_the_fitted_values_are_these(cosine: float, coverage: float, wanted: float) -> None:
    assert sentence_answers(replace(SILENT, cosine=cosine, coverage=coverage)) == pytest.approx(wanted, abs=1e-3)
