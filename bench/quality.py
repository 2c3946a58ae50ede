"""How well ours and the baseline answer the questions of a data set."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.baseline import Baseline
from bench.datasets import Dataset
from bench.metrics import Place, hit_rate, mean_reciprocal_rank, rank_of
from index.articles import Article, Passage, Span
from index.corpus import Corpus
from index.encoding import Encoder
from index.errors import FormatError, QuestionError
from index.formats import read_articles
from index.ranking import Ranker
from index.retrieval import Candidate, Retriever

# How many sentences are looked at; passages are as many as the retriever looks at itself.
DEPTH = 10


@dataclass(frozen=True, slots=True)
class Found:
    """What a question found, best first. passages: none for a system that has none."""

    sentences: Sequence[Place]
    passages: Sequence[Place] = ()


Search = Callable[[Sequence[str]], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares of the questions, in [0, 1]; see `bench.metrics`.

    hit_1_clear: hit@1 over the questions whose evidence is not marked as ambiguous.
    """

    questions: int
    hit_1: float
    hit_5: float
    hit_10: float
    mrr_10: float
    hit_1_clear: float
    recall_20: float
    recall_50: float


@dataclass(frozen=True, slots=True)
class Indexed:
    """What adding all articles took, from the file to the committed corpus."""

    articles: int
    sentences: int
    passages: int
    seconds: float


@contextmanager
def corpus_of(articles: Iterable[Article], encoder: Encoder) -> Iterator[Corpus]:
    """Give a corpus of these articles that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="quoteline-bench-") as folder:
        corpus = Corpus(Path(folder), encoder)
        try:
            for _ in corpus.add(articles):
                pass
            yield corpus
        finally:
            corpus.close()


def index_articles(path: Path, corpus: Corpus) -> Indexed:
    """Add the articles of a corpus.jsonl, the way the command line does."""
    started = time.perf_counter()
    with path.open("rb") as file:
        readable = (read for read in read_articles(file, name=path.name) if not isinstance(read, FormatError))
        for _ in corpus.add(readable):
            pass
    corpus.save()
    return Indexed(*corpus.store.counts(), time.perf_counter() - started)


def measure(dataset: Dataset, search: Search) -> Quality:
    """Ask every question that has a target, and see at which rank the target is found."""
    queries = dataset.answerable()
    targets = [dataset.targets[query.id] for query in queries]
    sentences, passages = [], []
    for target, found in zip(targets, search([query.text for query in queries]), strict=True):
        sentences.append(rank_of(target.places, found.sentences))
        passages.append(rank_of(target.places, found.passages))
    clear = [rank for target, rank in zip(targets, sentences, strict=True) if not target.ambiguous]
    return Quality(
        questions=len(queries),
        hit_1=hit_rate(sentences, 1),
        hit_5=hit_rate(sentences, 5),
        hit_10=hit_rate(sentences, 10),
        mrr_10=mean_reciprocal_rank(sentences, 10),
        hit_1_clear=hit_rate(clear, 1),
        recall_20=hit_rate(passages, 20),
        recall_50=hit_rate(passages, 50),
    )


def search_ours(corpus: Corpus, ranker: Ranker) -> Search:
    """Return the product's own search, as the answering side calls it; without a reader it is fusion's."""
    retriever = Retriever(corpus)
    sentences: dict[str, Sequence[Span]] = {}

    def place(passage: Passage) -> Place:
        if passage.article_id not in sentences:
            sentences[passage.article_id] = corpus.store.record(passage.article_id).sentences
        spans = sentences[passage.article_id][passage.first : passage.last]
        return Place(passage.article_id, Span(spans[0].start, spans[-1].end))

    def search(questions: Sequence[str]) -> Iterator[Found]:
        for question in questions:
            try:
                retrieved = retriever.retrieve(question, top_k=max(DEPTH, ranker.wanted))
            except QuestionError:
                # What the product refuses to be asked, it does not answer.
                yield Found(())
                continue
            ranked = ranker.rank(question, retrieved).sentences[:DEPTH]
            quoted = [place_of(one.candidate) for one in ranked]
            yield Found(quoted, [place(passage) for passage in retrieved.passages])

    return search


def place_of(candidate: Candidate) -> Place:
    """Return where a candidate stands."""
    return Place(candidate.sentence.article_id, candidate.sentence.span)


def search_baseline(baseline: Baseline) -> Search:
    """Return the baseline's search, all questions in one batch."""

    def search(questions: Sequence[str]) -> Iterator[Found]:
        for hits in baseline.search(questions, DEPTH):
            yield Found([hit.quote.place for hit in hits])

    return search
