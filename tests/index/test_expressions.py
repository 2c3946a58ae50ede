import datetime as dt
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from index import expressions
from index.articles import Span
from index.expressions import find_times

# A Friday.
PUBLISHED = dt.date(2022, 10, 28)
# What sentences about time are made of; plain text would hardly ever hold an expression.
PIECES = (
    *(
        "in",
        "on",
        "since",
        "the",
        "last",
        "next",
        "this",
        "past",
        "week",
        "month",
        "year",
        "years",
        "century",
        "centuries",
    ),
    *("decade", "ago", "two", "few", "a", "several", "early", "mid-", "late", "end of", "first half of", "19th", "0th"),
    *("1990", "1990s", "'90s", "2,400", "2022-10-28", "2022-13-45", "31 June", "29 February", "May", "may", "Friday"),
    *("Good Friday", "yesterday", "tomorrow", "tonight", "to", "–", "-", "from", "between", "and", "AD", "BC", "0001"),
    *(
        "October 5",
        "October",
        "5/6/2020",
        "28.10.2022",
        "quarter",
        "Q3",
        "999",
        "hundred",
        "from now",
        "will",
        ",",
        ".",
    ),
    *("99 centuries ago", "winter", "\u00a0", "\n", "September 31st", "9999-12-31", "recent weeks", "coming decades"),
)


CASES: list[Callable[[str], str]] = [str, str.upper, str.lower, str.title]


def found(text: str, published: dt.date | None = PUBLISHED) -> list[tuple[str, str, str]]:
    """Return the times of a text as it stands between two other sentences, which are not to be looked at."""
    before, after = "In 1812 it began. ", " In 1914 it ended."
    span = Span(len(before), len(before) + len(text))
    times = find_times(before + text + after, span, published)
    return [(where.of(before + text + after), str(days[0]), str(days[1])) for where, days in times if days]


@pytest.mark.parametrize(
    ("text", "words", "first", "last"),
    [
        ("It fell on 5 March 2020.", "5 March 2020", "2020-03-05", "2020-03-05"),
        ("In a May 25, 1961, address", "May 25, 1961", "1961-05-25", "1961-05-25"),
        ("Friday, October 28, was cold", "Friday, October 28", "2022-10-28", "2022-10-28"),
        ("On the 5th of March it fell.", "the 5th of March", "2022-03-05", "2022-03-05"),
        ("from 6 to 10 July 2009", "6 to 10 July 2009", "2009-07-06", "2009-07-10"),
        ("on 2022-10-28T12:00", "2022-10-28", "2022-10-28", "2022-10-28"),
        ("Sent 28/10/2022", "28/10/2022", "2022-10-28", "2022-10-28"),
        ("Sent 10/28/22", "10/28/22", "2022-10-28", "2022-10-28"),
        ("am 28.10.2022 in Kiew", "28.10.2022", "2022-10-28", "2022-10-28"),
        ("PERFORMANCE 01-Feb-02 P", "01-Feb-02", "2002-02-01", "2002-02-01"),
        ("It began in July 2021.", "July 2021", "2021-07-01", "2021-07-31"),
        ("in July–August 2021", "July–August 2021", "2021-07-01", "2021-08-31"),
        ("in late December 2021", "late December 2021", "2021-12-21", "2021-12-31"),
        ("In July the US said", "July", "2022-07-01", "2022-07-31"),
        ("In November the US said", "November", "2021-11-01", "2021-11-30"),
        ("In November the US will vote", "November", "2022-11-01", "2022-11-30"),
        ("At the start of October, drones came", "the start of October", "2022-10-01", "2022-10-10"),
        ("last October", "last October", "2021-10-01", "2021-10-31"),
        ("Made in 1888.", "1888", "1888-01-01", "1888-12-31"),
        ("the end of 1888", "the end of 1888", "1888-09-01", "1888-12-31"),
        ("in the first half of 2021", "the first half of 2021", "2021-01-01", "2021-06-30"),
        ("from 1969 to 1972", "from 1969 to 1972", "1969-01-01", "1972-12-31"),
        ("the war of 1914–18", "1914–18", "1914-01-01", "1918-12-31"),
        ("since the summer of 1945", "summer of 1945", "1945-01-01", "1945-12-31"),
        ("the third quarter of 2010", "third quarter of 2010", "2010-07-01", "2010-09-30"),
        ("in the 1990s", "1990s", "1990-01-01", "1999-12-31"),
        ("in the late 1990s", "the late 1990s", "1997-01-01", "1999-12-31"),
        ("in the 1800s", "1800s", "1800-01-01", "1899-12-31"),
        ("the '90s", "'90s", "1990-01-01", "1999-12-31"),
        ("the 19th century", "19th century", "1801-01-01", "1900-12-31"),
        ("the mid-eighteenth century", "the mid-eighteenth century", "1734-01-01", "1766-12-31"),
        ("the 18th and 19th centuries", "18th and 19th centuries", "1701-01-01", "1900-12-31"),
        ("it fell in 476 AD", "476 AD", "0476-01-01", "0476-12-31"),
        ("Last month, Ukraine reported", "Last month", "2022-09-01", "2022-09-30"),
        ("next month", "next month", "2022-11-01", "2022-11-30"),
        ("In the past month, drones", "the past month", "2022-09-28", "2022-10-28"),
        ("in recent weeks", "recent weeks", "2022-09-23", "2022-10-28"),
        ("within the last few months", "the last few months", "2022-05-28", "2022-10-28"),
        ("over the last three years", "the last three years", "2019-10-28", "2022-10-28"),
        ("We will see in the coming weeks", "the coming weeks", "2022-10-28", "2022-12-02"),
        ("earlier this week", "earlier this week", "2022-10-24", "2022-10-28"),
        ("this week", "this week", "2022-10-24", "2022-10-30"),
        ("last week", "last week", "2022-10-17", "2022-10-23"),
        ("late last year", "late last year", "2021-09-01", "2021-12-31"),
        ("last weekend", "last weekend", "2022-10-22", "2022-10-23"),
        ("last night", "last night", "2022-10-27", "2022-10-27"),
        ("two weeks ago", "two weeks ago", "2022-10-10", "2022-10-16"),
        ("a year ago", "a year ago", "2021-01-01", "2021-12-31"),
        ("a few days ago", "a few days ago", "2022-10-23", "2022-10-26"),
        ("yesterday", "yesterday", "2022-10-27", "2022-10-27"),
        ("the day before yesterday", "the day before yesterday", "2022-10-26", "2022-10-26"),
        ("tomorrow", "tomorrow", "2022-10-29", "2022-10-29"),
        ("on Friday received", "Friday", "2022-10-28", "2022-10-28"),
        ("on Saturday", "Saturday", "2022-10-22", "2022-10-22"),
        ("They will meet on Saturday", "Saturday", "2022-10-29", "2022-10-29"),
        ("last Friday", "last Friday", "2022-10-21", "2022-10-21"),
        ("next Friday", "next Friday", "2022-11-04", "2022-11-04"),
        ("this Monday", "this Monday", "2022-10-24", "2022-10-24"),
        ("on February 29", "February 29", "2020-02-29", "2020-02-29"),
    ],
)
def test_an_expression_is_found_and_resolved(text: str, words: str, first: str, last: str) -> None:
    assert found(text) == [(words, first, last)]


@pytest.mark.parametrize(
    "text",
    [
        *("Russia ordered 2,400 drones.", "section 1990", "1,500 people", "about 1500 people", "1984 soldiers died"),
        *("1400 Smith Street", "$1990", "+1990", "call 713 965 2158", "for three months", "a month later"),
        *("the next day", "the following year", "the previous year", "many years ago", "the last week of his life"),
        *("He may march on a second sat.", "the March on Washington", "Good Friday", "every Friday", "USA Today"),
        *("the Friday Times", "Monday to Friday", "from June to September", "Sent 3/9/2022", "in 300 BC", "No. 1984"),
        *("the 2nd century BC", "100 years", "on 31 June 2020", "99999 years ago", "at 12:2022", "version 2.2020.1"),
        "In the next five years he built it.",
    ],
)
def test_what_is_no_time_or_counts_from_another_one_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_without_a_date_only_what_names_its_own_year_is_found() -> None:
    text = "On Friday, last month, in July, on 5 March, a year ago and yesterday; not in July 2021, 1888 or the 1990s"
    assert [words for words, *_ in found(text, None)] == ["July 2021", "1888", "1990s"]


def test_times_are_told_in_order_and_the_longer_one_of_two_at_one_place() -> None:
    text = "In 2001 and on 5 March 2020, three years ago, but not on Good Friday"
    assert [words for words, *_ in found(text)] == ["2001", "5 March 2020", "three years ago"]


@pytest.mark.parametrize("year", [1, 2, 99, 9998, 9999])
def test_at_the_ends_of_the_calendar_what_lies_beyond_is_left_alone(year: int) -> None:
    for text in ("last century", "next century", "20 decades ago", "two centuries from now", "in the past decade"):
        found(text, dt.date(year, 1, 1))
        found(text, dt.date(year, 12, 31))


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=14), st.none() | st.dates(), st.booleans())
@example(["29 February"], dt.date(1, 1, 1), False)
def test_whatever_is_written_the_times_lie_in_the_sentence(
    pieces: list[str], published: dt.date | None, joined: bool
) -> None:
    text = ("" if joined else " ").join(("x", *pieces, "x"))
    sentence = Span(1, max(2, len(text) - 1))
    times = list(find_times(text, sentence, published))
    assert all(sentence.covers(span) for span, _ in times)
    assert all(one.end <= other.start for (one, _), (other, _) in pairwise(times))
    assert all(days[0] <= days[1] for _, days in times if days)


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=14), st.booleans(), st.sampled_from(CASES))
@example(["from", "September 31st"], True, str.upper)
@example(["u\u017fa today", "spr\u0130ng 1990"], False, str)
@example(["spr\u0131ng 1990"], False, str)
def test_no_match_is_missed_because_it_was_not_looked_for(
    pieces: list[str], joined: bool, case: Callable[[str], str]
) -> None:
    text = case(("" if joined else " ").join(pieces))
    lowered = expressions._lowered(text)
    kinds = expressions._kinds(text, lowered, 0)
    for rule in expressions._RULES:
        for match in rule.pattern.finditer(text):
            needed = rule.needs.search(lowered)
            assert needed is not None
            assert needed.start() - rule.reach <= match.start()
            # "5 CENTURIES" is none of an era; of weekdays and units some patterns take more than is a time.
            assert rule.kind in kinds or rule.kind in ("era", "weekday", "unit")


def test_a_word_that_begins_before_the_sentence_is_none_of_its_words() -> None:
    text = "7thMay 1990, xlast week, xAD 90"
    assert [where.of(text) for where, _ in find_times(text, Span(3, len(text)), PUBLISHED)] == ["1990"]
    assert list(find_times(text, Span(14, 23), PUBLISHED)) == []
    assert list(find_times(text, Span(26, len(text)), PUBLISHED)) == []


@pytest.mark.parametrize("text", ["dozen years ago", "s\u0131x years ago", "the f\u0130rst century", "th\u0130s week"])
def test_what_a_pattern_takes_for_a_number_word_makes_nothing_fail(text: str) -> None:
    assert list(find_times(text, Span(0, len(text)), PUBLISHED)) is not None


@pytest.mark.parametrize(
    "piece", ["1", "the ", "early ", " \n", "a few ", "October ", "19th ", "1990-", "1990 ", "last "]
)
def test_odd_text_takes_time_in_proportion_to_its_length(piece: str) -> None:
    def seconds(times: int) -> float:
        text = piece * times + " in October 2022"
        started = time.process_time()
        assert list(find_times(text, Span(0, len(text)), PUBLISHED)) is not None
        return time.process_time() - started

    short, long = (min(seconds(times) for _ in range(3)) for times in (500, 5000))
    assert long < 40 * max(short, 1e-3)
