"""Frames: a question and a passage as the tokens that a reader reads, with the sentence that each token belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from index.encoding import Context

# Tokens of a question that are read; 22 hold 95 of 100 questions of SQuAD.
LONGEST_QUESTION = 64
# Tokens of a frame; what a passage has past that is not read. Passages are made of 128.
LONGEST_FRAME = 256
# What stands in `members` for tokens of no sentence, and for the question's; sentences follow.
NOTHING, QUESTION = 0, 1

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """[CLS] question [SEP] title. passage [SEP], as tokens.

    ids, types, members: int64, shape (tokens,). types: 0 up to the first [SEP], 1 after it. members: NOTHING, QUESTION,
    or QUESTION + 1 for the passage's first sentence, and so on. offsets: int64, shape (tokens, 2), half-open, in code
    points of the passage's text; (0, 0) for all tokens that belong to no sentence.
    """

    ids: Ints
    types: Ints
    members: Ints
    offsets: Ints
    sentences: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Frames of one call of the network, padded. int64, shape (frames, tokens); numbers: shape (1 + sentences,)."""

    ids: Ints
    mask: Ints
    types: Ints
    members: Ints
    numbers: Ints


class Framer:
    """Makes frames. Safe to call from several threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """tokenizer: BERT's, with [CLS] and [SEP]; its truncation and padding are turned off."""
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        # As the tokenizer itself puts them around two texts.
        self._start, self._separator, _ = tokenizer.encode("", "").ids

    def frames(self, question: str, passages: Sequence[Context]) -> list[Frame]:
        """Return a frame for each passage, in order."""
        heads = [f"{passage.title}. " if passage.title else "" for passage in passages]
        texts = [question, *(head + passage.text for head, passage in zip(heads, passages, strict=True))]
        asked, *read = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        first = [self._start, *asked.ids[:LONGEST_QUESTION], self._separator]
        return [
            self._frame(first, encoding.ids, np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2) - len(head), one)
            for encoding, head, one in zip(read, heads, passages, strict=True)
        ]

    def _frame(self, first: Sequence[int], ids: Sequence[int], offsets: Ints, passage: Context) -> Frame:
        room = LONGEST_FRAME - len(first) - 1
        ids, offsets = ids[:room], offsets[:room]
        members = np.full(len(ids), NOTHING, dtype=np.int64)
        for number, span in enumerate(passage.spans, start=QUESTION + 1):
            members[(offsets[:, 0] >= span.start) & (offsets[:, 1] <= span.end)] = number
        offsets = np.where(members[:, None] == NOTHING, 0, offsets)
        asked = np.full(len(first), QUESTION, dtype=np.int64)
        asked[[0, -1]] = NOTHING
        nowhere = np.zeros((1, 2), dtype=np.int64)
        return Frame(
            ids=np.array([*first, *ids, self._separator], dtype=np.int64),
            types=np.repeat(np.array([0, 1], dtype=np.int64), [len(first), len(ids) + 1]),
            members=np.concatenate([asked, members, [NOTHING]]),
            offsets=np.concatenate([nowhere.repeat(len(first), axis=0), offsets, nowhere]),
            sentences=len(passage.spans),
        )


def pad(frames: Sequence[Frame], *, width: int | None = None) -> Batch:
    """Return the frames, at least one, as one batch; width: of each row in tokens, by default the longest frame's."""
    width = width or max(map(len, frames))
    ids, mask, types, members = (np.zeros((len(frames), width), dtype=np.int64) for _ in range(4))
    for row, frame in enumerate(frames):
        tokens = len(frame)
        ids[row, :tokens], mask[row, :tokens] = frame.ids, 1
        types[row, :tokens], members[row, :tokens] = frame.types, frame.members
    numbers = np.arange(QUESTION, QUESTION + 1 + max(frame.sentences for frame in frames), dtype=np.int64)
    return Batch(ids, mask, types, members, numbers)
