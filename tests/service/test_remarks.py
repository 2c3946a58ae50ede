import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.answering import Answer
from service.comparison import AskedTime, Comparison, Difference, Side, Time, Value
from service.remarks import (
    LONGEST_HEADING,
    Cited,
    Remark,
    Theirs,
    asked_about,
    by_strength,
    difference,
    groups,
    period,
    remarks,
    speaker,
    summary,
    times,
    written,
)
from tests.service.answers import CONTESTED, TWO_NAMES, part, said


def _text(remark: Remark | None) -> str | None:
    return None if remark is None else written(remark, str)


def _headings(answer: Answer) -> list[tuple[str | None, tuple[int, ...]]]:
    found = groups(answer, answer.citations)
    return [(_text(group.heading), tuple(one.n for one in group.citations)) for group in found]


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("2022-10-28", "2022-10-28", "28 October 2022"),
        ("2022-10-03", "2022-10-09", "3 to 9 October 2022"),
        ("2022-10-31", "2022-11-06", "31 October to 6 November 2022"),
        ("2022-10-03", "2022-11-03", "3 October to 3 November 2022"),
        ("2021-12-27", "2022-01-02", "27 December 2021 to 2 January 2022"),
        ("2022-09-01", "2022-09-30", "September 2022"),
        ("2024-02-01", "2024-02-29", "February 2024"),
        ("2023-02-01", "2024-02-28", "1 February 2023 to 28 February 2024"),
        ("2022-03-01", "2022-05-31", "March to May 2022"),
        ("2021-11-01", "2022-01-31", "November 2021 to January 2022"),
        ("2022-01-01", "2022-12-31", "2022"),
        ("2020-01-01", "2021-12-31", "2020 to 2021"),
        ("0001-01-01", "9999-12-31", "1 to 9999"),
    ],
)
def test_days_are_written_as_people_do(first: str, last: str, text: str) -> None:
    assert period(dt.date.fromisoformat(first), dt.date.fromisoformat(last)) == text


@given(st.tuples(st.dates(), st.dates()).map(sorted), st.tuples(st.dates(), st.dates()).map(sorted))
def test_other_days_are_written_otherwise(one: list[dt.date], other: list[dt.date]) -> None:
    assert (period(one[0], one[1]) == period(other[0], other[1])) == (one == other)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (said("Iran", "denies", via="IRNA"), "denied by Iran, according to IRNA"),
        (said("the minister", named="Amirabdollahian"), "said by the minister (Amirabdollahian)"),
        (said("He", named="Amirabdollahian"), "said by Amirabdollahian"),
        (said("Kyiv", "accuses", named="Kyiv"), "an accusation by Kyiv"),
        (said("critics", "doubts"), "doubted by critics"),
        (said("The EU", "asks"), "asked by The EU"),
        (said("they", via="IRNA"), None),
        (None, None),
    ],
)
def test_whose_statement_it_is_is_told_with_the_articles_words(found: object, text: str | None) -> None:
    assert _text(speaker(found)) == text  # type: ignore[arg-type]


def test_words_of_articles_are_kept_apart_from_ours() -> None:
    assert speaker(said("Iran", "denies", via="IRNA")) == (
        "denied by ",
        Theirs("Iran"),
        ", according to ",
        Theirs("IRNA"),
    )
    assert written((Theirs("a"), " = ", Cited(3)), str.upper, "<{}>".format) == "A = <3>"


def test_a_time_is_told_once_and_only_where_the_quote_does_not_say_it_itself() -> None:
    september = (dt.date(2022, 9, 1), dt.date(2022, 9, 30))
    spoken = tuple(Time(part(words), *september) for words in ("last month", "September 2022", "last month"))
    found = times(replace(CONTESTED.citations[0], times=spoken))
    assert [one.words.text for one in found] == ["last month"]


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (AskedTime("last month", dt.date(2022, 9, 1), dt.date(2022, 9, 30)), "last month = September 2022"),
        (AskedTime("in October 2022", dt.date(2022, 10, 1), dt.date(2022, 10, 31)), "in October 2022"),
        (AskedTime("since last week", dt.date(2022, 10, 3), None), "since last week = from 3 October 2022 on"),
        (AskedTime("before the war", None, dt.date(2022, 2, 23)), "before the war = until 23 February 2022"),
        (AskedTime("now", None, None), "now"),
    ],
)
def test_the_time_of_a_question_is_told(time: AskedTime, text: str) -> None:
    assert _text(asked_about(time)) == f"Asked about: {text}"


def test_differences_are_told_with_the_numbers_of_the_citations() -> None:
    assert CONTESTED.comparison is not None
    assert [_text(difference(one)) for one in CONTESTED.comparison.differences] == [
        "Numbers differ (drones): 2,400 [4], more than 300 [1]",
        "Names differ (minister): Amirabdollahian [2], Amir-Abdollahian [1]",
        "Opposite statements: [1] and [2]",
    ]
    twice = (Value(1, part("John")), Value(2, part("Dmytro")), Value(3, part("John", 9)), Value(3, part("John", 20)))
    assert _text(difference(Difference("name", "", twice))) == "Names differ: John [1] [3], Dmytro [2]"


def test_what_stands_apart_is_a_group_with_a_heading_and_the_best_comes_first() -> None:
    assert _headings(CONTESTED) == [("Yes · 2 sources", (1, 3)), ("No · 1 source", (2,)), ("Unclear", (4, 5))]
    assert _headings(TWO_NAMES) == [("Dmytro Kuleba · 1 source", (1,)), ("John Kuleba · 1 source", (2,))]
    assert TWO_NAMES.comparison is not None
    later = replace(TWO_NAMES.comparison, sides=(Side((3,), None, "A", 1), Side((2,), None, None, 1)))
    answer = replace(CONTESTED, comparison=later)
    assert _headings(answer) == [("1 source", (2,)), ("A · 1 source", (3,)), ("Other sentences", (1, 4, 5))]


def test_where_nothing_stands_apart_there_is_one_group_and_each_says_what_it_says() -> None:
    assert CONTESTED.comparison is not None
    one_side = replace(CONTESTED.comparison, sides=CONTESTED.comparison.sides[:1])
    for comparison in (one_side, None):
        answer = replace(CONTESTED, comparison=comparison)
        [group] = groups(answer, answer.citations)
        assert (group.heading, group.citations) == (None, answer.citations)
        assert _text(remarks(answer.citations[0], group)[0]) == "says yes"
    [yes, *_] = groups(CONTESTED, CONTESTED.citations)
    assert _text(remarks(CONTESTED.citations[0], yes)[0]) == "denied by Iran, according to IRNA"
    assert groups(replace(CONTESTED, citations=()), ()) == ()


@given(st.lists(st.lists(st.integers(1, 8), max_size=4).map(tuple), max_size=4))
def test_each_citation_is_shown_once_whatever_the_sides_are(sides: list[tuple[int, ...]]) -> None:
    comparison = Comparison("differ", "", tuple(Side(numbers, None, None, 1) for numbers in sides), ())
    answer = replace(CONTESTED, comparison=comparison)
    shown = [one.n for group in groups(answer, answer.citations) for one in group.citations]
    assert sorted(shown) == [1, 2, 3, 4, 5]


def test_a_long_answer_is_cut_in_its_heading() -> None:
    assert TWO_NAMES.comparison is not None
    sides = (Side((1,), None, "word \n" * 40, 1), TWO_NAMES.comparison.sides[1])
    heading = _headings(replace(TWO_NAMES, comparison=replace(TWO_NAMES.comparison, sides=sides)))[0][0]
    assert heading is not None
    assert heading.startswith("word word")
    assert heading.endswith("… · 1 source")
    assert len(heading) <= LONGEST_HEADING + len(" · 1 source")


def test_what_a_comparison_tells_of_is_shown_however_weak_it_is() -> None:
    shown, weaker = by_strength(CONTESTED, 0.95)
    assert [one.n for one in shown] == [1, 2, 3, 4]
    assert [one.n for one in weaker] == [5]
    shown, weaker = by_strength(replace(CONTESTED, comparison=None), 0.75)
    assert ([one.n for one in shown], [one.n for one in weaker]) == ([1, 2], [3, 4, 5])


def test_one_source_and_what_is_unclear_is_not_summed_up() -> None:
    assert summary(CONTESTED) == "2 sources say yes, 1 source says no."
    assert CONTESTED.comparison is not None
    for comparison in (
        None,
        replace(CONTESTED.comparison, verdict="one_source", summary="One source only."),
        replace(CONTESTED.comparison, verdict="unclear", summary=""),
    ):
        assert summary(replace(CONTESTED, comparison=comparison)) is None
