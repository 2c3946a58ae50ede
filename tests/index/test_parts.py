import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from index.articles import Span
from index.parts import LONGEST_PART, Floats, best_part, part_of

FINITE = st.floats(-50, 50, width=32)


@given(st.integers(1, 50).flatmap(lambda tokens: arrays.arrays(np.float32, (tokens, 2), elements=FINITE)))
def test_the_best_part_is_the_best_of_all_that_are_short_enough(ends: Floats) -> None:
    score, (first, last) = best_part(ends[:, 0], ends[:, 1])
    allowed = [
        ends[start, 0] + ends[end, 1]
        for start in range(len(ends))
        for end in range(start, min(start + LONGEST_PART, len(ends)))
    ]
    assert score == pytest.approx(max(allowed), abs=1e-5)
    assert 0 <= last - first < LONGEST_PART
    assert score == pytest.approx(ends[first, 0] + ends[last, 1], abs=1e-5)


@pytest.mark.parametrize(
    ("sentence", "piece", "wanted"),
    [
        ("Amir-Abdollahian denies it.", "oll", "Abdollahian"),
        ("He went to Bogota\u0301s cafe\u0301.", "cafe", "cafe\u0301"),
        ("It cost 2,400 dollars.", "2", "2"),
        ("Send 👩\u200d👧 now.", "👩", "👩\u200d👧"),
        ("会談が行われた。", "談", "談"),
        ("“Yes”, he said.", "Yes", "Yes"),
        ("drones", "r", "drones"),
        ("It denies it.", "denies it", "denies it"),
    ],
)
def test_a_part_is_whole_words(sentence: str, piece: str, wanted: str) -> None:
    before = "before"
    text = before + sentence + "after"
    start = text.index(piece, len(before))
    span = Span(len(before), len(before) + len(sentence))
    offsets = np.array([[start, start + len(piece)]])
    assert part_of(text, span, offsets, (0, 0)).of(text) == wanted
