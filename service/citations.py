"""Quotations: pieces of stored articles, word for word, each with a name that stays valid."""

import datetime as dt
import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace

from index.articles import Span
from index.errors import CitationNotFoundError
from index.store import Record
from service.links import article_link, utf16_offset

# What a sentence may begin with that stands for something said before it; page.js has the same.
_LEANING = re.compile(
    r"\W*(he|she|it|they|him|her|them|his|hers|its|theirs?|this|that|these|those|(him|her|it)self|themselves)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Quotation:
    """A piece of an article, word for word, and where it stands.

    id: names article, version and span for good. start_char, end_char: half-open, in code points of the article's text;
    start_utf16, end_utf16: the same in UTF-16 units, as JavaScript counts. before, after: the neighbouring sentences.
    page: counted from 1, for sources that have pages.
    """

    id: str
    quote: str
    article_id: str
    version: int
    collection: str
    title: str | None
    source: str | None
    date: dt.date | None
    url: str | None
    link: str
    page: int | None
    start_char: int
    end_char: int
    start_utf16: int
    end_utf16: int
    before: str | None
    after: str | None

    @property
    def leans(self) -> bool:
        """Whether it is to be read with the sentence before it, because it begins with a pronoun."""
        return self.before is not None and _LEANING.match(self.quote) is not None


@dataclass(frozen=True, slots=True)
class Part:
    """Words of a quote, and where they stand: offsets as in Quotation, in the article's text and not in the quote."""

    text: str
    start_char: int
    end_char: int
    start_utf16: int
    end_utf16: int


@dataclass(frozen=True, slots=True)
class CitationId:
    """What the id of a citation says."""

    article_id: str
    version: int
    span: Span

    def __str__(self) -> str:
        return f"{self.article_id}.{self.version}.{self.span.start}-{self.span.end}"

    @classmethod
    def parse(cls, text: str) -> "CitationId":
        """Return what `text` names. Raises CitationNotFoundError where it can name nothing."""
        # An article's id may hold dots; the numbers are as they are written here, so that each citation has one id.
        found = re.fullmatch(r"(.+)\.([1-9]\d{0,8})\.(0|[1-9]\d{0,9})-([1-9]\d{0,9})", text, re.ASCII | re.DOTALL)
        if found is None or int(found[3]) >= int(found[4]):
            raise CitationNotFoundError(
                f"{text[:300]!r} is no citation's id, such as ARTICLE.VERSION.START-END; take one from an answer"
            )
        return cls(found[1], int(found[2]), Span(int(found[3]), int(found[4])))


def quotation(record: Record, span: Span, base_url: str) -> Quotation:
    """Return the quotation of `span`, which lies inside the article's text.

    base_url: goes in front of links to articles that have no URL of their own.
    """
    article, sentences = record.article, record.sentences
    start_utf16 = utf16_offset(article.text, span.start)
    before = bisect_right(sentences, span.start, key=lambda sentence: sentence.end) - 1
    after = bisect_left(sentences, span.end, key=lambda sentence: sentence.start)
    quote = span.of(article.text)
    return Quotation(
        id=str(CitationId(article.id, record.version, span)),
        quote=quote,
        article_id=article.id,
        version=record.version,
        collection=article.collection or "",
        title=article.title,
        source=article.source,
        date=article.date,
        url=article.url,
        # What stands at the URL now is another version than one that was replaced.
        link=article_link(
            article if record.current else replace(article, url=None), span, base_url, version=record.version
        ),
        page=article.page_of(span.start),
        start_char=span.start,
        end_char=span.end,
        start_utf16=start_utf16,
        end_utf16=start_utf16 + utf16_offset(quote, len(quote)),
        before=sentences[before].of(article.text) if before >= 0 else None,
        after=sentences[after].of(article.text) if after < len(sentences) else None,
    )


def part_of(quoted: Quotation, span: Span) -> Part:
    """Return the words of a quotation in `span`, which lies inside it and counts in the article's text."""
    start, end = span.start - quoted.start_char, span.end - quoted.start_char
    start_utf16 = quoted.start_utf16 + utf16_offset(quoted.quote, start)
    text = quoted.quote[start:end]
    return Part(text, span.start, span.end, start_utf16, start_utf16 + utf16_offset(text, len(text)))


def part_in(text: str, span: Span) -> Part:
    """Return the words of an article's text in `span`."""
    words = span.of(text)
    start = utf16_offset(text, span.start)
    return Part(words, span.start, span.end, start, start + utf16_offset(words, len(words)))
