"""For tests: fakes that need no model, and what every implementation of a seam must hold.

    HashingEncoder               texts that share words are close
    OverlapReader                sentences that share words with the question answer it
    OverlapEntailment            sentences that share words with a statement support it, or oppose it with a "not"
    check_encoder_contract       for every Encoder
    check_reader_contract        for every Reader
    check_entailment_contract    for every Entailment
    check_vector_index_contract  for everything that stands in for VectorIndex

The checks raise AssertionError and say what they found. They need no pytest.
"""

import hashlib
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from index.articles import Span
from index.derived import Neighbour, State
from index.encoding import Context, Encoded, Encoder, Vectors
from index.entailment import Entailment, Stance, Thresholds
from index.errors import CorpusDamagedError, DimensionError
from index.lexical import analyze
from index.reading import UNREAD, Reader, Reading
from index.vectors import VectorIndex


class HashingEncoder:
    """A fake Encoder: the vector of a text is the sum of its terms' random but fixed directions, scaled to one.

    The cosine of two texts is about that of their bags of stemmed words, so that ranking can be asserted; texts
    without a word in common are apart by noise of 1 / sqrt(dim). The same on every machine. Tokens are terms.
    """

    def __init__(self, *, dim: int = 384, window: int = 256, name: str = "hashing") -> None:
        self._dim = dim
        self._window = window
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def window(self) -> int:
        return self._window

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(analyze(text)) + 2 for text in texts]

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        return np.array([self._vector(text) for text in texts], dtype=np.float32).reshape(len(texts), self._dim)

    def encode_passages(self, passages: Sequence[Context]) -> list[Encoded]:
        return [
            Encoded(
                self._vector(f"{passage.title} {passage.text}"),
                self.encode_questions([span.of(passage.text) for span in passage.spans]),
            )
            for passage in passages
        ]

    def _vector(self, text: str) -> Vectors:
        # Sums of whole numbers: no order of adding, and no batch, changes a bit of them.
        total = np.zeros(self._dim, dtype=np.float32)
        for term in analyze(text)[: self._window - 2]:
            total += _direction(term, self._dim)
        if not total.any():
            total[0] = 1
        return total / np.float32(np.linalg.norm(total))


def _direction(term: str, dim: int) -> Vectors:
    """Return `dim` times plus or minus one, always the same ones for a term."""
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(term.encode()).digest(-(-dim // 8)), dtype=np.uint8))
    return bits[:dim].astype(np.float32) * 2 - 1


class OverlapReader:
    """A fake Reader: the more of the question's stemmed words a sentence has, the surer it is that this answers.

    The score goes from -6, none of them, to 6, all of them; the part reaches from the first of them to the last. It
    reads `window` words of a passage; a sentence that ends past those was cut off.
    """

    def __init__(self, *, window: int = 1000, name: str = "overlap") -> None:
        self._window = window
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        asked = frozenset(analyze(question))
        return [[self._read(asked, passage.text, span) for span in passage.spans] for passage in passages]

    def _read(self, asked: frozenset[str], text: str, sentence: Span) -> Reading:
        if len(text[: sentence.end].split()) > self._window:
            return Reading(UNREAD, None)
        shared = [
            Span(word.start(), word.end())
            for word in re.compile(r"\w+").finditer(text, sentence.start, sentence.end)
            if asked.intersection(analyze(word[0]))
        ]
        share = len(asked.intersection(analyze(sentence.of(text)))) / max(len(asked), 1)
        return Reading(12 * share - 6, Span(shared[0].start, shared[-1].end) if shared else None)


_DENYING = re.compile(r"\b(?:no|not|never|nobody|nothing|none|den(?:y|ies|ied|ying))\b|n['’]t\b", re.IGNORECASE)


class OverlapEntailment:
    """A fake Entailment: a premise with a share of a hypothesis's stemmed words supports it as likely as that is great.

    Where one of both has a word that denies ("not", "never", "denies") and the other has none, it opposes it instead.
    Words that deny, and auxiliary verbs, are not counted. Certain it never is: a share of 1 is a probability of 0.98.
    """

    def __init__(self, *, thresholds: Thresholds | None = None, name: str = "overlap") -> None:
        self._thresholds = thresholds or Thresholds(0.9, 0.9)
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def thresholds(self) -> Thresholds:
        return self._thresholds

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        return [self._judge(premise, hypothesis) for premise, hypothesis in pairs]

    def _judge(self, premise: str, hypothesis: str) -> Stance:
        said, asked = (frozenset(analyze(_DENYING.sub(" ", text))) - _AUXILIARY for text in (premise, hypothesis))
        likely = 0.98 * len(asked & said) / max(len(asked), 1)
        agrees = bool(_DENYING.search(premise)) == bool(_DENYING.search(hypothesis))
        return Stance(likely, 0.0) if agrees else Stance(0.0, likely)


_AUXILIARY = frozenset(analyze("is are was were do does did has have had can could will would"))

# Encoders

_ACCENT = "Le cafe\u0301 de Bogota\u0301 est ferme\u0301."  # accents of their own, not part of the letter
_FAMILY = "She wrote 👩\u200d👩\u200d👧 and 🇮🇷, then left."  # one picture, several code points
_TEXTS = (
    "Iran denies sending any weaponry to Russia.",
    "The recipe asks for two eggs, flour and a pinch of salt.",
    "Yes.",
    _ACCENT,
    _FAMILY,
    "キーウで会談が行われた。",
    "A minister demanded that the flow of weapons stop, and he said so in a phone call that lasted for an hour.",
    "👩\u200d👩\u200d👧",
)


def check_encoder_contract(encoder: Encoder) -> None:
    """Check all that Encoder promises. Raises AssertionError.

    The same call gives the same vectors to 1e-5. A text alone and among others of other lengths may differ by what
    rounding to bf16 makes of padding: a cosine of 0.999.
    """
    assert encoder.name, "an encoder without a name cannot be told from another"
    assert encoder.dim > 0, f"dim is {encoder.dim}"
    assert encoder.window > 8, f"a window of {encoder.window} tokens holds no sentence"
    _check_token_counts(encoder)
    _check_questions(encoder)
    _check_passages(encoder)
    _check_long_passage(encoder)
    _check_threads(encoder)


def _check_token_counts(encoder: Encoder) -> None:
    assert encoder.count_tokens([]) == [], "no texts have no counts"
    counts = encoder.count_tokens(_TEXTS)
    assert counts == [encoder.count_tokens([text])[0] for text in _TEXTS], "a count depends on the other texts"
    assert counts[2] < counts[0] < counts[6], f"longer texts have fewer tokens: {counts}"
    [long] = encoder.count_tokens(["weapons " * 3 * encoder.window])
    assert long > 2 * encoder.window, f"the text past the window is not counted: {long} of a window {encoder.window}"


def _check_questions(encoder: Encoder) -> None:
    _check_rows(encoder.encode_questions([]), 0, encoder.dim, "no questions")
    vectors = encoder.encode_questions(_TEXTS)
    _check_rows(vectors, len(_TEXTS), encoder.dim, "questions")
    again = encoder.encode_questions(_TEXTS)
    assert np.allclose(vectors, again, atol=1e-5), f"the same call gave other vectors, by {_off(vectors, again)}"
    for row, text in enumerate(_TEXTS):
        alone = encoder.encode_questions([text])
        _check_rows(alone, 1, encoder.dim, "a single question")
        assert _cosine(alone[0], vectors[row]) > 0.999, f"{text!r} has another vector alone than among others"
        assert int(np.argmax(vectors @ alone[0])) == row, f"{text!r} is not in its place; the order is lost"
    turned = encoder.encode_questions(_TEXTS[::-1])[::-1]
    assert float((vectors * turned).sum(axis=1).min()) > 0.999, "the order of the texts changes their vectors"
    related = encoder.encode_questions(["Did Iran send weaponry to Russia?"])[0] @ vectors.T
    assert related[0] > related[1], "a question is nearer to an unrelated text than to its answer"


def _check_passages(encoder: Encoder) -> None:
    assert encoder.encode_passages([]) == [], "no passages have no vectors"
    contexts = [_context("", _TEXTS[:1]), _context("Weapons for Russia", _TEXTS), _context("", _TEXTS[3:5])]
    together = encoder.encode_passages(contexts)
    assert len(together) == len(contexts), f"{len(contexts)} passages, {len(together)} vectors"
    for context, encoded in zip(contexts, together, strict=True):
        _check_encoded(encoded, context, encoder.dim)
        [alone] = encoder.encode_passages([context])
        _check_encoded(alone, context, encoder.dim)
        assert _cosine(alone.vector, encoded.vector) > 0.999, "a passage has another vector alone than among others"
        nearest = (alone.sentences * encoded.sentences).sum(axis=1)
        assert float(nearest.min()) > 0.999, "sentences have other vectors where their passage stands alone"
    sentences = together[1].sentences
    asked = encoder.encode_questions(["Which recipe asks for eggs and flour?"])[0]
    assert int(np.argmax(sentences @ asked)) == 1, "sentences' vectors are not in the order of their spans"
    titled, untitled = encoder.encode_passages([_context("Weapons", _TEXTS[2:3]), _context("Cookery", _TEXTS[2:3])])
    assert _cosine(titled.vector, untitled.vector) < 0.999, "a passage's title is not read"


def _check_long_passage(encoder: Encoder) -> None:
    """Check a passage longer than the window, as one long sentence is: its last sentences still have a vector each."""
    texts = [f"Weapons number {number} went to the front." for number in range(encoder.window)]
    context = _context("A long list", texts)
    [encoded] = encoder.encode_passages([context])
    _check_encoded(encoded, context, encoder.dim)
    _check_rows(encoder.encode_questions([context.text]), 1, encoder.dim, "a question longer than the window")


def _check_threads(encoder: Encoder) -> None:
    texts = [f"Weapons number {number} went to {text}" for number in range(2) for text in _TEXTS]
    long = "weapons " * 3 * encoder.window
    contexts = [_context("Front", [text, "It was a Monday."]) for text in texts]
    wanted = [*encoder.encode_questions(texts), *(encoded.vector for encoded in encoder.encode_passages(contexts))]
    # Calls of all three kinds at a time: what one sets in a tokenizer shows in another.
    with ThreadPoolExecutor(4) as threads:
        calls = [
            (
                threads.submit(encoder.encode_questions, [text]),
                threads.submit(encoder.count_tokens, [long] * 4),
                threads.submit(encoder.encode_passages, [context]),
            )
            for text, context in zip(texts, contexts, strict=True)
        ]
        found = [question.result()[0] for question, _, _ in calls]
        counts = [count for _, counted, _ in calls for count in counted.result()]
        found_of_passages = [passage.result()[0].vector for _, _, passage in calls]
    assert counts == encoder.count_tokens([long]) * len(counts), "threads disturb each other: tokens were cut off"
    for one, other in zip(wanted, found + found_of_passages, strict=True):
        assert _cosine(one, other) > 0.999, "threads disturb each other: a text has another vector when several ask"


def _context(title: str, sentences: Sequence[str]) -> Context:
    """Return a passage of `sentences`, one space between them."""
    spans: list[Span] = []
    for sentence in sentences:
        start = spans[-1].end + 1 if spans else 0
        spans.append(Span(start, start + len(sentence)))
    return Context(title, " ".join(sentences), tuple(spans))


def _check_encoded(encoded: Encoded, context: Context, dim: int) -> None:
    _check_rows(encoded.vector.reshape(1, -1), 1, dim, "a passage")
    assert encoded.vector.shape == (dim,), f"a passage's vector has shape {encoded.vector.shape}"
    _check_rows(encoded.sentences, len(context.spans), dim, "a passage's sentences")


def _check_rows(vectors: Vectors, rows: int, dim: int, what: str) -> None:
    assert vectors.shape == (rows, dim), f"{what}: vectors of shape {vectors.shape}, not {(rows, dim)}"
    assert vectors.dtype == np.float32, f"{what}: vectors of {vectors.dtype}, not float32"
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.allclose(lengths, 1, atol=1e-3), f"{what}: vectors of length {lengths}, not 1"


def _cosine(one: Vectors, other: Vectors) -> float:
    return float(one @ other)


def _off(one: Vectors, other: Vectors) -> float:
    return float(np.abs(one - other).max())


# Readers

_QUESTIONS = ("Did Iran send weaponry to Russia?", "Who wrote 👩\u200d👧 in Bogota\u0301?", "キーウで何が？", "?")


def check_reader_contract(reader: Reader, *, tolerance: float = 0.05) -> None:
    """Check all that Reader promises. Raises AssertionError.

    tolerance: by how much a score may differ where a passage is read among others; bf16 rounds to a hundredth or two.
    """
    assert reader.name, "a reader without a name cannot be told from another"
    _check_readings(reader, tolerance)
    _check_cut_off(reader, tolerance)
    _check_reading_threads(reader, tolerance)


def _check_readings(reader: Reader, tolerance: float) -> None:
    assert reader.read(_QUESTIONS[0], []) == [], "no passages have no readings"
    assert reader.read(_QUESTIONS[0], [Context("Weapons", "", ())]) == [[]], "a passage without sentences has readings"
    contexts = [
        _context("Weapons for Russia", _TEXTS),
        _context("", _TEXTS[:1]),
        _context("", _TEXTS[3:5]),
        _context("Cafe\u0301 👩\u200d👧", _TEXTS[5:]),
        _context("", [f"{letter}." for letter in "abcdefghijklmnopqrstuvwxyz" * 2]),
    ]
    for question in _QUESTIONS:
        together = reader.read(question, contexts)
        assert len(together) == len(contexts), f"{len(contexts)} passages, readings of {len(together)}"
        alone = [reader.read(question, [context])[0] for context in contexts]
        turned = reader.read(question, contexts[::-1])[::-1]
        for context, readings, *others in zip(contexts, together, alone, turned, strict=True):
            _check_passage(readings, context)
            for other in others:
                _check_same(readings, other, tolerance, f"the readings of {context.text[:40]!r} depend on the others")
    [one], [other] = (reader.read(question, contexts[1:2]) for question in (_QUESTIONS[0], _TEXTS[1]))
    assert one[0].score != other[0].score, "the question is not read"
    scores = [reading.score for reading in reader.read(_QUESTIONS[0], contexts)[0]]
    assert len(set(scores)) > 1, "all sentences of a passage have one score"


def _check_cut_off(reader: Reader, tolerance: float) -> None:
    """Check what no window holds: sentences past it are told to be unread, and a long question leaves room for some."""
    long = _context("A long list", [f"Weapons number {number} went to the front." for number in range(120)])
    for question in (_QUESTIONS[0], "weapons " * 2000, "weapons" * 2000):
        [readings] = reader.read(question, [long])
        _check_passage(readings, long)
        read = [reading.score > UNREAD for reading in readings]
        assert read[0], "the first sentence of a long passage is not read"
        assert read == sorted(read, reverse=True), "a sentence is cut off, and one after it is not"
        [_, among] = reader.read(question, [_context("", _TEXTS[:1]), long])
        _check_same(readings, among, tolerance, "the readings of a long passage depend on the others")


def _check_reading_threads(reader: Reader, tolerance: float) -> None:
    contexts = [
        _context("Front", [f"Weapons number {number} went to {text}" for text in _TEXTS]) for number in range(4)
    ]
    questions = [f"{question} {number}" for number in range(2) for question in _QUESTIONS] + ["weapons " * 2000]
    wanted = [reader.read(question, contexts) for question in questions]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda question: reader.read(question, contexts), questions))
    for one, other in zip(wanted, found, strict=True):
        for readings, others in zip(one, other, strict=True):
            _check_same(readings, others, tolerance, "threads disturb each other")


def _check_passage(readings: Sequence[Reading], context: Context) -> None:
    assert len(readings) == len(context.spans), f"{len(context.spans)} sentences, {len(readings)} readings"
    for reading, span in zip(readings, context.spans, strict=True):
        assert math.isfinite(reading.score), f"a score of {reading.score}"
        assert reading.score >= UNREAD, f"a score of {reading.score}, below that of a sentence that was not read"
        part = reading.part
        assert part is None or reading.score > UNREAD, f"a part of a sentence that was not read: {part}"
        assert part is None or span.covers(part), f"the part {part} leaves its sentence {span}"


def _check_same(ones: Sequence[Reading], others: Sequence[Reading], tolerance: float, what: str) -> None:
    apart = [abs(one.score - other.score) for one, other in zip(ones, others, strict=True)]
    assert max(apart, default=0) <= tolerance, f"{what}: scores differ by {max(apart):.3f}"


# Entailment models

_STATEMENTS = ("Iran sent weaponry to Russia.", "Did Iran send weaponry to Russia?", "キーウで何が？", "?", "")


def check_entailment_contract(entailment: Entailment, *, tolerance: float = 0.05) -> None:
    """Check all that Entailment promises. Raises AssertionError.

    tolerance: by how much a probability may differ where a pair is judged among others.
    """
    assert entailment.name, "an entailment model without a name cannot be told from another"
    assert entailment.judge([]) == [], "no pairs have no stances"
    _check_stances(entailment, tolerance)
    _check_long_pairs(entailment, tolerance)
    _check_judging_threads(entailment, tolerance)


def _check_stances(entailment: Entailment, tolerance: float) -> None:
    premises = (*_TEXTS, "", "The weaponry went to Russia.", "On Monday Iran sent weaponry to Russia.")
    pairs = [(premise, hypothesis) for hypothesis in _STATEMENTS for premise in premises]
    together = entailment.judge(pairs)
    assert len(together) == len(pairs), f"{len(pairs)} pairs, {len(together)} stances"
    _check_alike(together, [entailment.judge([pair])[0] for pair in pairs], tolerance, "a stance depends on the others")
    turned = entailment.judge(pairs[::-1])[::-1]
    _check_alike(together, turned, tolerance, "the order of the pairs changes their stances")
    assert len(set(together[: len(premises)])) > 1, "the premise is not read"
    assert len(set(together[:: len(premises)])) > 1, "the hypothesis is not read"
    # Which of both is the premise must be told: a sentence that says more than another supports it, not the reverse.
    more, less = "Iran sent weaponry and drones to Russia on Monday.", "Iran sent weaponry."
    assert entailment.judge([(more, less)]) != entailment.judge([(less, more)]), "premise and hypothesis are as one"


def _check_long_pairs(entailment: Entailment, tolerance: float) -> None:
    """Check what no window holds: a long premise loses its end only, a long hypothesis leaves room for a premise."""
    long = " ".join(f"Weapons number {number} went to the front." for number in range(120))
    one, other = entailment.judge([(f"{_TEXTS[0]} {long}", _STATEMENTS[0]), (f"{_TEXTS[1]} {long}", _STATEMENTS[0])])
    assert one != other, "the beginning of a long premise is not read"
    for hypothesis in ("weapons " * 2000, "weapons" * 2000, f"weapons {long}"):
        pairs = [("Weapons went to the front.", hypothesis), (_TEXTS[1], hypothesis), (long, hypothesis)]
        stances = entailment.judge(pairs)
        if " " in hypothesis:
            assert stances[0] != stances[1], "a long hypothesis leaves no room for the premise"
        among = entailment.judge([(_TEXTS[2], _STATEMENTS[0]), *pairs])[1:]
        _check_alike(stances, among, tolerance, "the stance of a long pair depends on the others")


def _check_judging_threads(entailment: Entailment, tolerance: float) -> None:
    long = "weapons " * 2000
    calls = [
        [(f"Weapons number {number} went to {text}", statement), (long, statement), (text, long)]
        for number in range(2)
        for text in _TEXTS[:4]
        for statement in _STATEMENTS[:2]
    ]
    wanted = [entailment.judge(pairs) for pairs in calls]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(entailment.judge, calls))
    for one, other in zip(wanted, found, strict=True):
        _check_alike(one, other, tolerance, "threads disturb each other")


def _check_alike(ones: Sequence[Stance], others: Sequence[Stance], tolerance: float, what: str) -> None:
    apart = [
        max(abs(one.supports - other.supports), abs(one.opposes - other.opposes))
        for one, other in zip(ones, others, strict=True)
    ]
    assert max(apart, default=0) <= tolerance, f"{what}: probabilities differ by {max(apart):.3f}"


# Vector indexes

_DIM = 16
_STATE = State(identity="contract", generation=7)


def check_vector_index_contract(make: Callable[[int], VectorIndex]) -> None:
    """Check all that an exact vector index promises; `make` returns an empty one of a width. Raises AssertionError."""
    _check_empty(make)
    _check_exact(make)
    _check_few(make)
    _check_ties(make)
    _check_refusals(make)
    _check_changes(make)
    _check_saving(make)


def _check_empty(make: Callable[[int], VectorIndex]) -> None:
    empty = make(_DIM)
    assert empty.dim == _DIM, f"dim is {empty.dim}, not {_DIM}"
    assert len(empty) == 0, f"a new index holds {len(empty)} vectors"
    assert empty.keys() == [], "a new index holds keys"
    assert empty.vectors([]).shape == (0, _DIM), "no keys have no vectors"
    assert empty.search(_random(2), 5) == [[], []], "an empty index finds something"
    assert empty.search(_random(0), 5) == [], "no queries find something"


def _check_exact(make: Callable[[int], VectorIndex]) -> None:
    vectors, queries, keys = _random(300, seed=1), _random(25, seed=2), [3 * row + 5 for row in range(300)]
    index = make(_DIM).changed(add=vectors, keys=keys, remove=[])
    assert len(index) == 300, f"holds {len(index)} vectors, not 300"
    assert index.keys() == keys, "keys are not those that were added"
    assert np.array_equal(index.vectors(keys[::-1]), vectors[::-1]), "vectors come back changed or in another order"
    _check_found(index.search(queries, 10), vectors, keys, queries, 10)
    some = keys[40:90]
    _check_found(index.search(queries, 10, among=some), vectors[40:90], some, queries, 10)
    unknown = index.search(queries, 10, among=[keys[3], 1, 10_000_000])
    assert all([found.key for found in row] == [keys[3]] for row in unknown), "`among` admits keys it does not name"
    assert index.search(queries, 10, among=[]) == [[]] * 25, "`among` without keys admits some"


def _check_found(
    found: Sequence[Sequence[Neighbour]], vectors: Vectors, keys: Sequence[int], queries: Vectors, k: int
) -> None:
    for row, cosines in zip(found, queries @ vectors.T, strict=True):
        best = sorted(range(len(keys)), key=lambda place: (-cosines[place], keys[place]))[:k]
        assert [one.key for one in row] == [keys[place] for place in best], "not the same as an exact search by numpy"
        assert np.allclose([one.score for one in row], cosines[best], atol=1e-5), "scores are not cosines"


def _check_few(make: Callable[[int], VectorIndex]) -> None:
    index = make(_DIM).changed(add=_random(3), keys=[0, 1, 2], remove=[])
    for k, among, wanted in ((10, None, 3), (10, [0, 2], 2), (2, None, 2), (1, [1], 1), (0, None, 0), (-1, None, 0)):
        for row in index.search(_random(2, seed=9), k, among=among):
            assert len(row) == wanted, f"{len(row)} found for k = {k} among {among}, not {wanted}"
            assert all(0 <= found.key < 3 for found in row), f"a key that nobody added: {row}"


def _check_ties(make: Callable[[int], VectorIndex]) -> None:
    one, other = _random(2)
    keys = [9, 2, 7, 1, 8, 4, 6]
    index = make(_DIM).changed(add=np.stack([one] * 7), keys=keys, remove=[])
    index = index.changed(add=np.stack([other, one, one]), keys=[10, 11, 12], remove=[2])
    [found] = index.search(one[np.newaxis], 8)
    assert [neighbour.key for neighbour in found] == [1, 4, 6, 7, 8, 9, 11, 12], "equal scores are not ordered by key"
    [few] = index.search(one[np.newaxis], 3)
    assert [neighbour.key for neighbour in few] == [1, 4, 6], "of equal scores, others than the lowest keys were kept"
    [some] = index.search(one[np.newaxis], 2, among=[12, 10, 8, 6])
    assert [neighbour.key for neighbour in some] == [6, 8], "among some keys, equal scores are not ordered by key"


def _check_refusals(make: Callable[[int], VectorIndex]) -> None:
    index = make(_DIM).changed(add=_random(3), keys=[0, 1, 2], remove=[])
    doubles: Any = _random(2).astype(np.float64)
    for wrong in (_random(2, dim=_DIM + 1), _random(2, dim=_DIM - 1), _random(1)[0], doubles):
        what = f"vectors of shape {wrong.shape} and {wrong.dtype}"
        with _raising(DimensionError, f"searching for {what}"):
            index.search(wrong, 1)
        with _raising(DimensionError, f"adding {what}"):
            index.changed(add=wrong, keys=[10, 11], remove=[])
    with _raising(DimensionError, "adding two vectors under one key"):
        index.changed(add=_random(2), keys=[10], remove=[])
    with _raising(KeyError, "asking for the vector of an unknown key"):
        index.vectors([0, 77])
    assert index.keys() == [0, 1, 2], "a refused change changed something"


def _check_changes(make: Callable[[int], VectorIndex]) -> None:
    vectors = _random(6)
    before = make(_DIM).changed(add=vectors[:4], keys=[0, 1, 2, 3], remove=[])
    after = before.changed(add=vectors[4:], keys=[4, 5], remove=[1, 3, 99])
    assert after.keys() == [0, 2, 4, 5], f"keys after adding 4, 5 and removing 1, 3: {after.keys()}"
    assert np.array_equal(after.vectors([4, 0]), vectors[[4, 0]]), "a change mixes up the vectors"
    assert before.keys() == [0, 1, 2, 3], "a change shows in the index that it was made from"
    assert before.search(vectors[1:2], 1)[0][0].key == 1, "a removal shows in the index that it was made from"
    assert after.search(vectors[1:2], 1)[0][0].key != 1, "a removed vector is found"
    assert after.changed(add=vectors[:0], keys=[], remove=[0, 2, 4, 5]).keys() == [], "not all could be removed"


def _check_saving(make: Callable[[int], VectorIndex]) -> None:
    vectors = _random(5)
    index = make(_DIM).changed(add=vectors, keys=[3, 1, 4, 15, 9], remove=[])
    index = index.changed(add=vectors[:0], keys=[], remove=[4])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "not" / "there" / "yet"
        assert type(index).load(folder, _DIM) is None, "an index is loaded where none was saved"
        index.save(folder, _STATE)
        loaded = type(index).load(folder, _DIM)
        assert loaded is not None, "what was saved is not found"
        assert loaded[1] == _STATE, f"saved with {_STATE}, loaded with {loaded[1]}"
        assert loaded[0].keys() == [1, 3, 9, 15], "loaded with other keys than saved"
        assert np.array_equal(loaded[0].vectors([15, 3]), vectors[[3, 0]]), "loaded with other vectors than saved"
        assert loaded[0].search(vectors, 3) == index.search(vectors, 3), "what was loaded finds something else"
        changed = loaded[0].changed(add=vectors[2:3], keys=[4], remove=[1])
        assert changed.keys() == [3, 4, 9, 15], "what was loaded cannot be changed"
        with _raising(CorpusDamagedError, "loading as another width"):
            type(index).load(folder, _DIM + 1)
        swapped = index.changed(add=vectors[2:3], keys=[1], remove=[1, 15])
        assert np.array_equal(swapped.vectors([1]), vectors[2:3]), "a key removed and added in one change is not new"
        index.changed(add=vectors[:0], keys=[], remove=[1]).save(folder, State("contract", 8))
        second = type(index).load(folder, _DIM)
        assert second is not None, "a second save left nothing"
        assert (second[0].keys(), second[1].generation) == ([3, 9, 15], 8), "a second save did not replace the first"


def _random(rows: int, *, dim: int = _DIM, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


@contextmanager
def _raising(kind: type[Exception], what: str) -> Iterator[None]:
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{what} raises no {kind.__name__}")
