"""Peers as the bench sees them: an environment each, a process each, figures."""

import json
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.scale.generate import CHECKOUT
from index.errors import QuotelineError

FOLDER = Path(__file__).resolve().parent
# Quoteline itself, without HTTP, in the environment that the bench runs in.
OURS = "quoteline"
PEERS = ("flat", "haystack", "haystack_faiss", "llamaindex", "txtai", "verbatim")


class PeerError(QuotelineError):
    """A peer that could not be installed, started or asked; the message says which, and what it said."""


def environment_of(name: str, folder: Path) -> Path:
    """Return the Python of a peer's environment, installed from its pinned list where it is not yet.

    Raises PeerError where pip fails.
    """
    if name == OURS:
        return Path(sys.executable)
    # Two ways to set up one system share its environment.
    system = name.partition("_")[0]
    home, wanted = (folder / system).resolve(), (FOLDER / f"{system}.txt").read_text()
    python, installed = home / "bin" / "python", home / "installed.txt"
    if installed.exists() and installed.read_text() == wanted:
        return python
    print(f"installing {name} …", file=sys.stderr)
    venv.create(home, with_pip=True, clear=True)
    # torch alone and first: what else asks for it would bring the packages for GPUs, several GB.
    packages = wanted.split()
    first = [package for package in packages if package.startswith("torch==")]
    for requirements in filter(None, (first, packages)):
        command = [str(python), "-m", "pip", "install", "--quiet", "--progress-bar", "off", *requirements]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PeerError(f"{name} could not be installed:\n{done.stderr[-1500:]}")
    installed.write_text(wanted)
    return python


@dataclass(frozen=True, slots=True)
class Asked:
    """What a peer answered. milliseconds: of each ask. ids: of the best passages, for each question that was asked."""

    seconds: float
    milliseconds: tuple[float, ...]
    ids: tuple[tuple[str, ...], ...]


class PeerProcess:
    """A peer's process, started, that can be added to and asked. Ends when it is left, whatever happens."""

    def __init__(self, name: str, python: Path, log: Path, *, environment: Mapping[str, str]) -> None:
        self.name = name
        self._log = log
        with log.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [str(python), "-m", f"bench.scale.peers.{name}"],
                cwd=CHECKOUT,
                # No model hub is to be asked about a folder on this disk.
                env={**environment, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError, PeerError):
            self._do("end")
        with suppress(OSError, subprocess.TimeoutExpired):
            self._process.communicate(timeout=10)
        self._process.kill()
        for pipe in filter(None, (self._process.stdin, self._process.stdout)):
            with suppress(OSError):
                pipe.close()
        self._process.wait()

    @property
    def exit_code(self) -> int | None:
        """What the process ended with; None while it runs."""
        return self._process.poll()

    def start(self, model: str, *, half: bool, size: int) -> tuple[str, dict[str, str]]:
        """Return how it is set, in words, and the versions of its packages. Raises PeerError, as all do."""
        told = self._do("start", model=model, half=half, size=size)
        return told["notes"], told["versions"]

    def add(self, passages: Path, vectors: Path | None) -> float:
        """Add passages; return the seconds that it took."""
        told = self._do("add", passages=str(passages), vectors=str(vectors) if vectors else None)
        return float(told["seconds"])

    def ask(self, questions: Sequence[str], *, k: int, clients: int, seconds: float) -> Asked:
        """Ask each question once, or as many as go into the time."""
        told = self._do("ask", questions=list(questions), k=k, clients=clients, seconds=seconds)
        return Asked(told["seconds"], tuple(told["milliseconds"]), tuple(map(tuple, told["ids"])))

    def resident(self) -> int:
        """Return the bytes of memory that it holds."""
        return int(self._do("memory")["resident"])

    def _do(self, what: str, **job: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        if self._process.stdin is None or self._process.stdout is None:
            raise PeerError(f"{self.name} has no pipe")
        try:
            self._process.stdin.write(json.dumps({"do": what, **job}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        told: dict[str, Any] = json.loads(line) if line else {"error": f"it ended:\n{self._tail()}"}
        if "error" in told:
            raise PeerError(f"{self.name} cannot {what}: {told['error']}")
        return told

    def _tail(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-1500:]
