"""Logits -> probabilities, and from which of these on something may be said; fitted on pairs that were held out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from index.entailment_network import RELATIONS
from training.entailing.pairs import OPPOSES, SUPPORTS, Pair

# What is said is to be right this often, of each source that was held out; more than .85, as it is chosen there.
PRECISION = 0.88
# What is said of one source counts for the choice from so much on; and so much must be said of all together.
FEWEST_OF_ONE = 4
FEWEST = 20


@dataclass(frozen=True, slots=True)
class Calibration:
    """softmax(scale * logits + bias): vector scaling (Guo et al. 2017, arXiv:1706.04599), in the order of RELATIONS.

    thresholds: of supports and opposes; None where none reaches the precision.
    """

    scale: tuple[float, ...]
    bias: tuple[float, ...]
    thresholds: tuple[float | None, float | None]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return probabilities of logits, both of shape (pairs, 3)."""
        return (logits * torch.tensor(self.scale) + torch.tensor(self.bias)).softmax(-1)

    def told(self) -> dict[str, dict[str, float | None]]:
        """Return it as the manifest of the weights tells it."""
        return {
            "scale": dict(zip(RELATIONS, self.scale, strict=True)),
            "bias": dict(zip(RELATIONS, self.bias, strict=True)),
            "thresholds": dict(zip(RELATIONS, self.thresholds, strict=False)),
        }


def calibrate(pairs: Sequence[Pair], logits: Tensor) -> Calibration:
    """Fit on pairs and their logits, shape (pairs, 3); all sources weigh the same."""
    weights = _weights(pairs)
    relations = torch.tensor([pair.relation for pair in pairs])
    scale, bias = torch.ones(len(RELATIONS), requires_grad=True), torch.zeros(len(RELATIONS), requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        each = nn.functional.cross_entropy(logits * scale + bias, relations, reduction="none")
        total = (each * weights).sum() + 1e-3 * ((scale - 1) ** 2).sum()
        torch.autograd.backward(total)
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    fitted = Calibration(tuple(scale.tolist()), tuple(bias.tolist()), (None, None))
    likely = fitted.probabilities(logits)
    sources = [pair.source for pair in pairs]
    thresholds = [threshold(likely[:, one], relations == one, sources) for one in (SUPPORTS, OPPOSES)]
    return Calibration(fitted.scale, fitted.bias, (thresholds[0], thresholds[1]))


def threshold(likely: Tensor, right: Tensor, sources: Sequence[str]) -> float | None:
    """Return the least probability from which on enough is right, of each source of which something is still said.

    None where so little can be said at such a precision that it may be chance.
    """
    rows = {one: torch.tensor([source == one for source in sources]) for one in set(sources)}
    for least in sorted({one for one in likely.tolist() if one > 1 / 2}):
        said = likely >= least
        if int(said.sum()) < FEWEST:
            return None
        of_each = [right[said & own].float() for own in rows.values()]
        if all(len(one) < FEWEST_OF_ONE or one.mean() >= PRECISION for one in of_each):
            return float(least)
    return None


def _weights(pairs: Sequence[Pair]) -> Tensor:
    counts = Counter(pair.source for pair in pairs)
    return torch.tensor([1 / (counts[pair.source] * len(counts)) for pair in pairs])


def is_calibrated_on(pair: Pair) -> bool:
    """Whether a pair that was held out counts.

    What facts from outside the premise decide does not, nor what was made by rules that training has seen all of; of
    events, those that are held out are others than training's.
    """
    return pair.source == "events, made" or not (pair.source == "strategyqa" or pair.source.endswith(", made"))
