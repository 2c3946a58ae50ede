"""Candidates and what a reader says of them -> sentences ranked, and how likely it is that any of them answers.

Only the passages of the best few candidates are read, the best first, and no more once the answer is clear.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from index.articles import Passage, Span
from index.confidence import Calibration, Judgement, Scores, judge, logistic, score
from index.corpus import Corpus, context_of
from index.errors import CorpusDamagedError
from index.reading import UNREAD, Reader, Reading
from index.retrieval import Candidate, Retrieved

# Passages that are read for a question, at most.
READ = 3
# Once a sentence is this likely to answer, no other passage is read: 2.5 of 3 are on average, for .0006 of MRR@10.
CLEAR = 0.75
# The logit of a sentence that was not read, unless all that were have less.
_UNREAD_LOGIT = -8.0
# A question that yes or no would answer: no part of a sentence does, but the sentence. English, as the reader is.
_YES_OR_NO = re.compile(
    r"\W*(?:is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must)(?:n['’]t)?\b"
    r"(?!.*\bor\b)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its place. probability: that it answers.

    part: the words of it that do, in its article; None where the reader cannot say, and for yes-or-no questions.
    """

    candidate: Candidate
    probability: float
    part: Span | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Sentences best first, ties by their place in retrieval. read: how many passages were. timings: milliseconds."""

    sentences: tuple[Ranked, ...]
    judgement: Judgement
    read: int
    timings: Mapping[str, float]


class Ranker:
    """Ranks what a retriever found. Without a reader it keeps the retriever's order."""

    def __init__(self, corpus: Corpus, reader: Reader | None, calibration: Calibration, *, depth: int = READ) -> None:
        """depth: the most passages that are read for a question; without any there is no need of a reader."""
        self._corpus = corpus
        self._reader = reader
        self._calibration = calibration
        self._depth = depth
        # What the retriever alone takes for clear is no reason not to read on.
        self._may_stop = bool(calibration.sentence.get("order"))

    @property
    def wanted(self) -> int:
        """How many candidates it wants at least: about as many as the passages that it reads have sentences."""
        return 16 * self._depth if self._reader else 0

    def rank(self, question: str, retrieved: Retrieved) -> Ranking:
        """Return all candidates of `retrieved` in a better order."""
        started = time.perf_counter()
        said = _Said(self._calibration, retrieved.candidates, with_parts=not _YES_OR_NO.match(question))
        read = 0
        for passage, spans, readings in self._read(question, retrieved.candidates):
            said.take(passage, spans, readings)
            read += 1
            if self._may_stop and said.clearest >= CLEAR:
                break
        scores = said.scores()
        order = sorted(range(len(scores)), key=lambda place: (-scores[place].order, place))
        return Ranking(
            tuple(said.ranked(place, scores[place]) for place in order),
            judge(self._calibration, retrieved.candidates, scores),
            read,
            {"read": 1000 * (time.perf_counter() - started)} if self._reader else {},
        )

    def _read(
        self, question: str, candidates: Sequence[Candidate]
    ) -> Iterator[tuple[Passage, Sequence[Span], Sequence[Reading]]]:
        """Yield the passages of the best candidates, their sentences and what the reader says of these, one by one."""
        if self._reader is None:
            return
        passages = list(islice(dict.fromkeys(candidate.passage for candidate in candidates), self._depth))
        records = self._corpus.store.records_of({passage.article_id for passage in passages})
        for passage in passages:
            record = records.get(passage.article_id)
            if record is None:
                continue  # removed meanwhile
            spans = record.sentences[passage.first : passage.last]
            if len(spans) != passage.last - passage.first:
                raise CorpusDamagedError(
                    f"a passage of {passage.article_id} holds sentences that the article has not; run `quoteline check`"
                )
            yield passage, spans, self._reader.read(question, [context_of(record.article, spans)])[0]


class _Said:
    """What the reader has said so far of the candidates."""

    def __init__(self, calibration: Calibration, candidates: Sequence[Candidate], *, with_parts: bool) -> None:
        self._calibration = calibration
        self._with_parts = with_parts
        self._candidates = candidates
        self._places = {(one.sentence.article_id, one.sentence.ordinal): place for place, one in enumerate(candidates)}
        self._logits: dict[int, float] = {}
        self._parts: dict[int, Span | None] = {}
        self.clearest = 0.0

    def take(self, passage: Passage, spans: Sequence[Span], readings: Sequence[Reading]) -> None:
        """Note the readings of a passage's sentences; of two of one sentence the one with the higher score."""
        start = spans[0].start
        for number, reading in enumerate(readings):
            place = self._places.get((passage.article_id, passage.first + number))
            if place is None or reading.score <= max(self._logits.get(place, UNREAD), UNREAD):
                continue
            self._logits[place] = reading.score
            part = reading.part if self._with_parts else None
            self._parts[place] = Span(start + part.start, start + part.end) if part else None
            odds = score(self._calibration, self._candidates[place], reading.score).odds
            self.clearest = max(self.clearest, logistic(odds))

    def scores(self) -> list[Scores]:
        """Return the scores of all candidates."""
        unread = min([_UNREAD_LOGIT, *self._logits.values()])
        return [
            score(self._calibration, one, self._logits.get(place, unread)) for place, one in enumerate(self._candidates)
        ]

    def ranked(self, place: int, scores: Scores) -> Ranked:
        """Return a candidate with its scores."""
        return Ranked(self._candidates[place], scores.probability, self._parts.get(place))
