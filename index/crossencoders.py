"""Cross-encoders that are not ours: to read with, and to tell entailment with. All run in torch."""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index.encoding import Context
from index.entailment import KIND as ENTAILMENT
from index.entailment import Stance, Thresholds
from index.errors import ReaderError
from index.frames import LONGEST_QUESTION, Ints
from index.pairs import LONGEST_HYPOTHESIS
from index.parts import Floats, best_part, part_of
from index.prepared import digest_of_model, digest_of_weights, slug
from index.reading import BATCH, UNREAD, Reading
from index.reading import KIND as READER
from index.shipped import Kind
from index.torch_encoder import LONGEST_WINDOW, silence_transformers

if TYPE_CHECKING:
    import torch

# How likely the stance of an entailment model that is not ours must be to be said.
SAID_FROM = 0.9
# By the labels of a model, in lower case: which of them say that the premise supports the hypothesis, and opposes it.
_LABELS = {
    frozenset({"entailment", "contradiction", "neutral"}): ("entailment", "contradiction"),
    frozenset({"entailment", "not_entailment"}): ("entailment", None),
}


def load_foreign_reader(model: str, *, device: str) -> "PairReader | SpanReader":
    """Return the reader for a model on a hub or in a folder, whose configuration says what kind it is.

    Raises ReaderError.
    """
    with _loading(model, READER):
        architecture = _architecture(model)
        if architecture.endswith("ForQuestionAnswering"):
            return SpanReader(model, device=device)
        if architecture.endswith("ForSequenceClassification"):
            return PairReader(model, device=device)
    raise ReaderError(
        f"the reader {model!r} is a {architecture or 'model of no known kind'}; it must be a cross-encoder "
        "(...ForSequenceClassification) or find answers (...ForQuestionAnswering); check QUOTELINE_READER"
    )


def load_foreign_entailment(model: str, thresholds: Thresholds | None, *, device: str) -> "PairEntailment":
    """Return the entailment model on a hub or in a folder; thresholds: SAID_FROM for both where there are none.

    Raises EntailmentError.
    """
    with _loading(model, ENTAILMENT):
        architecture = _architecture(model)
        if architecture.endswith("ForSequenceClassification"):
            return PairEntailment(model, thresholds or Thresholds(SAID_FROM, SAID_FROM), device=device)
    raise ENTAILMENT.error(
        f"the entailment model {model!r} is a {architecture or 'model of no known kind'}; it must be a cross-encoder "
        "(...ForSequenceClassification); check QUOTELINE_ENTAILMENT"
    )


@contextmanager
def _loading(model: str, kind: Kind) -> Iterator[None]:
    if find_spec("sentence_transformers") is None:
        raise kind.error(f"{kind.called} {model!r} needs sentence-transformers; install quoteline[prepare]")
    silence_transformers()
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        raise kind.error(
            f"transformers cannot load {kind.called} {model!r}: it is neither a model's folder on this machine nor a "
            f"name that could be fetched from a model hub; check {kind.setting}"
        ) from error


def _architecture(model: str) -> str:
    """Return the class that the model's configuration names first, "" where it names none."""
    from transformers import AutoConfig

    architectures: list[str] = AutoConfig.from_pretrained(model).architectures or [""]
    return architectures[0]


# To read with


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
        _check_tokenizer(model, READER, self._model.tokenizer)
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
            question = _shortened(question, LONGEST_QUESTION, self._model.tokenizer, self._window)
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
        _check_tokenizer(model, READER, self._tokenizer)
        self._model: Any = AutoModelForQuestionAnswering.from_pretrained(model).to(device).eval()
        self._window = _window(self._tokenizer, self._model)
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
            question = _shortened(question, LONGEST_QUESTION, self._tokenizer, self._window)
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
            score, place = best_part(ends[tokens, 0], ends[tokens, 1])
            found.append(Reading(score, part_of(passage.text, sentence, offsets[tokens], place)))
        return found


def _trimmed(text: str, offsets: Ints) -> Ints:
    """Return offsets of tokens without the space in front, which some tokenizers count to them."""
    trimmed = offsets.copy()
    for row, (start, end) in enumerate(offsets.tolist()):
        if 0 <= start < end <= len(text):
            piece = text[start:end]
            trimmed[row, 0] += len(piece) - len(piece.lstrip())
    return trimmed


# To tell entailment with


class PairEntailment:
    """A transformers model of natural language inference, of three labels or two. Safe to call from several threads.

    Of two labels, "entailment" and "not_entailment", none says that the premise opposes the hypothesis.
    """

    def __init__(self, model: str, thresholds: Thresholds, *, device: str) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
        _check_tokenizer(model, ENTAILMENT, self._tokenizer)
        self._model: Any = AutoModelForSequenceClassification.from_pretrained(model).to(device).eval()
        self._supports, self._opposes = _columns(model, self._model.config.id2label)
        self._window = _window(self._tokenizer, self._model)
        self._name = _name_of(model, self._model)
        self._thresholds = thresholds
        self._device = device
        # Whether the tokenizer truncates is set in it by each call.
        self._one_at_a_time = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    @property
    def thresholds(self) -> Thresholds:
        return self._thresholds

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        with self._one_at_a_time:
            return [
                stance for first in range(0, len(pairs), BATCH) for stance in self._judge(pairs[first : first + BATCH])
            ]

    def _judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        import torch

        tokens = self._tokenizer(
            [premise for premise, _ in pairs],
            [_shortened(one, LONGEST_HYPOTHESIS, self._tokenizer, self._window) for _, one in pairs],
            truncation="only_first",
            max_length=self._window,
            padding=True,
            return_tensors="pt",
            verbose=False,
        )
        with torch.inference_mode():
            likely = torch.softmax(self._model(**tokens.to(self._device)).logits.double(), dim=-1).cpu().numpy()
        opposes = np.zeros(len(pairs)) if self._opposes is None else likely[:, self._opposes]
        return [Stance(*map(float, one)) for one in zip(likely[:, self._supports], opposes, strict=True)]


def _columns(model: str, labels: Mapping[int, str]) -> tuple[int, int | None]:
    """Return which of the logits say that the premise supports the hypothesis and that it opposes it."""
    places = {label.lower().replace("-", "_"): place for place, label in labels.items()}
    found = _LABELS.get(frozenset(places))
    if found is None:
        raise ENTAILMENT.error(
            f"the entailment model {model!r} has the labels {', '.join(labels.values())}; it must have entailment, "
            "contradiction and neutral, or entailment and not_entailment; check QUOTELINE_ENTAILMENT"
        )
    supports, opposes = found
    return places[supports], places[opposes] if opposes else None


# What they have in common


def _check_tokenizer(model: str, kind: Kind, tokenizer: Any) -> None:  # noqa: ANN401 - one of many types
    if not tokenizer.is_fast:
        raise kind.error(
            f"the tokenizer of {kind.called} {model!r} does not tell where tokens stand in the text; choose one with a "
            "tokenizer.json"
        )


def _window(tokenizer: Any, model: Any) -> int:  # noqa: ANN401 - two of many types
    """Return how many tokens a model reads."""
    positions = getattr(model.config, "max_position_embeddings", None) or LONGEST_WINDOW
    return min(int(tokenizer.model_max_length), int(positions), LONGEST_WINDOW)


def _shortened(text: str, longest: int, tokenizer: Any, window: int) -> str:  # noqa: ANN401 - one of many types
    """Return at most `longest` tokens of a text, and fewer where they would not leave half of the window."""
    most = min(longest, window // 2)
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    return text if len(offsets) <= most else text[: offsets[most - 1][1]]


def _name_of(model: str, loaded: "torch.nn.Module") -> str:
    folder = Path(model)
    digest = digest_of_model(folder) if folder.is_dir() else digest_of_weights(loaded.state_dict())
    return f"{slug(model)}-{digest[:12]}"
