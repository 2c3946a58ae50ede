import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.articles import Span
from index.times import Moment, Window, fits, is_about_now, moments_of, window_of

TODAY = dt.date(2022, 11, 10)
OCTOBER = Window("in October 2022", dt.date(2022, 10, 1), dt.date(2022, 10, 31), None, "in")


def fit(question: str, sentence: str, published: dt.date | None = None) -> float:
    window = window_of(question, TODAY)
    assert window is not None
    return fits(window, sentence, Span(0, len(sentence)), published)


def test_moments_stand_where_their_words_do() -> None:
    text = "A title. Last month it fell, as in 1888. In 2001 it rose."
    sentence = Span(9, 40)
    assert moments_of(text, sentence, dt.date(2022, 10, 28)) == [
        Moment(Span(9, 19), dt.date(2022, 9, 1), dt.date(2022, 9, 30)),
        Moment(Span(35, 39), dt.date(1888, 1, 1), dt.date(1888, 12, 31)),
    ]
    assert [moment.span.of(text) for moment in moments_of(text, sentence, None)] == ["1888"]


def test_a_time_that_ends_before_it_begins_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="not a time"):
        Moment(Span(0, 1), dt.date(2022, 1, 2), dt.date(2022, 1, 1))
    with pytest.raises(ValueError, match="not a time"):
        Window("", dt.date(2022, 1, 2), dt.date(2022, 1, 1), None, "in")


@pytest.mark.parametrize(
    ("question", "words", "first", "last", "relation"),
    [
        ("How many drones were shot down in October 2022?", "in October 2022", "2022-10-01", "2022-10-31", "in"),
        ("What has Iran said since last week?", "since last week", "2022-10-31", None, "since"),
        ("What was said before 2001?", "before 2001", None, "2000-12-31", "before"),
        ("What was said prior to  2001?", "prior to  2001", None, "2000-12-31", "before"),
        ("How many died by 2003?", "by 2003", None, "2003-12-31", "before"),
        ("What happened after October 2022?", "after October 2022", "2022-11-01", None, "after"),
        ("From 2010, who led it?", "From 2010", "2010-01-01", None, "since"),
        ("Who won between 1990 and 1995?", "between 1990 and 1995", "1990-01-01", "1995-12-31", "in"),
        ("What did the minister say last month?", "last month", "2022-10-01", "2022-10-31", "in"),
        ("What did he say on Friday?", "on Friday", "2022-11-04", "2022-11-04", "in"),
        ("Who lived in the 19th century?", "in the 19th century", "1801-01-01", "1900-12-31", "in"),
    ],
)
def test_the_time_that_a_question_asks_about(
    question: str, words: str, first: str | None, last: str | None, relation: str
) -> None:
    window = window_of(question, TODAY)
    assert window is not None
    assert window.event is None
    days = [day and day.isoformat() for day in (window.first, window.last)]
    assert (window.words, *days, window.relation) == (words, first, last, relation)


@pytest.mark.parametrize(
    ("question", "words", "event", "relation"),
    [
        ("Did Iran send drones before the war?", "before the war", "war", "before"),
        ("Did Iran send drones during the Ukraine war?", "during the Ukraine war", "Ukraine war", "in"),
        ("What changed after the election?", "after the election", "election", "after"),
        ("What has changed since the 2014 referendum?", "since the 2014 referendum", "2014 referendum", "since"),
    ],
)
def test_a_time_can_be_that_of_an_event(question: str, words: str, event: str, relation: str) -> None:
    assert window_of(question, TODAY) == Window(words, None, None, event, relation)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "question",
    [
        *("", "Who is Ukraine's foreign minister?", "When did Iran deny it?", "What did Iran say about the 2015 deal?"),
        *("Who testified before the Senate?", "What is the population today?", "How long is 1,500 miles?"),
        "Who led the 1066 invasion?",
    ],
)
def test_most_questions_ask_about_no_time(question: str) -> None:
    assert window_of(question, TODAY) is None


@pytest.mark.parametrize(
    ("question", "now"),
    [
        ("Who is Ukraine's foreign minister?", True),
        ("Who leads Ukraine?", True),
        ("Who currently leads it?", True),
        ("What is the latest on the talks?", True),
        ("What is the population today?", True),
        ("How many people have died?", True),
        ("Who was the minister?", False),
        ("When did Iran deny it?", False),
        ("Who is known to have led it in 1984?", False),
        ("What does Iran say about last month?", False),
        ("Has Iran sent drones before the war?", False),
        ("Who won?", False),
        ("", False),
    ],
)
def test_whether_a_question_is_about_now(question: str, now: bool) -> None:
    assert is_about_now(question) is now


@pytest.mark.parametrize(
    ("sentence", "published", "wanted"),
    [
        ("It fell in October 2022.", None, 1.0),
        ("It fell on 5 October 2022.", None, 1.0),
        ("It fell in September 2022.", dt.date(2022, 10, 5), -1.0),
        ("Last month it fell.", dt.date(2022, 11, 3), 1.0),
        ("It fell.", dt.date(2022, 10, 5), 1.0),
        ("It fell.", dt.date(2022, 11, 3), -1.0),
        ("It fell.", None, 0.0),
        ("Last month it fell.", None, 0.0),
        ("It fell in 2022.", None, 31 / 365),
    ],
)
def test_a_sentence_fits_where_what_it_tells_was_then(sentence: str, published: dt.date | None, wanted: float) -> None:
    assert fits(OCTOBER, sentence, Span(0, len(sentence)), published) == pytest.approx(wanted)


def test_open_windows_reach_to_the_ends_of_time() -> None:
    assert fit("What was before 2001?", "It was in 1066.") == 1
    assert fit("What was before 2001?", "It was in 2001.") == -1
    assert fit("What happened since last week?", "It fell.", dt.date(2022, 11, 9)) == 1
    assert fit("What happened since last week?", "It fell.", dt.date(2022, 10, 9)) == -1


@pytest.mark.parametrize(
    ("question", "fitting"),
    [
        ("Did Iran export weapons during the war?", 1.0),
        ("Did Iran export weapons during the Ukraine war?", 1.0),
        ("Did Iran export weapons during the Iraq war?", 0.0),
        ("Did Iran export weapons before the war?", 0.0),
        ("Did Iran export weapons during the election?", 0.0),
    ],
)
def test_a_sentence_fits_an_event_where_it_speaks_of_it_itself(question: str, fitting: float) -> None:
    sentence = "“We have recently exported weapons to Russia, but not during the Ukraine war,” he said."
    assert fit(question, sentence, dt.date(2022, 10, 28)) == fitting


@given(
    st.text(max_size=30)
    | st.sampled_from(["before the war", "in 1990", "since Friday", "by the 19th century", "by 0001"]),
    st.text(max_size=30),
    st.dates(),
)
def test_any_question_and_any_sentence_can_be_compared(question: str, sentence: str, today: dt.date) -> None:
    window = window_of(question, today)
    is_about_now(question)
    if window:
        assert window.words in question
        assert -1 <= fits(window, f"x{sentence}", Span(0, len(sentence) + 1), today) <= 1
