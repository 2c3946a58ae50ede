"""How likely it is that a sentence answers: a logistic function of two features that mean the same in every corpus.

Fitted on squad2/tune (`python -m bench.threshold`), on questions that a paragraph answers, questions about that very
paragraph that it does not answer, and questions about other articles, in corpora of 1 to 496 paragraphs. It tells
"about something else" from "about this" nearly always, and "about this" from "answers this" only a little.
"""

import math
from collections.abc import Iterable

from index.retrieval import Features

_COSINE, _COVERAGE, _BIAS = 7.44, 3.04, -5.29

# Below this nothing answers: where questions that are answered and questions about something else are told apart best.
PERHAPS = 0.12
# From here on an answer is called one without reserve.
ANSWERED = 0.5


def inputs(features: Features) -> tuple[float, float]:
    """Return what the function sums up: the cosine, and the coverage as far as the cosine leaves room for doubt."""
    cosine = min(max(features.cosine, 0.0), 1.0)
    return cosine, features.coverage * (1 - cosine)


def sentence_answers(features: Features) -> float:
    """Return the estimated probability that the sentence with these features answers."""
    cosine, words = inputs(features)
    return 1 / (1 + math.exp(-(_COSINE * cosine + _COVERAGE * words + _BIAS)))


def any_answers(features: Iterable[Features]) -> float:
    """Return the estimated probability that any of the sentences with these features answers; 0 where there is none."""
    return max(map(sentence_answers, features), default=0.0)
