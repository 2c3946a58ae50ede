"""How well a ranking answers: hits, mean reciprocal rank and recall, by where in an article something stands."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from index.articles import Span


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
