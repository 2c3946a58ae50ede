from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from index.frames import NOTHING, QUESTION

if TYPE_CHECKING:
    import torch

    from index.network import ReaderNetwork

pytestmark = pytest.mark.model  # torch alone takes seconds to import
WIDTH = 8
# [CLS] q q [SEP] title a a b b b [SEP]
MEMBERS = [NOTHING, QUESTION, QUESTION, NOTHING, NOTHING, 2, 2, 3, 3, 3, NOTHING]


@pytest.fixture
def network() -> "ReaderNetwork":
    import torch

    from index.network import ReaderNetwork

    class Words(torch.nn.Module):
        """An encoder in which a token's vector is its word's, whatever stands around it."""

        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(100, WIDTH)

        def forward(self, input_ids: torch.Tensor, **_: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(last_hidden_state=self.words(input_ids))

    torch.manual_seed(0)
    return ReaderNetwork(Words(), WIDTH).eval()


def run(network: "ReaderNetwork", ids: Any, members: Any, numbers: Any) -> "tuple[torch.Tensor, torch.Tensor]":  # noqa: ANN401 - nested lists
    import torch

    tokens = torch.tensor(ids)
    with torch.no_grad():
        logits, ends = network(
            tokens, (tokens > 0).long(), torch.zeros_like(tokens), torch.tensor(members), torch.tensor(numbers)
        )
    return logits, ends


IDS = [1, 11, 12, 2, 50, 11, 12, 31, 32, 33, 2]


def test_a_sentences_logit_is_the_sum_that_is_documented(network: "ReaderNetwork") -> None:
    import torch

    logits, ends = run(network, [IDS], [MEMBERS], [1, 2, 3])
    with torch.no_grad():
        vectors = network.encoder(torch.tensor([IDS])).last_hidden_state[0]
        asked, mean = vectors[1:3].mean(0), vectors[7:10].mean(0)
        wanted = 10 * torch.cosine_similarity(asked, mean, dim=0) + network.sentence(mean)[0]
        wanted += network.passage(vectors[0])[0]
        relative = network.ends(vectors) - network.ends(vectors[0])
        wanted += 0.25 * relative[7:10].logsumexp(0).sum()
    assert logits.shape == (1, 2)
    assert logits[0, 1].item() == pytest.approx(wanted.item(), abs=1e-4)
    assert torch.allclose(ends[0], relative, atol=1e-6)


def test_before_training_the_sentence_with_the_questions_words_is_first(network: "ReaderNetwork") -> None:
    logits, _ = run(network, [IDS], [MEMBERS], [1, 2, 3])
    assert logits[0, 0] > logits[0, 1] + 2


def test_padding_and_room_for_more_sentences_change_no_logit(network: "ReaderNetwork") -> None:
    import torch

    alone, ends = run(network, [IDS], [MEMBERS], [1, 2, 3])
    rows = [[*IDS, 0, 0, 0], [1, 13, 2, 41, 42, 43, 2, 0, 0, 0, 0, 0, 0, 0]]
    members = [[*MEMBERS, 0, 0, 0], [0, 1, 0, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]]
    padded, padded_ends = run(network, rows, members, [1, 2, 3, 4, 5])
    assert torch.allclose(padded[0, :2], alone[0], atol=1e-4)
    assert torch.allclose(padded_ends[0, : len(IDS)], ends[0], atol=1e-5)
    assert bool((padded[0, 2:] < -5000).all())
    assert bool((padded[1, :3] > -1000).all())


def test_a_question_without_tokens_gives_finite_logits(network: "ReaderNetwork") -> None:
    logits, ends = run(network, [[1, 2, 31, 2]], [[0, 0, 2, 0]], [1, 2, 3])
    assert bool(logits.isfinite().all())
    assert bool(ends.isfinite().all())


def test_every_parameter_learns_something(network: "ReaderNetwork") -> None:
    import torch

    tokens = torch.tensor([IDS])
    logits, ends = network(
        tokens, torch.ones_like(tokens), torch.zeros_like(tokens), torch.tensor([MEMBERS]), torch.tensor([1, 2, 3])
    )
    (logits[0, 0] + ends[0, 5, 0] + ends[0, 6, 1]).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        # Ends are relative to the first token's: what is added to all of them is nobody's business.
        assert bool(parameter.grad.isfinite().all()), name
        assert name == "ends.bias" or bool(parameter.grad.any()), name
