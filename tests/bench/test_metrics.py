import pytest

from bench.metrics import Place, hit_rate, matches, mean_reciprocal_rank, rank_of
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
