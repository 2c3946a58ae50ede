"""What an answer's citations say beside each other: who says yes, who no, and which names and numbers differ."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from index.speakers import Kind
from service.citations import Part

Report = Literal["denial", "accusation", "statement"]
Verdict = Literal["agree", "contested", "differ", "one_source", "unclear"]


@dataclass(frozen=True, slots=True)
class Said:
    """Whose statement a quote is. All words are the article's, and may stand in a neighbouring sentence.

    speaker: who says it, as it stands there; named: the name that this stands for, where it is a pronoun or a title.
    verb: what tells that it is reported. kind: what is done by saying it. quoted: whether it is a direct quotation.
    via: who passed it on.
    """

    speaker: Part
    named: Part | None
    verb: Part
    kind: Kind
    quoted: bool
    via: Part | None


@dataclass(frozen=True, slots=True)
class Time:
    """A time that a quote speaks of. words: as it does. first, last: on the calendar, both inclusive."""

    words: Part
    first: dt.date
    last: dt.date


@dataclass(frozen=True, slots=True)
class AskedTime:
    """A time that a question asks about. words: as it does. first, last: inclusive; None where it is open."""

    words: str
    first: dt.date | None
    last: dt.date | None


@dataclass(frozen=True, slots=True)
class Side:
    """Citations that say the same, by their numbers.

    says: to a yes-or-no question; None to others, and where it is not known. answer: the words that the first of them
    answers with, to other questions. sources: how many articles say so; near-duplicates of one another count as one.
    reports: what they report of what a yes-or-no question is about, where that is all that is known: a denial, an
    accusation, or a statement on what is denied.
    """

    citations: tuple[int, ...]
    says: Literal["yes", "no"] | None
    answer: str | None
    sources: int
    reports: Report | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """A name or a number in a quote, or all of it. n: the citation's; offsets: in its article."""

    n: int
    part: Part


@dataclass(frozen=True, slots=True)
class Difference:
    """The same thing with different values. about: what it is, in words of the articles.

    `statement`: two quotes of which one denies what the other says; `about` is empty then.
    """

    kind: Literal["name", "number", "statement"]
    about: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What sources agree on, and where they don't; no side is taken.

    verdict: `agree` (two sources or more, one side), `contested` (some say yes, some no; or some report a denial, some
    an accusation), `differ` (different answers, or quotes of which one denies the other), `one_source`, `unclear`
    (several, and what they say to it could not be told). summary: the same in a sentence of ours; empty where it is
    unclear. sides: by their best citation.
    """

    verdict: Verdict
    summary: str
    sides: tuple[Side, ...]
    differences: tuple[Difference, ...]
