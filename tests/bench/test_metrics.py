import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.metrics import (
    Place,
    area_under_risk,
    auroc,
    brier,
    calibration_bins,
    choices,
    exact_match,
    expected_calibration_error,
    hit_rate,
    matches,
    mean_reciprocal_rank,
    rank_of,
    risks,
    token_f1,
)
from index.articles import Span


def place(start: int, end: int, article_id: str = "a") -> Place:
    return Place(article_id, Span(start, end))


EVIDENCE = place(100, 200)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (place(100, 200), "the same"),
        (place(101, 199), "quotation marks fewer"),
        (place(100, 300), "joined with the next sentence"),
        (place(100, 120), "the first part of a sentence that was cut in two"),
        (place(0, 1000), "the whole passage"),
        (place(150, 250), "half of either"),
    ],
)
def test_a_place_that_shares_half_of_the_shorter_matches(found: Place, why: str) -> None:
    assert matches(found, EVIDENCE), why
    assert matches(EVIDENCE, found), why


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (place(151, 251), "one character less than half"),
        (place(200, 300), "its neighbour"),
        (place(0, 100), "its other neighbour"),
        (place(100, 200, "b"), "another article"),
        (place(191, 211), "a short neighbour that shares less than half of itself"),
    ],
)
def test_a_place_that_shares_less_does_not_match(found: Place, why: str) -> None:
    assert not matches(found, EVIDENCE), why
    assert not matches(EVIDENCE, found), why


def test_the_rank_is_that_of_the_first_match_of_any_evidence() -> None:
    ranking = [place(0, 50), place(300, 400), place(100, 200)]
    assert rank_of([EVIDENCE], ranking) == 3
    assert rank_of([EVIDENCE, place(300, 400)], ranking) == 2


def test_what_is_not_found_has_no_rank() -> None:
    assert rank_of([EVIDENCE], [place(0, 50)]) is None
    assert rank_of([EVIDENCE], []) is None


def test_a_hit_at_k_stands_at_rank_k_or_better() -> None:
    ranks = [1, 5, 6, None]
    assert hit_rate(ranks, 1) == 0.25
    assert hit_rate(ranks, 5) == 0.5
    assert hit_rate(ranks, 10) == 0.75


def test_reciprocal_ranks_past_k_count_nothing() -> None:
    assert mean_reciprocal_rank([1, 2, 4, None], 10) == pytest.approx((1 + 1 / 2 + 1 / 4) / 4)
    assert mean_reciprocal_rank([1, 11], 10) == 0.5


def test_no_questions_have_no_hits() -> None:
    assert hit_rate([], 1) == mean_reciprocal_rank([], 10) == 0.0


def test_a_part_is_compared_without_case_articles_and_punctuation() -> None:
    assert exact_match("the  Lake!", ["a lake"]) == 1
    assert exact_match("the Lake", ["a pond", "Lakes"]) == 0


def test_f1_counts_words_that_are_shared_by_the_best_answer() -> None:
    assert token_f1("deep lake house", ["lake", "deep lake"]) == pytest.approx(2 * 2 / 5)
    assert token_f1("lake lake", ["lake"]) == pytest.approx(2 * 1 / 3)
    assert token_f1("", ["lake"]) == token_f1("pond", ["lake"]) == token_f1("lake", []) == 0
    assert token_f1("the", ["a"]) == 1


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.booleans()), max_size=30))
def test_auroc_is_how_often_a_true_one_is_above_a_false_one(told: list[tuple[float, bool]]) -> None:
    pairs = [
        (one > other) + (one == other) / 2 for one, true in told if true for other, true_too in told if not true_too
    ]
    found = auroc([one for one, _ in told], [true for _, true in told])
    assert found == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


def test_probabilities_that_hold_have_no_calibration_error() -> None:
    assert expected_calibration_error([0.25] * 4, [True, False, False, False], bins=1) == 0
    assert expected_calibration_error([0.9, 0.9], [False, False], bins=1) == pytest.approx(0.9)
    assert expected_calibration_error([], []) == 0


def test_bins_are_of_equal_mass_and_lowest_first() -> None:
    found = calibration_bins([0.9, 0.1, 0.2, 0.8, 0.5, 0.6], [True, False, False, True, True, False], bins=3)
    assert [count for _, _, count in found] == [2, 2, 2]
    assert [came for _, came, _ in found] == [0.0, 0.5, 1.0]
    assert found[0][0] == pytest.approx(0.15)


def test_brier_is_the_mean_square() -> None:
    assert brier([1.0, 0.5], [True, True]) == 0.125


def test_risk_is_that_of_the_likeliest_and_ties_count_alike() -> None:
    assert risks([0.1, 0.9, 0.5], [False, True, False]).tolist() == pytest.approx([0, 1 / 2, 2 / 3])
    assert risks([0.5, 0.5], [True, False]).tolist() == risks([0.5, 0.5], [False, True]).tolist() == [0.5, 0.5]
    assert area_under_risk([0.1, 0.9, 0.5], [False, True, False]) == pytest.approx((0 + 1 / 2 + 2 / 3) / 3)
    assert area_under_risk([], []) == 0


def test_what_a_threshold_means() -> None:
    said, answerable = np.array([0.9, 0.6, 0.4, 0.3]), np.array([True, True, True, False])
    right, strays = np.array([True, False, True, False]), np.array([0.5, 0.1])
    low, high, none = choices(said, answerable, right, strays, [0.35, 0.5, 0.95])
    assert [low.coverage, low.of_answerable, low.risk, low.stray] == pytest.approx([0.75, 1.0, 1 / 3, 0.5])
    assert [high.coverage, high.of_answerable, high.risk, high.stray] == pytest.approx([0.5, 2 / 3, 0.5, 0.5])
    assert (none.coverage, none.risk) == (0.0, 0.0)
