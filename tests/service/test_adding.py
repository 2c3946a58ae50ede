import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import cast

import pytest

from index.corpus import Corpus
from index.errors import CorpusError, FetchError, FormatError
from index.isolation import Isolated
from service.adding import Adder, Result, Said
from service.feeds import Entry
from service.fetching import Fetched, Fetcher

PAGE = b"""<!doctype html><html><head><title>A launch</title></head><body><article><h1>A launch</h1>
<p>The rocket rose at dawn, as the engineers had promised on the evening before.</p>
<p>Nobody was hurt, said the minister, and the guests went home before the rain came.</p></article></body></html>"""
FEED = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>News</title>
<item><link>https://example.org/one</link><pubDate>Fri, 28 Oct 2022 10:00:00 GMT</pubDate></item>
<item><link>https://example.org/gone</link></item></channel></rss>"""


class Web:
    """What stands in for the network: addresses and what is there."""

    def __init__(self, pages: Mapping[str, Fetched]) -> None:
        self._pages = pages

    def fetch(self, url: str) -> Fetched:
        if url not in self._pages:
            raise FetchError("it answers with status 404")
        return self._pages[url]


@pytest.fixture(scope="module")
def reader() -> Iterator[Isolated]:
    with Isolated() as opened:
        yield opened


@pytest.fixture
def adder(corpus: Corpus, reader: Isolated) -> Adder:
    web = Web(
        {
            "https://example.org/one": Fetched("https://example.org/one", "text/html; charset=utf-8", PAGE),
            "https://example.org/short": Fetched("https://example.org/long", "text/html", PAGE),
            "https://example.org/feed": Fetched("https://example.org/feed", "application/rss+xml", FEED),
        }
    )
    return Adder(corpus, reader, cast(Fetcher, web))


def test_what_is_said_goes_before_what_is_found_and_says_where_it_is_from(corpus: Corpus, adder: Adder) -> None:
    said = Said(id="a", title="Said", date=dt.date(2022, 1, 2), source="Reuters", collection="news")
    outcome = adder.add_file(PAGE, said, name="x.html", media_type="text/html", within=None)
    article = corpus.store.record(outcome.article_id).article
    assert (article.id, article.title, article.date, article.source) == ("a", "Said", dt.date(2022, 1, 2), "Reuters")
    assert article.origins["title"].where == "request"
    assert (article.collection, outcome.collection) == ("news", "news")


def test_a_files_own_title_and_name_are_taken_where_nothing_is_said(corpus: Corpus, adder: Adder) -> None:
    outcome = adder.add_file(PAGE, Said(), name="launch.html", media_type="text/html", within=None)
    assert (outcome.kind, outcome.article_id) == ("added", "launch")
    assert corpus.store.record("launch").article.title == "A launch"


def test_two_files_of_one_name_are_two_articles_and_one_file_twice_is_one(corpus: Corpus, adder: Adder) -> None:
    def send(text: str) -> tuple[str, str]:
        outcome = adder.add_file(text.encode(), Said(), name="news.txt", media_type="text/plain", within=None)
        return outcome.kind, outcome.article_id

    assert send("The rocket rose.") == ("added", "news")
    kind, other = send("The dog slept.")
    assert (kind, other[:5]) == ("added", "news-")
    assert send("The rocket rose.") == ("unchanged", "news")
    assert send("The dog slept.") == ("unchanged", other)


def test_a_text_with_the_url_of_another_is_its_next_version(corpus: Corpus, adder: Adder) -> None:
    said = Said(url="https://example.org/launch")
    first = adder.add_text("The rocket rose.", said, within=None)
    second = adder.add_text("The rocket rose. It fell.", said, within=None)
    assert (first.kind, second.kind, second.article_id) == ("added", "replaced", first.article_id)
    assert [one.version for one in corpus.store.versions(first.article_id)] == [2, 1]


@pytest.mark.parametrize("text", ["", " \n\t ", "a\0b", "half \ud800 of a pair"])
def test_a_text_that_cannot_be_stored_is_refused(adder: Adder, text: str) -> None:
    with pytest.raises(FormatError):
        adder.add_text(text, Said(), within=None)


def test_a_file_of_several_articles_is_told_how_to_send_them(adder: Adder) -> None:
    lines = b'{"text": "One is here."}\n{"text": "Two is here."}\n'
    with pytest.raises(FormatError, match="application/x-ndjson"):
        adder.add_file(lines, Said(), name="x.jsonl", media_type="application/x-ndjson", within=None)


# Many


def _kinds(results: Iterator[Result]) -> list[tuple[int, str]]:
    return [(one.number, one.outcome.kind if one.outcome is not None else type(one.error).__name__) for one in results]


def test_every_line_has_its_result_and_a_bad_one_costs_no_other(corpus: Corpus, adder: Adder) -> None:
    lines = [
        (1, b'\xef\xbb\xbf{"id": "a", "text": "The rocket rose."}'),
        (3, b"{"),
        (4, b'{"id": "b", "text": "The dog slept.", "collection": "pets"}'),
        (5, b'{"id": "a", "text": "The rocket rose."}'),
        (6, b'{"id": "c", "text": "\\ud800"}'),
        (7, b'{"id": "d", "text": "\\u2026"}'),
    ]
    assert _kinds(adder.add_lines(lines, Said(collection="news"), within=None)) == [
        (1, "added"),
        (3, "FormatError"),
        (4, "added"),
        (5, "unchanged"),
        (6, "FormatError"),
        (7, "refused"),
    ]
    assert corpus.store.collections() == {"news": 1, "pets": 1}


def test_lines_that_cannot_be_written_each_get_the_error(
    corpus: Corpus, adder: Adder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise CorpusError("the disk is full")

    monkeypatch.setattr(corpus.store, "change", full)
    lines = [(number, json.dumps({"id": f"a{number}", "text": "It is."}).encode()) for number in (1, 2)]
    assert _kinds(adder.add_lines(lines, Said(), within=None)) == [(1, "CorpusError"), (2, "CorpusError")]
    assert corpus.store.counts()[0] == 0


def test_a_sender_limited_to_one_collection_adds_to_it_and_to_no_other(corpus: Corpus, adder: Adder) -> None:
    corpus_wide = adder.add_text("The rocket rose.", Said(id="a"), within=None)
    assert corpus_wide.collection == "default"
    own = adder.add_text("The dog slept.", Said(id="b"), within={"pets"})
    assert (own.kind, own.collection) == ("added", "pets")
    for said in (Said(id="a"), Said(id="c", collection="news"), Said(id="a", collection="pets")):
        assert adder.add_text("Mine now.", said, within={"pets"}).kind == "elsewhere"
    assert corpus.store.record("a").article.text == "The rocket rose."


# From the web


def test_a_page_is_added_under_the_address_that_it_was_found_at(corpus: Corpus, adder: Adder) -> None:
    outcome = adder.add_url("https://example.org/short", Said(), within=None)
    article = corpus.store.record(outcome.article_id).article
    assert (article.url, article.origins["url"].where) == ("https://example.org/long", "address")
    assert "The rocket rose at dawn" in article.text
    assert adder.add_url("https://example.org/short", Said(), within=None).kind == "unchanged"


def test_a_feed_brings_its_pages_and_one_that_is_gone_costs_no_other(corpus: Corpus, adder: Adder) -> None:
    entries = adder.read_feed("https://example.org/feed")
    assert [entry.url for entry in entries] == ["https://example.org/one", "https://example.org/gone"]
    assert _kinds(adder.add_entries(entries, Said(), within=None)) == [(1, "added"), (2, "FetchError")]
    [article] = [record.article for record in corpus.store.records()]
    assert (article.date, article.url) == (dt.date(2022, 10, 28), "https://example.org/one")


def test_a_feed_in_the_place_of_a_page_is_told_how_to_be_sent(adder: Adder) -> None:
    with pytest.raises(FetchError, match="feed"):
        adder.add_url("https://example.org/feed", Said(), within=None)


def test_nothing_is_fetched_unless_that_is_allowed(corpus: Corpus, reader: Isolated) -> None:
    closed = Adder(corpus, reader, None)
    for fetch in (
        lambda: closed.add_url("https://example.org/one", Said(), within=None),
        lambda: closed.read_feed("x"),
    ):
        with pytest.raises(FetchError, match="QUOTELINE_FETCH"):
            fetch()
    assert _kinds(closed.add_entries([Entry("https://example.org/one")], Said(), within=None)) == [(1, "FetchError")]
