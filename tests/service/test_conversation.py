import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import conversation
from service.conversation import MOST_TURNS, Turn, understand

IRAN = Turn(
    "Did Iran supply drones to Russia?",
    ("Amir-Abdollahian repeated Iran's denial of supplying weapons to Russia, Iranian state media reported.",),
)
CANCER = Turn("What is throat cancer?")
ZAPPA = Turn("Which band did Frank Zappa lead?", ("Zappa led the Mothers of Invention.",))


@pytest.mark.parametrize(
    ("turn", "question", "understood"),
    [
        # pronouns
        (IRAN, "Who is he?", "Who is Amir-Abdollahian?"),
        (ZAPPA, "Where did he grow up?", "Where did Frank Zappa grow up?"),
        (ZAPPA, "When was his son born?", "When was Frank Zappa's son born?"),
        (ZAPPA, "Where did he sell his records?", "Where did Frank Zappa sell his records?"),
        (CANCER, "Is it treatable?", "Is throat cancer treatable?"),
        (CANCER, "What are its symptoms?", "What are throat cancer's symptoms?"),
        (CANCER, "Can it spread?", "Can throat cancer spread?"),
        (Turn("Why do bees die?"), "What do they eat?", "What do bees eat?"),
        (Turn("Why do bees die?"), "What is their honey like?", "What is bees' honey like?"),
        (Turn("Who lives in Paris?"), "What is made there?", "What is made in Paris?"),
        # ellipsis
        (IRAN, "Why?", "Why did Iran supply drones to Russia?"),
        (IRAN, "And when?", "When did Iran supply drones to Russia?"),
        (Turn("When did the band break up?"), "Why?", "Why did the band break up?"),
        (IRAN, "How many?", "How many (did Iran supply drones to Russia)?"),
        (IRAN, "And China?", "Did China supply drones to Russia?"),
        (CANCER, "What about lung cancer?", "What is lung cancer?"),
        # all that was said
        (IRAN, "When was that?", "When was that (did Iran supply drones to Russia)?"),
        (IRAN, "And what did Ukraine say?", "What did Ukraine say about drones to Russia?"),
        (IRAN, "What about Russia?", "What about Russia (did Iran supply drones to Russia)?"),
        (IRAN, "And the sanctions?", "And the sanctions (did Iran supply drones to Russia)?"),
        (IRAN, "Did they deny it?", "Did Iran deny it (did Iran supply drones to Russia)?"),
        (IRAN, "Tell me more.", "Tell me more (did Iran supply drones to Russia)."),
        # the topic
        (CANCER, "What are the symptoms?", "What are the symptoms (throat cancer)?"),
        (CANCER, "Are there other risks?", "Are there other risks (throat cancer)?"),
    ],
)
def test_a_question_that_leans_on_a_turn_becomes_one_that_stands_alone(
    turn: Turn, question: str, understood: str
) -> None:
    assert understand(question, [turn]).question == understood


@pytest.mark.parametrize(
    "question",
    [
        "Who is Frank Zappa?",
        "What is the capital of Peru?",
        "Did Kuleba call Amir-Abdollahian on Friday?",
        "If Ukraine loses Odessa, will it lose the war?",
        "How long does it take to heal broken bones?",
        "Is it true that Kuleba resigned?",
        "What is taurine?",
        "Thanks!",
        "?",
        "",
    ],
)
def test_a_question_that_stands_alone_is_left_as_it_is(question: str) -> None:
    assert understand(question, [IRAN]).question == question


@pytest.mark.parametrize("question", ["Why?", "Who is he?", "And Russia?", "", "\ud800"])
def test_a_first_question_is_never_changed(question: str) -> None:
    assert understand(question, []).question == question


def test_a_change_of_topic_is_noticed() -> None:
    assert understand("What is the capital of Peru?", [IRAN]).new_topic
    assert understand("Who is Frank Zappa?", [IRAN, CANCER]).new_topic


@pytest.mark.parametrize("question", ["Why?", "Who is he?", "Does Russia fly drones?", "And Peru?", "Thanks!"])
def test_what_goes_on_is_no_new_topic(question: str) -> None:
    assert not understand(question, [IRAN]).new_topic


def test_turns_that_leaned_on_others_are_resolved_in_order() -> None:
    turns = [CANCER, Turn("Is it treatable?"), Turn("What are its symptoms?")]
    assert understand("Can it spread?", turns).question == "Can throat cancer spread?"


def test_what_was_spoken_of_last_is_meant() -> None:
    turns = [CANCER, Turn("What is asthma?")]
    assert understand("What are its symptoms?", turns).question == "What are asthma's symptoms?"


def test_a_sentence_that_was_shown_says_who_is_meant() -> None:
    assert understand("What did she say?", [Turn("Who won?", ("Rosa Luxemburg won.",))]).question == (
        "What did Rosa Luxemburg say?"
    )


def test_a_country_is_nobody() -> None:
    assert "Iran" not in understand("Who is she?", [Turn("Did Iran win?")]).question.split("(")[0]


# What holds for any text

_PIECES = (
    "And what did Ukraine say Who is he she they it When was that Why What about Russia How many Did deny "
    "the sanctions of in there this other more Frank Zappa Zappa's its their her him drones band cancer lung "
    "it's they're Who's U.S. “Hot Rats” (1969) – , . ? ! ... 7 don't I'm Straße 東京 é \u0301 ' ’ & - / | \n"
)
_SENTENCES = st.lists(st.sampled_from(re.split(" ", _PIECES)), max_size=12).map(" ".join)
_TEXTS = _SENTENCES | st.text(alphabet=st.characters(codec=None), max_size=60)
_TURNS = st.lists(st.builds(Turn, _TEXTS, st.lists(_TEXTS, max_size=3).map(tuple)), max_size=4)


def _words(*texts: str) -> set[str]:
    return {word.lower() for text in texts for word in re.findall(r"[^\W_]+", text)}


@settings(max_examples=300, deadline=None)
@given(_TEXTS, _TURNS)
def test_no_word_is_invented(question: str, turns: list[Turn]) -> None:
    said = _words(question, *(text for turn in turns for text in (turn.question, *turn.quotes)))
    # The "s" of an owner, the "in" of "in Paris" for "there", and the "about" of "what did she say about it".
    assert _words(understand(question, turns).question) <= said | {"s", "in", "about"}


@settings(max_examples=150, deadline=None)
@given(_TEXTS, _TURNS)
def test_the_same_conversation_is_understood_the_same_way(question: str, turns: list[Turn]) -> None:
    understood = understand(question, turns)
    assert understood == understand(question, list(turns))
    assert understood.question == question or not understood.new_topic
    assert len(understood.question) <= len(question) + 5 * conversation._LONGEST_READ


@settings(max_examples=50, deadline=None)
@given(_SENTENCES, st.lists(_SENTENCES.map(Turn), max_size=3))
def test_what_has_no_word_is_left_alone(marks: str, turns: list[Turn]) -> None:
    question = "".join(character for character in marks if not character.isalnum() and character not in "'’&\u0301")
    assert understand(question, turns).question == question


@pytest.mark.parametrize(
    "text",
    [
        "it " * 50_000,
        "Frank Zappa and the " * 20_000,
        "a" * 500_000,
        "A." * 200_000,
        "'’" * 200_000,
        "Why? " * 50_000,
        "(" * 200_000,
        "\n " * 200_000,
    ],
    ids=lambda text: text[:5],
)
def test_long_texts_take_no_longer_than_short_ones(text: str) -> None:
    turns = [Turn(text, (text,) * 20)] * (2 * MOST_TURNS)
    started = time.process_time()
    for question in ("Why is it so?", text):
        understand(question, turns)
    # Milliseconds on a quiet machine.
    assert time.process_time() - started < 1


def test_a_long_question_stands_alone() -> None:
    question = "Why did it do that? " * 30
    assert understand(question, [IRAN]).question == question
