"""Metrics of one server, in Prometheus' text format; summed over its processes where there are several.

With several worker processes the variable PROMETHEUS_MULTIPROC_DIR names an empty folder before this file is imported:
each process then writes its numbers there, and whichever is scraped reads those of all.
"""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from index.corpus import Corpus
from index.errors import QuotelineError
from service.answering import Answer
from service.tracing import trace_answer

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

# A registry of our own: what other libraries register elsewhere is no business of whoever scrapes.
REGISTRY = CollectorRegistry()
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

_ASKS = Counter("quoteline_asks", "Questions that were answered.", ["verdict"], registry=REGISTRY)
_REMEMBERED = Counter("quoteline_asks_remembered", "Questions answered as they were before.", registry=REGISTRY)
_ASK_SECONDS = Histogram(
    "quoteline_ask_seconds", "Time to answer a question.", ["stage"], registry=REGISTRY, buckets=_SECONDS
)
_REQUESTS = Counter("quoteline_requests", "Requests.", ["route", "method", "status"], registry=REGISTRY)
_REQUEST_SECONDS = Histogram(
    "quoteline_request_seconds", "Time to serve a request.", ["route"], registry=REGISTRY, buckets=_SECONDS
)
_REFUSED = Counter("quoteline_refused", "Requests refused before any work.", ["reason"], registry=REGISTRY)
_CHANGED = Counter("quoteline_articles_changed", "What became of articles.", ["kind"], registry=REGISTRY)
IN_FLIGHT = Gauge("quoteline_in_flight", "Requests at work.", registry=REGISTRY, multiprocess_mode="livesum")
CHANGING = Gauge(
    "quoteline_changing", "Changes at work, or waiting for their turn.", registry=REGISTRY, multiprocess_mode="livesum"
)


def observe_answer(answer: Answer) -> None:
    """Count an answer by its verdict, time its stages, and note both on the span of its request."""
    _ASKS.labels(answer.verdict).inc()
    if "remembered" in answer.timings_ms:
        _REMEMBERED.inc()
    for stage, ms in answer.timings_ms.items():
        _ASK_SECONDS.labels(stage).observe(ms / 1000)
    trace_answer(answer)


def observe_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count a request that is done; `route` is a template, never a path."""
    _REQUESTS.labels(route, method, str(status)).inc()
    _REQUEST_SECONDS.labels(route).observe(seconds)


def count_change(kind: str, n: int = 1) -> None:
    """Count what became of `n` articles: added, replaced, unchanged, refused or deleted."""
    _CHANGED.labels(kind).inc(n)


def count_refusal(reason: str) -> None:
    """Count a request that was refused before any work: overload, connections, too_large, slow, address, rate, key."""
    _REFUSED.labels(reason).inc()


def render_metrics(corpus: Corpus | None) -> bytes:
    """Return all metrics, those of the corpus as they are now; without these while there is none."""
    folder = os.environ.get(FOLDER)
    registry = REGISTRY
    if folder:
        _forget_ended(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    return generate_latest(registry) + (generate_latest(_CorpusGauges(corpus)) if corpus else b"")


class _CorpusGauges(CollectorRegistry):
    """What a corpus holds, counted when it is asked for; the same from whichever process."""

    def __init__(self, corpus: Corpus) -> None:
        super().__init__()
        self._corpus = corpus

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            articles, sentences, passages = self._corpus.store.counts()
            generation = self._corpus.snapshot.generation
        except QuotelineError as error:
            # The other metrics are wanted all the more when the corpus is in trouble.
            logging.getLogger("quoteline").warning("the corpus cannot be counted: %s", error)
            return
        yield GaugeMetricFamily("quoteline_corpus_articles", "Articles in the corpus.", value=articles)
        yield GaugeMetricFamily("quoteline_corpus_sentences", "Sentences in the corpus.", value=sentences)
        yield GaugeMetricFamily("quoteline_corpus_passages", "Passages in the corpus.", value=passages)
        yield GaugeMetricFamily("quoteline_corpus_generation", "Generation that is searched.", value=generation)


def _forget_ended(folder: Path) -> None:
    """Drop the gauges of processes that have ended, however they did; their counters count on."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = re.search(r"_(\d+)\.db$", file.name)
        if pid and not _is_alive(int(pid[1])):
            mark_process_dead(int(pid[1]), path=str(folder))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
