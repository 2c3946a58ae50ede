"""The training loop: examples in, a trained network out."""

import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from index.entailment_network import EntailmentNetwork
from index.frames import Framer
from index.network import ReaderNetwork
from training.batches import TrainingBatch, batch
from training.examples import Example, Labelled
from training.losses import ends_loss, ranking_loss, sentence_loss
from training.variety import unanswerable, varied


@dataclass(frozen=True, slots=True)
class Recipe:
    """How it is trained.

    passes: how often each source is gone through. questions: in a batch; passages: read for each. frozen: layers of
    the encoder that keep their weights, from below, besides the embeddings. altered: the share of answerable questions
    that are asked with one thing swapped, so that nothing answers them. dropped: the share of channels that each layer
    does without, others for each passage. share: how often the weights after it are in the mean that is shipped.
    """

    passes: dict[str, float]
    questions: int = 12
    passages: int = 2
    frozen: int = 1
    rate: float = 1e-4
    head_rate: float = 1e-3
    warm_up: int = 100
    altered: float = 0.12
    without_answer: float = 0.1
    dropped: float = 0.1
    seed: int = 7
    share: int = 1


def train(
    network: ReaderNetwork, tokenizer: Path, examples: Sequence[Example], recipe: Recipe, checkpoint: Path
) -> None:
    """Train `network` in place on `examples`; its weights are written to `checkpoint` now and then."""
    chance = random.Random(recipe.seed)
    torch.manual_seed(recipe.seed)
    framer = Framer(Tokenizer.from_file(str(tokenizer)))
    batches = list(_batches(examples, recipe, chance))
    body, heads = trainable(network, recipe.frozen)
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": recipe.rate}, {"params": heads, "lr": recipe.head_rate}], weight_decay=0.01, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / recipe.warm_up) * (1 - step / len(batches))
    )
    network.eval()  # without the encoder's own dropout, whose random numbers cost as much as the rest of a forward pass
    dropping = drop_channels(network, recipe)
    said = saved = started = time.monotonic()
    tokens, losses = 0, [0.0, 0.0, 0.0]
    for step, few in enumerate(batches, start=1):
        made = batch(framer, few, [choose(one, recipe, chance) for one in few])
        parts = _losses(network, made, len(few))
        torch.autograd.backward(parts[0] + 0.5 * parts[1] + 0.5 * parts[2])
        nn.utils.clip_grad_norm_([*body, *heads], 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        tokens += int(made.inputs[1].sum())
        losses = [0.99 * one + 0.01 * part.item() for one, part in zip(losses, parts, strict=True)]
        now = time.monotonic()
        if now - said > 30 or step == len(batches):
            said = now
            shown = " ".join(f"{one / (1 - 0.99**step):.3f}" for one in losses)
            rate = tokens / (now - started)
            print(f"{step}/{len(batches)} {shown} {rate:,.0f} tokens/s", file=sys.stderr, flush=True)
        if now - saved > 240 or step == len(batches):
            saved = now
            torch.save(network.state_dict(), checkpoint)
    for handle in dropping:
        handle.remove()


def trainable(network: ReaderNetwork | EntailmentNetwork, frozen: int) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters that are trained, of the encoder and of the heads; all others are frozen."""
    fixed = ("encoder.embeddings.", "encoder.pooler.", *(f"encoder.encoder.layer.{layer}." for layer in range(frozen)))
    body: list[nn.Parameter] = []
    heads: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        parameter.requires_grad = not name.startswith(fixed)
        if parameter.requires_grad:
            (body if name.startswith("encoder.") else heads).append(parameter)
    return body, heads


def drop_channels(network: ReaderNetwork | EntailmentNetwork, recipe: Recipe) -> list[RemovableHandle]:
    """Have the trained layers add what they make without a share of its channels, the same ones for all tokens.

    Variational dropout (Gal and Ghahramani 2016, arXiv:1512.05287): one random number for each channel of a passage.
    """

    def drop(_module: nn.Module, _inputs: object, made: Tensor) -> Tensor:
        kept = torch.rand(made.shape[0], 1, made.shape[2]) >= recipe.dropped
        return made * (kept / (1 - recipe.dropped)).to(made.dtype)

    handles = []
    for name, module in network.encoder.named_modules():
        number = re.fullmatch(r"encoder\.layer\.(\d+)\.(attention\.)?output\.dense", name)
        if number and int(number[1]) >= recipe.frozen:
            handles.append(module.register_forward_hook(drop))
    return handles


def choose(example: Example, recipe: Recipe, chance: random.Random) -> list[Labelled]:
    """Return the passages to read: one that answers, nearly always, and others from the hardest few."""
    right = [one for one in example.passages if one.helps]
    wrong = [one for one in example.passages if not one.helps]
    with_answer = right and (chance.random() >= recipe.without_answer or not wrong)
    first, rest = (chance.choice(right), wrong) if with_answer else (wrong[0], wrong[1:])
    rest = rest[:5]
    return [first, *chance.sample(rest, min(len(rest), recipe.passages - 1))]


def _batches(examples: Sequence[Example], recipe: Recipe, chance: random.Random) -> Iterator[list[Example]]:
    """Yield batches of questions with passages of about one length, in random order."""
    drawn: list[Example] = []
    for source, passes in recipe.passes.items():
        own = [one for one in examples if one.source == source]
        for _ in range(int(passes)):
            drawn += own
        drawn += chance.sample(own, int(len(own) * (passes % 1)))
    drawn = [
        (one.answerable and chance.random() < recipe.altered and unanswerable(one, chance)) or varied(one, chance)
        for one in drawn
    ]
    chance.shuffle(drawn)
    pool = 20 * recipe.questions
    batches = []
    for first in range(0, len(drawn), pool):
        few = sorted(drawn[first : first + pool], key=_length)
        batches += [few[start : start + recipe.questions] for start in range(0, len(few), recipe.questions)]
    chance.shuffle(batches)
    yield from batches


def _length(example: Example) -> int:
    return len(example.question) + max(len(one.context.text) for one in example.passages[:2])


def _losses(network: ReaderNetwork, made: TrainingBatch, questions: int) -> tuple[Tensor, Tensor, Tensor]:
    # Short passages apart from long ones: less of it is padding.
    lengths = made.inputs[1].sum(-1)
    order = torch.argsort(lengths)
    logits, ends = torch.full(made.answers.shape, -1e4), torch.zeros(*made.inputs[0].shape, 2)
    for rows in order.chunk(2):
        width = int(lengths[rows].max())
        ids, mask, types, members = (tensor[rows, :width] for tensor in made.inputs[:4])
        with torch.autocast("cpu", torch.bfloat16):
            of_sentences, of_ends = network(ids, mask, types, members, made.inputs[4])
        logits = logits.index_put((rows,), of_sentences.float())
        ends = ends.index_put((rows[:, None], torch.arange(width)[None]), of_ends.float())
    return ranking_loss(logits, made, questions), ends_loss(ends, made), sentence_loss(logits, made)
