"""The entailment model's network, in torch. Imported only where it is trained or prepared; serving does not need it.

Hypothesis and premise are read together by a BERT-like encoder: [CLS] hypothesis [SEP] premise [SEP]. From the first
token and from the means of both sides, their product and how far they are apart (as in InferSent: Conneau et al. 2017,
arXiv:1705.02364) two layers make the logits.
"""

import torch
from torch import Tensor, nn

# What the columns of the logits stand for, in order.
RELATIONS = ("supports", "opposes", "neither")


class EntailmentNetwork(nn.Module):
    """Hypothesis and premise in; logits of supports, opposes and neither out."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        """Build on `encoder`, which is called as a `transformers` BERT model; width: of its token vectors."""
        super().__init__()
        self.encoder = encoder
        self.compared = nn.Linear(5 * width, width)
        self.relation = nn.Linear(width, len(RELATIONS))
        for layer in (self.compared, self.relation):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Return logits, float32, shape (rows, 3), in the order of RELATIONS.

        All inputs: int64, shape (rows, tokens). token_type_ids: 0 up to the first [SEP], 1 after it; 0 in padding.
        """
        tokens = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        hypothesis = _mean(tokens, attention_mask * (1 - token_type_ids))
        premise = _mean(tokens, attention_mask * token_type_ids)
        both = [tokens[:, 0], hypothesis, premise, hypothesis * premise, (hypothesis - premise).abs()]
        logits: Tensor = self.relation(torch.tanh(self.compared(torch.cat(both, dim=-1))))
        return logits.float()


def _mean(tokens: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean of the chosen tokens of each row, brought to mean 0 and variance 1: the encoder's differ."""
    weights = chosen.to(tokens.dtype).unsqueeze(-1)
    mean = (tokens * weights).sum(1) / weights.sum(1).clamp(min=1)
    return nn.functional.layer_norm(mean, mean.shape[-1:])
