"""Versions of articles that were replaced since. No index holds them: their passages are made when they are asked for.

What a question costs more is bounded: of many versions those are read that hold most of its words, and of their
passages the best by BM25 are encoded. What was encoded is kept in memory, as far as there is room.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.articles import Passage
from index.corpus import Corpus
from index.derived import Neighbour
from index.encoding import Vectors
from index.lexical import analyze
from index.passages import term_hashes
from index.store import Filters, Reading, Readings

# Versions that are split into passages for one question, and passages that are encoded for it, at most.
MOST_VERSIONS = 100
MOST_PASSAGES = 50
# What is kept of all questions: passages encoded, of 10 to 20 kB each; versions split.
KEPT_PASSAGES = 2000
KEPT_VERSIONS = 1000
# BM25 of a passage, as the lexical index has it.
K1, B = 1.2, 0.75
# Letters that the beginning of a word must have to be looked for in a text.
FEWEST = 3
# The number of a version and the first sentence of a passage make its key, which is negative: no index has it.
_SENTENCES = 1 << 24

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, eq=False)
class Former:
    """Passages of superseded versions, with what their article's versions are.

    lexical: their BM25, best first, ties by key; only those that hold any of the question's terms. versions: by key.
    """

    readings: Readings
    lexical: tuple[Neighbour, ...]
    versions: Mapping[int, int]

    def nearest(self, vector: Vectors) -> list[Neighbour]:
        """Return all of the passages by their cosine with a question's vector, best first, ties by key."""
        cosines = (self.readings.vectors @ vector).tolist()
        found = [Neighbour(passage.key, score) for passage, score in zip(self.readings.passages, cosines, strict=True)]
        return sorted(found, key=lambda neighbour: (-neighbour.score, neighbour.key))


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    """A version's passages, not encoded: their sentences `[first, last)`, and the terms of each, title first."""

    groups: tuple[tuple[int, int], ...]
    terms: tuple[NDArray[np.uint32], ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a passage is: the key, article and number of its version, and its place among that version's passages."""

    version_key: int
    article_id: str
    version: int
    place: int


class Superseded:
    """The superseded versions of a corpus. Safe to use from several threads."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._splits: _Kept[int, _Split] = _Kept(KEPT_VERSIONS)
        self._readings: _Kept[tuple[int, int], Reading] = _Kept(KEPT_PASSAGES)

    def find(self, filters: Filters, asked: Mapping[str, float]) -> Former:
        """Return the passages of superseded versions that `filters` admits, at most MOST_PASSAGES of them.

        asked: the question's terms with their weights. There are none without `filters.as_of`.
        """
        versions = self._corpus.store.superseded(filters)
        self._forget_what_is_gone()
        if len(versions) > MOST_VERSIONS:
            beginnings = _beginnings(asked)
            best = set(self._corpus.store.holding_most([key for key, _, _ in versions], beginnings, MOST_VERSIONS))
            versions = [version for version in versions if version[0] in best]
        splits = self._split(versions)
        places = [
            _Place(key, article_id, version, place)
            for key, article_id, version in versions
            for place in range(len(splits[key].groups))
        ]
        scores = _bm25(asked, [splits[place.version_key].terms[place.place] for place in places])
        best_first = np.lexsort((np.arange(len(places)), -scores.round(6)))[:MOST_PASSAGES]
        chosen = [(places[row], float(scores[row])) for row in sorted(best_first.tolist())]
        return self._former(chosen, splits)

    def _split(self, versions: Iterable[tuple[int, str, int]]) -> dict[int, _Split]:
        splits: dict[int, _Split] = {}
        for key, article_id, version in versions:
            split = self._splits.get(key)
            if split is None:
                record = self._corpus.store.record(article_id, version)
                groups = tuple(self._corpus.groups_of(record.article, record.sentences))
                title = analyze(record.article.title or "")
                terms = [analyze(span.of(record.article.text)) for span in record.sentences]
                split = _Split(
                    groups,
                    tuple(
                        term_hashes([*title, *(term for sentence in terms[first:last] for term in sentence)])
                        for first, last in groups
                    ),
                )
                self._splits.keep(key, split)
            splits[key] = split
        return splits

    def _former(self, chosen: Sequence[tuple[_Place, float]], splits: Mapping[int, _Split]) -> Former:
        readings = self._encoded([place for place, _ in chosen], splits)
        passages, lexical, versions = [], [], {}
        for (place, score), reading in zip(chosen, readings, strict=True):
            key = -(place.version_key * _SENTENCES + reading.first)
            passages.append(Passage(key, place.article_id, reading.first, reading.last))
            versions[key] = place.version
            if score > 0:
                lexical.append(Neighbour(key, score))
        lexical.sort(key=lambda neighbour: (-neighbour.score, neighbour.key))
        return Former(_readings(passages, readings, self._corpus.encoder.dim), tuple(lexical), versions)

    def _encoded(self, places: Sequence[_Place], splits: Mapping[int, _Split]) -> list[Reading]:
        """Return the passages at `places`; what is not there is encoded, all of it together."""
        known = {place: self._readings.get((place.version_key, place.place)) for place in places}
        wanted: dict[tuple[str, int], list[_Place]] = {}
        for place, reading in known.items():
            if reading is None:
                wanted.setdefault((place.article_id, place.version), []).append(place)
        records = [(self._corpus.store.record(*name), some) for name, some in wanted.items()]
        groups = [[splits[one.version_key].groups[one.place] for one in some] for _, some in records]
        made = self._corpus.encode_passages([(record, its) for (record, _), its in zip(records, groups, strict=True)])
        for (_, some), its_readings in zip(records, made, strict=True):
            for place, reading in zip(some, its_readings, strict=True):
                known[place] = reading
                self._readings.keep((place.version_key, place.place), reading)
        return [reading for reading in known.values() if reading is not None]

    def _forget_what_is_gone(self) -> None:
        """Keep nothing of what was deleted."""
        places = self._readings.kept()
        kept = {*self._splits.kept(), *(key for key, _ in places)}
        gone = kept - self._corpus.store.there(kept)
        self._splits.forget(gone)
        self._readings.forget(place for place in places if place[0] in gone)


class _Kept(Generic[Key, Value]):
    """The last so many values that were asked for, by key."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def kept(self) -> list[Key]:
        with self._lock:
            return list(self._values)

    def get(self, key: Key) -> Value | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keep(self, key: Key, value: Value) -> None:
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def forget(self, keys: Iterable[Key]) -> None:
        with self._lock:
            for key in list(keys):
                self._values.pop(key, None)


def _beginnings(asked: Mapping[str, float]) -> dict[str, float]:
    """Return what words of these terms begin with: a stem's last letter may be none of the word's ("deni", "hope")."""
    found: dict[str, float] = {}
    for term, weight in sorted(asked.items(), key=lambda one: -one[1])[:32]:
        beginning = term[:-1] if len(term) > FEWEST and term.endswith(("e", "i", "y")) else term
        found[beginning] = max(weight, found.get(beginning, 0.0))
    return found


def _bm25(asked: Mapping[str, float], passages: Sequence[NDArray[np.uint32]]) -> NDArray[np.float32]:
    """Return BM25 of each passage, given the hashes of its terms."""
    scores = np.zeros(len(passages), dtype=np.float32)
    if not passages:
        return scores
    lengths = np.array([len(terms) for terms in passages], dtype=np.float32)
    owner = np.repeat(np.arange(len(passages)), lengths.astype(np.int64))
    terms = np.concatenate(passages)
    saturation = K1 * (1 - B + B * lengths / max(float(lengths.mean()), 1.0))
    for term_hash, weight in zip(term_hashes(list(asked)), asked.values(), strict=True):
        counts = np.bincount(owner[terms == term_hash], minlength=len(passages))
        scores += (weight * (K1 + 1) * counts / (counts + saturation)).astype(np.float32)
    return scores


def _readings(passages: Sequence[Passage], readings: Sequence[Reading], dim: int) -> Readings:
    """Return passages in columns, their vectors rounded as the store rounds them."""
    return Readings(
        passages=tuple(passages),
        vectors=_rounded([reading.vector[None] for reading in readings], dim),
        counts=np.array([reading.last - reading.first for reading in readings], dtype=np.int64),
        spans=np.concatenate([np.empty((0, 2), dtype=np.int32), *(reading.spans for reading in readings)]),
        sentence_vectors=_rounded([reading.sentence_vectors for reading in readings], dim),
        terms=np.concatenate([np.empty(0, dtype=np.uint32), *(reading.terms for reading in readings)]),
        term_counts=np.concatenate([np.empty(0, dtype=np.uint32), *(reading.term_counts for reading in readings)]),
    )


def _rounded(rows: Sequence[Vectors], dim: int) -> Vectors:
    together: Vectors = np.concatenate([np.empty((0, dim), dtype=np.float32), *rows])
    return together.astype(np.float16).astype(np.float32)


def joined(ones: Readings, others: Readings, keys: Collection[int]) -> Readings:
    """Return the passages of `ones`, and behind them those of `others` that have one of `keys`."""
    chosen = np.array([passage.key in keys for passage in others.passages], dtype=bool)
    sentences = np.repeat(chosen, others.counts)
    terms = np.repeat(sentences, others.term_counts)
    return Readings(
        passages=(*ones.passages, *(passage for passage in others.passages if passage.key in keys)),
        vectors=np.concatenate([ones.vectors, others.vectors[chosen]]),
        counts=np.concatenate([ones.counts, others.counts[chosen]]),
        spans=np.concatenate([ones.spans, others.spans[sentences]]),
        sentence_vectors=np.concatenate([ones.sentence_vectors, others.sentence_vectors[sentences]]),
        terms=np.concatenate([ones.terms, others.terms[terms]]),
        term_counts=np.concatenate([ones.term_counts, others.term_counts[sentences]]),
    )
