"""Corpora of any size: some real articles with questions about them, among articles of random real sentences.

Words keep their real frequencies, and what is asked keeps the sentences that truly answer it. An article is known by
its number alone, so that a corpus can be continued from where it ends, on any machine.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.datasets import Dataset, Query, load_dataset
from index.articles import Article, Span
from index.errors import InputError
from index.retrieval import LONGEST_QUESTION
from index.splitting import split_sentences

CHECKOUT = Path(__file__).resolve().parent.parent.parent
# The first has the questions; the sentences of the others make the generated articles.
DEFAULT_DATA = tuple(CHECKOUT.parent / "shared" / "data" / name for name in ("squad1/test", "squad1/tune", "scifact"))
ASKED = 500
# Sentences of a generated article, in code points of a sentence, and their number.
SHORTEST, LONGEST = 20, 400
FEWEST, MOST = 8, 24
SEED = 7


@dataclass(frozen=True, slots=True)
class Material:
    """What corpora and questions are made of.

    asked: the questions with their evidence, whose articles are in every corpus. real: articles of that data set, those
    that are asked about first. sentences, titles: of the other data sets, each once. questions: all that can be asked,
    each once, in a fixed order without any of `asked`.
    """

    asked: Dataset
    real: tuple[Article, ...]
    sentences: tuple[str, ...]
    titles: tuple[str, ...]
    questions: tuple[str, ...]

    @property
    def smallest(self) -> int:
        """The articles that every corpus holds."""
        return len(_asked_about(self.asked))

    @property
    def fingerprint(self) -> str:
        """A digest of all that articles are made of."""
        parts = [str(SEED), *(article.digest() for article in self.real), *self.sentences, *self.titles]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def load_material(folders: Sequence[Path], *, asked: int = ASKED) -> Material:
    """Read data sets in BEIR's layout, the first with evidence.jsonl. Raises InputError where they are not there."""
    if missing := [folder for folder in folders if not folder.is_dir()]:
        raise InputError(
            f"{missing[0]} is missing; name data sets in BEIR's layout (corpus.jsonl, queries.jsonl, qrels.tsv) with "
            "--data: first one with evidence.jsonl, which has the questions, then others, of whose sentences articles "
            "are made"
        )
    if len(folders) < 2:
        raise InputError(f"only {folders[0]} is named with --data; articles are made of the sentences of a second one")
    first, *others = (load_dataset(folder) for folder in folders)
    sample = replace(first, queries=tuple(first.answerable())).sample(asked)
    if not first.by_sentence or not sample.queries:
        raise InputError(f"{folders[0]} has no evidence.jsonl with sentences that answer its questions")
    sentences = tuple(dict.fromkeys(one for dataset in others for one in _sentences(dataset)))
    if len(sentences) < MOST:
        raise InputError(f"{', '.join(map(str, folders[1:]))} hold {len(sentences)} usable sentences, not {MOST}")
    titles = tuple(dict.fromkeys(article.title or "" for dataset in others for article in dataset.articles))
    return Material(sample, _asked_first(sample), sentences, titles, _questions([first, *others], sample.queries))


def _asked_first(sample: Dataset) -> tuple[Article, ...]:
    wanted = _asked_about(sample)
    return tuple(sorted(sample.articles, key=lambda article: article.id not in wanted))


def _asked_about(sample: Dataset) -> set[str]:
    return {place.article_id for query in sample.queries for place in sample.targets[query.id].places}


def _sentences(dataset: Dataset) -> Iterator[str]:
    """Yield the sentences that stay one sentence wherever they stand."""
    for article in dataset.articles:
        for span in split_sentences(article.text, article.body):
            text = span.of(article.text)
            if SHORTEST <= len(text) <= LONGEST and "\n" not in text and text[0].isupper() and text[-1] in ".?!":
                yield text


def _questions(datasets: Sequence[Dataset], asked: Sequence[Query]) -> tuple[str, ...]:
    taken = {query.text for query in asked}
    texts = dict.fromkeys(
        query.text
        for dataset in datasets
        for query in dataset.queries
        if len(query.text) <= LONGEST_QUESTION and any(map(str.isalnum, query.text)) and query.text not in taken
    )
    order = list(texts)
    random.Random(SEED).shuffle(order)  # noqa: S311 - nothing to guess
    return tuple(order)


def generated(material: Material, number: int) -> Article:
    """Return the article of random sentences with that number, always the same one."""
    dice = random.Random(f"{SEED}-{number}")  # noqa: S311 - nothing to guess
    sentences = dice.sample(material.sentences, dice.randint(FEWEST, MOST))
    return whole(f"generated-{number}", dice.choice(material.titles), " ".join(sentences))


def whole(id_: str, title: str, text: str) -> Article:
    """Return an article all of whose text is its body."""
    return Article(id=id_, title=title or None, text=text, body=Span(0, len(text)))


def numbered(material: Material, first: int) -> Iterator[Article]:
    """Yield all articles from one number on, without end: the real ones, then the generated ones."""
    yield from material.real[first:]
    number = max(first - len(material.real), 0)
    while True:
        yield generated(material, number)
        number += 1


# Where the sentences of an article end that each of its passages ends with, in order, as ordinals.
Ends = Callable[[Article], Sequence[int]]


def until(articles: Iterator[Article], passages: int, ends: Ends) -> Iterator[Article]:
    """Yield articles that make exactly so many passages; the last one is cut short where it would make more."""
    while passages > 0:
        article = next(articles)
        its_ends = ends(article)
        if len(its_ends) > passages:
            article = _cut(article, its_ends[passages - 1])
            its_ends = its_ends[:passages]
        passages -= len(its_ends)
        yield article


def _cut(article: Article, sentences: int) -> Article:
    last = split_sentences(article.text, article.body)[sentences - 1]
    return replace(article, text=article.text[: last.end], body=Span(article.body.start, last.end))


class Questions:
    """Hands out questions, none of them twice, so that no cache can help."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._next = 0

    def take(self, count: int) -> Sequence[str]:
        """Return the next `count`. Raises InputError where fewer are left."""
        taken = self._texts[self._next : self._next + count]
        if len(taken) < count:
            raise InputError(
                f"the data sets have {len(self._texts):,} questions, and {self._next + count:,} are needed: name more "
                "data sets with --data, or ask fewer with --asks"
            )
        self._next += count
        return taken
