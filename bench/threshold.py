"""Fit `index.confidence.RETRIEVAL`: `python -m bench.threshold DIR`, with SQuAD 2.0 (or the like) in BEIR's layout.

queries.jsonl must say for each question whether it is `answerable` and from which article it was made (`source_doc`).
Corpora of many sizes are asked questions that they answer, questions about the very paragraph that it does not answer,
and questions about other articles. A logistic regression on the first candidate's features tells the first from the
rest; the table says what each threshold keeps and what it lets through.
"""

import json
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from bench.datasets import load_dataset
from index.articles import Article
from index.confidence import RETRIEVAL, inputs, score
from index.corpus import Corpus
from index.encoding import DEFAULT_MODEL, Encoder, load_encoder
from index.retrieval import Candidate, Retriever
from service.settings import Settings

SMALL_CORPORA = 80
THRESHOLDS = (0.05, 0.1, 0.12, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
# Weights of the kinds of questions in the fit: about as much of each as people might ask.
WEIGHT = {"all": 0.35, "small": 1.0, "elsewhere": 1.0, "elsewhere, small": 1.0}


@dataclass(frozen=True, slots=True)
class Question:
    """A question, whether its own article answers it, and which that is."""

    text: str
    answerable: bool
    article_id: str


@dataclass(frozen=True, slots=True)
class Case:
    """What a question met: the first candidate, and whether anything in the corpus answers."""

    kind: str
    answerable: bool
    first: Candidate


def main(folder: Path) -> None:
    """Print the fitted coefficients and the table, for them and for those in use."""
    cases = list(collect(folder, random.Random(7)))  # noqa: S311 - chooses questions, not secrets
    rows = np.array([inputs(case.first.features) for case in cases])
    labels = np.array([case.answerable for case in cases])
    weights = np.array([WEIGHT[case.kind] for case in cases])
    model = LogisticRegression(C=10.0, max_iter=1000).fit(rows, labels, sample_weight=weights)
    cosine, coverage = model.coef_[0]
    print(f"fitted: cosine {cosine:.2f}, words {coverage:.2f}, bias {model.intercept_[0]:.2f}")
    print("in use:")
    report(cases, np.array([score(RETRIEVAL, case.first, 0.0).probability for case in cases]))


def collect(folder: Path, chance: random.Random) -> Iterator[Case]:
    """Ask corpora of all sizes all kinds of questions."""
    encoder = load_encoder(DEFAULT_MODEL, Settings().models_folder)
    articles = {article.id: article for article in load_dataset(folder).articles}
    questions = list(_questions(folder / "queries.jsonl"))
    yield from _ask(encoder, list(articles.values()), questions, "all")
    titles = sorted({str(article.title) for article in articles.values()})
    half = set(titles[::2])
    kept = [article for article in articles.values() if article.title in half]
    others = [question for question in questions if articles[question.article_id].title not in half]
    yield from _ask(encoder, kept, chance.sample(others, min(1000, len(others))), "elsewhere")
    for turn in range(SMALL_CORPORA):
        title = chance.choice(titles)
        pool = [article for article in articles.values() if turn % 2 or article.title == title]
        few = chance.sample(pool, min(chance.choice([1, 2, 3, 5, 10]), len(pool)))
        ids, themes = {article.id for article in few}, {article.title for article in few}
        own = [question for question in questions if question.article_id in ids]
        others = [question for question in questions if articles[question.article_id].title not in themes]
        yield from _ask(encoder, few, chance.sample(own, min(30, len(own))), "small")
        yield from _ask(encoder, few, chance.sample(others, 10), "elsewhere, small")


def report(cases: Sequence[Case], scores: NDArray[np.float64]) -> None:
    """Print AUROC, and for each threshold the share of each kind of question whose probability reaches it."""
    labels = np.array([case.answerable for case in cases])
    kinds = np.array([case.kind for case in cases])
    groups = [
        ("answered here", labels),
        ("about this, not answered", ~labels & ~np.char.startswith(kinds, "elsewhere")),
        ("about something else", np.char.startswith(kinds, "elsewhere")),
    ]
    for name, mask in groups[1:]:
        both = labels | mask
        print(f"AUROC, answered against {name}: {roc_auc_score(labels[both], scores[both]):.3f}")
    print(f"{'threshold':28}" + "".join(f"{threshold:7.2f}" for threshold in THRESHOLDS))
    for name, mask in groups:
        shares = "".join(f"{np.mean(scores[mask] >= threshold):7.3f}" for threshold in THRESHOLDS)
        print(f"{name:28}{shares}   of {int(mask.sum())}")
    grid = np.linspace(0.01, 0.9, 90)
    balanced = [(np.mean(scores[labels] >= one) + np.mean(scores[groups[2][1]] < one)) / 2 for one in grid]
    print(f"told apart best, by balanced accuracy {max(balanced):.3f}, at {grid[int(np.argmax(balanced))]:.2f}")


def _questions(path: Path) -> Iterator[Question]:
    with path.open(encoding="utf-8") as file:
        for record in map(json.loads, file):
            yield Question(record["text"], record["answerable"], record["source_doc"])


def _ask(encoder: Encoder, articles: Sequence[Article], questions: Sequence[Question], kind: str) -> Iterator[Case]:
    ids = {article.id for article in articles}
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus(Path(folder), encoder)
        for _ in corpus.add(articles):
            pass
        retriever = Retriever(corpus)
        for question in questions:
            candidates = retriever.retrieve(question.text, top_k=1).candidates
            if candidates:
                answerable = question.answerable and question.article_id in ids
                yield Case(kind, answerable, candidates[0])
        corpus.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
