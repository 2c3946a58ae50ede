import datetime as dt
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from index.quotes import find_verbatim
from service.answering import Answer, Citation
from service.citations import Part
from service.plaintext import WIDTH, render_answer
from tests.service.answers import CONTESTED, TWO_NAMES, told_with

CITATION = Citation(
    id="a.1.0-10",
    n=1,
    quote="It rained.",
    article_id="a",
    version=1,
    collection="default",
    title="The weather",
    source="Reuters",
    date=dt.date(2022, 10, 28),
    url=None,
    link="http://here/articles/a/text#:~:text=It%20rained.",
    page=3,
    start_char=0,
    end_char=10,
    start_utf16=0,
    end_utf16=10,
    before=None,
    after="It poured.",
    score=0.81,
    part=Part("rained", 3, 9, 3, 9),
)
ANSWER = Answer("Did it rain?", None, "answered", 0.81, "The first sentence is likely to answer.", (CITATION,), (), 7)


def test_an_answer_is_its_quotes_with_where_they_stand() -> None:
    assert render_answer(ANSWER) == (
        "1 sentence from 1 article; the first answers (probability 0.81).\n"
        "\n"
        "[1] It rained.\n"
        "    The weather · Reuters · 2022-10-28 · page 3 · score 0.81\n"
        "    a.1.0-10\n"
    )


def test_where_nothing_answers_the_nearest_are_shown_as_what_they_are() -> None:
    reason = "Nothing here answers that: nothing is about it."
    answer = replace(ANSWER, verdict="unanswered", probability=0.1, reason=reason, citations=(), nearest=(CITATION,))
    assert render_answer(answer).startswith(
        "Nothing here answers that: nothing is about it (probability 0.10).\n"
        "\nNearest, but not an answer:\n\n -  It rained.\n"
    )
    assert render_answer(replace(answer, nearest=())) == f"{reason}\n"


def test_a_quote_is_never_wrapped_and_all_else_is() -> None:
    long = replace(CITATION, quote="word " * 60 + "end.", title="title " * 40)
    lines = render_answer(replace(ANSWER, citations=(long,))).splitlines()
    assert f"[1] {long.quote}" in lines
    assert all(len(line) <= WIDTH for line in lines if long.quote not in line)


def test_a_question_that_was_understood_as_another_is_shown_so() -> None:
    lines = render_answer(replace(ANSWER, understood="Did it rain in Kyiv?")).splitlines()
    assert lines[1:3] == ["Understood as: Did it rain in Kyiv?", ""]
    long = replace(ANSWER, understood="Did it rain " * 20 + "\x1b[2J?")
    assert all(len(line) <= WIDTH and "\x1b" not in line for line in render_answer(long).splitlines())


@given(st.text(st.sampled_from("ab1.’ \n\r\t\v\u2028é"), min_size=1).filter(lambda text: any(map(str.isalnum, text))))
def test_a_quote_is_one_line_and_what_is_copied_from_it_is_still_word_for_word(quote: str) -> None:
    [line] = render_answer(replace(ANSWER, citations=(replace(CITATION, quote=quote),))).split("\n")[2:-3]
    assert find_verbatim(line.removeprefix("[1] "), quote) is not None


def test_no_line_of_an_article_passes_for_a_citation() -> None:
    evil = replace(CITATION, quote="It rained.\n[2] It snowed.", title="The\r\n[3] weather\u2028[4]")
    lines = render_answer(replace(ANSWER, citations=(evil,))).splitlines()
    assert [line for line in lines if line.startswith("[")] == ["[1] It rained. [2] It snowed."]


def test_an_article_cannot_steer_the_terminal() -> None:
    evil = replace(CITATION, quote="\x1b[2J\x1b]0;owned\x07 gone\u202e.", title="\x9b31m red")
    text = render_answer(replace(ANSWER, citations=(evil,)))
    assert "␛[2J␛]0;owned␇ gone." in text
    assert all(character.isprintable() or character == "\n" for character in text)


# What sources say beside each other


def test_sides_speakers_times_and_places_stand_beside_the_quotes() -> None:
    assert render_answer(CONTESTED) == (
        "5 sentences from 4 articles; the first answers (probability 0.93).\n"
        "Asked about: last month = September 2022\n"
        "2 sources say yes, 1 source says no.\n"
        "Numbers differ (drones): 2,400 [4], more than 300 [1]\n"
        "Names differ (minister): Amirabdollahian [2], Amir-Abdollahian [1]\n"
        "Opposite statements: [1] and [2]\n"
        "The newest of these is from 2 November 2022.\n"
        "\n"
        "-- Yes · 2 sources\n"
        "\n"
        "[1] Iran denies sending any weaponry, including drones, to Russia.\n"
        "    Iran and the war · Reuters · 2022-10-28 · score 0.90\n"
        "    denied by Iran, according to IRNA\n"
        "    https://example.org/one\n"
        "    also in: Tehran rejects claims · AFP · 2022-10-29\n"
        "             https://example.org/afp\n"
        "    also in: No weapons for Russia · Guardian · 2022-10-29\n"
        "             guardian.1.0-9\n"
        "    also in: Iran and the war, updated · Reuters · 2022-10-30\n"
        "             update.1.0-9\n"
        "    and 1 more\n"
        "\n"
        "[3] Its policy is “not to send weapons”, the ministry said on Friday.\n"
        "    Iran and the war · Reuters · 2022-10-28 · score 0.70\n"
        "    said by the ministry (the ministry of Iran) · on Friday = 28 October 2022\n"
        "    https://example.org/one\n"
        "\n"
        "-- No · 1 source\n"
        "\n"
        "[2] “We have exported weapons to Russia, but not during the war”, he said last month.\n"
        "    The minister on arms · IRNA · 2022-10-20 · score 0.80\n"
        "    said by Hossein Amirabdollahian, according to state television · last month\n"
        "      = September 2022\n"
        "    two.1.0-81\n"
        "\n"
        "-- Unclear\n"
        "\n"
        "[4] Ukraine says that 2,400 drones were ordered.\n"
        "    Kyiv counts drones · Kyiv Post · 2022-11-02 · score 0.60\n"
        "    an accusation by Ukraine\n"
        "    three.1.0-44\n"
        "\n"
        "[5] It rained.\n"
        "    The weather · BBC · 2022-11-02 · score 0.02\n"
        "    four.1.0-10\n"
    )


def test_answers_with_other_words_stand_apart_under_them() -> None:
    lines = render_answer(TWO_NAMES).splitlines()
    assert lines[1:3] == ["2 different answers.", "Names differ (foreign minister): Dmytro Kuleba [1], John Kuleba [2]"]
    assert [line for line in lines if line.startswith("--")] == [
        "-- Dmytro Kuleba · 1 source",
        "-- John Kuleba · 1 source",
    ]


@given(
    st.lists(st.sampled_from(["[9] x", "-- y · 2 sources", "\n", "\x1b[2J", "\u202e", "word ", "w" * 90]), min_size=1)
)
def test_what_is_said_of_quotes_is_ours_whatever_the_articles_words_are(evil: list[str]) -> None:
    lines = render_answer(told_with("x " + "".join(evil))).splitlines()
    assert all(character.isprintable() for line in lines for character in line)
    assert [line[:4] for line in lines if line.startswith("[")] == ["[1] ", "[3] ", "[2] ", "[4] ", "[5] "]
    assert [line[:4] for line in lines if line.startswith("--")] == ["-- x", "-- x", "-- O"]
    # All else that is an article's stands further in.
    known = ("5 sentences", "Asked about", "2 different", "Names differ", "The newest", "[", "-- ", " ")
    assert all(line.startswith(known) for line in lines if line)


# Colour


def _at(offset: int, quote: str, start: int, end: int) -> Citation:
    """Return a citation of `quote`, which begins at `offset` of its article, and whose part is `[start, end)` of it."""
    part = Part(quote[start:end], offset + start, offset + end, 0, 0)
    return replace(CITATION, quote=quote, start_char=offset, end_char=offset + len(quote), part=part)


def test_the_words_that_answer_are_bold_where_colour_is_wanted_and_only_there() -> None:
    answer = replace(ANSWER, citations=(_at(7, "It rained all day.", 3, 9), replace(CITATION, part=None)))
    assert "[1] It \x1b[1mrained\x1b[0m all day.\n" in render_answer(answer, color=True)
    assert "[1] It rained.\n" in render_answer(answer, color=True)
    assert "\x1b" not in render_answer(answer)


@given(st.text(st.sampled_from("ab \n\x1b[1m0\x9b\x07\u202e🚀"), min_size=1), st.integers(0, 9), st.data())
def test_without_its_colour_text_is_what_it_is_in_plain(quote: str, offset: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(quote) - 1))
    answer = replace(ANSWER, citations=(_at(offset, quote, start, data.draw(st.integers(start + 1, len(quote)))),))
    plain, colored = render_answer(answer), render_answer(answer, color=True)
    # What steers the terminal is ours alone: one beginning, one end.
    assert "\x1b" not in plain
    assert (colored.count("\x1b"), colored.count("\x1b[1m"), colored.count("\x1b[0m")) == (2, 1, 1)
    assert colored.replace("\x1b[1m", "").replace("\x1b[0m", "") == plain
