"""Reader: a question and passages -> how likely each of their sentences answers it, and with which words.

Ours is merged from its shipped weights and the public ones, converted to OpenVINO, stored in a folder of its own, and
from then on runs without torch. Any other cross-encoder or extractive question-answering model runs in torch.
"""

import json
import re
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from index.articles import Span
from index.encoding import (
    DEFAULT_MODEL,
    DEFAULT_SHA256,
    LONGEST_WINDOW,
    Context,
    Device,
    default_weights,
    gpu_is_there,
    silence_transformers,
)
from index.errors import ReaderError, WeightsError
from index.frames import LONGEST_FRAME, LONGEST_QUESTION, QUESTION, Frame, Framer, Ints, pad
from index.packing import merge
from index.prepared import check_files, digest_of_model, digest_of_weights, new_folder, sha256_of_files, slug
from index.runtime import Compiled, convert, read_model

if TYPE_CHECKING:
    import torch

    from index.network import ReaderNetwork

Floats = NDArray[np.float32]

# What a reader can be called: ours, and none; all else is a model's name or folder.
DEFAULT_READER, NO_READER = "quoteline", "none"
# The trained weights, as they are shipped.
WEIGHTS = Path(__file__).parent / "weights"

# The score of a sentence that was cut off: lower than any that was read.
UNREAD = -1e4
# Tokens of the part that answers.
LONGEST_PART = 30
# A frame is padded to one of these widths in tokens, each with a compiled model of its own (40 MB, half a second when
# it is first needed): 1.1 to 1.2 times as fast as a model for any length. Four frames at a time would be 1.2 times as
# fast again, for twice the memory, and would read passages that need not be read once the answer is clear.
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
        return _load_other(model, device="cuda" if on_gpu else "cpu")
    if on_gpu:
        network, tokenizer = _merged(WEIGHTS)
        return NetworkReader(network, tokenizer, name=_Shipped.of(WEIGHTS).full_name, device="cuda")
    folder = models / _Shipped.of(WEIGHTS).folder
    return OpenVinoReader(folder if (folder / "reader.json").is_file() else prepare_reader(WEIGHTS, models))


# Ours


class OpenVinoReader:
    """A prepared reader, in OpenVINO on the CPU. Safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        self._manifest = _Prepared.of(folder)
        check_files(folder, self._manifest.sha256, f"remove {folder} and it is prepared again")
        self._framer = _framer(folder / "tokenizer.json")
        self._model = read_model(folder / "model.xml")
        # By width, each made when it is first needed; None: for any.
        self._compiled: dict[int | None, Compiled] = {}
        self._compiling = threading.Lock()

    @property
    def name(self) -> str:
        return self._manifest.name

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
        logits, ends = self._model_of(width)(batch.ids, batch.mask, batch.types, batch.members, numbers)
        return _readings(frame, passage, logits[0], ends[0])

    def _model_of(self, width: int | None) -> Compiled:
        with self._compiling:
            if width not in self._compiled:
                shapes = [(1, width)] * 4 + [(1 + SENTENCES,)] if width else None
                self._compiled[width] = Compiled(self._model, shapes=shapes)
            return self._compiled[width]


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
        _, place = _best(ends[tokens, 0], ends[tokens, 1])
        found.append(Reading(float(logits[number]), _part(passage.text, sentence, frame.offsets[tokens], place)))
    return found


def _best(starts: Floats, ends: Floats) -> tuple[float, tuple[int, int]]:
    """Return the greatest sum of a start and of an end not before it, and their places: the first and last token."""
    sums = starts[:, None] + ends[None, :]
    allowed = np.triu(np.tril(np.ones(sums.shape, dtype=bool), LONGEST_PART - 1))
    first, last = divmod(int(np.argmax(np.where(allowed, sums, -np.inf))), len(ends))
    return float(sums[first, last]), (first, last)


def _part(text: str, sentence: Span, offsets: Ints, place: tuple[int, int]) -> Span:
    """Return the words from the first to the last token of `place`, whole, in the sentence; offsets: of its tokens."""
    start, end = int(offsets[place[0], 0]), int(offsets[place[1], 1])
    while start > sentence.start and _is_one_word(text[start - 1], text[start]):
        start -= 1
    while end < sentence.end and _is_one_word(text[end - 1], text[end]):
        end += 1
    return Span(start, end)


def _is_one_word(left: str, right: str) -> bool:
    """Whether there is no boundary between two characters; Chinese characters are a word each, as for the tokenizer."""
    joining = "\u200d"
    if _is_mark(right) or joining in (left, right):
        return True
    return (left.isalnum() or _is_mark(left)) and right.isalnum() and not _is_chinese(left) and not _is_chinese(right)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _is_chinese(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff" or character >= "\U00020000"


def _framer(tokenizer: Path) -> Framer:
    from tokenizers import Tokenizer

    return Framer(Tokenizer.from_file(str(tokenizer)))


# Ours, prepared


@dataclass(frozen=True, slots=True)
class _Shipped:
    """What `reader.json` beside the shipped weights says of them. sha256: of the folder's other files, by name."""

    name: str
    base: str
    base_sha256: str
    sha256: dict[str, str]

    @classmethod
    def of(cls, weights: Path) -> "_Shipped":
        try:
            told = json.loads((weights / "reader.json").read_text(encoding="utf-8"))
            shipped = cls(told["name"], told["base"], told["base_sha256"], dict(told["sha256"]))
            shipped.sha256["reader.safetensors"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise WeightsError(f"{weights / 'reader.json'} cannot be read; install Quoteline again") from error
        return shipped

    @property
    def weights(self) -> str:
        return self.sha256["reader.safetensors"]

    @property
    def full_name(self) -> str:
        return f"{self.name}-{self.weights[:12]}"

    @property
    def folder(self) -> str:
        return f"reader-{self.weights[:12]}"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What `reader.json` in a prepared folder says. weights: their sha256. sha256: of the other files, by name."""

    name: str
    model: str
    weights: str
    sha256: dict[str, str]

    @classmethod
    def of(cls, folder: Path) -> "_Prepared":
        try:
            return cls(**json.loads((folder / "reader.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            way_out = f"remove {folder} and it is prepared again"
            raise WeightsError(f"{folder / 'reader.json'} cannot be read; {way_out}") from error


def prepare_reader(weights: Path, models: Path) -> Path:
    """Merge the shipped `weights` into the public ones, convert, and return the new folder `models/reader-<digest>`.

    Whole or not at all. Raises ReaderError where what is needed for that is not installed, EncoderError and
    WeightsError where the weights, public or shipped, are missing or others.
    """
    shipped = _Shipped.of(weights)
    network, tokenizer = _merged(weights)
    folder = models / shipped.folder
    store_reader(network, tokenizer, folder, name=shipped.full_name, model=shipped.base, weights=shipped.weights)
    return folder


def store_reader(
    network: "ReaderNetwork", tokenizer: Path, folder: Path, *, name: str, model: str, weights: str
) -> None:
    """Convert a network and store it in `folder`, whole or not at all, as OpenVinoReader loads it.

    tokenizer: a tokenizer.json. model: what the network was made from; weights: the digest of its weights.
    """
    from tokenizers import Tokenizer

    with new_folder(folder, ReaderError) as unfinished:
        Tokenizer.from_file(str(tokenizer)).save(str(unfinished / "tokenizer.json"))
        try:
            convert(network, _examples(), unfinished / "model.xml")
        except Exception as error:  # OpenVINO raises many kinds
            raise ReaderError(
                f"the reader cannot be converted to OpenVINO for {folder.parent}; see that the disk has room, and that "
                "OpenVINO, torch and transformers are of the versions that requirements.lock names"
            ) from error
        manifest = _Prepared(name, model, weights, sha256_of_files(unfinished))
        (unfinished / "reader.json").write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")


def _merged(weights: Path) -> "tuple[ReaderNetwork, Path]":
    """Return our network with the shipped weights, and its tokenizer's file."""
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise ReaderError(
            "the reader is not prepared, and torch and transformers, which prepare it, are not installed; install "
            "quoteline[prepare] and run `quoteline prepare`, or ask without a reader: QUOTELINE_READER=none"
        )
    shipped = _Shipped.of(weights)
    check_files(weights, shipped.sha256, "install Quoteline again")
    if (shipped.base, shipped.base_sha256) != (DEFAULT_MODEL, DEFAULT_SHA256["model.safetensors"]):
        raise WeightsError(f"{weights} was trained from other weights than {DEFAULT_MODEL}'s; install Quoteline again")
    base = default_weights()
    network = base_network(base)
    merge(network, weights / "reader.safetensors")
    return network, base / "tokenizer.json"


def base_network(base: Path, *, attention: str = "sdpa") -> "ReaderNetwork":
    """Return our network before training: the encoder in the folder `base`, below heads of chance.

    attention: as `transformers` calls its implementations. Converted, `sdpa` is 1.15 times as fast as `eager`; trained
    on a processor, `eager` is the faster.
    """
    from transformers import AutoModel

    from index.network import ReaderNetwork

    silence_transformers()
    encoder = AutoModel.from_pretrained(base, attn_implementation=attention)
    return ReaderNetwork(encoder, encoder.config.hidden_size)


def _examples() -> "list[torch.Tensor]":
    """Return inputs of two passages, of three sentences and of two; the second is padded, so that the mask counts."""
    import torch

    ids = torch.full((2, 10), 7)
    mask = torch.tensor([[1] * 10, [1] * 8 + [0] * 2])
    types = torch.tensor([[0] * 4 + [1] * 6, [0] * 4 + [1] * 4 + [0] * 2])
    members = torch.tensor([[0, 1, 1, 0, 2, 2, 3, 3, 4, 0], [0, 1, 1, 0, 2, 2, 3, 0, 0, 0]])
    return [ids, mask, types, members, torch.arange(QUESTION, QUESTION + 4)]


# Others


def _load_other(model: str, *, device: str) -> "PairReader | SpanReader":
    """Return the reader for a model on a hub or in a folder, whose configuration says what kind it is."""
    if find_spec("sentence_transformers") is None:
        raise ReaderError(f"the reader {model!r} needs sentence-transformers; install quoteline[prepare]")
    from transformers import AutoConfig

    silence_transformers()
    try:
        kinds = AutoConfig.from_pretrained(model).architectures or [""]
        if kinds[0].endswith("ForQuestionAnswering"):
            return SpanReader(model, device=device)
        if kinds[0].endswith("ForSequenceClassification"):
            return PairReader(model, device=device)
    except (OSError, ValueError, RuntimeError) as error:
        raise ReaderError(
            f"transformers cannot load the reader {model!r}: it is neither a model's folder on this machine nor a name "
            "that could be fetched from a model hub; check QUOTELINE_READER"
        ) from error
    raise ReaderError(
        f"the reader {model!r} is a {kinds[0] or 'model of no known kind'}; it must be a cross-encoder "
        "(...ForSequenceClassification) or find answers (...ForQuestionAnswering); check QUOTELINE_READER"
    )


# Words with which a sentence points back to what was said before it.
_POINTS_BACK = re.compile(
    r"\W*(?:he|she|it|they|we|his|her|its|their|him|them|this|that|these|those|such|both|there|then)\b", re.IGNORECASE
)


class PairReader:
    """A sentence-transformers CrossEncoder: pairs of question and sentence. Safe to call from several threads.

    A sentence is read alone, because a neighbour that answers would make it look as though it did; but where it begins
    with a word that points back ("He wrote"), title and previous sentence stand in front, if the window has room. The
    score is the logit; it says nothing of the part that answers.
    """

    def __init__(self, model: str, *, device: str) -> None:
        from sentence_transformers import CrossEncoder

        self._model = CrossEncoder(model, device=device)
        _check_tokenizer(model, self._model.tokenizer)
        if self._model.num_labels > 2:
            raise ReaderError(
                f"the reader {model!r} tells {self._model.num_labels} classes apart, not what answers from what does "
                "not; check QUOTELINE_READER"
            )
        self._window = min(int(self._model.max_seq_length or LONGEST_WINDOW), LONGEST_WINDOW)
        self._model.max_seq_length = self._window
        self._name = _name_of(model, self._model)
        # Whether the tokenizer truncates is set in it by each call.
        self._one_at_a_time = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        with self._one_at_a_time:
            question = _shortened(question, self._model.tokenizer, self._window)
            pairs = [
                (question, self._text(question, passage, number))
                for passage in passages
                for number in range(len(passage.spans))
            ]
            scores = iter(self._scores(pairs) if pairs else ())
        return [[Reading(next(scores), None) for _ in passage.spans] for passage in passages]

    def _text(self, question: str, passage: Context, number: int) -> str:
        sentence = passage.spans[number]
        alone = sentence.of(passage.text)
        if not _POINTS_BACK.match(alone):
            return alone
        start = passage.spans[max(number - 1, 0)].start
        head = f"{passage.title}. " if passage.title else ""
        text = head + passage.text[start : sentence.end]
        tokens = self._model.tokenizer(question, text, truncation=False, verbose=False)["input_ids"]
        # What is too long is cut at its end, where the sentence itself stands.
        return text if len(tokens) <= self._window else alone

    def _scores(self, pairs: list[tuple[str, str]]) -> list[float]:
        import torch

        found: Any = self._model.predict(
            pairs, batch_size=BATCH, activation_fn=torch.nn.Identity(), show_progress_bar=False
        )
        logits = np.asarray(found, dtype=np.float64).reshape(len(pairs), -1)
        # Two classes: "does not answer" and "answers", as in all public models of that form.
        return [float(row[-1] - row[0]) if len(row) == 2 else float(row[0]) for row in logits]


class SpanReader:
    """A transformers model for extractive question answering: question and passage. Safe to call from several threads.

    A sentence's score is its best part's logits against those of [CLS], which stand for "no answer": log-odds in models
    that were trained on questions without an answer; in others the order of the sentences holds, the level does not.
    """

    def __init__(self, model: str, *, device: str) -> None:
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
        _check_tokenizer(model, self._tokenizer)
        self._model: Any = AutoModelForQuestionAnswering.from_pretrained(model).to(device).eval()
        positions = getattr(self._model.config, "max_position_embeddings", None) or LONGEST_WINDOW
        self._window = min(int(self._tokenizer.model_max_length), int(positions), LONGEST_WINDOW)
        self._name = _name_of(model, self._model)
        self._device = device
        # Whether the tokenizer truncates is set in it by each call.
        self._one_at_a_time = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        if not passages:
            return []
        with self._one_at_a_time:
            question = _shortened(question, self._tokenizer, self._window)
            return [
                readings
                for first in range(0, len(passages), BATCH)
                for readings in self._read(question, passages[first : first + BATCH])
            ]

    def _read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        import torch

        heads = [f"{passage.title}. " if passage.title else "" for passage in passages]
        tokens = self._tokenizer(
            [question] * len(passages),
            [head + passage.text for head, passage in zip(heads, passages, strict=True)],
            truncation="only_second",
            max_length=self._window,
            padding=True,
            return_offsets_mapping=True,
            return_tensors="pt",
            verbose=False,
        )
        offsets = tokens.pop("offset_mapping").numpy()
        with torch.inference_mode():
            found = self._model(**tokens.to(self._device))
        ends = torch.stack([found.start_logits, found.end_logits], dim=-1).float().cpu().numpy()
        return [
            self._readings(
                passage,
                ends[row] - ends[row, self._none(tokens["input_ids"][row].tolist())],
                _trimmed(passage.text, offsets[row] - len(heads[row])),
                np.array([sequence == 1 for sequence in tokens.sequence_ids(row)]),
            )
            for row, passage in enumerate(passages)
        ]

    def _none(self, ids: Sequence[int]) -> int:
        """Return the place of the token that stands for "no answer"."""
        start = self._tokenizer.cls_token_id
        return ids.index(start) if start in ids else 0

    def _readings(self, passage: Context, ends: Floats, offsets: Ints, read: NDArray[np.bool_]) -> list[Reading]:
        """Return the readings of a passage; read: which tokens are of its title and text."""
        found = []
        for sentence in passage.spans:
            inside = read & (offsets[:, 0] >= sentence.start) & (offsets[:, 1] <= sentence.end)
            tokens = np.flatnonzero(inside & (offsets[:, 1] > offsets[:, 0]))
            if not len(tokens):
                found.append(Reading(UNREAD, None))
                continue
            score, place = _best(ends[tokens, 0], ends[tokens, 1])
            found.append(Reading(score, _part(passage.text, sentence, offsets[tokens], place)))
        return found


def _check_tokenizer(model: str, tokenizer: Any) -> None:  # noqa: ANN401 - one of many types
    if not tokenizer.is_fast:
        raise ReaderError(
            f"the tokenizer of the reader {model!r} does not tell where tokens stand in the text; choose one with a "
            "tokenizer.json"
        )


def _shortened(question: str, tokenizer: Any, window: int) -> str:  # noqa: ANN401 - one of many types
    """Return as much of the question as leaves room for a passage."""
    most = min(LONGEST_QUESTION, window // 2)
    offsets = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True, verbose=False)[
        "offset_mapping"
    ]
    return question if len(offsets) <= most else question[: offsets[most - 1][1]]


def _trimmed(text: str, offsets: Ints) -> Ints:
    """Return offsets of tokens without the space in front, which some tokenizers count to them."""
    trimmed = offsets.copy()
    for row, (start, end) in enumerate(offsets.tolist()):
        if 0 <= start < end <= len(text):
            piece = text[start:end]
            trimmed[row, 0] += len(piece) - len(piece.lstrip())
    return trimmed


def _name_of(model: str, loaded: "torch.nn.Module") -> str:
    folder = Path(model)
    digest = digest_of_model(folder) if folder.is_dir() else digest_of_weights(loaded.state_dict())
    return f"{slug(model)}-{digest[:12]}"
