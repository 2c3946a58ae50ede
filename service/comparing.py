"""Citations -> what they say beside each other. No HTTP here, and no model: what those say is among the citations."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal

from index import values
from index.articles import Span
from index.voices import words_of
from service.citations import Part, Quotation, part_of
from service.comparison import Comparison, Difference, Report, Side, Value, Verdict

# Words of an answer that can be compared with another one, at most: a name, a number, a day; not a clause.
LONGEST_ANSWER = 6
# From this probability on a sentence's part is taken for its answer. Of 250 questions of squad1/tune, whose articles do
# not contradict each other, 1 % are said to have different answers; from .3 on it would be 4 %, from .1 on 16 %.
WEIGHS = 0.4


@dataclass(frozen=True)
class Compared:
    """A citation, as it is compared. sources: of it and of all its places; near-duplicates of one another are one.

    weighs: whether it is likely enough to answer for its part to be taken for an answer (`WEIGHS`).
    """

    n: int
    quote: Quotation
    part: Part | None
    says: Literal["yes", "no"] | None
    reports: Report | None
    sources: frozenset[str]
    weighs: bool

    @cached_property
    def values(self) -> list[values.Value]:
        """The names and numbers in its quote, whose spans count from there."""
        return values.values_in(self.quote.quote)


def compare(question: str, compared: Sequence[Compared], opposed: Iterable[tuple[int, int]] = ()) -> Comparison | None:
    """Return what is to be said of citations beside each other; None where there are none.

    opposed: numbers of citations of which one denies what the other says.
    """
    if not compared:
        return None
    says = any(one.says for one in compared)
    told = {one.n: one.says if says else one.reports for one in compared}
    answers = {} if any(told.values()) else _answers(compared)
    groups = list(_by_answer(compared, answers) if not any(told.values()) else _told_alike(compared, told))
    by_number = {one.n: one for one in compared}
    differences = (
        *_differing_values(question, compared),
        *(_opposed(by_number[one], by_number[other]) for one, other in opposed),
    )
    sides = tuple(_side(group, answers, says=says) for group in groups)
    verdict = _verdict(groups, compared, differences, sides)
    return Comparison(verdict, _summary(verdict, sides), sides, differences)


# Sides

Group = list[Compared]


def _told_alike(compared: Sequence[Compared], told: Mapping[int, str | None]) -> Iterator[Group]:
    for word in dict.fromkeys(filter(None, told.values())):
        yield [one for one in compared if told[one.n] == word]


def _by_answer(compared: Sequence[Compared], answers: Mapping[int, str]) -> list[Group]:
    """Return citations that answer with a few words, those of the same words together.

    Each source answers once, with its best: what it says besides is no other answer.
    """
    groups: list[Group] = []
    heard: set[str] = set()
    for one in compared:
        answer = answers.get(one.n)
        if answer is None:
            continue
        alike = (group for group in groups if values.same_words(answer, answers[group[0].n]))
        if found := next(alike, None):
            found.append(one)
        elif one.sources & heard:
            continue
        else:
            groups.append([one])
        heard |= one.sources
    return groups


def _answers(compared: Sequence[Compared]) -> dict[int, str]:
    """Return the words that citations answer with, by their numbers.

    A reader finds the likeliest words of each sentence on its own. Where the first answers with a name, or a number of
    things, what others have of that family name, or of those things, is their answer.
    """
    answers = {
        one.n: one.part.text
        for one in compared
        if one.part is not None and one.weighs and len(one.part.text.split()) <= LONGEST_ANSWER
    }
    first = next((one for one in compared if one.n in answers), None)
    asked = {(value.kind, value.about) for value in first.values if _is_in_part(value, first)} if first else set()
    for one in compared:
        for value in one.values:
            if one is not first and (value.kind, value.about) in asked:
                answers[one.n] = value.span.of(one.quote.quote)
    return answers


def _side(group: Group, answers: Mapping[int, str], *, says: bool) -> Side:
    first = group[0]
    return Side(
        citations=tuple(one.n for one in group),
        says=first.says if says else None,
        answer=answers.get(first.n),
        sources=len(_sources(group)),
        reports=None if says else first.reports,
    )


def _sources(compared: Iterable[Compared]) -> frozenset[str]:
    return frozenset(source for one in compared for source in one.sources)


# Differences


def _differing_values(question: str, compared: Sequence[Compared]) -> Iterator[Difference]:
    """Yield names and numbers of the same thing that differ, where the question is about it, or somebody answers so."""
    asked = set(words_of(question))
    matters: set[str] = set()
    found: dict[tuple[Literal["name", "number"], str], list[tuple[Compared, values.Value]]] = {}
    for one in compared:
        for value in one.values:
            if {value.about, f"{value.about}s"} & asked or (one.weighs and _is_in_part(value, one)):
                matters.add(value.about)
            found.setdefault((value.kind, value.about), []).append((one, value))
    for (kind, about), held in found.items():
        apart = list(_apart(held))
        if about in matters and len(apart) > 1:
            shown = tuple(Value(one.n, part_of(one.quote, _shifted(value.span, one.quote))) for one, value in apart)
            # A family name, as it is written.
            yield Difference(kind, shown[0].part.text.split()[-1] if kind == "name" else about, shown)


def _is_in_part(value: values.Value, one: Compared) -> bool:
    span = _shifted(value.span, one.quote)
    return one.part is not None and span.start < one.part.end_char and one.part.start_char < span.end


def _apart(held: Sequence[tuple[Compared, values.Value]]) -> Iterator[tuple[Compared, values.Value]]:
    """Yield the first of each value, where there are values that differ from it."""
    shown: list[tuple[Compared, values.Value]] = []
    for one, value in held:
        if all(values.differ(value, other, one.quote.quote, another.quote.quote) for another, other in shown):
            shown.append((one, value))
    yield from shown


def _shifted(span: Span, quoted: Quotation) -> Span:
    return Span(span.start + quoted.start_char, span.end + quoted.start_char)


def _opposed(one: Compared, other: Compared) -> Difference:
    quotes = (
        Value(each.n, part_of(each.quote, Span(each.quote.start_char, each.quote.end_char))) for each in (one, other)
    )
    return Difference("statement", "", tuple(quotes))


# What is said of them


def _verdict(
    groups: Sequence[Group], compared: Sequence[Compared], differences: Sequence[Difference], sides: Sequence[Side]
) -> Verdict:
    opposite = ({"yes", "no"}, {"denial", "accusation"})
    if any(two <= {side.says or side.reports for side in sides} for two in opposite):
        return "contested"
    if not _is_told(sides) and _are_apart(groups):
        return "differ"
    if groups and len(_sources(groups[0])) > 1:
        return "agree"
    if any(one.kind == "statement" for one in differences):
        return "differ"
    weighing = [one for one in compared if one.weighs or one.says or one.reports] or compared[:1]
    return "one_source" if len(_sources(weighing)) == 1 else "unclear"


def _is_told(sides: Sequence[Side]) -> bool:
    return any(side.says or side.reports for side in sides)


def _are_apart(groups: Sequence[Group]) -> bool:
    """Whether two groups are of different sources: what one article says twice is no disagreement."""
    return any(not _sources(one) & _sources(other) for one, other in combinations(groups, 2))


def _summary(verdict: Verdict, sides: Sequence[Side]) -> str:
    if verdict == "unclear":
        return ""
    if verdict == "one_source":
        return "One source only."
    if verdict == "differ" and len(sides) > 1:
        return f"{len(sides)} different answers."
    if verdict == "differ":
        return "Sources differ."
    if not _is_told(sides):
        return f"{sides[0].sources} sources agree."
    return f"{', '.join(_told(side) for side in sides if side.reports != 'statement')}."


def _told(side: Side) -> str:
    many, ending = ("1 source", "s") if side.sources == 1 else (f"{side.sources} sources", "")
    if side.says:
        return f"{many} say{ending} {side.says}"
    return f"{many} report{ending} {'a denial' if side.reports == 'denial' else 'an accusation'}"
