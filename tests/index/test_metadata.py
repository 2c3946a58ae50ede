import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.articles import Origin, Span
from index.errors import FormatError
from index.heads import read_head
from index.metadata import Metadata, metadata_from, parse_date

OCTOBER_28 = dt.date(2022, 10, 28)
STORY = "Ukraine's minister spoke on Friday. He named 3 May 2020 as the day."


@pytest.mark.parametrize(
    "written",
    [
        "2022-10-28",
        "2022/10/28",
        "2022.10.28",
        "2022-10-28T14:30:00Z",
        "2022-10-28T14:30:00.000+02:00",
        "2022-10-28 14:30",
        "28 October 2022",
        "28th October 2022",
        "28th of October, 2022",
        "28 Oct. 2022",
        "28-Oct-2022",
        "October 28, 2022",
        "Oct. 28, 2022",
        "Oct 28 2022",
        "OCTOBER 28TH, 2022",
        "Friday, 28 October 2022",
        "Friday, October 28, 2022",
        "Fri, 28 Oct 2022 14:30:00 +0000",
        "October 28, 2022 at 2:30 p.m. ET",
        "28/10/2022",
        "10/28/2022",
        " 2022-10-28 ",
    ],
)
def test_iso_dates_and_english_dates_are_read(written: str) -> None:
    assert parse_date(written) == OCTOBER_28


@pytest.mark.parametrize(
    "written",
    [
        "03/04/2022",
        "3.4.2022",
        "03-04-2022",
        "2022-02-30",
        "2022-13-45",
        "31 April 2022",
        "October 2022",
        "2022",
        "28/10/22",
    ],
)
def test_a_date_that_is_ambiguous_incomplete_or_impossible_is_refused(written: str) -> None:
    assert parse_date(written) is None


@pytest.mark.parametrize(
    "written", ["yesterday", "", "28 October 2022 was a Friday", "on 2022-10-28", "2022-10-28-1", "2022-10-281"]
)
def test_what_is_more_than_a_date_is_no_date(written: str) -> None:
    assert parse_date(written) is None


def test_a_day_that_is_also_its_month_is_not_ambiguous() -> None:
    assert parse_date("05/05/2022") == dt.date(2022, 5, 5)


@given(st.dates(min_value=dt.date(1000, 1, 1), max_value=dt.date(2999, 12, 31)))
def test_every_date_is_read_back_from_each_way_of_writing_it(date: dt.date) -> None:
    for form in ("%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%d %b %Y", "%A, %d %B %Y"):
        assert parse_date(date.strftime(form)) == date


@given(st.text())
def test_reading_a_date_or_a_head_never_fails_and_the_body_lies_in_the_text(text: str) -> None:
    parse_date(text)
    assert 0 <= read_head(text).body <= len(text)


@pytest.mark.parametrize(
    "head",
    [
        " date 2022-10-28 ",
        "date 2022-10-28 ",
        "Date: 2022-10-28 ",
        "DATE: 28 October 2022 ",
        "date 2022-10-28\n",
        "date: 2022-10-28\n\n",
        "Date : 28 October 2022\r\n\r\n",
        "Published: Oct. 28, 2022\n",
        "Published on October 28, 2022\n\n",
        "Published October 28, 2022 ",
        "Published: 28 October 2022 at 14:30 GMT | Updated: 29 October 2022\n",
        "Posted: Friday, October 28, 2022\n",
        "28 October 2022\n\n",
        "Friday, October 28, 2022\n",
        "2022-10-28\n",
        "Last updated: 29 October 2022\nPublished: 28 October 2022\n",
        "\n\n  date 2022-10-28 14:30 ",
    ],
)
def test_a_date_before_the_story_is_its_date_and_no_part_of_its_body(head: str) -> None:
    read = read_head(head + STORY)
    assert read.metadata.date == OCTOBER_28
    assert read.metadata.title is None
    assert read.body == len(head)
    span = read.metadata.origins["date"].span
    assert span is not None
    assert parse_date(span.of(head + STORY)) == OCTOBER_28


@pytest.mark.parametrize(
    "story",
    [
        STORY,
        "Date palms grow in the south. They need heat.",
        "Title fights are rare. This one was on 3 May 2020.",
        "Date 2022-10-28 was a Friday. Nobody noticed.",
        "Published in 2022, the book sold well. It was good.",
        "Published October 28, 2022, the report is long. It was read.",
        "28 October 2022 was a Friday. Nobody noticed.",
        "Source: a man who was there. He would not say more.",
        "Source: the ministry said so. The other side denies it.\nMore text. And more.",
        "Language matters. It does.",
        "By Jane Doe's account, it was late. She left.",
        "By Monday it was over. They left.",
        "Author unknown. So says the book.",
        "Title: he had none. The man was poor.\nThat was in 1990.",
        "url shorteners are a risk. Do not use them.",
        "Date: unknown\n\nThe text goes on. It ends.",
        "KYIV, Ukraine (AP) — The minister spoke. He left.",
        "On 28 October 2022 the minister spoke. He left.\n\n2022-10-28\n\nMore.",
    ],
)
def test_a_story_without_a_head_loses_nothing(story: str) -> None:
    read = read_head(story)
    assert read.body == 0
    assert read.metadata == Metadata()


def test_labels_may_be_many_in_any_order_and_case() -> None:
    head = (
        "Title: Ukraine to Iran: Stop sending weapons\nSOURCE: Example News\nurl: https://example.org/a?b=c\n"
        "Author: Jane Doe\nlanguage: en-GB\nPublished: 28 October 2022\n\n"
    )
    read = read_head(head + STORY)
    assert read.body == len(head)
    found = read.metadata
    assert (found.title, found.source) == ("Ukraine to Iran: Stop sending weapons", "Example News")
    assert (found.url, found.author, found.language) == ("https://example.org/a?b=c", "Jane Doe", "en-gb")
    assert found.date == OCTOBER_28
    for name, origin in found.origins.items():
        assert origin.where == "label"
        assert origin.span is not None
        assert origin.span.of(head).lower() == str(getattr(found, name)).lower() or name == "date"


def test_an_ambiguous_date_line_is_metadata_without_a_date() -> None:
    read = read_head(f"Date: 03/04/2022\n\n{STORY}")
    assert read.metadata.date is None
    assert read.body == len("Date: 03/04/2022\n\n")


def test_an_unknown_label_begins_the_body_but_what_follows_it_is_still_read() -> None:
    head = "Title: Stop\n"
    text = f"{head}Section: World\nDate: 2022-10-28\n\n{STORY}"
    read = read_head(text)
    assert (read.metadata.title, read.metadata.date, read.body) == ("Stop", OCTOBER_28, len(head))


def test_a_text_that_is_only_labels_is_all_body() -> None:
    assert read_head("Title: Stop\nDate: 2022-10-28\n") == read_head("")


@pytest.mark.parametrize(
    "title",
    [
        "Ukraine to Iran: Stop sending weapons to Russia",
        "UKRAINE, RUSSIA TRADE FIRE",
        "Who blew up the bridge?",
        "Gov. Smith wins",
        "10 things to know",
        "'We will win': Zelensky",
        "Iran says “no” to talks",
        "Кулеба позвонил в Тегеран",
    ],
)
@pytest.mark.parametrize("gap", ["\n\n", "\r\n\r\n", "\n \n", "\r\r", "\n=====\n"])
def test_a_short_first_line_that_stands_alone_is_the_title_and_stays_in_the_body(title: str, gap: str) -> None:
    text = f"{title}{gap}{STORY}"
    read = read_head(text)
    assert read.metadata.title == title
    assert read.metadata.origins == {"title": Origin("first line", Span(0, len(title)))}
    assert read.body == 0


@pytest.mark.parametrize(
    "line",
    [
        "The minister spoke on Friday.",
        "He said: “No.”",
        "“We will win”",
        "“We will win, he said",
        "- a bullet",
        "* another",
        "1. first of all",
        "KYIV, Ukraine (AP) —",
        "KYIV, Oct. 28 (Reuters) -",
        "LONDON (Reuters)",
        "https://example.org/story",
        "What we know so far:",
        "It was late. He had left the house",
        "=====",
        "a" * 200,
        "By Jane Doe",
        "2022",
    ],
)
def test_a_first_line_that_may_be_story_is_no_title(line: str) -> None:
    read = read_head(f"{line}\n\n{STORY}")
    assert read.metadata.title is None
    assert read.body == 0


def test_a_first_line_with_text_right_under_it_is_no_title() -> None:
    assert read_head(f"A line of a poem\n{STORY}").metadata.title is None


def test_a_line_with_no_sentence_below_it_is_no_title() -> None:
    assert read_head("Eggs\n\nMilk\n\nFlour").metadata.title is None
    assert read_head("Only a line").metadata.title is None


@pytest.mark.parametrize(
    ("lines", "author"),
    [
        ("By Jane Doe\n", "Jane Doe"),
        ("BY JANE DOE\n", "JANE DOE"),
        ("\nBy Jane Doe and John Roe\n", "Jane Doe and John Roe"),
        ("By Ursula von der Leyen\n", "Ursula von der Leyen"),
        ("By Jane Doe, Reuters\n", "Jane Doe, Reuters"),
        ("By Jane Doe\n28 October 2022\n", "Jane Doe"),
        ("By Friday Evening\n", None),
        ("By the river\n", None),
        ("By Jane Doe.\n", None),
    ],
)
def test_a_byline_under_the_title_names_the_author(lines: str, author: str | None) -> None:
    read = read_head(f"Stop sending weapons\n{lines}\n{STORY}")
    assert read.metadata.author == author
    assert read.body == 0
    if author is not None:
        assert read.metadata.title == "Stop sending weapons"


def test_a_date_line_under_the_title_is_the_date() -> None:
    read = read_head(f"Stop sending weapons\n\nBy Jane Doe\n\nPublished 28 October 2022\n\n{STORY}")
    assert (read.metadata.author, read.metadata.date, read.body) == ("Jane Doe", OCTOBER_28, 0)


def test_a_title_may_follow_a_date_head() -> None:
    head = "date 2022-10-28\n\n"
    read = read_head(f"{head}Stop sending weapons\n\n{STORY}")
    assert (read.metadata.title, read.metadata.date, read.body) == ("Stop sending weapons", OCTOBER_28, len(head))


def test_a_head_of_a_very_long_line_is_read_in_no_time() -> None:
    for text in (
        "Title: " + "a" * 1_000_000,
        "a" * 1_000_000 + "\n\nB.",
        " " * 1_000_000 + "x.",
        "date " * 200_000,
        "By " + "A " * 500_000,
    ):
        read_head(text)


def test_a_mapping_is_read_by_the_name_of_the_field_first_then_by_its_aliases() -> None:
    found = metadata_from(
        {"published": "2021-01-01", "date": "2022-10-28", "lang": "en_GB", "Source-URL": "https://a.example/x"}, "JSON"
    )
    assert (found.date, found.language, found.url) == (OCTOBER_28, "en-gb", "https://a.example/x")
    assert found.origins == {name: Origin("JSON") for name in ("date", "language", "url")}


def test_values_that_cannot_be_what_their_key_says_are_passed_over() -> None:
    odd = {
        "title": {"a": 1},
        "date": 20221028,
        "url": "javascript:alert(1)",
        "language": "English",
        "author": None,
        3: "x",
        "source": " ",
    }
    assert metadata_from(odd, "JSON") == Metadata()


def test_authors_in_a_list_are_joined_and_titles_are_one_line() -> None:
    found = metadata_from({"authors": ["Jane Doe", " John Roe", 3], "title": "Stop\n sending\tweapons"}, "JSON")
    assert (found.author, found.title) == ("Jane Doe, John Roe", "Stop sending weapons")


def test_half_a_surrogate_pair_in_metadata_is_refused_by_name() -> None:
    with pytest.raises(FormatError, match=r"its title holds half of a surrogate pair \(U\+D800\)"):
        metadata_from({"title": "a\ud800"}, "JSON")
