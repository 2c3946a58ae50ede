from collections.abc import Sequence
from typing import Literal

from index.articles import Span
from service.citations import Quotation, part_of
from service.comparing import Compared, compare
from service.comparison import Comparison, Report


def _quote(n: int, text: str, source: str, start: int = 100) -> Quotation:
    return Quotation(
        **dict.fromkeys(("title", "source", "date", "url", "page", "before", "after")),
        id=f"{source}.1.{n}",
        quote=text,
        article_id=source,
        version=1,
        collection="default",
        link="",
        start_char=start,
        end_char=start + len(text),
        start_utf16=start,
        end_utf16=start + len(text),
    )


def _compared(
    n: int,
    text: str,
    source: str,
    part: str | None = None,
    *,
    says: Literal["yes", "no"] | None = None,
    reports: Report | None = None,
    weighs: bool = True,
    also: Sequence[str] = (),
) -> Compared:
    quote = _quote(n, text, source)
    at = 100 + text.index(part) if part else 0
    found = part_of(quote, Span(at, at + len(part))) if part else None
    return Compared(n, quote, found, says, reports, frozenset({source, *also}), weighs)


def _told(question: str, *compared: Compared) -> Comparison:
    told = compare(question, compared)
    assert told is not None
    return told


def test_of_nothing_nothing_is_said() -> None:
    assert compare("Who?", []) is None


def test_sources_are_counted_by_what_they_say() -> None:
    told = _told(
        "Did Iran send drones?",
        _compared(1, "Iran denies it.", "a", says="no"),
        _compared(2, "It did, said Kyiv.", "b", says="yes"),
        _compared(3, "It did, said London.", "c", says="yes"),
        _compared(4, "It rained.", "d"),
    )
    assert (told.verdict, told.summary) == ("contested", "1 source says no, 2 sources say yes.")
    assert [(side.says, side.citations, side.sources) for side in told.sides] == [("no", (1,), 1), ("yes", (2, 3), 2)]


def test_one_article_that_says_it_twice_is_one_source_and_places_count() -> None:
    twice = [_compared(n, "It did.", "a", says="yes") for n in (1, 2)]
    assert _told("Did it?", *twice).summary == "One source only."
    assert (
        _told("Did it?", *twice, _compared(3, "It did.", "a", says="yes", also=["b"])).summary == "2 sources say yes."
    )


def test_different_answers_of_different_sources_are_sides_and_the_same_answer_is_one() -> None:
    told = _told(
        "When was it built?",
        _compared(1, "It was built in 1856.", "a", "1856"),
        _compared(2, "Built 1900 by monks.", "b", "1900"),
        _compared(3, "In the year 1856 they built it.", "c", "in the year 1856"[7:]),
    )
    assert (told.verdict, told.summary) == ("differ", "2 different answers.")
    assert [(side.answer, side.citations, side.sources) for side in told.sides] == [
        ("1856", (1, 3), 2),
        ("1900", (2,), 1),
    ]
    assert all(side.says is None for side in told.sides)


def test_what_one_source_says_besides_is_no_other_answer() -> None:
    told = _told(
        "When was it built?",
        _compared(1, "It was built in 1856.", "a", "1856"),
        _compared(2, "It burned in 1900.", "a", "1900"),
    )
    assert (told.verdict, told.summary, len(told.sides)) == ("one_source", "One source only.", 1)


def test_a_sentence_that_hardly_answers_has_no_side_and_a_clause_is_no_answer_to_compare() -> None:
    told = _told(
        "Why was it built?",
        _compared(1, "It was built in 1856.", "a", "1856"),
        _compared(2, "Or in 1900.", "b", "1900", weighs=False),
        _compared(3, "Because the old one had burned down long ago.", "c", "the old one had burned down long ago"),
    )
    assert [side.citations for side in told.sides] == [(1,)]
    assert told.verdict == "unclear"
    assert told.summary == ""


def test_two_given_names_of_one_family_name_are_told_even_where_the_reader_saw_another_part() -> None:
    told = _told(
        "Who is Ukraine's foreign minister?",
        _compared(1, "Ukraine's Foreign Minister, Dmytro Kuleba, left.", "b", "Dmytro Kuleba"),
        _compared(2, "John Kuleba tweeted “Today I was called by Minister Josep Borrell.”", "a", "Josep Borrell"),
    )
    assert told.verdict == "differ"
    assert [side.answer for side in told.sides] == ["Dmytro Kuleba", "John Kuleba"]
    [names] = told.differences
    assert (names.kind, names.about) == ("name", "Kuleba")
    assert [(value.n, value.part.text, value.part.start_char) for value in names.values] == [
        (1, "Dmytro Kuleba", 100 + len("Ukraine's Foreign Minister, ")),
        (2, "John Kuleba", 100),
    ]


def test_numbers_of_what_was_asked_about_are_told_where_they_differ_and_others_are_not() -> None:
    cited = [
        _compared(1, "It shot down more than 300 drones and 5 tanks.", "a"),
        _compared(2, "Russia ordered 2,400 drones and 9 tanks.", "a"),
    ]
    [drones] = _told("How many drones?", *cited).differences
    assert (drones.kind, drones.about) == ("number", "drone")
    assert [(value.n, value.part.text) for value in drones.values] == [(1, "more than 300"), (2, "2,400")]
    assert _told("Who shot?", *cited).differences == ()


def test_quotes_of_which_one_denies_the_other_are_told_whole() -> None:
    cited = [_compared(1, "Prices rose.", "a"), _compared(2, "Prices fell.", "b")]
    told = compare("What about prices?", cited, [(1, 2)])
    assert told is not None
    assert (told.verdict, told.summary) == ("differ", "Sources differ.")
    assert [(value.n, value.part.text) for value in told.differences[0].values] == [
        (1, "Prices rose."),
        (2, "Prices fell."),
    ]


def test_denials_and_accusations_are_counted_where_no_yes_or_no_is_known() -> None:
    denied = [_compared(n, "He denies it.", source, reports="denial") for n, source in ((1, "a"), (2, "b"))]
    beside = _compared(3, "We sold some before.", "a", reports="statement")
    told = _told("Did he deny it?", *denied, beside)
    assert (told.verdict, told.summary) == ("agree", "2 sources report a denial.")
    assert [(side.reports, side.citations) for side in told.sides] == [("denial", (1, 2)), ("statement", (3,))]
    accused = _compared(4, "They blame him.", "c", reports="accusation")
    told = _told("Did he do it?", *denied, accused)
    assert (told.verdict, told.summary) == ("contested", "2 sources report a denial, 1 source reports an accusation.")
    assert all(side.says is None for side in told.sides)


def test_what_says_yes_or_no_goes_before_what_only_reports() -> None:
    told = _told(
        "Did he do it?",
        _compared(1, "He denies it.", "a", reports="denial", says="no"),
        _compared(2, "They blame him.", "b", reports="accusation"),
    )
    assert [(side.says, side.reports, side.citations) for side in told.sides] == [("no", None, (1,))]
