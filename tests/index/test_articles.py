import datetime as dt
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.articles import Article, Origin, Span

TEXT = "A title\nIran denies it."
ARTICLE = Article("a", TEXT, Span(0, len(TEXT)))


@pytest.mark.parametrize(("start", "end"), [(0, 0), (3, 3), (4, 3), (-1, 3), (-3, -1)])
def test_a_span_is_never_empty_nor_negative(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="not a span"):
        Span(start, end)


@given(st.text(min_size=1), st.data())
def test_a_span_is_a_slice(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    span = Span(start, data.draw(st.integers(start + 1, len(text))))
    assert span.of(text) == text[span.start : span.end]
    assert len(span) == len(span.of(text))


@given(*[st.integers(0, 6)] * 4)
def test_a_span_covers_what_has_no_offset_outside_it(a: int, b: int, c: int, d: int) -> None:
    one, other = Span(a, a + b + 1), Span(c, c + d + 1)
    inside = set(range(other.start, other.end)) <= set(range(one.start, one.end))
    assert one.covers(other) == inside


def test_spans_are_ordered_by_start_then_end() -> None:
    assert sorted([Span(2, 3), Span(0, 9), Span(0, 1)]) == [Span(0, 1), Span(0, 9), Span(2, 3)]


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\0b", "a\u202eb", "x" * 201])
def test_an_id_that_could_not_be_shown_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not an article id"):
        Article(name, TEXT, ARTICLE.body)


@pytest.mark.parametrize("name", ["a", "x" * 200, "Ärger 2022", "日本", "a.b-c_d", "a/b", "👩"])
def test_any_other_id_is_taken(name: str) -> None:
    assert Article(name, TEXT, ARTICLE.body).id == name


@pytest.mark.parametrize("name", ["", "Wars", "-wars", ".", "a b", "a/b", "é", "x" * 65, "wars\n", "a%20"])
def test_a_collection_that_needs_quoting_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a collection"):
        replace(ARTICLE, collection=name)


@pytest.mark.parametrize("name", ["default", "0", "x" * 64, "a.b-c_d"])
def test_any_other_collection_is_taken(name: str) -> None:
    assert replace(ARTICLE, collection=name).collection == name
    assert ARTICLE.collection is None


def test_a_body_lies_inside_its_text_and_is_not_blank() -> None:
    with pytest.raises(ValueError, match="leaves its text of 23"):
        Article("a", TEXT, Span(0, 24))
    with pytest.raises(ValueError, match="is blank"):
        Article("a", "a  \n b", Span(1, 4))


def test_articles_cannot_be_edited() -> None:
    with pytest.raises(FrozenInstanceError):
        ARTICLE.title = "another"  # type: ignore[misc]


CHANGES: list[dict[str, object]] = [
    {"text": TEXT.replace("it", "IT")},
    {"body": Span(1, len(TEXT))},
    {"body": Span(0, len(TEXT) - 1)},
    {"title": "A title"},
    {"date": dt.date(2022, 10, 28)},
    {"source": "Reuters"},
    {"url": "https://example.org"},
    {"author": "Reuters"},
    {"language": "en"},
    {"media_type": "text/html"},
    {"pages": (0, 8)},
]


def test_the_digest_tells_all_contents_apart() -> None:
    articles = [ARTICLE, *(replace(ARTICLE, **change) for change in CHANGES)]  # type: ignore[arg-type]
    assert len({article.digest() for article in articles}) == len(articles)


def test_the_digest_does_not_count_the_id_the_path_the_collection_or_where_things_stood() -> None:
    origins = {"title": Origin("first line", Span(0, 7))}
    other = replace(ARTICLE, id="b", path="/a/b.txt", origins=origins, collection="wars", named=False)
    assert other.digest() == ARTICLE.digest()


def test_pages_are_counted_from_one_and_begin_where_they_start() -> None:
    paged = replace(ARTICLE, pages=(0, 8, 16))
    assert [paged.page_of(offset) for offset in (0, 7, 8, 15, 16, 22)] == [1, 1, 2, 2, 3, 3]
    assert ARTICLE.page_of(3) is None
