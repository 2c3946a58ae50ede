"""A prepared encoder, in OpenVINO on the CPU."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from index.encoder_folders import read_manifest
from index.encoding import Context, Encoded, Vectors
from index.late_chunking import cut, encode_apart, head, mean_by_span, unit
from index.prepared import check_files
from index.runtime import Compiled, Shaped, cores, read_model

Made = TypeVar("Made")

# Tokens of a batch, padding included. Neighbours in length share one, so that little of it is padding. From about 500
# on it is no faster; few keep memory small.
BATCH_TOKENS = 1024
# Batches at a time, one core each: faster than one on all cores. Each lane has memory of its own, so there are no more
# than these; where there are more cores, a batch has several.
MOST_LANES = 8
# For a new length OpenVINO prepares itself anew, which takes half as long as encoding a question; so questions are
# padded to one of these widths in tokens. One is 33 MB, each further one 9. Up to 16 tokens nearly all of the time goes
# into passing through the weights once; above, each token takes 0.12 ms. Of 100
# questions 75 have up to 16, and 17 have 17 to 20.
QUESTION_WIDTHS = (16, 20, 32, 64)
# A question starts at an even place in its row: bf16 is multiplied in pairs. So its vector is the same to the last bit,
# whatever is beside it.
STEP = 2
# Questions of one call are encoded in rows, one after the other, unless they fill more than these: then in batches.
MOST_ROWS = 4
# Rows of questions at a time, one core each. Other cores are for what else an answer takes.
MOST_QUESTION_LANES = 4


class OpenVinoEncoder:
    """A prepared encoder, in OpenVINO on the CPU. Safe to call from several threads.

    A few questions of one call are encoded together, with the same vectors as alone.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._manifest = manifest = read_manifest(folder)
        check_files(folder, manifest.sha256, f"remove {folder} and it is prepared again")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._model = read_model(folder / "model.xml")
        self._compiling = threading.Lock()
        # For several questions in one row.
        self._room = QUESTION_WIDTHS[-1] if manifest.packs else 0
        self._question_lanes = min(max(cores() // 2, 1), MOST_QUESTION_LANES)

    @property
    def name(self) -> str:
        return self._manifest.name

    @property
    def dim(self) -> int:
        return self._manifest.dim

    @property
    def window(self) -> int:
        return self._manifest.window

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        texts = [self._manifest.question_prompt + text for text in texts]
        # One by one: for a few, the threads of a batch cost more than they do.
        tokens = [self._tokenizer.encode(text).ids for text in texts]
        rows = [] if any(len(ids) > QUESTION_WIDTHS[-1] for ids in tokens) else list(_rows_of(tokens, self._room))
        if not 0 < len(rows) <= MOST_ROWS:
            return self._encode(tokens)
        return np.array([*itertools.chain.from_iterable(map(self._encode_row, rows))])

    def encode_passages(self, passages: Sequence[Context]) -> list[Encoded]:
        if not self._manifest.late:
            return encode_apart(passages, self._encode_texts, self._manifest.text_prompt)
        heads = [head(passage, self._manifest.text_prompt) for passage in passages]
        tokens = self._tokenizer.encode_batch(
            [head + passage.text for head, passage in zip(heads, passages, strict=True)]
        )

        def encoded(row: int, vectors: Vectors) -> Encoded:
            vector = self._pooled(vectors)
            offsets = np.array(cut(tokens[row].offsets, self.window), dtype=np.int64) - len(heads[row])
            return Encoded(vector, mean_by_span(vectors, offsets, passages[row].spans, vector))

        return self._infer([cut(encoding.ids, self.window) for encoding in tokens], encoded)

    def _encode_texts(self, texts: Sequence[str]) -> Vectors:
        return self._encode([encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))])

    def _encode(self, tokens: Sequence[list[int]]) -> Vectors:
        vectors = self._infer([cut(ids, self.window) for ids in tokens], lambda _, found: self._pooled(found))
        return np.array(vectors, dtype=np.float32).reshape(len(tokens), self.dim)

    def _pooled(self, found: Vectors) -> Vectors:
        """Return the unit vector of a text of which the model returned `found`."""
        # The sum points where the mean does, and there is one of no tokens, too.
        return unit(found.sum(axis=0)) if self._manifest.late else found.copy()

    # A row of questions

    def _encode_row(self, questions: Sequence[Sequence[int]]) -> list[Vectors]:
        """Return a vector for each question; together they have room in the widest row."""
        starts = [0, *itertools.accumulate(map(_room_for, questions))]
        width = next(width for width in QUESTION_WIDTHS if width >= starts[-2] + len(questions[-1]))
        batch = _Batch.empty(1, width)
        for number, (start, ids) in enumerate(zip(starts, questions, strict=False)):
            batch.put(0, start, ids, text=number + 1)
        [found] = self._rows(batch.ids, batch.texts, batch.places)
        if not self._manifest.late:
            return [self._pooled(found[0])]
        return [self._pooled(found[0, start : start + len(ids)]) for start, ids in zip(starts, questions, strict=False)]

    @property
    def _rows(self) -> Shaped:
        """The model for a row of questions, made when it is first needed."""
        with self._compiling:
            return self._rows_once

    @cached_property
    def _rows_once(self) -> Shaped:
        shapes = [[(1, width)] * len(self._model.inputs) for width in QUESTION_WIDTHS]
        return Shaped(self._model, shapes, lanes=self._question_lanes)

    # Texts of any length, in batches

    def _infer(self, texts: Sequence[Sequence[int]], made: Callable[[int, Vectors], Made]) -> list[Made]:
        """Return for each text what `made` makes of its number and of what the model returns for it.

        That is its tokens' vectors, shape (tokens, dim), or its own; they are overwritten when `made` has returned.
        """
        if not texts:
            return []
        # Made before there are threads, each of which would make one.
        model, late = self._batches, self._manifest.late

        def one(rows: Sequence[int]) -> list[tuple[int, Made]]:
            batch = _Batch.empty(len(rows), max(1, *(len(texts[row]) for row in rows)))
            for place, row in enumerate(rows):
                batch.put(place, 0, texts[row], text=1)
            [found] = model(batch.ids, batch.texts, batch.places)
            return [
                (row, made(row, found[at, : len(texts[row])] if late else found[at])) for at, row in enumerate(rows)
            ]

        batches = list(_batches_by_length([len(ids) for ids in texts]))
        if len(batches) == 1:
            done = dict(one(batches[0]))
        else:
            with ThreadPoolExecutor(self._lanes) as threads:
                done = dict(itertools.chain.from_iterable(threads.map(one, batches)))
        return [done[row] for row in range(len(texts))]

    @property
    def _lanes(self) -> int:
        return min(cores(), MOST_LANES)

    @cached_property
    def _batches(self) -> Compiled:
        """The model for any number of texts of any length."""
        return Compiled(self._model, lanes=self._lanes, threads=cores())


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """What the model is given; all int64, shape (rows, tokens).

    texts: which text of its row a token belongs to, from 1 on; 0 is padding. places: of each token in its text.
    """

    ids: NDArray[np.int64]
    texts: NDArray[np.int64]
    places: NDArray[np.int64]

    @classmethod
    def empty(cls, rows: int, width: int) -> "_Batch":
        return cls(*np.zeros((3, rows, width), dtype=np.int64))

    def put(self, row: int, start: int, ids: Sequence[int], *, text: int) -> None:
        end = start + len(ids)
        self.ids[row, start:end] = ids
        self.texts[row, start:end] = text
        self.places[row, start:end] = np.arange(len(ids))


def _room_for(ids: Sequence[int]) -> int:
    """Return how many tokens of a row a text takes up."""
    return -(-len(ids) // STEP) * STEP


def _rows_of(questions: Sequence[Sequence[int]], room: int) -> Iterator[list[Sequence[int]]]:
    """Yield the questions of each row, in order, as many as have room; at least one."""
    row: list[Sequence[int]] = []
    for ids in questions:
        if row and sum(map(_room_for, [*row, ids])) > room:
            yield row
            row = []
        row.append(ids)
    if row:
        yield row


def _batches_by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of the texts of each batch, longest first: what is done last should not take long."""
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    first = 0
    while first < len(order):
        rows = max(BATCH_TOKENS // max(lengths[order[first]], 1), 1)
        yield order[first : first + rows]
        first += rows
