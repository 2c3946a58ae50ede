"""An answer as people read it in a terminal."""

import textwrap
from collections.abc import Iterator

from service.answering import Answer, Citation
from service.citations import Quotation
from service.remarks import (
    MOST_PLACES,
    Group,
    Remark,
    asked_about,
    count,
    difference,
    groups,
    remarks,
    summary,
    written,
)

WIDTH = 80

_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"

# What an article holds must not steer a terminal: control characters are shown as their pictures (U+2400 and on), the
# marks that turn the direction of writing are left out. Nor must it begin a line, where it could pass for a citation of
# ours: what breaks lines becomes a space, and a quote is compared without regard to that. JSON has it as it is.
_HARMLESS: dict[int, int | None] = {code: 0x2400 + code for code in range(0x20) if chr(code) != "\t"}
_HARMLESS |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_HARMLESS |= dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_HARMLESS |= dict.fromkeys(map(ord, "\n\v\f\r\x85\u2028\u2029"), ord(" "))


def render_answer(answer: Answer, *, color: bool = False) -> str:
    """Return the answer as text that ends with a newline. color: set the words that answer in bold.

    A quote stands on a line of its own and is never wrapped, so that what is copied is what was written, but for line
    breaks in it, which are spaces here; all else is wrapped at 80 columns. No line but ours begins with `[` or `--`.
    """
    return "\n".join(_lines(answer, color)) + "\n"


def _lines(answer: Answer, color: bool) -> Iterator[str]:
    yield from _wrap(_headline(answer))
    if answer.understood:
        yield from _wrap(f"Understood as: {harmless(answer.understood)}")
    yield from _compared(answer)
    for group in groups(answer, answer.citations):
        if group.heading:
            yield ""
            yield from _wrap(f"-- {_told(group.heading)}", further="   ")
        for citation in group.citations:
            yield ""
            yield from _citation(citation, f"[{citation.n}]", color, group)
    if answer.nearest:
        yield from ("", "Nearest, but not an answer:")
        for citation in answer.nearest:
            yield ""
            yield from _citation(citation, " - ", color)


def _compared(answer: Answer) -> Iterator[str]:
    """Yield what the citations say beside each other, and when."""
    if answer.time:
        yield from _wrap(_told(asked_about(answer.time)), further="    ")
    if told := summary(answer):
        yield from _wrap(harmless(told), further="    ")
    for found in answer.comparison.differences if answer.comparison else ():
        yield from _wrap(_told(difference(found)), further="    ")
    if answer.age:
        yield from _wrap(harmless(answer.age), further="    ")


def _headline(answer: Answer) -> str:
    if answer.verdict == "unanswered":
        if not answer.nearest:
            return answer.reason
        return f"{answer.reason.removesuffix('.')} (probability {answer.probability:.2f})."
    sources = len({citation.article_id for citation in answer.citations})
    word = "answers" if answer.verdict == "answered" else "may answer"
    many = f"{count(len(answer.citations), 'sentence')} from {count(sources, 'article')}"
    return f"{many}; the first {word} (probability {answer.probability:.2f})."


def _citation(citation: Citation, mark: str, color: bool, group: Group | None = None) -> Iterator[str]:
    yield f"{mark} {_quote(citation, color)}"
    page = f"page {citation.page}" if citation.page else ""
    yield from _wrap(_about(citation, page, f"score {citation.score:.2f}"), indent="    ", further="      ")
    yield from _wrap(" · ".join(map(_told, remarks(citation, group))), indent="    ", further="      ")
    # A link is not wrapped either: a terminal opens what stands on one line.
    yield f"    {_address(citation)}"
    for place in citation.places[:MOST_PLACES]:
        yield from _wrap(f"also in: {_about(place)}", indent="    ", further="             ")
        yield f"             {_address(place)}"
    if len(citation.places) > MOST_PLACES:
        yield f"    and {len(citation.places) - MOST_PLACES} more"


def _about(quoted: Quotation, *more: str) -> str:
    named = quoted.title or quoted.url or quoted.article_id
    facts = (named, quoted.source, quoted.date and quoted.date.isoformat(), *more)
    return " · ".join(harmless(str(fact)) for fact in facts if fact)


def _address(quoted: Quotation) -> str:
    return quoted.url or quoted.id


def _quote(citation: Citation, color: bool) -> str:
    """Return the quote; all of it is made harmless, and what steers the terminal is ours alone."""
    quote, part = citation.quote, citation.part
    if not color or part is None:
        return harmless(quote)
    start, end = part.start_char - citation.start_char, part.end_char - citation.start_char
    front, bold, back = (harmless(words) for words in (quote[:start], quote[start:end], quote[end:]))
    return f"{front}{_BOLD}{bold}{_PLAIN}{back}"


def _wrap(text: str, *, indent: str = "", further: str = "") -> list[str]:
    """Return the lines; further: the indent of all but the first, where it is another."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=further or indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _told(remark: Remark) -> str:
    return written(remark, harmless)


def harmless(text: str) -> str:
    """Return what came from an article as one line of text that neither steers a terminal nor hides anything."""
    return text.translate(_HARMLESS)
