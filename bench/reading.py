"""What the reader is worth: right sentences, right words, probabilities that hold, and milliseconds.

    python -m bench.reading DIR [--depths 0 1 2 4] [--reader NAME] [--questions N] [--plot FILE]

Every question is asked once; what fusion alone had first stands beside what came first after reading. Questions about
something else are those about half of the titles, asked of a corpus of the other half.
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from bench.datasets import Dataset, Query, Target, load_dataset, title_of
from bench.metrics import (
    Choice,
    area_under_risk,
    auroc,
    calibration_bins,
    choices,
    exact_match,
    expected_calibration_error,
    hit_rate,
    mean_reciprocal_rank,
    rank_of,
    risks,
    token_f1,
)
from bench.quality import corpus_of, place_of
from bench.tables import render_markdown
from index.confidence import Calibration, calibration_for
from index.corpus import Corpus
from index.encoding import load_encoder
from index.errors import InputError, QuestionError
from index.ranking import READ, Ranker, Ranking
from index.reading import Reader, load_reader
from index.retrieval import Retrieved, Retriever
from service.settings import Settings

# As many sentences as are shown: an answer is right where the evidence is among them.
SHOWN = 5
# Candidates that are ranked at least, so that MRR@10 means the same with and without a reader.
FEWEST = 10
# Questions about something else, at most.
STRAYS = 1000
THRESHOLDS = tuple(round(0.05 * number, 2) for number in range(1, 20))
STAGES = ("encode", "search", "score", "read", "total")
WARM_UP = 10

Kind = Literal["who", "when", "where", "how many", "how", "why", "what", "yes or no", "statement", "other"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a question got.

    rank, fused: the rank of the evidence with the reader and by fusion alone, None where it was not found. part: the
    words of the first sentence that answer, None where there are none. probability: that anything answers. read: how
    many passages were. timings: milliseconds by stage, `total` with all of them.
    """

    query: Query
    target: Target | None
    answerable: bool | None
    rank: int | None
    fused: int | None
    part: str | None
    probability: float
    read: int
    timings: Mapping[str, float]

    @property
    def right(self) -> bool:
        """Whether the evidence is among the sentences that are shown."""
        return self.rank is not None and self.rank <= SHOWN


@dataclass(frozen=True, slots=True)
class Ranks:
    """Shares of the questions that have evidence. hit_1_clear: without those whose evidence is ambiguous."""

    hit_1: float
    hit_5: float
    hit_10: float
    mrr_10: float
    hit_1_clear: float


@dataclass(frozen=True, slots=True)
class OfKind:
    """hit@1 for one kind of question, with the reader and by fusion alone."""

    kind: str
    questions: int
    hit_1: float
    fused_hit_1: float


@dataclass(frozen=True, slots=True)
class Stage:
    """Milliseconds of a stage."""

    name: str
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class ReadingFigures:
    """What a reader reaches on a data set; None where the data set cannot tell.

    part_f1, part_exact: of the first sentence's part, over questions whose answers are told (SQuAD's measures).
    auroc_about: questions that are answered against those about the same articles that are not; auroc_stray: against
    those about other articles. ece_*: of the probability against "answerable", "the evidence is among the first five"
    and "the first is it". aurc: area under the risk-coverage curve, by the first five. bins: of the reliability diagram
    for the first five. curve: risk by the share of answered questions, at most 200 points. stages: with the reader;
    fused_total: what fusion alone took. read: passages per question.
    """

    reader: str
    depth: int
    questions: int
    with_evidence: int
    ranks: Ranks
    fused: Ranks
    part_f1: float | None
    part_exact: float | None
    auroc_about: float | None
    auroc_stray: float | None
    ece_answerable: float | None
    ece_shown: float
    ece_first: float
    aurc: float
    choices: tuple[Choice, ...]
    bins: tuple[tuple[float, float, int], ...]
    curve: tuple[tuple[float, float], ...]
    kinds: tuple[OfKind, ...]
    stages: tuple[Stage, ...]
    fused_total: Stage
    read: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="bench.reading", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", metavar="DIR", type=Path, help="a data set in BEIR's layout")
    parser.add_argument(
        "--depths", type=int, nargs="+", metavar="N", help="only a table: what reading N passages costs"
    )
    parser.add_argument("--reader", metavar="NAME", help="the reader (default: that of the settings)")
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="the calibration (default: what is shipped)")
    parser.add_argument("--questions", type=int, metavar="N", help="ask only N of the questions, the same in every run")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw risk and reliability as a PNG")
    options = parser.parse_args(arguments)
    dataset = load_dataset(options.folder)
    if options.questions is not None:
        dataset = dataset.sample(options.questions)
    settings = Settings.model_validate({})
    encoder = load_encoder(settings.model, settings.models_folder)
    reader = load_reader(options.reader or settings.reader, settings.models_folder)
    shipped = calibration_for(reader.name if reader else "")
    calibration = Calibration.load(options.calibration) if options.calibration else shipped
    with corpus_of(dataset.articles, encoder) as corpus:
        if options.depths:
            print(render_depths(measure_depths(dataset, corpus, reader, calibration, options.depths)))
            return
        figures = measure_reading(dataset, corpus, reader, calibration, settings.read)
    print(render_reading(figures))
    if options.plot:
        drawn = plot(figures, options.plot)
        print(f"drawn: {options.plot}" if drawn else "not drawn: matplotlib is not installed", file=sys.stderr)


# Measuring


def measure_reading(
    dataset: Dataset, corpus: Corpus, reader: Reader | None, calibration: Calibration, depth: int = READ
) -> ReadingFigures:
    """Ask all questions of `corpus`, which holds the data set's articles, and those about one half of another half.

    Raises InputError where no question of the data set has evidence.
    """
    if not dataset.answerable():
        raise InputError(f"{dataset.name} has no question with evidence; see evidence.jsonl and qrels.tsv")
    replies = list(ask_all(dataset, corpus, dataset.queries, Ranker(corpus, reader, calibration, depth=depth)))
    strays = list(_ask_strays(dataset, corpus, reader, calibration, depth))
    return figures_of(replies, strays, reader=reader.name if reader else "", depth=depth)


def ask_all(dataset: Dataset, corpus: Corpus, queries: Sequence[Query], ranker: Ranker) -> Iterator[Reply]:
    """Ask `queries`, and some of them before that, so that nothing is made ready while time is measured.

    Articles that `corpus` does not hold are no targets; what cannot be asked got nothing.
    """
    retriever = Retriever(corpus)
    for query in queries[:WARM_UP]:
        _rank(retriever, ranker, query.text)
    for query in queries:
        target = dataset.targets.get(query.id)
        answerable = dataset.is_answerable(query)
        found = _rank(retriever, ranker, query.text)
        if found is None:
            yield Reply(query, target, answerable, None, None, None, 0.0, 0, {})
        else:
            yield _reply(corpus, query, target, answerable, *found)


def _rank(retriever: Retriever, ranker: Ranker, question: str) -> tuple[Retrieved, Ranking] | None:
    try:
        retrieved = retriever.retrieve(question, top_k=max(FEWEST, ranker.wanted))
    except QuestionError:
        return None
    return retrieved, ranker.rank(question, retrieved)


def _reply(
    corpus: Corpus,
    query: Query,
    target: Target | None,
    answerable: bool | None,
    retrieved: Retrieved,
    ranking: Ranking,
) -> Reply:
    places = target.places if target else ()
    first = ranking.sentences[0] if ranking.sentences else None
    part = first.part if first else None
    timings = {**retrieved.timings, **ranking.timings}
    return Reply(
        query=query,
        target=target,
        answerable=answerable,
        rank=rank_of(places, [place_of(one.candidate) for one in ranking.sentences]),
        fused=rank_of(places, [place_of(one) for one in retrieved.candidates]),
        part=part.of(corpus.store.record(first.candidate.sentence.article_id).article.text) if first and part else None,
        probability=ranking.judgement.probability,
        read=ranking.read,
        timings={**timings, "total": sum(timings.values())},
    )


def _ask_strays(
    dataset: Dataset, corpus: Corpus, reader: Reader | None, calibration: Calibration, depth: int
) -> Iterator[Reply]:
    kept, strays = halves(dataset)
    if not strays:
        return
    with corpus_of((article for article in dataset.articles if title_of(article) in kept), corpus.encoder) as half:
        yield from ask_all(dataset, half, strays, Ranker(half, reader, calibration, depth=depth))


def halves(dataset: Dataset, most: int = STRAYS) -> tuple[frozenset[str], list[Query]]:
    """Return every second title, and at most `most` questions about none of these but about others."""
    kept = frozenset(sorted({title_of(article) for article in dataset.articles})[::2])
    titles = dataset.titles()
    strays = [query for query in dataset.queries if titles[query.id] and not titles[query.id] & kept]
    strays.sort(key=lambda query: hashlib.sha256(query.id.encode()).digest())
    return kept, strays[:most]


# Figures


def figures_of(replies: Sequence[Reply], strays: Sequence[Reply], *, reader: str, depth: int) -> ReadingFigures:
    """Return the figures of questions about the corpus and of questions about something else."""
    known = [one for one in replies if one.answerable is not None]
    found = [one for one in replies if one.target is not None]
    spoken = [one for one in found if one.query.answers]
    probabilities = np.array([one.probability for one in known])
    answerable = np.array([bool(one.answerable) for one in known])
    right = np.array([one.right for one in known])
    stray = np.array([one.probability for one in strays])
    answered = probabilities[answerable]
    return ReadingFigures(
        reader=reader,
        depth=depth,
        questions=len(replies),
        with_evidence=len(found),
        ranks=_ranks(found, [one.rank for one in found]),
        fused=_ranks(found, [one.fused for one in found]),
        part_f1=_mean([token_f1(one.part or "", one.query.answers) for one in spoken]) if reader else None,
        part_exact=_mean([exact_match(one.part or "", one.query.answers) for one in spoken]) if reader else None,
        auroc_about=auroc(probabilities, answerable),
        auroc_stray=auroc(np.concatenate([answered, stray]), np.repeat([True, False], [len(answered), len(stray)])),
        ece_answerable=None if answerable.all() else expected_calibration_error(probabilities, answerable),
        ece_shown=expected_calibration_error(probabilities, right),
        ece_first=expected_calibration_error(probabilities, [one.rank == 1 for one in known]),
        aurc=area_under_risk(probabilities, right),
        choices=tuple(choices(probabilities, answerable, right, stray, THRESHOLDS)),
        bins=tuple(calibration_bins(probabilities, right)),
        curve=_curve(risks(probabilities, right).tolist()),
        kinds=tuple(_kinds(found)),
        stages=tuple(_stages(replies)),
        fused_total=_stage("total", [one.timings["total"] - one.timings.get("read", 0.0) for one in _timed(replies)]),
        read=_mean([float(one.read) for one in _timed(replies)]) or 0.0,
    )


def _ranks(replies: Sequence[Reply], ranks: Sequence[int | None]) -> Ranks:
    clear = [rank for one, rank in zip(replies, ranks, strict=True) if one.target and not one.target.ambiguous]
    return Ranks(
        hit_1=hit_rate(ranks, 1),
        hit_5=hit_rate(ranks, 5),
        hit_10=hit_rate(ranks, 10),
        mrr_10=mean_reciprocal_rank(ranks, 10),
        hit_1_clear=hit_rate(clear, 1),
    )


def _curve(found: Sequence[float], points: int = 200) -> tuple[tuple[float, float], ...]:
    """Return coverage and risk, at most so many points of them."""
    rows = sorted({int(row) for row in np.linspace(0, len(found) - 1, min(points, len(found)))}) if found else []
    return tuple(((row + 1) / len(found), found[row]) for row in rows)


def _kinds(replies: Sequence[Reply]) -> Iterator[OfKind]:
    """Yield hit@1 by kind of question, and by what the evidence says of a claim."""
    labels = sorted({label for one in replies if one.target for label in one.target.labels})
    groups = {kind: [one for one in replies if kind_of(one.query.text) == kind] for kind in get_args(Kind)}
    groups |= {
        f"claim: {label}": [one for one in replies if one.target and label in one.target.labels] for label in labels
    }
    for kind, some in groups.items():
        if some:
            hits = (hit_rate([one.rank for one in some], 1), hit_rate([one.fused for one in some], 1))
            yield OfKind(kind, len(some), *hits)


def _timed(replies: Sequence[Reply]) -> list[Reply]:
    return [one for one in replies if one.timings]


def _stages(replies: Sequence[Reply]) -> Iterator[Stage]:
    for name in STAGES:
        taken = [one.timings[name] for one in _timed(replies) if name in one.timings]
        if taken:
            yield _stage(name, taken)


def _stage(name: str, milliseconds: Sequence[float]) -> Stage:
    p50, p99 = np.percentile(milliseconds, [50, 99]) if milliseconds else (0.0, 0.0)
    return Stage(name, float(p50), float(p99))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


# Kinds of questions


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_OPENING = re.compile(
    r"^(?:(?:can|could|would|will|do) you (?:please )?(?:tell|know|say|name|explain)(?: me)?|tell me)\b"
)
_WORD = re.compile(r"[a-z]+(?:['’][a-z]+)?")
_ASKING = {
    "who": "who",
    "whom": "who",
    "whose": "who",
    "when": "when",
    "where": "where",
    "why": "why",
    "how": "how",
    "what": "what",
    "which": "what",
}
_QUANTITY = _set("many much long old far often tall large big high deep wide heavy fast few little late early soon")
_TIME = _set("year years date day days month century decade time weekday season")
_PLACE = _set("city country town place location continent")
_REASON = _set("reason reasons cause causes")
_AUXILIARY = _set(
    "is are was were am do does did has have had can could will would shall should may might must isn't aren't wasn't "
    "weren't don't doesn't didn't hasn't haven't hadn't can't couldn't won't wouldn't shouldn't"
)


def kind_of(question: str) -> Kind:
    """Return the kind of a question by its words: what it begins with, else its first question word.

    "In what year" is "when", "which city" is "where", "how old" is "how many". What has no question word is a question
    to be answered by yes or no where it begins with a verb for that, a statement without a question mark, else other.
    """
    text = _OPENING.sub("", question.lower().strip()).strip()
    words = [word.replace("’", "'") for word in _WORD.findall(text)]
    if words and words[0] in _AUXILIARY:
        return "yes or no"
    place = _asking_word(text, words)
    if place is None:
        return "other" if "?" in question or not words else "statement"
    return _kind_at(words, place)


def _asking_word(text: str, words: Sequence[str]) -> int | None:
    """Return the place of the question word; in "When …, who …?" that is the second."""
    places = [place for place, word in enumerate(words) if word.removesuffix("'s") in _ASKING]
    if places[1:] and places[0] == 0 and words[0] in ("when", "where"):
        after = re.search(r", (?:\w+ )?(?:" + "|".join(_ASKING) + r")\b", text)
        if after:
            return next(place for place in places if place >= len(_WORD.findall(text[: after.start()])))
    return places[0] if places else None


def _kind_at(words: Sequence[str], place: int) -> Kind:
    word, following = words[place].removesuffix("'s"), words[place + 1 : place + 3]
    if word == "how":
        return "how many" if following[:1] and following[0] in _QUANTITY else "how"
    if word in ("what", "which"):
        for named, kind in ((_TIME, "when"), (_PLACE, "where"), (_REASON, "why")):
            if named.intersection(following[:1]) or (kind == "why" and named.intersection(following)):
                return kind  # type: ignore[return-value]
        return "what"
    return _ASKING[word]  # type: ignore[return-value]


# What depth costs


@dataclass(frozen=True, slots=True)
class AtDepth:
    """What reading at most `depth` passages brings and takes. read: passages per question."""

    depth: int
    hit_1: float
    mrr_10: float
    p50: float
    p99: float
    read: float


def measure_depths(
    dataset: Dataset, corpus: Corpus, reader: Reader | None, calibration: Calibration, depths: Sequence[int]
) -> list[AtDepth]:
    """Ask all questions with evidence at each depth. Depth 0 is fusion alone."""
    if reader is None and any(depths):
        raise InputError("without a reader no passage is read; name one with --reader, or only the depth 0")
    found = []
    for depth in depths:
        ranker = Ranker(corpus, reader if depth else None, calibration if depth else calibration_for(""), depth=depth)
        replies = list(ask_all(dataset, corpus, dataset.answerable(), ranker))
        figures = figures_of(replies, [], reader=reader.name if reader and depth else "", depth=depth)
        total = figures.stages[-1]
        found.append(AtDepth(depth, figures.ranks.hit_1, figures.ranks.mrr_10, total.p50, total.p99, figures.read))
    return found


# Tables and plots


def render_depths(rows: Sequence[AtDepth]) -> str:
    """Return what each depth costs as a Markdown table."""
    header = ("passages at most", "hit@1", "MRR@10", "p50, ms", "p99, ms", "passages read")
    return render_markdown(
        header,
        [
            (
                f"{row.depth}",
                f"{row.hit_1:.3f}",
                f"{row.mrr_10:.3f}",
                *(f"{ms:.1f}" for ms in (row.p50, row.p99, row.read)),
            )
            for row in rows
        ],
    )


def render_reading(figures: ReadingFigures) -> str:
    """Return all tables, in Markdown."""
    parts = [
        f"{figures.questions:,} questions, {figures.with_evidence:,} with evidence; reader: "
        f"{figures.reader or 'none'}, at most {figures.depth} passages, {figures.read:.2f} read on average",
        render_markdown(("", "fusion alone", "with the reader"), list(_rank_rows(figures))),
        render_markdown(("", ""), list(_reader_rows(figures))),
        render_markdown(
            ("threshold", "answered", "of answerable", "wrong of those", "of strays"),
            [
                (f"{one.threshold:.2f}", *(f"{x:.3f}" for x in (one.coverage, one.of_answerable, one.risk, one.stray)))
                for one in figures.choices
            ],
        ),
        render_markdown(
            ("said", "came true", "questions"),
            [(f"{said:.3f}", f"{came:.3f}", f"{count}") for said, came, count in figures.bins],
        ),
        render_markdown(
            ("kind of question", "questions", "hit@1, fusion alone", "hit@1"),
            [(one.kind, f"{one.questions:,}", f"{one.fused_hit_1:.3f}", f"{one.hit_1:.3f}") for one in figures.kinds],
        ),
        render_markdown(
            ("ms", "p50", "p99"),
            [
                (name, f"{one.p50:.1f}", f"{one.p99:.1f}")
                for name, one in [
                    *((one.name, one) for one in figures.stages),
                    ("total, fusion alone", figures.fused_total),
                ]
            ],
        ),
    ]
    return "\n\n".join(parts)


def _rank_rows(figures: ReadingFigures) -> Iterator[tuple[str, str, str]]:
    names = {"hit_1": "hit@1", "hit_5": "hit@5", "hit_10": "hit@10", "mrr_10": "MRR@10"}
    names["hit_1_clear"] = "hit@1 without ambiguous questions"
    for field, name in names.items():
        yield name, f"{getattr(figures.fused, field):.3f}", f"{getattr(figures.ranks, field):.3f}"


def reader_figures(figures: ReadingFigures) -> list[tuple[str, float | None, bool]]:
    """Return the names of the reader's own figures, their values, and whether more is better."""
    return [
        ("part that answers, F1", figures.part_f1, True),
        ("part that answers, exact", figures.part_exact, True),
        ("AUROC, answered against about this", figures.auroc_about, True),
        ("AUROC, answered against about something else", figures.auroc_stray, True),
        ("ECE, anything answers", figures.ece_answerable, False),
        ("ECE, first five hold the evidence", figures.ece_shown, False),
        ("ECE, first is the evidence", figures.ece_first, False),
        ("area under risk-coverage", figures.aurc, False),
    ]


def _reader_rows(figures: ReadingFigures) -> Iterator[tuple[str, str]]:
    for name, value, _ in reader_figures(figures):
        yield name, "-" if value is None else f"{value:.3f}"


def plot(figures: ReadingFigures, path: Path) -> bool:
    """Draw the risk-coverage curve and the reliability diagram as a PNG; return whether matplotlib is there for it."""
    if find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = drawing.subplots(1, 2)
    left.plot([coverage for coverage, _ in figures.curve], [risk for _, risk in figures.curve])
    left.set(xlabel="coverage: share of questions answered", ylabel="risk: share of those answers wrong")
    left.set(title=f"Risk by coverage (area {figures.aurc:.3f})", xlim=(0, 1), ylim=(0, None))
    right.plot([0, 1], [0, 1], linestyle=":", color="grey")
    right.plot([said for said, _, _ in figures.bins], [came for _, came, _ in figures.bins], marker="o")
    right.set(xlabel="probability said", ylabel="share whose first five hold the evidence")
    right.set(title=f"Reliability (ECE {figures.ece_shown:.3f})", xlim=(0, 1), ylim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, format="png", dpi=120)
    return True


if __name__ == "__main__":
    main()
