"""Several replicas on one server of Milvus, which is killed under load: `python -m bench.cluster --kills 5`.

A real server (PyPI's milvus 2.3.5, in an environment of its own; it searches by vectors only) and two of ours run in a
network namespace, because that server listens on every address. Measured: how soon an article added on one replica is
found on the other; what a question costs beside the embedded engine; and, while clients add, replace, delete and ask on
both, what is lost or told wrongly when the server is killed with SIGKILL and started again, and how soon all is found.
"""

import argparse
import json
import math
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import CREATED, OK
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from bench.bulk import server as postgresql
from bench.kills import Asker, Tally, Writer, is_same, read_texts
from bench.ledger import Ledger, Put, Violation
from bench.servers import ServerError
from bench.serving import Connection, Process, Serving
from bench.tables import render_markdown
from index.address import Address
from index.corpus import Corpus
from index.errors import CorpusBusyError, QuotelineError
from index.milvus_server import Server
from index.testing import HashingEncoder

SERVER = "milvus==2.3.5"
PORT = 19530
WRITERS, ASKERS = 2, 2
# How long a server may take to start, several times on a busy machine, and a replica to find all again, in seconds.
PATIENCE = 600.0
# A question is asked again after so many seconds while it is waited for what it finds.
LOOK = 0.01
_ADDRESS = f"milvus://127.0.0.1:{PORT}/bench?lexical=no"


@dataclass(slots=True)
class Found:
    """What was measured, in seconds. again: from the start of the killed server until both replicas found all again."""

    sent: list[float] = field(default_factory=list)
    acknowledged: list[float] = field(default_factory=list)
    asked: dict[str, list[float]] = field(default_factory=dict)
    up: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    while_down: list[float] = field(default_factory=list)
    changes_while_down: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trial as a command; return 1 where anything was lost or told wrongly. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="bench.cluster", description=__doc__)
    parser.add_argument("--kills", type=int, default=5, metavar="N", help="of the server (default: %(default)s)")
    parser.add_argument("--adds", type=int, default=50, metavar="N", help="looked for on the other replica")
    parser.add_argument(
        "--articles", type=int, default=1000, metavar="N", help="that are there when questions are timed"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("var/bench-cluster"), help="of the server's environment")
    parser.add_argument(
        "--store",
        choices=("folder", "postgresql"),
        default="folder",
        help="of the articles: a folder that the replicas share, or a server of PostgreSQL, which is started",
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    # By itself SIGTERM would leave the servers running and the temporary folder behind.
    signal.signal(signal.SIGTERM, _end)
    program = _installed(options.folder)
    if not options.inside:
        return _inside_a_namespace(sys.argv[1:] if arguments is None else arguments)
    with ExitStack() as there:
        folder = Path(there.enter_context(TemporaryDirectory(prefix="quoteline-cluster-")))
        # Its socket is a file, which is reached from another network, too.
        store = there.enter_context(postgresql(None)) if options.store == "postgresql" else None
        trial = Trial(folder, program, options.seed, store)
        trial.run(options.adds, options.articles, options.kills)
    print(report(trial.found, trial.tally))
    return 1 if trial.tally.violations else 0


def _end(*_: object) -> None:
    # A second one, such as the one that is passed on, is not to break off the cleaning up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def report(found: Found, tally: Tally) -> str:
    """Return what was measured, and what was found wrong, as Markdown."""
    rows = [
        ["an article added on one replica is found on the other, from when it was sent", *_row(found.sent)],
        ["the same, from when it was acknowledged", *_row(found.acknowledged)],
        *([f"a question, {name}", *_row(times)] for name, times in found.asked.items()),
        ["a change while the server is down", *_row(found.while_down)],
        ["the killed server answers again, from when it was started", *_row(found.up)],
        ["both replicas find what was added while it was down, from the same moment", *_row(found.again)],
    ]
    said = [
        render_markdown(["seconds", "n", "p50", "p99", "most"], rows),
        f"\nchanges acknowledged while the server was down: {found.changes_while_down}; citations checked: "
        f"{tally.checked}; lost or wrong: {len(tally.violations)}",
        *(f"- {one.kind}: {one.what}" for one in tally.violations[:20]),
    ]
    return "\n".join(said)


def _row(seconds: Sequence[float]) -> list[str]:
    ordered = sorted(seconds)
    if not ordered:
        return ["0", "", "", ""]
    at = [ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1] for share in (0.5, 0.99, 1)]
    return [str(len(ordered)), *(f"{one:.3f}" for one in at)]


class Trial:
    """Two replicas on one server, with what is known of the corpus."""

    def __init__(self, folder: Path, program: Path, seed: int, store: str | None) -> None:
        """store: the address of a server of PostgreSQL; if None, the articles are in `folder`."""
        self._store = store
        self._address = f"{_ADDRESS}&store={store}" if store else _ADDRESS
        self.found = Found()
        self.tally = Tally()
        self._folder = folder
        self._engine = Engine(program, folder / "milvus")
        self._random = random.Random(seed)  # noqa: S311 - nothing to guess
        self._seed = seed
        self._ledger = Ledger()
        self._serving = Serving(folder / "ours")

    def run(self, adds: int, articles: int, kills: int) -> None:
        """Measure it all; what is found is in `found` and `tally`."""
        with ExitStack() as running:
            self._engine.start()
            running.callback(self._engine.kill)
            replicas = [
                running.enter_context(start_replica(self._serving, number, self._address)) for number in range(2)
            ]
            with closing(Server(Address.parse(self._address))) as server:
                if not server.is_there():
                    raise ServerError("the replicas do not search on Milvus")
            self._see(replicas, adds)
            self._time(replicas[0], articles)
            writers = [Writer(number, self._seed, self._ledger, self.tally) for number in range(2 * WRITERS)]
            for kill in range(kills):
                print(f"kill {kill + 1} of {kills}", file=sys.stderr)
                self._kill_under_load(replicas, writers, kill)
                self._compare(replicas)

    # What is measured

    def _see(self, replicas: Sequence[Process], adds: int) -> None:
        """Add articles on one replica, and look for them on the other, in turn."""
        with Connection(replicas[0].port) as one, Connection(replicas[1].port) as other:
            for number in range(adds):
                adding, looking = (one, other) if number % 2 else (other, one)
                sent = time.monotonic()
                self._put(
                    adding,
                    f"seen-{number}",
                    f"The keeper painted lighthouse q{number}q, says note w91t{number}s0 of that day.",
                )
                acknowledged = time.monotonic()
                await_found(looking, f"Who painted lighthouse q{number}q?", f"seen-{number}")
                now = time.monotonic()
                self.found.sent.append(now - sent)
                self.found.acknowledged.append(now - acknowledged)

    def _time(self, replica: Process, articles: int) -> None:
        """Time questions on a replica, and on a server of ours that has the same articles and the embedded engine."""
        texts = {
            f"timed-{number}": f"The keeper of mill {number} counted {number % 97} lamps, note w92t{number}s0 of it."
            for number in range(articles)
        }
        body = "\n".join(json.dumps({"_id": name, "text": text}) for name, text in texts.items()).encode()
        for name, text in texts.items():
            self._ledger.begin(name, Put(text))
        with Serving(self._folder / "embedded").start().wait_until_ready() as embedded:
            for name, server in (("on Milvus, 2.3.5", replica), ("on the embedded engine", embedded)):
                with Connection(server.port) as connection:
                    connection.send("POST", "/articles", body, "application/x-ndjson")
                    told = list(connection.lines())
                    if len(told) != articles:
                        raise ServerError(f"{len(told)} of {articles} articles were added")
                    await_found(connection, texts[f"timed-{articles - 1}"], f"timed-{articles - 1}")
                    self.found.asked[name] = [self._ask(connection, number) for number in range(300)][50:]
        for name in texts:
            self._ledger.acknowledge(name, time.monotonic())

    def _ask(self, connection: Connection, number: int) -> float:
        began = time.monotonic()
        reply = connection.ask(f"How many lamps did the keeper of mill {7 * number} count?")
        if reply.status != OK:
            raise ServerError(f"a question: {reply}")
        return time.monotonic() - began

    def _put(self, connection: Connection, name: str, text: str) -> None:
        """Add an article. Raises ServerError where that is not acknowledged."""
        self._ledger.begin(name, Put(text))
        reply = connection.call("PUT", f"/articles/{name}", json.dumps({"text": text}).encode())
        if reply.status not in (OK, CREATED):
            raise ServerError(f"{name} was not added: {reply}")
        self._ledger.acknowledge(name, time.monotonic())

    # Killing

    def _kill_under_load(self, replicas: Sequence[Process], writers: Sequence[Writer], kill: int) -> None:
        stopping = threading.Event()
        threads = [
            threading.Thread(target=writer.run, args=(replicas[place % 2].port, stopping, threading.Event()))
            for place, writer in enumerate(writers)
        ]
        for place in range(ASKERS):
            asker = Asker(self._random.random(), self._ledger, self.tally)
            threads.append(threading.Thread(target=asker.run, args=(replicas[place % 2].port, stopping)))
        for thread in threads:
            thread.start()
        try:
            time.sleep(self._random.uniform(0.5, 3))
            self._engine.kill()
            self._change_while_down(replicas, kill)
            time.sleep(self._random.uniform(0, 2))
            began = time.monotonic()
            self._engine.start()
            self._await_engine()
            self.found.up.append(time.monotonic() - began)
            for replica in replicas:
                with Connection(replica.port) as connection:
                    await_found(connection, f"Who wrote to harbour k{kill}k?", f"down-{kill}")
            self.found.again.append(time.monotonic() - began)
            time.sleep(self._random.uniform(0.5, 1.5))
        finally:
            stopping.set()
            for thread in threads:
                thread.join()

    def _await_engine(self) -> None:
        """Return once another client than ours is answered, too."""
        deadline = time.monotonic() + PATIENCE
        with closing(Server(Address.parse(self._address))) as server:
            while time.monotonic() < deadline:
                with suppress(QuotelineError):
                    if server.text_of_state(server.address.name, newest=False):
                        return
                time.sleep(0.1)
        raise ServerError("Milvus does not answer any more")

    def _change_while_down(self, replicas: Sequence[Process], kill: int) -> None:
        """Add articles while there is no server: each of them is acknowledged."""
        names = [f"down-{kill}", *(f"down-{kill}-{number}" for number in range(3))]
        for place, name in enumerate(names):
            with Connection(replicas[place % 2].port) as connection:
                began = time.monotonic()
                self._put(
                    connection,
                    name,
                    f"The keeper wrote to harbour k{kill}k, says note w93t{kill}s{place} of that day.",
                )
                self.found.while_down.append(time.monotonic() - began)
                self.found.changes_while_down += 1

    def _compare(self, replicas: Sequence[Process]) -> None:
        """Compare all texts with what was sent and acknowledged, and what each replica cites with the texts."""
        texts = _texts_of(self._store) if self._store else read_texts(self._serving.database)
        self.tally.violations += self._ledger.settle(texts, time.monotonic()).violations
        for replica in replicas:
            with Connection(replica.port) as connection:
                for citation in self._ledger.citations()[-50:]:
                    self.tally.checked += 1
                    reply = connection.call("GET", f"/citations/{citation.id}")
                    text = self._ledger.expected_of(citation)
                    if text is not None and (
                        not is_same(reply, citation) or text[citation.start : citation.end] != citation.quote
                    ):
                        self.tally.violations.append(Violation("wrong citation", f"{citation}: {reply}"))
        for finding in self._look_inside():
            self.tally.violations.append(Violation("index", finding))

    def _look_inside(self) -> list[str]:
        """Return what the engine does not hold as the store does, all keys and vectors compared."""
        # A replica that compacts meanwhile puts another collection in the place of the one that is read.
        for _ in range(5):
            try:
                with closing(Corpus(self._serving.corpus, HashingEncoder(), index=self._address)) as corpus:
                    return corpus.check()
            except CorpusBusyError as error:
                told = str(error)
                time.sleep(2)
        return [told]


def _texts_of(store: str) -> dict[str, dict[int, str]]:
    """Return all texts in a database, by article and version, as PostgreSQL alone reads them."""
    with closing(psycopg.connect(store)) as connection:
        rows = connection.execute("SELECT id, version, text FROM quoteline.versions").fetchall()
    texts: dict[str, dict[int, str]] = {}
    for article_id, version, text in rows:
        texts.setdefault(article_id, {})[version] = text
    return texts


def await_found(connection: Connection, question: str, name: str) -> None:
    """Ask until an answer cites the article of this name. Raises ServerError where none ever does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        reply = connection.ask(question, top_k=10)
        if reply.status == OK and name in {one.article_id for one in reply.citations()}:
            return
        if time.monotonic() > deadline:
            raise ServerError(f"{name} is never found: {reply}")
        time.sleep(LOOK)


# The servers


class Engine:
    """The server of Milvus, with all processes of its own."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once it listens; what is left of one that was killed may end the next one: then another is started."""
        self._folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + PATIENCE
        while not self._start(deadline):
            if time.monotonic() > deadline:
                raise ServerError(f"Milvus does not start; see {self._folder}/log")

    def _start(self, deadline: float) -> bool:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "--data", self._folder / "data"], stdout=log, stderr=log, start_new_session=True
            )
        while time.monotonic() < deadline and not self._has_ended():
            with suppress(OSError), socket.create_connection(("127.0.0.1", PORT), timeout=1):
                return True
            time.sleep(0.05)
        self.kill()
        return False

    def _has_ended(self) -> bool:
        """Whether the server, which the process that was started has started itself, has ended."""
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """End it and all that it started with SIGKILL, and wait until nothing listens."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None


@contextmanager
def start_replica(ours: Serving, number: int, index: str) -> Iterator[Process]:
    """Start a server of ours on a store that all replicas share, searched by Milvus. index: the address of both."""
    ours.folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    log = ours.folder / f"replica-{number}.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.serving"],
            env={**ours._environment(port), "QUOTELINE_INDEX": index},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with Process(process, port, log, 1).wait_until_ready(patience=PATIENCE) as replica:
        yield replica


def _installed(folder: Path) -> Path:
    """Return the server's program, installed in an environment of its own where it was not there."""
    program = folder.resolve() / "environment" / "bin" / "milvus-server"
    if not program.exists():
        shutil.rmtree(program.parents[1], ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", program.parents[1]], check=True)
        # It asks for pkg_resources, which newer ones have no more.
        subprocess.run([program.with_name("pip"), "install", "-q", SERVER, "setuptools<81"], check=True)
    return program


def _inside_a_namespace(arguments: Sequence[str]) -> int:
    """Run this command again where nothing but itself can be reached, and nobody reaches it."""
    unshare = shutil.which("unshare")
    if unshare is None:
        raise ServerError("unshare is not there, which keeps the server from listening to others; run this on Linux")
    command = 'ip link set lo up && exec "$0" -m bench.cluster --inside "$@"'
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    process = subprocess.Popen([unshare, "--net", *root, "sh", "-c", command, sys.executable, *arguments])
    try:
        return process.wait()
    finally:
        # It ends what it started.
        process.terminate()
        process.wait()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QuotelineError as error:
        sys.exit(f"bench.cluster: {error}")
