r"""An answer as Markdown, for chat frontends, and the sentences that such a text quotes. No HTTP here.

What an article holds is shown as plain text by CommonMark, GFM, remark and marked, and by what Open WebUI, LibreChat
and LobeChat add to them (KaTeX, citations in brackets, directives, templates in braces):

- `<`, `\` and addresses stand in code spans. A browser copies the same words from there, and nobody makes links or
  HTML of them; remark makes links of addresses however they are escaped.
- All else that could mean something has a backslash before it. Entities would do as well, but Open WebUI shows them
  as they are written. `[` has none: `\[` begins a formula in KaTeX. `\]`, alone, ends nothing.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import quote as percent_encoded

from service.answering import Answer, Citation
from service.citations import Quotation
from service.remarks import (
    MOST_PLACES,
    Group,
    Remark,
    asked_about,
    by_strength,
    difference,
    groups,
    remarks,
    summary,
    written,
)

# Of what came closest, where nothing answers.
MOST_NEAREST = 3

# Control characters are shown as their pictures (U+2400 and on), the marks that turn the direction of writing are left
# out, as in plain text.
_CONTROL = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])

# What separates words for whoever looks for addresses, or might mean something in a code span to KaTeX and others.
_BETWEEN = re.compile(r"([\s`$\[\]{}]+)")
_ADDRESS = re.compile(r"//|www\.|.@.", re.IGNORECASE)
_SPECIAL = re.compile(r"[<\\]+|[\]*_`~|^${}]|&(?=[#A-Za-z])|:(?=[A-Za-z:])|=(?==)")
# What begins a block where a line begins: lists, headings, quotes, fences.
_FIRST = re.compile(r"(?=[-+=#>:])|\d{1,9}(?=[.)])")
_ENTITY = re.compile(r"&(#?\w+);")

_QUOTED = re.compile(r"^> (.+) \[(?:\[\d+\]|open)\]\([^()\s]*\)$", re.MULTILINE)
_ESCAPED = re.compile(r"`([^`]*)`|\\(.)|\*\*")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a text in Markdown. mark: the citation that the piece is the mark of, `[[n]](link)`."""

    text: str
    mark: Citation | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the mark of a citation stands in a text: half-open, in code points."""

    citation: Citation
    start: int
    end: int


def render_markdown(answer: Answer, *, perhaps: float) -> tuple[Piece, ...]:
    """Return the answer in pieces, each of which can be sent on its own.

    Marks are numbered as they come, from 1: Open WebUI counts so, and sides or a weak sentence that is left out could
    have their numbers in another order. perhaps: the probability below which a sentence does not answer; of those only
    the first is shown, and what is told of where the citations are compared.
    """
    return tuple(_pieces(answer, perhaps))


def marks_in(pieces: Iterable[Piece]) -> Iterator[Mark]:
    """Yield the marks in the text that the pieces make, in order."""
    end = 0
    for piece in pieces:
        start, end = end, end + len(piece.text)
        if piece.mark is not None:
            yield Mark(piece.mark, start, end)


def quotes_in(markdown: str) -> tuple[str, ...]:
    """Return the sentences that a text of `render_markdown` shows, word for word but for white space."""
    return tuple(_unescape(found[1]) for found in _QUOTED.finditer(markdown))


def escape(text: str) -> str:
    """Return one line of Markdown that shows `text`, with one space for all white space, and nothing but text."""
    return _at_start(_escape(text).strip())


def destination(link: str) -> str:
    """Return `link` as it stands between the parentheses of a link in Markdown."""
    # What is percent-encoded already stays so. Brackets hold an IPv6 address.
    encoded = percent_encoded(link, safe="-._~:/?#[]@!,;=&%+", errors="replace")
    return _ENTITY.sub(r"&\1%3B", encoded)


def name_of(quoted: Quotation) -> str:
    """Return what the article is called."""
    return quoted.title or quoted.url or quoted.article_id


def _pieces(answer: Answer, perhaps: float) -> Iterator[Piece]:
    if answer.understood is not None:
        yield Piece(f"Understood as: {escape(answer.understood)}\n\n")
    if answer.time:
        yield Piece(f"{_told(asked_about(answer.time))}\n\n")
    shown, _ = by_strength(answer, perhaps)
    yield Piece(_framing(answer, shown))
    if answer.age:
        yield Piece(f"\n\n{escape(answer.age)}")
    numbered: dict[int, Citation] = {}
    for group in groups(answer, shown):
        # Bold ends behind a word of ours, and begins where the line does, whatever the first word is.
        heading = f"\n\n**{_told(group.heading)}**" if group.heading else ""
        last: Citation | None = None
        for citation in group.citations:
            numbered[citation.n] = placed = replace(citation, n=len(numbered) + 1)
            yield Piece(f"{heading if last is None else ''}{_before(citation, last)}> {_quote(citation)} ")
            yield Piece(_mark(placed), placed)
            last = citation
            if said := _behind(citation, group):
                yield Piece(said)
    yield from _nearest(answer.nearest[:MOST_NEAREST])
    for found in answer.comparison.differences if answer.comparison else ():
        yield Piece(f"\n\n{_told(difference(found), numbered)}")


def _nearest(nearest: Sequence[Citation]) -> Iterator[Piece]:
    last: Citation | None = None
    for citation in nearest:
        yield Piece(f"{_before(citation, last)}> {_quote(citation)} ")
        yield Piece(f"{_open(citation)}{_behind(citation)}")
        last = citation


def _framing(answer: Answer, shown: Sequence[Citation]) -> str:
    if answer.verdict == "unanswered":
        return f"{answer.reason} Nearest:" if answer.nearest else answer.reason
    told = summary(answer)
    if answer.verdict == "perhaps":
        return f"This may answer. {_escape(told)}" if told else "This may answer:"
    if told:
        return escape(told)
    sources = len({citation.article_id for citation in shown})
    return "1 source answers this:" if sources == 1 else f"{sources} sources answer this:"


def _before(citation: Citation, last: Citation | None) -> str:
    """Return what stands before a quote: where it is from, unless the last one said so, and what it refers to."""
    about = "" if last and last.article_id == citation.article_id else f"{_about(citation)}\n\n"
    return f"\n\n{about}" + (f"(before it: {escape(citation.before or '')})\n\n" if citation.leans else "")


def _behind(citation: Citation, group: Group | None = None) -> str:
    """Return what stands below a quote: whose it is, when that was, and where else the same is written."""
    said = [_told(remark) for remark in remarks(citation, group)]
    places = [f"{_about(place)} {_open(place)}" for place in citation.places[:MOST_PLACES]]
    if len(citation.places) > MOST_PLACES:
        places.append(f"{len(citation.places) - MOST_PLACES} more")
    said += [f"also in: {'; '.join(places)}"] if places else []
    return f"\n\n({'; '.join(said)})" if said else ""


def _about(quoted: Quotation) -> str:
    facts = (name_of(quoted), quoted.source, quoted.date and quoted.date.isoformat())
    return escape(" · ".join(str(fact) for fact in facts if fact))


def _mark(citation: Citation) -> str:
    return f"[[{citation.n}]]({destination(citation.link)})"


def _open(quoted: Quotation) -> str:
    return f"[open]({destination(quoted.link)})"


def _told(remark: Remark, numbered: Mapping[int, Citation] = MappingProxyType({})) -> str:
    """Return a remark of ours in Markdown; numbered: the citations whose marks it may hold, by their numbers."""
    return written(remark, lambda words: escape(words), lambda n: _mark(numbered[n]))


def _quote(citation: Citation) -> str:
    quote, part = citation.quote, citation.part
    start, end = (part.start_char - citation.start_char, part.end_char - citation.start_char) if part else (0, 0)
    # `**` opens before a letter or digit, and closes behind one, wherever it stands; beside others it depends.
    while start < end and unicodedata.category(quote[start])[0] not in "LN":
        start += 1
    while start < end and unicodedata.category(quote[end - 1])[0] not in "LNM":
        end -= 1
    front, bold, back = (_escape(words) for words in (quote[:start], quote[start:end], quote[end:]))
    # Bold words that begin or end with an address do so with a backtick.
    if not bold or "`" in (bold[0], bold[-1]):
        return escape(quote)
    return _at_start(f"{front.lstrip()}**{bold}**{back.rstrip()}")


def _escape(text: str) -> str:
    """Return what shows `text` inside of a line."""
    line = re.sub(r"\s+", " ", text.translate(_TURNING)).translate(_CONTROL)
    words = _BETWEEN.split(line)
    return "".join(f"`{word}`" if _ADDRESS.search(word) else _SPECIAL.sub(_escape_one, word) for word in words)


def _escape_one(found: re.Match[str]) -> str:
    return f"`{found[0]}`" if found[0][0] in "<\\" else f"\\{found[0]}"


def _at_start(line: str) -> str:
    first = _FIRST.match(line)
    return f"{first[0]}\\{line[first.end() :]}" if first else line


def _unescape(markdown: str) -> str:
    return _ESCAPED.sub(lambda found: found[1] or found[2] or "", markdown)
