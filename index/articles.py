"""The nouns: spans, articles, sentences, passages. Frozen, without I/O."""

import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass, field

# What a collection can be called: a name that stands in an address, a file name and a header as it is.
COLLECTION = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
COLLECTION_RULE = "it is called by 1 to 64 of a-z, 0-9, dot, dash and underscore, a letter or digit first"
DEFAULT_COLLECTION = "default"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Half-open offsets `[start, end)` in code points of an article's text; never empty."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"not a span: [{self.start}, {self.end})")

    def __len__(self) -> int:
        return self.end - self.start

    def of(self, text: str) -> str:
        """Return the piece of `text` that the span covers."""
        return text[self.start : self.end]

    def covers(self, other: "Span") -> bool:
        """Whether `other` lies inside this span."""
        return self.start <= other.start and other.end <= self.end


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one piece of an article's metadata was taken from.

    where: in words, such as "first line", "front matter", "html"; span: its place in the text, where it has one.
    """

    where: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Article:
    """A source document, as it was read.

    text: a text file's own decoded content, untouched; for HTML and PDF the extracted text. All offsets index it.
    body: the part of `text` that holds sentences; what lies before it is metadata (front matter, a date line).
    pages: for paged sources the offset at which each page starts, first page first; otherwise empty.
    origins: for each metadata field that was found, by its name, where it was taken from.
    path: the file that the article came from, absolute; None where it came from none.
    named: whether the source itself, or who sent it, gave the id; otherwise it was derived from a file's name or from
    the content, and says nothing about whether two articles are versions of one.
    collection: where the article belongs; None where nobody said: then where it is already, or `default`.
    """

    id: str
    text: str
    body: Span
    title: str | None = None
    date: dt.date | None = None
    source: str | None = None
    url: str | None = None
    author: str | None = None
    language: str | None = None
    media_type: str = "text/plain"
    pages: tuple[int, ...] = ()
    origins: dict[str, Origin] = field(default_factory=dict)
    path: str | None = None
    named: bool = True
    collection: str | None = None

    def __post_init__(self) -> None:
        if not self.id or len(self.id) > 200 or not self.id.isprintable() or self.id != self.id.strip():
            raise ValueError(f"not an article id: {self.id[:200]!r}")
        if self.body.end > len(self.text):
            raise ValueError(f"the body of {self.id} leaves its text of {len(self.text)} characters")
        if not self.text[self.body.start : self.body.end].strip():
            raise ValueError(f"the body of {self.id} is blank")
        if self.collection is not None and not COLLECTION.fullmatch(self.collection):
            raise ValueError(f"not a collection: {self.collection[:200]!r}")

    def digest(self) -> str:
        """Return the sha256, in hex, of the text and of all that is said about it; not of id, path and collection."""
        facts = [self.title, self.date and self.date.isoformat(), self.source, self.url, self.author, self.language]
        content = json.dumps([self.text, self.body.start, self.body.end, self.media_type, self.pages, facts])
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()

    def page_of(self, offset: int) -> int | None:
        """Return the page, counted from 1, that `offset` lies on; None where the source has no pages."""
        return sum(start <= offset for start in self.pages) or None


@dataclass(frozen=True, slots=True)
class Sentence:
    """The unit that is quoted: the `ordinal`-th sentence of an article, counted from 0."""

    article_id: str
    ordinal: int
    span: Span


@dataclass(frozen=True, slots=True)
class Passage:
    """Neighbouring sentences `[first, last)` of one article, by ordinal; the unit that FAISS and BM25 hold.

    key: the passage's number in the store; never used again after a removal.
    """

    key: int
    article_id: str
    first: int
    last: int
