"""What the entailment model is worth: how often what it says of claims is right, how often it says it, and how fast.

    python -m bench.entailment DIR [--split NAME] [--entailment NAME]

DIR is a data set in BEIR's layout whose evidence has labels, as SciFact's has (Wadden et al. 2020, arXiv:2004.14974): a
claim's `split` and `cited_doc_ids` stand in queries.jsonl, SUPPORT or CONTRADICT in evidence.jsonl. All is counted by
sentence: of the evidence, and of all sentences of the cited articles, where those that are no evidence are "neither".
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from bench.datasets import Dataset, load_dataset
from bench.tables import render_markdown
from index.entailment import DEFAULT_ENTAILMENT, Entailment, Relation, Stance
from index.errors import InputError, QuotelineError
from index.splitting import split_sentences
from service.readers import open_entailment
from service.settings import Settings

# The part of SciFact that it calls dev, and whose labels are known.
SPLIT = "validation"
RELATIONS: tuple[Relation, ...] = get_args(Relation)
_LABELS: dict[str, Relation] = {"SUPPORT": "supports", "CONTRADICT": "opposes"}
# As many pairs as are judged for a question at most.
TOGETHER, ROUNDS = 8, 50


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence and a claim. relation: how the one stands to the other, None for "neither"."""

    premise: str
    hypothesis: str
    relation: Relation | None


@dataclass(frozen=True, slots=True)
class Said:
    """How often a relation was said at its threshold. of: sentences that have it; said: those of which it was said."""

    relation: Relation
    of: int
    said: int
    right: int

    @property
    def precision(self) -> float | None:
        """The share that was right of what was said; None where nothing was."""
        return self.right / self.said if self.said else None

    @property
    def coverage(self) -> float:
        """The share of the sentences that have the relation of which it was said."""
        return self.right / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class EntailmentFigures:
    """What an entailment model reaches.

    accuracy, macro_f1: of "supports" and "opposes" on evidence, where it has to say one of both. evidence, everywhere:
    what it says of its own accord, on evidence and on all sentences of the cited articles. sentences: of either.
    milliseconds: for TOGETHER pairs, the median.
    """

    name: str
    accuracy: float
    macro_f1: float
    sentences: tuple[int, int]
    evidence: tuple[Said, ...]
    everywhere: tuple[Said, ...]
    milliseconds: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="bench.entailment", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", metavar="DIR", type=Path, help="a data set whose evidence has labels")
    parser.add_argument("--split", default=SPLIT, metavar="NAME", help=f"the claims of this split (default: {SPLIT})")
    parser.add_argument("--entailment", default=DEFAULT_ENTAILMENT, metavar="NAME", help="the model (%(default)s)")
    options = parser.parse_args(arguments)
    cases = load_cases(options.folder, options.split)
    entailment = open_entailment(Settings(entailment=options.entailment))
    if entailment is None:
        raise InputError("there is no entailment model to measure; name one with --entailment")
    print(render_entailment(measure_entailment(cases, entailment)))


# Cases


def load_cases(folder: Path, split: str = SPLIT) -> list[Case]:
    """Return the sentences of all articles that the split's claims cite, evidence word for word as it is told.

    Raises InputError where there is no evidence of both labels.
    """
    dataset = load_dataset(folder)
    cited = {
        str(told.get("_id", told.get("id"))): [str(one) for one in told.get("cited_doc_ids") or ()]
        for told in _records(folder / "queries.jsonl")
        if told.get("split") == split
    }
    evidence: dict[tuple[str, str], list[tuple[str, Relation]]] = {}
    for told in _records(folder / "evidence.jsonl"):
        if told.get("label") in _LABELS:
            found = evidence.setdefault((str(told["query_id"]), str(told["doc_id"])), [])
            found.append((str(told["text"]), _LABELS[told["label"]]))
    cases = list(_cases(dataset, cited, evidence))
    if {case.relation for case in cases}.isdisjoint(RELATIONS):
        raise InputError(f"{folder} holds no labelled evidence for claims of the split {split!r}; see evidence.jsonl")
    return cases


def _cases(
    dataset: Dataset, cited: dict[str, list[str]], evidence: dict[tuple[str, str], list[tuple[str, Relation]]]
) -> Iterator[Case]:
    articles = {article.id: article for article in dataset.articles}
    for query in dataset.queries:
        for article_id in cited.get(query.id, ()):
            article = articles.get(article_id)
            told = evidence.get((query.id, article_id), [])
            for text, relation in told:
                yield Case(text, query.text, relation)
            if article is None:
                continue
            starts = [(article.text.find(text), len(text)) for text, _ in told]
            for span in split_sentences(article.text, article.body):
                if not any(start < span.end and span.start < start + length for start, length in starts):
                    yield Case(span.of(article.text), query.text, None)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


# Measuring


def measure_entailment(cases: Sequence[Case], entailment: Entailment) -> EntailmentFigures:
    """Judge all cases, TOGETHER at a time."""
    pairs = [(case.premise, case.hypothesis) for case in cases]
    parts = [pairs[first : first + TOGETHER] for first in range(0, len(pairs), TOGETHER)]
    stances = [stance for part in parts for stance in entailment.judge(part)]
    evidence = [place for place, case in enumerate(cases) if case.relation]
    of_evidence, judged = [cases[place] for place in evidence], [stances[place] for place in evidence]
    forced = [_forced(stance) for stance in judged]
    return EntailmentFigures(
        name=entailment.name,
        accuracy=float(np.mean([one == case.relation for one, case in zip(forced, of_evidence, strict=True)])),
        macro_f1=float(np.mean([_f1(relation, forced, of_evidence) for relation in RELATIONS])),
        sentences=(len(of_evidence), len(cases)),
        evidence=_said(of_evidence, judged, entailment),
        everywhere=_said(cases, stances, entailment),
        milliseconds=_milliseconds(entailment, parts),
    )


def _forced(stance: Stance) -> Relation:
    return "supports" if stance.supports >= stance.opposes else "opposes"


def _f1(relation: Relation, found: Sequence[Relation], cases: Sequence[Case]) -> float:
    right = sum(one == case.relation == relation for one, case in zip(found, cases, strict=True))
    both = sum(one == relation for one in found) + sum(case.relation == relation for case in cases)
    return 2 * right / both if both else 0.0


def _said(cases: Sequence[Case], stances: Sequence[Stance], entailment: Entailment) -> tuple[Said, ...]:
    said = [entailment.thresholds.said(stance) for stance in stances]
    return tuple(
        Said(
            relation,
            of=sum(case.relation == relation for case in cases),
            said=said.count(relation),
            right=sum(one == case.relation == relation for one, case in zip(said, cases, strict=True)),
        )
        for relation in RELATIONS
    )


def _milliseconds(entailment: Entailment, parts: Sequence[Sequence[tuple[str, str]]]) -> float:
    """Return the median for one part; all were judged before, so that nothing is made ready."""
    taken = []
    for part in [one for one in parts if len(one) == TOGETHER][:ROUNDS] or parts:
        start = time.perf_counter()
        entailment.judge(part)
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.median(taken))


# Tables


def render_entailment(figures: EntailmentFigures) -> str:
    """Return all tables, in Markdown."""
    evidence, everywhere = figures.sentences
    rows = [
        (
            f"{where}, {one.relation}",
            f"{one.of:,}",
            f"{one.said:,}",
            "-" if one.precision is None else f"{one.precision:.3f}",
            f"{one.coverage:.3f}",
        )
        for where, some in (("evidence", figures.evidence), ("all sentences", figures.everywhere))
        for one in some
    ]
    return "\n\n".join(
        [
            f"{figures.name}: {evidence:,} sentences of evidence, {everywhere:,} in all",
            render_markdown(
                ("", ""),
                [
                    ("accuracy, supports or opposes", f"{figures.accuracy:.3f}"),
                    ("macro-F1, supports or opposes", f"{figures.macro_f1:.3f}"),
                    (f"{TOGETHER} pairs, p50, ms", f"{figures.milliseconds:.1f}"),
                ],
            ),
            render_markdown(("said at its threshold", "sentences", "said", "precision", "coverage"), rows),
        ]
    )


if __name__ == "__main__":
    try:
        main()
    except QuotelineError as error:
        sys.exit(f"bench: {error}")
