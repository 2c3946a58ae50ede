"""Kills a server under load, again and again, and looks for anything lost: `python -m bench.kills --kills 200`.

Clients add, replace and delete articles, ask, and check citations, while the server is killed with SIGKILL: at any
moment, right after a change was sent, while it compacts, and while it starts on what the last kill left. After each
kill the corpus is compared with a model of what was sent and what was acknowledged (`bench/ledger.py`).
"""

import argparse
import json
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from http.client import CREATED, GONE, NO_CONTENT, NOT_FOUND, OK, SERVICE_UNAVAILABLE, TOO_MANY_REQUESTS
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote

from bench.ledger import Delete, Kind, Ledger, Put, Violation
from bench.servers import ServerError
from bench.serving import BROKEN, JSON, LINES, PATIENCE, TEXT, Cited, Connection, EncoderName, Process, Reply, Serving
from bench.tables import render_markdown
from index.corpus import Corpus
from index.embedded import EmbeddedSnapshot
from index.encoding import DEFAULT_MODEL, Encoder, load_encoder
from index.errors import QuotelineError
from index.testing import HashingEncoder
from service.settings import Settings

T = TypeVar("T")
Moment = Literal["any", "just sent", "compacting", "starting"]
MOMENTS: dict[Moment, int] = {"any": 4, "just sent": 3, "compacting": 2, "starting": 2}
WRITERS, ASKERS = 3, 2
# Articles of one writer; where there are more, it rather deletes.
MOST = 40
# Every so many kills the corpus is opened as a library, too; every other time on what the kill left.
LOOK = 5
# Looked at again after each kill, beside all that is new.
SAMPLE = 20
_REFUSED = (SERVICE_UNAVAILABLE, TOO_MANY_REQUESTS)
_PLACES = ("harbour", "café", "mill", "東京 tower", "🚀 pad", "old quarry", "station", "orchard")
_DEEDS = ("counted {n} lamps", "painted {n} boats red", "closed {n} doors", "asked for {n} eggs", "wrote {n} letters")


@dataclass(slots=True)
class Tally:
    """What was counted; several threads append to `violations`."""

    violations: list[Violation] = field(default_factory=list)
    kills: Counter[Moment] = field(default_factory=Counter)
    in_compaction: int = 0
    refused: int = 0
    whole: int = 0
    absent: int = 0
    looks: int = 0
    repairs: int = 0
    checked: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trial as a command; return 1 where anything was found. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="bench.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, help="of what is sent and of when it is killed (default: a new one)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes of the server")
    parser.add_argument("--encoder", choices=("hashing", "real"), default="hashing")
    options = parser.parse_args(arguments)
    # By itself SIGTERM would leave the server running and the temporary folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    folder = Path(tempfile.mkdtemp(prefix="quoteline-kills-"))
    trial = Trial(folder, seed=seed, workers=options.workers, encoder=options.encoder)
    started = time.monotonic()
    try:
        trial.run(options.kills)
    except BaseException:
        print(f"seed {seed}; what is left is in {folder}", file=sys.stderr)
        raise
    print(render_markdown(*_table(trial, time.monotonic() - started)))
    if not trial.tally.violations:
        shutil.rmtree(folder)
        return 0
    for violation in trial.tally.violations[:50]:
        print(f"{violation.kind}: {violation.what}", file=sys.stderr)
    print(f"seed {seed}; what is left is in {folder}", file=sys.stderr)
    return 1


def _table(trial: "Trial", seconds: float) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    tally, ledger = trial.tally, trial.ledger
    found = Counter(violation.kind for violation in tally.violations)
    rows = [
        ("kills", sum(tally.kills.values())),
        *((f"– {name}", tally.kills[name]) for name in MOMENTS),
        ("– that hit a compaction", tally.in_compaction),
        ("changes acknowledged", ledger.acknowledged),
        ("changes refused (503, 429)", tally.refused),
        ("changes in flight at a kill", tally.whole + tally.absent),
        ("– whole afterwards", tally.whole),
        ("– absent afterwards", tally.absent),
        ("citations handed out", len(ledger.citations())),
        ("citations read again", tally.checked),
        ("acknowledged changes lost", found["lost"]),
        ("changes half done", found["half"]),
        ("wrong citations", found["wrong citation"]),
        ("cited after it was deleted or replaced", found["cited after it was gone"]),
        ("faults of the server", found["fault"]),
        ("looked into as a library", tally.looks),
        ("– indexes that did not match", found["index"]),
        ("– indexes that were repaired", tally.repairs),
    ]
    return ("", f"seed {trial.seed}"), [
        *((name, f"{number:,}") for name, number in rows),
        ("seconds", f"{seconds:.0f}"),
    ]


class Trial:
    """One corpus, one server after another on it, and the model that they are held to."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        workers: int = 1,
        encoder: EncoderName = "hashing",
        patience: float = PATIENCE,
        tamper: Callable[[Path], None] | None = None,
    ) -> None:
        """patience: how long a server may take to get ready, in seconds.

        tamper: what else is done to the database after each kill, for those who doubt that this finds anything.
        """
        models = Settings.model_validate({}).models_folder
        self.seed = seed
        self.ledger = Ledger()
        self.tally = Tally()
        self._serving = Serving(folder, encoder, workers, models)
        self._patience = patience
        self._tamper = tamper
        self._random = random.Random(seed)  # noqa: S311 - nothing to guess
        self._writers = [Writer(number, seed, self.ledger, self.tally) for number in range(WRITERS)]
        self._encoder: Encoder = HashingEncoder() if encoder == "hashing" else load_encoder(DEFAULT_MODEL, models)
        self._citations_checked = 0

    def run(self, kills: int) -> None:
        """Kill so many times, or until the server does not start any more; what is found is in `tally`."""
        try:
            self._run(kills)
        except ServerError as error:
            self._violate("fault", str(error))
            self._settle()

    def _run(self, kills: int) -> None:
        process = self._start()
        try:
            while (done := sum(self.tally.kills.values())) < kills:
                moment = self._random.choices(list(MOMENTS), list(MOMENTS.values()))[0]
                self._kill_under_load(process, moment)
                if moment == "starting":
                    process = self._serving.start()
                    time.sleep(self._random.uniform(0.3, 1.2))
                    self._kill(process, "starting")
                if self._tamper is not None:
                    self._tamper(self._serving.database)
                look = done // LOOK != sum(self.tally.kills.values()) // LOOK
                on_wreck = look and self.tally.looks % 2 == 1
                if on_wreck:
                    self._look_inside()
                process = self._start()
                self._compare(process)
                if look and not on_wreck:
                    self._look_inside()
            self._compare_all(process)
            process.stop()
            self._look_inside(compact=True)
        finally:
            process.kill()

    # Killing

    def _start(self) -> Process:
        return self._serving.start().wait_until_ready(patience=self._patience)

    def _kill_under_load(self, process: Process, moment: Moment) -> None:
        stopping, sent = threading.Event(), threading.Event()
        threads = [threading.Thread(target=one.run, args=(process.port, stopping, sent)) for one in self._writers]
        for _ in range(ASKERS):
            asker = Asker(self._random.random(), self.ledger, self.tally)
            threads.append(threading.Thread(target=asker.run, args=(process.port, stopping)))
        for thread in threads:
            thread.start()
        try:
            self._await(moment, sent)
            self._kill(process, "any" if moment == "starting" else moment)
        finally:
            stopping.set()
            process.kill()
            for thread in threads:
                thread.join()

    def _await(self, moment: Moment, sent: threading.Event) -> None:
        time.sleep(self._random.uniform(0.05, 1.5 if moment == "any" else 0.6))
        if moment == "just sent":
            sent.clear()
            sent.wait(2)
            time.sleep(self._random.choice((0, 0.001, 0.005, 0.02)))
        elif moment == "compacting":
            self._serving.ask_to_compact()
            deadline = time.monotonic() + 3
            while not self._serving.is_compacting() and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(self._random.uniform(0, 0.15))

    def _kill(self, process: Process, moment: Moment) -> None:
        process.kill()
        self.tally.kills[moment] += 1
        self.tally.in_compaction += self._serving.is_compacting()
        for line in process.log.read_text(encoding="utf-8", errors="replace").splitlines():
            self.tally.repairs += "is being built again" in line
            if '"level": "error"' in line or '"level": "critical"' in line or line.startswith("Traceback"):
                self._violate("fault", line[:2000])

    # Comparing

    def _compare(self, process: Process) -> None:
        """Compare all texts with the model, and over HTTP what may have changed, with a sample of the rest."""
        self._settle()
        article_ids, citations = self.ledger.article_ids(), self.ledger.citations()
        new = citations[self._citations_checked :]
        self._citations_checked = len(citations)
        with Connection(process.port) as connection:
            for article_id in {*self.ledger.take_touched(), *self._sample(article_ids)}:
                self._check_article(connection, article_id)
            for citation in {*new, *self._sample(citations)}:
                self._check_citation(connection, citation)

    def _settle(self) -> None:
        settled = self.ledger.settle(read_texts(self._serving.database), time.monotonic())
        self.tally.violations += settled.violations
        self.tally.whole, self.tally.absent = self.tally.whole + settled.whole, self.tally.absent + settled.absent

    def _compare_all(self, process: Process) -> None:
        with Connection(process.port) as connection:
            for article_id in self.ledger.article_ids():
                self._check_article(connection, article_id)
            for citation in self.ledger.citations():
                self._check_citation(connection, citation)

    def _sample(self, of: Sequence[T]) -> list[T]:
        return self._random.sample(of, min(SAMPLE, len(of)))

    def _check_article(self, connection: Connection, article_id: str) -> None:
        standing = self.ledger.standing(article_id)
        path = f"/articles/{quote(article_id)}"
        for version in sorted(standing.texts)[-3:]:
            reply = connection.call("GET", f"{path}/text?version={version}")
            if (reply.status, reply.text) != (OK, standing.texts[version]):
                self._violate("lost", f"version {version} of {article_id}: {reply}")
        if standing.texts:
            reply = connection.call("GET", f"{path}/versions")
            versions = (
                [(one["version"], one["current"]) for one in reply.json()["versions"]] if reply.status == OK else []
            )
            if versions != [(one, one == standing.version) for one in sorted(standing.texts, reverse=True)]:
                self._violate("half", f"the versions of {article_id} are {versions}, not {sorted(standing.texts)}")
        else:
            wanted = GONE if standing.gone else NOT_FOUND
            for reply in (connection.call("GET", path), connection.call("GET", f"{path}/versions")):
                if reply.status != wanted:
                    self._violate("half", f"{article_id}, which is not there: {reply}, not {wanted}")
        if standing.gone:
            reply = connection.call("GET", f"{path}/text?version={standing.gone}")
            if reply.status != GONE:
                self._violate("half", f"version {standing.gone} of {article_id}, which was deleted: {reply}")

    def _check_citation(self, connection: Connection, citation: Cited) -> None:
        self.tally.checked += 1
        reply = connection.call("GET", f"/citations/{quote(citation.id)}")
        try:
            text = self.ledger.expected_of(citation)
        except KeyError:
            self._violate("wrong citation", f"there is no version for {citation}")
            return
        if text is None:
            if reply.status != GONE:
                self._violate("wrong citation", f"{citation}, which was deleted: {reply}")
        elif not is_same(reply, citation) or text[citation.start : citation.end] != citation.quote:
            self._violate("wrong citation", f"{citation}: {reply}")

    def _look_inside(self, *, compact: bool = False) -> None:
        """Open the corpus as a library, and compare the indexes with the database."""
        self.tally.looks += 1
        corpus = Corpus(self._serving.corpus, self._encoder)
        try:
            self._compare_indexes(corpus)
            if compact:
                if not corpus.compact():
                    self._violate("index", "it could not be compacted, though nobody was reading")
                self._compare_indexes(corpus)
            self.tally.repairs += len(corpus.repairs)
        finally:
            corpus.close()

    def _compare_indexes(self, corpus: Corpus) -> None:
        for finding in corpus.check():
            self._violate("index", finding)
        keys = read_passages(self._serving.database)
        snapshot = corpus.snapshot
        if isinstance(snapshot, EmbeddedSnapshot):
            for name, held in (("lexical", snapshot.lexical.keys()), ("vector", snapshot.vectors.keys())):
                if held != keys:
                    self._violate("index", f"the {name} index holds other keys: {sorted({*held} ^ {*keys})[:20]}")

    def _violate(self, kind: Kind, what: str) -> None:
        self.tally.violations.append(Violation(kind, what))


def read_texts(database: Path) -> dict[str, dict[int, str]]:
    """Return all texts in a database, by article and version, as SQLite alone reads them."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT id, version, text FROM versions ORDER BY id").fetchall()
    return {article_id: {row[1]: row[2] for row in its} for article_id, its in groupby(rows, key=lambda row: row[0])}


def read_passages(database: Path) -> list[int]:
    """Return the keys of all passages in a database, in ascending order."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM passages ORDER BY key")]


def is_same(reply: Reply, citation: Cited) -> bool:
    """Whether a citation that was read again says what it said when it was handed out."""
    return reply.status == OK and Cited.of(reply.json()["quotation"]) == citation


# Clients


class Writer:
    """A client that adds, replaces and deletes articles of its own, until the server is gone."""

    def __init__(self, number: int, seed: int, ledger: Ledger, tally: Tally) -> None:
        self._name = f"w{number}"
        self._random = random.Random(f"{seed} {number}")  # noqa: S311 - nothing to guess
        self._ledger = ledger
        self._tally = tally
        self._article_ids: list[str] = []
        self._texts = 0

    def run(self, port: int, stopping: threading.Event, sent: threading.Event) -> None:
        """Make changes one after another; `sent` is set each time after one was sent."""
        with Connection(port) as connection:
            try:
                while not stopping.is_set():
                    self._change(connection, sent)
            except BROKEN:
                # Killed: what was in flight stays so, until the ledger is settled.
                return
            except ServerError as error:
                self._tally.violations.append(Violation("fault", str(error)))

    def _change(self, connection: Connection, sent: threading.Event) -> None:
        there = [one for one in self._article_ids if self._ledger.standing(one).texts]
        if there and self._random.random() < (0.5 if len(there) > MOST else 0.15):
            self._delete(connection, self._random.choice(there), sent)
        elif self._random.random() < 0.25:
            article_ids = [self._choose(there) for _ in range(self._random.randint(2, 8))]
            self._put_many(connection, article_ids, sent)
        else:
            self._put(connection, self._choose(there), sent)

    def _choose(self, there: Sequence[str]) -> str:
        """Return an article to put: a new one, or one that is there, or one that was deleted."""
        if len(there) > MOST // 2 or (self._article_ids and self._random.random() < 0.3):
            return self._random.choice(self._article_ids)
        self._article_ids.append(f"{self._name}-{len(self._article_ids)}")
        return self._article_ids[-1]

    def _delete(self, connection: Connection, article_id: str, sent: threading.Event) -> None:
        self._ledger.begin(article_id, Delete())
        connection.send("DELETE", f"/articles/{article_id}")
        sent.set()
        reply = connection.reply()
        if self._is_done(article_id, reply, NO_CONTENT):
            self._ledger.acknowledge(article_id, time.monotonic())

    def _put(self, connection: Connection, article_id: str, sent: threading.Event) -> None:
        text = self._write()
        there = bool(self._ledger.standing(article_id).texts)
        self._ledger.begin(article_id, Put(text))
        said = json.dumps({"text": text, "id": article_id}).encode()
        method, path, body, kind = self._random.choice(
            (
                ("PUT", f"/articles/{article_id}", said, JSON),
                ("POST", "/articles", said, JSON),
                ("PUT", f"/articles/{article_id}", text.encode(), TEXT),
                ("POST", f"/articles?id={article_id}", text.encode(), TEXT),
            )
        )
        connection.send(method, path, body, kind)
        sent.set()
        reply = connection.reply()
        if self._is_done(article_id, reply, OK if there else CREATED):
            self._acknowledge(article_id, reply.json())

    def _put_many(self, connection: Connection, article_ids: Sequence[str], sent: threading.Event) -> None:
        texts = [self._write() for _ in article_ids]
        records = []
        for article_id, text in zip(article_ids, texts, strict=True):
            self._ledger.begin(article_id, Put(text))
            records.append(json.dumps({"_id": article_id, "text": text}))
        connection.send("POST", "/articles", "\n".join(records).encode(), LINES)
        sent.set()
        try:
            for article_id, line in zip(article_ids, connection.lines(), strict=True):
                told = json.loads(line)
                if "error" in told:
                    self._refuse(article_id)
                else:
                    self._acknowledge(article_id, told)
        except ValueError:
            self._fault(f"other than {len(article_ids)} lines for as many articles")

    def _acknowledge(self, article_id: str, told: Mapping[str, object]) -> None:
        kind = "replaced" if self._ledger.standing(article_id).texts else "added"
        standing = self._ledger.acknowledge(article_id, time.monotonic())
        wanted = {"article_id": article_id, "version": standing.version, "kind": kind}
        if {name: told.get(name) for name in wanted} != wanted:
            self._fault(f"a change was acknowledged as {told}, not {wanted}")

    def _is_done(self, article_id: str, reply: Reply, wanted: int) -> bool:
        """Whether a change was made; it was not where it was refused, and nobody knows where the server failed."""
        if reply.status in _REFUSED:
            self._refuse(article_id)
        elif reply.status != wanted:
            self._fault(f"a change of {article_id}: {reply}, not {wanted}")
        return reply.status == wanted

    def _refuse(self, article_id: str) -> None:
        self._ledger.refuse(article_id)
        self._tally.refused += 1

    def _fault(self, what: str) -> None:
        self._tally.violations.append(Violation("fault", what))

    def _write(self) -> str:
        """Return a text in which each sentence says which text of which writer it is from."""
        self._texts += 1
        separator = self._random.choice((" ", "\n", "\n\n"))
        return separator.join(self._sentence(number) for number in range(self._random.randint(2, 14)))

    def _sentence(self, number: int) -> str:
        place, deed = self._random.choice(_PLACES), self._random.choice(_DEEDS).format(n=self._random.randint(2, 99))
        return f"The keeper of the {place} {deed}, says note {self._name}t{self._texts}s{number} of that day."


class Asker:
    """A client that asks, and checks citations, until the server is gone."""

    def __init__(self, seed: float, ledger: Ledger, tally: Tally) -> None:
        self._random = random.Random(seed)  # noqa: S311 - nothing to guess
        self._ledger = ledger
        self._tally = tally

    def run(self, port: int, stopping: threading.Event) -> None:
        """Ask one question after another."""
        with Connection(port) as connection:
            try:
                while not stopping.is_set():
                    self._ask(connection)
                    self._check(connection)
            except BROKEN:
                return

    def _ask(self, connection: Connection) -> None:
        begun = time.monotonic()
        reply = connection.ask(self._question())
        if reply.status != OK:
            self._note(reply.status in _REFUSED, Violation("fault", f"an ask: {reply}"))
            return
        for citation in reply.citations():
            violation = self._ledger.take(citation, begun)
            if violation is not None:
                self._tally.violations.append(violation)

    def _question(self) -> str:
        article_ids = self._ledger.article_ids()
        texts = self._ledger.standing(self._random.choice(article_ids)).texts if article_ids else {}
        if not texts:
            return "What did the keeper of the harbour count?"
        note = self._random.choice([word for word in texts[max(texts)].split() if re.fullmatch(r"w\d+t\d+s\d+", word)])
        return f"What did the keeper do according to note {note}?"

    def _check(self, connection: Connection) -> None:
        citations = self._ledger.citations()
        if not citations:
            return
        citation = self._random.choice(citations)
        gone = self._ledger.standing(citation.article_id).gone >= citation.version
        reply = connection.call("GET", f"/citations/{quote(citation.id)}")
        # Its article may be being deleted just now.
        right = reply.status == GONE or (is_same(reply, citation) and not gone)
        self._note(right or reply.status in _REFUSED, Violation("wrong citation", f"{citation}: {reply}"))

    def _note(self, right: bool, otherwise: Violation) -> None:
        if not right:
            self._tally.violations.append(otherwise)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QuotelineError as error:
        sys.exit(f"bench.kills: {error}")
