"""The training loop: pairs in, a trained network out."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from index.entailment_network import EntailmentNetwork
from index.pairs import PairFramer, pad
from training.entailing.pairs import Pair
from training.train import Recipe as Common
from training.train import drop_channels, trainable


@dataclass(frozen=True, slots=True)
class Recipe:
    """How it is trained; frozen, rates, warm_up and dropped as in `training.train.Recipe`. rows: in a batch."""

    rows: int = 24
    frozen: int = 1
    rate: float = 1e-4
    head_rate: float = 5e-4
    warm_up: int = 100
    dropped: float = 0.05
    seed: int = 7


def train(network: EntailmentNetwork, tokenizer: Path, pairs: Sequence[Pair], recipe: Recipe, checkpoint: Path) -> None:
    """Train `network` in place on `pairs`, each once; its weights are written to `checkpoint` now and then."""
    torch.manual_seed(recipe.seed)
    framer = PairFramer(Tokenizer.from_file(str(tokenizer)))
    batches = _batches(pairs, recipe, Random(recipe.seed))
    body, heads = trainable(network, recipe.frozen)
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": recipe.rate}, {"params": heads, "lr": recipe.head_rate}], weight_decay=0.01, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / recipe.warm_up) * (1 - step / len(batches))
    )
    network.eval()  # without the encoder's own dropout, whose random numbers cost as much as the rest of a forward pass
    dropping = drop_channels(network, Common(passes={}, frozen=recipe.frozen, dropped=recipe.dropped))
    said = saved = started = time.monotonic()
    tokens, mean = 0, 0.0
    for step, few in enumerate(batches, start=1):
        inputs = _inputs(framer, few)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(*inputs)
        loss = nn.functional.cross_entropy(logits.float(), torch.tensor([pair.relation for pair in few]))
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_([*body, *heads], 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        tokens += int(inputs[1].sum())
        mean = 0.99 * mean + 0.01 * loss.item()
        now = time.monotonic()
        if now - said > 30 or step == len(batches):
            said = now
            rate = tokens / (now - started)
            shown = f"{mean / (1 - 0.99**step):.3f} {rate:,.0f} tokens/s"
            print(f"{step}/{len(batches)} {shown}", file=sys.stderr, flush=True)
        if now - saved > 240 or step == len(batches):
            saved = now
            torch.save(network.state_dict(), checkpoint)
    for handle in dropping:
        handle.remove()


@torch.no_grad()
def logits_of(network: EntailmentNetwork, tokenizer: Path, pairs: Sequence[Pair]) -> Tensor:
    """Return the logits of pairs, float32, shape (pairs, 3), in their order."""
    framer = PairFramer(Tokenizer.from_file(str(tokenizer)))
    network.eval()
    made = torch.zeros(len(pairs), 3)
    order = sorted(range(len(pairs)), key=lambda row: _length(pairs[row]))
    for first in range(0, len(order), 32):
        rows = order[first : first + 32]
        made[rows] = network(*_inputs(framer, [pairs[row] for row in rows]))
    return made


def _inputs(framer: PairFramer, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor, Tensor]:
    batch = pad(framer.frames([(pair.premise, pair.hypothesis) for pair in pairs]))
    return torch.from_numpy(batch.ids), torch.from_numpy(batch.mask), torch.from_numpy(batch.types)


def _batches(pairs: Sequence[Pair], recipe: Recipe, chance: Random) -> list[list[Pair]]:
    """Return batches of pairs of about one length, in random order."""
    drawn = chance.sample(pairs, len(pairs))
    pool = 40 * recipe.rows
    batches = []
    for first in range(0, len(drawn), pool):
        few = sorted(drawn[first : first + pool], key=_length)
        batches += [few[start : start + recipe.rows] for start in range(0, len(few), recipe.rows)]
    chance.shuffle(batches)
    return batches


def _length(pair: Pair) -> int:
    return len(pair.premise) + len(pair.hypothesis)
