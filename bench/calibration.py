"""Fit `index.confidence`: `quoteline calibrate DIR`; for what is shipped: `python -m bench.calibration DIR...`.

Three regressions follow one another on what `bench.asking` asked: which sentence is the evidence (listwise: the order),
whether a sentence is (of its order), and whether any of the first five is (of the best sentence's odds). The last two
have one input each (Platt scaling); without a reader a sentence has cosine and words instead. What they reach is
measured on titles that each fit did not see.
"""

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from bench.asking import FOLDS, SMALL_CORPORA, Asked, check, collect, only_fold
from bench.datasets import Dataset, load_dataset
from bench.metrics import (
    Choice,
    Floats,
    auroc,
    brier,
    choices,
    expected_calibration_error,
    hit_rate,
    mean_reciprocal_rank,
)
from bench.reading import SHOWN, THRESHOLDS
from index.confidence import Calibration, Weights, inputs
from index.encoding import Encoder, load_encoder
from index.errors import CalibrationError
from index.ranking import READ, Ranked, Ranking, rank_read
from index.reading import Reader, load_reader
from service.readers import open_reader
from service.settings import Settings

# Weights of the kinds of questions in the fit: about as much of each as people might ask.
KINDS: Mapping[str, float] = {"all": 0.35, "small": 1.0, "elsewhere": 1.0, "elsewhere, small": 1.0}
# Sentences of a question that take part in fitting how likely a sentence answers: those that could be shown. All others
# are so many, and so far off, that they would decide the fit.
CONSIDERED = 10
# The share of wrong answers among those that are called answered without reserve.
RISK = 0.2
# L2, against the sum of the losses of all questions.
RIDGE = 1.0


def calibrate(folder: Path, settings: Settings) -> Calibration:
    """Return a calibration fitted to the data set in `folder`, as `calibrate_with` does, with what is set.

    Raises also what loading the data set, an encoder and a reader raises.
    """
    encoder = load_encoder(settings.model, settings.models_folder, device=settings.device)
    return calibrate_with(load_dataset(folder), encoder, open_reader(settings), settings.read)


def calibrate_with(
    dataset: Dataset, encoder: Encoder, reader: Reader | None, depth: int = READ, *, small: int = SMALL_CORPORA
) -> Calibration:
    """Return a calibration fitted to a data set; print what it reaches.

    small: how many corpora of some paragraphs are asked beside the whole and its half. Raises InputError where the data
    set has too little, CalibrationError where the reader's scores say nothing.
    """
    check(dataset)
    asked = list(collect(dataset, encoder, reader, depth, small=small))
    fitted = fit(asked, reader.name if reader else "")
    print(report(asked, fitted.reader))
    return fitted


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit to several data sets at once, and print the calibration as Python."""
    parser = argparse.ArgumentParser(prog="bench.calibration", description=__doc__)
    parser.add_argument("folders", metavar="DIR", type=Path, nargs="+")
    parser.add_argument("--only-fold", type=int, metavar="N", help="ask only of titles with crc32(title) %% 5 == N")
    parser.add_argument("--questions", type=int, metavar="N", help="at most N questions of each data set")
    parser.add_argument("--reader", help="the reader (default: that of the settings)")
    parser.add_argument("--device", choices=["cpu", "cuda", "auto"], default="cpu")
    options = parser.parse_args(arguments)
    settings = Settings.model_validate({})
    encoder = load_encoder(settings.model, settings.models_folder, device=options.device)
    reader = load_reader(options.reader or settings.reader, settings.models_folder, device=options.device)
    asked: list[Asked] = []
    for folder in options.folders:
        dataset = load_dataset(folder)
        if options.only_fold is not None:
            dataset = only_fold(dataset, options.only_fold)
        if options.questions is not None:
            dataset = dataset.sample(options.questions)
        check(dataset)
        print(f"asking the {len(dataset.queries):,} questions of {dataset.name} …", file=sys.stderr)
        asked += collect(dataset, encoder, reader, settings.read)
    name = reader.name if reader else ""
    print(report(asked, name))
    print(as_source(fit(asked, name)))


# What a calibration makes of it


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a calibration makes of a question."""

    asked: Asked
    ranking: Ranking

    @property
    def probability(self) -> float:
        """The probability that anything answers."""
        return self.ranking.judgement.probability

    @property
    def odds(self) -> float:
        """The log-odds that the best sentence answers."""
        return max(one.scores.odds for one in self.ranking.sentences)

    @property
    def labels(self) -> list[bool]:
        """Whether each sentence is evidence, as they are ranked."""
        return [one.candidate.sentence in self.asked.evidence for one in self.ranking.sentences]

    @property
    def rank(self) -> int | None:
        """The rank of the first evidence, from 1."""
        return next((rank for rank, is_evidence in enumerate(self.labels, start=1) if is_evidence), None)

    @property
    def right(self) -> bool:
        """Whether an answer that is given is right: the evidence is among those sentences that are shown."""
        return self.rank is not None and self.rank <= SHOWN


def judged(asked: Asked, calibration: Calibration) -> Judged:
    """Return what `index.ranking` makes of a question under `calibration`, stopping included."""
    return Judged(asked, rank_read(calibration, asked.candidates, asked.read))


# Fitting


def fit(asked: Sequence[Asked], reader: str) -> Calibration:
    """Return the calibration that fits; reader: its name, "" for none.

    Raises CalibrationError where the reader's scores say nothing about which sentence answers.
    """
    order = fit_order(asked, reader)
    sentence = fit_sentence(asked, reader, order)
    so_far = Calibration(reader, order, sentence, {"odds": 1.0})
    return replace(so_far, answer=fit_answer([judged(one, so_far) for one in asked]))


def fit_order(asked: Sequence[Asked], reader: str) -> Weights:
    """Return what sentences are best ranked by: listwise, as in `bench.fit`; the logit's weight is 1."""
    if not reader:
        return {"fusion": 1.0}
    everything = _ranked_by(asked, reader, {"logit": 1.0})
    reachable = [one for one in everything if any(one.labels) and not all(one.labels)]
    if not reachable:
        raise CalibrationError("no question found its evidence among others; see that evidence.jsonl names sentences")
    sentences = [sentence for one in reachable for sentence in one.ranking.sentences]
    rows = np.array([(one.scores.order, one.candidate.score) for one in sentences])
    answers = np.concatenate([one.labels for one in reachable])
    counts = np.array([len(one.labels) for one in reachable])
    starts = np.cumsum(counts) - counts
    importance = np.array([KINDS[one.asked.kind] for one in reachable])

    def loss(found: Floats) -> tuple[float, Floats]:
        scores = rows @ found
        scores = np.exp(scores - np.repeat(np.maximum.reduceat(scores, starts), counts))
        total, right = np.add.reduceat(scores, starts), np.add.reduceat(scores * answers, starts)
        share = scores / np.repeat(total, counts) - scores * answers / np.repeat(np.maximum(right, 1e-300), counts)
        value = importance @ (np.log(total) - np.log(np.maximum(right, 1e-300))) + RIDGE * found @ found
        return float(value), rows.T @ (share * np.repeat(importance, counts)) + 2 * RIDGE * found

    logit, fusion = minimize(loss, np.array([0.5, 1.0]), jac=True, method="L-BFGS-B").x
    if logit < 0.01:
        raise CalibrationError(
            f"the scores of the reader {reader} say nothing about which sentence answers these questions (weight "
            f"{logit:.3f}); choose another reader, or none: QUOTELINE_READER=none"
        )
    return {"logit": 1.0, "fusion": _rounded(fusion / logit)}


def fit_sentence(asked: Sequence[Asked], reader: str, order: Weights) -> Weights:
    """Return the log-odds that a sentence answers, fitted to those that could be shown."""
    everything = _ranked_by(asked, reader, order)
    rows = [_sentence_inputs(sentence) for one in everything for sentence in one.ranking.sentences[:CONSIDERED]]
    labels = [label for one in everything for label in one.labels[:CONSIDERED]]
    importance = [KINDS[one.asked.kind] for one in everything for _ in one.labels[:CONSIDERED]]
    return _regression(rows, labels, importance, ("order",) if reader else ("cosine", "words"))


def _ranked_by(asked: Sequence[Asked], reader: str, order: Weights) -> list[Judged]:
    """Return all questions with their sentences by `order`; everything is read, as nothing is ever clear."""
    unsure = Calibration(reader, order, {}, {})
    return [judged(one, unsure) for one in asked]


def _sentence_inputs(sentence: Ranked) -> dict[str, float]:
    cosine, words = inputs(sentence.candidate.features)
    return {"order": sentence.scores.order, "cosine": cosine, "words": words}


def fit_answer(so_far: Sequence[Judged]) -> Weights:
    """Return the log-odds that any of the first sentences answers."""
    rows = [{"odds": one.odds} for one in so_far]
    return _regression(rows, [one.right for one in so_far], [KINDS[one.asked.kind] for one in so_far], ("odds",))


def _regression(
    rows: Sequence[Mapping[str, float]], labels: Sequence[bool], importance: Sequence[float], names: Sequence[str]
) -> Weights:
    """Return the weights of a logistic regression on the inputs `names`, and its bias, which no ridge holds back."""
    if all(labels) or not any(labels):
        what = "right" if any(labels) else "wrong"
        raise CalibrationError(
            f"all that was found is {what}, so that no probability can be fitted; add other questions"
        )
    values = np.array([[row[name] for name in names] for row in rows])
    model = LogisticRegression(C=1 / (2 * RIDGE), max_iter=2000).fit(values, labels, sample_weight=importance)
    return dict(zip([*names, "bias"], map(_rounded, [*model.coef_[0], model.intercept_[0]]), strict=True))


def _rounded(weight: float) -> float:
    return round(float(weight), 3)


def as_source(calibration: Calibration) -> str:
    """Return a calibration as Python source."""
    parts = (calibration.order, calibration.sentence, calibration.answer)
    return "\n".join(
        [
            "Calibration(",
            f'    "{calibration.reader}",',
            *(f"    {dict(part)},".replace("'", '"') for part in parts),
            ")",
        ]
    )


# What it reaches


def judged_by_fold(asked: Sequence[Asked], reader: str) -> list[Judged]:
    """Return every question judged by a calibration that saw no question about its title."""
    folds = folds_of(asked)
    found: list[Judged] = []
    for fold in sorted(set(folds)):
        fitted = fit([one for one, number in zip(asked, folds, strict=True) if number != fold], reader)
        found += [judged(one, fitted) for one, number in zip(asked, folds, strict=True) if number == fold]
    return found


def folds_of(asked: Sequence[Asked]) -> list[int]:
    """Return for each question one of at most FOLDS numbers, the same for the same titles; of one title, by turns."""
    names = [min(one.titles, default="") for one in asked]
    order = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(order) < 2:
        return [number % FOLDS for number in range(len(asked))]
    # Not by a number of the title alone: `--only-fold` keeps titles of one remainder.
    fold = {name: number % FOLDS for number, name in enumerate(order)}
    return [fold[name] for name in names]


def report(asked: Sequence[Asked], reader: str) -> str:
    """Return, as text, what a calibration reaches on titles that it did not see, and what thresholds mean."""
    found = judged_by_fold(asked, reader)
    whole = [one for one in found if one.asked.kind == "all"]
    here = [one for one in found if not one.asked.stray]
    strays = np.array([one.probability for one in found if one.asked.stray])
    ranks = [one.rank for one in whole if one.asked.answerable]
    answered = np.array([one.probability for one in here if one.asked.answerable])
    unanswered = np.array([one.probability for one in here if not one.asked.answerable])
    said, right = np.array([one.probability for one in whole]), np.array([one.right for one in whole])
    table = choices(
        np.array([one.probability for one in here]),
        np.array([one.asked.answerable for one in here]),
        np.array([one.right for one in here]),
        strays,
        THRESHOLDS,
    )
    perhaps, sure = suggest(table)
    return "\n".join(
        [
            f"{len(found):,} questions asked: {len(answered):,} answered by the corpus, {len(unanswered):,} about it "
            f"but not answered, {len(strays):,} about something else; each judged by a fit that saw other titles",
            f"hit@1 {hit_rate(ranks, 1):.3f}  MRR@10 {mean_reciprocal_rank(ranks, 10):.3f}  "
            f"the first five hold the evidence {hit_rate(ranks, SHOWN):.3f}",
            f"AUROC, answered against about this: {_share(_auroc(answered, unanswered))}, "
            f"against about something else: {_share(_auroc(answered, strays))}",
            f"of the probability, on the whole corpus: ECE {expected_calibration_error(said, right):.3f}  "
            f"Brier {brier(said, right):.3f}  AUROC {_share(auroc(said, right))}",
            "",
            render_choices(table),
            "",
            f"suggested: QUOTELINE_PERHAPS={perhaps:.2f} (right answers are told best from all that should be "
            f"refused), QUOTELINE_ANSWERED={sure:.2f} (at most {RISK:.0%} of the answers from there on are wrong)",
        ]
    )


def _auroc(ones: Floats, others: Floats) -> float | None:
    return auroc(np.concatenate([ones, others]), np.repeat([True, False], [len(ones), len(others)]))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def render_choices(table: Sequence[Choice]) -> str:
    """Return the risk-coverage table."""
    header = f"{'threshold':>9}  {'answered':>8}  {'of answerable':>13}  {'wrong of those':>14}  {'of strays':>9}"
    rows = (
        f"{one.threshold:9.2f}  {one.coverage:8.3f}  {one.of_answerable:13.3f}  {one.risk:14.3f}  {one.stray:9.3f}"
        for one in table
    )
    return "\n".join([header, *rows])


def suggest(table: Sequence[Choice]) -> tuple[float, float]:
    """Return the thresholds for `perhaps` and `answered`, the first never above the second.

    perhaps: where the share of answerable questions that get an answer is furthest above that of strays and of wrong
    answers. answered: the lowest from which at most RISK of the answers are wrong; the highest of all where none is.
    """
    sure = next((one.threshold for one in table if one.coverage and one.risk <= RISK), table[-1].threshold)
    perhaps = max(table, key=lambda one: one.of_answerable - (one.stray + one.coverage * one.risk) / 2).threshold
    return min(perhaps, sure), sure


if __name__ == "__main__":
    main()
