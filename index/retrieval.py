"""Question -> candidates: BM25 and FAISS over passages, fused; the sentences of the best passages, scored.

Where a question names a time, sentences that tell of it come before those that tell of another one.
"""

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from index.articles import Passage, Sentence, Span
from index.corpus import Corpus
from index.derived import Neighbour
from index.encoding import Vectors
from index.engine import Snapshot
from index.errors import FilterError, QuestionError
from index.expected import Expected
from index.lexical import analyze
from index.passages import term_hashes
from index.store import Filters, Readings
from index.superseded import Former, Superseded, joined
from index.times import Window, fits, window_of

# A question is a question: what is longer is a text that somebody pasted. In code points.
LONGEST_QUESTION = 2000
# Passages whose sentences are scored; recall@50 of the fusion is .99 (bench).
DEPTH = 50
# Reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): 1 / (60 + rank), summed over both lists.
RRF = 60
# BM25 of a sentence. Its length says little: b is small (squad1/tune: hit@1 .645 against .620 at Lucene's .75).
K1, B = 1.2, 0.3

# What says nothing about which sentence answers: function and question words. Short, because idf does the rest.
STOPWORDS = frozenset(
    analyze(
        "a an the of in on at to for from by with as about into and or but not is are was were be been being am do "
        "does did done has have had having it its this that these those there what which who whom whose when where why "
        "how much many will would can could should may might s t"
    )
)


@dataclass(frozen=True, slots=True)
class Features:
    """What a sentence's score is made of.

    cosine: of question and sentence. bm25, pairs, passage_bm25: BM25 of the question's terms in the sentence, of its
    neighbouring terms standing together there, and of its terms in the passage; each divided by the question's best.
    passage_cosine: of question and passage. coverage: the share, by idf, of the question's terms that the sentence
    holds, in [0, 1]; it is no part of the score, but says how much of a question is met.
    """

    cosine: float
    bm25: float
    pairs: float
    passage_cosine: float
    passage_bm25: float
    coverage: float


# Fitted on squad1/tune (`python -m bench.fit`), scaled to the first.
WEIGHTS: Mapping[str, float] = {
    "cosine": 1.0,
    "bm25": 0.54,
    "pairs": 0.12,
    "passage_cosine": 0.59,
    "passage_bm25": 0.66,
}
# What a sentence gains that tells of the time that was asked about, and loses that tells of another one.
TIME = 0.1
# Of so many sentences, the best without regard to time, it is seen what time they tell of.
TIMED = 64


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may answer.

    score: the weighted sum of its features, and of `fit`: how well what it tells lies in the time that was asked about,
    in [-1, 1]. passage: the one that it was found in. terms: their hashes, in order. version: of its article; None for
    the current one. vector: its direction, float32, shape (dim,).
    """

    sentence: Sentence
    passage: Passage
    score: float
    features: Features
    terms: tuple[int, ...]
    version: int | None = None
    fit: float = 0.0
    vector: Vectors = field(default_factory=lambda: np.zeros(0, dtype=np.float32), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Candidates best first, ties by article and position; the passages that they came from, best first.

    timings: milliseconds by stage. admitted: whether the filters left any passage at all. window: the time that the
    question asks about, where it names one and that was to count.
    """

    generation: int
    candidates: tuple[Candidate, ...]
    passages: tuple[Passage, ...]
    admitted: bool
    timings: Mapping[str, float]
    window: Window | None = None


class Retriever:
    """Finds the sentences of a corpus that a question may be answered by."""

    def __init__(self, corpus: Corpus, *, depth: int = DEPTH) -> None:
        self._corpus = corpus
        self._depth = depth
        self._superseded = Superseded(corpus)
        self._expected = Expected(corpus.encoder)

    def retrieve(
        self,
        question: str,
        *,
        top_k: int,
        filters: Filters | None = None,
        today: dt.date | None = None,
        timely: bool = True,
    ) -> Retrieved:
        """Return the best `top_k` sentences for `question`.

        today: what "last week" is counted from; if None, the day of `filters.as_of`, or today in UTC. timely: whether
        the time that a question names counts.
        Raises QuestionError for a question without a letter or digit, too long, or with half of a surrogate pair;
        FilterError for impossible filters.
        """
        _check_question(question)
        filters = filters or Filters()
        _check_filters(filters)
        clock = _Clock()
        snapshot = self._corpus.snapshot
        window = window_of(question, today or filters.as_of or dt.datetime.now(dt.UTC).date()) if timely else None
        asked = _terms(question)
        former = self._former(filters, asked, snapshot)
        if not former and not snapshot.admits(filters):
            return Retrieved(snapshot.generation, (), (), admitted=False, timings=clock.timings(), window=window)
        if former:
            clock.lap("superseded")

        @cache
        def vectors() -> Vectors:
            encoded = self._expected.vectors(question)
            clock.lap("encode")
            return encoded

        with self._expected.expecting(question):
            found = snapshot.search(vectors, asked, 2 * self._depth, filters, alone=self._expected.is_alone())
        vector = vectors()[0]
        dense, lexical = found.dense, found.lexical
        if former:
            dense, lexical = _merged(dense, former.nearest(vector)), _merged(lexical, former.lexical)
        ranked = fuse(dense, lexical)[: self._depth]
        clock.lap("search")
        readings = self._corpus.store.readings(ranked)
        if former:
            readings = joined(readings, former.readings, set(ranked))
        versions = former.versions if former else {}
        scored = max(top_k, TIMED) if window else top_k
        candidates = _score(vector, asked, readings, lexical, snapshot, scored, versions)
        clock.lap("score")
        if window:
            candidates = self._by_time(candidates, window, top_k)
            clock.lap("time")
        by_key = {passage.key: passage for passage in readings.passages}
        passages = tuple(by_key[key] for key in ranked if key in by_key)
        return Retrieved(
            snapshot.generation, tuple(candidates), passages, admitted=True, timings=clock.timings(), window=window
        )

    def expecting(self, question: str) -> AbstractContextManager[None]:
        """For as long as this lasts, `question` is going to be asked, and may be encoded along with others.

        Raises QuestionError as `retrieve` does.
        """
        _check_question(question)
        return self._expected.expecting(question)

    def _former(self, filters: Filters, asked: Sequence[str], snapshot: Snapshot) -> Former | None:
        """Return the passages of superseded versions that may answer; None where there are none."""
        if filters.as_of is None:
            return None
        distinct = list(dict.fromkeys(asked))
        former = self._superseded.find(filters, dict(zip(distinct, _idf(distinct, snapshot).tolist(), strict=True)))
        return former if former.readings.passages else None

    def _by_time(self, candidates: Sequence[Candidate], window: Window, wanted: int | None = None) -> list[Candidate]:
        """Return candidates, which come best first, with how well they fit the time that was asked about, best first.

        wanted: at most so many; no more are looked at than may be among them.
        """
        wanted = min(wanted or len(candidates), len(candidates))
        fitted: list[Candidate] = []
        while len(fitted) < len(candidates):
            some = candidates[len(fitted) : len(fitted) + max(wanted, TIMED // 4)]
            if len(fitted) >= wanted:
                last = sorted((one.score for one in fitted), reverse=True)[wanted - 1]
                # What is equal in six digits counts as equal, and stands behind what came before it.
                if some[0].score + TIME + 1e-5 < last:
                    break
            fitted += self._fitted(some, window)
        # The sort is stable.
        return sorted(fitted, key=lambda one: -round(one.score, 6))[:wanted]

    def _fitted(self, candidates: Sequence[Candidate], window: Window) -> list[Candidate]:
        texts = self._corpus.store.dated_texts_at({(one.sentence.article_id, one.version) for one in candidates})
        fitted = []
        for one in candidates:
            # Gone meanwhile, where nobody holds the store's state.
            if told := texts.get((one.sentence.article_id, one.version)):
                fit = fits(window, told[0], one.sentence.span, told[1])
                one = replace(one, score=one.score + TIME * fit, fit=fit) if fit else one
            fitted.append(one)
        return fitted


def fuse(*rankings: Sequence[Neighbour]) -> list[int]:
    """Return the keys of all rankings by reciprocal rank fusion, best first, ties by key."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, neighbour in enumerate(ranking, start=RRF + 1):
            scores[neighbour.key] = scores.get(neighbour.key, 0.0) + 1 / rank
    return [key for _, key in sorted((-score, key) for key, score in scores.items())]


def _merged(ones: Sequence[Neighbour], others: Sequence[Neighbour]) -> list[Neighbour]:
    return sorted((*ones, *others), key=lambda neighbour: (-neighbour.score, neighbour.key))


def _terms(question: str) -> list[str]:
    """Return the question's terms in order, without those that say nothing unless there are no others."""
    terms = analyze(question)
    return [term for term in terms if term not in STOPWORDS] or terms


def _score(
    vector: Vectors,
    asked: Sequence[str],
    readings: Readings,
    lexical: Sequence[Neighbour],
    snapshot: Snapshot,
    top_k: int,
    versions: Mapping[int, int],
) -> list[Candidate]:
    """Return the best `top_k` of the sentences in `readings`; versions: of those that are not current, by passage."""
    if not readings.passages:
        return []  # all that was found was removed meanwhile
    owner = np.repeat(np.arange(len(readings.passages)), readings.counts)
    bm25, pairs, coverage = _sentence_bm25(asked, readings, snapshot)
    found = {neighbour.key: neighbour.score for neighbour in lexical}
    passage_bm25 = np.array([found.get(passage.key, 0.0) for passage in readings.passages], dtype=np.float32)
    columns = {
        "cosine": readings.sentence_vectors @ vector,
        "bm25": _by_best(bm25),
        "pairs": _by_best(pairs),
        "passage_cosine": (readings.vectors @ vector)[owner],
        "passage_bm25": _by_best(passage_bm25)[owner],
    }
    features = np.stack([*(columns[name] for name in WEIGHTS), coverage])
    scores = _total(np.array(list(WEIGHTS.values()), dtype=np.float32)[:, np.newaxis] * features[:-1])
    ordinals = np.arange(len(owner)) - np.repeat(np.cumsum(readings.counts) - readings.counts, readings.counts)
    ordinals += np.array([passage.first for passage in readings.passages])[owner]
    article_ids = [passage.article_id for passage in readings.passages]
    chosen = _first(top_k, _order(scores, article_ids, owner, ordinals), article_ids, owner.tolist(), ordinals.tolist())
    ends = np.cumsum(readings.term_counts)[chosen].tolist()
    lengths = readings.term_counts[chosen].tolist()
    return [
        Candidate(
            Sentence(passage.article_id, ordinal, Span(*span)),
            passage,
            score,
            Features(*told),
            tuple(readings.terms[end - length : end].tolist()),
            versions.get(passage.key),
            vector=readings.sentence_vectors[row],
        )
        for row, passage, ordinal, span, score, told, end, length in zip(
            chosen,
            [readings.passages[place] for place in owner[chosen].tolist()],
            ordinals[chosen].tolist(),
            readings.spans[chosen].tolist(),
            scores[chosen].tolist(),
            features[:, chosen].T.tolist(),
            ends,
            lengths,
            strict=True,
        )
    ]


def _first(
    wanted: int, order: Sequence[int], article_ids: Sequence[str], owner: Sequence[int], ordinals: Sequence[int]
) -> list[int]:
    """Return the first rows of `order` that are of different sentences."""
    chosen: dict[tuple[str, int], int] = {}
    for row in order:
        # Neighbouring passages share sentences: the better reading of one counts.
        chosen.setdefault((article_ids[owner[row]], ordinals[row]), row)
        if len(chosen) == wanted:
            break
    return list(chosen.values())


def _order(
    scores: NDArray[np.float32], article_ids: Sequence[str], owner: NDArray[np.int64], ordinals: NDArray[np.int64]
) -> list[int]:
    """Return the rows by score, best first, ties by article and position."""
    rank = {article_id: place for place, article_id in enumerate(sorted(set(article_ids)))}
    articles = np.array([rank[article_id] for article_id in article_ids])[owner]
    # Scores that differ in the seventh digit differ by how the processor rounds; position decides then.
    order: list[int] = np.lexsort((ordinals, articles, -scores.round(6))).tolist()
    return order


def _sentence_bm25(
    asked: Sequence[str], readings: Readings, snapshot: Snapshot
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return for each sentence BM25, the same for neighbouring pairs of terms, and the share of idf that it holds.

    Pairs as in the sequential dependence model (Metzler and Croft 2005). The idf is that of the passages.
    """
    distinct = list(dict.fromkeys(asked))
    idf = dict(zip(distinct, _idf(distinct, snapshot).tolist(), strict=True))
    neighbours = list(dict.fromkeys(pairwise(asked)))
    weights = np.array([*idf.values(), *(idf[one] + idf[other] for one, other in neighbours)]).reshape(-1, 1)
    counts = _occurrences(distinct, neighbours, readings)
    lengths = readings.term_counts.astype(np.float32)
    saturation = K1 * (1 - B + B * lengths / max(float(lengths.mean()), 1.0))
    scores = (weights * (K1 + 1) * counts / (counts + saturation)).astype(np.float32)
    some = len(distinct)
    held = np.where(counts[:some] > 0, weights[:some].astype(np.float32), np.float32(0))
    return _total(scores[:some]), _total(scores[some:]), _total(held) / max(sum(idf.values()), 1e-6)


def _occurrences(terms: Sequence[str], pairs: Sequence[tuple[str, str]], readings: Readings) -> NDArray[np.int64]:
    """Return how often each term, and behind these each pair of terms, stands in each sentence: rows by columns."""
    sentences = len(readings.term_counts)
    hashes = dict(zip(terms, term_hashes(terms).tolist(), strict=True))
    # More than one has the same hash about once in four billion pairs.
    rows: dict[int | tuple[int, int], list[int]] = {}
    wanted = (*hashes.values(), *((hashes[one], hashes[other]) for one, other in pairs))
    for row, one in enumerate(wanted):
        rows.setdefault(one, []).append(row)
    # Of the thousands of terms in the passages a few dozen have the lower half of a hash that is asked for.
    marks = np.zeros(1 << 16, dtype=np.bool_)
    marks[np.array(list(hashes.values()), dtype=np.uint32).astype(np.uint16)] = True
    places = np.flatnonzero(marks[readings.terms.astype(np.uint16)])
    owners = np.searchsorted(np.cumsum(readings.term_counts), places, side="right")
    cells: list[int] = []
    last = (-2, -1, 0)
    for place, owner, term in zip(places.tolist(), owners.tolist(), readings.terms[places].tolist(), strict=True):
        cells += [row * sentences + owner for row in rows.get(term, ())]
        if last[:2] == (place - 1, owner):
            cells += [row * sentences + owner for row in rows.get((last[2], term), ())]
        last = place, owner, term
    counts = np.bincount(np.array(cells, dtype=np.int64), minlength=len(wanted) * sentences)
    return counts.reshape(len(wanted), sentences)


def _total(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sum of rows, added up in order, so that it is rounded in the same way for any number of columns."""
    if not len(rows):
        return np.zeros(rows.shape[1], dtype=np.float32)
    total: NDArray[np.float32] = np.add.accumulate(rows, axis=0)[-1]
    return total


def _idf(terms: Sequence[str], snapshot: Snapshot) -> NDArray[np.float32]:
    frequencies = np.array(snapshot.frequencies(terms), dtype=np.float32)
    # A removed passage counts until its segment is merged: more than all of them is possible.
    total = max(float(len(snapshot)), float(frequencies.max(initial=0.0)))
    idf: NDArray[np.float32] = np.log1p((total - frequencies + 0.5) / (frequencies + 0.5))
    return idf


def _by_best(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    best = float(scores.max(initial=0.0))
    return scores / best if best > 0 else scores


def _check_question(question: str) -> None:
    if len(question) > LONGEST_QUESTION:
        raise QuestionError(
            f"the question has {len(question):,} characters, at most {LONGEST_QUESTION:,} are taken; "
            "ask one thing, and add long texts as articles"
        )
    if any("\ud800" <= character <= "\udfff" for character in question):
        raise QuestionError("the question holds half of a surrogate pair, which is no character; write it in UTF-8")
    if not any(character.isalnum() for character in question):
        raise QuestionError("the question holds no word; ask something like “Who denied it?”")


def _check_filters(filters: Filters) -> None:
    if filters.date_from and filters.date_to and filters.date_from > filters.date_to:
        raise FilterError(f"date_from {filters.date_from} is later than date_to {filters.date_to}; swap them")


class _Clock:
    """Milliseconds by stage."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._timings: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._timings[stage] = 1000 * (now - self._last)
        self._last = now

    def timings(self) -> Mapping[str, float]:
        return dict(self._timings)
