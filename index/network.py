"""The reader's network, in torch. Imported only where a reader is trained or prepared; serving does not need it.

A passage is read once, together with the question, by a BERT-like encoder. A sentence's logit is the sum of how near
its tokens' mean is to the question's (what the encoder's pre-training taught it: before training there is hardly more),
what a linear layer says to that mean and to the whole passage, and how much of the answer starts and ends in it.
Logits are log-odds against "nothing answers", whose own logit is 0, for all passages of a question alike (shared
normalization: Clark and Gardner 2018, arXiv:1710.10723).
"""

import torch
from torch import Tensor, nn

# Stands for minus infinity, with which sums of logarithms would yield NaN in half precision.
NEVER = -1e4


class ReaderNetwork(nn.Module):
    """Question and passage in; a logit for each sentence and, for each token, for an answer's start and end, out."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        """Build on `encoder`, which is called as a `transformers` BERT model; width: of its token vectors."""
        super().__init__()
        self.encoder = encoder
        self.ends = nn.Linear(width, 2)
        self.sentence = nn.Linear(width, 1)
        self.passage = nn.Linear(width, 1, bias=False)
        for layer in (self.ends, self.sentence, self.passage):
            nn.init.normal_(layer.weight, std=0.02)
        nn.init.zeros_(self.ends.bias)
        nn.init.constant_(self.sentence.bias, -6.0)
        self.nearness = nn.Parameter(torch.tensor(10.0))
        self.extent = nn.Parameter(torch.tensor(0.25))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, members: Tensor, numbers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return logits of sentences, shape (passages, sentences), and of ends, shape (passages, tokens, 2).

        members: int64, shape (passages, tokens): NOTHING, QUESTION, or which of `numbers` the token's sentence has.
        numbers: int64, shape (1 + sentences,): QUESTION and the numbers after it, in order. A sentence without tokens
        gets NEVER or less. Ends are relative to those of the first token, which stands for "not in this passage".
        """
        tokens = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        belongs = (members.unsqueeze(1) == numbers.view(1, -1, 1)).to(tokens.dtype)
        sizes = belongs.sum(-1, keepdim=True)
        means = belongs @ tokens / sizes.clamp(min=1)
        directions = nn.functional.normalize(means, dim=-1)
        nearness = (directions[:, 1:] * directions[:, :1]).sum(-1)
        ends = self.ends(tokens)
        ends = ends - ends[:, :1]
        absent = NEVER * (1 - belongs[:, 1:])
        extent = sum(torch.logsumexp(ends[:, None, :, end] + absent, dim=-1) for end in (0, 1))
        logits = self.nearness * nearness + self.extent * extent
        logits = logits + self.sentence(means[:, 1:]).squeeze(-1) + self.passage(tokens[:, 0])
        return logits + NEVER * (sizes[:, 1:, 0] == 0), ends
