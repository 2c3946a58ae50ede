"""What somebody sends, as articles of the corpus. No HTTP here."""

import codecs
import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from index.articles import Article, Origin, Span
from index.batches import Outcome
from index.corpus import Corpus
from index.errors import FetchError, FormatError, QuotelineError
from index.formats import MAX_DOCUMENT_BYTES
from index.isolation import Isolated
from index.metadata import Metadata, check_storable
from index.records import read_record
from service.feeds import Entry, is_feed, read_feed
from service.fetching import Fetched, Fetcher


@dataclass(frozen=True, slots=True)
class Said:
    """What the sender says of an article; it goes before what the article says of itself."""

    id: str | None = None
    title: str | None = None
    date: dt.date | None = None
    source: str | None = None
    url: str | None = None
    author: str | None = None
    language: str | None = None
    collection: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one of many. number: of the line, or of the feed's entry, from 1; exactly one of the others."""

    number: int
    outcome: Outcome | None
    error: QuotelineError | None


_METADATA = ("title", "date", "source", "url", "author", "language")


class Adder:
    """Reads what is sent and adds it to one corpus, for a caller who may change some collections or all."""

    def __init__(self, corpus: Corpus, reader: Isolated, fetcher: Fetcher | None) -> None:
        """fetcher: None where nothing is to be fetched on anybody's behalf."""
        self._corpus = corpus
        self._reader = reader
        self._fetcher = fetcher

    def add_text(self, text: str, said: Said, *, within: Collection[str] | None) -> Outcome:
        """Add a plain text. Raises FormatError, CorpusError."""
        check_storable(text, "the text")
        if not text.strip():
            raise FormatError("the text is blank; there is nothing to quote in it")
        article = Metadata().describe(text, id="article", body=Span(0, len(text)), media_type="text/plain")
        article = replace(article, id=f"a-{article.digest()[:12]}", named=False)
        return self._add_one(_described(article, said, "request"), within)

    def add_file(
        self, content: bytes, said: Said, *, name: str, media_type: str | None, within: Collection[str] | None
    ) -> Outcome:
        """Add what a file holds, one article. Raises FormatError, CorpusError.

        name: what it is called, for its id and in messages; without an extension that says anything where media_type
        does.
        """
        return self._add_one(_described(self._read(content, name, media_type), said, "request"), within)

    def add_lines(
        self, lines: Sequence[tuple[int, bytes]], said: Said, *, within: Collection[str] | None
    ) -> Iterator[Result]:
        """Add an article for each line of JSON Lines, by its number; one that cannot be read costs no other."""
        articles: list[Article] = []
        failed: dict[int, QuotelineError] = {}
        good: list[int] = []
        for number, line in lines:
            try:
                articles.append(_placed(_record(number, line), said.collection))
                good.append(number)
            except FormatError as error:
                failed[number] = error
        outcomes = dict(zip(good, self._add_many(articles, within), strict=True))
        for number, _ in lines:
            yield _result(number, failed.get(number) or outcomes[number])

    def add_url(self, url: str, said: Said, *, within: Collection[str] | None) -> Outcome:
        """Fetch a web page or a document and add it. Raises FetchError, FormatError, CorpusError."""
        fetched = self._fetch(url)
        if is_feed(fetched.media_type, fetched.content):
            raise FetchError('that is a feed; send it as {"feed": …} to add what it lists')
        return self._add_fetched(fetched, said, within)

    def read_feed(self, url: str) -> list[Entry]:
        """Fetch a feed and return what it lists. Raises FetchError, FormatError."""
        fetched = self._fetch(url)
        return read_feed(fetched.content, url=fetched.url)

    def add_entries(self, entries: Sequence[Entry], said: Said, *, within: Collection[str] | None) -> Iterator[Result]:
        """Fetch each page that a feed lists and add it; one that cannot be had costs no other."""
        for number, entry in enumerate(entries, start=1):
            listed = replace(said, id=None, title=None, date=entry.date, url=None)
            try:
                outcome = self._add_fetched(self._fetch(entry.url), listed, within)
            except QuotelineError as error:
                yield Result(number, None, error)
            else:
                yield Result(number, outcome, None)

    def _fetch(self, url: str) -> Fetched:
        if self._fetcher is None:
            raise FetchError("this server fetches nothing; send the content itself, or set QUOTELINE_FETCH=true")
        return self._fetcher.fetch(url)

    def _add_fetched(self, fetched: Fetched, said: Said, within: Collection[str] | None) -> Outcome:
        article = self._read(fetched.content, fetched.url.split("?")[0].rstrip("/"), fetched.media_type)
        # The address that it was found at, not the one that the page gives itself: that is anybody's.
        return self._add_one(_described(article, replace(said, url=said.url or fetched.url), "address"), within)

    def _read(self, content: bytes, name: str, media_type: str | None) -> Article:
        found = self._reader.read(content, name=name, media_type=media_type)
        if len(found) != 1:
            raise FormatError(f"{name} holds {len(found)} articles; send them as application/x-ndjson")
        [article] = found
        if isinstance(article, FormatError):
            raise article
        return article

    def _add_one(self, article: Article, within: Collection[str] | None) -> Outcome:
        [outcome] = self._corpus.add([_homed(article, within)], within=within)
        return outcome

    def _add_many(self, articles: Sequence[Article], within: Collection[str] | None) -> list[Outcome | QuotelineError]:
        """Add articles; where the corpus cannot be changed, each of those that were not added gets that error."""
        outcomes: list[Outcome | QuotelineError] = []
        try:
            outcomes.extend(self._corpus.add((_homed(article, within) for article in articles), within=within))
        except QuotelineError as error:
            outcomes.extend([error] * (len(articles) - len(outcomes)))
        return outcomes


def _described(article: Article, said: Said, where: str) -> Article:
    """Return the article with what its sender says of it."""
    given: dict[str, Any] = {name: getattr(said, name) for name in _METADATA if getattr(said, name) is not None}
    origins = {**article.origins, **{name: Origin(where) for name in given}}
    article = replace(article, **given, origins=origins)
    if said.id is not None:
        article = replace(article, id=said.id, named=True)
    return _placed(article, said.collection)


def _placed(article: Article, collection: str | None) -> Article:
    """Return the article in the collection that it names itself, or else in this one."""
    return replace(article, collection=article.collection or collection)


def _homed(article: Article, within: Collection[str] | None) -> Article:
    """Return the article in the only collection that the sender may change, where none is named."""
    return _placed(article, next(iter(within)) if within is not None and len(within) == 1 else None)


def _record(number: int, line: bytes) -> Article:
    if len(line) > MAX_DOCUMENT_BYTES:
        raise FormatError(f"the line is longer than {MAX_DOCUMENT_BYTES} bytes; split the article")
    return read_record(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line)


def _result(number: int, became: Outcome | QuotelineError) -> Result:
    if isinstance(became, QuotelineError):
        return Result(number, None, became)
    return Result(number, became, None)
