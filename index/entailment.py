"""Entailment: whether a sentence supports a statement, opposes it, or does neither, and how likely that is.

Ours is prepared once and from then on runs without torch. Any other cross-encoder for natural language inference runs
in torch.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from index.encoding import Device, gpu_is_there
from index.errors import EntailmentError, WeightsError
from index.pairs import PairFrame, PairFramer, pad
from index.runtime import Compiled, read_model
from index.shipped import Kind, Prepared, Shipped, encoder_on, store

if TYPE_CHECKING:
    import torch

    from index.entailment_network import EntailmentNetwork


# What an entailment model can be called: ours, and none; all else is a model's name or folder.
DEFAULT_ENTAILMENT, NO_ENTAILMENT = "quoteline", "none"
# The trained weights, as they are shipped.
WEIGHTS = Path(__file__).parent / "weights" / "entailment"
KIND = Kind("entailment", "the entailment model", EntailmentError)
# Neighbours in length are judged so many at a time, padded to a multiple of STEP tokens, by one model for any shape (35
# MB). 8 pairs of 60 tokens take 1.2 times as long one by one; a model for each of several widths would take 38 MB more.
ROWS, STEP = 4, 16
# Pairs that torch reads at a time.
BATCH = 16

Relation = Literal["supports", "opposes"]
# What the network's logits stand for, in order.
_RELATIONS = ("supports", "opposes", "neither")


@dataclass(frozen=True, slots=True)
class Stance:
    """How likely a premise supports a hypothesis, and how likely it opposes it; the rest of 1 is "neither"."""

    supports: float
    opposes: float

    def __post_init__(self) -> None:
        # Rounding makes a sum of 1 a little more.
        if not (self.supports >= 0 and self.opposes >= 0 and self.supports + self.opposes <= 1 + 1e-6):
            raise ValueError(f"not the probabilities of two things that exclude each other: {self}")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How likely each must be to be said; infinite where it never is."""

    supports: float
    opposes: float

    def __post_init__(self) -> None:
        if not (self.supports > 0 and self.opposes > 0):
            raise ValueError(f"thresholds from which everything would be said: {self}")

    def said(self, stance: Stance) -> Relation | None:
        """Return what is likely enough to be said, the likelier where both are; None where the model is not sure."""
        over: dict[Relation, float] = {}
        if stance.supports >= self.supports:
            over["supports"] = stance.supports
        if stance.opposes >= self.opposes:
            over["opposes"] = stance.opposes
        return max(over, key=lambda relation: over[relation], default=None)


class Entailment(Protocol):
    """Judges sentences against statements.

    name: the model's name and a digest of its weights. thresholds: from where on a stance may be said; of ours, chosen
    for a precision of .88 on held-out data; what it reached elsewhere is in its model card.
    """

    @property
    def name(self) -> str: ...
    @property
    def thresholds(self) -> Thresholds: ...

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        """Return for each pair, in order, how its premise stands to its hypothesis.

        pairs: (premise, hypothesis): a sentence of an article, and a statement or a yes-or-no question. A pair's stance
        does not depend on the others, but for rounding. Of what is too long, the end is not read.
        """
        ...


def load_entailment(
    model: str, models: Path, *, device: Device = "cpu", thresholds: Thresholds | None = None
) -> Entailment | None:
    """Return the model of that name or folder, ours, prepared under `models` if it is not yet, or none.

    thresholds: in place of the model's own. On `cuda`, and with `auto` where a GPU is there, ours runs in torch as all
    others do. Raises EntailmentError where the model cannot be had, EncoderError where the public weights below ours
    cannot, WeightsError where files are not those that were shipped or prepared.
    """
    if model == NO_ENTAILMENT:
        return None
    on_gpu = device == "cuda" or (device == "auto" and gpu_is_there())
    if model != DEFAULT_ENTAILMENT:
        # Imported here, because it knows what an entailment model is from this file.
        from index.crossencoders import load_foreign_entailment

        return load_foreign_entailment(model, thresholds, device="cuda" if on_gpu else "cpu")
    shipped, scaling = Shipped.of(KIND, WEIGHTS), Scaling.of(WEIGHTS)
    if thresholds is not None:
        scaling = replace(scaling, thresholds=thresholds)
    if on_gpu:
        return NetworkEntailment(*shipped.merged(base_network), scaling, name=shipped.full_name, device="cuda")
    return OpenVinoEntailment(shipped.prepared(models, base_network, _examples), scaling)


# Ours


@dataclass(frozen=True, slots=True)
class Scaling:
    """How the network's logits become probabilities, and from where on these may be said.

    softmax(scale * logits + bias), fitted on data that training had not seen: vector scaling (Guo et al. 2017,
    arXiv:1706.04599). scale, bias: three each, in the order of the logits.
    """

    scale: tuple[float, ...]
    bias: tuple[float, ...]
    thresholds: Thresholds

    @classmethod
    def of(cls, weights: Path) -> "Scaling":
        """Read it from the folder of the shipped weights; a threshold of null is never reached. Raises WeightsError."""
        path = weights / KIND.manifest
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            scale, bias = (_numbers(told["calibration"][part]) for part in ("scale", "bias"))
            said = {name: math.inf if value is None else float(value) for name, value in told["thresholds"].items()}
            return cls(scale, bias, Thresholds(**said))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise WeightsError(f"{path} cannot be read; install Quoteline again") from error

    def stances(self, logits: NDArray[np.float32]) -> list[Stance]:
        """Return the stances of logits, shape (pairs, 3)."""
        scaled = logits * np.array(self.scale) + np.array(self.bias)
        likely = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        likely /= likely.sum(axis=-1, keepdims=True)
        return [Stance(supports, opposes) for supports, opposes, _ in likely.tolist()]


def _numbers(told: Mapping[str, float]) -> tuple[float, ...]:
    """Return a number for each relation. Raises ValueError where one is none."""
    numbers = tuple(float(told[relation]) for relation in _RELATIONS)
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"not numbers: {numbers}")
    return numbers


class OpenVinoEntailment:
    """A prepared entailment model, in OpenVINO on the CPU. Safe to call from several threads."""

    def __init__(self, folder: Path, scaling: Scaling) -> None:
        self._name = Prepared.of(KIND, folder).name
        self._framer = _framer(folder / "tokenizer.json")
        self._scaling = scaling
        self._model = Compiled(read_model(folder / "model.xml"))

    @property
    def name(self) -> str:
        return self._name

    @property
    def thresholds(self) -> Thresholds:
        return self._scaling.thresholds

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        frames = self._framer.frames(pairs)
        logits = np.empty((len(frames), len(_RELATIONS)), dtype=np.float32)
        by_length = sorted(range(len(frames)), key=lambda row: len(frames[row]))
        for first in range(0, len(frames), ROWS):
            rows = by_length[first : first + ROWS]
            longest = len(frames[rows[-1]])
            batch = pad([frames[row] for row in rows], width=-(-longest // STEP) * STEP)
            [logits[rows]] = self._model(batch.ids, batch.mask, batch.types)
        return self._scaling.stances(logits)


class NetworkEntailment:
    """Our network in torch: on a GPU, and while it is trained. Safe to call from several threads."""

    def __init__(
        self, network: "EntailmentNetwork", tokenizer: Path, scaling: Scaling, *, name: str, device: str
    ) -> None:
        self._network = network.to(device).eval()
        self._framer = _framer(tokenizer)
        self._scaling = scaling
        self._name = name
        self._device = device

    @property
    def name(self) -> str:
        return self._name

    @property
    def thresholds(self) -> Thresholds:
        return self._scaling.thresholds

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        frames = self._framer.frames(pairs)
        return [
            stance
            for first in range(0, len(frames), BATCH)
            for stance in self._scaling.stances(self._logits(frames[first : first + BATCH]))
        ]

    def _logits(self, frames: Sequence[PairFrame]) -> NDArray[np.float32]:
        import torch

        batch = pad(frames)
        with torch.inference_mode():
            logits = self._network(
                *(torch.from_numpy(one).to(self._device) for one in (batch.ids, batch.mask, batch.types))
            )
        found: NDArray[np.float32] = logits.float().cpu().numpy()
        return found


def _framer(tokenizer: Path) -> PairFramer:
    from tokenizers import Tokenizer

    return PairFramer(Tokenizer.from_file(str(tokenizer)))


# Ours, prepared


def store_entailment(
    network: "EntailmentNetwork", tokenizer: Path, folder: Path, *, name: str, model: str, weights: str
) -> None:
    """Convert a network and store it in `folder`, whole or not at all, as OpenVinoEntailment loads it.

    tokenizer: a tokenizer.json. model: what the network was made from; weights: the digest of its weights.
    """
    store(KIND, network, _examples(), tokenizer, folder, name=name, model=model, weights=weights)


def base_network(base: Path, *, attention: str = "sdpa") -> "EntailmentNetwork":
    """Return our network before training: the encoder in the folder `base`, below a head of chance.

    attention: as `transformers` calls its implementations; `eager` is the faster to train on a processor.
    """
    from index.entailment_network import EntailmentNetwork

    encoder = encoder_on(base, attention=attention)
    return EntailmentNetwork(encoder, encoder.config.hidden_size)


def _examples() -> "list[torch.Tensor]":
    """Return inputs of two pairs; the second is padded, so that the mask counts."""
    import torch

    ids = torch.full((2, 10), 7)
    mask = torch.tensor([[1] * 10, [1] * 8 + [0] * 2])
    types = torch.tensor([[0] * 4 + [1] * 6, [0] * 4 + [1] * 4 + [0] * 2])
    return [ids, mask, types]
