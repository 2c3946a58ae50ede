"""Corpora of all sizes, asked questions of all kinds: what `bench.calibration` fits to.

A data set's corpus, whole, halved by title, and tiny, is asked questions that it answers, questions about the very
paragraph that it does not answer (where queries.jsonl tells `answerable`: SQuAD 2.0), and questions about articles that
were left out.
"""

import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.datasets import Dataset, Query, title_of
from bench.metrics import Place, matches
from bench.quality import corpus_of, place_of
from bench.reading import SHOWN, STRAYS
from index.articles import Article, Sentence
from index.confidence import calibration_for
from index.corpus import Corpus
from index.encoding import Encoder
from index.errors import InputError, QuestionError
from index.ranking import PassageRead, Ranker
from index.reading import Reader
from index.retrieval import Candidate, Retriever

FOLDS = 5
# Fewer questions say little of a probability.
FEWEST = 100
# Corpora of one to ten paragraphs that are asked, too: in those the best sentence found is often about nothing.
SMALL_CORPORA = 80


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a question met.

    kind: "all" of a whole corpus, "small" of some paragraphs; "elsewhere" of other titles than the question is about.
    titles: of the articles that it is about. answerable: whether the corpus answers it. read: all passages down to the
    depth. evidence: those of the candidates that answer.
    """

    kind: str
    titles: frozenset[str]
    answerable: bool
    candidates: Sequence[Candidate]
    read: Sequence[PassageRead]
    evidence: frozenset[Sentence]

    @property
    def stray(self) -> bool:
        """Whether the question is about something that the corpus does not hold."""
        return self.kind.startswith("elsewhere")


def check(dataset: Dataset) -> None:
    """Raise InputError where there is too little to fit anything to."""
    known = [query for query in dataset.queries if dataset.is_answerable(query) is not None]
    if len(known) < FEWEST:
        raise InputError(
            f"{dataset.name} has {len(known)} questions of which is known whether something answers (by "
            f"evidence.jsonl, qrels.tsv, or `answerable` in queries.jsonl); a calibration needs {FEWEST} or more"
        )
    if not any(dataset.is_answerable(query) for query in known):
        raise InputError(
            f"{dataset.name} has no question that its corpus answers; name what answers in evidence.jsonl or qrels.tsv"
        )
    titles = {title_of(article) for article in dataset.articles}
    if len(titles) < 2 and all(dataset.is_answerable(query) for query in known):
        raise InputError(
            f"{dataset.name} has no question that nothing answers: all articles have one title, so that none can be "
            "left out, and no question has `answerable`: false in queries.jsonl; add other articles, or such questions"
        )


def only_fold(dataset: Dataset, fold: int) -> Dataset:
    """Return the data set with the questions about titles of one fold; the articles are all there."""
    titles = dataset.titles()
    kept = (one for one in dataset.queries if any(zlib.crc32(name.encode()) % FOLDS == fold for name in titles[one.id]))
    return replace(dataset, queries=tuple(kept))


def collect(
    dataset: Dataset, encoder: Encoder, reader: Reader | None, depth: int, *, small: int = SMALL_CORPORA
) -> Iterator[Asked]:
    """Ask corpora of all sizes all kinds of questions, the same ones in every run; depth: passages that are read."""
    chance = random.Random(7)  # noqa: S311 - chooses questions, not secrets
    asking = _Asking(dataset, encoder, reader, depth)
    known = [query for query in dataset.queries if dataset.is_answerable(query) is not None]
    about = {query.id: asking.titles[query.id] for query in known if asking.titles[query.id]}
    yield from asking.ask("all", dataset.articles, known)
    titles = sorted({title_of(article) for article in dataset.articles})
    if len(titles) < 2:
        return
    kept = frozenset(titles[::2])
    strays = [query for query in known if query.id in about and not about[query.id] & kept]
    half = [article for article in dataset.articles if title_of(article) in kept]
    yield from asking.ask("elsewhere", half, chance.sample(strays, min(STRAYS, len(strays))))
    for turn in range(small):
        title = chance.choice(titles)
        pool = [article for article in dataset.articles if turn % 2 or title_of(article) == title]
        few = chance.sample(pool, min(chance.choice([1, 2, 3, 5, 10]), len(pool)))
        themes = {title_of(article) for article in few}
        own = [query for query in known if asking.is_about(query, few)]
        others = [query for query in known if query.id in about and not about[query.id] & themes]
        yield from asking.ask("small", few, chance.sample(own, min(30, len(own))))
        yield from asking.ask("elsewhere, small", few, chance.sample(others, min(10, len(others))))


class _Asking:
    """Asks corpora of some of a data set's articles."""

    def __init__(self, dataset: Dataset, encoder: Encoder, reader: Reader | None, depth: int) -> None:
        self.titles = dataset.titles()
        self._dataset = dataset
        self._encoder = encoder
        self._reader = reader
        self._depth = depth

    def is_about(self, query: Query, articles: Sequence[Article]) -> bool:
        """Whether a question was made from any of `articles`, or is answered by it."""
        ids = {article.id for article in articles}
        return query.source in ids or any(place.article_id in ids for place in self._places(query))

    def ask(self, kind: str, articles: Sequence[Article], queries: Sequence[Query]) -> Iterator[Asked]:
        """Ask a corpus of `articles`; a question that cannot be asked, or finds no sentence, is left out."""
        if not queries:
            return
        ids = {article.id for article in articles}
        with corpus_of(articles, self._encoder) as corpus:
            for query in queries:
                places = [place for place in self._places(query) if place.article_id in ids]
                found = self._met(corpus, query.text)
                if found is None:
                    continue
                candidates, read = found
                evidence = (
                    one.sentence for one in candidates if any(matches(place_of(one), place) for place in places)
                )
                yield Asked(kind, self.titles[query.id], bool(places), candidates, read, frozenset(evidence))

    def _met(self, corpus: Corpus, question: str) -> tuple[Sequence[Candidate], Sequence[PassageRead]] | None:
        ranker = Ranker(corpus, self._reader, calibration_for(""), depth=self._depth)
        try:
            candidates = Retriever(corpus).retrieve(question, top_k=max(2 * SHOWN, ranker.wanted)).candidates
        except QuestionError:
            return None
        return (candidates, tuple(ranker.read(question, candidates))) if candidates else None

    def _places(self, query: Query) -> Sequence[Place]:
        answers = self._dataset.is_answerable(query)
        return self._dataset.targets[query.id].places if answers else ()
