import textwrap
import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from index.articles import Span
from index.splitting import LONGEST_SENTENCE, group_sentences, split_paragraphs, split_sentences


def sentences(text: str) -> list[str]:
    return [span.of(text) for span in split_sentences(text)]


def paragraphs(text: str) -> list[str]:
    return [span.of(text) for span in split_paragraphs(text)]


def check_kept_apart(marked: str) -> None:
    """Check that a text splits where a "|" was put, and nowhere else."""
    wanted = [piece.strip() for piece in marked.split("|")]
    assert sentences(" ".join(wanted)) == wanted


# --- properties -------------------------------------------------------------------------------------------------

VOCABULARY = """
the minister said He The Kuleba Kyiv U.S. U.S Mr. Dr. Gen. J. K. I I'm p. 5 No. 3.5 $2.4bn 2022 a.m. Oct. 28 Inc. Ph.D.
e.g. etc. https://example.org/a.b?c=d! a.b@example.org (see Fig. 3.) Yahoo! … ... .... . ! ? ?! !!! : ; , — - – • * # ##
> | 1. 2. 3) (a) a. b. [1] [...] “ ” ‘ ’ " ' « » 「はい。」 你好。 什么？ ¿Qué? هل؟ नहीं। Привет. Straße e\u0301
👩\u200d👩\u200d👧 🏽 \u200b \ufeff _ ** :-) --- *** ==== \ufe0f é É ß ١٢ Ⅳ ² ½
"""
PIECES = st.sampled_from(VOCABULARY.split())
GAPS = st.sampled_from(
    [" "] * 12
    + [
        "",
        "  ",
        "\t",
        "\n",
        "\n",
        "\n\n",
        "\r\n",
        "\r",
        "\f",
        "\v",
        "\x1c",
        "\x85",
        "\u2028",
        "\u2029",
        "\xa0",
        "\u3000",
        "\n    ",
        " \n \n",
    ]
)
TEXTS = st.lists(st.tuples(PIECES, GAPS), max_size=60).map(lambda pairs: "".join(piece + gap for piece, gap in pairs))
WRAPPED_TEXTS = st.tuples(TEXTS, st.integers(40, 100)).map(lambda pair: textwrap.fill(pair[0], pair[1]))
ARTICLES = TEXTS | WRAPPED_TEXTS


@st.composite
def texts_with_bodies(draw: st.DrawFn) -> tuple[str, Span]:
    text = draw(ARTICLES.filter(lambda text: len(text) > 1))
    start = draw(st.integers(0, len(text) - 1))
    return text, Span(start, draw(st.integers(start + 1, len(text))))


@given(texts_with_bodies())
@example(("a1. b", Span(1, 5)))
def test_every_letter_and_digit_of_the_body_lies_in_exactly_one_sentence(case: tuple[str, Span]) -> None:
    text, body = case
    covered = [offset for span in split_sentences(text, body) for offset in range(span.start, span.end)]
    assert len(covered) == len(set(covered))
    assert {i for i in covered if text[i].isalnum()} == {i for i in range(body.start, body.end) if text[i].isalnum()}


@given(texts_with_bodies())
def test_sentences_keep_order_inside_the_body_and_never_overlap(case: tuple[str, Span]) -> None:
    text, body = case
    spans = split_sentences(text, body)
    assert all(body.covers(span) for span in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))


@given(texts_with_bodies())
def test_no_sentence_leaves_its_paragraph(case: tuple[str, Span]) -> None:
    text, body = case
    blocks = split_paragraphs(text, body)
    assert all(sum(block.covers(span) for block in blocks) == 1 for span in split_sentences(text, body))


@given(texts_with_bodies())
def test_no_span_begins_or_ends_with_white_space_and_no_sentence_is_without_letters(case: tuple[str, Span]) -> None:
    text, body = case
    for span in split_paragraphs(text, body):
        assert span.of(text) == span.of(text).strip() != ""
    for span in split_sentences(text, body):
        assert span.of(text) == span.of(text).strip()
        assert any(character.isalnum() for character in span.of(text))


@given(texts_with_bodies())
def test_paragraphs_leave_out_nothing_but_white_space(case: tuple[str, Span]) -> None:
    text, body = case
    blocks = split_paragraphs(text, body)
    assert all(a.end <= b.start for a, b in pairwise(blocks))
    inside = "".join(block.of(text) for block in blocks)
    assert "".join(inside.split()) == "".join(body.of(text).split())


@given(texts_with_bodies())
def test_what_lies_outside_the_body_changes_nothing(case: tuple[str, Span]) -> None:
    text, body = case
    alone = [span.of(body.of(text)) for span in split_sentences(body.of(text))]
    assert [span.of(text) for span in split_sentences(text, body)] == alone


@given(ARTICLES)
def test_no_sentence_is_longer_than_the_limit_by_more_than_one_character_drawn(text: str) -> None:
    for span in split_sentences(text * 40):
        assert len(span) <= LONGEST_SENTENCE + 10


@given(
    st.lists(
        st.sampled_from(["Kuleba spoke.", "Who asked?", "It ended!", "“Go,” he said.", "At 5 p.m. it began."]),
        min_size=1,
    )
)
def test_whole_sentences_are_found_again_however_they_are_laid_out(parts: list[str]) -> None:
    for separator in (" ", "\n", "\n\n", "\r\n", "\u2028", "  "):
        assert sentences(separator.join(parts)) == parts


# --- one sentence or two ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "marked",
    [
        "“I ask you to stop,” he wrote. | “These arms kill.” | Nobody replied.",
        '"We will come." | He left.',
        '"We will come." he said.',
        "“Why?” he asked. | “Because!” she cried.",
        "“Why now?” Mr. Kuleba asked the envoy. | The envoy left.",
        "“Is it over?” | The crowd cheered.",
        "He said: “I know. | I was there.” | Then he left.",
        "«Pourquoi ?» demanda-t-il. | Il partit.",
        "« Pourquoi ? » demanda-t-il. | « Parce que. » | Il partit.",
        "„Wir kommen.“ | Er ging.",
        "They read it . '' | He nodded .",
    ],
)
def test_a_quotation_may_end_a_sentence_or_stand_in_one(marked: str) -> None:
    check_kept_apart(marked)


@pytest.mark.parametrize(
    "marked",
    [
        "J. K. Rowling met Dwight D. Eisenhower and J.R.R. Tolkien. | They talked.",
        "It was you and I. | Did you meet Albert I. Jones?",
        "The size is n. | If it grows, we wait.",
        "The Saturn V. | It flew in 1967.",
        "The envoys, K. J. An and H. So, met P. Do in Seoul. | They talked.",
        "Mr. An met Gen. Mark A. Milley, Sen. Lee (R., Utah) and Prof. Dr. Meyer. | No deal came.",
    ],
)
def test_an_initial_or_a_title_belongs_to_the_name(marked: str) -> None:
    check_kept_apart(marked)


@pytest.mark.parametrize(
    "marked",
    [
        "The U.S. Army left the U.S. in May.",
        "They moved to the U.S. | The house was small.",
        "She lives in the U.K. | How about you?",
        "“I live in the U.S.” | He paused.",
        "Acme Inc. said so. | Shares of Acme Inc. | The firm declined.",
        "Acme Co. Chairman Ann Lee resigned.",
        "Sales by Acme, Bolt, etc. | Prices fell.",
        "P.S. I miss you.",
        "The sales rep. | Nobody else knew modern art. | Museums did.",
        "Foo Bhd. said it would sell, e.g. Mondays, vs. Bolt.",
    ],
)
def test_an_abbreviation_ends_a_sentence_only_before_a_word_that_opens_one(marked: str) -> None:
    check_kept_apart(marked)


@pytest.mark.parametrize(
    "marked",
    [
        "They met at 5 p.m. on Friday. | It ended at 6 p.m. | Officials left.",
        "At 5 a.m. Mr. Smith rose.",
        "It began at 10:30 a.m. EST and at 9 p.m. Monday.",
        "On Mon. Jan. 6 and on Sept. 5 he came. | That was in Dec. | Snow fell.",
    ],
)
def test_times_and_dates_end_a_sentence_only_before_another_capital(marked: str) -> None:
    check_kept_apart(marked)


@pytest.mark.parametrize(
    "marked",
    [
        "KYIV, Oct. 28 (Reuters) - Ukraine said it was ready. | Iran denied it.",
        "WASHINGTON, D.C. — The senate met.",
        "The rate rose to 3.5% from 2.25. | It had been $1.50.",
        "See No. 5, p. 55, Fig. 3 and Vol. II. | No. | We did not.",
        "Visit https://example.org/a.b?c=d!e. | Mail to a.b@example.org. | Thanks.",
        "Ask at N°. 1026.253.553. | It is there.",
        "The law (passed in 2019.) is dead. | (He left early.) | She stayed.",
        "He works (see below) here.[12] | The rest left.[note 3] | It ended.",
        "Profits at Yahoo! in Sunnyvale rose. | Wow! | They did.",
        "What?! | Really?? | Yes!! | Good.",
        "He waited... and left. | They came... | Nobody spoke.",
        "Nice people... I hear they moved.",
        "“…He also asked them,” it said.",
        "He said [...] it was over.",
        "We left it. | . . . The end was near. . . .",
        "This is great. :) | Many thanks.",
    ],
)
def test_a_full_stop_inside_a_sentence_does_not_end_it(marked: str) -> None:
    check_kept_apart(marked)


def test_full_stops_of_other_scripts_need_no_space() -> None:
    assert sentences("他说完了。“你好！”我们走吧？好") == ["他说完了。", "“你好！”", "我们走吧？", "好"]
    assert sentences("彼は「はい。」と言った。次です。") == ["彼は「はい。」と言った。", "次です。"]
    assert sentences("هل هذا صحيح؟ نعم.") == ["هل هذا صحيح؟", "نعم."]
    assert sentences("यह पहला है। यह दूसरा है॥") == ["यह पहला है।", "यह दूसरा है॥"]


@pytest.mark.parametrize(  # From the golden rules of the Pragmatic Segmenter (MIT).
    "marked",
    [
        "Let's ask Jane and co. | They should know.",
        "I work for the U.S. Government in Virginia.",
        "At 5 a.m. Mr. Smith went to the bank. | He left the bank at 6 P.M. | Mr. Smith then went to the store.",
        "1.) The first item | 2.) The second item",
        "a. The first item | b. The second item | c. The third list item",
        "I never meant that.... | She left the store.",
    ],
)
def test_golden_rules_hold(marked: str) -> None:
    check_kept_apart(marked)


# --- paragraphs -------------------------------------------------------------------------------------------------


def test_a_heading_without_a_full_stop_stands_alone() -> None:
    assert sentences("Ukraine to Iran: Stop\n\nHe spoke. She left.") == [
        "Ukraine to Iran: Stop",
        "He spoke.",
        "She left.",
    ]
    assert sentences("# The *news*\nHe spoke.") == ["The *news*", "He spoke."]


def test_a_numbered_item_keeps_its_number_and_a_bulleted_one_loses_its_bullet() -> None:
    assert sentences("1. Buy milk\n2. Go home. Sleep.\n- One\n* Two\n• Three") == [
        *("1. Buy milk", "2. Go home.", "Sleep.", "One", "Two", "Three"),
    ]


def test_a_table_row_stands_alone_in_wrapped_text_too() -> None:
    row = "| Kyiv | 2,952,301 |"
    assert row in paragraphs(f"{WRAPPED}\n{row}\n{WRAPPED}")


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\v", "\x85", "\u2028", "\u2029", "\f", "\x1c"])
def test_every_line_break_ends_a_paragraph_of_unwrapped_text(line_break: str) -> None:
    assert paragraphs(f"One line{line_break}another line") == ["One line", "another line"]


PARAGRAPH = (
    "The foreign minister of Ukraine said on Friday that he had received a phone call from Gen. Milley, who asked "
    "for patience. He told reporters that the talks would go on for as long as it takes, and that nobody should "
    "expect an end before the winter. “We shall see,” he added, “what the U.S. does.” Nobody else spoke that day."
)
WRAPPED = textwrap.fill(PARAGRAPH, 72)


@pytest.mark.parametrize("width", [45, 60, 72, 98])
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_wrapping_changes_no_sentence(width: int, line_break: str) -> None:
    wrapped = textwrap.fill(PARAGRAPH, width).replace("\n", line_break)
    text = f"Subject: talks{line_break * 2}{wrapped}{line_break * 2}{wrapped}"
    found = [" ".join(sentence.split()) for sentence in sentences(text)]
    assert found == ["Subject: talks", *sentences(PARAGRAPH) * 2]


def test_a_line_that_stops_at_a_small_word_goes_on() -> None:
    text = "They lost the town, the castle and the bridge in 1085, after the death of\nRobert."
    assert sentences(text) == [text]


def test_a_form_feed_ends_a_paragraph_of_wrapped_text_too() -> None:
    assert paragraphs(WRAPPED.replace("\n", "\f", 1)) == WRAPPED.split("\n", 1)


def test_a_short_line_ends_a_wrapped_paragraph_without_a_blank_line_after_it() -> None:
    assert paragraphs(f"{WRAPPED}\nAn afterword\n{WRAPPED}") == [WRAPPED, "An afterword", WRAPPED]


def test_headings_and_items_in_wrapped_text_are_not_joined() -> None:
    items = [
        "## A heading that is as long as the lines of the text below it, nearly",
        "and then the text",
        "- the first item is here and it happens to fill the whole of its line",
        "- the second item is a longer one that had to be wrapped because\n  of its length",
        "3. a third",
    ]
    assert paragraphs("\n\n".join([WRAPPED, "\n".join(items)])) == [WRAPPED, *items]


def test_one_sentence_per_line_is_not_taken_for_wrapping() -> None:
    lines = [*sentences(PARAGRAPH), "Nobody knows how it ends", "what he said was never written down", "It was late."]
    assert paragraphs("\n".join(lines)) == lines


def test_a_quoted_email_keeps_its_sentences_across_its_marks() -> None:
    quoted = textwrap.indent(WRAPPED, "> ")
    assert [sentence.replace("\n> ", " ") for sentence in sentences(quoted)] == sentences(PARAGRAPH)


# --- what has no end --------------------------------------------------------------------------------------------


def test_an_endless_sentence_is_cut_after_a_clause_or_else_between_words() -> None:
    clauses = sentences("Well, " + "some words that go on and on, " * 200)
    assert len(clauses) > 1
    assert all(piece.endswith(" on,") and len(piece) <= LONGEST_SENTENCE for piece in clauses)
    assert {word for piece in sentences("worded " * 2000) for word in piece.split()} == {"worded"}
    assert split_sentences("x" * 1500 + " tail") == [Span(0, 1500), Span(1501, 1505)]


@pytest.mark.parametrize("character", ["e\u0301", "नि", "x👩\u200d👩\u200d👧", "x👍🏽"])
def test_an_endless_word_is_cut_but_never_inside_a_drawn_character(character: str) -> None:
    for shift in range(len(character)):
        word = "y" * shift + character * 1000 + "z"
        pieces = sentences(word)
        assert "".join(pieces) == word
        assert len(pieces) > 1
        assert not any(unicodedata.category(piece[0]).startswith("M") for piece in pieces)
        assert not any(piece[0] in "\u200d🏽" or piece[-1] == "\u200d" for piece in pieces)


@pytest.mark.parametrize("unit", ["word and ", "word", ".", "\n", " ", '"', "“a ", "> "])
def test_five_megabytes_without_a_sentence_take_seconds(unit: str) -> None:
    assert seconds_for("a" + unit * (5_000_000 // len(unit))) < 20  # about 1 on a fast machine


@pytest.mark.parametrize(
    "unit",
    [
        ". ",
        "! ",
        'a."',
        "“He. ",
        "a. [",
        "e.g. ",
        "a.m.\tX",
        "a. 2. ",
        "• x ",
        "| a ",
        "\u0301",
        "x\r\n",
        "。",
        '"A? ',
        "a" * 60 + "\n",
    ],
)
def test_half_a_megabyte_of_false_ends_takes_seconds(unit: str) -> None:
    assert seconds_for("1. " + unit * (500_000 // len(unit))) < 20  # about 1, and what is quadratic takes hours


def seconds_for(text: str) -> float:
    began = time.perf_counter()
    split_sentences(text)
    return time.perf_counter() - began


# --- passages ---------------------------------------------------------------------------------------------------

LENGTHS = st.lists(st.integers(0, 40), max_size=60)


@given(LENGTHS, st.integers(1, 60), st.integers(0, 5))
def test_passages_cover_every_sentence_fit_the_window_and_never_nest(
    lengths: list[int], window: int, overlap: int
) -> None:
    ranges = group_sentences(lengths, window=window, overlap=overlap)
    assert {i for first, last in ranges for i in range(first, last)} == set(range(len(lengths)))
    assert all(sum(lengths[first:last]) <= window or last - first == 1 for first, last in ranges)
    assert all(a[0] < b[0] <= a[1] < b[1] for a, b in pairwise(ranges))


@given(LENGTHS, st.integers(1, 60), st.integers(0, 5))
def test_a_passage_cannot_be_extended_nor_share_more(lengths: list[int], window: int, overlap: int) -> None:
    ranges = group_sentences(lengths, window=window, overlap=overlap)
    assert all(sum(lengths[first : last + 1]) > window for first, last in ranges if last < len(lengths))
    for (before, end), (first, _) in pairwise(ranges):
        shared_enough = end - first == overlap or first == before + 1
        assert shared_enough or sum(lengths[first - 1 : end + 1]) > window


def test_neighbouring_passages_share_the_overlap() -> None:
    assert group_sentences([10] * 7, window=40, overlap=1) == [(0, 4), (3, 7)]
    assert group_sentences([10, 10, 99, 10], window=20, overlap=1) == [(0, 2), (2, 3), (3, 4)]
    assert group_sentences([], window=20, overlap=1) == []


@pytest.mark.parametrize(("lengths", "window", "overlap"), [([1], 0, 0), ([1], 5, -1), ([-1], 5, 0)])
def test_passages_of_impossible_sizes_are_refused(lengths: list[int], window: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="no passages"):
        group_sentences(lengths, window=window, overlap=overlap)
