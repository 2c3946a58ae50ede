"""How likely it is that a sentence answers: a logistic function of two features that no corpus or question scales.

Fitted on squad2/tune (`python -m bench.threshold`), on questions that a paragraph answers, questions about that very
paragraph that it does not answer, and questions about other articles, in corpora of 1 to 496 paragraphs. It tells
"about something else" from "about this" nearly always, and "about this" from "answers this" only a little.
"""

import math
from collections.abc import Iterable

from index.retrieval import Features

_COSINE, _COVERAGE, _BIAS = 5.93, 1.30, -4.41

# Below this nothing answers: it keeps 94 % of the questions that are answered, and lets 1 % of those about something
# else through. From `ANSWERED` on an answer is called one without reserve.
PERHAPS = 0.2
ANSWERED = 0.5


def sentence_answers(features: Features) -> float:
    """Return the estimated probability that the sentence with these features answers."""
    return 1 / (1 + math.exp(-(_COSINE * features.cosine + _COVERAGE * features.coverage + _BIAS)))


def any_answers(features: Iterable[Features]) -> float:
    """Return the estimated probability that any of the sentences with these features answers; 0 where there is none."""
    return max(map(sentence_answers, features), default=0.0)
