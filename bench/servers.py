"""The two servers in processes of their own, and the leanest client that can ask them."""

import http.client
import json
import os
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol
from urllib.parse import quote_plus

from index.encoding import DEFAULT_MODEL
from index.errors import QuotelineError

TOP_K = 5
# Encoding a large corpus in torch takes its time; a server that is merely stuck should not take all day.
PATIENCE = 3600.0
_HOST = "127.0.0.1"
_CHECKOUT = Path(__file__).resolve().parent.parent


class ServerError(QuotelineError):
    """A server that did not start, or did not answer; the message holds the end of its log."""


class System(Protocol):
    """A system that can be asked over HTTP."""

    def index(self) -> None:
        """Index the corpus, if that is a command of its own."""
        ...

    def serve_command(self, port: int) -> Sequence[str]:
        """Return the command that serves on `port`, for a corpus that is new or was indexed before."""
        ...

    @property
    def environment(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Ours:
    """Quoteline, by its command line. models: the folder of prepared encoders."""

    corpus: Path
    data: Path
    models: Path

    def index(self) -> None:
        command = [_quoteline(), "add", str(self.corpus), "--data", str(self.data)]
        added = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        # It ends with 1, too, where it left out a record that is no article, and then says how many it added.
        if added.returncode != 0 and "\nadded " not in f"\n{added.stderr}":
            raise ServerError(f"`quoteline add` failed:\n{added.stdout[-1000:]}{added.stderr[-1000:]}")

    def serve_command(self, port: int) -> Sequence[str]:
        return [_quoteline(), "serve", "--data", str(self.data), "--host", _HOST, "--port", str(port)]

    @property
    def environment(self) -> Mapping[str, str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith("QUOTELINE_")}
        return {**others, "QUOTELINE_MODELS": str(self.models.resolve()), "QUOTELINE_MODEL": DEFAULT_MODEL}


@dataclass(frozen=True, slots=True)
class Theirs:
    """The baseline, which indexes when it is first started. folder: keeps its index."""

    corpus: Path
    folder: Path
    environment: Mapping[str, str] = field(default_factory=lambda: {**os.environ, "PYTHONPATH": str(_CHECKOUT)})

    def index(self) -> None:
        pass

    def serve_command(self, port: int) -> Sequence[str]:
        module = [sys.executable, "-m", "bench.baseline"]
        return [*module, "--corpus", str(self.corpus), "--index", str(self.folder), "--port", str(port)]


def _quoteline() -> str:
    return str(Path(sysconfig.get_path("scripts")) / "quoteline")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers. seconds: from the start of its process to its first answer."""

    port: int
    pid: int
    seconds: float

    def resident_mb(self) -> float | None:
        """Return the resident memory of the process, in 10^6 bytes; None where the system does not tell (no /proc)."""
        status = Path(f"/proc/{self.pid}/status")
        if not status.exists():
            return None
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024 / 1e6


@contextmanager
def serving(system: System, question: str, log: Path) -> Iterator[Server]:
    """Start `system`, wait until it answers `question`, and end its process at the end, whatever happens."""
    port = _free_port()
    started = time.perf_counter()
    with log.open("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            system.serve_command(port), env=system.environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _await_answer(process, port, question, log)
            yield Server(port, process.pid, time.perf_counter() - started)
        finally:
            _end(process)


def _await_answer(process: "subprocess.Popen[bytes]", port: int, question: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(f"the server ended with exit code {process.returncode}:\n{_tail(log)}")
        with Client(port) as client:
            try:
                client.ask(question)
            except (OSError, http.client.HTTPException, ServerError):
                time.sleep(0.02)
            else:
                return
    raise ServerError(f"the server did not answer within {PATIENCE:.0f} seconds:\n{_tail(log)}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]


def _free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind((_HOST, 0))
        return int(free.getsockname()[1])


class Client:
    """One connection that is kept open. http.client, because a heavier client would be the larger part of a request."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(_HOST, port, timeout=60)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def ask(self, question: str) -> None:
        """Ask by POST, as a program does. Raises ServerError where the answer is an error."""
        body = json.dumps({"question": question, "top_k": TOP_K}).encode()
        self._request("POST", "/ask", body, {"Content-Type": "application/json", "Accept": "application/json"})

    def ask_as_curl(self, question: str) -> None:
        """Ask by GET, as curl does: a connection of its own, and the answer as it comes."""
        self._request("GET", f"/ask?q={quote_plus(question)}", None, {"User-Agent": "curl/8.5.0", "Accept": "*/*"})
        self._connection.close()

    def _request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> None:
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise ServerError(f"{method} /ask: status {response.status}: {content[:500].decode(errors='replace')}")
