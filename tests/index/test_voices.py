import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.voices import gather, nearly_same, words_of

TOLD = "The minister told reporters in Kyiv on Friday that the army had shot down 300 drones near the old town."


def _same(one: str, other: str) -> bool:
    return nearly_same(words_of(one), words_of(other))


@pytest.mark.parametrize(
    "other",
    [
        TOLD.upper(),
        TOLD.replace("told reporters in Kyiv", "told reporters"),
        f"KYIV (AP) — {TOLD}",
        TOLD.replace("near the old town.", "near the old town, officials confirmed."),
        TOLD.replace("reporters", "reporter"),
        TOLD.replace("had shot", "“had” — shot"),
    ],
)
def test_an_edit_that_changes_nothing_leaves_one_voice(other: str) -> None:
    assert _same(TOLD, other)
    assert _same(other, TOLD)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("had shot", "had not shot"),
        ("300", "400"),
        ("300", "some 1,300"),
        ("on Friday", "on Monday"),
        ("army", "navy"),
        ("told reporters", "denied"),
        ("had shot", "may have shot"),
        ("The minister", "The former minister"),
        ("down 300 drones", "300 drones down"),
        ("old", "cold"),
    ],
)
def test_one_word_that_changes_what_is_said_makes_two_voices(old: str, new: str) -> None:
    assert old in TOLD
    assert not _same(TOLD, TOLD.replace(old, new))


def test_short_sentences_are_one_voice_only_if_they_are_the_same() -> None:
    assert _same("He denied it.", "he denied it")
    assert not _same("He denied it.", "He denied it again.")
    assert not _same("Russia attacked Ukraine.", "Ukraine attacked Russia.")


def test_what_holds_no_word_is_no_voice_of_another() -> None:
    assert not _same("!?", "!?")


WORDS = st.lists(st.sampled_from([*TOLD.split(), "not", "12", "colour", "color"]), min_size=1, max_size=14)


@given(WORDS, WORDS)
def test_being_one_voice_goes_both_ways_and_a_sentence_is_its_own(ones: list[str], others: list[str]) -> None:
    one, other = words_of(" ".join(ones)), words_of(" ".join(others))
    assert nearly_same(one, one)
    assert nearly_same(one, other) == nearly_same(other, one)


@given(st.lists(st.sampled_from([TOLD, f"Reuters: {TOLD}", TOLD.replace("300", "400"), "He left.", "!"]), max_size=8))
def test_every_text_is_in_one_voice_and_voices_come_in_order(texts: list[str]) -> None:
    voices = gather(texts, lambda *_: True)
    assert sorted(place for voice in voices for place in voice) == list(range(len(texts)))
    assert [voice[0] for voice in voices] == sorted(voice[0] for voice in voices)
    assert all(voice == sorted(voice) for voice in voices)


def test_what_does_not_fit_stays_apart_however_alike() -> None:
    assert gather([TOLD, TOLD], lambda *_: False) == [[0], [1]]
