import datetime as dt
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from index.quotes import find_verbatim
from service.answering import Answer, Citation
from service.citations import Part
from service.plaintext import WIDTH, render_answer

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
