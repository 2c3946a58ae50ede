"""Reader: a question and passages -> how likely each of their sentences answers it, and with which words.

Ours is prepared once and from then on runs without torch. Any other cross-encoder or extractive question-answering
model runs in torch.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from index.articles import Span
from index.encoding import Context, Device, gpu_is_there
from index.errors import ReaderError
from index.frames import LONGEST_FRAME, QUESTION, Frame, Framer, pad
from index.parts import Floats, best_part, part_of
from index.runtime import Compiled, Shaped, read_model
from index.shipped import Kind, Prepared, Shipped, encoder_on, store

if TYPE_CHECKING:
    import torch

    from index.network import ReaderNetwork

# What a reader can be called: ours, and none; all else is a model's name or folder.
DEFAULT_READER, NO_READER = "quoteline", "none"
# The trained weights, as they are shipped.
WEIGHTS = Path(__file__).parent / "weights"
KIND = Kind("reader", "the reader", ReaderError)

# The score of a sentence that was cut off: lower than any that was read.
UNREAD = -1e4
# A frame is padded to one of these widths in tokens, all in one compiled model (100 MB, 0.6 s when it is first needed):
# 1.1 to 1.2 times as fast as a model for any length. Four frames at a time would be 1.2 times as fast again, for more
# memory, and would read passages that need not be read once the answer is clear.
WIDTHS = (128, 160, LONGEST_FRAME)
# Sentences that those models have room for; a passage of more is read by a model for any.
SENTENCES = 32
# Texts that torch reads at a time.
BATCH = 16


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader says of a sentence.

    score: log-odds that the sentence answers, against "nothing does"; UNREAD where it was cut off. part: the words of
    it that answer, as offsets in the passage's text; None where the reader cannot say. Where the sentence does not
    answer they are the likeliest of its words, and mean nothing.
    """

    score: float
    part: Span | None


class Reader(Protocol):
    """Judges sentences in their passages. name: the model's name and a digest of its weights."""

    @property
    def name(self) -> str: ...

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        """Return for each passage, in order, a reading of each of its sentences, in order.

        A passage's readings do not depend on the others, but for rounding. Scores of one reader can be compared, of
        whatever question; how likely a score is to be right is for a calibration to say.
        """
        ...


def load_reader(model: str, models: Path, *, device: Device = "cpu") -> Reader | None:
    """Return the reader of `model`: ours, prepared under `models` if it is not yet, a name's or folder's, or none.

    On `cuda`, and with `auto` where a GPU is there, ours runs in torch as all others do. Raises ReaderError where the
    model cannot be had, EncoderError where the public weights below ours cannot, WeightsError where files are not those
    that were shipped or prepared.
    """
    if model == NO_READER:
        return None
    on_gpu = device == "cuda" or (device == "auto" and gpu_is_there())
    if model != DEFAULT_READER:
        # Imported here, because it knows what a reader is from this file.
        from index.crossencoders import load_foreign_reader

        return load_foreign_reader(model, device="cuda" if on_gpu else "cpu")
    shipped = Shipped.of(KIND, WEIGHTS)
    if on_gpu:
        return NetworkReader(*shipped.merged(base_network), name=shipped.full_name, device="cuda")
    return OpenVinoReader(shipped.prepared(models, base_network, _examples))


# Ours


class OpenVinoReader:
    """A prepared reader, in OpenVINO on the CPU. Safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        self._name = Prepared.of(KIND, folder).name
        self._framer = _framer(folder / "tokenizer.json")
        self._model = read_model(folder / "model.xml")
        self._compiling = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        frames = self._framer.frames(question, passages)
        return [self._read(frame, passage) for frame, passage in zip(frames, passages, strict=True)]

    def _read(self, frame: Frame, passage: Context) -> list[Reading]:
        if not frame.sentences:
            return []
        fits = frame.sentences <= SENTENCES
        width = next(width for width in WIDTHS if width >= len(frame)) if fits else None
        batch = pad([frame], width=width)
        numbers = np.arange(QUESTION, QUESTION + 1 + SENTENCES) if fits else batch.numbers
        # Made when it is first needed, once.
        with self._compiling:
            model = self._shaped if fits else self._for_any
        logits, ends = model(batch.ids, batch.mask, batch.types, batch.members, numbers)
        return _readings(frame, passage, logits[0], ends[0])

    @cached_property
    def _shaped(self) -> Shaped:
        return Shaped(self._model, [[(1, width)] * 4 + [(1 + SENTENCES,)] for width in WIDTHS])

    @cached_property
    def _for_any(self) -> Compiled:
        return Compiled(self._model)


class NetworkReader:
    """Our network in torch: on a GPU, and while it is trained. Safe to call from several threads."""

    def __init__(self, network: "ReaderNetwork", tokenizer: Path, *, name: str, device: str) -> None:
        self._network = network.to(device).eval()
        self._framer = _framer(tokenizer)
        self._name = name
        self._device = device

    @property
    def name(self) -> str:
        return self._name

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        frames = self._framer.frames(question, passages)
        found: list[list[Reading]] = []
        for first in range(0, len(frames), BATCH):
            some = frames[first : first + BATCH]
            for frame, passage, outputs in zip(some, passages[first:], self._outputs(some), strict=False):
                found.append(_readings(frame, passage, *outputs))
        return found

    def _outputs(self, frames: Sequence[Frame]) -> list[tuple[Floats, Floats]]:
        import torch

        batch = pad(frames)
        inputs = (batch.ids, batch.mask, batch.types, batch.members, batch.numbers)
        with torch.inference_mode():
            logits, ends = self._network(*(torch.from_numpy(one).to(self._device) for one in inputs))
        return list(zip(logits.float().cpu().numpy(), ends.float().cpu().numpy(), strict=True))


def _readings(frame: Frame, passage: Context, logits: Floats, ends: Floats) -> list[Reading]:
    """Return the readings of a passage; logits: at least one for each sentence; ends: shape (tokens, 2)."""
    found = []
    for number, sentence in enumerate(passage.spans):
        tokens = np.flatnonzero(frame.members == QUESTION + 1 + number)
        if not len(tokens):
            found.append(Reading(UNREAD, None))
            continue
        _, place = best_part(ends[tokens, 0], ends[tokens, 1])
        found.append(Reading(float(logits[number]), part_of(passage.text, sentence, frame.offsets[tokens], place)))
    return found


def _framer(tokenizer: Path) -> Framer:
    from tokenizers import Tokenizer

    return Framer(Tokenizer.from_file(str(tokenizer)))


def store_reader(
    network: "ReaderNetwork", tokenizer: Path, folder: Path, *, name: str, model: str, weights: str
) -> None:
    """Convert a network and store it in `folder`, whole or not at all, as OpenVinoReader loads it.

    tokenizer: a tokenizer.json. model: what the network was made from; weights: the digest of its weights.
    """
    store(KIND, network, _examples(), tokenizer, folder, name=name, model=model, weights=weights)


def base_network(base: Path, *, attention: str = "sdpa") -> "ReaderNetwork":
    """Return our network before training: the encoder in the folder `base`, below heads of chance.

    attention: as `transformers` calls its implementations. Converted, `sdpa` is 1.15 times as fast as `eager`; trained
    on a processor, `eager` is the faster.
    """
    from index.network import ReaderNetwork

    encoder = encoder_on(base, attention=attention)
    return ReaderNetwork(encoder, encoder.config.hidden_size)


def _examples() -> "list[torch.Tensor]":
    """Return inputs of two passages, of three sentences and of two; the second is padded, so that the mask counts."""
    import torch

    ids = torch.full((2, 10), 7)
    mask = torch.tensor([[1] * 10, [1] * 8 + [0] * 2])
    types = torch.tensor([[0] * 4 + [1] * 6, [0] * 4 + [1] * 4 + [0] * 2])
    members = torch.tensor([[0, 1, 1, 0, 2, 2, 3, 3, 4, 0], [0, 1, 1, 0, 2, 2, 3, 0, 0, 0]])
    return [ids, mask, types, members, torch.arange(QUESTION, QUESTION + 4)]
