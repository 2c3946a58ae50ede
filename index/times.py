"""Times that sentences and questions speak of, as days: found by closed patterns, resolved against an article's date.

Only what names a time is found: "in July 2021", "last month", "on Friday". What counts from another time ("a month
later", "the next day") and what is only a length ("for three months") is left alone. English, but for ISO dates.
"""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Literal

from index.articles import Span
from index.expressions import Period, find_times

Relation = Literal["in", "before", "after", "since"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A time that a sentence speaks of. span: of its words, in the article's text; first, last: days, inclusive."""

    span: Span
    first: dt.date
    last: dt.date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError(f"not a time: {self.first} to {self.last}")


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a question asks about.

    words: as asked, "in October 2022". first, last: days, inclusive; either may be open. event: where the time is that
    of an event, its words, such as "war"; there are no days then.
    """

    words: str
    first: dt.date | None
    last: dt.date | None
    event: str | None
    relation: Relation

    def __post_init__(self) -> None:
        if self.first and self.last and self.first > self.last:
            raise ValueError(f"not a time: {self.first} to {self.last}")


def moments_of(text: str, sentence: Span, published: dt.date | None) -> list[Moment]:
    """Return the times that a sentence speaks of, in order; they do not overlap.

    published: the article's date. Without it only what names its own year is found.
    """
    moments = []
    for span, period in find_times(text, sentence, published):
        if period is not None:
            moments.append(Moment(span, *period))
    return moments


def window_of(question: str, today: dt.date) -> Window | None:
    """Return the time that a question asks about; None where it names none, or only as part of a name.

    Times without a preposition count where they are relative ("last month"); "the 2015 deal" is what the deal is
    called.
    """
    if not question:
        return None
    for span, period in find_times(question, Span(0, len(question)), today):
        if period is None:
            continue
        before = _RELATION.search(question, max(0, span.start - 24), span.start)
        words = span.of(question).lower()
        if before is not None and words.isdigit() and before[0].lower().rstrip().endswith(" the"):
            continue
        if before is None and not words.startswith(("from", "between")) and not _is_relative(words):
            continue
        if words == "today" and before is None and _PRESENT.search(question):
            continue
        # "in July": of which year, only who asks knows.
        if not re.search(r"\d{4}", words) and _MONTH.search(words):
            continue
        relation = _RELATIONS[" ".join(before[1].lower().split())] if before else "in"
        return _window(question[before.start() if before else span.start : span.end], period, relation)
    event = _EVENT.search(question)
    if event is None:
        return None
    relation = _RELATIONS[" ".join(event["relation"].lower().split())]
    return Window(event[0], None, None, event["event"], relation)


def is_about_now(question: str) -> bool:
    """Whether a question asks how things are: it says "now" or the like, or its verb is in the present tense.

    "Who was", "When did" and questions with a time of their own ask about the past. English.
    """
    if not question.strip():
        return False
    times = find_times(question, Span(0, len(question)), dt.date(2000, 1, 1))
    if any(period is not None and not _NOW.fullmatch(span.of(question)) for span, period in times):
        return False
    if _NOW.search(question):
        return True
    if _EVENT.search(question) or _PAST.search(question):
        return False
    return _PRESENT.search(question) is not None


def fits(window: Window, text: str, sentence: Span, published: dt.date | None) -> float:
    """Return how well what a sentence tells lies in a window: 1 inside, -1 outside, 0 unknown.

    What it tells happened when it says, else on the article's date. A time that is longer than the window and covers
    it, such as a century, counts by the share that they have in common. A window of an event: 1 where the sentence
    itself says "before the war", 0 else.
    """
    if window.event is not None:
        return float(_speaks_of(window, sentence.of(text)))
    times = [(moment.first, moment.last) for moment in moments_of(text, sentence, published)]
    if not times and published is not None:
        times = [(published, published)]
    if not times:
        return 0.0
    first, last = window.first or dt.date.min, window.last or dt.date.max
    return max(_share(period, (first, last)) for period in times) or -1.0


# How


_MONTH = re.compile(
    r"\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b", re.IGNORECASE
)


def _window(words: str, period: Period, relation: Relation) -> Window | None:
    first, last = period
    try:
        if relation == "before":
            # "By 1990" and "until 1990" end with it, or before it begins: the later end leaves out nothing.
            ends = last if words.lower().startswith("by") else first - dt.timedelta(days=1)
            return Window(words, None, ends, None, relation)
        if relation == "after":
            return Window(words, last + dt.timedelta(days=1), None, None, relation)
    except OverflowError:
        return None
    return Window(words, first, None if relation == "since" else last, None, relation)


def _is_relative(words: str) -> bool:
    return _RELATIVE.match(words) is not None


def _speaks_of(window: Window, sentence: str) -> bool:
    """Whether a sentence speaks of the window's relation to the window's event."""
    wanted = _words(window.event or "")
    for found in _EVENT.finditer(sentence):
        told = _words(found["event"])
        same = told[-1] == wanted[-1] and (set(told) <= set(wanted) or set(wanted) <= set(told))
        if same and _RELATIONS[" ".join(found["relation"].lower().split())] == window.relation:
            return True
    return False


def _words(event: str) -> list[str]:
    return [word.removesuffix("s") for word in re.findall(r"\w+", event.lower())]


def _share(period: Period, window: Period) -> float:
    """Return how much of a period lies in a window, in [0, 1]; open ends of the window are far away."""
    shared = min(period[1], window[1]).toordinal() - max(period[0], window[0]).toordinal() + 1
    return max(0.0, shared / (period[1].toordinal() - period[0].toordinal() + 1))


_RELATIONS: dict[str, Relation] = {
    **dict.fromkeys(
        ("in", "on", "at", "during", "throughout", "within", "over", "for", "around", "as of", "amid"), "in"
    ),
    **dict.fromkeys(("before", "prior to", "until", "till", "by"), "before"),
    **dict.fromkeys(("after", "following"), "after"),
    **dict.fromkeys(("since", "from"), "since"),
}
_RELATION = re.compile(
    r"\b(as\s{1,3}of|prior\s{1,3}to|in|on|at|during|throughout|within|over|for|around|before|until|till|by|after|since|from)"
    r"\s{1,3}(?:the\s{1,3}|about\s{1,3}|around\s{1,3})?\Z",
    re.IGNORECASE,
)
_RELATIVE = re.compile(
    r"(?:earlier|later|early|late|this|last|next|past|recent|the (?:past|last|coming|day)|today|tonight|yesterday"
    r"|tomorrow|.* ago$|.* from now$)",
    re.IGNORECASE | re.DOTALL,
)
_EVENTS = (
    *("wars?", "battle", "attacks?", "strikes?", "invasion", "elections?", "vote", "referendum", "pandemic", "crisis"),
    *("revolution", "coup", "earthquake", "floods?", "storm", "hurricane", "fire", "ceasefire", "truce", "treaty"),
    *("agreement", "talks", "summit", "meeting", "match", "game", "trial", "protests?", "riots?", "explosion", "crash"),
    *("launch", "merger", "independence", "resignation", "arrest", "outbreak", "epidemic", "famine", "siege", "raid"),
    *(
        "conflict",
        "uprising",
        "rebellion",
        "massacre",
        "assassination",
        "occupation",
        "olympics",
        "games",
        "renaissance",
    ),
    *("depression", "recession", "lockdown", "blackout", "accident", "disaster", "call", "visit", "reform", "collapse"),
)
_EVENT = re.compile(
    r"\b(?P<relation>before|prior\s{1,3}to|until|till|after|following|since|during|throughout|amid)\s{1,3}"
    r"(?:(?:the|this|that|its|his|her|their|an?)\s{1,3})?"
    rf"(?P<event>(?:[\w'’-]{{1,20}}\s{{1,3}}){{0,3}}?(?:{'|'.join(_EVENTS)}))\b",
    re.IGNORECASE,
)
_NOW = re.compile(
    r"\b(?:now|nowadays|currently|presently|at\spresent|at\sthe\smoment|these\sdays|today|tonight|latest|still|so\sfar"
    r"|most\srecent|current|this\s(?:week|month|year))\b",
    re.IGNORECASE,
)
_PAST = re.compile(r"\b(?:was|were|did|had|used\sto|wasn['’]t|weren['’]t|didn['’]t|will|would)\b", re.IGNORECASE)
_PRESENT = re.compile(
    r"\b(?:is|are|am|does|do|has|have|isn['’]t|aren['’]t|doesn['’]t|don['’]t)\b|\b(?:who|what|where|how)['’](?:s|re)\b"
    r"|^\W*(?:who|what)\s{1,3}\w{2,20}s\b",
    re.IGNORECASE,
)
