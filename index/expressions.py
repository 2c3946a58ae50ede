"""Expressions of time -> the days that they are, by closed patterns; relative ones against an article's date.

Only what names a time is found: "in July 2021", "last month", "on Friday". What counts from another time ("a month
later", "the next day") and what is only a length ("for three months") is left alone. English, but for ISO dates.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dateutil.relativedelta import relativedelta

from index.articles import Span

# The first and the last day.
Period = tuple[dt.date, dt.date]
# "A few", "several" and what says no number at all stand for so many.
FEW = (2, 5)
SEVERAL = (3, 7)


@dataclass(frozen=True, slots=True)
class _Context:
    """What a pattern's match is resolved by: the article's date, and the sentence, `[start, end)` of `text`."""

    published: dt.date | None
    text: str
    start: int
    end: int

    @property
    def ahead(self) -> bool:
        """Whether the sentence tells what is to come."""
        return _AHEAD.search(self.text, self.start, self.end) is not None


_Resolve = Callable[[re.Match[str], _Context], Period | None]


class _Rule(NamedTuple):
    """A pattern, and how its matches are resolved.

    kind: of what the sentence has to have (`_kinds`). needs: what stands in every match, found much sooner than one;
    in small letters, as the sentence is then (`_lowered`). reach: code points of a match before that, at most.
    """

    kind: str
    needs: re.Pattern[str]
    reach: int
    pattern: re.Pattern[str]
    resolve: _Resolve


def find_times(text: str, sentence: Span, published: dt.date | None) -> Iterator[tuple[Span, Period | None]]:
    """Yield what looks like a time, with the days that it is where these are known.

    Of what overlaps the first counts, then the longest: "Good Friday" is no Friday, for all that the pattern of names
    resolves to nothing.
    """
    start, end = sentence.start, min(sentence.end, len(text))
    if start >= end:
        return
    # With what stands before it, since words begin there or don't.
    shift = max(start - 1, 0)
    written, begin = text[shift:end], start - shift
    lowered = _lowered(written)
    # Most sentences have next to none of what these patterns need, which is quicker to see than that none matches.
    kinds = _kinds(written, lowered, begin)
    if not kinds:
        return
    context = _Context(published, text, start, end)
    found = []
    for kind, needs, reach, pattern, resolve in _RULES:
        if kind not in kinds:
            continue
        needed = needs.search(lowered, begin)
        if needed is None:
            continue
        for match in pattern.finditer(text, max(start, shift + needed.start() - reach), end):
            # The words of the time; what stands before them only tells that they are one.
            at, to = match.span("t")
            found.append((at, -to, resolve, match))
    taken = 0
    for at, to, resolve, match in sorted(found, key=lambda one: one[:2]):
        if at < taken:
            continue
        taken = -to
        try:
            yield Span(at, -to), resolve(match, context)
        except (ValueError, OverflowError, KeyError):
            # The 31st of June; a thousand centuries ago; letters that to a pattern only are those of a word.
            continue


def _lowered(text: str) -> str:
    """Return as many code points, in small letters as patterns that ignore case compare them."""
    if not text.isascii():
        # One of these becomes two in Python's small letters, the others none; to a pattern they are an i and an s.
        text = text.replace("\u0130", "i").replace("\u0131", "i").replace("\u017f", "s")
    return text.lower()


def _kinds(written: str, lowered: str, begin: int) -> set[str]:
    """Return the kinds of what may name a time that stand in a sentence, from `begin` on in both of its forms."""
    kinds = {kind for kind, pattern in _AS_WRITTEN if pattern.search(written, begin)}
    # To see that a word is nowhere is quicker than to see that no pattern matches.
    if any(map(written.__contains__, _ERAS)) and _ERA.search(written, begin):
        kinds.add("era")
    for kind, words, pattern in _IN_SMALL_LETTERS:
        if any(map(lowered.__contains__, words)) and pattern.search(lowered, begin):
            kinds.add(kind)
    return kinds


# Resolving


def _year(year: int) -> Period:
    return dt.date(year, 1, 1), dt.date(year, 12, 31)


def _month(year: int, month: int) -> Period:
    first = dt.date(year, month, 1)
    return first, first + relativedelta(day=31)


def _week(day: dt.date) -> Period:
    monday = day - dt.timedelta(days=day.weekday())
    return monday, monday + dt.timedelta(days=6)


def _around(unit: str, day: dt.date) -> Period:
    """Return the calendar's unit that `day` lies in."""
    if unit == "day":
        return day, day
    if unit == "week":
        return _week(day)
    if unit == "weekend":
        monday, sunday = _week(day)
        return monday + dt.timedelta(days=5), sunday
    if unit == "month":
        return _month(day.year, day.month)
    if unit == "quarter":
        first, _ = _month(day.year, 3 * ((day.month - 1) // 3) + 1)
        return first, first + relativedelta(months=2, day=31)
    if unit == "year":
        return _year(day.year)
    if unit == "decade":
        return _year(day.year // 10 * 10)[0], _year(day.year // 10 * 10 + 9)[1]
    return _century((day.year - 1) // 100 + 1)


def _century(number: int) -> Period:
    return _year(100 * number - 99)[0], _year(100 * number)[1]


def _moved(day: dt.date, unit: str, count: int) -> dt.date:
    """Return `day`, `count` units later."""
    if unit in ("week", "weekend"):
        return day + dt.timedelta(weeks=count)
    if unit == "day":
        return day + dt.timedelta(days=count)
    months = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200}[unit]
    moved: dt.date = day + relativedelta(months=months * count)
    return moved


# Where thirds and halves of a unit begin: days of a month, months of a year, years of what is longer.
_CUTS = {"month": (10, 20), "year": (4, 8), "decade": (4, 7), "century": (33, 66)}
_HALF = {"month": 15, "year": 6, "decade": 5, "century": 50}
_STEP = {"month": "day", "year": "month", "decade": "year", "century": "year"}


def _part(part: str | None, unit: str, period: Period) -> Period:
    """Return the part of a unit that is called "early", "mid" or "the end of"; all of it without such a word."""
    if part is None or unit not in _CUTS:
        return period
    first, last = period
    (one, two), half, word = _CUTS[unit], _HALF[unit], part.lower().split()[0]
    begin, end = {
        "first": (0, half),
        "second": (half, 0),
        **dict.fromkeys(("early", "start", "beginning"), (0, one)),
        **dict.fromkeys(("mid", "middle"), (one, two)),
        **dict.fromkeys(("late", "end"), (two, 0)),
    }[word]
    ending = _moved(first, _STEP[unit], end) - dt.timedelta(days=1) if end else last
    return _moved(first, _STEP[unit], begin), ending


def _nearest(day: int, month: int, context: _Context) -> dt.date | None:
    """Return the day without a year that is meant: the last that was, or the next where it is to come."""
    now = context.published
    if now is None:
        return None
    for year in range(now.year, now.year + 9) if context.ahead else range(now.year, max(now.year - 9, 0), -1):
        try:
            found = dt.date(year, month, day)
        except ValueError:
            continue  # the 29th of February
        if found >= now if context.ahead else found <= now:
            return found
    return None


def _nearest_month(month: int, context: _Context) -> Period | None:
    now = context.published
    if now is None:
        return None
    if context.ahead:
        return _month(now.year + (month < now.month), month)
    return _month(now.year - (month > now.month), month)


def _on_date(match: re.Match[str], context: _Context) -> Period | None:
    """Resolve a day of a month, or several, with a year or without."""
    month, day = _month_number(match["month"]), _number_in(match["day"])
    until = _number_in(match["until"]) if match["until"] else day
    if until < day:
        return None
    if match["year"]:
        first: dt.date | None = dt.date(_full_year(match["year"]), month, day)
    else:
        first = _nearest(day, month, context)
    return (first, first.replace(day=until)) if first else None


def _in_month(match: re.Match[str], _: _Context) -> Period | None:
    month, year = _month_number(match["month"]), int(match["year"])
    if match["to"]:
        last = _month_number(match["to"])
        return _month(year - (last < month), month)[0], _month(year, last)[1]
    return _part(match["part"], "month", _month(year, month))


def _in_bare_month(match: re.Match[str], context: _Context) -> Period | None:
    month, now, which = _month_number(match["month"]), context.published, (match["which"] or "").lower()
    if now is None:
        return None
    if which == "this":
        period: Period | None = _month(now.year, month)
    elif which == "last":
        period = _month(now.year - (month >= now.month), month)
    elif which == "next":
        period = _month(now.year + (month <= now.month), month)
    else:
        period = _nearest_month(month, context)
    return period and _part(match["part"], "month", period)


def _by_numbers(match: re.Match[str], _: _Context) -> Period | None:
    """Resolve 28/10/2022 or 10/28/2022; whether 3/9/2022 is in March or in September nobody can tell."""
    one, other, year = int(match["one"]), int(match["other"]), _full_year(match["year"])
    if match["dot"] == "." or one > 12 or one == other:
        day = dt.date(year, other, one)
    elif other > 12:
        day = dt.date(year, one, other)
    else:
        return None
    return day, day


def _by_iso(match: re.Match[str], _: _Context) -> Period | None:
    day = dt.date.fromisoformat(match["t"])
    return day, day


def _in_year(match: re.Match[str], _: _Context) -> Period | None:
    return _part(match["part"], "year", _year(int(match["year"]))) if _is_year(match) else None


def _in_years(match: re.Match[str], _: _Context) -> Period | None:
    first, last = int(match["year"]), match["until"]
    until = int(last) if len(last) == 4 else first // 100 * 100 + int(last)
    return (_year(first)[0], _year(until)[1]) if until > first else None


def _in_old_year(match: re.Match[str], _: _Context) -> Period | None:
    return None if match["before"] else _year(int(match["one"] or match["other"]))


def _in_season(match: re.Match[str], _: _Context) -> Period | None:
    # Which months a summer has depends on the hemisphere: all of the year is certain.
    return _year(int(match["year"]))


def _in_quarter(match: re.Match[str], _: _Context) -> Period | None:
    first = dt.date(int(match["year"]), 3 * _ORDINALS[(match["ordinal"] or match["short"]).lower()] - 2, 1)
    return first, first + relativedelta(months=2, day=31)


def _in_decade(match: re.Match[str], _: _Context) -> Period | None:
    first = int(match["decade"] or f"19{match['short']}")
    # "The 1800s" are a century, "the 2000s" are not yet.
    unit = "century" if first % 100 == 0 and first < 2000 else "decade"
    period = _year(first)[0], _year(first + (99 if unit == "century" else 9))[1]
    return _part(match["part"], unit, period)


def _in_century(match: re.Match[str], _: _Context) -> Period | None:
    if match["before"]:
        return None
    first = _ORDINALS[match["ordinal"].lower()]
    last = _ORDINALS[match["until"].lower()] if match["until"] else first
    if last < first:
        return None
    if match["until"]:
        return _century(first)[0], _century(last)[1]
    return _part(match["part"], "century", _century(first))


def _in_unit(match: re.Match[str], context: _Context) -> Period | None:
    """Resolve "last month", "earlier this week", "the past year"."""
    now, which, unit = context.published, " ".join(match["which"].lower().split()), match["unit"].lower()
    part = (match["part"] or "").lower() or None
    if now is None:
        return None
    if unit in ("night", "morning", "afternoon", "evening"):
        day = {"this": now, "last": now - dt.timedelta(days=1)}.get(which)
        return (day, day) if day else None
    if which in ("the past", "the last", "past") and unit != "century":
        return _moved(now, unit, -1), now
    if which in ("the next", "past"):
        return None  # counted from another time, or a name
    count = {"this": 0, "last": -1, "the last": -1, "the past": -1}.get(which, 1)
    first, last = _around(unit, _moved(now, unit, count))
    if part == "earlier":
        return (first, now) if count == 0 else None
    if part == "later":
        return (now, last) if count == 0 else None
    return _part(part, unit, (first, last))


def _within(match: re.Match[str], context: _Context) -> Period | None:
    """Resolve "the last three years", "recent weeks"."""
    now, unit = context.published, _UNITS[match["unit"].lower()]
    if now is None:
        return None
    _, most = _count(match["count"])
    if match["side"].lower() in ("next", "coming"):
        return (now, _moved(now, unit, most)) if context.ahead else None
    return _moved(now, unit, -most), now


def _ago(match: re.Match[str], context: _Context) -> Period | None:
    now, unit = context.published, match["unit"].lower()
    if now is None:
        return None
    if unit.startswith(("hour", "minute")):
        return now - dt.timedelta(days=1), now
    least, most = _count(match["count"])
    unit = _UNITS[unit]
    if match["side"].lower() == "ago":
        least, most = -most, -least
    return _around(unit, _moved(now, unit, least))[0], _around(unit, _moved(now, unit, most))[1]


def _near(match: re.Match[str], context: _Context) -> Period | None:
    if context.published is None:
        return None
    word = match["word"].lower()
    away = {"yesterday": -1, "tomorrow": 1}.get(word, 0) * (2 if match["far"] else 1)
    day = context.published + dt.timedelta(days=away)
    return day, day


def _on_weekday(match: re.Match[str], context: _Context) -> Period | None:
    now, which = context.published, (match["which"] or "").lower()
    if now is None or which in ("every", "each", "any", "a", "most"):
        return None
    # From Monday's to Sunday's, in days from today's.
    away = _WEEKDAYS[match["weekday"][:3].lower()] - now.weekday()
    if which == "last":
        away -= 7 * (away >= 0)
    elif which == "next":
        away += 7
    elif which != "this":
        away = away % 7 if context.ahead else away % -7
    day = now + dt.timedelta(days=away)
    return day, day


def _no_time(_match: re.Match[str], _: _Context) -> Period | None:
    return None


def _is_year(match: re.Match[str]) -> bool:
    """Whether four digits are a year, and not a quantity or a number, by the words around them."""
    text, year = match.string, int(match["year"])
    before = _WORD_BEFORE.search(text, max(0, match.start("t") - 24), match.start("t"))
    word = before[0].strip(" ([\n\t\u00a0").lower() if before else ""
    if match["part"] or word in _SURE:
        return True
    if year < 1300 and word not in _LIKELY:
        return False
    after = _WORD_AFTER.match(text, match.end("t"), min(len(text), match.end("t") + 40))
    follows = after[1] if after else ""
    if word in _NUMBERED or word in _AMOUNT or word.isdigit() or follows.isdigit() or _ADDRESS.match(text, match.end()):
        return False
    counted = follows.islower() and (follows in _COUNTED or (follows.endswith("s") and follows not in _NO_PLURALS))
    return not counted or (word in ("the", "its", "his", "their", "a") and year >= 1700)


def _month_number(name: str) -> int:
    return _MONTHS.index(name[:3].lower()) + 1


def _number_in(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def _full_year(digits: str) -> int:
    """Return a year of two digits as POSIX does: 69 to 99 are of the last century."""
    year = int(digits)
    return year if len(digits) == 4 else year + (1900 if year > 68 else 2000)


def _count(words: str | None) -> tuple[int, int]:
    """Return the least and the most that a number's words stand for."""
    if words is None:
        return FEW
    told = " ".join(words.lower().split())
    if told.isdigit():
        return int(told), int(told)
    if "couple" in told:
        return 2, 2
    if "few" in told:
        return FEW
    if told == "several":
        return SEVERAL
    return (number := _NUMBERS[told]), number


# The patterns. Every repetition in them is bounded, so that odd text takes no longer than other text.

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}
_UNITS = {
    **{
        f"{unit}{plural}": unit
        for unit in ("day", "week", "weekend", "month", "year", "decade")
        for plural in ("", "s")
    },
    **{"century": "century", "centuries": "century", "yr": "year", "yrs": "year", "quarter": "quarter"},
    **{"quarters": "quarter", "night": "day", "nights": "day"},
}
_NUMBERS = {
    **{"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8},
    **{"nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40},
    **{"fifty": 50, "sixty": 60, "hundred": 100, "a hundred": 100, "a dozen": 12, "dozen": 12},
}
_ORDINAL_WORDS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"),
    *("twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"),
    *("twentieth", "twenty-first"),
)
_ORDINALS = {
    **{word: number for number, word in enumerate(_ORDINAL_WORDS, start=1)},
    **{f"{number}{end}": number for number in range(1, 32) for end in ("st", "nd", "rd", "th", "")},
}


def _names(*names: str) -> str:
    """Return a pattern for names as they are written, `May` and `MAY` but not `may`."""
    both = sorted({*names, *(name.upper() for name in names)}, key=len, reverse=True)
    return f"(?-i:{'|'.join(both)})"


_SPACE = r"[\s\u00a0]{1,3}"
_FULL = ("January", "February", "March", "April", "June", "July", "August", "September", "October", "November")
_MONTH = rf"(?:{_names(*_FULL, 'December', 'May')}|{_names(*(m.title() for m in _MONTHS), 'Sept')}\.?)(?!\w)"
_WEEKDAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WEEKDAY = _names(*_WEEKDAY_NAMES)
_SHORT_WEEKDAY = _names("Mon", "Tue", "Tues", "Wed", "Thu", "Thur", "Thurs", "Fri", "Sat", "Sun")
_DAY = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?(?![\w:%]|[.,]\d)"
_YEAR = r"(?:1\d{3}|20\d\d)"
_AFTER_YEAR = r"(?![\w%°$€£]|[.,:/'’]\d|[-–—]\d)"
_OF_WEEK = rf"(?:(?:{_WEEKDAY}|{_SHORT_WEEKDAY}\.?),?{_SPACE})?"
_DASH = r"\s?[-–—]\s?"
_TO = rf"(?:{_DASH}|{_SPACE}(?:to|and|until|till|through){_SPACE})"
_SOME_PART = (
    rf"(?:the{_SPACE})?(?P<part>early|mid|late|start|beginning|middle|end|(?:first|second){_SPACE}half)"
    rf"(?:{_SPACE}(?:(?:of|in){_SPACE})?|-)"
)
_PART = rf"(?:{_SOME_PART}(?:the{_SPACE})?)?"
_ORDINAL = rf"(?:{'|'.join(reversed(_ORDINAL_WORDS))}|\d{{1,2}}(?:st|nd|rd|th))"
_COUNT = rf"(?:\d{{1,3}}|(?:a{_SPACE})?(?:few|couple(?:{_SPACE}of)?|dozen|hundred)|several|{'|'.join(_NUMBERS)})"
_SEASON = r"(?:spring|summer|autumn|fall|winter)"
_SOME = rf"(?:(?:about|around|over|nearly|almost|roughly|some|just|more{_SPACE}than|less{_SPACE}than){_SPACE})?"


def _rule(kind: str, needs: str, reach: int, pattern: str, resolve: _Resolve) -> _Rule:
    return _Rule(kind, re.compile(needs), reach, re.compile(pattern, re.IGNORECASE), resolve)


_LEADS = "in|since|by|until|till|during|from|of|to|through|before|after|for|and|throughout"
_RULES = (
    _rule("digits", r"\d{4}-", 0, r"(?<![\w/.-])(?P<t>\d{4}-\d\d-\d\d)(?![\d/]|-\d)", _by_iso),
    _rule(
        "digits",
        r"\d[/.]\d\d?[/.]\d",
        1,
        r"(?<![\w/.-])(?P<t>(?P<one>\d\d?)(?P<dot>[/.])(?P<other>\d\d?)(?P=dot)(?P<year>\d{4}|\d\d))(?![\w/]|[.-]\d)",
        _by_numbers,
    ),
    _rule(
        "month",
        r"\d",
        24,
        rf"(?<![\w.,-])(?P<t>{_OF_WEEK}(?:the{_SPACE})?(?P<day>{_DAY})(?:{_TO}(?P<until>{_DAY}))?"
        rf"(?:{_SPACE}(?:of{_SPACE})?|-)(?P<month>{_MONTH})(?:(?:,?{_SPACE}|-)(?P<year>{_YEAR}|(?<=-)\d\d){_AFTER_YEAR})?)",
        _on_date,
    ),
    _rule(
        "month",
        r"[a-z.][\s\u00a0]{1,3}(?:the[\s\u00a0]{1,3})?\d",
        32,
        rf"\b(?P<t>{_OF_WEEK}(?P<month>{_MONTH}){_SPACE}(?:the{_SPACE})?(?P<day>{_DAY})(?:{_TO}(?P<until>{_DAY}))?"
        rf"(?:,?{_SPACE}(?P<year>{_YEAR}){_AFTER_YEAR})?)",
        _on_date,
    ),
    _rule(
        "month",
        r"(?:1\d|20)\d\d",
        80,
        rf"\b(?P<t>{_PART}(?P<month>{_MONTH})(?:{_TO}(?P<to>{_MONTH}))?(?:{_SPACE}of)?,?{_SPACE}"
        rf"(?P<year>{_YEAR}){_AFTER_YEAR})",
        _in_month,
    ),
    _rule(
        "month",
        "from|between",
        0,
        rf"\b(?P<t>(?:from|between){_SPACE}{_MONTH}{_TO}{_MONTH})",
        _no_time,  # every year
    ),
    _rule(
        "month",
        rf"(?:{_LEADS})[\s\u00a0]",
        0,
        rf"\b(?:{_LEADS}){_SPACE}(?P<t>{_PART}(?:(?P<which>last|next|this){_SPACE})?(?P<month>{_MONTH}))(?!{_SPACE}\d)",
        _in_bare_month,
    ),
    _rule(
        "month",
        "early|mid|late|start|beginning|end|first|second|last|next|this",
        8,
        rf"\b(?P<t>(?:{_SOME_PART}|(?P<which>last|next|this){_SPACE})(?P<month>{_MONTH}))(?!{_SPACE}\d)",
        _in_bare_month,
    ),
    _rule(
        "digits",
        "spring|summer|autumn|fall|winter",
        0,
        rf"\b(?P<t>{_SEASON}(?:{_SPACE}of)?,?{_SPACE}(?P<year>{_YEAR}){_AFTER_YEAR})",
        _in_season,
    ),
    _rule(
        "digits",
        "quarter|q[1-4]",
        12,
        rf"\b(?P<t>(?:(?P<ordinal>first|second|third|fourth|[1-4](?:st|nd|rd|th)){_SPACE}quarter|q(?P<short>[1-4]))"
        rf"(?:{_SPACE}of)?,?{_SPACE}(?P<year>{_YEAR}){_AFTER_YEAR})",
        _in_quarter,
    ),
    _rule(
        "digits",
        "0['’]?s",
        40,
        rf"(?<![\w.,$€£-])(?P<t>{_PART}(?:(?P<decade>(?:1\d|20)\d0)['’]?s|(?:(?<=the\s)|(?<=-)|(?<=\s)['’])(?P<short>[2-9]0)s))\b",
        _in_decade,
    ),
    _rule(
        "century",
        "centur",
        90,
        rf"\b(?P<t>{_PART}(?P<ordinal>{_ORDINAL})(?:{_TO}(?:the{_SPACE})?(?P<until>{_ORDINAL}))?(?:{_SPACE}|-)"
        rf"(?:century|centuries)(?P<before>{_SPACE}b\.?c)?)\b",
        _in_century,
    ),
    _rule(
        "digits",
        r"(?:1\d|20)\d\d(?:\s?[-–—]|[\s\u00a0]{1,3}(?:to|and|until|till|through))",
        12,
        rf"(?<![\w.,$€£/-])(?P<t>(?:(?:from|between){_SPACE})?(?P<year>{_YEAR}){_TO}(?P<until>{_YEAR}|(?<=[-–—])\d\d))"
        rf"{_AFTER_YEAR}",
        _in_years,
    ),
    _rule(
        "era",
        r"ad|a\.d\.|ce|bc|b\.c\.",
        10,
        rf"\b(?P<t>(?-i:AD|A\.D\.){_SPACE}(?P<one>[1-9]\d{{0,3}})\b|(?P<other>[1-9]\d{{0,3}}){_SPACE}"
        rf"(?-i:AD|CE|A\.D\.|(?P<before>BCE?|B\.C\.))(?!\w))",
        _in_old_year,
    ),
    _rule(
        "digits",
        r"(?:1\d|20)\d\d",
        40,
        rf"(?<![\w$€£#@.,:/'’+=&-])(?:(?:pre|post)-)?(?P<t>{_PART}(?P<year>{_YEAR})){_AFTER_YEAR}",
        _in_year,
    ),
    _rule(
        "unit",
        "week|month|quarter|year|decade|century|night|morning|afternoon|evening",
        28,
        rf"\b(?P<t>(?:(?P<part>earlier|later|early|late){_SPACE})?(?P<which>this|last|next|(?:the{_SPACE})?past"
        rf"|the{_SPACE}last|the{_SPACE}next|the{_SPACE}coming){_SPACE}"
        r"(?P<unit>weekend|week|month|quarter|year|decade|century|night|morning|afternoon|evening))\b"
        rf"(?!{_SPACE}of\b)",
        _in_unit,
    ),
    _rule(
        "unit",
        "days|week|month|year|yrs|decades|centuries",
        40,
        rf"\b(?P<t>(?:(?:the|these){_SPACE})?(?P<side>last|past|recent|next|coming){_SPACE}(?:(?P<count>{_COUNT}){_SPACE})?"
        rf"(?P<unit>days|weeks|weekends|months|years|yrs|decades|centuries))\b(?!{_SPACE}of\b)",
        _within,
    ),
    _rule(
        "unit",
        r"ago|from[\s\u00a0]{1,3}now",
        48,
        rf"\b(?P<t>{_SOME}(?P<count>{_COUNT}){_SPACE}"
        rf"(?P<unit>(?:minute|hour|day|week|month|year|yr|decade|night)s?|century|centuries){_SPACE}(?P<side>ago|from{_SPACE}now))\b",
        _ago,
    ),
    _rule(
        "day",
        "today|tonight|yesterday|tomorrow",
        36,
        rf"\b(?P<t>(?P<far>the{_SPACE}day{_SPACE}(?:before|after){_SPACE}(?=yesterday|tomorrow))?"
        rf"(?:(?:earlier|later|early|late){_SPACE}(?=today))?(?P<word>today|tonight|yesterday|tomorrow))\b",
        _near,
    ),
    _rule(
        "weekday",
        "day",
        16,
        rf"\b(?P<t>(?:(?P<which>last|next|this|every|each|any|a|most){_SPACE})?(?P<weekday>{_WEEKDAY}))\b",
        _on_weekday,
    ),
    # Names, and what is so every week.
    _rule(
        "weekday",
        "mon|tue|wed|thu|fri|sat|sun",
        12,
        rf"\b(?P<t>(?:good|black|bloody|ash|palm|easter|shrove|whit|super|cyber|holy|maundy|fat|red|blue){_SPACE}{_WEEKDAY}"
        rf"|{_WEEKDAY}{_SPACE}(?:times|school|night{_SPACE}(?:live|football)|mail|telegraph|post|express|herald|the{_SPACE}13th)"
        rf"|(?:{_WEEKDAY}|{_SHORT_WEEKDAY})(?:{_DASH}|{_SPACE}(?:to|thru|through){_SPACE})(?:{_WEEKDAY}|{_SHORT_WEEKDAY})"
        r")\b",
        _no_time,
    ),
    _rule("day", "usa", 0, rf"\b(?P<t>usa{_SPACE}today)\b", _no_time),
)
# What begins with one of a few letters is found sooner than the edge of a word, for which the rules look themselves.
_AS_WRITTEN = (
    ("digits", re.compile(r"\d\d")),
    ("month", re.compile("|".join(form for name in _MONTHS for form in (name.title(), name.upper())))),
    ("weekday", re.compile("|".join(form for name in _WEEKDAY_NAMES for form in (name, name.upper())))),
)
_ERAS = ("AD", "CE", "BC", "A.D.", "B.C.")
_ERA = re.compile(r"\b(?:AD|CE|BC|A\.D\.|B\.C\.)")
_IN_SMALL_LETTERS = (
    ("day", ("today", "tonight", "tomorrow", "yesterday"), re.compile(r"\b(?:to(?:day|night|morrow)|yesterday)")),
    ("century", ("centur",), re.compile("centur")),
    (
        "unit",
        ("ago", "now", "this", "last", "next", "past", "recent", "coming"),
        re.compile(r"\b(?:ago|from\snow|this|last|next|past|recent|coming)\b"),
    ),
)
_AHEAD = re.compile(
    r"\b(?:will|won['’]t|shall|going\sto|(?:is|are)\s(?:to|due|scheduled|expected|set)|plans?\sto|may\snot|upcoming)\b"
    r"|['’]ll\b",
    re.IGNORECASE,
)
_WORD_BEFORE = re.compile(r"(?:\w+\.?|#)[\s\u00a0]{0,3}[(\[]?\Z")
_WORD_AFTER = re.compile(r"[\s\u00a0]{1,3}(\w+)")
_ADDRESS = re.compile(
    r"(?:[\s\u00a0]{1,3}[\w.]{1,20}){1,3}[\s\u00a0,]{1,3}(?:street|st|avenue|ave|road|rd|drive|blvd)\b", re.IGNORECASE
)
_SURE = frozenset(
    (
        *("in", "since", "during", "circa", "year", "c", "ca", "summer", "winter", "spring", "autumn"),
        *("throughout",),
    )
)
_LIKELY = frozenset(("by", "until", "till", "from", "to", "before", "after", "around", "about", "of", "and", "or"))
_NUMBERED = frozenset(
    (
        "#",
        *("section", "sections", "page", "pages", "p", "pp", "p.", "pp.", "no", "no.", "number", "numbers"),
        *("room", "flight", "route", "highway", "article", "chapter", "line", "model", "type", "report"),
        *("box", "suite", "resolution", "paragraph", "bus", "unit", "building", "isbn", "ref", "figure"),
        *("table", "version"),
    )
)
_AMOUNT = frozenset(
    (
        *("over", "nearly", "almost", "approximately", "some", "than", "up", "only", "exactly", "roughly"),
        *("total",),
    )
)
_COUNTED = frozenset(
    (
        *("people", "men", "women", "children", "percent", "per", "miles", "km", "feet", "ft", "metres"),
        *("meters", "kg", "tons", "tonnes", "dollars", "euros", "pounds", "rpm", "hp", "square", "cubic"),
        *("million", "billion", "thousand", "hundred", "different", "words", "times", "more", "other"),
        *("such", "mm", "cm", "m", "volts", "hz", "mhz"),
    )
)
_NO_PLURALS = frozenset(
    (
        *("was", "is", "has", "as", "its", "his", "this", "us", "thus", "towards", "besides", "perhaps"),
        *("always", "across", "does"),
    )
)
