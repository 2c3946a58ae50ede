"""How fast: encoding in this process; asking, starting and memory over HTTP.

Ours and the baseline take turns, block by block, so that whatever else the machine does hits both.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, groupby, islice, pairwise
from pathlib import Path

import numpy as np

from bench.baseline import TorchModel
from bench.servers import Client, Server, System, serving
from index.articles import Span
from index.corpus import Corpus
from index.encoding import Context
from index.passages import LONGEST_TITLE
from index.store import Filters

# Sentences that each side encodes in one turn: some seconds of work, enough to be sorted by length and batched well.
TURN = 600
MOST_SENTENCES = 6000
# Requests per server, in blocks of that many.
ASKS, ASK_BLOCK = 1000, 100
CURLS, CURL_BLOCK = 200, 50
CROWD_ASKS, CROWD_BLOCK, CLIENTS = 800, 160, 4
WARM_UP = 20
STARTS = 3


# Encoding


@dataclass(frozen=True, slots=True)
class Work:
    """Some articles as each side encodes them: as passages with their sentences, and as sentences."""

    passages: tuple[Context, ...]
    sentences: tuple[str, ...]


def encoding_rates(corpus: Corpus, model: TorchModel | None) -> list[float]:
    """Return the sentences per second of our encoder and, where there is one, of `model`, on the corpus' own articles.

    Ours gives a vector for each passage and for each of its sentences, the baseline one for each sentence. A sentence
    that stands in two passages counts once.
    """
    encoders: list[Callable[[Work], object]] = [lambda work: corpus.encoder.encode_passages(work.passages)]
    if model is not None:
        encoders.append(lambda work: model.encode(work.sentences))
    turns = list(_turns(corpus))
    seconds = np.zeros(len(encoders))
    for number, work in enumerate([turns[0], *turns]):
        for row, encode in enumerate(encoders):
            started = time.perf_counter()
            encode(work)
            # The first turn is a warm-up, and done again.
            seconds[row] += (time.perf_counter() - started) if number else 0.0
    total = sum(len(work.sentences) for work in turns)
    return [float(total / spent) for spent in seconds]


def _turns(corpus: Corpus) -> Iterator[Work]:
    passages: list[Context] = []
    sentences: list[str] = []
    done = 0
    for work in _articles(corpus):
        passages += work.passages
        sentences += work.sentences
        if len(sentences) >= TURN:
            yield Work(tuple(passages), tuple(sentences))
            done += len(sentences)
            passages, sentences = [], []
            if done >= MOST_SENTENCES:
                return
    # A short rest would be batched badly; it counts only where it is all there is.
    if not done:
        yield Work(tuple(passages), tuple(sentences))


def _articles(corpus: Corpus) -> Iterator[Work]:
    """Yield each article as `Corpus` hands it to the encoder; no more of them than can be of use here."""
    readings = corpus.store.readings(corpus.store.passages_of(Filters())[:MOST_SENTENCES])
    for article_id, passages in groupby(readings.passages, key=lambda passage: passage.article_id):
        record = corpus.store.record(article_id)
        text, title = record.article.text, (record.article.title or "")[:LONGEST_TITLE]
        contexts = tuple(_context(title, text, record.sentences[one.first : one.last]) for one in passages)
        yield Work(contexts, tuple(span.of(text) for span in record.sentences))


def _context(title: str, text: str, spans: Sequence[Span]) -> Context:
    start = spans[0].start
    shifted = tuple(Span(span.start - start, span.end - start) for span in spans)
    return Context(title, text[start : spans[-1].end], shifted)


# Asking


@dataclass(frozen=True, slots=True)
class Asking:
    """What asking one server took, in milliseconds, and what it can take, in questions per second.

    p50, p99: one client that keeps its connection. curl: one that opens one for each question. per_second: of several
    clients at once. resident_mb: of the server's process after all that.
    """

    p50: float
    p99: float
    curl_p50: float
    curl_p99: float
    per_second: float
    resident_mb: float | None


def measure_asking(servers: Sequence[Server], questions: Sequence[str]) -> list[Asking]:
    """Ask all servers the same questions, in turns."""
    asked = iter(cycle(questions))
    _take_turns(servers, list(islice(asked, WARM_UP)), WARM_UP, _latencies)
    _take_turns(servers, list(islice(asked, WARM_UP)), WARM_UP, _crowd_seconds)
    single = _take_turns(servers, list(islice(asked, ASKS)), ASK_BLOCK, _latencies)
    curl = _take_turns(servers, list(islice(asked, CURLS)), CURL_BLOCK, _curl_latencies)
    crowd = _take_turns(servers, list(islice(asked, CROWD_ASKS)), CROWD_BLOCK, _crowd_seconds)
    return [
        Asking(
            *_percentiles(single[row]),
            *_percentiles(curl[row]),
            per_second=CROWD_ASKS / sum(crowd[row]),
            resident_mb=server.resident_mb(),
        )
        for row, server in enumerate(servers)
    ]


def _take_turns(
    servers: Sequence[Server],
    questions: Sequence[str],
    block: int,
    measure: Callable[[Server, Sequence[str]], Sequence[float]],
) -> list[list[float]]:
    """Return what `measure` found for each server, over all blocks."""
    found: list[list[float]] = [[] for _ in servers]
    for first in range(0, len(questions), block):
        for row, server in enumerate(servers):
            found[row] += measure(server, questions[first : first + block])
    return found


def _latencies(server: Server, questions: Sequence[str]) -> list[float]:
    with Client(server.port) as client:
        return _timed(client.ask, questions)


def _curl_latencies(server: Server, questions: Sequence[str]) -> list[float]:
    with Client(server.port) as client:
        return _timed(client.ask_as_curl, questions)


def _timed(ask: Callable[[str], None], questions: Sequence[str]) -> list[float]:
    moments = [time.perf_counter()]
    for question in questions:
        ask(question)
        moments.append(time.perf_counter())
    return [1000 * (after - before) for before, after in pairwise(moments)]


def _crowd_seconds(server: Server, questions: Sequence[str]) -> list[float]:
    """Return the seconds that several clients take together, each with its share of `questions`."""
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as crowd:
        shares = [questions[number::CLIENTS] for number in range(CLIENTS)]
        for _ in crowd.map(lambda share: _latencies(server, share), shares):
            pass
    return [time.perf_counter() - started]


def _percentiles(milliseconds: Sequence[float]) -> tuple[float, float]:
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return float(p50), float(p99)


# Starting


@dataclass(frozen=True, slots=True)
class Starting:
    """Seconds to the first answer. cold: from nothing but a corpus.jsonl. warm: on what was indexed before, median."""

    cold: float
    warm: float


def measure_starting(systems: Sequence[System], question: str, logs: Path) -> list[Starting]:
    """Start every system once on an empty folder, then several times in turns on what it indexed."""
    colds = [_cold(system, question, logs) for system in systems]
    warms = [[_warm(system, question, logs) for system in systems] for _ in range(STARTS)]
    medians = np.median(warms, axis=0)
    return [Starting(cold, float(warm)) for cold, warm in zip(colds, medians, strict=True)]


def _cold(system: System, question: str, logs: Path) -> float:
    started = time.perf_counter()
    system.index()
    indexing = time.perf_counter() - started
    return indexing + _warm(system, question, logs)


def _warm(system: System, question: str, logs: Path) -> float:
    with serving(system, question, logs / "start.log") as server:
        return server.seconds
