"""Candidates and what a reader says of them -> sentences ranked, and how likely it is that any of them answers.

Only the passages of the best few candidates are read, the best first, and no more once the answer is clear.
"""

import re
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from index.articles import Passage, Span
from index.confidence import Calibration, Judgement, Scores, judge, score
from index.corpus import Corpus
from index.errors import CorpusDamagedError
from index.passages import context_of
from index.reading import UNREAD, Reader, Reading
from index.retrieval import Candidate, Retrieved

# Passages that are read for a question, at most.
READ = 3
# Once a sentence is this likely to answer, no other passage is read: 2.5 of 3 are on average, for .0006 of MRR@10.
CLEAR = 0.75
# The logit of a sentence that was not read. What was read and has less stands behind it.
UNREAD_LOGIT = -6.0
# A question that yes or no would answer: no part of a sentence does, but the sentence. English, as the reader is.
_YES_OR_NO = re.compile(
    r"\W*(?:is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must)(?:n['’]t)?\b"
    r"(?!.*\bor\b)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class PassageRead:
    """What a reader says of a passage's sentences, in order. start: where its text starts in its article."""

    passage: Passage
    start: int
    readings: Sequence[Reading]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its place.

    part: the words of it that answer, in its article; None where the reader cannot say, and for yes-or-no questions.
    """

    candidate: Candidate
    scores: Scores
    part: Span | None

    @property
    def probability(self) -> float:
        """The probability that the sentence answers."""
        return self.scores.probability


@dataclass(frozen=True, slots=True)
class Ranking:
    """Sentences best first, ties by their place in retrieval. read: how many passages were. timings: milliseconds."""

    sentences: tuple[Ranked, ...]
    judgement: Judgement
    read: int
    timings: Mapping[str, float] = field(default_factory=dict)


class Ranker:
    """Ranks what a retriever found. Without a reader it keeps the retriever's order."""

    def __init__(self, corpus: Corpus, reader: Reader | None, calibration: Calibration, *, depth: int = READ) -> None:
        """depth: the most passages that are read for a question; without any there is no need of a reader."""
        self._corpus = corpus
        self._reader = reader
        self._calibration = calibration
        self._depth = depth

    @property
    def wanted(self) -> int:
        """How many candidates it wants at least: about as many as the passages that it reads have sentences."""
        return 16 * self._depth if self._reader else 0

    def rank(self, question: str, retrieved: Retrieved, *, others: int = 0) -> Ranking:
        """Return all candidates of `retrieved` in a better order.

        others: articles of which nothing was read when the answer was clear, and of which a passage is read all the
        same: they may say the same, or something else.
        """
        started = time.perf_counter()
        read = self.read(question, retrieved.candidates)

        def more(articles: Container[str]) -> Iterator[PassageRead]:
            best: dict[str, Candidate] = {}
            for one in retrieved.candidates:
                if len(best) < others and one.sentence.article_id not in articles:
                    best.setdefault(one.sentence.article_id, one)
            return self.read(question, tuple(best.values()))

        found = rank_read(self._calibration, retrieved.candidates, read, more)
        if asks_yes_or_no(question):
            found = replace(found, sentences=tuple(replace(one, part=None) for one in found.sentences))
        return replace(found, timings={"read": 1000 * (time.perf_counter() - started)}) if self._reader else found

    def read(self, question: str, candidates: Sequence[Candidate]) -> Iterator[PassageRead]:
        """Read the passages of the best candidates, each when it is asked for."""
        if self._reader is None:
            return
        passages = list(islice(dict.fromkeys((one.passage, one.version) for one in candidates), self._depth))
        records = self._corpus.store.records_at({(passage.article_id, version) for passage, version in passages})
        for passage, version in passages:
            record = records.get((passage.article_id, version))
            if record is None:
                continue  # removed meanwhile
            spans = record.sentences[passage.first : passage.last]
            if len(spans) != passage.last - passage.first:
                raise CorpusDamagedError(
                    f"a passage of {passage.article_id} holds sentences that the article has not; run `quoteline check`"
                )
            readings = self._reader.read(question, [context_of(record.article, spans)])[0]
            yield PassageRead(passage, spans[0].start, readings)


def asks_yes_or_no(question: str) -> bool:
    """Whether yes or no would answer."""
    return _YES_OR_NO.match(question) is not None


def rank_read(
    calibration: Calibration,
    candidates: Sequence[Candidate],
    read: Iterable[PassageRead],
    more: Callable[[Container[str]], Iterable[PassageRead]] = lambda _: (),
) -> Ranking:
    """Return all candidates ranked; of `read` no more is taken once the answer is clear.

    more: what is read after that, given the articles of which something was. A calibration without a weight of `order`
    for a sentence has everything read.
    """
    heard = _Heard(candidates)
    articles: set[str] = set()
    # What the retriever alone takes for clear is no reason not to read on.
    may_stop = bool(calibration.sentence.get("order"))
    passages = 0
    for one in read:
        better = heard.take(one)
        articles.add(one.passage.article_id)
        passages += 1
        # A clear answer of another time than the one that was asked about is none.
        clear = (place for place in better if heard.scores(calibration, place).probability >= CLEAR)
        if may_stop and any(candidates[place].fit >= 0 for place in clear):
            break
    for one in more(articles):
        heard.take(one)
        passages += 1
    ranked = [
        Ranked(one, heard.scores(calibration, place), heard.parts.get(place)) for place, one in enumerate(candidates)
    ]
    judgement = judge(calibration, candidates, [one.scores for one in ranked])
    # The sort is stable.
    return Ranking(tuple(sorted(ranked, key=lambda one: -one.scores.order)), judgement, passages)


class _Heard:
    """What a reader has said so far of candidates. parts: by place."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        self._places = {(one.sentence.article_id, one.sentence.ordinal): place for place, one in enumerate(candidates)}
        self._logits: dict[int, float] = {}
        self.parts: dict[int, Span] = {}

    def take(self, read: PassageRead) -> list[int]:
        """Note the readings of a passage, and return the places of the candidates that they are the best of so far."""
        better = []
        for ordinal, reading in enumerate(read.readings, start=read.passage.first):
            place = self._places.get((read.passage.article_id, ordinal))
            # Neighbouring passages share sentences: the better reading of one counts.
            if place is None or reading.score <= self._logits.get(place, UNREAD):
                continue
            better.append(place)
            self._logits[place] = reading.score
            self.parts.pop(place, None)
            if reading.part:
                self.parts[place] = Span(read.start + reading.part.start, read.start + reading.part.end)
        return better

    def scores(self, calibration: Calibration, place: int) -> Scores:
        """Return the scores of a candidate."""
        return score(calibration, self._candidates[place], self._logits.get(place, UNREAD_LOGIT))
