"""Streams answers as chat frontends do: `python -m bench.streams --clients 50`.

A server is started on the seeds, and three things are looked at:

first byte   a question asked with `POST /ask`, and the same question streamed from `POST /v1/chat/completions`, in
             turns: how much later than the whole answer comes the first byte, and the first of its words?
many         so many clients stream at once, each again and again: does anyone wait much longer than the others?
gone         as many ask and go away, at once or after the first byte: how soon is nothing at work any more?

The exit code is 1 where a target is missed.
"""

import argparse
import http.client
import itertools
import json
import re
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.servers import Ours, ServerError, serving
from bench.serving import BROKEN, Connection
from bench.tables import render_markdown
from index.errors import QuotelineError
from service.settings import Settings

SEEDS = Path(__file__).resolve().parent.parent / "seeds"
CHAT = "/v1/chat/completions"
QUESTIONS = (
    "Did Iran deny sending drones?",
    "Who is Ukraine's foreign minister?",
    "How many Russian drones has Ukraine shot down?",
    "What did Jake Sullivan say?",
    "Why did people lose electricity?",
    "What is the capital of France?",
)
# In milliseconds: how much later than the whole answer to `POST /ask` the first of the streamed words may come.
TARGET = 30.0
# Whoever waits longest may wait so many times as long as those in the middle.
STARVED = 3.0
# After so many seconds nothing that a client left behind may be at work.
FREE_WITHIN = 5.0
# Long enough for fifty answers one after another on a busy machine.
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Streamed:
    """One answer as it came, in milliseconds from the moment the question was sent.

    byte: the first byte of the body. word: the first piece of the answer's text. done: the end. pieces: of text.
    """

    byte: float
    word: float
    done: float
    pieces: int


@dataclass(frozen=True, slots=True)
class Crowd:
    """What clients saw that streamed at once. errors: what went wrong, as text."""

    streamed: tuple[Streamed, ...]
    errors: tuple[str, ...]
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the three measurements as a command; return 1 where a target was missed. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="bench.streams", description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=50, metavar="N", help="how many stream at once")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="questions that each of them asks")
    parser.add_argument("--pairs", type=int, default=60, metavar="N", help="questions that are asked both ways")
    options = parser.parse_args(arguments)
    # By itself SIGTERM would leave the server running and the temporary folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="quoteline-streams-") as folder:
        system = Ours(SEEDS, Path(folder) / "data", Settings.model_validate({}).models_folder)
        system.index()
        with serving(system, QUESTIONS[0], Path(folder) / "server.log") as server:
            asked, alone = ask_both_ways(server.port, options.pairs)
            crowd = stream_at_once(server.port, options.clients, options.rounds)
            at_once = leave(server.port, options.clients, after_first_byte=False)
            later = leave(server.port, options.clients, after_first_byte=True)
    late = [one.word - whole for whole, one in zip(asked, alone, strict=True)]
    answering = crowd.seconds / options.rounds
    tables = [
        render_markdown(("one client", "p50, ms", "p95, ms"), _rows_alone(asked, alone, late)),
        render_markdown((f"{options.clients} clients at once", ""), _rows_crowd(crowd)),
        render_markdown(("clients go away", "nothing at work after, ms"), _rows_gone(at_once, later, answering)),
    ]
    print("\n\n".join(tables))
    for error in crowd.errors[:5]:
        print(error, file=sys.stderr)
    missed = [
        *(["the first words come too late"] if statistics.median(late) > TARGET else []),
        *(["a client was starved"] if crowd.errors or _slowest(crowd) > STARVED else []),
        *(["work goes on for clients that went away"] if max(at_once, later) > 1000 * FREE_WITHIN else []),
    ]
    for what in missed:
        print(f"bench.streams: {what}", file=sys.stderr)
    return int(bool(missed))


def _rows_alone(asked: Sequence[float], alone: Sequence[Streamed], late: Sequence[float]) -> list[list[str]]:
    columns = {
        "whole answer to POST /ask": asked,
        "first byte of the stream": [one.byte for one in alone],
        "first words of the stream": [one.word for one in alone],
        "end of the stream": [one.done for one in alone],
        f"first words after the same whole answer (target: {TARGET:.0f})": late,
    }
    return [[name, *(f"{np.percentile(column, share):.1f}" for share in (50, 95))] for name, column in columns.items()]


def _rows_crowd(crowd: Crowd) -> list[list[str]]:
    done = [one.done for one in crowd.streamed]
    words = [one.word for one in crowd.streamed]
    return [
        ["answers", f"{len(done):,}"],
        ["errors", f"{len(crowd.errors):,}"],
        ["answers per second", f"{len(done) / crowd.seconds:.1f}"],
        ["first words, median, ms", f"{np.median(words):.0f}" if words else "–"],
        ["whole answer, median, ms", f"{np.median(done):.0f}" if done else "–"],
        ["whole answer, slowest, ms", f"{max(done):.0f}" if done else "–"],
        [f"slowest as a multiple of the median (target: {STARVED:.0f})", f"{_slowest(crowd):.2f}"],
        ["pieces of text in an answer, fewest", f"{min((one.pieces for one in crowd.streamed), default=0)}"],
    ]


def _rows_gone(at_once: float, later: float, answering: float) -> list[list[str]]:
    return [
        ["as soon as they have asked", f"{at_once:.0f}"],
        ["after the first byte", f"{later:.0f}"],
        ["not at all: all are answered after", f"{1000 * answering:.0f}"],
    ]


def _slowest(crowd: Crowd) -> float:
    """Return the longest wait as a multiple of the median; infinite where nobody was answered."""
    done = [one.done for one in crowd.streamed]
    return max(done) / statistics.median(done) if done else float("inf")


# Measuring


def ask_both_ways(port: int, pairs: int) -> tuple[list[float], list[Streamed]]:
    """Return, for so many questions, how long `POST /ask` took, in milliseconds, and the same answer streamed."""
    asked, streamed = [], []
    with Connection(port, timeout=_PATIENCE) as connection:
        # The first few are slower than all others, whichever way they are asked.
        for question in QUESTIONS:
            _stream(connection, question)
        for question in itertools.islice(itertools.cycle(QUESTIONS), pairs):
            started = time.perf_counter()
            reply = connection.ask(question)
            if reply.status != http.client.OK:
                raise ServerError(f"POST /ask: status {reply.status}: {reply.text[:500]}")
            asked.append(1000 * (time.perf_counter() - started))
            streamed.append(_stream(connection, question))
    return asked, streamed


def stream_at_once(port: int, clients: int, rounds: int) -> Crowd:
    """Let so many clients stream so many answers each, all beginning at the same moment."""
    streamed: list[Streamed] = []
    errors: list[str] = []
    start = threading.Barrier(clients + 1)

    def ask(number: int) -> None:
        with Connection(port, timeout=_PATIENCE) as connection:
            start.wait()
            for turn in range(rounds):
                try:
                    streamed.append(_stream(connection, QUESTIONS[(number + turn) % len(QUESTIONS)]))
                except (*BROKEN, QuotelineError) as error:
                    errors.append(f"client {number}: {error!r}")
                    return

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    start.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return Crowd(tuple(streamed), tuple(errors), time.perf_counter() - started)


def leave(port: int, clients: int, *, after_first_byte: bool) -> float:
    """Let so many clients ask at once and go away; return when nothing was at work any more, in milliseconds.

    Raises ServerError where that does not happen, or where nobody is answered afterwards.
    """

    def ask_and_leave(number: int) -> None:
        with Connection(port, timeout=_PATIENCE) as connection:
            connection.send("POST", CHAT, _body(QUESTIONS[number % len(QUESTIONS)]))
            if after_first_byte:
                next(connection.lines(), None)

    _at_once(ask_and_leave, clients)
    left = time.perf_counter()
    while (at_work := in_flight(port)) > 0:
        if time.perf_counter() - left > _PATIENCE:
            raise ServerError(f"{at_work:.0f} requests are still at work {_PATIENCE:.0f} s after their clients left")
        time.sleep(0.005)
    free = 1000 * (time.perf_counter() - left)
    with Connection(port, timeout=_PATIENCE) as connection:
        _stream(connection, QUESTIONS[0])
    return free


def _at_once(work: Callable[[int], None], clients: int) -> None:
    failed: list[BaseException] = []

    def try_work(number: int) -> None:
        try:
            work(number)
        except (*BROKEN, QuotelineError) as error:
            failed.append(error)

    threads = [threading.Thread(target=try_work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise ServerError(f"{len(failed)} of {clients} clients could not ask: {failed[0]!r}")


def in_flight(port: int) -> float:
    """Return how many requests are at work, as /metrics says."""
    with Connection(port) as connection:
        text = connection.call("GET", "/metrics").text
    found = re.search(r"^quoteline_in_flight (\S+)$", text, re.MULTILINE)
    if found is None:
        raise ServerError(f"/metrics does not tell how many requests are at work:\n{text[:500]}")
    return float(found[1])


def _stream(connection: Connection, question: str) -> Streamed:
    """Stream the answer to a question. Raises ServerError where it is none, or is not ended as it should be."""
    started = time.perf_counter()
    connection.send("POST", CHAT, _body(question))
    lines = connection.lines()
    came: list[tuple[float, str]] = []
    first, last = 0.0, ""
    for line in lines:
        now = 1000 * (time.perf_counter() - started)
        first = first or now
        if line.startswith(b"data:"):
            last = line.removeprefix(b"data:").strip().decode()
            came += [(now, piece) for piece in _pieces(last)]
    done = 1000 * (time.perf_counter() - started)
    if last != "[DONE]" or not came:
        raise ServerError(f"{CHAT}: no answer to {question!r}, or one that breaks off: it ends with {last[:300]!r}")
    return Streamed(first, came[0][0], done, len(came))


def _pieces(data: str) -> Iterator[str]:
    """Yield the pieces of text that one event brings. Raises ServerError where it tells of an error."""
    if data == "[DONE]":
        return
    chunk: dict[str, Any] = json.loads(data)
    if "error" in chunk:
        raise ServerError(f"{CHAT}: {chunk['error']}")
    for choice in chunk["choices"]:
        content = choice["delta"].get("content")
        if content:
            yield content


def _body(question: str) -> bytes:
    return json.dumps(
        {"model": "quoteline", "stream": True, "messages": [{"role": "user", "content": question}]}
    ).encode()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QuotelineError as error:
        sys.exit(f"bench.streams: {error}")
