"""The head of a plain text: the lines before the story that say what it is called, when it appeared, who wrote it.

Nothing is invented, and no sentence is lost: where a line could be part of the story, it stays in the body.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from index.articles import Origin, Span
from index.metadata import FIELDS, Metadata, date_at

# No head is longer than this many lines.
_MOST_LINES = 12
_LONGEST_TITLE = 150
_LONGEST_NAME = 80

_SPACE = r"[^\S\r\n]"
# Found in heads, and known to be no part of the story, but not the day of publication.
_UPDATED = ("updated", "updated on", "last updated", "last updated on", "modified", "last modified", "date modified")
_LABEL = re.compile(
    rf"(?P<label>{'|'.join(sorted(map(re.escape, [*FIELDS, *_UPDATED]), key=len, reverse=True))})"
    rf"(?:(?P<colon>{_SPACE}*:{_SPACE}*)|{_SPACE}+)",
    re.IGNORECASE,
)
_ANY_LABEL = re.compile(rf"[^\W\d_][\w-]*(?:{_SPACE}[\w-]+){{0,2}}:{_SPACE}+\S")
_AND_UPDATED = re.compile(
    rf"{_SPACE}*[|·•,;–—-]{_SPACE}*(?:last{_SPACE}+)?(?:updated|modified)\b[^\r\n]*", re.IGNORECASE
)
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_RULE = re.compile(r"\s*(?:={3,}|-{3,}|_{3,}|\*{3,}|~{3,})\s*")

# Two sentences in one line. A short word before the stop is taken for an abbreviation ("Gov. Smith").
_TWO_SENTENCES = re.compile(r"[^\W\d_]{4,}[.!?…][\"'”’)]*\s+[\"'“‘(]*[A-Z]")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]]*\s*$", re.MULTILINE)
_NO_TITLE_END = re.compile(r"[.…。:;,\-–—]$|[.…。!?][\"'”’»)\]]+$")
_BULLET = re.compile(r"[-*•‣▪·–—+#>|=~_]|\(?(?:[0-9]{1,3}|[a-zA-Z])[.)]\s")
_QUOTES = "\"'“”‘’„«»‹›"
_CAPITAL = "A-ZÀ-ÖØ-Þ"
_DATELINE = re.compile(
    rf"[{_CAPITAL}][{_CAPITAL} .'’/-]+(?P<place>,(?: (?:[A-Z][a-z]+\.?|[0-9]{{1,4}},?)){{1,4}})?"
    r"(?P<agency>\s*\([\w ]{2,40}\))?\s*(?P<dash>[-–—]*)"
)
_BYLINE = re.compile(
    rf"by{_SPACE}+(?P<names>(?:[^\W\d_][\w.'’-]*{_SPACE}+){{1,4}}[^\W\d_][\w'’-]*"
    rf"(?:(?:,|{_SPACE}+and|{_SPACE}*&){_SPACE}+[^\W\d_][^\r\n,.!?:;]{{1,40}}){{0,3}})",
    re.IGNORECASE,
)
_NO_NAME = re.compile(
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:january|february|april|june|july|august|september|october"
    r"|november|december)\b",
    re.IGNORECASE,
)
_PARTICLES = {
    "al",
    "and",
    "bin",
    "da",
    "de",
    "del",
    "den",
    "der",
    "di",
    "dos",
    "du",
    "el",
    "ibn",
    "la",
    "le",
    "ter",
    "van",
    "von",
    "y",
}


@dataclass(frozen=True, slots=True)
class Head:
    """What the head says, and the offset at which the body begins."""

    metadata: Metadata
    body: int


@dataclass(frozen=True, slots=True)
class _Fact:
    """One piece of metadata; `name` is None for one that is read over. `end`: where what follows it begins."""

    name: str | None
    value: Span
    end: int
    where: str


def read_head(text: str, start: int = 0) -> Head:
    """Read the head of a plain text that begins at `start`: labels, a title on a line of its own, a byline, a date."""
    head = read_labels(text, start)
    title = None if head.metadata.title else _title_at(text, _skip_blank(text, head.body))
    if title is None:
        return head
    metadata = head.metadata.adding("title", title.value.of(text), Origin(title.where, title.value))
    return Head(_with_facts_from(text, title.end, metadata), head.body)


def read_labels(text: str, start: int = 0) -> Head:
    """Read the labels before a text that begins at `start`; the body begins after the last of them.

    The body begins at `start` where there are none, or where there is nothing else.
    """
    metadata, labelled = Metadata(), False
    position = first = _skip_blank(text, start)
    for _ in range(_MOST_LINES):
        fact = _fact_at(text, position, byline=labelled)
        if fact is None:
            break
        labelled = True
        metadata = _with(metadata, fact, text)
        position = _skip_blank(text, fact.end)
    if position == first or position == len(text):
        return Head(Metadata(), start)
    # A line that is no metadata may stand among those that are. The body begins with it, so that nothing is lost.
    return Head(_with_facts_from(text, position, metadata), position)


def _with_facts_from(text: str, position: int, metadata: Metadata) -> Metadata:
    """Return `metadata` and what the whole lines from `position` on add to it, up to the first line of the story."""
    for start, end in _lines(text, position):
        line = text[start:end]
        if not line.strip():
            continue
        fact = _fact_at(text, _skip_blank(text, start), byline=True)
        if fact is not None and fact.end >= end:
            metadata = _with(metadata, fact, text)
        elif not _ANY_LABEL.match(line) and not _RULE.fullmatch(line):
            break
    return metadata


def _with(metadata: Metadata, fact: _Fact, text: str) -> Metadata:
    if fact.name is None:
        return metadata
    return metadata.adding(fact.name, fact.value.of(text), Origin(fact.where, fact.value))


def _fact_at(text: str, position: int, *, byline: bool) -> _Fact | None:
    """Return the metadata that stands at `position`: a label and its value, a date alone on its line, a byline."""
    end = _line_end(text, position)
    label = _LABEL.match(text, position, end)
    if label and (fact := _labelled_fact(text, label, end)):
        return fact
    found = date_at(text, position)
    if found is not None and found[0] is not None and not text[found[1] : end].strip():
        return _Fact("date", Span(position, found[1]), end, "date line")
    names = _byline_at(text, position, end) if byline else None
    return None if names is None else _Fact("author", names, end, "byline")


def _labelled_fact(text: str, label: re.Match[str], end: int) -> _Fact | None:
    name = FIELDS.get(label["label"].lower())
    if name in ("date", None):
        found = date_at(text, label.end())
        return None if found is None else _value_then_story(text, name, Span(label.end(), found[1]), end)
    if name == "url":
        url = _URL.match(text, label.end(), end)
        return None if url is None else _value_then_story(text, name, Span(*url.span()), end)
    # Without its colon a word such as "source" or "title" is just a word.
    value = _trimmed(text, label.end(), end)
    if label["colon"] is None or value is None or not _can_be(name, value.of(text)):
        return None
    return _Fact(name, value, end, "label")


def _value_then_story(text: str, name: str | None, value: Span, end: int) -> _Fact | None:
    """Return the fact whose value ends its line, or has the first sentence of the story directly behind it."""
    if updated := _AND_UPDATED.match(text, value.end, end):
        return _Fact(name, value, updated.end(), "label")
    story = value.end
    while story < end and text[story].isspace():
        story += 1
    if story == end:
        return _Fact(name, value, end, "label")
    # "date 2022-10-28 Ukraine's" is a label and a story; in "Date 2022-10-28 was a Friday" it is the story's own.
    return _Fact(name, value, story, "label") if story > value.end and _begins_sentence(text, story) else None


def _begins_sentence(text: str, position: int) -> bool:
    first = text[position]
    if first.isalpha():
        # The second: eBay, iPhone.
        return not first.islower() or bool(re.compile(r"[a-z]{1,2}[A-Z]").match(text, position))
    return first.isdecimal() or first in _QUOTES or first in "([¿¡…$€£"


def _can_be(name: str | None, value: str) -> bool:
    """Whether `value` may be the value of a label; if not, its line is taken for a line of the story."""
    if name == "language":
        return re.fullmatch(r"[^\W\d_]{2,20}(?:[-_][A-Za-z0-9]{2,8})*", value) is not None
    if len(value) > (2 * _LONGEST_TITLE if name == "title" else _LONGEST_NAME):
        return False
    if _TWO_SENTENCES.search(value) or re.search(r"\bdate:?\s+[0-9]", value):
        return False
    return name == "title" or value[-1] not in ".!?"


def _byline_at(text: str, position: int, end: int) -> Span | None:
    """Return the names in "By Jane Doe and John Roe" alone on its line."""
    line = _trimmed(text, position, end)
    match = line and _BYLINE.fullmatch(text, line.start, line.end)
    if not match or _NO_NAME.search(match["names"]) or len(match["names"]) > _LONGEST_NAME:
        return None
    words = re.findall(r"[^\W\d_][\w.'’-]*", match["names"])
    capital = all(word[0].isupper() or word.lower() in _PARTICLES for word in words)
    return Span(*match.span("names")) if capital and words[0][0].isupper() else None


def _title_at(text: str, position: int) -> _Fact | None:
    """Return the title that stands on the line at `position`: short, no sentence, set apart from the story below it."""
    end = _line_end(text, position)
    title = _trimmed(text, position, end)
    if title is None or len(title) > _LONGEST_TITLE or not _looks_like_a_title(title.of(text)):
        return None
    below = next(_lines(text, _next_line(text, end)), None)
    if below is None or not _sets_apart(text, *below) or not _SENTENCE_END.search(text, below[0]):
        return None
    return _Fact("title", title, _next_line(text, end), "first line")


def _sets_apart(text: str, start: int, end: int) -> bool:
    """Whether the line under a title shows that it is one: blank, a rule, or a line of metadata."""
    line = text[start:end]
    if not line.strip() or _RULE.fullmatch(line):
        return True
    fact = _fact_at(text, _skip_blank(text, start), byline=True)
    return fact is not None and fact.end >= end


def _looks_like_a_title(line: str) -> bool:
    return (
        any(c.isalpha() for c in line)
        and not _NO_TITLE_END.search(line)
        and not _TWO_SENTENCES.search(line)
        and not _BULLET.match(line)
        and not (line[0] in _QUOTES and (line[-1] in _QUOTES or not any(c in _QUOTES for c in line[1:])))
        and not _URL.search(line)
        and not _is_dateline(line)
        and not ((label := _LABEL.match(line)) and label["colon"])
        and _byline_at(line, 0, len(line)) is None
    )


def _is_dateline(line: str) -> bool:
    """Whether the line is a place in capitals with what an agency puts behind it: "KYIV, Ukraine (AP) —"."""
    match = _DATELINE.fullmatch(line)
    return match is not None and any((match["place"], match["agency"], match["dash"]))


def _lines(text: str, position: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of the next lines, the line breaks left out, as many as a head may have."""
    for _ in range(_MOST_LINES):
        if position >= len(text):
            return
        end = _line_end(text, position)
        yield position, end
        position = _next_line(text, end)


_BREAK = re.compile(r"\r\n?|\n")
_BLANK = re.compile(r"[\s\ufeff]*")


def _line_end(text: str, position: int) -> int:
    match = _BREAK.search(text, position)
    return match.start() if match else len(text)


def _next_line(text: str, end: int) -> int:
    match = _BREAK.match(text, end)
    return match.end() if match else end


def _skip_blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _trimmed(text: str, start: int, end: int) -> Span | None:
    """Return the part of `[start, end)` between its outer white space; None where it is blank."""
    piece = text[start:end]
    stripped = piece.strip()
    if not stripped:
        return None
    start += len(piece) - len(piece.lstrip())
    return Span(start, start + len(stripped))
