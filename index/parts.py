"""Parts: the words of a sentence that answer, found from how likely an answer starts and ends at each token."""

import unicodedata

import numpy as np
from numpy.typing import NDArray

from index.articles import Span
from index.frames import Ints

Floats = NDArray[np.float32]

# Tokens of the part that answers.
LONGEST_PART = 30


def best_part(starts: Floats, ends: Floats) -> tuple[float, tuple[int, int]]:
    """Return the greatest sum of a start and of an end not before it, and their places: the first and last token."""
    sums = starts[:, None] + ends[None, :]
    allowed = np.triu(np.tril(np.ones(sums.shape, dtype=bool), LONGEST_PART - 1))
    first, last = divmod(int(np.argmax(np.where(allowed, sums, -np.inf))), len(ends))
    return float(sums[first, last]), (first, last)


def part_of(text: str, sentence: Span, offsets: Ints, place: tuple[int, int]) -> Span:
    """Return the words from the first to the last token of `place`, whole, in the sentence; offsets: of its tokens."""
    start, end = int(offsets[place[0], 0]), int(offsets[place[1], 1])
    while start > sentence.start and _is_one_word(text[start - 1], text[start]):
        start -= 1
    while end < sentence.end and _is_one_word(text[end - 1], text[end]):
        end += 1
    return Span(start, end)


def _is_one_word(left: str, right: str) -> bool:
    """Whether there is no boundary between two characters; Chinese characters are a word each, as for the tokenizer."""
    joining = "\u200d"
    if _is_mark(right) or joining in (left, right):
        return True
    return (left.isalnum() or _is_mark(left)) and right.isalnum() and not _is_chinese(left) and not _is_chinese(right)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _is_chinese(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff" or character >= "\U00020000"
