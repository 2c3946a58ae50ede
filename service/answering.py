"""Questions in, cited answers out. No HTTP here."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from index.confidence import ANSWERED, PERHAPS, Calibration, Judgement, calibration_for
from index.corpus import Corpus
from index.errors import CorpusDamagedError, FilterError
from index.ranking import READ, Ranked, Ranker, Ranking
from index.reading import Reader
from index.retrieval import Retrieved, Retriever
from index.store import Filters, Record
from service.citations import Part, Quotation, part_of, quotation
from service.conversation import Turn, understand
from service.rewriting import Rewriter

Verdict = Literal["answered", "perhaps", "unanswered"]

DEFAULT_TOP_K = 5
MOST_TOP_K = 100


@dataclass(frozen=True, slots=True)
class Citation(Quotation):
    """A sentence of an answer. n: its place there, from 1. score: the estimated probability that it answers.

    part: its words that answer; None where it was not read, its reader cannot say, or it hardly answers.
    """

    n: int
    score: float
    part: Part | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the corpus has to say to a question.

    understood: the question that stands alone, where turns before it made it another; None where it is as it was asked.
    probability: that something in the corpus answers. citations: best first, weak ones behind strong ones too, each
    with its own score; empty where nothing answers, and then `nearest` holds what came closest. generation: of the
    corpus that was asked. timings_ms: by stage; `read` where there is a reader. reason: where nothing answers, whether
    anything is about it at all.
    """

    question: str
    understood: str | None
    verdict: Verdict
    probability: float
    reason: str
    citations: tuple[Citation, ...]
    nearest: tuple[Citation, ...]
    generation: int
    timings_ms: Mapping[str, float] = field(default_factory=dict)


class Answerer:
    """Answers questions from one corpus, with its sentences and nothing else."""

    def __init__(
        self,
        corpus: Corpus,
        *,
        reader: Reader | None = None,
        calibration: Calibration | None = None,
        depth: int = READ,
        answered: float = ANSWERED,
        perhaps: float = PERHAPS,
        rewriter: Rewriter | None = None,
    ) -> None:
        """calibration: the reader's; if None, the one that is shipped for it. depth: passages read for a question.

        answered, perhaps: the probabilities from which an answer is called that. rewriter: has the first say on how a
        follow-up question is understood.
        """
        # What reads nothing has to be judged as what has no reader.
        reader = reader if depth else None
        self.reader_name = reader.name if reader else None
        self._corpus = corpus
        self._retriever = Retriever(corpus)
        self._ranker = Ranker(corpus, reader, calibration or calibration_for(self.reader_name or ""), depth=depth)
        self._answered = answered
        self._perhaps = perhaps
        self._rewriter = rewriter

    def ask(
        self,
        question: str,
        *,
        turns: Sequence[Turn] = (),
        top_k: int = DEFAULT_TOP_K,
        filters: Filters | None = None,
        base_url: str = "",
    ) -> Answer:
        """Answer `question` with at most `top_k` citations.

        turns: the conversation before it, oldest first. base_url: goes in front of links to articles that have no URL
        of their own.
        Raises QuestionError and FilterError.
        """
        if not 1 <= top_k <= MOST_TOP_K:
            raise FilterError(f"top_k is {top_k}; it can be 1 to {MOST_TOP_K}")
        started = time.perf_counter()
        asked, question = question, self._understood(question, turns)
        # One view of the store for all that follows: a sentence is cut out of the very text that it was found in.
        with self._corpus.store.frozen():
            # Twice as many as are wanted, because some may say the same.
            retrieved = self._retriever.retrieve(question, top_k=max(2 * top_k, self._ranker.wanted), filters=filters)
            ranking = self._ranker.rank(question, retrieved)
            verdict = self._verdict(ranking)
            # Where nothing answers no part of a sentence does.
            parts_from = self._perhaps if verdict != "unanswered" else inf
            citations = tuple(self._cite(ranking.sentences, top_k, base_url, parts_from))
        shown, nearest = ((), citations) if verdict == "unanswered" else (citations, ())
        timings = {**retrieved.timings, **ranking.timings}
        total = 1000 * (time.perf_counter() - started)
        return Answer(
            question=asked,
            understood=question if question != asked else None,
            verdict=verdict,
            probability=round(ranking.judgement.probability, 3),
            reason=_reason(verdict, retrieved, ranking.judgement, bool(filters)),
            citations=shown,
            nearest=nearest,
            generation=retrieved.generation,
            timings_ms={stage: round(ms, 2) for stage, ms in {**timings, "total": total}.items()},
        )

    def _understood(self, question: str, turns: Sequence[Turn]) -> str:
        rewritten = self._rewriter.rewrite(question, turns) if self._rewriter and turns else None
        return rewritten or understand(question, turns).question

    def _verdict(self, ranking: Ranking) -> Verdict:
        probability = ranking.judgement.probability
        if not ranking.sentences or probability < self._perhaps:
            return "unanswered"
        # A reader may see an answer where nothing is about the question; to "perhaps" that is not enough, unless
        # whoever runs this wants to see all there is.
        if self._perhaps and not ranking.judgement.about and probability < self._answered:
            return "unanswered"
        return "answered" if probability >= self._answered else "perhaps"

    def _cite(self, sentences: Sequence[Ranked], top_k: int, base_url: str, parts_from: float) -> Iterator[Citation]:
        """Yield `top_k` citations, as far as there are so many; parts_from: the probability from which parts count."""
        told: set[tuple[str, Sequence[int] | str]] = set()
        for ranked, record in self._recorded(sentences, 2 * top_k):
            candidate = ranked.candidate
            # The same words in the same order, whatever their case and punctuation. One other word, such as a "not" or
            # a number, can be all that matters. What has no terms (a long word of another script) speaks for itself.
            said = (record.article.id, candidate.terms or candidate.sentence.span.of(record.article.text))
            if said in told:
                continue
            told.add(said)
            yield _citation(len(told), ranked, record, base_url, parts_from)
            if len(told) == top_k:
                return

    def _recorded(self, sentences: Sequence[Ranked], several: int) -> Iterator[tuple[Ranked, Record]]:
        """Yield sentences with their articles, which are read for `several` at a time: seldom are all wanted."""
        for first in range(0, len(sentences), several):
            some = sentences[first : first + several]
            records = self._corpus.store.records_of({ranked.candidate.sentence.article_id for ranked in some})
            for ranked in some:
                yield ranked, records[ranked.candidate.sentence.article_id]


def _citation(n: int, ranked: Ranked, record: Record, base_url: str, parts_from: float) -> Citation:
    sentence = ranked.candidate.sentence
    # The offsets were found in a passage's row; the article's own row has to say the same.
    if record.sentences[sentence.ordinal] != sentence.span:
        raise CorpusDamagedError(
            f"a passage of {sentence.article_id} holds other sentences than the article; run `quoteline check`"
        )
    quoted = quotation(record, sentence.span, base_url)
    facts = {name: getattr(quoted, name) for name in Quotation.__dataclass_fields__}
    part = part_of(quoted, ranked.part) if ranked.part and ranked.probability >= parts_from else None
    return Citation(**facts, n=n, score=round(ranked.probability, 3), part=part)


def _reason(verdict: Verdict, retrieved: Retrieved, judgement: Judgement, filtered: bool) -> str:
    if not retrieved.admitted:
        return "The filters leave no article." if filtered else "There are no articles yet; add some."
    if verdict == "unanswered":
        if not judgement.about:
            return "Nothing here answers that: nothing is about it."
        return "Nothing here answers that: something is about it, but no sentence answers."
    return {
        "answered": "The first sentence is likely to answer.",
        "perhaps": "The first sentence may answer; it is not certain.",
    }[verdict]
