import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.nearduplicates import THRESHOLD, bands, estimates, shingles, signature, similarity

WORDS = st.lists(st.sampled_from(["the", "storm", "reached", "a", "coast", "on", "Friday", "night", "tore", "roofs"]))
STORM = (
    "The storm reached the coast on Friday night. It tore the roofs off forty houses. Nobody was hurt, the mayor said. "
    "The harbour stays closed until Monday. Two ferries wait outside it."
)


def alike(one: str, other: str) -> float:
    return similarity(shingles(one), shingles(other))


@settings(deadline=None)
@given(WORDS, WORDS)
def test_similarity_is_that_of_the_sets_of_three_words(one: list[str], other: list[str]) -> None:
    first, second = ({tuple(words[at : at + 3]) for at in range(max(len(words) - 2, 1))} for words in (one, other))
    expected = len(first & second) / len(first | second) if one and other else 0.0
    assert alike(" ".join(one), " ".join(other)) == pytest.approx(expected)
    assert alike(" ".join(other), " ".join(one)) == alike(" ".join(one), " ".join(other))


@settings(deadline=None)
@given(WORDS)
def test_case_punctuation_and_normal_form_change_nothing(words: list[str]) -> None:
    text = " ".join(["Café", *words])
    assert np.array_equal(shingles(text.upper().replace(" ", ", ") + "!"), shingles(text))
    assert np.array_equal(shingles("Cafe\u0301 " + " ".join(words)), shingles(text))


def test_a_text_without_spaces_is_read_by_characters() -> None:
    whole = "第一次石油危机始于一九七三年十月当时石油输出国组织成员宣布石油禁运"
    assert len(shingles(whole)) > len(whole) - 6
    assert alike(whole, whole[:-6]) > 0.7
    assert alike(whole, "今天天气很好我们去公园散步然后回家吃饭晚上看电影") == 0


@pytest.mark.parametrize("text", ["", "— … —", "!!!"])
def test_a_text_without_words_is_like_nothing(text: str) -> None:
    assert (alike(text, text), signature(shingles(text)), bands(b"")) == (0, b"", [])


def test_a_sentence_dropped_added_or_moved_leaves_an_article_a_near_duplicate() -> None:
    sentences = STORM.split(". ")
    for edited in (sentences[1:], sentences[:2] + sentences[3:], [*sentences, "Rain is expected"], sentences[::-1]):
        assert alike(STORM, ". ".join(edited)) >= THRESHOLD
    assert alike(STORM, "Two eggs are enough. Nobody was hurt, the mayor said. Cheese is cheap in the market.") < 0.3


def test_signatures_estimate_similarity_and_share_bands_as_they_should() -> None:
    words = [f"w{number}" for number in range(4000)]
    texts = [" ".join(words[at : at + 200]) for at in range(0, 3000, 10)]
    signatures = [signature(shingles(text)) for text in texts]
    for step, expected in ((0, 1.0), (3, 168 / 228), (6, 138 / 258), (12, 78 / 318), (30, 0.0)):
        pairs = list(zip(signatures, signatures[step:], strict=False))
        estimated = [estimates(one, [other])[0] for one, other in pairs]
        assert np.mean(estimated) == pytest.approx(expected, abs=0.02)
        found = np.mean([bool(set(bands(one)) & set(bands(other))) for one, other in pairs])
        assert found == pytest.approx(1 - (1 - expected**3) ** 32, abs=0.1)


def test_a_signature_has_32_different_bands() -> None:
    for text in (STORM, "egg", "Two eggs are enough."):
        assert len(set(bands(signature(shingles(text))))) == 32


def test_signatures_are_what_stores_hold() -> None:
    # A library that computes others has to come with another scheme: stores are brought to it then.
    assert signature(shingles(STORM)).hex()[:48] == "8c3bafe70dda2902f8e886c4ae193b9bf38ff26c92e65099"
