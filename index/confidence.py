"""How likely it is that a sentence answers, and that any does: logistic functions of what means the same everywhere.

Where there is a reader its log-odds lead. Without one there are the cosine and the share of the question's words, which
tell "about something else" from "about this" nearly always, and "about this" from "answers this" only a little. All
were fitted on questions that a paragraph answers, questions about that very paragraph that it does not answer, and
questions about other articles (`python -m bench.calibration`, `python -m bench.threshold`); Platt 1999 for the method.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from index.errors import CalibrationError
from index.retrieval import Candidate, Features

# Below this nothing answers.
PERHAPS = 0.1
# From here on an answer is called one without reserve.
ANSWERED = 0.5
# Below this a corpus holds nothing about a question: where questions that are answered and questions about something
# else are told apart best, by the retriever's features alone.
ABOUT = 0.12

Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights of what is summed up to log-odds; an input without one does not count.

    reader: the name of the reader that it was fitted for; "" for none. order: what sentences are ranked by: `logit`
    (of the reader), `fusion` (the retriever's score). sentence: log-odds that a sentence answers: `order`, `cosine`,
    `words`, `bias`. answer: log-odds that any does: `odds` (of the best sentence), `bias`.
    """

    reader: str
    order: Weights
    sentence: Weights
    answer: Weights

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Return what `save` wrote. Raises CalibrationError where the file is missing or holds something else."""
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            parts = ({str(name): float(weight) for name, weight in told[part].items()} for part in _INPUTS)
            made = cls(str(told["reader"]), *parts)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CalibrationError(
                f"{path} is no calibration; make it with `quoteline calibrate`, or remove it"
            ) from error
        made.check(path)
        return made

    def check(self, path: Path) -> None:
        """Raise CalibrationError for an input that does not exist, or a weight that is no number."""
        for part, known in _INPUTS.items():
            for name, weight in getattr(self, part).items():
                if name not in known or not math.isfinite(weight):
                    raise CalibrationError(
                        f"{path} gives {part} the weight {name!r}: {weight}; make it with `quoteline calibrate`"
                    )

    def save(self, path: Path) -> None:
        """Write to `path`, whole or not at all. Raises CalibrationError where that is impossible."""
        unfinished = path.with_suffix(".unfinished")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
            unfinished.replace(path)
        except OSError as error:
            raise CalibrationError(f"{path} cannot be written ({error.strerror}); name another file") from error


_INPUTS = {
    "order": ("logit", "fusion"),
    "sentence": ("order", "cosine", "words", "bias"),
    "answer": ("odds", "bias"),
}

# The retriever alone.
RETRIEVAL = Calibration("", {"fusion": 1.0}, {"cosine": 7.44, "words": 3.04, "bias": -5.29}, {"odds": 1.0})

# Our reader, before it learnt the fifth of squad1/tune and squad2/tune that its last stage goes through, on that fifth:
# of what it has learnt it would be too sure. One input each (Platt scaling): fits of several did not carry over to
# articles that they had not seen.
OURS = Calibration(
    "quoteline-reader-2-b962313b6d60",
    {"logit": 1.0, "fusion": 3.0},
    {"order": 0.602, "bias": -5.075},
    {"odds": 0.629, "bias": 0.41},
)


def calibration_for(reader: str) -> Calibration:
    """Return the calibration that is shipped for the reader of that name, "" for none.

    Of a reader that is not ours only the order is used.
    """
    shipped = {one.reader: one for one in (RETRIEVAL, OURS)}
    return shipped.get(reader) or Calibration(
        reader, {"logit": 1.0, "fusion": 1.0}, RETRIEVAL.sentence, RETRIEVAL.answer
    )


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one sentence. order: what it is ranked by; odds: log-odds that it answers."""

    order: float
    odds: float

    @property
    def probability(self) -> float:
        """The probability that the sentence answers."""
        return logistic(self.odds)


@dataclass(frozen=True, slots=True)
class Judgement:
    """probability: that any sentence answers. about: whether anything in the corpus is about the question at all."""

    probability: float
    about: bool


def score(calibration: Calibration, candidate: Candidate, logit: float) -> Scores:
    """Return the scores of a candidate; logit: the reader's, 0 where there is none."""
    order = _sum(calibration.order, {"logit": logit, "fusion": candidate.score})
    cosine, words = inputs(candidate.features)
    return Scores(order, _sum(calibration.sentence, {"order": order, "cosine": cosine, "words": words, "bias": 1.0}))


def judge(calibration: Calibration, candidates: Sequence[Candidate], scores: Sequence[Scores]) -> Judgement:
    """Return how likely it is that any of the candidates answers; 0 where there is none."""
    if not candidates:
        return Judgement(0.0, about=False)
    odds = _sum(calibration.answer, {"odds": max(one.odds for one in scores), "bias": 1.0})
    about = any(score(RETRIEVAL, one, 0.0).probability >= ABOUT for one in candidates)
    return Judgement(logistic(odds), about=about)


def inputs(features: Features) -> tuple[float, float]:
    """Return `cosine` and `words`: the cosine, and the coverage as far as the cosine leaves room for doubt."""
    cosine = min(max(features.cosine, 0.0), 1.0)
    return cosine, features.coverage * (1 - cosine)


def logistic(odds: float) -> float:
    """Return the probability of log-odds."""
    return 1 / (1 + math.exp(-min(max(odds, -700.0), 700.0)))


def _sum(weights: Weights, values: Weights) -> float:
    return sum(weight * values[name] for name, weight in weights.items())
