"""What a peer's process is told on stdin, and answers on stdout, one JSON object per line. Needs nothing but Python.

    {"do": "start", "model": folder, "half": bool, "size": passages at most}   -> {"name", "versions", "notes"}
    {"do": "add", "passages": file of JSON Lines {"id", "text"}, "vectors": .npy file or null} -> {"seconds"}
    {"do": "ask", "questions": [...], "k": 10, "clients": 1, "seconds": 20}    -> {"seconds", "milliseconds", "ids"}
    {"do": "memory"}                                                          -> {"resident"}
    {"do": "end"}                                                             -> {}

What fails is answered by {"error": text}. Times are taken inside the process, so that the pipe costs a peer nothing.
"""

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TextIO

# What the kernel says of memory is counted in these.
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Start:
    """What a peer is made for. model: a sentence-transformers folder. half: whether bfloat16 is fast here."""

    model: str
    half: bool
    size: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage. text: its article's title, a line break, its own text; then the title is not told again."""

    id: str
    text: str
    title: str = ""


class Peer(Protocol):
    """A system. notes: how it is set, in words. packages: whose versions are told."""

    @property
    def notes(self) -> str: ...
    @property
    def packages(self) -> Sequence[str]: ...

    def add(self, passages: Sequence[Passage], vectors: Any) -> None:  # noqa: ANN401 - numpy is not everywhere
        """Add passages; vectors: float32, shape (passages, dim), of unit length, or None where they are to be made."""
        ...

    def ask(self, question: str, k: int) -> list[str]:
        """Return the ids of the best k passages, best first."""
        ...


def speak(make: Callable[[Start], Peer]) -> None:
    """Serve one peer until it is told to end. What the peer's libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    answer_all(make, sys.stdin, answers)


def answer_all(make: Callable[[Start], Peer], jobs: TextIO, answers: TextIO) -> None:
    """Read jobs until one says that it is the end."""
    peer: Peer | None = None
    for line in jobs:
        job = json.loads(line)
        try:
            if job["do"] == "start":
                peer = make(Start(job["model"], job["half"], job["size"]))
                versions = {package: version(package) for package in peer.packages}
                result: dict[str, Any] = {"notes": peer.notes, "versions": versions}
            elif job["do"] == "memory":
                result = {"resident": int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE}
            elif job["do"] == "end":
                result = {}
            elif peer is None:
                result = {"error": "not started"}
            else:
                result = _add(peer, job) if job["do"] == "add" else _ask(peer, job)
        except Exception as error:
            # One peer that fails must not end a run of hours; the bench says why it has no figures.
            traceback.print_exc()
            result = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(result) + "\n")
        answers.flush()
        if job["do"] == "end":
            return


def _add(peer: Peer, job: dict[str, Any]) -> dict[str, Any]:
    with Path(job["passages"]).open(encoding="utf-8") as file:
        passages = [Passage(**json.loads(line)) for line in file]
    vectors = None
    if job["vectors"]:
        import numpy as np

        vectors = np.load(job["vectors"])
    started = time.perf_counter()
    peer.add(passages, vectors)
    return {"seconds": time.perf_counter() - started}


def _ask(peer: Peer, job: dict[str, Any]) -> dict[str, Any]:
    """Ask each question once, from so many threads, until the time is over; ids of what was asked, in order."""
    questions: list[str] = job["questions"]
    found: list[tuple[float, list[str]] | None] = [None] * len(questions)
    failed: list[BaseException] = []
    numbers = iter(range(len(questions)))
    handing_out = threading.Lock()
    started = time.perf_counter()

    def take() -> Iterator[int]:
        while time.perf_counter() - started < job["seconds"]:
            with handing_out:
                number = next(numbers, None)
            if number is None:
                return
            yield number

    def work() -> None:
        try:
            for number in take():
                asked = time.perf_counter()
                ids = peer.ask(questions[number], job["k"])
                found[number] = (1000 * (time.perf_counter() - asked), ids)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(job["clients"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if failed:
        raise failed[0]
    done = [one for one in found if one is not None]
    return {"seconds": seconds, "milliseconds": [one[0] for one in done], "ids": [one[1] for one in done]}
