"""Fit `index.confidence`: `quoteline calibrate DIR`; for what is shipped: `python -m bench.calibration DIR...`.

Every corpus, whole, halved by title, and tiny, is asked questions that it answers, questions about the very paragraph
that it does not answer (where queries.jsonl tells `answerable`: SQuAD 2.0), and questions about articles that were left
out. Three logistic regressions follow one another: which sentence is the evidence (listwise: the order), whether a
sentence is, and whether any of the first five is. What they reach is measured on titles that each fit did not see.
"""

import argparse
import hashlib
import random
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from bench.datasets import Dataset, Query, load_dataset, title_of
from bench.metrics import (
    Bools,
    Choice,
    Floats,
    Place,
    auroc,
    brier,
    choices,
    expected_calibration_error,
    hit_rate,
    matches,
    mean_reciprocal_rank,
)
from bench.quality import corpus_of, place_of
from index.articles import Article
from index.confidence import Calibration, Weights, inputs, logistic
from index.corpus import Corpus
from index.encoding import Context, Encoder, load_encoder
from index.errors import CalibrationError, InputError, QuestionError
from index.ranking import CLEAR, READ, Ranker
from index.reading import UNREAD, Reader, Reading, load_reader
from index.retrieval import Candidate, Retriever
from service.readers import open_reader
from service.settings import Settings

FOLDS = 5
# Fewer questions say little of a probability.
FEWEST = 100
# Corpora of one to ten paragraphs that are asked, too: in those the best sentence found is often about nothing.
SMALL_CORPORA = 80
# Questions about something else, at most: more say no more.
STRAYS = 1000
# Weights of the kinds in the fit: about as much of each as people might ask.
KINDS: Mapping[str, float] = {"all": 0.35, "small": 1.0, "elsewhere": 1.0, "elsewhere, small": 1.0}
# An answer is right where the evidence is among that many sentences: as many as are shown.
SHOWN = 5
# Sentences of a question that take part in fitting how likely a sentence answers: those that could be shown. All others
# are so many, and so far off, that they would decide the fit.
CONSIDERED = 10
THRESHOLDS = tuple(round(0.05 * number, 2) for number in range(1, 20))
# The share of wrong answers among those that are called answered without reserve.
RISK = 0.2
# L2, against the sum of the losses of all questions.
RIDGE = 1.0
_UNREAD_LOGIT = -8.0
# As in `index.confidence.judge`.
_MOST_LEAD, _NO_SECOND = 5.0, -10.0
_SENTENCE = ("order", "cosine", "words", "bias")
_ANSWER = ("odds", "lead", "cosine", "words", "bias")
# With it the ranker reads on to its depth.
_NEVER_CLEAR = Calibration("", {"logit": 1.0}, {"bias": -100.0}, {"odds": 1.0})


def calibrate(folder: Path, settings: Settings, output: Path) -> None:
    """Fit a calibration to the data set in `folder` and save it to `output`; print what it reaches, and how to use it.

    Raises InputError for a folder that is no such data set or has too little, CalibrationError where the reader's
    scores say nothing, and what loading an encoder and a reader raises.
    """
    encoder = load_encoder(settings.model, settings.models_folder, device=settings.device)
    fitted = calibrate_with(load_dataset(folder), encoder, open_reader(settings), settings.read)
    output.parent.mkdir(parents=True, exist_ok=True)
    fitted.save(output)
    print(f"saved as {output}; set QUOTELINE_CALIBRATION={output}, or leave it where it is the default, and restart")


def calibrate_with(
    dataset: Dataset, encoder: Encoder, reader: Reader | None, depth: int = READ, *, small: int = SMALL_CORPORA
) -> Calibration:
    """Return a calibration fitted to a data set; print what it reaches. Raises as `calibrate` does.

    small: how many corpora of some paragraphs are asked beside the whole and its half.
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
    parser.add_argument("--depths", type=int, nargs="+", default=[READ], metavar="N", help="fit to all of these depths")
    parser.add_argument("--device", choices=["cpu", "cuda", "auto"], default="cpu")
    parser.add_argument(
        "--weight", action="append", default=[], metavar="KIND=W", help=f"of {', '.join(KINDS)}; may be repeated"
    )
    options = parser.parse_args(arguments)
    settings = Settings.model_validate({})
    encoder = load_encoder(settings.model, settings.models_folder, device=options.device)
    reader = load_reader(options.reader or settings.reader, settings.models_folder, device=options.device)
    weights = {**KINDS, **_weights_of(options.weight)}
    asked: list[Asked] = []
    for folder in options.folders:
        dataset = load_dataset(folder)
        if options.only_fold is not None:
            dataset = only_fold(dataset, options.only_fold)
        if options.questions is not None:
            dataset = dataset.sample(options.questions)
        check(dataset)
        print(f"asking the {len(dataset.queries):,} questions of {dataset.name} …", file=sys.stderr)
        asked += collect(dataset, encoder, reader, max(options.depths))
    name = reader.name if reader else ""
    print(report(asked, name, options.depths, weights))
    print(as_source(fit([one.at(depth) for one in asked for depth in options.depths], name, weights)))


def _weights_of(given: Iterable[str]) -> dict[str, float]:
    found = {}
    for one in given:
        kind, _, weight = one.partition("=")
        if kind not in KINDS or not weight.replace(".", "", 1).isdigit():
            raise InputError(f"--weight {one!r} is none; write KIND=W with one of {', '.join(KINDS)} and a number")
        found[kind] = float(weight)
    return found


# Asking


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a question met.

    kind: of KINDS. titles: of the articles that it is about. answerable: whether the corpus answers it. logits: the
    reader's, shape (candidates, passages read), NaN where a passage does not hold the candidate; fusion, cosine, words:
    of each candidate, in retrieval's order; evidence: which of them answer.
    """

    kind: str
    titles: frozenset[str]
    answerable: bool
    logits: Floats
    fusion: Floats
    cosine: Floats
    words: Floats
    evidence: Bools

    @property
    def stray(self) -> bool:
        """Whether the question is about something that the corpus does not hold."""
        return self.kind.startswith("elsewhere")

    def at(self, depth: int) -> "Asked":
        """Return the same where fewer passages are read."""
        return replace(self, logits=self.logits[:, :depth])


def check(dataset: Dataset) -> None:
    """Raise InputError where there is too little to fit anything to."""
    known = [query for query in dataset.queries if dataset.is_answerable(query) is not None]
    if len(known) < FEWEST:
        raise InputError(
            f"{dataset.name} has {len(known)} questions of which is known whether something answers (by "
            f"evidence.jsonl, qrels.tsv, or `answerable` in queries.jsonl); a calibration needs {FEWEST} or more"
        )
    if not any(dataset.is_answerable(query) for query in known):
        raise InputError(
            f"{dataset.name} has no question that its corpus answers; name what answers in evidence.jsonl or qrels.tsv"
        )
    titles = {title_of(article) for article in dataset.articles}
    if len(titles) < 2 and all(dataset.is_answerable(query) for query in known):
        raise InputError(
            f"{dataset.name} has no question that nothing answers: all articles have one title, so that none can be "
            "left out, and no question has `answerable`: false in queries.jsonl; add other articles, or such questions"
        )


def only_fold(dataset: Dataset, fold: int) -> Dataset:
    """Return the data set with the questions about titles of one fold; the articles are all there."""
    titles = dataset.titles()
    kept = (one for one in dataset.queries if any(zlib.crc32(name.encode()) % FOLDS == fold for name in titles[one.id]))
    return replace(dataset, queries=tuple(kept))


def collect(
    dataset: Dataset, encoder: Encoder, reader: Reader | None, depth: int, *, small: int = SMALL_CORPORA
) -> Iterator[Asked]:
    """Ask corpora of all sizes all kinds of questions, the same ones in every run; depth: passages that are read."""
    chance = random.Random(7)  # noqa: S311 - chooses questions, not secrets
    asking = _Asking(dataset, encoder, reader, depth)
    known = [query for query in dataset.queries if dataset.is_answerable(query) is not None]
    about = {query.id: asking.titles[query.id] for query in known if asking.titles[query.id]}
    yield from asking.ask("all", dataset.articles, known)
    titles = sorted({title_of(article) for article in dataset.articles})
    if len(titles) < 2:
        return
    kept = frozenset(titles[::2])
    strays = [query for query in known if query.id in about and not about[query.id] & kept]
    half = [article for article in dataset.articles if title_of(article) in kept]
    yield from asking.ask("elsewhere", half, chance.sample(strays, min(STRAYS, len(strays))))
    for turn in range(small):
        title = chance.choice(titles)
        pool = [article for article in dataset.articles if turn % 2 or title_of(article) == title]
        few = chance.sample(pool, min(chance.choice([1, 2, 3, 5, 10]), len(pool)))
        themes = {title_of(article) for article in few}
        own = [query for query in known if asking.is_about(query, few)]
        others = [query for query in known if query.id in about and not about[query.id] & themes]
        yield from asking.ask("small", few, chance.sample(own, min(30, len(own))))
        yield from asking.ask("elsewhere, small", few, chance.sample(others, min(10, len(others))))


class _Asking:
    """Asks corpora of some of a data set's articles."""

    def __init__(self, dataset: Dataset, encoder: Encoder, reader: Reader | None, depth: int) -> None:
        self.titles = dataset.titles()
        self._dataset = dataset
        self._encoder = encoder
        self._reader = reader
        self._depth = depth

    def is_about(self, query: Query, articles: Sequence[Article]) -> bool:
        """Whether a question was made from any of `articles`, or is answered by it."""
        ids = {article.id for article in articles}
        return query.source in ids or any(place.article_id in ids for place in self._places(query))

    def ask(self, kind: str, articles: Sequence[Article], queries: Sequence[Query]) -> Iterator[Asked]:
        """Ask a corpus of `articles`; a question that cannot be asked, or finds no sentence, is left out."""
        if not queries:
            return
        ids = {article.id for article in articles}
        with corpus_of(articles, self._encoder) as corpus:
            for query in queries:
                places = [place for place in self._places(query) if place.article_id in ids]
                found = listen(corpus, query.text, self._reader, self._depth)
                if found is None:
                    continue
                candidates, logits = found
                evidence = [any(matches(place_of(one), place) for place in places) for one in candidates]
                told = np.array([inputs(one.features) for one in candidates])
                yield Asked(
                    kind=kind,
                    titles=self.titles[query.id],
                    answerable=bool(places),
                    logits=logits,
                    fusion=np.array([one.score for one in candidates]),
                    cosine=told[:, 0],
                    words=told[:, 1],
                    evidence=np.array(evidence, dtype=bool),
                )

    def _places(self, query: Query) -> Sequence[Place]:
        answers = self._dataset.is_answerable(query)
        return self._dataset.targets[query.id].places if answers else ()


def listen(
    corpus: Corpus, question: str, reader: Reader | None, depth: int
) -> tuple[Sequence[Candidate], Floats] | None:
    """Return what retrieval found and what the reader says of it, as in Asked; None where there is nothing."""
    listener = _Listener(reader) if reader else None
    ranker = Ranker(corpus, listener, _NEVER_CLEAR, depth=depth)
    try:
        retrieved = Retriever(corpus).retrieve(question, top_k=max(2 * SHOWN, ranker.wanted))
    except QuestionError:
        return None
    candidates = retrieved.candidates
    if not candidates:
        return None
    ranker.rank(question, retrieved)
    said = listener.said if listener else []
    logits = np.full((len(candidates), len(said)), np.nan)
    places = {(one.sentence.article_id, one.sentence.ordinal): row for row, one in enumerate(candidates)}
    passages = islice(dict.fromkeys(one.passage for one in candidates), depth)
    for column, (passage, readings) in enumerate(zip(passages, said, strict=False)):
        for number, reading in enumerate(readings):
            row = places.get((passage.article_id, passage.first + number))
            if row is not None and reading.score > UNREAD:
                logits[row, column] = reading.score
    return candidates, logits


class _Listener:
    """A reader that keeps what it said, passage by passage."""

    def __init__(self, reader: Reader) -> None:
        self.said: list[list[Reading]] = []
        self._reader = reader

    @property
    def name(self) -> str:
        return self._reader.name

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        found = self._reader.read(question, passages)
        self.said += found
        return found


# What a calibration makes of it


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a calibration makes of a question. order, odds: of each candidate; probability: that any answers."""

    asked: Asked
    order: Floats
    odds: Floats
    values: Floats
    probability: float

    @property
    def ranking(self) -> Sequence[int]:
        """The candidates, best first."""
        found: list[int] = np.argsort(-self.order, kind="stable").tolist()
        return found

    @property
    def rank(self) -> int | None:
        """The rank of the first evidence, from 1."""
        return next((rank for rank, row in enumerate(self.ranking, 1) if self.asked.evidence[row]), None)

    @property
    def right(self) -> bool:
        """Whether an answer that is given is right: the evidence is among those sentences that are shown."""
        return self.rank is not None and self.rank <= SHOWN


def judged(asked: Asked, calibration: Calibration) -> Judged:
    """Return what `index.ranking` and `index.confidence` make of a question under `calibration`, stopping included."""
    logits = heard(asked, calibration)
    order = _order(asked, logits, calibration.order)
    odds = _sentence_inputs(asked, order) @ _vector(calibration.sentence, _SENTENCE)
    values = _answer_inputs(asked, odds)
    probability = logistic(float(values @ _vector(calibration.answer, _ANSWER)))
    return Judged(asked, order, odds, values, probability)


def heard(asked: Asked, calibration: Calibration) -> Floats:
    """Return the logits of the candidates, where reading stops once the answer is clear."""
    sentence = _vector(calibration.sentence, _SENTENCE)
    for read in range(1, asked.logits.shape[1]):
        logits = everything_heard(asked.at(read))
        said = ~np.isnan(asked.logits[:, :read]).all(axis=1)
        odds = (_sentence_inputs(asked, _order(asked, logits, calibration.order)) @ sentence)[said]
        if len(odds) and logistic(float(odds.max())) >= CLEAR:
            return logits
    return everything_heard(asked)


def everything_heard(asked: Asked) -> Floats:
    """Return the logits of the candidates, the greatest where several passages hold one."""
    if not asked.logits.shape[1]:
        # Without a reader the logit has no weight.
        return np.full(len(asked.fusion), _UNREAD_LOGIT)
    best = np.where(np.isnan(asked.logits), -np.inf, asked.logits).max(axis=1)
    read = np.isfinite(best)
    found: Floats = np.where(read, best, min([_UNREAD_LOGIT, *best[read].tolist()]))
    return found


def _order(asked: Asked, logits: Floats, weights: Weights) -> Floats:
    return weights.get("logit", 0.0) * logits + weights.get("fusion", 0.0) * asked.fusion


def _sentence_inputs(asked: Asked, order: Floats) -> Floats:
    return np.stack([order, asked.cosine, asked.words, np.ones(len(order))], axis=1)


def _answer_inputs(asked: Asked, odds: Floats) -> Floats:
    best, second, *_ = [*sorted(odds.tolist(), reverse=True), _NO_SECOND]
    return np.array([best, min(best - second, _MOST_LEAD), asked.cosine.max(), asked.words.max(), 1.0])


def _vector(weights: Weights, names: Sequence[str]) -> Floats:
    return np.array([weights.get(name, 0.0) for name in names])


# Fitting


def fit(asked: Sequence[Asked], reader: str, weights: Mapping[str, float] = KINDS) -> Calibration:
    """Return the calibration that fits; reader: its name, "" for none. weights: of the kinds of questions.

    Raises CalibrationError where the reader's scores say nothing about which sentence answers.
    """
    order = fit_order(asked, reader, weights)
    sentence = fit_sentence(asked, order, weights)
    so_far = Calibration(reader, order, sentence, {"odds": 1.0})
    return replace(so_far, answer=fit_answer([judged(one, so_far) for one in asked], weights))


def fit_order(asked: Sequence[Asked], reader: str, weights: Mapping[str, float] = KINDS) -> Weights:
    """Return what sentences are best ranked by: listwise, as in `bench.fit`; the logit's weight is 1."""
    if not reader:
        return {"fusion": 1.0}
    reachable = [one for one in asked if one.evidence.any() and not one.evidence.all()]
    if not reachable:
        raise CalibrationError("no question found its evidence among others; see that evidence.jsonl names sentences")
    rows = np.concatenate([np.stack([everything_heard(one), one.fusion], axis=1) for one in reachable])
    answers = np.concatenate([one.evidence for one in reachable])
    starts = np.cumsum([0, *(len(one.fusion) for one in reachable[:-1])])
    counts = np.array([len(one.fusion) for one in reachable])
    importance = np.array([weights[one.kind] for one in reachable])

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


def fit_sentence(asked: Sequence[Asked], order: Weights, weights: Mapping[str, float] = KINDS) -> Weights:
    """Return the log-odds that a sentence answers, fitted to those that could be shown."""
    rows, labels, importance = [], [], []
    for one in asked:
        orders = _order(one, everything_heard(one), order)
        best = np.argsort(-orders, kind="stable")[:CONSIDERED]
        rows.append(_sentence_inputs(one, orders)[best])
        labels.append(one.evidence[best])
        importance.append(np.full(len(best), weights[one.kind]))
    return _regression(np.concatenate(rows), np.concatenate(labels), np.concatenate(importance), _SENTENCE)


def fit_answer(so_far: Sequence[Judged], weights: Mapping[str, float] = KINDS) -> Weights:
    """Return the log-odds that any of the first sentences answers."""
    rows = np.stack([one.values for one in so_far])
    labels = np.array([one.right for one in so_far])
    return _regression(rows, labels, np.array([weights[one.asked.kind] for one in so_far]), _ANSWER)


def _regression(rows: Floats, labels: Bools, importance: Floats, names: Sequence[str]) -> Weights:
    """Return the weights of a logistic regression; the last of `names` is the bias, which no ridge holds back."""
    counted = labels[importance > 0]
    if counted.all() or not counted.any():
        what = "right" if labels.any() else "wrong"
        raise CalibrationError(
            f"all that was found is {what}, so that no probability can be fitted; add other questions"
        )
    model = LogisticRegression(C=1 / (2 * RIDGE), max_iter=2000).fit(rows[:, :-1], labels, sample_weight=importance)
    return dict(zip(names, map(_rounded, [*model.coef_[0], model.intercept_[0]]), strict=True))


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


def judged_by_fold(
    asked: Sequence[Asked], reader: str, depths: Sequence[int] = (), weights: Mapping[str, float] = KINDS
) -> list[Judged]:
    """Return every question judged by a calibration that saw no question about its title.

    depths: the calibration is fitted to all of these; by default to the depth that was asked with, which judges.
    """
    folds = folds_of(asked)
    found: list[Judged] = []
    for fold in sorted(set(folds)):
        others = [one for one, number in zip(asked, folds, strict=True) if number != fold]
        fitted = fit([one.at(depth) for one in others for depth in depths] if depths else others, reader, weights)
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


def report(
    asked: Sequence[Asked], reader: str, depths: Sequence[int] = (), weights: Mapping[str, float] = KINDS
) -> str:
    """Return, as text, what a calibration reaches on titles that it did not see, and what thresholds mean."""
    found = judged_by_fold(asked, reader, depths, weights)
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
