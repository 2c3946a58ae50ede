import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scale.load import Load, ask, percentile


@contextmanager
def answering(failing: str = "") -> Iterator[tuple[int, Counter[str]]]:
    """A server that answers all questions but one; what it was asked is counted."""
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["question"]
            asked[question] += 1
            content = json.dumps({"question": question, "timings_ms": {"search": float(len(asked))}}).encode()
            self.send_response(500 if question == failing else 200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield int(server.server_address[1]), asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_question_is_asked_once() -> None:
    questions = [f"question {number}?" for number in range(30)]
    with answering() as (port, asked):
        load = ask(port, questions, clients=4, seconds=30)
    assert asked == Counter(questions)
    assert (len(load.milliseconds), load.errors, load.clients) == (30, 0, 4)
    assert load.per_second == pytest.approx(30 / load.seconds)
    assert 1 <= load.stages["search"] <= 30


def test_an_answer_that_is_an_error_is_no_answer() -> None:
    with answering(failing="b?") as (port, _):
        load = ask(port, ["a?", "b?", "c?"], clients=1, seconds=30)
    assert (len(load.milliseconds), load.errors) == (2, 1)


def test_asking_ends_when_the_time_is_over() -> None:
    with answering() as (port, asked):
        load = ask(port, [f"question {number}?" for number in range(50_000)], clients=2, seconds=0.3)
    assert 0 < len(load.milliseconds) == asked.total() < 50_000


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.integers(1, 100))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], share: int) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * share / 100
    assert sum(value < found for value in values) < len(values) * share / 100


def test_a_percentile_of_nothing_is_no_number() -> None:
    assert np.isnan(Load(1, (), 0.0, 3, 0.0).percentile(99))
    assert Load(1, (), 0.0, 3, 0.0).per_second == 0
