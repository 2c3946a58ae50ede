"""A server that can be killed, with all processes of its own, and connections that say what was read in full.

Serving      how to start one; a running one is a `Process`
Connection   one connection, kept open
main         in the child: `python -m bench.serving`, told everything by its environment
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bench.servers import ServerError
from index.encoding import DEFAULT_MODEL
from index.errors import QuotelineError
from index.testing import HashingEncoder
from service.app import create_app
from service.settings import Settings

EncoderName = Literal["hashing", "real"]
# What a connection has when the server dies under it, or cuts it off.
BROKEN = (OSError, http.client.HTTPException)
JSON, TEXT, LINES = "application/json", "text/plain; charset=utf-8", "application/x-ndjson"
# Says which of several processes answered.
PROCESS = "X-Process"

_HOST = "127.0.0.1"
_CHECKOUT = Path(__file__).resolve().parent.parent
_ENCODER, _CONTROL = "BENCH_ENCODER", "BENCH_CONTROL"
# By the first a process is told to compact; while it does, the file has the second name.
_WANTED, _COMPACTING = "compact", "compacting"
_LOOK = 0.01
# A server that is not ready after so many seconds never will be.
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Serving:
    """How to start a server. folder: of its data, its logs, and of what it is told. models: of prepared encoders."""

    folder: Path
    encoder: EncoderName = "hashing"
    workers: int = 1
    models: Path | None = None

    @property
    def data(self) -> Path:
        """The data folder of the server."""
        return self.folder / "data"

    @property
    def corpus(self) -> Path:
        """The folder of its corpus."""
        return self.data / "corpus"

    @property
    def database(self) -> Path:
        """The file that is the truth."""
        return self.corpus / "quoteline.db"

    def start(self) -> "Process":
        """Start a server on a free port, in a process group of its own; it is not ready yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._told(_COMPACTING).unlink(missing_ok=True)
        self._told(_WANTED).unlink(missing_ok=True)
        port = _free_port()
        log = self.folder / f"server-{port}.log"
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.serving"],
                env=self._environment(port),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Process(process, port, log, self.workers)

    def ask_to_compact(self) -> None:
        """Let the running server compact its corpus, now."""
        self._told(_WANTED).touch()

    def is_compacting(self) -> bool:
        """Whether the server is compacting, or was when it died."""
        return self._told(_COMPACTING).exists()

    def has_compacted(self) -> bool:
        """Whether the server did all that it was asked for."""
        return not self._told(_WANTED).exists() and not self.is_compacting()

    def _told(self, name: str) -> Path:
        return self.folder / name

    def _environment(self, port: int) -> Mapping[str, str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith("QUOTELINE_")}
        models = {"QUOTELINE_MODELS": str(self.models.resolve())} if self.models else {}
        return {
            **others,
            **models,
            "PYTHONPATH": str(_CHECKOUT),
            "QUOTELINE_MODEL": DEFAULT_MODEL,
            "QUOTELINE_DATA": str(self.data.resolve()),
            "QUOTELINE_PORT": str(port),
            "QUOTELINE_WORKERS": str(self.workers),
            _ENCODER: self.encoder,
            _CONTROL: str(self.folder.resolve()),
        }


class Process:
    """A server's process with all that it started."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path, workers: int) -> None:
        self.port = port
        self.log = log
        self._process = process
        self._workers = workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def wait_until_ready(self, *, patience: float = PATIENCE) -> Self:
        """Return once all its processes answer. Raises ServerError where they do not in time, and kills them."""
        try:
            self._wait_until_ready(patience)
        except BaseException:
            self.kill()
            raise
        return self

    def _wait_until_ready(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        ready: set[str] = set()
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerError(f"the server ended with exit code {self._process.returncode}:\n{self.tail()}")
            try:
                with Connection(self.port) as connection:
                    reply = connection.call("GET", "/readyz")
            except BROKEN:
                reply = None
            if reply is not None and reply.status == http.client.OK:
                ready.add(reply.process)
                if len(ready) == self._workers:
                    return
            else:
                time.sleep(0.01)
        raise ServerError(f"the server did not get ready:\n{self.tail()}")

    def kill(self) -> None:
        """End it and all that it started with SIGKILL, and wait until they are dead."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        while _is_alive(self._process.pid):
            time.sleep(0.005)

    def stop(self) -> int:
        """Ask it to end, and return its exit code. Raises TimeoutExpired where it does not."""
        self._process.terminate()
        return self._process.wait(60)

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]


def _free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind((_HOST, 0))
        return int(free.getsockname()[1])


def _is_alive(group: int) -> bool:
    """Whether a process of that group still runs; one that nobody has waited for yet does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which may hold anything: state, parent, group.
            state, _, its_group, *_ = stat.read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if int(its_group) == group and state not in "ZX":
            return True
    return False


@dataclass(frozen=True, slots=True)
class Cited:
    """A citation as it was handed out."""

    id: str
    article_id: str
    version: int
    start: int
    end: int
    quote: str

    @classmethod
    def of(cls, quotation: Mapping[str, Any]) -> "Cited":
        """Return it from the JSON of a quotation."""
        names = ("id", "article_id", "version", "start_char", "end_char", "quote")
        return cls(*(quotation[name] for name in names))


@dataclass(frozen=True, slots=True)
class Reply:
    """A response that was read to its end. process: the one that answered."""

    status: int
    body: bytes
    process: str

    def json(self) -> Any:  # noqa: ANN401 - whatever the server sent
        """Return what the body says."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body, as text."""
        return self.body.decode()

    def citations(self) -> list[Cited]:
        """Return all sentences that an answer shows, the nearest ones included."""
        answer = self.json()
        return [Cited.of(one) for one in (*answer["citations"], *answer["nearest"])]


class Connection:
    """One connection that is kept open; whatever breaks raises one of `BROKEN`."""

    def __init__(self, port: int, *, timeout: float = 60) -> None:
        self._connection = http.client.HTTPConnection(_HOST, port, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def send(self, method: str, path: str, body: bytes | None = None, kind: str = JSON) -> None:
        """Send a request as a whole; `reply` or `lines` reads what comes of it."""
        headers = {"Content-Type": kind} if body is not None else {}
        self._connection.request(method, path, body, {**headers, "Accept": "application/json"})

    def reply(self) -> Reply:
        """Return the response, read in full."""
        response = self._connection.getresponse()
        return Reply(response.status, response.read(), response.headers.get(PROCESS, ""))

    def lines(self) -> Iterator[bytes]:
        """Yield each line of a response as it comes, whole ones only. Raises ServerError where it is an error."""
        response = self._connection.getresponse()
        if response.status != http.client.OK:
            raise ServerError(f"status {response.status}: {response.read()[:500].decode(errors='replace')}")
        rest = b""
        # Not by its own lines: read like that, a response that was cut off ends like any other.
        while piece := response.read1(65536):
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
        if rest:
            raise http.client.IncompleteRead(rest)

    def call(self, method: str, path: str, body: bytes | None = None, kind: str = JSON) -> Reply:
        """Send a request and return its response."""
        self.send(method, path, body, kind)
        return self.reply()

    def ask(self, question: str, *, top_k: int = 5) -> Reply:
        """Ask as a program does."""
        return self.call("POST", "/ask", json.dumps({"question": question, "top_k": top_k}).encode())


# In the child


def main() -> None:
    """Serve as `quoteline serve` does, with the encoder and the control folder that the environment names."""
    import uvicorn

    from service.app import server_options

    settings = Settings()
    uvicorn.run("bench.serving:create_bench_app", factory=True, **server_options(settings))


def create_bench_app() -> FastAPI:
    """Return the application of this process, which compacts when it is told to and says which process it is."""
    app = create_app(Settings(), encoder=HashingEncoder() if os.environ[_ENCODER] == "hashing" else None)
    app.add_middleware(_Named)
    threading.Thread(target=_compact_when_told, args=(app, Path(os.environ[_CONTROL])), daemon=True).start()
    return app


class _Named:
    """Middleware that adds the number of this process to each response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def named_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[PROCESS] = str(os.getpid())
            await send(message)

        await self._app(scope, receive, named_send if scope["type"] == "http" else send)


def _compact_when_told(app: FastAPI, control: Path) -> None:
    while True:
        time.sleep(_LOOK)
        try:
            (control / _WANTED).rename(control / _COMPACTING)
        except FileNotFoundError:
            continue
        try:
            if app.state.corpus is not None:
                app.state.corpus.compact()
        except QuotelineError as error:
            print(f"not compacted: {error}", file=sys.stderr)
        (control / _COMPACTING).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
