from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.entailing.lexicon import Lexicon, gerund
from training.entailing.pairs import NEITHER, OPPOSES, SUPPORTS, Pair
from training.entailing.statements import Paragraph, Statements, compare, denied_statement, question_or_statement

LEXICON = Lexicon(synonyms={"large": ("big",)}, opposites={"rejected": ("accepted",), "reject": ("accept",)})
TOWN = Paragraph(
    "toy",
    "town",
    [
        "The council rejected the plan for a large bridge in March.",
        "The mayor opened 24 schools during the winter.",
        "Maria Lopez defeated Anna Berg in the election.",
        "Residents accepted the new tax, and the big market closed.",
    ],
)


def pairs(seed: int, draws: int = 40) -> list[Pair]:
    return list(Statements(LEXICON, [TOWN], Random(seed)).of(TOWN, draws))


def test_a_sentence_is_made_into_pairs_of_all_three_relations() -> None:
    assert {pair.relation for pair in pairs(1)} == {SUPPORTS, OPPOSES, NEITHER}


def test_a_negation_in_the_hypothesis_says_nothing_about_the_relation() -> None:
    # Of hypotheses with a negation as of those without, about a third have each relation.
    made = [pair for seed in range(12) for pair in pairs(seed)]
    for negated in (True, False):
        chosen = [pair for pair in made if negated == any(mark in pair.hypothesis for mark in ("not", "n't", "never"))]
        shares = [sum(pair.relation == one for pair in chosen) / len(chosen) for one in (SUPPORTS, OPPOSES)]
        assert len(chosen) > 100
        assert all(0.22 < share < 0.46 for share in shares)


def test_the_same_words_without_a_report_support_each_other() -> None:
    for pair in pairs(3, draws=100):
        if pair.premise == pair.hypothesis:
            assert pair.relation == SUPPORTS


@pytest.mark.parametrize(
    ("statement", "denied"),
    [
        ("The council rejected the plan.", "reject the plan."),
        ("The bridge was closed in March.", "closed in March."),
    ],
)
def test_a_denied_statement_has_a_negation_and_keeps_the_rest(statement: str, denied: str) -> None:
    made = {denied_statement(statement, Random(seed)) for seed in range(20)}
    assert statement not in made
    assert any(one and one.endswith(denied) and "not" in one for one in made)


def test_what_is_negated_already_is_not_denied_once_more() -> None:
    assert denied_statement("The council did not reject the plan.", Random(1)) is None
    assert denied_statement("Nobody rejected the plan.", Random(1)) is None


def test_a_question_and_its_statement_come_from_either() -> None:
    assert question_or_statement("Tesla sold the patent in 1888.") == (
        "Did Tesla sell the patent in 1888?",
        "Tesla sold the patent in 1888.",
    )
    assert question_or_statement("Did Tesla sell the patent in 1888?") == (
        "Did Tesla sell the patent in 1888?",
        "Tesla sold the patent in 1888.",
    )


amounts = st.tuples(st.floats(0, 1000), st.floats(0, 1000)).map(lambda ends: (min(ends), max(ends)))


@given(amounts)
def test_an_amount_supports_itself(amount: tuple[float, float]) -> None:
    assert compare(amount, amount) == SUPPORTS


@given(amounts, amounts)
def test_opposition_of_amounts_goes_both_ways(one: tuple[float, float], other: tuple[float, float]) -> None:
    assert (compare(one, other) == OPPOSES) == (compare(other, one) == OPPOSES)


@given(amounts, amounts, amounts)
def test_what_an_amount_supports_is_supported_by_all_amounts_within_it(
    inner: tuple[float, float], middle: tuple[float, float], outer: tuple[float, float]
) -> None:
    if compare(inner, middle) == SUPPORTS and compare(middle, outer) == SUPPORTS:
        assert compare(inner, outer) == SUPPORTS


@pytest.mark.parametrize(
    ("premise", "hypothesis", "relation"),
    [
        ((2400, 2400), (2000.1, float("inf")), SUPPORTS),
        ((300.1, float("inf")), (2400, 2400), NEITHER),
        ((300.1, float("inf")), (0, 100), OPPOSES),
    ],
)
def test_amounts_are_compared_as_ranges(
    premise: tuple[float, float], hypothesis: tuple[float, float], relation: int
) -> None:
    assert compare(premise, hypothesis) == relation


@pytest.mark.parametrize(
    ("verb", "form"),
    [("send", "sending"), ("deny", "denying"), ("lie", "lying"), ("stop", "stopping"), ("agree", "agreeing")],
)
def test_the_form_in_ing(verb: str, form: str) -> None:
    assert gerund(verb) == form
