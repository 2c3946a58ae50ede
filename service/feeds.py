"""Feeds (RSS, Atom): what a site has published, as addresses to fetch."""

import datetime as dt
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import httpx

from index.decoding import decode
from index.errors import FormatError
from index.metadata import parse_date

# A feed lists what is new: what is larger than this is none. feedparser takes about 50 microseconds for a tag, and a
# time that grows with the square of the attributes of one element and, where the XML is damaged, of the references.
MAX_FEED_BYTES = 4 * 1024 * 1024
MAX_TAGS = 100_000
MAX_REFERENCES = 300_000
MAX_ATTRIBUTES = 100

_MEDIA_TYPES = ("application/rss+xml", "application/atom+xml")
# The first element, behind all that may stand before it; atomic groups, so that no prolog is tried in two ways.
_ROOT = re.compile(
    r"\ufeff?(?>\s|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*>)*<(?:\w+:)?(?:rss\b|feed\b|RDF\b[^>]*purl\.org/rss/)",
    re.DOTALL,
)
_HEAD_BYTES = 16 * 1024
_DECLARED = re.compile(rb"""<\?xml[^>]{0,100}\bencoding\s*=\s*["']([\w.:-]+)["']""")
_DECLARATION = re.compile(r"<\?xml[^>]*>")
_TAG = re.compile(r"<[^<>]*>")
_ATTRIBUTE = re.compile(r"=\s*[\"']")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a feed lists.

    url: absolute, http or https, without a fragment.
    title: plain text on one line.
    date: the day on which it was published, or else last changed, as the feed writes it.
    """

    url: str
    title: str | None = None
    date: dt.date | None = None


def is_feed(media_type: str, content: bytes) -> bool:
    """Whether `content` is a feed, by its Content-Type or, as many are sent as plain XML or HTML, by how it begins."""
    essence = media_type.partition(";")[0].strip().lower()
    # In UTF-16 and UTF-32, what is ASCII is ASCII between NULs.
    head = content[:_HEAD_BYTES].replace(b"\0", b"").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    return essence in _MEDIA_TYPES or _ROOT.match(head.decode("utf-8", "replace")) is not None


def read_feed(content: bytes, *, url: str, limit: int = 100) -> list[Entry]:
    """Return at most `limit` entries of a feed, in its order; one that has no usable link, or another's, is left out.

    url: where the feed was fetched, to which its links may be relative.
    Raises FormatError where `content` is no feed. Nothing is fetched.
    """
    entries: dict[str, Entry] = {}
    for listed in _parsed(_text(content, url), url):
        entry = _entry(listed)
        if entry is not None:
            entries.setdefault(entry.url, entry)
        if len(entries) == limit:
            break
    return list(entries.values())


def _text(content: bytes, url: str) -> str:
    """Decode a feed, and refuse what would make its parser work for ever.

    feedparser would decode by itself, with any of Python's codecs that the feed names, some of them very slow.
    """
    if len(content) > MAX_FEED_BYTES:
        raise FormatError(f"The feed at {url} is larger than {MAX_FEED_BYTES} bytes, the limit for one feed.")
    text = _decode(content)
    # A few lines of entities can stand for gigabytes. Outside of their declarations they are written &lt;!ENTITY.
    if "<!ENTITY" in text:
        raise FormatError(f"The feed at {url} declares XML entities, which are not read; send its articles one by one.")
    if _is_excessive(text):
        raise FormatError(f"The feed at {url} has too many tags to be read; send its articles one by one.")
    return text


def _is_excessive(text: str) -> bool:
    if text.count("<") > MAX_TAGS or text.count("&") > MAX_REFERENCES:
        return True
    return any(len(_ATTRIBUTE.findall(tag)) > MAX_ATTRIBUTES for tag in text.split("<"))


def _decode(content: bytes) -> str:
    declared = _DECLARED.match(content)
    try:
        text, _ = decode(content, declared[1].decode("ascii") if declared else None)
    except FormatError:
        # Feeds are glued together from many sources; one wrong byte in a title does no harm to the links.
        text = content.decode("utf-8", "replace")
    return _DECLARATION.sub("", text.removeprefix("\ufeff"), count=1).lstrip()


def _parsed(text: str, url: str) -> list[Any]:
    feedparser = _feedparser()
    headers = {"content-type": "application/xml; charset=utf-8", "content-location": url}
    try:
        # A stream, never the bytes themselves: those might name a file or an address, which feedparser would open.
        parsed = feedparser.parse(
            BytesIO(text.encode("utf-8", "replace")),
            response_headers=headers,
            resolve_relative_uris=False,
            sanitize_html=False,
        )
    except Exception as error:
        # feedparser promises nothing about what it raises: its handlers trip over numbers, surrogates and nesting.
        raise FormatError(f"The feed at {url} is damaged beyond reading; send its articles one by one.") from error
    if not parsed.get("version"):
        raise FormatError(f"What is at {url} is no feed (RSS or Atom).")
    entries: list[Any] = parsed.entries
    return entries


def _feedparser() -> Any:  # noqa: ANN401
    # Only those who read feeds pay for the library.
    import feedparser  # type: ignore[import-untyped]
    from feedparser.mixin import _FeedParserMixin  # type: ignore[import-untyped]

    # It looks for an e-mail address in the names of authors, which nobody asks for here, in a time that grows with the
    # square of their length: minutes, for one long name.
    _FeedParserMixin._sync_author_detail = lambda *_, **__: None
    return feedparser


def _entry(listed: Any) -> Entry | None:  # noqa: ANN401 - feedparser has no types
    url = next(filter(None, map(_usable, _links(listed))), None)
    return Entry(url, _title(listed), _date(listed)) if url else None


def _links(listed: Any) -> Iterator[str]:  # noqa: ANN401
    yield listed.get("link", "")
    for link in listed.get("links", []):
        if link.get("rel") == "alternate":
            yield link.get("href", "")


def _usable(link: str) -> str | None:
    """Return `link` without its fragment; None where it is no absolute web address."""
    try:
        parsed = httpx.URL(link.strip()).copy_with(fragment=None)
        is_named = parsed.host != ""
    except (httpx.InvalidURL, ValueError):
        return None
    return str(parsed) if is_named and parsed.scheme in ("http", "https") else None


def _title(listed: Any) -> str | None:  # noqa: ANN401
    title = listed.get("title", "")
    if listed.get("title_detail", {}).get("type") != "text/plain":
        title = html.unescape(_TAG.sub("", title))
    return " ".join(title.split()) or None


def _date(listed: Any) -> dt.date | None:  # noqa: ANN401
    # `updated` must be asked for only where it is: feedparser warns, and answers with `published`.
    for key in ("published", "updated"):
        if key in listed and (date := parse_date(listed[key]) or _date_of(listed.get(f"{key}_parsed"))):
            return date
    return None


def _date_of(parsed: Any) -> dt.date | None:  # noqa: ANN401
    """Return the day, in UTC, of a date that only feedparser could read."""
    try:
        return dt.date(*parsed[:3]) if parsed else None
    except ValueError:
        return None
