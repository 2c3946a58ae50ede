"""Batches: examples as tensors, a question's passages side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from index.frames import QUESTION, Frame, Framer, pad
from training.examples import Example, Labelled

UNKNOWN = -1


@dataclass(frozen=True, slots=True, eq=False)
class TrainingBatch:
    """inputs: of the network. question: int64, (passages,): which question each passage was read for.

    answers: int64, (passages, sentences): 1, 0, or UNKNOWN, also where there is no sentence. starts, ends: float32,
    (passages, tokens): 1 where an answer starts or ends, at the first token where none does; all 0 where not known.
    """

    inputs: tuple[Tensor, ...]
    question: Tensor
    answers: Tensor
    starts: Tensor
    ends: Tensor


def batch(framer: Framer, examples: Sequence[Example], passages: Sequence[Sequence[Labelled]]) -> TrainingBatch:
    """Return the batch of `examples`, each with the passages chosen for it."""
    frames: list[Frame] = []
    labelled: list[Labelled] = []
    owner: list[int] = []
    for number, (example, chosen) in enumerate(zip(examples, passages, strict=True)):
        frames += framer.frames(example.question, [one.context for one in chosen])
        owner += [number] * len(chosen)
        labelled += chosen
    padded = pad(frames)
    answers = np.full((len(frames), len(padded.numbers) - 1), UNKNOWN, dtype=np.int64)
    starts, ends = np.zeros((2, *padded.ids.shape), dtype=np.float32)
    for row, (frame, one) in enumerate(zip(frames, labelled, strict=True)):
        for place, known in enumerate(one.answers):
            # A sentence that the window cut off is not to be judged.
            if known is not None and (frame.members == QUESTION + 1 + place).any():
                answers[row, place] = int(known)
        if not one.parts_known:
            continue
        if one.part is None:
            starts[row, 0] = ends[row, 0] = 1
            continue
        inside = np.flatnonzero((frame.offsets[:, 1] > one.part.start) & (frame.offsets[:, 0] < one.part.end))
        if len(inside):
            starts[row, inside[0]] = ends[row, inside[-1]] = 1
    tensors = (padded.ids, padded.mask, padded.types, padded.members, padded.numbers)
    return TrainingBatch(
        tuple(map(torch.from_numpy, tensors)),
        torch.tensor(owner),
        torch.from_numpy(answers),
        torch.from_numpy(starts),
        torch.from_numpy(ends),
    )
