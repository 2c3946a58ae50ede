"""What is said about quotes, in words of ours: sides, speakers, times, differences.

Words of an article, or of a question, are kept apart in it: each wire makes them harmless in its own way.
page/remarks.js has the same, for answers that come without a page.
"""

import calendar
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from index.speakers import Kind
from service.answering import Answer, Citation
from service.comparison import AskedTime, Comparison, Difference, Said, Side, Time

# The most of an answer's words that stand in a heading, in code points.
LONGEST_HEADING = 80
# The most places of the same words that are shown where nothing can be unfolded.
MOST_PLACES = 3

_BY: Mapping[Kind, str] = {
    "says": "said by",
    "denies": "denied by",
    "accuses": "an accusation by",
    "asks": "asked by",
    "doubts": "doubted by",
}
# What names nobody: the name it stands for takes its place, and without one the quote says as much itself.
_PRONOUNS = frozenset({"he", "she", "it", "they", "we", "i", "who"})
_KINDS = {"name": "Names", "number": "Numbers"}


@dataclass(frozen=True, slots=True)
class Theirs:
    """Words of an article or a question."""

    text: str


@dataclass(frozen=True, slots=True)
class Cited:
    """The mark of a citation. n: its number."""

    n: int


Remark = tuple[str | Theirs | Cited, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Citations that stand together. heading: what they say; None where nothing stands apart from them."""

    heading: Remark | None
    citations: tuple[Citation, ...]


def written(remark: Remark, harmless: Callable[[str], str], mark: Callable[[int], str] = "[{}]".format) -> str:
    """Return the remark as text. harmless: makes words of an article so. mark: what stands for a citation's number."""
    return "".join(_written(one, harmless, mark) for one in remark)


def summary(answer: Answer) -> str | None:
    """Return what sources say beside each other, None where there is only one, and where that is unclear."""
    comparison = answer.comparison
    return comparison.summary or None if comparison and comparison.verdict != "one_source" else None


def groups(answer: Answer, citations: Sequence[Citation]) -> tuple[Group, ...]:
    """Return the citations by side, in the order of their first; those of none come last. One where there is one side.

    citations: those of the answer that are shown.
    """
    if answer.comparison is None or len(answer.comparison.sides) < 2:
        return (Group(None, tuple(citations)),) if citations else ()
    return tuple(_by_side(answer.comparison, citations))


def by_strength(answer: Answer, perhaps: float) -> tuple[tuple[Citation, ...], tuple[Citation, ...]]:
    """Return the citations to show at once, and those that hardly answer.

    perhaps: the probability below which a sentence does not answer. The first is shown in any case, and so is what a
    comparison tells of: what is said about a quote can be looked up in it.
    """
    told = _told(answer.comparison) if answer.comparison else frozenset()
    shown = tuple(one for one in answer.citations if one.n == 1 or one.score >= perhaps or one.n in told)
    return shown, tuple(one for one in answer.citations if one not in shown)


def remarks(citation: Citation, group: Group | None = None) -> tuple[Remark, ...]:
    """Return what is said about one quote: what it says to the question, whose it is, and when that was.

    group: the one that it stands in; what its heading says is not said again.
    """
    says = f"says {citation.says}" if citation.says and not (group and group.heading) else None
    said = ((says,) if says else None, speaker(citation.attribution), *map(when, times(citation)))
    return tuple(one for one in said if one)


def speaker(said: Said | None) -> Remark | None:
    """Return whose statement it is: `denied by Iran`; None where that is nobody with a name."""
    if said is None:
        return None
    names = [one.text for one in (said.speaker, said.named) if one and one.text.lower() not in _PRONOUNS]
    if not names:
        return None
    remark: Remark = (f"{_BY[said.kind]} ", Theirs(names[0]))
    if names[1:] and names[1] != names[0]:
        remark += (" (", Theirs(names[1]), ")")
    return (*remark, ", according to ", Theirs(said.via.text)) if said.via else remark


def times(citation: Citation) -> tuple[Time, ...]:
    """Return the times of which a quote does not say itself when they are, each once."""
    told = {time.words.text: time for time in citation.times if period(time.first, time.last) not in time.words.text}
    return tuple(told.values())


def when(time: Time) -> Remark:
    """Return when it is: `last month = September 2022`."""
    return (Theirs(time.words.text), f" = {period(time.first, time.last)}")


def asked_about(time: AskedTime) -> Remark:
    """Return which time a question is about: `Asked about: last month = September 2022`."""
    asked = _range(time.first, time.last)
    if asked is None or asked in time.words:
        return ("Asked about: ", Theirs(time.words))
    return ("Asked about: ", Theirs(time.words), f" = {asked}")


def difference(found: Difference) -> Remark:
    """Return which values the same thing has: `Numbers differ (drones): more than 300 [1], 2,400 [4]`."""
    if found.kind == "statement":
        one, other = (Cited(value.n) for value in found.values)
        return ("Opposite statements: ", one, " and ", other)
    about: Remark = (" (", Theirs(found.about), ")") if found.about else ()
    numbers: dict[str, list[int]] = {}
    for value in found.values:
        numbers.setdefault(value.part.text, []).append(value.n)
    values: list[str | Theirs | Cited] = []
    for text, cited in numbers.items():
        marks = (part for n in dict.fromkeys(cited) for part in (" ", Cited(n)))
        values += [", ", Theirs(text), *marks] if values else [Theirs(text), *marks]
    return (f"{_KINDS[found.kind]} differ", *about, ": ", *values)


def period(first: dt.date, last: dt.date) -> str:
    """Return the days from `first` to `last` as people write them: a day, a month, a year, or from one to the other."""
    parts = 3
    if first.day == 1 and last.day == calendar.monthrange(last.year, last.month)[1]:
        parts = 1 if (first.month, last.month) == (1, 12) else 2
    begin, end = ([str(day.day), f"{day:%B}", str(day.year)][-parts:] for day in (first, last))
    if begin == end:
        return " ".join(end)
    # What both end with is said once.
    same = next(n for n in range(parts) if begin[-1 - n] != end[-1 - n])
    return f"{' '.join(begin[: parts - same])} to {' '.join(end)}"


def count(number: int, name: str) -> str:
    """Return how many there are: `2 sources`."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _written(one: str | Theirs | Cited, harmless: Callable[[str], str], mark: Callable[[int], str]) -> str:
    if isinstance(one, Theirs):
        return harmless(one.text)
    return mark(one.n) if isinstance(one, Cited) else one


def _by_side(comparison: Comparison, citations: Sequence[Citation]) -> Iterator[Group]:
    left = {one.n: one for one in citations}
    asked = any(side.says for side in comparison.sides)
    for side in sorted(comparison.sides, key=lambda side: side.citations):
        if found := tuple(left.pop(n) for n in side.citations if n in left):
            yield Group(_heading(side), found)
    if left:
        yield Group(("Unclear" if asked else "Other sentences",), tuple(left.values()))


def _heading(side: Side) -> Remark:
    many = count(side.sources, "source")
    if side.reports == "statement":
        return (f"Also said by those who deny it · {many}",)
    if word := side.says or side.reports:
        return (f"{word.capitalize()} · {many}",)
    words = " ".join((side.answer or "").split())
    cut = words if len(words) <= LONGEST_HEADING else f"{words[: LONGEST_HEADING - 1].rstrip()}…"
    return (Theirs(cut), f" · {many}") if words else (many,)


def _told(comparison: Comparison) -> frozenset[int]:
    sides = (n for side in comparison.sides if side.says or side.reports for n in side.citations)
    return frozenset(sides) | {value.n for found in comparison.differences for value in found.values}


def _range(first: dt.date | None, last: dt.date | None) -> str | None:
    if first and last:
        return period(first, last)
    if first:
        return f"from {period(first, first)} on"
    return f"until {period(last, last)}" if last else None
