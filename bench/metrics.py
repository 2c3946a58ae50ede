"""How well a ranking answers, by where in an article something stands; how well probabilities say whether it does."""

import string
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.articles import Span

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_PUNCTUATION = frozenset(string.punctuation)


@dataclass(frozen=True, slots=True)
class Place:
    """A piece of an article: a sentence, a passage, or all of its text."""

    article_id: str
    span: Span


def matches(found: Place, wanted: Place) -> bool:
    """Whether `found` is `wanted`: they share at least half of the shorter one's characters.

    Two splitters rarely agree on every sentence. By this rule a sentence that is cut in two is found by either part,
    one that is joined with its neighbour is found by both together, and a passage, or a whole article, holds a sentence
    where it holds half of it.
    """
    if found.article_id != wanted.article_id:
        return False
    shared = min(found.span.end, wanted.span.end) - max(found.span.start, wanted.span.start)
    return shared > 0 and 2 * shared >= min(len(found.span), len(wanted.span))


def rank_of(wanted: Collection[Place], ranking: Sequence[Place]) -> int | None:
    """Return the rank, counted from 1, of the first place in `ranking` that is any of `wanted`; None where none is."""
    return next((rank for rank, found in enumerate(ranking, 1) if any(matches(found, one) for one in wanted)), None)


def hit_rate(ranks: Sequence[int | None], k: int) -> float:
    """Return the share of questions whose answer is among the first `k`, in [0, 1]; for passages it is recall@k.

    ranks: one per question, from `rank_of`. A question with several answers counts once, by the first that is found.
    """
    return _mean([float(rank is not None and rank <= k) for rank in ranks])


def mean_reciprocal_rank(ranks: Sequence[int | None], k: int) -> float:
    """Return the mean of 1 / rank, 0 where the answer is not among the first `k`."""
    return _mean([1 / rank if rank is not None and rank <= k else 0.0 for rank in ranks])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


# What a reader says: parts, probabilities


def normalized(text: str) -> list[str]:
    """Return the words of an answer as SQuAD compares them: no case, punctuation or article (Rajpurkar et al. 2016)."""
    plain = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return [word for word in plain.split() if word not in ("a", "an", "the")]


def exact_match(said: str, answers: Sequence[str]) -> float:
    """Return 1 where `said` is any of `answers`, else 0."""
    return float(any(normalized(said) == normalized(answer) for answer in answers))


def token_f1(said: str, answers: Sequence[str]) -> float:
    """Return the F1 of words, the best over `answers`, in [0, 1]; two texts without words are the same."""
    return max((_f1(normalized(said), normalized(answer)) for answer in answers), default=0.0)


def _f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    if not said or not wanted:
        return float(said == wanted)
    return 2 * (Counter(said) & Counter(wanted)).total() / (len(said) + len(wanted))


def auroc(probabilities: Sequence[float] | Floats, labels: Sequence[bool] | Bools) -> float | None:
    """Return how often one that is true is given more than one that is not, ties as half; None without both."""
    of, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=bool)
    ones, others = of[truth], np.sort(of[~truth])
    if not len(ones) or not len(others):
        return None
    below = np.searchsorted(others, ones, side="left") + np.searchsorted(others, ones, side="right")
    return float(below.mean() / 2 / len(others))


def calibration_bins(
    probabilities: Sequence[float] | Floats, outcomes: Sequence[bool] | Bools, bins: int = 15
) -> list[tuple[float, float, int]]:
    """Return the mean probability, the share that came true, and the count of bins of equal mass, lowest first."""
    of, came = np.asarray(probabilities, dtype=np.float64), np.asarray(outcomes, dtype=bool)
    order = np.argsort(of, kind="stable")
    parts = np.array_split(order, min(bins, len(order))) if len(order) else []
    return [(float(of[part].mean()), float(came[part].mean()), len(part)) for part in parts]


def expected_calibration_error(
    probabilities: Sequence[float] | Floats, outcomes: Sequence[bool] | Bools, bins: int = 15
) -> float:
    """Return by how much probabilities are off, on average over bins of equal mass (Nguyen and O'Connor 2015)."""
    found = calibration_bins(probabilities, outcomes, bins)
    return sum(count * abs(said - came) for said, came, count in found) / max(len(outcomes), 1)


def brier(probabilities: Sequence[float] | Floats, outcomes: Sequence[bool] | Bools) -> float:
    """Return the mean square of what probabilities are off."""
    off = np.asarray(probabilities, dtype=np.float64) - np.asarray(outcomes, dtype=np.float64)
    return float(np.mean(off**2)) if len(off) else 0.0


def risks(probabilities: Sequence[float] | Floats, right: Sequence[bool] | Bools) -> Floats:
    """Return the share of wrong answers among the 1, 2, 3, … likeliest; those of equal probability count alike."""
    of, wrong = np.asarray(probabilities, dtype=np.float64), ~np.asarray(right, dtype=bool)
    if not len(of):
        return np.zeros(0)
    _, tie = np.unique(of, return_inverse=True)
    expected = (np.bincount(tie, weights=wrong) / np.bincount(tie))[tie]
    found: Floats = np.cumsum(expected[np.argsort(-of, kind="stable")]) / np.arange(1, len(of) + 1)
    return found


def area_under_risk(probabilities: Sequence[float] | Floats, right: Sequence[bool] | Bools) -> float:
    """Return the area under the risk-coverage curve, the lower the better (Geifman and El-Yaniv 2017)."""
    found = risks(probabilities, right)
    return float(found.mean()) if len(found) else 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What answering from `threshold` on means.

    coverage: the share of questions that get an answer; of_answerable: of
    those that can be answered; risk: the share of wrong ones among the answers given; stray: the share of questions
    about something else that get one. A share of nothing is 0.
    """

    threshold: float
    coverage: float
    of_answerable: float
    risk: float
    stray: float


def choices(
    probabilities: Floats, answerable: Bools, right: Bools, strays: Floats, thresholds: Sequence[float]
) -> list[Choice]:
    """Return what each threshold means.

    probabilities, answerable, right: of questions about the articles; strays: probabilities of those about others.
    """
    made = []
    for threshold in thresholds:
        given = probabilities >= threshold
        shares = (given, given[answerable], ~right[given], strays >= threshold)
        made.append(Choice(threshold, *(float(np.mean(share)) if len(share) else 0.0 for share in shares)))
    return made
