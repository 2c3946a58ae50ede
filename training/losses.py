"""What training makes small."""

import torch
from torch import Tensor

from training.batches import UNKNOWN, TrainingBatch

# Stands for minus infinity.
NEVER = -1e4


def ranking_loss(logits: Tensor, batch: TrainingBatch, questions: int) -> Tensor:
    """Return the mean over questions of -log P(a sentence that answers, or "nothing" where none does).

    Over all sentences of all passages of a question and "nothing", whose logit is 0 (shared normalization: Clark and
    Gardner 2018). Sentences of which it is not known are left out.
    """
    known = batch.answers != UNKNOWN
    right = batch.answers == 1
    everything = _sums(torch.where(known, logits, NEVER), batch.question, questions)
    answering = _sums(torch.where(right, logits, NEVER), batch.question, questions)
    answerable = torch.zeros(questions).index_add(0, batch.question, right.any(-1).float()) > 0
    nothing = torch.zeros(questions)
    total = torch.logaddexp(everything, nothing)
    return (total - torch.where(answerable, answering, nothing)).mean()


def sentence_loss(logits: Tensor, batch: TrainingBatch) -> Tensor:
    """Return the mean binary cross-entropy of the sentences by themselves, of which it is known."""
    known = batch.answers != UNKNOWN
    return torch.nn.functional.binary_cross_entropy_with_logits(logits[known], batch.answers[known].float())


def ends_loss(ends: Tensor, batch: TrainingBatch) -> Tensor:
    """Return the mean over passages, of which it is known, of -log P(start) - log P(end); the first token is "none"."""
    mask = batch.inputs[1].bool()
    allowed = mask & (batch.inputs[3] > 1)
    allowed[:, 0] = True
    total = torch.zeros(())
    for end, wanted in ((0, batch.starts), (1, batch.ends)):
        rows = wanted.sum(-1) > 0
        if rows.any():
            logs = torch.log_softmax(torch.where(allowed, ends[..., end], NEVER)[rows], dim=-1)
            total = total - (logs * wanted[rows]).sum(-1).mean() / 2
    return total


def _sums(logits: Tensor, question: Tensor, questions: int) -> Tensor:
    """Return the logarithm of the sum of exponentials of each question's logits."""
    rows = torch.logsumexp(logits, dim=-1)
    highest = torch.full((questions,), NEVER).scatter_reduce(0, question, rows.detach(), "amax")
    shares = torch.zeros(questions).index_add(0, question, torch.exp(rows - highest[question]))
    return highest + torch.log(shares.clamp(min=1e-30))
