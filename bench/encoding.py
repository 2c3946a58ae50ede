"""What encoding costs: `python -m bench.encoding --data DIR`.

Our runtime and sentence-transformers in torch, with the same weights, encode the same questions, from one thread and
from several, and the same paragraphs. They take turns, so that whatever else the machine does hits both. The
processor's time counts all threads; on a busy machine it says more than what a clock shows.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from bench.baseline import TorchModel
from bench.datasets import load_dataset
from bench.tables import render_markdown
from index.encoding import DEFAULT_MODEL, Context, Encoder, Vectors, load_encoder
from index.errors import QuotelineError
from index.passages import context_of
from index.splitting import split_sentences
from service.settings import Settings

Thing = TypeVar("Thing")

CALLERS = (1, 4, 16)
# Questions and passages of one turn, and turns.
QUESTIONS, PASSAGES, TURNS = 64, 64, 5


class Model(Protocol):
    """Encodes questions, each by itself, and passages. Safe to call from several threads."""

    def ask(self, question: str) -> Vectors:
        """Return the question's vector, shape (dim,)."""
        ...

    def add(self, passages: Sequence[Context]) -> Vectors:
        """Return the passages' vectors, shape (passages, dim)."""
        ...


@dataclass(frozen=True, slots=True)
class Ours:
    """The product's encoder."""

    encoder: Encoder

    def ask(self, question: str) -> Vectors:
        vector: Vectors = self.encoder.encode_questions([question])[0]
        return vector

    def add(self, passages: Sequence[Context]) -> Vectors:
        return np.array([encoded.vector for encoded in self.encoder.encode_passages(passages)])


class Torch:
    """sentence-transformers; it makes no vectors of sentences, so it has less to do."""

    def __init__(self, model: TorchModel) -> None:
        self._model = model
        # Its tokenizer is set anew by each call.
        self._one_at_a_time = threading.Lock()

    def ask(self, question: str) -> Vectors:
        vector: Vectors = self._encode([question])[0]
        return vector

    def add(self, passages: Sequence[Context]) -> Vectors:
        return self._encode([f"{one.title}. {one.text}" if one.title else one.text for one in passages])

    def _encode(self, texts: Sequence[str]) -> Vectors:
        with self._one_at_a_time:
            return self._model.encode(texts)


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds for one question or passage: of the processor, of all threads, and by the clock."""

    processor: float
    clock: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What one model costs: medians over all turns.

    asking: of a question, by CALLERS. adding: of a passage. nearness: the lowest cosine of a question's vector to the
    last model's, and of a passage's.
    """

    asking: tuple[Cost, ...]
    adding: Cost
    nearness: tuple[float, float]


def measure(
    models: Sequence[Model], questions: Sequence[str], passages: Sequence[Context], *, turns: int = TURNS
) -> list[Measured]:
    """Return what each model costs; the last is what the others' vectors are compared to."""
    tasks = [*(_asking(callers, questions) for callers in CALLERS), _adding(passages)]
    costs: dict[tuple[int, int], list[Cost]] = {}
    for turn in range(turns + 1):
        for number, task in enumerate(tasks):
            for row, model in enumerate(models):
                cost = task(model, turn)
                # The first turn is a warm-up.
                if turn:
                    costs.setdefault((row, number), []).append(cost)
    asked = [np.array([model.ask(question) for question in questions[:QUESTIONS]]) for model in models]
    added = [model.add(passages[:PASSAGES]) for model in models]
    return [
        Measured(
            tuple(_median(costs[row, number]) for number in range(len(CALLERS))),
            _median(costs[row, len(CALLERS)]),
            (_nearness(asked[row], asked[-1]), _nearness(added[row], added[-1])),
        )
        for row in range(len(models))
    ]


def _asking(callers: int, questions: Sequence[str]) -> Callable[[Model, int], Cost]:
    def task(model: Model, turn: int) -> Cost:
        some = _some(questions, turn, QUESTIONS)
        with ThreadPoolExecutor(callers) as threads:
            return _timed(lambda: list(threads.map(model.ask, some)), len(some))

    return task


def _adding(passages: Sequence[Context]) -> Callable[[Model, int], Cost]:
    def task(model: Model, turn: int) -> Cost:
        some = _some(passages, turn, PASSAGES)
        return _timed(lambda: model.add(some), len(some))

    return task


def _some(things: Sequence[Thing], turn: int, number: int) -> Sequence[Thing]:
    """Return the things of a turn; of the next turn they are others, until all had theirs."""
    number = min(number, len(things))
    return [things[(turn * number + place) % len(things)] for place in range(number)]


def _timed(work: Callable[[], object], number: int) -> Cost:
    processor, clock = time.process_time(), time.perf_counter()
    work()
    return Cost((time.process_time() - processor) / number, (time.perf_counter() - clock) / number)


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(float(np.median([cost.processor for cost in costs])), float(np.median([cost.clock for cost in costs])))


def _nearness(ones: Vectors, others: Vectors) -> float:
    return float((ones * others).sum(axis=1).min())


def table(measured: Sequence[Measured], names: Sequence[str], *, sentences: float) -> str:
    """Return the figures as a Markdown table; sentences: in a passage, on average."""
    rows = [
        [
            name,
            *(f"{1000 * cost.processor:.1f} / {1000 * cost.clock:.1f}" for cost in one.asking),
            f"{1000 * one.adding.processor:.1f}",
            f"{1 / one.adding.clock:.0f} / {sentences / one.adding.clock:.0f}",
            "{:.5f} / {:.5f}".format(*one.nearness),
        ]
        for name, one in zip(names, measured, strict=True)
    ]
    header = [
        "processor's ms / ms by the clock",
        *(f"a question, {callers} at a time" for callers in CALLERS),
        "a paragraph, processor's ms",
        "paragraphs / sentences a second",
        "lowest cosine, questions / paragraphs",
    ]
    return render_markdown(header, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.encoding", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a data set in BEIR's layout")
    parser.add_argument("--turns", type=int, default=TURNS)
    options = parser.parse_args(arguments)
    dataset = load_dataset(options.data)
    passages = [
        context_of(article, spans)
        for article in dataset.articles
        if (spans := tuple(split_sentences(article.text, article.body)))
    ]
    models: list[Model] = [Ours(load_encoder(DEFAULT_MODEL, Settings().models_folder)), Torch(TorchModel())]
    measured = measure(models, [query.text for query in dataset.queries], passages, turns=options.turns)
    sentences = sum(len(passage.spans) for passage in passages) / len(passages)
    sys.stdout.write(table(measured, ["Quoteline", "sentence-transformers, torch"], sentences=sentences) + "\n")


if __name__ == "__main__":
    try:
        main()
    except QuotelineError as error:
        sys.exit(f"bench.encoding: {error}")
