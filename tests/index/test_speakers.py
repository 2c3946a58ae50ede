import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import get_args
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from index import speakers
from index.articles import Article, Span
from index.speakers import AFTER, BEFORE, Attribution, Kind, attribution_of
from index.splitting import split_sentences


def said(text: str, ordinal: int = 0) -> Attribution | None:
    return attribution_of(text, split_sentences(text), ordinal)


def shown(text: str, ordinal: int = 0) -> str:
    """Write who says a sentence as "speaker | verb | kind"; "nobody" where nobody does."""
    found = said(text, ordinal)
    return f"{found.speaker.of(text)} | {found.verb.of(text)} | {found.kind}" if found else "nobody"


def words(text: str, span: Span | None) -> str | None:
    return span.of(text) if span else None


# --- who says it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The company said on Friday that it had sold the mill.", "The company | said | says"),
        ("In a statement on Monday, the ministry said the mill was closed.", "the ministry | said | says"),
        ("The US has stated that the export could be a breach.", "The US | stated | says"),
        ("Ukraine has recently reported that it has shot down 300 drones.", "Ukraine | reported | says"),
        ("Russia's defence ministry said it had destroyed 30 drones.", "Russia's defence ministry | said | says"),
        ("Local officials said that at least 300 people died.", "Local officials | said | says"),
        ("Iran's President Ebrahim Raisi on Monday said it was late.", "Iran's President Ebrahim Raisi | said | says"),
        ("A senior official said on condition of anonymity that it was late.", "A senior official | said | says"),
        ("Two people familiar with it all said that it was late.", "nobody"),
        ("Two people familiar with the case said it was late.", "Two people familiar with the case | said | says"),
        ("Jane Roe, who runs the mill, said it was closed.", "Jane Roe | said | says"),
        ("Jane Roe, 45, a baker from Leeds, told the BBC that it was late.", "Jane Roe | told | says"),
        ("The prime minister, Jane Roe, said the mill would reopen.", "The prime minister, Jane Roe | said | says"),
        ("Jane Roe (Labour) said it was late.", "Jane Roe | said | says"),
        ("In a letter to the paper, Doe, Roe, and Poe said that it was late.", "Doe, Roe, and Poe | said | says"),
        ("According to Jane Roe, the mill is safe.", "Jane Roe | According to | says"),
        ("The mill is safe, according to the ministry's report.", "the ministry's report | according to | says"),
        ("A study by the institute found that mills are safe.", "A study by the institute | found | says"),
        ("Roe apologised, saying she had been wrong.", "Roe | saying | says"),
        ("The mill was sold, with critics saying that it was cheap.", "critics | saying | says"),
        ("Doe, Roe said, was a liar.", "Roe | said | says"),
        ("As Roe said, the mill was closed.", "Roe | said | says"),
        ("It was Roe who said that the mill was closed.", "Roe | said | says"),
        ("Roe left on Friday and said that she was ill.", "Roe | said | says"),
        ("The sale was announced by Jane Roe.", "Jane Roe | announced | says"),
        ("Asked about the mill, Roe said it would reopen.", "Roe | said | says"),
        ("Muqtada al-Sadr said the attack was wrong.", "Muqtada al-Sadr | said | says"),
    ],
)  # fmt: skip
def test_a_statement_is_the_subjects(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Iran denies sending any weaponry to Russia.", "Iran | denies | denies"),
        ("The ministry dismissed recent allegations that it had sold arms.", "The ministry | dismissed | denies"),
        ("The Kremlin rejected the accusations.", "The Kremlin | rejected | denies"),
        ("Those claims were denied by Iran.", "Iran | denied | denies"),
        ("Tehran called the accusations baseless.", "Tehran | called | denies"),
        ("Iran's denial of the sale surprised nobody.", "Iran | denial | denies"),
        ("Doe repeated Iran's denial of supplying weapons.", "Doe | repeated Iran's denial | denies"),
        ("Roe issued a statement denying the sale.", "Roe | denying | denies"),
        ("Ukraine accused Iran of sending drones.", "Ukraine | accused | accuses"),
        ("Ukraine and its allies blame Iran for the attack.", "Ukraine and its allies | blame | accuses"),
        ("Iran was accused by Ukraine of sending drones.", "Ukraine | accused | accuses"),
        ("Police alleged that Doe stole the car.", "Police | alleged | accuses"),
        ("Kuleba demanded that Iran stop sending weapons.", "Kuleba | demanded | asks"),
        ("The president called for calm.", "The president | called | asks"),
        ("Zelensky, speaking in Berlin, urged allies to send weapons.", "Zelensky | urged | asks"),
        ("Roe told the workers to go home.", "Roe | told | asks"),
        ("Roe asked whether the mill was closed.", "Roe | asked | asks"),
        ("The court ordered the company to pay.", "The court | ordered | asks"),
        ("Ukraine to Iran: Stop sending weapons to Russia", "Ukraine | : | asks"),
        ("Roe to Doe: We are late", "Roe | : | says"),
        ("Reuters could not confirm the report.", "Reuters | confirm | doubts"),
        ("The ministry has not confirmed the report.", "The ministry | confirmed | doubts"),
        ("Jane Roe questioned the claims.", "Jane Roe | questioned | doubts"),
        ("Roe is not sure whether the mill is safe.", "Roe | sure | doubts"),
        ("Experts doubt that the mill is safe.", "Experts | doubt | doubts"),
    ],
)  # fmt: skip
def test_a_denial_an_accusation_a_demand_and_a_doubt_are_told_apart(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "I said that the mill was closed.",
        "You said that the mill was closed.",
        "It is said that the mill is haunted.",
        "The mill, said to be haunted, was closed.",
        "The said mill was closed.",
        "The reported sale never took place.",
        "Doe allegedly stole the car.",
        "Iran was accused of sending drones.",
        "Roe never said that the mill was closed.",
        "Roe did not deny selling the mill.",
        "Roe refused to comment.",
        "Roe declined to say whether the mill was closed.",
        "Roe might say that it was late.",
        "Nobody said that it was safe.",
        "No one has claimed responsibility for the attack.",
        "If the minister said so, it is true.",
        "Did Iran say that it was late?",
        "Has Iran said that it was late?",
        "The mill turned according to plan.",
        "The claims are false.",
        "Demand for flour rose, and orders doubled.",
        "Many questions regarding mills remain open.",
        "The company's demands were met.",
        "He ordered a pizza.",
        "Doe wrote “The Old Man and the Sea” in 1951.",
        "Fermat's theorem says that there are none.",
        "Britain also claimed the land.",
        "Those who left it said nothing.",
        "Kuleba thanked his counterpart.",
        "Der Minister sagte, die Mühle sei geschlossen.",
        "Le ministre a dit que le moulin était fermé.",
    ],
)
def test_what_nobody_is_told_to_have_said_is_nobodys(text: str) -> None:
    assert shown(text) == "nobody"


def test_the_outer_speaker_is_the_one_who_says_it() -> None:
    assert shown("John Doe said Jane Roe had denied selling the mill.") == "John Doe | said | says"
    assert shown("Iran rejects the claim that it sent drones, the minister said.") == "the minister | said | says"


@pytest.mark.parametrize(
    "text",
    [
        "Jane Roe denied selling the mill, Reuters reported.",
        "Jane Roe denied selling the mill, according to Reuters.",
        "Reuters reported that Jane Roe had denied selling the mill.",
    ],
)
def test_an_agency_that_passes_on_is_not_the_speaker(text: str) -> None:
    found = said(text)
    assert found is not None
    assert (shown(text), words(text, found.via)) == ("Jane Roe | denied | denies", "Reuters")
    assert words(text, found.content) == "selling the mill"


def test_an_agency_with_nobody_behind_it_is_the_speaker() -> None:
    text = "The mill was closed, IRNA said."
    found = said(text)
    assert found is not None
    assert (shown(text), found.via) == ("IRNA | said | says", None)


def test_who_was_quoted_is_the_speaker_and_who_quoted_him_passed_it_on() -> None:
    text = "“The mill is closed,” IRNA quoted the owner as saying."
    found = said(text)
    assert found is not None
    assert shown(text) == "the owner | quoted the owner as saying | says"
    assert words(text, found.via) == "IRNA"
    assert shown("Roe was quoted by Reuters as saying it was late.").startswith("Roe | quoted by Reuters as saying")


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("Iran denies sending drones, or rockets, to Russia.", "sending drones, or rockets, to Russia"),
        ("Roe told reporters that the mill was closed.", "the mill was closed"),
        ("The mill was closed, the ministry said in a statement.", "The mill was closed"),
        ("“It was dark,” said Jane Roe.", "“It was dark,”"),
        ("Ukraine to Iran: Stop sending weapons to Russia", "Stop sending weapons to Russia"),
        ("Doe, Roe said, was a liar.", None),
    ],
)  # fmt: skip
def test_what_is_said_is_told_apart_from_who_says_it(text: str, content: str | None) -> None:
    found = said(text)
    assert found is not None
    assert words(text, found.content) == content


# --- quotations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "“The bridge is safe,” said Jane Roe.",
        '"The bridge is safe," said Jane Roe.',
        "«The bridge is safe», said Jane Roe.",
        "„The bridge is safe“, said Jane Roe.",
        "‘The bridge is safe,’ said Jane Roe.",
        "“The bridge is safe,” Jane Roe, a baker, said on Monday.",
        "Jane Roe said: “The bridge is safe.”",
        "Jane Roe said “the bridge is safe” on Monday.",
    ],
)
def test_a_quotation_is_told_by_any_marks(text: str) -> None:
    found = said(text)
    assert found is not None
    assert (found.speaker.of(text), found.verb.of(text), found.quoted) == ("Jane Roe", "said", True)


def test_words_of_saying_inside_a_quotation_are_not_asked() -> None:
    text = "“Doe said that I demanded money,” Jane Roe said."
    assert shown(text) == "Jane Roe | said | says"


@pytest.mark.parametrize("text", ["These “kamikaze” drones are loud.", "The film, called “Go Home Now”, was shown."])
def test_scare_quotes_and_titles_are_no_quotations(text: str) -> None:
    assert shown(text) == "nobody"


def test_scare_quotes_do_not_make_a_statement_a_quotation() -> None:
    found = said("The US has stated that the export of “kamikaze drones” could be a breach of the resolution.")
    assert found is not None
    assert not found.quoted


def test_a_few_quoted_words_do_not_make_a_statement_a_quotation() -> None:
    text = (
        "Jane Roe said on Friday that the mill, which was built in 1820 and sold twice since, “was never quite safe.”"
    )
    found = said(text)
    assert found is not None
    assert not found.quoted


def test_a_quotation_over_several_sentences_is_one_speakers() -> None:
    text = "Kuleba wrote on Twitter: “Iran must stop. It is a crime. We need help.” The call was long."
    assert [shown(text, n) for n in range(3)] == ["Kuleba | wrote | says"] * 3
    assert shown(text, 3) == "nobody"
    found = said(text, 2)
    assert found is not None
    assert found.quoted


def test_a_quotation_may_be_told_by_the_sentence_behind_it() -> None:
    text = "“We need help. We need it now,” Kuleba told the BBC."
    assert shown(text, 0) == "Kuleba | told | says"


def test_paragraphs_that_are_each_opened_anew_are_one_quotation() -> None:
    text = 'The minister said: "We did not.\n"We never would.\n"Ask them."\nShe left.'
    assert [shown(text, n) for n in range(4)] == [*["The minister | said | says"] * 3, "nobody"]


def test_a_quotation_is_not_given_to_who_spoke_before_somebody_else_came() -> None:
    text = "“It is old,” Jane Roe said. Then John Doe came in. “It is loud.”"
    assert shown(text, 2) == "nobody"


def test_a_quotation_in_another_paragraph_is_not_the_last_speakers() -> None:
    text = "“It is old,” Jane Roe said.\n\n“It is loud.”"
    assert shown(text, 1) == "nobody"


def test_no_more_than_a_few_sentences_are_looked_at() -> None:
    text = "Kuleba said: “One is here. Two is here. Three is here. Four is here. Five is here.”"
    sentences = split_sentences(text)
    assert BEFORE == 3
    assert attribution_of(text, sentences, BEFORE) is not None
    assert attribution_of(text, sentences, BEFORE + 1) is None


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("John Kuleba tweeted that he was worried. He said it was late.", "John Kuleba"),
        ("Jane Roe opened the door. “Come in,” she said.", "Jane Roe"),
        ("Foreign Minister Dmytro Kuleba said it was late. The minister said it again.", "Dmytro Kuleba"),
        ("NATO met on Friday. It said that it was worried.", "NATO"),
        ("I talked with Gary Wilson, and he said that it was late.", "Gary Wilson"),
        # Either may be meant.
        ("John Doe met Jane Roe on Friday. She said it was late.", None),
        # A country is no "she", and a woman no "it".
        ("Russia said it was late. She said it was early.", None),
        ("Jane Roe said it was late. It said it was early.", None),
        # Another country's minister.
        ("Dmytro Kuleba said Ukraine was worried. The Iranian minister said it was late.", None),
        ("Russia said it was late. The minister said it was early.", None),
        # Whoever is named needs no name.
        ("John Doe said it was late. Jane Roe said it was early.", None),
    ],
)
def test_a_pronoun_or_a_title_stands_for_a_name_unless_in_doubt(text: str, name: str | None) -> None:
    *_, last = range(len(split_sentences(text)))
    found = said(text, last)
    assert found is not None
    assert words(text, found.named) == name


# --- the seeds --------------------------------------------------------------------------------------------------------


def test_the_seeds_denials_accusations_and_admission_are_told_apart(seeds: list[Article]) -> None:
    told = {}
    for article in seeds:
        for found in map(attribution_of, *zip(*((article.text, *at) for at in _each(article)), strict=True)):
            if found:
                told[found.speaker.of(article.text), found.verb.of(article.text)] = (
                    found.kind,
                    found.quoted,
                    words(article.text, found.via),
                    words(article.text, found.named),
                )
    assert told["Iran", "denies"] == ("denies", False, None, None)
    assert told["Amirabdollahian", "dismissed"] == ("denies", False, "IRNA", None)
    assert told["Amir-Abdollahian", "repeated Iran's denial"] == ("denies", False, "Iranian state media", None)
    assert told["Ukraine and its Western allies", "blame"] == ("accuses", False, None, None)
    assert told["The foreign minister", "said"] == ("says", True, "IRNA", "Amirabdollahian")
    assert told["the Iranian minister", "quoted as saying"] == ("says", True, None, "Amir-Abdollahian")
    assert told["his statement", "quoted his statement as saying"] == ("says", True, "IRNA", "Amirabdollahian")
    assert told["Ukraine's Foreign Minister, Dmytro Kuleba", "saying"] == ("says", False, "Reuters", None)
    assert told["He", "indicated"] == ("says", False, None, "Jake Sullivan")
    assert told["he", "wrote"] == ("says", True, None, "John Kuleba")
    assert told["Ukraine", ":"] == ("asks", False, None, None)


def _each(article: Article) -> list[tuple[list[Span], int]]:
    sentences = split_sentences(article.text, article.body)
    return [(sentences, ordinal) for ordinal in range(len(sentences))]


# --- properties -------------------------------------------------------------------------------------------------------

VOCABULARY = """
the minister said He The Kyiv U.S. Dr. told that denied Iran's denial of according to “ ” " ' ’ ‘ «
» „ — – … . , ; ? ! : ( ) Reuters reported who was quoted as saying by and Jane Roe, IRNA asked
whether they not claim claims I'm don't 3.5 Oct. it called for “No,” “Yes.” does sure accused
al-Sadr 你好。 Привет. e\u0301te\u0301 İstanbul 👩\u200d👧 \ud800 ß's s' in a statement US us
"""
PIECES = st.sampled_from(VOCABULARY.split())
SPACES = st.sampled_from([" "] * 12 + ["", "  ", "\n", "\n\n", "\u2028", "\xa0"])
TEXTS = st.lists(st.tuples(PIECES, SPACES), min_size=1, max_size=60).map(lambda pairs: "".join(map("".join, pairs)))


@given(TEXTS)
@example("said according to said. “" * 30)
def test_every_span_lies_where_it_may(text: str) -> None:
    sentences = split_sentences(text)
    for ordinal, sentence in enumerate(sentences):
        found = attribution_of(text, sentences, ordinal)
        if found is None:
            continue
        window = Span(sentences[max(0, ordinal - BEFORE)].start, sentences[: ordinal + 1 + AFTER][-1].end)
        assert found.kind in get_args(Kind)
        for span in (found.speaker, found.verb, found.via, found.named):
            assert span is None or window.covers(span)
        assert found.content is None or sentence.covers(found.content)
        # Only what stands in quotation marks may be told by another sentence.
        assert sentence.covers(found.verb) or found.quoted
        assert found.named is None or found.named.start < found.speaker.start


@given(TEXTS, st.sampled_from([str, str.upper, str.capitalize]))
@example("Yes. 'No,' he said.", str)
@example("Denial of it: Roe to Doe: Stop", str)
@example("“No, no, it is not so, he said.", str)
def test_what_is_not_read_has_nothing_to_be_found(text: str, case: Callable[[str], str]) -> None:
    text = case(text)
    sentences = split_sentences(text)
    for ordinal, sentence in enumerate(sentences):
        row = speakers._Window(text, sentences, ordinal).row(ordinal)
        assert speakers._may_tell(sentence.of(text)) or not row.hits()
    for start, end in ((0, len(text)), (0, len(text) // 2), (len(text) // 3, len(text))):
        found = speakers._quotations(text, start, end)
        # Nothing begins with nothing: all marks are read.
        with mock.patch.object(speakers, "_OPENERS", ("",)):
            assert speakers._quotations(text, start, end) == found


@given(TEXTS, st.integers(0, 8))
def test_sentences_out_of_reach_change_nothing(text: str, more: int) -> None:
    sentences = split_sentences(text)
    if not sentences:
        return
    ordinal = len(sentences) - 1
    moved = "Somebody said: “No.”\n" * more
    shift = len(moved)
    before = [Span(start, end) for start, end in pairwise(range(0, shift + 1, 21))]
    later = [Span(span.start + shift, span.end + shift) for span in sentences]
    if ordinal < BEFORE:
        return
    assert attribution_of(moved + text, [*before, *later], len(before) + ordinal) == _moved(
        attribution_of(text, sentences, ordinal), shift
    )


def _moved(found: Attribution | None, by: int) -> Attribution | None:
    if found is None:
        return None
    speaker, verb = (Span(span.start + by, span.end + by) for span in (found.speaker, found.verb))
    via, named, content = (
        span and Span(span.start + by, span.end + by) for span in (found.via, found.named, found.content)
    )
    return replace(found, speaker=speaker, verb=verb, via=via, named=named, content=content)


@given(st.text(max_size=200))
def test_no_text_makes_it_fail(text: str) -> None:
    sentences = [Span(0, len(text))] if text else []
    for ordinal in range(len(sentences)):
        attribution_of(text, sentences, ordinal)


def test_a_sentence_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="no sentence 1 among 1"):
        said("The mill is closed.", 1)


@pytest.mark.parametrize(
    "piece",
    [
        "said, ", "said ", '"', "“", "”, ", "'", "(a), ", "), ", ", ", ". ", "—", "the ", "X, ", "and ", "\n", " ",
        "according to X ", "quoted as saying ", "his denial of ", "Mr. said he ", "who said, (x) ", "„a“ ", "x" * 50,
        "(a), " * 60 + "said it was late. ",
    ],
)  # fmt: skip
def test_no_sentence_takes_long(piece: str) -> None:
    text = (piece * (10_000 // len(piece) + 1))[:10_000]
    sentences = [Span(n * 2_000, n * 2_000 + 2_000) for n in range(5)]
    for spans, ordinal in ((sentences, 3), ([Span(0, len(text))], 0)):
        began = time.process_time()
        attribution_of(text, spans, ordinal)
        # Milliseconds; a rule that looks back over all of the sentence at every word takes seconds.
        assert time.process_time() - began < 0.5
