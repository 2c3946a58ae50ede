"""Questions in, cited answers out. No HTTP here."""

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from math import inf
from operator import attrgetter
from typing import Literal

from index.confidence import ANSWERED, PERHAPS, Calibration, Judgement, calibration_for
from index.corpus import Corpus
from index.engine import Snapshot
from index.entailment import Entailment
from index.errors import CorpusDamagedError, FilterError
from index.ranking import READ, Ranked, Ranker, Ranking, asks_yes_or_no
from index.reading import Reader
from index.retrieval import Retrieved, Retriever
from index.speakers import Attribution
from index.store import Filters
from index.times import is_about_now, moments_of
from service import comparing
from service.citations import Part, Quotation, part_in, part_of, quotation
from service.comparing import WEIGHS, Compared
from service.comparison import AskedTime, Comparison, Said, Time
from service.conversation import Turn, understand
from service.remembered import Remembered
from service.rewriting import Rewriter
from service.voices import (
    Heard,
    Voice,
    chosen,
    judged,
    opposed,
    reported,
    voices_of,
    what_is_denied,
    with_statement,
)

Verdict = Literal["answered", "perhaps", "unanswered"]

DEFAULT_TOP_K = 5
MOST_TOP_K = 100
# Articles beside those of the answer of which a passage is read, to hear whether they say the same.
OTHERS = 2
# Places of one voice that are told, beside the one that is quoted.
MOST_PLACES = 10
# Months after which what is said about now is old.
OLD = 3


@dataclass(frozen=True, slots=True)
class Citation(Quotation):
    """A sentence of an answer. n: its place there, from 1. score: the estimated probability that it answers.

    part: its words that answer; None where it was not read, its reader cannot say, or it hardly answers. says: what it
    says to a yes-or-no question; None to others, and where that is not clear. attribution: whose statement it is, where
    it is not the article's own. times: what it speaks of, on the calendar. places: where else the same is written, in
    nearly the same words. What is compared is empty where comparing is switched off.
    """

    n: int
    score: float
    part: Part | None
    says: Literal["yes", "no"] | None = None
    attribution: Said | None = None
    times: tuple[Time, ...] = ()
    places: tuple[Quotation, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the corpus has to say to a question.

    understood: the question that stands alone, where turns before it made it another; None where it is as it was asked.
    probability: that something in the corpus answers. citations: best first, weak ones behind strong ones too, each
    with its own score; empty where nothing answers, and then `nearest` holds what came closest. generation: of the
    corpus that was asked. timings_ms: by stage; `read` where there is a reader; `remembered`, and no other stage, where
    the answer was given before. reason: where nothing answers, whether anything is about it at all. comparison: what
    the citations say beside each other; None where there are none, or comparing is switched off. time: that the
    question asks about. age: how old the answer is, in words, where the question is about now and the answer is not.
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
    comparison: Comparison | None = None
    time: AskedTime | None = None
    age: str | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """All that an answer depends on, beside the corpus. understood: the question as it stands alone."""

    question: str
    understood: str
    top_k: int
    filters: Filters
    base_url: str
    compare: bool
    today: dt.date


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
        entailment: Entailment | None = None,
        remember: int = 0,
    ) -> None:
        """calibration: the reader's; if None, the one that is shipped for it. depth: passages read for a question.

        answered, perhaps: the probabilities from which an answer is called that. rewriter: has the first say on how a
        follow-up question is understood. entailment: tells which sentences say yes and which no. remember: how many
        answers are kept to be given again, as long as nothing changes.
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
        self._entailment = entailment
        self._remembered: Remembered[_Asked, Answer] | None = Remembered(remember, _size) if remember else None

    def ask(
        self,
        question: str,
        *,
        turns: Sequence[Turn] = (),
        top_k: int = DEFAULT_TOP_K,
        filters: Filters | None = None,
        base_url: str = "",
        compare: bool = True,
    ) -> Answer:
        """Answer `question` with at most `top_k` citations.

        turns: the conversation before it, oldest first. base_url: goes in front of links to articles that have no URL
        of their own. compare: whether the same in two places is cited once, and what is cited is compared.
        Raises QuestionError and FilterError.
        """
        if not 1 <= top_k <= MOST_TOP_K:
            raise FilterError(f"top_k is {top_k}; it can be 1 to {MOST_TOP_K}")
        started = time.perf_counter()
        filters = filters or Filters()
        today = filters.as_of or dt.datetime.now(dt.UTC).date()
        asked = _Asked(question, self._understood(question, turns), top_k, filters, base_url, compare, today)
        if self._remembered is None:
            return self._answer(asked, started)
        answer, again = self._remembered.find(asked, self._state(), partial(self._answer, asked, started))
        if not again:
            return answer
        taken = round(1000 * (time.perf_counter() - started), 2)
        return replace(answer, timings_ms={"remembered": taken, "total": taken})

    def expecting(self, question: str) -> AbstractContextManager[None]:
        """For as long as this lasts, `question` waits to be asked, and may be encoded along with others.

        Raises QuestionError.
        """
        return self._retriever.expecting(question)

    def forget_outdated(self) -> None:
        """Forget answers that were given before the last change. Asking does so, too; nobody may ask for long."""
        if self._remembered is not None:
            self._remembered.turn_to(self._state())

    def _state(self) -> tuple[int, Snapshot]:
        return self._corpus.store.generation, self._corpus.snapshot

    def _answer(self, asked: _Asked, started: float) -> Answer:
        question, top_k, filters, compare = asked.understood, asked.top_k, asked.filters, asked.compare
        # One view of the store for all that follows: a sentence is cut out of the very text that it was found in.
        with self._corpus.store.frozen():
            # Twice as many as are wanted, because some may say the same.
            retrieved = self._retriever.retrieve(
                question,
                top_k=max(2 * top_k, self._ranker.wanted),
                filters=filters,
                today=asked.today,
                timely=compare,
            )
            # What is judged against the question need not be read as well.
            others = OTHERS if compare and not (self._entailment and asks_yes_or_no(question)) else 0
            ranking = self._ranker.rank(question, retrieved, others=others)
            verdict = self._verdict(ranking)
            clock = time.perf_counter()
            if compare:
                voices = self._voices(question, ranking, top_k, answers=verdict != "unanswered")
            else:
                voices = [Voice(heard) for heard in islice(self._once(ranking.sentences, 2 * top_k), top_k)]
            # Where nothing answers no part of a sentence does.
            parts_from = self._perhaps if verdict != "unanswered" else inf
            cite = partial(_citation, base_url=asked.base_url, parts_from=parts_from, compare=compare)
            citations = tuple(cite(n, voice) for n, voice in enumerate(voices, start=1))
            comparison = self._compared(question, voices, citations) if compare and verdict != "unanswered" else None
            if comparison:
                citations = tuple(_answering(citation, comparison) for citation in citations)
        shown, nearest = ((), citations) if verdict == "unanswered" else (citations, ())
        timings = {**retrieved.timings, **ranking.timings, "cite": 1000 * (time.perf_counter() - clock)}
        total = 1000 * (time.perf_counter() - started)
        return Answer(
            question=asked.question,
            understood=question if question != asked.question else None,
            verdict=verdict,
            probability=round(ranking.judgement.probability, 3),
            reason=_reason(verdict, retrieved, ranking.judgement, filters),
            citations=shown,
            nearest=nearest,
            generation=retrieved.generation,
            timings_ms={stage: round(ms, 2) for stage, ms in {**timings, "total": total}.items()},
            comparison=comparison,
            time=_asked_time(retrieved),
            age=_age(question, shown, asked.today) if compare else None,
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

    def _once(self, sentences: Sequence[Ranked], several: int) -> Iterator[Heard]:
        """Yield sentences, those that one article has twice once; their articles are read for `several` at a time."""
        told: set[tuple[str, Sequence[int] | str]] = set()
        for heard in self._heard(sentences, several):
            # The same words in the same order, whatever their case and punctuation. One other word, such as a "not" or
            # a number, can be all that matters. What has no terms (a long word of another script) speaks for itself.
            said = (heard.article_id, heard.ranked.candidate.terms or heard.text)
            if said not in told:
                told.add(said)
                yield heard

    def _heard(self, sentences: Sequence[Ranked], several: int) -> Iterator[Heard]:
        for first in range(0, len(sentences), max(several, 1)):
            some = sentences[first : first + several]
            names = [(one.candidate.sentence.article_id, one.candidate.version) for one in some]
            records = self._corpus.store.records_at(set(names))
            for ranked, name in zip(some, names, strict=True):
                yield Heard(ranked, records[name])

    def _voices(self, question: str, ranking: Ranking, wanted: int, *, answers: bool) -> list[Voice]:
        """Return the voices to cite."""
        heard = list(self._heard(ranking.sentences, len(ranking.sentences)))
        voices = voices_of(heard, newest=partial(is_about_now, question))
        if not answers or not asks_yes_or_no(question):
            return voices[:wanted]
        voices = reported(voices)
        if self._entailment:
            voices = judged(self._entailment, question, voices, wanted)
        if denied := what_is_denied(voices, wanted):
            voices = with_statement(voices, self._corpus.encoder.encode_questions([denied])[0])
        return chosen(voices, wanted)

    def _compared(self, question: str, voices: Sequence[Voice], citations: Sequence[Citation]) -> Comparison | None:
        sources = self._sources({place.article_id for voice in voices for place in voice.places})
        compared = [
            Compared(
                n=citation.n,
                quote=citation,
                part=citation.part,
                says=citation.says,
                reports=voice.reports,
                sources=frozenset(sources[place.article_id] for place in voice.places),
                weighs=citation.score >= WEIGHS,
            )
            for citation, voice in zip(citations, voices, strict=True)
        ]
        pairs = opposed(self._entailment, voices) if self._entailment and not asks_yes_or_no(question) else []
        return comparing.compare(question, compared, [(one + 1, other + 1) for one, other in pairs])

    def _sources(self, article_ids: Set[str]) -> dict[str, str]:
        """Return for each article what stands for it and its near-duplicates: they are one source."""
        near = self._corpus.store.near_duplicates_of(article_ids)
        found: dict[str, str] = {}
        for article_id in sorted(article_ids):
            like = [other for other in near.get(article_id, ()) if other in found]
            found[article_id] = found[like[0]] if like else article_id
        return found


_facts = attrgetter(*Quotation.__dataclass_fields__)


def _citation(n: int, voice: Voice, *, base_url: str, parts_from: float, compare: bool) -> Citation:
    heard = voice.first
    article, sentence, ranked = heard.record.article, heard.ranked.candidate.sentence, heard.ranked
    quoted = _quotation(heard, base_url)
    part = part_of(quoted, ranked.part) if ranked.part and ranked.probability >= parts_from else None
    facts = dict(zip(Quotation.__dataclass_fields__, _facts(quoted), strict=True))
    cited = partial(Citation, **facts, n=n, score=round(voice.probability, 3), part=part)
    if not compare:
        return cited()
    return cited(
        says=voice.says,
        attribution=_said(article.text, heard.said) if heard.said else None,
        times=tuple(
            Time(part_of(quoted, moment.span), moment.first, moment.last)
            for moment in moments_of(article.text, sentence.span, article.date)
        ),
        places=tuple(_quotation(place, base_url) for place in voice.others[:MOST_PLACES]),
    )


def _answering(citation: Citation, comparison: Comparison) -> Citation:
    """Return the citation with the name or number that is its answer beside the others, whatever the reader saw."""
    answers = {side.answer for side in comparison.sides if citation.n in side.citations}
    for difference in comparison.differences:
        for value in difference.values:
            if value.n == citation.n and value.part.text in answers:
                return replace(citation, part=value.part)
    return citation


def _quotation(heard: Heard, base_url: str) -> Quotation:
    sentence = heard.ranked.candidate.sentence
    # The offsets were found in a passage's row; the article's own row has to say the same.
    if heard.record.sentences[sentence.ordinal] != sentence.span:
        raise CorpusDamagedError(
            f"a passage of {sentence.article_id} holds other sentences than the article; run `quoteline check`"
        )
    return quotation(heard.record, sentence.span, base_url)


def _said(text: str, said: Attribution) -> Said:
    return Said(
        speaker=part_in(text, said.speaker),
        named=part_in(text, said.named) if said.named else None,
        verb=part_in(text, said.verb),
        kind=said.kind,
        quoted=said.quoted,
        via=part_in(text, said.via) if said.via else None,
    )


def _size(answer: Answer) -> int:
    """Return about how many bytes an answer takes in memory."""
    citations = (*answer.citations, *answer.nearest)
    quotations = [quoted for citation in citations for quoted in (citation, *citation.places)]
    texts = (text for one in quotations for text in (one.quote, one.before, one.after, one.link, one.url, one.title))
    return 4000 + 1500 * len(quotations) + 2 * sum(len(text) for text in texts if text)


def _asked_time(retrieved: Retrieved) -> AskedTime | None:
    window = retrieved.window
    return AskedTime(window.words, window.first, window.last) if window else None


def _age(question: str, citations: Sequence[Citation], today: dt.date) -> str | None:
    """Return how old the newest of what is cited is, where the question is about now and that is old."""
    days = max((one.date for one in citations if one.date), default=today)
    months = (today.year - days.year) * 12 + today.month - days.month - (today.day < days.day)
    if months < OLD or not is_about_now(question):
        return None
    ago = f"{months} months" if months < 24 else f"{months // 12} years"
    return f"The newest of these is from {days.day} {days:%B %Y}, {ago} ago."


def _reason(verdict: Verdict, retrieved: Retrieved, judgement: Judgement, filters: Filters) -> str:
    if not retrieved.admitted:
        if filters.as_of:
            return f"No article that the filters admit was here on {filters.as_of}."
        return "The filters leave no article." if filters else "There are no articles yet; add some."
    if verdict == "unanswered":
        if not judgement.about:
            return "Nothing here answers that: nothing is about it."
        return "Nothing here answers that: something is about it, but no sentence answers."
    return {
        "answered": "The first sentence is likely to answer.",
        "perhaps": "The first sentence may answer; it is not certain.",
    }[verdict]
