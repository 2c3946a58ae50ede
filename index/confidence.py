"""How likely it is that a sentence answers: a logistic function of two features that mean the same in every corpus.

Fitted on squad2/tune (`python -m bench.threshold`), on questions that a paragraph answers, questions about that very
paragraph that it does not answer, and questions about other articles, in corpora of 1 to 496 paragraphs. It tells
"about something else" from "about this" nearly always, and "about this" from "answers this" only a little.
"""

import math
from collections.abc import Iterable

from index.retrieval import Features

# The product, because either feature is enough where the other fails: words in common, or none but the same meaning.
_COSINE, _COVERAGE, _BOTH, _BIAS = 8.46, 4.17, -5.97, -5.42

# Below this nothing answers: where questions that are answered and questions about something else are told apart best.
PERHAPS = 0.15
# From here on an answer is called one without reserve.
ANSWERED = 0.5


def sentence_answers(features: Features) -> float:
    """Return the estimated probability that the sentence with these features answers."""
    cosine, coverage = max(features.cosine, 0.0), features.coverage
    return 1 / (1 + math.exp(-(_COSINE * cosine + _COVERAGE * coverage + _BOTH * cosine * coverage + _BIAS)))


def any_answers(features: Iterable[Features]) -> float:
    """Return the estimated probability that any of the sentences with these features answers; 0 where there is none."""
    return max(map(sentence_answers, features), default=0.0)
