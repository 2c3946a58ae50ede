import math

import pytest
import torch
from torch import Tensor

from training.batches import UNKNOWN, TrainingBatch
from training.losses import ends_loss, ranking_loss, sentence_loss

FAR = 30.0


def labelled(answers: list[list[int]], question: list[int]) -> TrainingBatch:
    rows = len(answers)
    nothing = torch.zeros(rows, 4)
    members = torch.tensor([[0, 1, 2, 3]]).repeat(rows, 1)
    inputs = (torch.zeros(rows, 4), torch.ones(rows, 4), torch.zeros(rows, 4), members, torch.arange(1, 4))
    return TrainingBatch(inputs, torch.tensor(question), torch.tensor(answers), nothing, nothing)


def test_the_ranking_loss_is_that_of_a_softmax_over_all_passages_and_nothing() -> None:
    batch = labelled([[1, 0], [0, UNKNOWN]], [0, 0])
    logits = torch.tensor([[2.0, 1.0], [0.5, 9.0]])
    total = math.log(math.exp(2.0) + math.exp(1.0) + math.exp(0.5) + 1)
    assert ranking_loss(logits, batch, 1).item() == pytest.approx(total - 2.0, abs=1e-5)


def test_where_nothing_answers_nothing_is_to_win() -> None:
    batch = labelled([[0, 0], [1, 0]], [0, 1])
    silent = torch.tensor([[-FAR, -FAR], [FAR, -FAR]])
    loud = torch.tensor([[FAR, -FAR], [FAR, -FAR]])
    assert ranking_loss(silent, batch, 2).item() == pytest.approx(0, abs=1e-5)
    assert ranking_loss(loud, batch, 2).item() == pytest.approx(FAR / 2, abs=1e-3)


def test_a_question_does_not_compete_with_another() -> None:
    alone = ranking_loss(torch.tensor([[1.0, 0.0]]), labelled([[1, 0]], [0]), 1)
    both = ranking_loss(torch.tensor([[1.0, 0.0], [9.0, 9.0]]), labelled([[1, 0], [1, 1]], [0, 1]), 2)
    assert both.item() < alone.item()


def test_what_is_not_known_is_not_judged() -> None:
    batch = labelled([[1, UNKNOWN]], [0])
    losses = [sentence_loss(torch.tensor([[3.0, other]]), batch).item() for other in (-5.0, 5.0)]
    assert losses[0] == losses[1]


def test_where_an_answer_ends_is_learnt_from_passages_that_are_labelled() -> None:
    batch = labelled([[1, 0], [0, 0]], [0, 1])
    starts = torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 0]])
    labelled_batch = TrainingBatch(batch.inputs, batch.question, batch.answers, starts, starts)

    def loss(row: int, place: int) -> float:
        ends = torch.zeros(2, 4, 2)
        ends[row, place] = FAR
        return ends_loss(ends, labelled_batch).item()

    assert loss(0, 2) == pytest.approx(0, abs=1e-5)
    assert loss(0, 3) > 1
    assert loss(1, 3) == loss(1, 2)  # of the second passage it is not known


def test_gradients_are_finite_where_a_question_has_no_known_sentence() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    loss = ranking_loss(logits, labelled([[UNKNOWN, UNKNOWN]], [0]), 1)
    torch.autograd.backward(loss)
    gradient: Tensor | None = logits.grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
