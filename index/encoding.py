"""Encoder: texts -> unit vectors.

A sentence-transformers model is prepared once (loaded, converted to OpenVINO, stored in a folder of its own) and from
then on runs without torch. Both runtimes give the same vectors to a cosine of 0.999.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from index.articles import Span

Vectors = NDArray[np.float32]
Device = Literal["auto", "cpu", "cuda"]

DEFAULT_MODEL = "all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class Context:
    """A passage as the encoder reads it: its article's title in front, then its own text.

    spans: the passage's sentences, as offsets in `text`.
    """

    title: str
    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """vector: float32, shape (dim,), of the passage. sentences: shape (spans, dim), one each. All of unit length."""

    vector: Vectors
    sentences: Vectors


class Encoder(Protocol):
    """Texts in, unit vectors out.

    name: the model's name and a digest of its weights; vectors of two names cannot be compared.
    dim: width of a vector. window: tokens that it reads of a text, special tokens included.
    """

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def window(self) -> int: ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens and any text past the window included."""
        ...

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        """Return float32 of shape (len(texts), dim), rows of unit length, in the order of `texts`."""
        ...

    def encode_passages(self, passages: Sequence[Context]) -> list[Encoded]:
        """Return the vectors of each passage and of its sentences, in the order of `passages`.

        Late chunking (Günther et al. 2024, arXiv:2409.04701): a passage is read once, and a sentence's vector is the
        mean of the vectors of its tokens. Models that do not pool by the mean encode each sentence by itself.
        """
        ...


def load_encoder(model: str, models: Path, *, device: Device = "cpu") -> Encoder:
    """Return the encoder of `model`: a sentence-transformers name or folder, prepared under `models` if it is not yet.

    On the CPU it runs in OpenVINO. On `cuda`, with `auto` where a GPU is there, and where the model cannot be
    converted, sentence-transformers itself runs. Raises EncoderError where the model cannot be had, WeightsError
    where its files are not those that were published or prepared.
    """
    # Imported here, because they know what an encoder is from this file.
    from index.encoder_folders import ConversionError, find_prepared, prepare
    from index.openvino_encoder import OpenVinoEncoder
    from index.torch_encoder import TorchEncoder

    if device == "cuda" or (device == "auto" and gpu_is_there()):
        return TorchEncoder(model, device="cuda")
    folder = find_prepared(model, models)
    if folder is not None:
        return OpenVinoEncoder(folder)
    try:
        return OpenVinoEncoder(prepare(model, models))
    except ConversionError:
        return TorchEncoder(model, device="cpu")


def gpu_is_there() -> bool:
    """Whether torch is installed and sees a GPU; torch is imported only where the driver's device file exists."""
    if find_spec("torch") is None or not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return torch.cuda.is_available()
