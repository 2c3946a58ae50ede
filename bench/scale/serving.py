"""`quoteline serve` on a corpus, in processes of its own: how it starts, what it takes, how fast it answers."""

import os
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from bench.scale import load
from bench.scale.generate import Questions
from bench.scale.load import Load
from bench.servers import Client, ServerError
from index.encoding import DEFAULT_MODEL

CLIENTS = (1, 4, 16)
# A start on a corpus whose indexes have to be made anew takes its time.
_PATIENCE = 1800.0
_LOOK = 0.005
_WARM_UP = 40
# Distinct questions that are asked again and again where answers may be kept, and how often.
_KEPT, _AGAIN = 20, 25
_PLAIN = 200


@dataclass(frozen=True, slots=True)
class Setting:
    """How a server is set: with or without the reader, and in how many processes."""

    reader: bool
    workers: int

    def __str__(self) -> str:
        return f"{'with' if self.reader else 'without'} the reader, {self.workers} worker{'s'[: self.workers - 1]}"


SETTINGS = (Setting(False, 1), Setting(False, 2), Setting(True, 1), Setting(True, 2))


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a server's processes together. own: what is shared with no other process and would be freed.

    resident counts what processes share once for each of them, proportional once for all of them.
    """

    resident: int
    proportional: int
    own: int


@dataclass(frozen=True, slots=True)
class Served:
    """One server's figures. cold, warm: seconds from the start of the process to the first answer.

    evicted: whether the corpus' files and the models were out of the page cache before the cold start. loads: one for
    each of CLIENTS. repeated: questions that were asked before. plain: without comparing. ceiling: of the load
    generator, on a route that does nothing.
    """

    setting: Setting
    cold: float
    warm: float
    evicted: bool
    loads: tuple[Load, ...]
    repeated: Load
    plain: Load
    ceiling: Load
    memory: Memory | None

    def load(self, clients: int) -> Load:
        """Return what that many clients saw."""
        return self.loads[CLIENTS.index(clients)]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. seconds: to its first answer."""

    port: int
    pid: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Asks:
    """How much is asked: at most so many questions, and for at most so many seconds, at each number of clients."""

    most: int = 1000
    seconds: float = 15.0


def measure(data: Path, models: Path, setting: Setting, questions: Questions, asks: Asks, log: Path) -> Served:
    """Start a server twice, on files that are not in memory and on files that are, and ask the second one."""
    [first] = questions.take(1)
    evicted = all([evict(data), evict(models)])
    with serving(data, models, setting, first, log) as running:
        cold = running.seconds
    with serving(data, models, setting, first, log) as running:
        load.ask(running.port, questions.take(_WARM_UP), 4, asks.seconds)
        loads = tuple(load.ask(running.port, questions.take(asks.most), clients, asks.seconds) for clients in CLIENTS)
        plain = load.ask(running.port, questions.take(min(_PLAIN, asks.most)), 1, asks.seconds, compare=False)
        kept = list(questions.take(_KEPT))
        load.ask(running.port, kept * setting.workers * 2, 1, asks.seconds)
        repeated = load.ask(running.port, kept * _AGAIN, 1, asks.seconds)
        return Served(
            setting,
            cold=cold,
            warm=running.seconds,
            evicted=evicted,
            loads=loads,
            repeated=repeated,
            plain=plain,
            ceiling=load.ceiling(running.port, 16, 2.0),
            memory=memory_of(family(running.pid)),
        )


def environment(models: Path, setting: Setting) -> Mapping[str, str]:
    """Return the environment of a server that nothing of the caller's own settings reaches."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("QUOTELINE_")}
    return {
        **others,
        "QUOTELINE_MODELS": str(models.resolve()),
        "QUOTELINE_MODEL": DEFAULT_MODEL,
        "QUOTELINE_READER": "quoteline" if setting.reader else "none",
        "QUOTELINE_WORKERS": str(setting.workers),
    }


@contextmanager
def serving(data: Path, models: Path, setting: Setting, question: str, log: Path) -> Iterator[Running]:
    """Start a server, wait until it answers, and end all its processes at the end, whatever happens."""
    port = _free_port()
    command = [str(Path(sysconfig.get_path("scripts")) / "quoteline"), "serve", "--data", str(data)]
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=environment(models, setting),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_answer(process, port, question, log)
        yield Running(port, process.pid, time.perf_counter() - started)
    finally:
        _end(process)


def _await_answer(process: "subprocess.Popen[bytes]", port: int, question: str, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(f"the server ended with exit code {process.returncode}:\n{_tail(log)}")
        with Client(port) as client, suppress(OSError, HTTPException, ServerError):
            client.ask(question)
            return
        time.sleep(_LOOK)
    raise ServerError(f"the server did not answer within {_PATIENCE:.0f} seconds:\n{_tail(log)}")


def _free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def evict(folder: Path) -> bool:
    """Ask the system to forget what it keeps in memory of all files below `folder`; return whether it can be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                # What is not written yet would stay.
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
    return True


def family(pid: int) -> list[int]:
    """Return a process with all that it started, and those started."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            # After the name, which may hold anything: state, parent.
            _, parent, *_ = stat.read_text().rpartition(")")[2].split()
            parents.setdefault(int(parent), []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def memory_of(pids: Sequence[int]) -> Memory | None:
    """Return what processes take together; None where the system does not tell."""
    totals = {"Rss": 0, "Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        except ProcessLookupError:
            # It ended meanwhile, or nobody has waited for it yet.
            continue
        except OSError:
            return None
        for line in lines:
            name, _, value = line.partition(":")
            if name in totals:
                totals[name] += int(value.split()[0]) * 1024
    return Memory(totals["Rss"], totals["Pss"], totals["Private_Clean"] + totals["Private_Dirty"])
