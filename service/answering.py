"""Questions in, cited answers out. No HTTP here."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from index.confidence import ANSWERED, PERHAPS, any_answers, sentence_answers
from index.corpus import Corpus
from index.errors import CorpusDamagedError, FilterError
from index.retrieval import Candidate, Retrieved, Retriever
from index.store import Filters, Record
from service.citations import Quotation, quotation

Verdict = Literal["answered", "perhaps", "unanswered"]

DEFAULT_TOP_K = 5
MOST_TOP_K = 100


@dataclass(frozen=True, slots=True)
class Citation(Quotation):
    """A sentence of an answer. n: its place there, from 1. score: the estimated probability that it answers."""

    n: int
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the corpus has to say to a question.

    probability: that something in the corpus answers. citations: best first; empty where nothing answers, and then
    `nearest` holds what came closest. generation: of the corpus that was asked. timings_ms: by stage.
    """

    question: str
    verdict: Verdict
    probability: float
    reason: str
    citations: tuple[Citation, ...]
    nearest: tuple[Citation, ...]
    generation: int
    timings_ms: Mapping[str, float] = field(default_factory=dict)


class Answerer:
    """Answers questions from one corpus, with its sentences and nothing else."""

    def __init__(self, corpus: Corpus, *, answered: float = ANSWERED, perhaps: float = PERHAPS) -> None:
        """answered, perhaps: the probabilities from which an answer is called that."""
        self._corpus = corpus
        self._retriever = Retriever(corpus)
        self._answered = answered
        self._perhaps = perhaps

    def ask(
        self, question: str, *, top_k: int = DEFAULT_TOP_K, filters: Filters | None = None, base_url: str = ""
    ) -> Answer:
        """Answer `question` with at most `top_k` citations.

        base_url: goes in front of links to articles that have no URL of their own.
        Raises QuestionError and FilterError.
        """
        if not 1 <= top_k <= MOST_TOP_K:
            raise FilterError(f"top_k is {top_k}; it can be 1 to {MOST_TOP_K}")
        started = time.perf_counter()
        # One view of the store for all that follows: a sentence is cut out of the very text that it was found in.
        with self._corpus.store.frozen():
            # Twice as many as are wanted, because some may say the same.
            retrieved = self._retriever.retrieve(question, top_k=2 * top_k, filters=filters)
            citations = tuple(self._cite(retrieved.candidates, top_k, base_url))
        probability = any_answers([candidate.features for candidate in retrieved.candidates])
        verdict = self._judge(probability, citations)
        shown, nearest = ((), citations) if verdict == "unanswered" else (citations, ())
        total = 1000 * (time.perf_counter() - started)
        return Answer(
            question=question,
            verdict=verdict,
            probability=round(probability, 3),
            reason=_reason(verdict, retrieved, bool(filters)),
            citations=shown,
            nearest=nearest,
            generation=retrieved.generation,
            timings_ms={stage: round(ms, 2) for stage, ms in {**retrieved.timings, "total": total}.items()},
        )

    def _judge(self, probability: float, citations: Sequence[Citation]) -> Verdict:
        if not citations or probability < self._perhaps:
            return "unanswered"
        return "answered" if probability >= self._answered else "perhaps"

    def _cite(self, candidates: Sequence[Candidate], top_k: int, base_url: str) -> Iterator[Citation]:
        records = self._corpus.store.records_of({candidate.sentence.article_id for candidate in candidates})
        told: set[tuple[str, Sequence[int] | str]] = set()
        for candidate in candidates:
            record = records[candidate.sentence.article_id]
            # The same words in the same order, whatever their case and punctuation. One other word, such as a "not" or
            # a number, can be all that matters. What has no terms (a long word of another script) speaks for itself.
            said = (record.article.id, candidate.terms or candidate.sentence.span.of(record.article.text))
            if said in told:
                continue
            told.add(said)
            yield _citation(len(told), candidate, record, base_url)
            if len(told) == top_k:
                return


def _citation(n: int, candidate: Candidate, record: Record, base_url: str) -> Citation:
    sentence = candidate.sentence
    # The offsets were found in a passage's row; the article's own row has to say the same.
    if record.sentences[sentence.ordinal] != sentence.span:
        raise CorpusDamagedError(
            f"a passage of {sentence.article_id} holds other sentences than the article; run `quoteline check`"
        )
    quoted = quotation(record, sentence.span, base_url)
    facts = {name: getattr(quoted, name) for name in Quotation.__dataclass_fields__}
    return Citation(**facts, n=n, score=round(sentence_answers(candidate.features), 3))


def _reason(verdict: Verdict, retrieved: Retrieved, filtered: bool) -> str:
    if not retrieved.admitted:
        return "The filters leave no article." if filtered else "There are no articles yet; add some."
    return {
        "answered": "The first sentence is likely to answer.",
        "perhaps": "The first sentence may answer; it is not certain.",
        "unanswered": "Nothing here answers that; the nearest sentences are given as what they are.",
    }[verdict]
