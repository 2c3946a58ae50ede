"""Pairs: a premise and a hypothesis as the tokens that an entailment model reads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

# Tokens of a hypothesis that are read; what it has past that is cut off.
LONGEST_HYPOTHESIS = 64
# Tokens of a pair; what its premise has past that is not read.
LONGEST_PAIR = 160

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PairFrame:
    """[CLS] hypothesis [SEP] premise [SEP], as tokens. types: 0 up to the first [SEP], 1 after it."""

    ids: Ints
    types: Ints

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class PairBatch:
    """Frames of one call of the network, padded. int64, shape (frames, tokens)."""

    ids: Ints
    mask: Ints
    types: Ints


class PairFramer:
    """Makes frames of pairs. Safe to call from several threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """tokenizer: BERT's, with [CLS] and [SEP]; its truncation and padding are turned off."""
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        # As the tokenizer itself puts them around two texts.
        self._start, self._separator, _ = tokenizer.encode("", "").ids

    def frames(self, pairs: Sequence[tuple[str, str]]) -> list[PairFrame]:
        """Return a frame for each pair of a premise and a hypothesis, in order."""
        texts = [text for pair in pairs for text in pair]
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        return [self._frame(*one) for one in zip(ids[::2], ids[1::2], strict=True)]

    def _frame(self, premise: Sequence[int], hypothesis: Sequence[int]) -> PairFrame:
        first = [self._start, *hypothesis[:LONGEST_HYPOTHESIS], self._separator]
        second = [*premise[: LONGEST_PAIR - len(first) - 1], self._separator]
        types = np.repeat(np.array([0, 1], dtype=np.int64), [len(first), len(second)])
        return PairFrame(np.array([*first, *second], dtype=np.int64), types)


def pad(frames: Sequence[PairFrame], *, width: int | None = None) -> PairBatch:
    """Return the frames, at least one, as one batch; width: of each row in tokens, by default the longest frame's."""
    width = width or max(map(len, frames))
    ids, mask, types = (np.zeros((len(frames), width), dtype=np.int64) for _ in range(3))
    for row, frame in enumerate(frames):
        tokens = len(frame)
        ids[row, :tokens], mask[row, :tokens], types[row, :tokens] = frame.ids, 1, frame.types
    return PairBatch(ids, mask, types)
