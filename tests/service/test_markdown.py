import datetime as dt
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin

from service.answering import Answer, Citation, Verdict
from service.citations import Part
from service.markdown import MOST_NEAREST, destination, escape, marks_in, quotes_in, render_markdown
from tests.service.answers import CONTESTED, TWO_NAMES, told_with

QUOTE = "Iran denies sending any weaponry, including drones, to Russia."
LINK = "https://example.org/a#:~:text=Iran%20denies"

# What some renderer makes something of, and what breaks words into pieces of it.
NASTY = st.lists(
    st.sampled_from(
        [
            *"*_`[]()<>|#&~$\\!^={}-+:.\"'@/ \t\n",
            *("a", "b1", "é", "Ж", "語", "🚀", "\u0301", "\u00a0", "\u202e", "\x1b", "\x7f", "1.", "2)", "**", "__"),
            *(
                "[[1]](x)",
                "[x]: http://e.org",
                "![i](http://e.org/i.png)",
                "<b>",
                "</details>",
                "<think>",
                "<!--",
                "-->",
            ),
            *(
                "https://e.org/a_b",
                "HTTP://E.ORG",
                "www.e.org",
                "me@e.org",
                "mailto:me@e.org",
                "ftp://e.org",
                "//e.org",
            ),
            *(
                "&amp;",
                "&#42;",
                "&copy",
                "$$",
                "\\(",
                "\\[",
                "\\]",
                "\\pu{",
                "{{user}}",
                ":::",
                ":dir[x]",
                "[^1]",
                "[!NOTE]",
            ),
            *(
                "---",
                "===",
                "~~~",
                "```",
                "| a |",
                "|-|",
                "- [ ] ",
                "> ",
                "    ",
                "http",
                "s://",
                "www",
                "e.org",
                "@",
                "$1 $",
            ),
        ]
    ),
    min_size=1,
    max_size=12,
).map("".join)
ANY = st.one_of(NASTY, st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))


def _citation(quote: str = QUOTE, **facts: Any) -> Citation:  # noqa: ANN401 - whatever a field holds
    usual = Citation(
        id="a.1.0-62",
        quote=quote,
        article_id="a",
        version=1,
        collection="",
        title="War in Ukraine",
        source="Reuters",
        date=dt.date(2022, 10, 28),
        url="https://example.org/a",
        link=LINK,
        page=None,
        start_char=100,
        end_char=100 + len(quote),
        start_utf16=100,
        end_utf16=100 + len(quote),
        before=None,
        after=None,
        n=1,
        score=0.9,
        part=None,
    )
    return replace(usual, **facts)


def _answer(*citations: Citation, verdict: Verdict = "answered", **facts: Any) -> Answer:  # noqa: ANN401 - as above
    shown, nearest = ((), citations) if verdict == "unanswered" else (citations, ())
    reason = "Nothing here answers that: nothing is about it."
    usual = Answer("Who?", None, verdict, 0.9, reason, shown, nearest, 1)
    return replace(usual, **facts)


def _text(answer: Answer, *, perhaps: float = 0.2) -> str:
    return "".join(piece.text for piece in render_markdown(answer, perhaps=perhaps))


def _with_part(quote: str, start: int, end: int) -> Citation:
    return _citation(quote, part=Part(quote[start:end], 100 + start, 100 + end, 100 + start, 100 + end))


# CommonMark with what GFM and frontends add: tables, struck out words, bare addresses, footnotes, formulas.
# markdown-it's own depth; that of its preset, 20, is used up by a paragraph of as many brackets that are never closed.
_RENDERER = MarkdownIt("gfm-like", {"maxNesting": 100}).use(dollarmath_plugin, double_inline=True).use(footnote_plugin)


def _plain(text: str) -> str:
    """Return what a reader is to see of `text`: one space for all white space, control characters as pictures."""
    readable = "".join(one for one in text if not ("\u202a" <= one <= "\u202e" or "\u2066" <= one <= "\u2069"))
    pictures = {**{code: 0x2400 + code for code in range(32)}, 127: 0x2421, **dict.fromkeys(range(128, 160), 0xFFFD)}
    return " ".join(readable.split()).translate(pictures)


def _inline(markdown: str) -> list[list[Token]]:
    """Return the inline tokens of each block; a bare domain, which GFM does not make a link of, is text."""
    blocks = []
    for token in _RENDERER.parse(markdown):
        if token.type != "inline":
            continue
        tokens: list[Token] = []
        bare = False
        for one in token.children or []:
            if one.info == "auto":
                bare = one.nesting == 1
                address = str(one.attrs.get("href", "http://e.org"))
                assert re.match(r"http://[^/@]", address), f"a link of an article's text: {address}"
                continue
            assert not bare or not re.match(r"\w+://|www\.", one.content, re.IGNORECASE), one.content
            tokens.append(one)
        blocks.append(tokens)
    return blocks


def _shown(tokens: list[Token]) -> str:
    return "".join(" " if one.type in ("softbreak", "hardbreak") else one.content for one in tokens)


_VERDICTS: tuple[Verdict, ...] = ("answered", "unanswered")
_OURS = {
    *("paragraph_open", "paragraph_close", "blockquote_open", "blockquote_close", "inline"),
    *("text", "text_special", "code_inline", "strong_open", "strong_close", "link_open", "link_close"),
}


def _check(markdown: str, quotes: list[str], links: list[str]) -> list[list[Token]]:
    """Check that a text shows those quotes, those links, and no element but ours; return the tokens of the quotes."""
    blocks = _RENDERER.parse(markdown)
    assert {token.type for token in blocks} <= _OURS, markdown
    inline = _inline(markdown)
    assert {token.type for tokens in inline for token in tokens} <= _OURS, markdown
    assert [str(one.attrs["href"]) for tokens in inline for one in tokens if one.type == "link_open"] == [
        _RENDERER.normalizeLink(link) for link in links
    ], markdown
    quoted = []
    depth = 0
    rows = iter(inline)
    for token in blocks:
        depth += token.nesting if token.type.startswith("blockquote") else 0
        if token.type == "inline":
            row = next(rows)
            if depth:
                quoted.append(row)
    assert len(quoted) == len(quotes), markdown
    for tokens, quote in zip(quoted, quotes, strict=True):
        at = [one.type for one in tokens].index("link_open")
        assert _shown(tokens[:at]) == f"{_plain(quote)} ", markdown
    return quoted


@given(ANY, ANY, ANY, st.one_of(st.none(), ANY), st.data())
@example("**(a)**b", "T", "S", None, None)
@example("[[1]](https://e.org) <script>alert(1)</script>", "# T", "[S](x)", "> b", None)
@examples(max_examples=150, deadline=None)
def test_nothing_that_an_article_holds_is_more_than_text(
    quote: str, title: str, source: str, before: str | None, data: st.DataObject | None
) -> None:
    quote = f"It {quote}"
    start = data.draw(st.integers(0, len(quote) - 1)) if data else 3
    end = data.draw(st.integers(start + 1, len(quote))) if data else len(quote)
    citation = replace(_with_part(quote, start, end), title=title, source=source, before=before)
    for one in (citation, replace(citation, quote=quote[3:] or "x", part=None)):
        for verdict in _VERDICTS:
            answer = _answer(one, verdict=verdict, understood=title)
            markdown = _text(answer)
            if not _plain(one.quote):
                continue
            _check(markdown, [one.quote], [LINK])
            assert quotes_in(markdown) == (_plain(one.quote),)


@examples(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(lambda path: f"https://e.org/{path}"))
@example("https://e.org/a_(b)#:~:text=x,-y&copy;")
@example("http://[::1]:8000/articles/a%20b/text#:~:text=x")
@example("https://e.org/a](javascript:alert(1))")
@example("https://e.org/\\) *a* `b` <c> \"d\" 'e'")
def test_a_link_leads_where_it_is_to_whatever_it_holds(link: str) -> None:
    markdown = _text(_answer(_citation(link=link)))
    [tokens] = _check(markdown, [QUOTE], [destination(link)])
    assert _shown(tokens).endswith(" [1]")
    assert destination(destination(link)) == destination(link)


def test_a_link_that_is_a_good_one_is_left_as_it_is() -> None:
    good = "https://example.org:8/a/b-c_d~e.html?q=1&r=%20#:~:text=Iran%20denies,to%20Russia"
    assert destination(good) == good


def test_an_answer_reads_like_this() -> None:
    first = _with_part(QUOTE, 5, 32)
    second = _citation("He said so.", n=2, score=0.5, before="The minister spoke on Monday.")
    other = _citation("So he did.", n=3, score=0.4, article_id="b", title=None, url=None, source=None, date=None)
    weak = _citation("It rained.", n=4, score=0.01)
    assert _text(_answer(first, second, other, weak, understood="What did Iran deny?")) == (
        "Understood as: What did Iran deny?\n"
        "\n"
        "2 sources answer this:\n"
        "\n"
        "War in Ukraine · Reuters · 2022-10-28\n"
        "\n"
        f"> Iran **denies sending any weaponry**, including drones, to Russia. [[1]]({LINK})\n"
        "\n"
        "(before it: The minister spoke on Monday.)\n"
        "\n"
        f"> He said so. [[2]]({LINK})\n"
        "\n"
        "b\n"
        "\n"
        f"> So he did. [[3]]({LINK})"
    )


def test_sides_speakers_times_and_places_stand_around_the_quotes() -> None:
    one, two = "https://example.org/one#:~:text=The%20same.", "http://here/articles/two/view#:~:text=The%20same."
    four = "http://here/articles/three/view#:~:text=The%20same."
    assert _text(CONTESTED) == (
        "Asked about: last month = September 2022\n"
        "\n"
        "2 sources say yes, 1 source says no.\n"
        "\n"
        "The newest of these is from 2 November 2022.\n"
        "\n"
        "**Yes · 2 sources**\n"
        "\n"
        "Iran and the war · Reuters · 2022-10-28\n"
        "\n"
        f"> Iran **denies sending any weaponry**, including drones, to Russia. [[1]]({one})\n"
        "\n"
        "(denied by Iran, according to IRNA; also in: Tehran rejects claims · AFP · 2022-10-29 "
        "[open](https://example.org/afp#:~:text=The%20same.); No weapons for Russia · Guardian · 2022-10-29 "
        "[open](http://here/articles/guardian/view#:~:text=The%20same.); Iran and the war, updated · Reuters · "
        "2022-10-30 [open](http://here/articles/update/view#:~:text=The%20same.); 1 more)\n"
        "\n"
        f"> Its policy is “not to send weapons”, the ministry said on Friday. [[2]]({one})\n"
        "\n"
        "(said by the ministry (the ministry of Iran); on Friday = 28 October 2022)\n"
        "\n"
        "**No · 1 source**\n"
        "\n"
        "The minister on arms · IRNA · 2022-10-20\n"
        "\n"
        f"> “We have exported weapons to Russia, but not during the war”, he said last month. [[3]]({two})\n"
        "\n"
        "(said by Hossein Amirabdollahian, according to state television; last month = September 2022)\n"
        "\n"
        "**Unclear**\n"
        "\n"
        "Kyiv counts drones · Kyiv Post · 2022-11-02\n"
        "\n"
        f"> Ukraine says that 2,400 drones were ordered. [[4]]({four})\n"
        "\n"
        "(an accusation by Ukraine)\n"
        "\n"
        f"Numbers differ (drones): 2,400 [[4]]({four}), more than 300 [[1]]({one})\n"
        "\n"
        f"Names differ (minister): Amirabdollahian [[3]]({two}), Amir-Abdollahian [[1]]({one})\n"
        "\n"
        f"Opposite statements: [[1]]({one}) and [[3]]({two})"
    )


def test_marks_are_numbered_as_they_come_and_each_has_one() -> None:
    for answer in (CONTESTED, TWO_NAMES):
        pieces = render_markdown(answer, perhaps=0.2)
        text = "".join(piece.text for piece in pieces)
        marks = list(marks_in(pieces))
        assert [mark.citation.n for mark in marks] == list(range(1, len(marks) + 1))
        for mark in marks:
            found = text[mark.start : mark.end]
            assert found == f"[[{mark.citation.n}]]({mark.citation.link})"
            assert text[: mark.start].rpartition("\n")[2].replace("*", "") == f"> {mark.citation.quote} "


def test_the_quotes_of_a_compared_answer_are_found_again_and_nothing_else() -> None:
    assert quotes_in(_text(CONTESTED)) == tuple(CONTESTED.citations[place].quote for place in (0, 2, 1, 3))
    assert quotes_in(_text(TWO_NAMES)) == tuple(one.quote for one in TWO_NAMES.citations)


def test_a_sentence_that_may_answer_is_called_that_beside_a_summary() -> None:
    assert _text(_answer(*TWO_NAMES.citations, verdict="perhaps", comparison=TWO_NAMES.comparison)).startswith(
        "This may answer. 2 different answers.\n\n"
    )


@given(ANY)
@example("[[9]](https://e.org) **b** `c`")
@example("> [[1]](x)")
@example("[[1]](x)![i](http://e.org/i.png)- [ ] [[1]](x)[[1]](x)")
@examples(max_examples=60, deadline=None)
def test_what_is_said_of_quotes_is_text_whatever_the_articles_words_are(evil: str) -> None:
    answer = told_with(f"x {evil}")
    markdown = _text(answer)
    shown = [answer.citations[place] for place in (0, 2, 1, 3)]
    links = [link for one in shown for link in (one.link, one.places[0].link)]
    _check(markdown, [one.quote for one in shown], [*links, shown[2].link, shown[0].link])
    assert quotes_in(markdown) == tuple(one.quote for one in shown)


def test_one_source_that_answers_and_one_that_may_are_called_that() -> None:
    assert _text(_answer(_citation())).startswith("1 source answers this:\n\n")
    assert _text(_answer(_citation(score=0.01), verdict="perhaps")).startswith("This may answer:\n\n")
    assert quotes_in(_text(_answer(_citation(score=0.01), verdict="perhaps"))) == (QUOTE,)


def test_where_nothing_answers_it_says_so_and_what_comes_nearest_is_no_citation() -> None:
    near = [_citation(f"It rained {place} times.", n=place) for place in range(1, 6)]
    pieces = render_markdown(_answer(*near, verdict="unanswered"), perhaps=0.2)
    text = "".join(piece.text for piece in pieces)
    assert text.startswith("Nothing here answers that: nothing is about it. Nearest:\n\nWar in Ukraine")
    assert quotes_in(text) == tuple(one.quote for one in near[:MOST_NEAREST])
    assert list(marks_in(pieces)) == []
    assert "[1]" not in text
    assert _text(_answer(verdict="unanswered")) == "Nothing here answers that: nothing is about it."


@examples(max_examples=30, deadline=None)
@given(st.lists(ANY, min_size=1, max_size=4))
def test_marks_stand_where_they_are_said_to(quotes: list[str]) -> None:
    citations = [_citation(f"a {quote}", n=place) for place, quote in enumerate(quotes, start=1)]
    pieces = render_markdown(_answer(*citations), perhaps=0)
    text = "".join(piece.text for piece in pieces)
    marks = list(marks_in(pieces))
    assert [mark.citation for mark in marks] == citations
    assert [text[mark.start : mark.end] for mark in marks] == [f"[[{one.n}]]({LINK})" for one in citations]


@pytest.mark.parametrize(
    ("quote", "part", "bold"),
    [
        ("It was (a)b then.", "(a)", "a"),
        ("He said “no”, twice.", "“no”,", "no"),
        ("unbelievable", "believ", "believ"),
        ("Ça a coûté 5 € hier.", "5 €", "5"),
        ("In cafe\u0301 it is.", "cafe\u0301", "cafe\u0301"),
        ("Ask me@e.org today.", "me@e.org", None),
        ("He won — so they say.", " — ", None),
        ("a*b*c", "b", "b"),
        ("戦争は終わった。", "終わった。", "終わった"),
    ],
)
def test_the_part_that_answers_is_bold_wherever_it_begins_and_ends(quote: str, part: str, bold: str | None) -> None:
    start = quote.index(part)
    [tokens] = _check(_text(_answer(_with_part(quote, start, start + len(part)))), [quote], [LINK])
    kinds = [token.type for token in tokens]
    if bold is None:
        assert "strong_open" not in kinds
        return
    assert _shown(tokens[kinds.index("strong_open") : kinds.index("strong_close")]) == bold


@pytest.mark.parametrize("line", ["- a", "+ a", "1. a", "12) a", "# a", "> a", "=== a", "::: a", "--- ", "#a"])
def test_no_line_begins_a_block_of_another_kind(line: str) -> None:
    _check(_text(_answer(_citation(line, title=line))), [line], [LINK])


def test_prose_is_left_as_it_is() -> None:
    prose = "“AT & T paid 5.50 (or 6) per cent; that's all,” he said – at 10:30, on 1/2/22, e.g. in the U.S. [sic!?"
    assert escape(prose) == prose


def test_open_webui_and_katex_find_nothing_of_theirs_in_what_an_article_holds() -> None:
    line = escape(r"<think>x</think> \[a\] \(b\) $1 $$2$$ {{user}} [1] [[2]](x) <|begin_of_thought|> \pu{1} <think a>")
    for theirs in ("<think", r"\[", r"\(", "{{", "[1]", "<|", r"\pu", "</think"):
        assert theirs not in line, theirs
    assert not re.search(r"(?<!\\)\$", line)
