"""An answer as people read it in a terminal."""

import textwrap
from collections.abc import Iterator, Sequence

from service.answering import Answer, Citation

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
    breaks in it, which are spaces here; all else is wrapped at 80 columns.
    """
    return "\n".join(_lines(answer, color)) + "\n"


def _lines(answer: Answer, color: bool) -> Iterator[str]:
    yield from _wrap(_headline(answer))
    if answer.understood:
        yield from _wrap(f"Understood as: {harmless(answer.understood)}")
    for citation in answer.citations:
        yield ""
        yield from _citation(citation, f"[{citation.n}]", color)
    if answer.nearest:
        yield from ("", "Nearest, but not an answer:")
        for citation in answer.nearest:
            yield ""
            yield from _citation(citation, " - ", color)


def _headline(answer: Answer) -> str:
    if answer.verdict == "unanswered":
        if not answer.nearest:
            return answer.reason
        return f"{answer.reason.removesuffix('.')} (probability {answer.probability:.2f})."
    sources = len({citation.article_id for citation in answer.citations})
    word = "answers" if answer.verdict == "answered" else "may answer"
    many = f"{_count(answer.citations, 'sentence')} from {sources} {'article' if sources == 1 else 'articles'}"
    return f"{many}; the first {word} (probability {answer.probability:.2f})."


def _citation(citation: Citation, mark: str, color: bool) -> Iterator[str]:
    yield f"{mark} {_quote(citation, color)}"
    named = citation.title or citation.url or citation.article_id
    facts = [named, citation.source, citation.date and citation.date.isoformat()]
    facts += [f"page {citation.page}" if citation.page else None, f"score {citation.score:.2f}"]
    about = " · ".join(harmless(str(fact)) for fact in facts if fact)
    yield from _wrap(about, indent="    ")
    # A link is not wrapped either: a terminal opens what stands on one line.
    yield f"    {citation.url}" if citation.url else f"    {citation.id}"


def _quote(citation: Citation, color: bool) -> str:
    """Return the quote; all of it is made harmless, and what steers the terminal is ours alone."""
    quote, part = citation.quote, citation.part
    if not color or part is None:
        return harmless(quote)
    start, end = part.start_char - citation.start_char, part.end_char - citation.start_char
    front, bold, back = (harmless(words) for words in (quote[:start], quote[start:end], quote[end:]))
    return f"{front}{_BOLD}{bold}{_PLAIN}{back}"


def _wrap(text: str, *, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def harmless(text: str) -> str:
    """Return what came from an article as one line of text that neither steers a terminal nor hides anything."""
    return text.translate(_HARMLESS)


def _count(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"
