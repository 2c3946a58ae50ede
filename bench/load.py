"""Asks a server while articles are added to it: `python -m bench.load --articles 1000 --clients 16`.

In one run: some articles are there, clients ask for a while (quiet); then they go on asking while as many more articles
as wanted are added over HTTP (adding). What counts is the ratio of both phases' 99th percentiles.
"""

import argparse
import itertools
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import NO_CONTENT, OK
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import numpy as np

from bench.datasets import Dataset, load_dataset
from bench.serving import BROKEN, JSON, LINES, Connection, Serving
from bench.tables import render_markdown
from index.articles import Article
from index.errors import QuotelineError
from index.retrieval import LONGEST_QUESTION
from index.splitting import split_sentences
from service.settings import Settings

T = TypeVar("T")
SEEDS = Path(__file__).resolve().parent / "seeds"
WARM_UP = 2.0
TARGET = 3.0
# While articles are added, one is replaced and one deleted about so often, where that is wanted, in seconds.
MIXED_EVERY = 0.2


@dataclass(frozen=True, slots=True)
class Phase:
    """What clients saw in one phase. milliseconds: of each ask. client: cores that the clients themselves took."""

    milliseconds: tuple[float, ...]
    errors: int
    seconds: float
    client: float

    @property
    def per_second(self) -> float:
        """Asks that were answered in a second."""
        return len(self.milliseconds) / self.seconds

    def percentile(self, share: float) -> float:
        """Return how long at most that share of the asks, in percent, took, in milliseconds."""
        return float(np.percentile(self.milliseconds, share))


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the articles that were added. changed: others that were replaced or deleted meanwhile."""

    articles: int
    errors: int
    seconds: float
    changed: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the load test as a command; return 1 where the target was missed. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="bench.load", description=__doc__)
    parser.add_argument("--data", type=Path, default=SEEDS, metavar="DIR", help="a data set in BEIR's layout")
    parser.add_argument("--there", type=int, default=500, metavar="N", help="articles that are there before")
    parser.add_argument("--articles", type=int, default=1000, metavar="N", help="articles that are added")
    parser.add_argument("--clients", type=int, default=16, metavar="N")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes of the server")
    parser.add_argument("--seconds", type=float, default=15, metavar="S", help="how long the quiet phase lasts")
    parser.add_argument("--mixed", action="store_true", help="replace and delete others meanwhile")
    parser.add_argument("--encoder", choices=("hashing", "real"), default="real")
    options = parser.parse_args(arguments)
    # By itself SIGTERM would leave the server running and the temporary folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    dataset = load_dataset(options.data)
    records = list(itertools.islice(vary(dataset.articles), options.there + options.articles))
    models = Settings.model_validate({}).models_folder
    with tempfile.TemporaryDirectory(prefix="quoteline-load-") as folder:
        serving = Serving(Path(folder), options.encoder, options.workers, models)
        quiet, adding, added = measure(
            serving,
            questions_of(dataset),
            there=records[: options.there],
            more=records[options.there :],
            clients=options.clients,
            seconds=options.seconds,
            mixed=options.mixed,
        )
    print(render_markdown(*_table(quiet, adding, added)))
    missed = adding.percentile(99) > TARGET * quiet.percentile(99)
    return int(missed or quiet.errors + adding.errors + added.errors > 0)


def _table(quiet: Phase, adding: Phase, added: Added) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    rows = [
        ("asks per second", *(f"{phase.per_second:.0f}" for phase in (quiet, adding))),
        ("p50, ms", *(f"{phase.percentile(50):.1f}" for phase in (quiet, adding))),
        ("p99, ms", *(f"{phase.percentile(99):.1f}" for phase in (quiet, adding))),
        ("p99 as a multiple of quiet", "", f"{adding.percentile(99) / quiet.percentile(99):.2f}"),
        ("asks", *(f"{len(phase.milliseconds):,}" for phase in (quiet, adding))),
        ("errors", *(f"{phase.errors}" for phase in (quiet, adding))),
        ("seconds", *(f"{phase.seconds:.1f}" for phase in (quiet, adding))),
        ("articles added", "", f"{added.articles:,}"),
        ("articles not added", "", f"{added.errors:,}"),
        ("articles added per second", "", f"{added.articles / added.seconds:.1f}"),
        ("articles replaced or deleted", "", f"{added.changed:,}"),
        ("cores used by the clients", *(f"{phase.client:.2f}" for phase in (quiet, adding))),
    ]
    return ("", "quiet", "adding"), rows


def measure(
    serving: Serving,
    questions: Sequence[str],
    *,
    there: Sequence[dict[str, str]],
    more: Sequence[dict[str, str]],
    clients: int,
    seconds: float,
    mixed: bool,
) -> tuple[Phase, Phase, Added]:
    """Serve the articles that are `there`, ask, add `more` and ask, and return what was seen."""
    with serving.start().wait_until_ready() as process:
        add(process.port, there)
        ask_while(process.port, questions, clients, lambda: time.sleep(WARM_UP))
        quiet, _ = ask_while(process.port, questions, clients, lambda: time.sleep(seconds))
        changing = _changing if mixed else _not_changing
        with changing(process.port, there) as changed:
            adding, added = ask_while(process.port, questions, clients, lambda: add(process.port, more))
        process.stop()
    return quiet, adding, Added(added.articles, added.errors, added.seconds, len(changed))


# Articles and questions


def vary(articles: Sequence[Article]) -> Iterator[dict[str, str]]:
    """Yield articles without end: first as they are, then each time with their sentences in another order."""
    dice = random.Random(0)  # noqa: S311 - nothing to guess
    for turn in itertools.count():
        for article in articles:
            sentences = [span.of(article.text) for span in split_sentences(article.text, article.body)]
            if turn:
                dice.shuffle(sentences)
            text = " ".join([*sentences, f"This is edition {turn}."] if turn else sentences)
            yield {"_id": f"{article.id}~{turn}"[-200:], "title": article.title or "", "text": text}


def questions_of(dataset: Dataset) -> list[str]:
    """Return the questions of a data set that can be asked."""
    return [query.text for query in dataset.queries if len(query.text) <= LONGEST_QUESTION]


# Clients


def ask_while(port: int, questions: Sequence[str], clients: int, work: Callable[[], T]) -> tuple[Phase, T]:
    """Let so many clients ask, each one question after another, until `work` is done; return what they saw."""
    stopping = threading.Event()
    seen: list[float] = []
    failed: list[str] = []
    threads = [
        threading.Thread(target=_ask, args=(port, [*questions[number:], *questions[:number]], stopping, seen, failed))
        for number in (row * len(questions) // clients for row in range(clients))
    ]
    started, busy = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    try:
        done = work()
    finally:
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        stopping.set()
        for thread in threads:
            thread.join()
    for failure in failed[:5]:
        print(failure, file=sys.stderr)
    return Phase(tuple(seen), len(failed), seconds, busy / seconds), done


def _ask(port: int, questions: Sequence[str], stopping: threading.Event, seen: list[float], failed: list[str]) -> None:
    with Connection(port) as connection:
        for question in itertools.cycle(questions):
            if stopping.is_set():
                return
            started = time.perf_counter()
            try:
                reply = connection.ask(question)
            except BROKEN as error:
                failed.append(repr(error))
                continue
            if reply.status == OK:
                seen.append(1000 * (time.perf_counter() - started))
            else:
                failed.append(f"{reply.status}: {reply.text[:200]}")


def add(port: int, records: Sequence[dict[str, str]]) -> Added:
    """Add articles in one request; they are sent as a whole, and counted as they are answered for."""
    if not records:
        return Added(0, 0, 1, 0)
    started = time.perf_counter()
    body = "\n".join(json.dumps(record) for record in records).encode()
    with Connection(port, timeout=600) as connection:
        connection.send("POST", "/articles", body, LINES)
        told = [json.loads(line) for line in connection.lines()]
    added = sum("kind" in one for one in told)
    return Added(added, len(records) - added, time.perf_counter() - started, 0)


@contextmanager
def _not_changing(_: int, __: Sequence[dict[str, str]]) -> Iterator[list[str]]:
    yield []


@contextmanager
def _changing(port: int, records: Sequence[dict[str, str]]) -> Iterator[list[str]]:
    """Replace and delete articles, in turns, as long as this is open; the ids of those that were are given."""
    changed: list[str] = []
    stopping = threading.Event()
    thread = threading.Thread(target=_change, args=(port, records, stopping, changed))
    thread.start()
    try:
        yield changed
    finally:
        stopping.set()
        thread.join()


def _change(port: int, records: Sequence[dict[str, str]], stopping: threading.Event, changed: list[str]) -> None:
    with Connection(port) as connection:
        for number, record in enumerate(records):
            if stopping.wait(MIXED_EVERY):
                return
            body = json.dumps({"id": record["_id"], "text": f"{record['text']} It was corrected since."}).encode()
            if number % 2:
                done = connection.call("POST", "/articles", body, JSON).status == OK
            else:
                done = connection.call("DELETE", f"/articles/{quote(record['_id'], safe='')}").status == NO_CONTENT
            if done:
                changed.append(record["_id"])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QuotelineError as error:
        sys.exit(f"bench.load: {error}")
