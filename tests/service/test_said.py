import datetime as dt
import unicodedata
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from service.said import AnyId, AnySource, ArticleId, CollectionName, Day, SaidFields, SaidOfNew, Url

_FIELDS = SaidOfNew.model_json_schema()["properties"]
_WORDS = ("http://", "HTTPS://", "en", "pt-BR")
# What the rules are about: letters, white space of all kinds, what cannot be seen, and what has a meaning in a URL.
_PIECES = st.sampled_from([*'aB7é中🚀-_. \t\n\x00\x1c\x7f\x85\xa0\xad\u200b\u2028\u3000\ufeff<>"/?#ſ', "  ", *_WORDS])
_TEXTS = st.lists(_PIECES, max_size=6).map("".join) | st.text(
    st.characters(exclude_categories=["Cs", "Cn"]), max_size=9
)


def _accepts(kind: Any, value: object) -> bool:  # noqa: ANN401 - an annotated type
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def _said(name: str, value: str) -> bool:
    return _accepts(SaidOfNew, {name: value})


@pytest.mark.parametrize("name", sorted(set(_FIELDS) - {"date"}))
@given(text=_TEXTS)
def test_the_document_allows_what_is_taken_and_nothing_else(name: str, text: str) -> None:
    assume(not any(unicodedata.category(c) == "Cn" for c in text))
    assert jsonschema_rs.is_valid(_FIELDS[name], text) == _said(name, text), (name, text)


@pytest.mark.parametrize(
    ("name", "longest"),
    [
        ("id", "i" * 200),
        ("title", "t" * 1000),
        ("source", "s" * 1000),
        ("author", "a" * 1000),
        ("url", "http://" + "u" * 1993),
        ("language", "aaa-aaaaaaaa-aaaaaaaa-aaaaaaaa"),
        ("collection", "c" * 64),
    ],
)
def test_the_document_says_how_long_a_value_may_be(name: str, longest: str) -> None:
    for text, fits in ((longest, True), (longest + longest[-1], False)):
        assert jsonschema_rs.is_valid(_FIELDS[name], text) is fits
        assert _said(name, text) is fits


@pytest.mark.parametrize("text", ["0001-01-01", "0999-12-31", "2022-10-28", "3000-01-01", "9999-12-31"])
def test_every_day_that_the_calendar_has_is_a_date(text: str) -> None:
    day = dt.date.fromisoformat(text)
    assert TypeAdapter(Day).validate_python(text) == day
    assert SaidFields.model_validate({"date": text}).date == day


@pytest.mark.parametrize(
    "value", [0, 86400, 1.0, True, "0", "86400", "", "2022-02-30", "20221028", "2022-W43-5", "today"]
)
def test_what_is_no_day_is_refused_though_it_could_be_a_time_of_unix(value: object) -> None:
    assert not _accepts(Day, value)
    assert not _accepts(SaidFields, {"date": value})


def test_the_date_of_an_article_may_be_written_as_in_articles_and_a_filter_may_not() -> None:
    assert SaidFields.model_validate({"date": "28 October 2022"}).date == dt.date(2022, 10, 28)
    assert not _accepts(Day, "28 October 2022")
    assert not _accepts(Day, "٢٠٢٢-١٠-٢٨")


@pytest.mark.parametrize("url", [" http://example.org/", "http://example.org/ ", "\nhttp://example.org/"])
def test_a_url_with_white_space_around_it_is_refused(url: str) -> None:
    assert not _accepts(Url, url)


def test_a_language_is_kept_as_articles_keep_theirs() -> None:
    assert SaidFields.model_validate({"language": "pt_BR"}).language == "pt-br"


def test_a_filter_takes_names_that_nothing_has_but_not_endless_ones() -> None:
    assert _accepts(AnyId, "")
    assert _accepts(AnyId, "x" * 200)
    assert not _accepts(AnyId, "x" * 201)
    assert not _accepts(AnySource, "x" * 1001)


@pytest.mark.parametrize("name", ["a\n", "\na", "a/b", "A", "", "-a", "é"])
def test_a_collection_has_no_character_beside_its_rule(name: str) -> None:
    assert not _accepts(CollectionName, name)


def test_an_id_without_a_printable_end_is_none() -> None:
    assert not any(_accepts(ArticleId, text) for text in (" a", "a ", "a\u200b", "a\n", "a\tb", ""))
