"""Deletes articles under load, and looks for anything left: `python -m bench.erasure --deletes 200 --workers 2`.

Clients ask all the time, of all processes of one server. Once a deletion is acknowledged, no answer to what is asked
from then on may cite the article, and no address may show anything of it. After the traces were erased, nothing of what
was deleted may be found in any file: no sentence, no id, no vector.
"""

import argparse
import json
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from http.client import GONE, NO_CONTENT, OK
from pathlib import Path

from bench.load import add
from bench.serving import BROKEN, Cited, Connection, EncoderName, Process, Serving
from bench.tables import render_markdown
from index.errors import QuotelineError
from service.settings import Settings

ASKERS = 8
# How long each deleted article is asked for, in seconds.
WATCHED = 2.0
# The server erases traces by itself once nothing was changed for a while.
PATIENCE = 120.0
SENTENCES = 6
# Of so many deleted articles all vectors are looked for.
VECTORS_OF = 20
# A half of less would stand in other articles, too, in bytes.
SHORT = 40


@dataclass(slots=True)
class Found:
    """What was counted, and what was found that should not be there; several threads append."""

    violations: list[str] = field(default_factory=list)
    processes: Counter[str] = field(default_factory=Counter)
    deleted: int = 0
    asks: int = 0
    asks_for_deleted: int = 0
    gone: int = 0
    files: int = 0
    patterns: int = 0
    control: int = 0
    erased_after: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the erasure test as a command; return 1 where anything was found. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="bench.erasure", description=__doc__)
    parser.add_argument("--deletes", type=int, default=200, metavar="N")
    parser.add_argument("--articles", type=int, default=400, metavar="N", help="articles that are there before")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes of the server")
    parser.add_argument("--encoder", choices=("hashing", "real"), default="real")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    # By itself SIGTERM would leave the server running and the temporary folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="quoteline-erasure-") as folder:
        trial = Trial(
            Path(folder),
            articles=options.articles,
            seed=options.seed,
            workers=options.workers,
            encoder=options.encoder,
        )
        trial.run(options.deletes)
    print(render_markdown(*_table(trial.found, time.monotonic() - started)))
    for violation in trial.found.violations[:50]:
        print(violation, file=sys.stderr)
    return int(bool(trial.found.violations))


def _table(found: Found, seconds: float) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    rows = [
        ("articles deleted", f"{found.deleted:,}"),
        ("answers meanwhile", f"{found.asks:,}"),
        ("answers to questions for what was deleted", f"{found.asks_for_deleted:,}"),
        ("answers by each process", " / ".join(f"{number:,}" for _, number in sorted(found.processes.items()))),
        ("addresses of deleted articles that were tried", f"{found.gone:,}"),
        ("seconds until the traces were erased", f"{found.erased_after:.0f}"),
        ("files searched", f"{found.files:,}"),
        ("sentences, ids and vectors searched for", f"{found.patterns:,}"),
        ("– of articles that are there, found", f"{found.control:,}"),
        ("deleted things found, by any of these ways", f"{len(found.violations):,}"),
        ("seconds", f"{seconds:.0f}"),
    ]
    return ("", ""), rows


@dataclass(frozen=True, slots=True)
class Written:
    """An article whose words stand in no other."""

    id: str
    sentences: tuple[str, ...]

    @classmethod
    def number(cls, number: int) -> "Written":
        """Return the article of that number."""
        letters = "abcdefghij"
        word = "".join(letters[int(digit)] for digit in f"{number:04}")
        return cls(
            f"case-{word}-{number}",
            tuple(
                f"Witness {word}{row} saw the {word}{row}mobile {row + 2} times in {word.title()}ville."
                for row in range(SENTENCES)
            ),
        )

    @property
    def record(self) -> dict[str, str]:
        """The line of JSON Lines that it is sent as."""
        return {"_id": self.id, "title": "A case", "text": " ".join(self.sentences)}

    def question(self, dice: random.Random) -> str:
        """Return a question that one of its sentences answers, and no other article's."""
        row = dice.randrange(SENTENCES)
        return f"How many times did the witness see it? {self.sentences[row]}"


class Trial:
    """One server, the articles that it holds, and what is left of those that are deleted."""

    def __init__(
        self,
        folder: Path,
        *,
        articles: int,
        seed: int = 0,
        workers: int = 2,
        encoder: EncoderName = "hashing",
        watched: float = WATCHED,
    ) -> None:
        """watched: how long each deleted article is asked for, in seconds."""
        self.found = Found()
        self._serving = Serving(folder, encoder, workers, Settings.model_validate({}).models_folder)
        self._watching = watched
        self.data = self._serving.data
        self._dice = random.Random(seed)  # noqa: S311 - nothing to guess
        self._articles = {one.id: one for one in map(Written.number, range(articles))}
        # Once acknowledged, with the moment of that.
        self.deleted: dict[str, float] = {}
        self._watched: deque[tuple[Written, float]] = deque()
        self._citations: dict[str, set[str]] = {}

    def run(self, deletes: int, *, now: bool = False) -> None:
        """Delete so many articles and look for them; what is found is in `found`.

        now: tell the server to erase the traces, and do not wait until it does so by itself.
        """
        with self._serving.start().wait_until_ready() as process:
            add(process.port, [one.record for one in self._articles.values()])
            self._replace_some(process)
            chosen = self._dice.sample(list(self._articles), deletes)
            vectors = dict(self._vectors(chosen[:VECTORS_OF]))
            kept = [one for one in self._articles if one not in chosen][:VECTORS_OF]
            control = dict(self._vectors(kept))
            self._delete_while_asked(process, chosen)
            for article_id in chosen:
                self._check_gone(process, article_id)
            self._await_erasure(now=now)
            self.search_files(chosen, vectors, kept, control)
            process.stop()
            self.search_files(chosen, vectors, kept, control)

    def _replace_some(self, process: Process) -> None:
        """Give every third article an older version, which has to go with it."""
        with Connection(process.port) as connection:
            for article in list(self._articles.values())[::3]:
                text = " ".join([*article.sentences, f"It was corrected, says {article.id}."])
                body = json.dumps({"id": article.id, "text": text}).encode()
                if connection.call("POST", "/articles", body).status != OK:
                    self.found.violations.append(f"{article.id} could not be replaced")

    # While it is served

    def _delete_while_asked(self, process: Process, chosen: Sequence[str]) -> None:
        stopping = threading.Event()
        askers = [threading.Thread(target=self._ask, args=(process.port, seed, stopping)) for seed in range(ASKERS)]
        for asker in askers:
            asker.start()
        try:
            for article_id in chosen:
                with Connection(process.port) as connection:
                    reply = connection.call("DELETE", f"/articles/{article_id}")
                if reply.status != NO_CONTENT:
                    self.found.violations.append(f"{article_id} was not deleted: {reply}")
                    continue
                moment = time.monotonic()
                self.deleted[article_id] = moment
                self._watched.append((self._articles[article_id], moment + self._watching))
                self.found.deleted += 1
                self._check_gone(process, article_id)
            time.sleep(self._watching)
        finally:
            stopping.set()
            for asker in askers:
                asker.join()

    def _ask(self, port: int, seed: int, stopping: threading.Event) -> None:
        dice = random.Random(seed)  # noqa: S311 - nothing to guess
        articles = list(self._articles.values())
        while not stopping.is_set():
            while self._watched and self._watched[0][1] < time.monotonic():
                self._watched.popleft()
            watched = [one for one, _ in list(self._watched)]
            of_deleted = bool(watched) and dice.random() < 0.8
            article = dice.choice(watched if of_deleted else articles)
            begun = time.monotonic()
            try:
                # A new connection each time, so that any of the processes may answer.
                with Connection(port) as connection:
                    reply = connection.ask(article.question(dice))
            except BROKEN as error:
                self.found.violations.append(f"an ask broke off: {error!r}")
                continue
            if reply.status != OK:
                self.found.violations.append(f"an ask failed: {reply}")
                continue
            self.found.asks += 1
            self.found.asks_for_deleted += of_deleted
            self.found.processes[reply.process] += 1
            self.check_cited(reply.citations(), begun)

    def check_cited(self, citations: Sequence[Cited], begun: float) -> None:
        """Note the citations of an answer to what was asked at `begun`, and those that came too late."""
        for citation in citations:
            if self.deleted.get(citation.article_id, begun) < begun:
                late = begun - self.deleted[citation.article_id]
                self.found.violations.append(
                    f"{citation} in an answer to what was asked {late:.3f} s after its deletion"
                )
            self._citations.setdefault(citation.article_id, set()).add(citation.id)

    def _check_gone(self, process: Process, article_id: str) -> None:
        first = self._articles[article_id].sentences[0]
        cited = [f"/citations/{one}" for one in list(self._citations.get(article_id, ()))[:5]]
        addresses = [f"/articles/{article_id}{rest}" for rest in ("", "/text", "/text?version=1", "/versions")]
        for address in (*addresses, f"/citations/{article_id}.1.0-{len(first)}", *cited):
            with Connection(process.port) as connection:
                reply = connection.call("GET", address)
            self.found.gone += 1
            if reply.status != GONE:
                self.found.violations.append(f"{address} of a deleted article: {reply}")

    # What is left in files

    def _vectors(self, article_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the vectors of articles as they stand in the database, with a name for each."""
        query = (
            "SELECT v.id, p.key, p.vector, p.sentence_vectors FROM versions v JOIN passages p ON p.article = v.key"
            " WHERE v.id IN (SELECT value FROM json_each(?))"
        )
        database = f"{self._serving.database.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(database, uri=True)) as connection:
            for article_id, key, vector, sentence_vectors in connection.execute(query, (json.dumps(article_ids),)):
                passage = f"passage {key} of {article_id}"
                yield f"the vector of {passage}", vector
                yield f"the first sentence's vector of {passage}", sentence_vectors[: len(vector)]

    def _await_erasure(self, *, now: bool) -> None:
        started = time.monotonic()
        if now:
            self._serving.ask_to_compact()
        while self._has_traces() or not self._serving.has_compacted():
            if time.monotonic() - started > PATIENCE:
                self.found.violations.append(f"the traces were not erased within {PATIENCE:.0f} seconds")
                return
            if now and self._serving.has_compacted():
                # Somebody was reading an older state.
                self._serving.ask_to_compact()
            time.sleep(0.1)
        self.found.erased_after = time.monotonic() - started

    def _has_traces(self) -> bool:
        database = f"{self._serving.database.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(database, uri=True)) as connection:
            return bool(connection.execute("SELECT 1 FROM facts WHERE name = 'deleted'").fetchall())

    def search_files(
        self, deleted: Sequence[str], vectors: Mapping[str, bytes], kept: Sequence[str], control: Mapping[str, bytes]
    ) -> None:
        """Look into all files for what was deleted; what is still there has to be found, or the search is blind."""
        files = [path for path in sorted(self.data.rglob("*")) if path.is_file()]
        contents = {str(path.relative_to(self.data)): path.read_bytes() for path in files}
        wanted, there = {**self._patterns(deleted), **vectors}, {**self._patterns(kept), **control}
        for what, pattern in wanted.items():
            self.found.violations += [
                f"{what} is still in {name}" for name, one in contents.items() if _holds(one, pattern)
            ]
        found = [any(_holds(one, pattern) for one in contents.values()) for pattern in there.values()]
        self.found.control, self.found.files, self.found.patterns = sum(found), len(files), len(wanted)
        if not all(found):
            self.found.violations.append(f"of {len(there)} things that are there, only {sum(found)} were found")

    def _patterns(self, article_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the ids and sentences of articles, as they would stand in a file."""
        patterns = {f"the id {one}": one.encode() for one in article_ids}
        for one in article_ids:
            patterns |= {f"a sentence of {one}: {text}": text.encode() for text in self._articles[one].sentences}
        return patterns


def _holds(content: bytes, pattern: bytes) -> bool:
    """Whether at least one half of a pattern is there: SQLite tears what is longer than the rest of a page."""
    if len(pattern) < SHORT:
        return pattern in content
    middle = len(pattern) // 2
    return pattern[:middle] in content or pattern[middle:] in content


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QuotelineError as error:
        sys.exit(f"bench.erasure: {error}")
