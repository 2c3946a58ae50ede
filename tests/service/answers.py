"""Answers whose sources differ, made by hand, with all that is said of them."""

import datetime as dt
from dataclasses import replace

from index.speakers import Kind
from service.answering import Answer, Citation
from service.citations import Part, Quotation
from service.comparison import AskedTime, Comparison, Difference, Said, Side, Time, Value

SEPTEMBER = (dt.date(2022, 9, 1), dt.date(2022, 9, 30))


def part(text: str, start: int = 0) -> Part:
    return Part(text, start, start + len(text), start, start + len(text))


def said(
    speaker: str, kind: Kind = "says", *, named: str | None = None, via: str | None = None, quoted: bool = False
) -> Said:
    return Said(part(speaker), part(named) if named else None, part("said"), kind, quoted, part(via) if via else None)


def place(article_id: str, title: str, source: str, date: dt.date | None, url: str | None = None) -> Quotation:
    """Return where else the same is written."""
    return Quotation(
        id=f"{article_id}.1.0-9",
        quote="The same.",
        article_id=article_id,
        version=1,
        collection="default",
        title=title,
        source=source,
        date=date,
        url=url,
        link=f"{url or f'http://here/articles/{article_id}/view'}#:~:text=The%20same.",
        page=None,
        start_char=0,
        end_char=9,
        start_utf16=0,
        end_utf16=9,
        before=None,
        after=None,
    )


def cited(n: int, quote: str, where: Quotation, answers: str = "", **facts: object) -> Citation:
    """Return a citation of `quote`, which stands first in an article. answers: its words that answer."""
    usual = {name: getattr(where, name) for name in Quotation.__dataclass_fields__}
    usual |= {"id": f"{where.article_id}.1.0-{len(quote)}", "quote": quote}
    usual |= {"end_char": len(quote), "end_utf16": len(quote.encode("utf-16-le")) // 2}
    usual |= {"n": n, "score": 1 - n / 10, "part": part(answers, quote.index(answers)) if answers else None}
    return Citation(**{**usual, **facts})


_REUTERS = place("one", "Iran and the war", "Reuters", dt.date(2022, 10, 28), "https://example.org/one")
_IRNA = place("two", "The minister on arms", "IRNA", dt.date(2022, 10, 20))
_POST = place("three", "Kyiv counts drones", "Kyiv Post", dt.date(2022, 11, 2))
_WEATHER = place("four", "The weather", "BBC", dt.date(2022, 11, 2))

# A question for yes or no, with a time; two sides, a sentence of neither, and a weak one; all that can be said of them.
CONTESTED = Answer(
    question="Did Iran deny sending drones last month?",
    understood=None,
    verdict="answered",
    probability=0.93,
    reason="The first sentence is likely to answer.",
    citations=(
        cited(
            1,
            "Iran denies sending any weaponry, including drones, to Russia.",
            _REUTERS,
            "denies sending any weaponry",
            says="yes",
            attribution=said("Iran", "denies", via="IRNA"),
            places=(
                place("afp", "Tehran rejects claims", "AFP", dt.date(2022, 10, 29), "https://example.org/afp"),
                place("guardian", "No weapons for Russia", "Guardian", dt.date(2022, 10, 29)),
                place("update", "Iran and the war, updated", "Reuters", dt.date(2022, 10, 30)),
                place("again", "Iran and the war, again", "Reuters", None),
            ),
        ),
        cited(
            2,
            "“We have exported weapons to Russia, but not during the war”, he said last month.",
            _IRNA,
            says="no",
            before="The minister spoke on state television.",
            attribution=said("he", named="Hossein Amirabdollahian", via="state television", quoted=True),
            times=(Time(part("last month", 70), *SEPTEMBER),),
        ),
        cited(
            3,
            "Its policy is “not to send weapons”, the ministry said on Friday.",
            _REUTERS,
            says="yes",
            attribution=said("the ministry", named="the ministry of Iran"),
            times=(Time(part("on Friday"), dt.date(2022, 10, 28), dt.date(2022, 10, 28)),),
        ),
        cited(4, "Ukraine says that 2,400 drones were ordered.", _POST, attribution=said("Ukraine", "accuses")),
        cited(5, "It rained.", _WEATHER, score=0.02),
    ),
    nearest=(),
    generation=7,
    comparison=Comparison(
        "contested",
        "2 sources say yes, 1 source says no.",
        (Side((1, 3), "yes", None, 2), Side((2,), "no", None, 1)),
        (
            Difference("number", "drones", (Value(4, part("2,400")), Value(1, part("more than 300")))),
            Difference("name", "minister", (Value(2, part("Amirabdollahian")), Value(1, part("Amir-Abdollahian")))),
            Difference("statement", "", (Value(1, part("Iran denies")), Value(2, part("We have exported")))),
        ),
    ),
    time=AskedTime("last month", *SEPTEMBER),
    age="The newest of these is from 2 November 2022.",
)

# A question for a name, with two.
TWO_NAMES = Answer(
    question="Who is Ukraine's foreign minister?",
    understood=None,
    verdict="answered",
    probability=0.9,
    reason="The first sentence is likely to answer.",
    citations=(
        cited(1, "Dmytro Kuleba, the foreign minister, said so.", _REUTERS, "Dmytro Kuleba"),
        cited(2, "John Kuleba, Ukraine's foreign minister, spoke.", _IRNA, "John Kuleba"),
    ),
    nearest=(),
    generation=7,
    comparison=Comparison(
        "differ",
        "2 different answers.",
        (Side((1,), None, "Dmytro Kuleba", 1), Side((2,), None, "John Kuleba", 1)),
        (
            Difference(
                "name", "foreign minister", (Value(1, part("Dmytro Kuleba")), Value(2, part("John Kuleba", 100)))
            ),
        ),
    ),
)


def told_with(evil: str) -> Answer:
    """Return an answer in which all words that are an article's, but for the quotes, are `evil`."""
    sides = (Side((1, 3), None, evil, 2), Side((2,), None, f"{evil} x", 1))
    values = (Value(2, part(evil)), Value(1, part(f"{evil} x")))
    citations = tuple(
        replace(
            one,
            says=None,
            title=evil,
            source=evil,
            attribution=said(evil, "denies", named=f"{evil} x", via=evil),
            times=(Time(part(evil), *SEPTEMBER),),
            places=(replace(_WEATHER, title=evil, source=evil),),
        )
        for one in CONTESTED.citations
    )
    comparison = Comparison("differ", "2 different answers.", sides, (Difference("name", evil, values),))
    return replace(
        CONTESTED, citations=citations, comparison=comparison, time=AskedTime(evil, None, dt.date(2022, 2, 23))
    )
