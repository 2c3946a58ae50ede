"""What is known about an article besides its text: title, date, source, URL, author, language."""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from index.articles import Article, Origin, Span
from index.errors import FormatError


@dataclass(frozen=True, slots=True)
class Metadata:
    """An article's metadata; `origins` has one entry for each field that is not None."""

    title: str | None = None
    date: dt.date | None = None
    source: str | None = None
    url: str | None = None
    author: str | None = None
    language: str | None = None
    origins: dict[str, Origin] = field(default_factory=dict)

    def adding(self, name: str, value: str, origin: Origin) -> "Metadata":
        """Return this with the field `name` too; unchanged where it is known already or `value` cannot be one."""
        cleaned = _CLEANERS[name](value) if name not in self.origins else None
        if cleaned is None:
            return self
        changed: dict[str, Any] = {name: cleaned}
        return replace(self, **changed, origins={**self.origins, name: origin})

    def completed_by(self, other: "Metadata") -> "Metadata":
        """Return this with the fields that only `other` knows."""
        missing = {name: getattr(other, name) for name in other.origins if name not in self.origins}
        return replace(self, **missing, origins={**other.origins, **self.origins})

    def describe(
        self,
        text: str,
        *,
        id: str,  # noqa: A002 - the article's own word for it
        body: Span,
        media_type: str,
        path: str | None = None,
        pages: tuple[int, ...] = (),
    ) -> Article:
        """Return the article that this metadata describes."""
        return Article(
            id=id,
            text=text,
            body=body,
            title=self.title,
            date=self.date,
            source=self.source,
            url=self.url,
            author=self.author,
            language=self.language,
            media_type=media_type,
            pages=pages,
            origins=self.origins,
            path=path,
        )


# The names under which metadata is found in heads, front matter and JSON, in lower case with spaces between words.
FIELDS = {
    "title": "title",
    "headline": "title",
    "date": "date",
    "published": "date",
    "published on": "date",
    "published at": "date",
    "published date": "date",
    "publish date": "date",
    "publication date": "date",
    "date published": "date",
    "datepublished": "date",
    "pub date": "date",
    "pubdate": "date",
    "posted": "date",
    "posted on": "date",
    "source": "source",
    "publisher": "source",
    "publication": "source",
    "site name": "source",
    "url": "url",
    "link": "url",
    "permalink": "url",
    "source url": "url",
    "canonical url": "url",
    "author": "author",
    "authors": "author",
    "byline": "author",
    "by": "author",
    "written by": "author",
    "language": "language",
    "lang": "language",
}


def metadata_from(record: Mapping[object, object], where: str, *, known: Metadata | None = None) -> Metadata:
    """Return what a mapping, such as front matter or a JSON object, says about its article, added to what is known.

    Keys that are no metadata, and values that cannot be what their key says, are passed over: they cost no article. A
    key that is the field's own name goes before its aliases. Raises FormatError where a value cannot be stored.
    """
    metadata = known or Metadata()
    named = [
        (re.sub(r"[-_\s]+", " ", key).strip().lower(), value) for key, value in record.items() if isinstance(key, str)
    ]
    for name, value in sorted(named, key=lambda pair: FIELDS.get(pair[0]) != pair[0]):
        words = _words_of(value)
        if name in FIELDS and words:
            check_storable(words, f"its {name}")
            metadata = metadata.adding(FIELDS[name], words, Origin(where))
    return metadata


def check_storable(text: str, what: str) -> None:
    """Raise FormatError where `text` holds what no file or database can hold: a lone surrogate, a NUL."""
    if (surrogate := re.search("[\ud800-\udfff]", text)) is not None:
        code = f"U+{ord(surrogate[0]):04X}"
        raise FormatError(
            f"{what} holds half of a surrogate pair ({code}), which is no character; write the character whole"
        )
    if "\0" in text:
        raise FormatError(f"{what} holds a NUL character; remove it")


def _words_of(value: object) -> str:
    """Return a scalar or a list of scalars as one line of text; empty for anything else."""
    if isinstance(value, list):
        return ", ".join(filter(None, (item.strip() for item in value if isinstance(item, str))))
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def one_line(value: str) -> str | None:
    """Return `value` with every run of white space and control characters as one space; None where nothing is left."""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split()) or None


def _url(value: str) -> str | None:
    # Only what a browser opens safely: a `javascript:` address in a citation would run in the reader's page.
    value = value.strip()
    return value if re.fullmatch(r"[hH][tT][tT][pP][sS]?://[^\s<>\"\x00-\x1f\x7f]{3,2000}", value) else None


def _language(value: str) -> str | None:
    value = value.strip().replace("_", "-").lower()
    return value if re.fullmatch(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}", value) else None


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SPACE = r"[^\S\r\n]"
_WEEKDAY = rf"(?:(?:mon|tue(?:s)?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?{_SPACE}+)?"
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(?P<day>[0-3]?[0-9])(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[12][0-9]{3})"
_ZONE = r"(?:Z|UTC|GMT|BST|IST|[ECMP][SD]?T|C?E?ES?T|[+-][0-9]{2}:?[0-9]{2})"
_CLOCK = (
    rf"(?:(?:T|,?{_SPACE}+(?:at{_SPACE}+)?)[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{{1,9}})?)?"
    rf"(?:{_SPACE}?[ap]\.?m\b\.?)?(?:{_SPACE}?{_ZONE}(?!\w))?)?"
)
_END = r"(?![\w])(?![-/.][0-9])"
_DATES = [
    re.compile(form + _CLOCK + _END, re.IGNORECASE)
    for form in (
        rf"{_YEAR}(?P<sep>[-/.])(?P<month>[0-9]{{1,2}})(?P=sep){_DAY}",
        rf"{_WEEKDAY}{_DAY}(?:{_SPACE}+of)?(?:{_SPACE}+|-){_MONTH}(?:,?{_SPACE}+|-){_YEAR}",
        rf"{_WEEKDAY}{_MONTH}{_SPACE}+{_DAY}(?:,{_SPACE}*|{_SPACE}+){_YEAR}",
        rf"(?P<first>[0-9]{{1,2}})(?P<sep>[-/.])(?P<second>[0-9]{{1,2}})(?P=sep){_YEAR}",
    )
]


def parse_date(value: str) -> dt.date | None:
    """Return the date that all of `value` is, a time of day after it allowed.

    ISO dates and the usual English forms. None for anything else: a date that does not exist, or that is one day to a
    European and another to an American, such as 03/04/2022.
    """
    value = value.strip()
    found = date_at(value, 0)
    return found[0] if found is not None and found[1] == len(value) else None


def date_at(text: str, position: int) -> tuple[dt.date | None, int] | None:
    """Return the date written at `position` and where it ends; None where no date stands there.

    The date is None where something shaped like one stands there that is ambiguous or does not exist.
    """
    for form in _DATES:
        if match := form.match(text, position):
            return _date(match.groupdict()), match.end()
    return None


def _date(parts: Mapping[str, str | None]) -> dt.date | None:
    year, month, day = parts["year"], parts.get("month"), parts.get("day")
    if first := parts.get("first"):
        month, day = _month_and_day(first, parts["second"] or "")
    if not (year and month and day):
        return None
    number = int(month) if month.isdecimal() else MONTHS.index(month[:3].lower()) + 1
    try:
        return dt.date(int(year), number, int(day))
    except ValueError:
        return None


def _month_and_day(first: str, second: str) -> tuple[str | None, str | None]:
    """Tell month from day in 28/10 and 10/28; neither where both could be either."""
    if first == second or int(first) <= 12 < int(second):
        return first, second
    return (second, first) if int(second) <= 12 < int(first) else (None, None)


_CLEANERS: Mapping[str, Callable[[str], str | dt.date | None]] = {
    "title": one_line,
    "date": parse_date,
    "source": one_line,
    "url": _url,
    "author": one_line,
    "language": _language,
}
