"""What a corpus of a size finds, in this process: sentences, the passages they stand in, and vectors beside all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.datasets import Dataset
from bench.metrics import Place, hit_rate, mean_reciprocal_rank, rank_of
from index.articles import Passage, Span
from index.confidence import calibration_for
from index.corpus import Corpus
from index.encoding import Vectors
from index.ranking import Ranker
from index.reading import Reader
from index.retrieval import Retriever
from index.store import Filters

DEPTH = 10
RECALL = 50
# Sentences of which the best DEPTH passages are taken: several of them stand in one.
_SENTENCES = 60


@dataclass(frozen=True, slots=True)
class Hits:
    """Shares of the questions whose evidence is among the first, in [0, 1], and the mean reciprocal rank."""

    hit_1: float
    hit_5: float
    hit_10: float
    mrr_10: float

    @classmethod
    def of(cls, ranks: Sequence[int | None]) -> "Hits":
        """Return the shares of ranks that count from 1; None is not found."""
        return cls(hit_rate(ranks, 1), hit_rate(ranks, 5), hit_rate(ranks, 10), mean_reciprocal_rank(ranks, 10))


def hits_of(asked: Dataset, found: Sequence[Sequence[Place]]) -> Hits:
    """Return how well the places found for each question, best first, hold its evidence."""
    targets = (asked.targets[query.id].places for query in asked.queries)
    return Hits.of([rank_of(places, one[:DEPTH]) for places, one in zip(targets, found, strict=True)])


class Searching:
    """Quoteline's own search, without HTTP. Safe to use from several threads."""

    def __init__(self, corpus: Corpus, reader: Reader | None = None) -> None:
        self._corpus = corpus
        self._retriever = Retriever(corpus)
        self._ranker = Ranker(corpus, reader, calibration_for(reader.name if reader else ""))

    def sentences(self, question: str) -> list[Place]:
        """Return the best sentences."""
        retrieved = self._retriever.retrieve(question, top_k=max(DEPTH, self._ranker.wanted))
        ranked = self._ranker.rank(question, retrieved).sentences[:DEPTH]
        return [Place(one.candidate.sentence.article_id, one.candidate.sentence.span) for one in ranked]

    def passages(self, question: str) -> list[Place]:
        """Return the passages of the best sentences, each once, in their order."""
        retrieved = self._retriever.retrieve(question, top_k=_SENTENCES)
        best = list(dict.fromkeys(one.passage for one in retrieved.candidates))[:DEPTH]
        return [self._place(passage) for passage in best]

    def _place(self, passage: Passage) -> Place:
        spans = self._corpus.store.record(passage.article_id).sentences[passage.first : passage.last]
        return Place(passage.article_id, Span(spans[0].start, spans[-1].end))


def recall_of(corpus: Corpus, questions: Sequence[str]) -> float:
    """Return the share of the RECALL nearest passages, by exact search, that the corpus' own vector search finds."""
    vectors = np.concatenate([corpus.encoder.encode_questions([question]) for question in questions])
    exact = exact_nearest(vectors, corpus.store.vectors_since(0), min(RECALL, corpus.store.passages()))
    shares = []
    for vector, nearest in zip(vectors, exact, strict=True):
        found = {
            one.key
            for one in corpus.snapshot.search(
                partial(np.asarray, vector[np.newaxis]), [], len(nearest), Filters()
            ).dense
        }
        shares.append(len(found & nearest) / len(nearest))
    return float(np.mean(shares))


def exact_nearest(questions: Vectors, blocks: Iterable[tuple[NDArray[np.int64], Vectors]], k: int) -> list[set[int]]:
    """Return the keys of the k nearest passages of each question; blocks: keys and vectors."""
    scores = np.empty((len(questions), 0), dtype=np.float32)
    found = np.empty((len(questions), 0), dtype=np.int64)
    for keys, passages in blocks:
        scores = np.concatenate([scores, questions @ passages.T], axis=1)
        found = np.concatenate([found, np.broadcast_to(keys, (len(questions), len(keys)))], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, found = np.take_along_axis(scores, best, 1), np.take_along_axis(found, best, 1)
    return [set(row.tolist()) for row in found]
