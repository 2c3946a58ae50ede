"""How much of a follow-up question is understood: `python -m bench.followups DATA`.

DATA holds `followups` and `pairs`, and the paragraphs of `squad1` and `ramdocs` that the answers have to be told from.
Four ways to ask: the question as it was asked, the whole conversation glued in front of it, ours, and as a person
rewrote it. What is found is compared with the answer that the conversation went on with, where there is one, and with
what the person's question finds.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.metrics import hit_rate, mean_reciprocal_rank
from bench.quality import corpus_of
from index.articles import Article, Span
from index.encoding import DEFAULT_MODEL, Encoder, load_encoder
from index.errors import QuestionError
from index.lexical import analyze
from index.retrieval import LONGEST_QUESTION, STOPWORDS, Retriever
from index.splitting import split_sentences
from service.conversation import MOST_TURNS, Turn, understand
from service.settings import Settings

DEPTH = 10
# Paragraphs and documents among which the answers stand, drawn with a fixed seed; and what QuAC says for no answer.
SQUAD, RAMDOCS, SEED = 500, 300, 7
NO_ANSWER = "I don't know."
# Of CANARD's conversations, the first ones, because asking takes a while.
CONVERSATIONS = 150
# Rank-biased overlap: how likely a reader is to go on to the next rank (Webber, Moffat and Zobel 2010).
PERSISTENCE = 0.9

# What a person's question reaches more than the one that was asked, for a share of that to mean anything.
NEAR = 0.02

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A turn with turns before it. answer: the id of the article that answers; None where nobody knows.

    rewrite: the question as a person wrote it, to stand alone; `leans` says whether that is another.
    """

    source: str
    question: str
    turns: tuple[Turn, ...]
    rewrite: str
    leans: bool
    answer: str | None


Way = Callable[[Case], str]


@dataclass(frozen=True, slots=True)
class Row:
    """What a way to ask reaches over cases, each in [0, 1]; see `print_table`. answered: how many have an answer."""

    cases: int
    answered: int
    hit_1: float
    hit_10: float
    mrr_10: float
    overlap: float
    biased: float
    recall: float
    precision: float
    kept: float


def as_asked(case: Case) -> str:
    """Return the question."""
    return case.question


def glued(case: Case) -> str:
    """Return the conversation and the question; what is too long loses its beginning, as a window does."""
    texts = [text for turn in case.turns for text in (turn.question, *turn.quotes)]
    return " ".join([*texts, case.question])[-LONGEST_QUESTION:]


def ours(case: Case) -> str:
    """Return the question as the product understands it."""
    return understand(case.question, case.turns[-MOST_TURNS:]).question


def by_a_person(case: Case) -> str:
    """Return the question as a person rewrote it."""
    return case.rewrite


WAYS: Mapping[str, Way] = {
    "as asked": as_asked,
    "history glued on": glued,
    "ours": ours,
    "by a person": by_a_person,
}


# Data


def load_articles(data: Path) -> dict[tuple[str, str], Article]:
    """Return what is searched in, by title and text: all answers, and a sample of other texts."""
    draw = random.Random(SEED)  # noqa: S311 - a sample, no secret
    squad = [*_records(data / "squad1/tune/corpus.jsonl"), *_records(data / "squad1/test/corpus.jsonl")]
    ramdocs = list(_records(data / "ramdocs/corpus.jsonl"))
    texts = [(record["page"], record["answer"]) for record in _records(data / "pairs/quac_answers.jsonl")]
    texts += [("", record.get("passage") or "") for record in _records(data / "followups/cast.jsonl")]
    texts += [
        (record.get("title") or "", record["text"])
        for record in (
            *draw.sample(squad, min(SQUAD, len(squad))),
            *draw.sample(ramdocs, min(RAMDOCS, len(ramdocs))),
        )
    ]
    keys = dict.fromkeys((title, text.strip()) for title, text in texts if text.strip())
    return {
        (title, text): Article(id=f"a{n}", text=text, body=Span(0, len(text)), title=title or None)
        for n, (title, text) in enumerate(keys)
    }


def load_cases(data: Path, articles: Mapping[tuple[str, str], Article]) -> Iterator[Case]:
    """Yield all turns but the first of each conversation."""
    answers = {
        record["id"]: (record["page"], record["answer"].strip())
        for record in _records(data / "pairs/quac_answers.jsonl")
    }
    canard = list(_records(data / "followups/canard.jsonl"))
    taken = set(list(dict.fromkeys(record["dialog"] for record in canard))[:CONVERSATIONS])
    for record in canard:
        if record["history"] and record["dialog"] in taken:
            yield _case("CANARD", record, _pairs(record["history"]), answers.get(record["id"]), articles)
    for record in _records(data / "followups/cast.jsonl"):
        history = record["history"]
        if history:
            alone = record["year"] <= 2020
            turns = [Turn(question.strip()) for question in history] if alone else _pairs(history)
            answer = ("", (record.get("passage") or "").strip())
            yield _case(f"CAsT {record['year']}", record, turns, answer, articles)


def _case(
    source: str,
    record: Record,
    turns: Sequence[Turn],
    answer: tuple[str, str] | None,
    articles: Mapping[tuple[str, str], Article],
) -> Case:
    article = articles.get(answer) if answer else None
    return Case(
        source=source,
        question=record["question"].strip(),
        turns=tuple(turns),
        rewrite=record["rewrite"].strip(),
        leans=record["changed"],
        answer=article.id if article else None,
    )


def _pairs(history: Sequence[str]) -> list[Turn]:
    """Return the turns of a history that alternates questions and answers."""
    return [
        Turn(question.strip(), _sentences(answer.strip()))
        for question, answer in zip(history[::2], history[1::2], strict=True)
    ]


def _sentences(answer: str) -> tuple[str, ...]:
    return () if answer == NO_ANSWER else tuple(span.of(answer) for span in split_sentences(answer))


def _records(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


# Measuring


def measure(cases: Sequence[Case], way: Way, find: Callable[[str], list[str]]) -> Row:
    """Ask every case in one way. find: gives what a question finds, see `ranking`."""
    ranks: list[int | None] = []
    sums = dict.fromkeys(("overlap", "biased", "recall", "precision"), 0.0)
    kept: list[bool] = []
    for case in cases:
        asked = way(case)
        found, wanted = find(asked), find(case.rewrite)
        if case.answer is not None:
            ranks.append(found.index(case.answer) + 1 if case.answer in found else None)
        if not case.leans:
            kept.append(asked == case.question)
        words, needed = content_words(asked), content_words(case.rewrite)
        sums["overlap"] += _share(len({*found} & {*wanted}), len(wanted))
        sums["biased"] += rank_biased_overlap(found, wanted)
        sums["recall"] += _share(len(words & needed), len(needed))
        sums["precision"] += _share(len(words & needed), len(words))
    means = {name: total / max(len(cases), 1) for name, total in sums.items()}
    return Row(
        cases=len(cases),
        answered=len(ranks),
        hit_1=hit_rate(ranks, 1),
        hit_10=hit_rate(ranks, 10),
        mrr_10=mean_reciprocal_rank(ranks, 10),
        kept=_share(sum(kept), len(kept)),
        **means,
    )


def ranking(retriever: Retriever, question: str) -> list[str]:
    """Return the articles of the best sentences, best first, each once, at most `DEPTH`."""
    try:
        candidates = retriever.retrieve(question, top_k=3 * DEPTH).candidates
    except QuestionError:
        return []  # no word in it
    return list(dict.fromkeys(candidate.sentence.article_id for candidate in candidates))[:DEPTH]


def rank_biased_overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Return the rank-biased overlap of the first `DEPTH` ranks, scaled so that equal rankings have 1."""
    depth = max(len(one), len(other))
    if not depth:
        return 1.0
    weights = [PERSISTENCE**place for place in range(depth)]
    agreed = [len({*one[: place + 1]} & {*other[: place + 1]}) / (place + 1) for place in range(depth)]
    return sum(weight * share for weight, share in zip(weights, agreed, strict=True)) / sum(weights)


def content_words(text: str) -> set[str]:
    """Return the stems of a question's words, without function words."""
    return {term for term in analyze(text.replace("'s", "").replace("’s", "")) if term not in STOPWORDS}


def share_of_the_way(reached: float, start: float, end: float) -> float | None:
    """Return how far from `start` to `end` something got; None where they are too near to tell."""
    return (reached - start) / (end - start) if end - start > NEAR else None


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


# The table


def print_table(source: str, rows: Mapping[str, Row]) -> None:
    """Print a table: what each way reaches, and how far ours gets from none to the person's."""
    start, ours_, end = rows["as asked"], rows["ours"], rows["by a person"]
    print(f"\n{source}: {start.cases} follow-up questions, {start.answered} of them with a known answer\n")
    names = {
        "hit_1": "hit@1",
        "hit_10": "hit@10",
        "mrr_10": "MRR@10",
        "overlap": "same 10",
        "biased": "RBO",
        "recall": "words",
        "precision": "precise",
        "kept": "left alone",
    }
    shown = [name for name in names if start.answered or name not in ("hit_1", "hit_10", "mrr_10")]
    print("| asked | " + " | ".join(names[name] for name in shown) + " |")
    print("|---|" + "--:|" * len(shown))
    for way, row in rows.items():
        print(f"| {way} | " + " | ".join(f"{getattr(row, name):.3f}" for name in shown) + " |")
    ways = [
        share_of_the_way(*(getattr(row, name) for row in (ours_, start, end)))
        if name not in ("precision", "kept")
        else None
        for name in shown
    ]
    print("| ours, share of the way | " + " | ".join("" if way is None else f"{way:.0%}" for way in ways) + " |")


def main(data: Path, sources: Sequence[str] = (), encoder: Encoder | None = None) -> None:
    """Print one table for each source; all, or the ones named."""
    articles = load_articles(data)
    cases = list(load_cases(data, articles))
    with corpus_of(articles.values(), encoder or load_encoder(DEFAULT_MODEL, Settings().models_folder)) as corpus:
        retriever = Retriever(corpus)

        @cache
        def find(question: str) -> list[str]:
            return ranking(retriever, question)

        print(f"{len(articles):,} texts to search in")
        for source in sources or sorted({case.source for case in cases}):
            own = [case for case in cases if case.source == source]
            print_table(source, {name: measure(own, way, find) for name, way in WAYS.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
