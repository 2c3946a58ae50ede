import datetime as dt
from dataclasses import replace

from service.answering import Answer, Citation
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
)
ANSWER = Answer("Did it rain?", "answered", 0.81, "The first sentence is likely to answer.", (CITATION,), (), 7)


def test_an_answer_is_its_quotes_with_where_they_stand() -> None:
    assert render_answer(ANSWER) == (
        "1 sentence from 1 article; the first answers (probability 0.81).\n"
        "\n"
        "[1] It rained.\n"
        "    The weather · Reuters · 2022-10-28 · page 3 · score 0.81\n"
        "    a.1.0-10\n"
    )


def test_where_nothing_answers_the_nearest_are_shown_as_what_they_are() -> None:
    answer = replace(ANSWER, verdict="unanswered", probability=0.1, citations=(), nearest=(CITATION,))
    assert render_answer(answer).startswith(
        "Nothing here answers that (probability 0.10).\n\nNearest, but not an answer:\n\n -  It rained.\n"
    )


def test_a_quote_is_never_wrapped_and_all_else_is() -> None:
    long = replace(CITATION, quote="word " * 60 + "end.", title="title " * 40)
    lines = render_answer(replace(ANSWER, citations=(long,))).splitlines()
    assert f"[1] {long.quote}" in lines
    assert all(len(line) <= WIDTH for line in lines if long.quote not in line)


def test_an_article_cannot_steer_the_terminal() -> None:
    evil = replace(CITATION, quote="\x1b[2J\x1b]0;owned\x07 gone\u202e.", title="\x9b31m red")
    text = render_answer(replace(ANSWER, citations=(evil,)))
    assert "␛[2J␛]0;owned␇ gone." in text
    assert all(character.isprintable() or character == "\n" for character in text)
