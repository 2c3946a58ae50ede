from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.articles import Article, Span
from service.links import article_link, text_fragment, utf16_offset

TWICE = "It was late. Nobody came. The door stayed shut. It was early. Nobody came. The window opened."


def _article(text: str, url: str | None = None) -> Article:
    return Article(id="a b", text=text, body=Span(0, len(text)), url=url)


def _span(text: str, quote: str, occurrence: int = 0) -> Span:
    start = -1
    for _ in range(occurrence + 1):
        start = text.index(quote, start + 1)
    return Span(start, start + len(quote))


def test_a_sentence_that_stands_once_is_named_by_itself() -> None:
    assert text_fragment(TWICE, _span(TWICE, "It was late.")) == "It%20was%20late."


def test_the_first_of_two_equal_sentences_needs_no_context_because_browsers_mark_the_first() -> None:
    assert text_fragment(TWICE, _span(TWICE, "Nobody came.")) == "Nobody%20came."


def test_the_second_of_two_equal_sentences_is_told_apart_by_what_stands_before_it() -> None:
    assert text_fragment(TWICE, _span(TWICE, "Nobody came.", 1)) == "early.-,Nobody%20came."


def test_what_has_a_meaning_in_a_fragment_is_escaped() -> None:
    text = "Half-time, and R&D won."
    assert text_fragment(text, Span(0, len(text))) == "Half%2Dtime%2C%20and%20R%26D%20won."


def test_a_long_sentence_is_named_by_its_first_and_last_words() -> None:
    text = " ".join(f"word{number}" for number in range(80))
    assert text_fragment(text, Span(0, len(text))) == (
        "word0%20word1%20word2%20word3%20word4%20word5,word74%20word75%20word76%20word77%20word78%20word79"
    )


def test_a_url_keeps_its_query_and_loses_its_fragment() -> None:
    text = "It rained."
    link = article_link(_article(text, "https://example.org/a?b=c#d"), Span(0, 10), "http://here")
    assert link == "https://example.org/a?b=c#:~:text=It%20rained."


def test_an_article_without_a_url_is_linked_to_its_page_here_with_the_sentences_place() -> None:
    link = article_link(_article("It rained. It poured."), Span(11, 21), "http://here")
    assert link == "http://here/articles/a%20b/view?start=11&end=21#cited"


def test_a_link_to_a_page_here_names_the_version_that_the_place_is_in() -> None:
    link = article_link(_article("It rained."), Span(0, 10), "http://here", version=3)
    assert link == "http://here/articles/a%20b/view?start=0&end=10&version=3#cited"


def test_a_slash_in_an_id_stays_the_ids_own() -> None:
    article = Article(id="news/text", text="It rained.", body=Span(0, 10))
    assert article_link(article, Span(0, 10), "").startswith("/articles/news%2Ftext/view?")


@pytest.mark.parametrize(("text", "units"), [("", 0), ("abc", 3), ("e\u0301", 2), ("🚀a", 3), ("👩‍🚀", 5)])
def test_utf16_units_are_those_of_javascript(text: str, units: int) -> None:
    assert utf16_offset(text, len(text)) == units


SENTENCES = st.lists(st.sampled_from(["It rained.", "Nobody came.", "“Why?” he asked.", "A-b, c & d."]), max_size=8)


@given(before=SENTENCES, after=SENTENCES)
def test_the_first_place_that_a_fragment_matches_is_the_sentence_itself(before: list[str], after: list[str]) -> None:
    # One sentence stands nowhere else: whatever is around the cited one, enough context tells it apart.
    sentences = [*before, "Only here.", "It rained.", *after]
    text = " ".join(sentences)
    start = len(" ".join([*before, "Only here."])) + 1
    prefix, start_text, suffix = _parts(text_fragment(text, Span(start, start + len("It rained."))))
    assert start_text == "It rained."
    assert text.index(" ".join(filter(None, (prefix, start_text, suffix)))) + len(prefix) + bool(prefix) == start


def _parts(fragment: str) -> tuple[str, str, str]:
    prefix = suffix = ""
    *_, last = parts = fragment.split(",")
    if parts[0].endswith("-"):
        prefix = unquote(parts.pop(0)[:-1])
    if last.startswith("-"):
        suffix = unquote(parts.pop()[1:])
    return prefix, unquote(parts[0]), suffix
