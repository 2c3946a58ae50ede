"""Fit the weights of `index.retrieval.WEIGHTS`: `python -m bench.fit DIR`, with a data set for tuning in BEIR's layout.

Listwise logistic regression: among all candidates of a question, the one that is the evidence should have the largest
weighted sum. What it would reach on questions about other articles is estimated on five folds by title.
"""

import sys
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from bench.datasets import Dataset, load_dataset
from bench.metrics import Place, hit_rate, matches, mean_reciprocal_rank
from index.corpus import Corpus
from index.encoding import DEFAULT_MODEL, Encoder, load_encoder
from index.retrieval import WEIGHTS, Retriever
from service.settings import Settings

FOLDS = 5
# Keeps a weight that hardly matters near zero.
RIDGE = 1e-3
ALL = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One question. features: shape (candidates, weights), in the order of WEIGHTS; answers: which of them do."""

    fold: int
    features: Floats
    answers: NDArray[np.bool_]


def main(folder: Path) -> None:
    """Print today's weights and fitted ones, and what both reach."""
    dataset = load_dataset(folder)
    cases = collect(dataset, load_encoder(DEFAULT_MODEL, Settings().models_folder))
    today = np.array(list(WEIGHTS.values()))
    print(f"{len(cases)} questions of {dataset.name}\nhit@1  hit@5  hit@10 MRR@10")
    print(reached(cases, [today] * FOLDS), "today's weights")
    print(reached(cases, fit_by_fold(cases)), "fitted, each question by weights that did not see its article")
    fitted = fit(cases)
    for name, weight, before in zip(WEIGHTS, fitted / fitted[0], today, strict=True):
        print(f"{name:16}{weight:6.2f}  (today {before:.2f})")


def collect(dataset: Dataset, encoder: Encoder) -> list[Case]:
    """Ask all questions of an index of all articles, and keep every candidate's features."""
    titles = {article.id: article.title or article.id for article in dataset.articles}
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus(Path(folder), encoder)
        for _ in corpus.add(dataset.articles):
            pass
        retriever = Retriever(corpus)
        for query in dataset.answerable():
            places = dataset.targets[query.id].places
            candidates = retriever.retrieve(query.text, top_k=ALL).candidates
            found = [Place(one.sentence.article_id, one.sentence.span) for one in candidates]
            answers = np.array([any(matches(one, place) for place in places) for one in found])
            features = np.array([[getattr(one.features, name) for name in WEIGHTS] for one in candidates])
            fold = zlib.crc32(titles[places[0].article_id].encode()) % FOLDS
            cases.append(Case(fold, features, answers))
        corpus.close()
    return cases


def fit(cases: Sequence[Case]) -> Floats:
    """Return the weights under which the answers are likeliest."""
    reachable = [case for case in cases if case.answers.any()]

    def loss(weights: Floats) -> tuple[float, Floats]:
        total, gradient = RIDGE * float(weights @ weights), 2 * RIDGE * weights
        for case in reachable:
            scores = np.exp(case.features @ weights - (case.features @ weights).max())
            share, right = scores / scores.sum(), scores * case.answers
            total -= float(np.log(right.sum() / scores.sum())) / len(reachable)
            gradient = gradient + case.features.T @ (share - right / right.sum()) / len(reachable)
        return total, gradient

    found = minimize(loss, np.ones(len(WEIGHTS)), jac=True, method="L-BFGS-B")
    return np.asarray(found.x)


def fit_by_fold(cases: Sequence[Case]) -> list[Floats]:
    """Return for each fold the weights that fit all others."""
    return [fit([case for case in cases if case.fold != fold]) for fold in range(FOLDS)]


def reached(cases: Sequence[Case], weights: Sequence[Floats]) -> str:
    """Return hit@1, @5, @10 and MRR@10 as text; weights: one vector per fold."""
    ranks = []
    for case in cases:
        order = np.argsort(-(case.features @ weights[case.fold]), kind="stable")
        where = np.flatnonzero(case.answers[order])
        ranks.append(int(where[0]) + 1 if len(where) else None)
    figures = [*(hit_rate(ranks, k) for k in (1, 5, 10)), mean_reciprocal_rank(ranks, 10)]
    return "  ".join(f"{figure:.3f}" for figure in figures)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
