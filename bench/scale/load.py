"""A lean load generator in a process of its own: `python -m bench.scale.load`, a job on stdin, a result on stdout.

A closed loop: each client sends its next request when it has its answer. One thread waits for all of them, so that it
takes as little as possible of the cores that the server runs on, and answers are not read before the end.
"""

import json
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HOST = "127.0.0.1"
_CHECKOUT = Path(__file__).resolve().parent.parent.parent
_GRACE = 120.0


@dataclass(frozen=True, slots=True)
class Load:
    """What clients saw. milliseconds: of each answer. cores: that the load generator itself took.

    stages: the median of each of the server's own timings, in milliseconds, where answers tell them.
    """

    clients: int
    milliseconds: tuple[float, ...]
    seconds: float
    errors: int
    cores: float
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return len(self.milliseconds) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Return how long at most that share of the answers, in percent, took."""
        return percentile(self.milliseconds, share)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` percent of the values do not exceed (nearest rank); NaN of none.

    With fewer than 100 values the 99th percentile is the largest one.
    """
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 100)
    return ordered[max(int(rank), 1) - 1] if ordered else float("nan")


def ask(
    port: int, questions: Sequence[str], clients: int, seconds: float, *, top_k: int = 5, compare: bool = True
) -> Load:
    """Ask all questions, each once, from so many clients, or as many as go into `seconds`."""
    bodies = [json.dumps({"question": question, "top_k": top_k, "compare": compare}) for question in questions]
    return _run({"port": port, "method": "POST", "path": "/ask", "bodies": bodies}, clients, seconds)


def ceiling(port: int, clients: int, seconds: float) -> Load:
    """Return what this generator reaches on a route that does nothing."""
    return _run({"port": port, "method": "GET", "path": "/healthz", "bodies": [""] * 100_000}, clients, seconds)


def _run(job: dict[str, Any], clients: int, seconds: float) -> Load:
    done = subprocess.run(
        [sys.executable, "-m", "bench.scale.load"],
        input=json.dumps({**job, "clients": clients, "seconds": seconds}),
        capture_output=True,
        text=True,
        check=True,
        cwd=_CHECKOUT,
        timeout=seconds + _GRACE,
    )
    result = json.loads(done.stdout)
    return Load(clients=clients, **{**result, "milliseconds": tuple(result["milliseconds"])})


# In the child


class _Client:
    """One connection that is kept open, with one request on its way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((_HOST, port), timeout=_GRACE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._wanted = 0
        self._started = 0.0

    def send(self, request: bytes) -> None:
        """Send a request, which is small enough to be sent at once."""
        self._received.clear()
        self._wanted = 0
        self._started = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> tuple[float, bytes] | None:
        """Read what there is; return milliseconds and the answer once it is whole. Raises ConnectionError."""
        more = self.socket.recv(1 << 18)
        if not more:
            raise ConnectionError("the server closed the connection")
        self._received += more
        if not self._wanted:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return None
            length = self._received[:end].lower().partition(b"content-length:")[2]
            self._wanted = end + 4 + int(length.partition(b"\r\n")[0])
        if len(self._received) < self._wanted:
            return None
        return 1000 * (time.perf_counter() - self._started), bytes(self._received)


def _requests(method: str, path: str, bodies: Sequence[str]) -> Iterator[bytes]:
    for body in bodies:
        content = body.encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {_HOST}\r\nAccept: application/json\r\n"
        typed = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n" if content else ""
        yield f"{head}{typed}\r\n".encode() + content


def _loop(port: int, requests: Iterator[bytes], clients: int, seconds: float) -> tuple[list[float], list[bytes], int]:
    """Return milliseconds, answers, and how many requests met a broken connection."""
    milliseconds: list[float] = []
    answers: list[bytes] = []
    broken = 0
    deadline = time.perf_counter() + seconds
    with selectors.DefaultSelector() as waiting:

        def go_on(client: _Client) -> None:
            request = next(requests, None) if time.perf_counter() < deadline else None
            if request is None:
                waiting.unregister(client.socket)
                client.socket.close()
            else:
                client.send(request)

        def connect() -> None:
            client = _Client(port)
            waiting.register(client.socket, selectors.EVENT_READ, client)
            go_on(client)

        for _ in range(clients):
            connect()
        while waiting.get_map():
            for key, _ in waiting.select():
                client: _Client = key.data
                try:
                    done = client.receive()
                except OSError:
                    broken += 1
                    waiting.unregister(client.socket)
                    client.socket.close()
                    connect()
                    continue
                if done:
                    milliseconds.append(done[0])
                    answers.append(done[1])
                    go_on(client)
    return milliseconds, answers, broken


def _stages(answers: Sequence[bytes]) -> dict[str, float]:
    told: dict[str, list[float]] = {}
    for answer in answers:
        for stage, value in json.loads(answer.partition(b"\r\n\r\n")[2]).get("timings_ms", {}).items():
            told.setdefault(stage, []).append(value)
    return {stage: statistics.median(values) for stage, values in told.items()}


def main() -> None:
    """Do one job and print what came of it."""
    job = json.load(sys.stdin)
    requests = list(_requests(job["method"], job["path"], job["bodies"]))
    started, busy = time.perf_counter(), time.process_time()
    milliseconds, answers, broken = _loop(job["port"], iter(requests), job["clients"], job["seconds"])
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    good = [answer.startswith(b"HTTP/1.1 200") for answer in answers]
    result = {
        "milliseconds": [one for one, fine in zip(milliseconds, good, strict=True) if fine],
        "seconds": seconds,
        "errors": broken + good.count(False),
        "cores": busy / seconds,
        "stages": _stages([answer for answer, fine in zip(answers, good, strict=True) if fine]),
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
