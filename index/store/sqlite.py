"""SQLite as a database of the store: one file, for the processes of one machine."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from index.errors import CorpusBusyError, CorpusError
from index.store.connection import Held, connect, glance, impatient, translated
from index.store.database import Database
from index.store.rows import Row

# How long a change waits for another process's change, in seconds.
PATIENCE = 60.0
# How the copy of a backup of an older format is called, followed by a number, while it is upgraded and brought back.
ASIDE = ".restore."
# The system is asked to read a megabyte at a time; of more, it may read the first part alone.
_READ_AHEAD = """
import os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
for start in range(0, os.fstat(file).st_size, 1 << 20):
    os.posix_fadvise(file, start, 1 << 20, os.POSIX_FADV_WILLNEED)
"""

TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE versions (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    current INTEGER NOT NULL,
    collection TEXT NOT NULL,
    digest TEXT NOT NULL,
    path TEXT,
    text TEXT NOT NULL,
    body_start INTEGER NOT NULL,
    body_end INTEGER NOT NULL,
    title TEXT, date TEXT, source TEXT, url TEXT, author TEXT, language TEXT,
    media_type TEXT NOT NULL,
    pages TEXT NOT NULL,
    origins TEXT NOT NULL,
    sentences BLOB NOT NULL,
    generation INTEGER NOT NULL,
    added_at REAL NOT NULL,
    seal BLOB NOT NULL,
    UNIQUE (id, version)
);
CREATE UNIQUE INDEX current_by_id ON versions (id) WHERE current;
CREATE INDEX current_by_collection ON versions (collection) WHERE current;
CREATE INDEX current_by_digest ON versions (digest) WHERE current;
CREATE INDEX current_by_path ON versions (path) WHERE current;
CREATE INDEX current_by_url ON versions (url) WHERE current;
CREATE INDEX current_by_source ON versions (source) WHERE current;
CREATE INDEX current_by_date ON versions (date) WHERE current;
CREATE TABLE passages (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    article INTEGER NOT NULL REFERENCES versions (key),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    vector BLOB NOT NULL,
    spans BLOB NOT NULL,
    sentence_vectors BLOB NOT NULL,
    terms BLOB NOT NULL,
    term_counts BLOB NOT NULL,
    seal INTEGER NOT NULL,
    generation INTEGER NOT NULL
);
CREATE INDEX passages_by_article ON passages (article);
CREATE INDEX passages_by_generation ON passages (generation);
CREATE TABLE removals (passage INTEGER PRIMARY KEY, generation INTEGER NOT NULL);
CREATE INDEX removals_by_generation ON removals (generation);
CREATE TABLE retired (id_hash TEXT PRIMARY KEY, version INTEGER NOT NULL, deleted_at REAL, seal BLOB NOT NULL)
    WITHOUT ROWID;
"""
RESEMBLANCE = """
CREATE TABLE signatures (article INTEGER PRIMARY KEY REFERENCES versions (key), signature BLOB NOT NULL);
CREATE TABLE bands (band INTEGER NOT NULL, article INTEGER NOT NULL, PRIMARY KEY (band, article)) WITHOUT ROWID;
CREATE TABLE near_duplicates (
    one INTEGER NOT NULL REFERENCES versions (key),
    other INTEGER NOT NULL,
    similarity REAL NOT NULL,
    seal INTEGER NOT NULL,
    PRIMARY KEY (one, other)
) WITHOUT ROWID;
"""


class Sqlite:
    """The database in one file; each thread has a connection of its own, unless one is given for all."""

    oldest = 1
    kept_folded: tuple[str, ...] = ()

    def __init__(self, path: Path, connection: sqlite3.Connection | None = None) -> None:
        self.path = path
        self.name = str(path)
        self._given = connection
        self._local = threading.local()
        self._held: WeakSet[Held] = WeakSet()
        self._lock = FileLock(path.with_name("writer.lock"))

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection."""
        if self._given is not None:
            return self._given
        held: Held | None = getattr(self._local, "held", None)
        if held is None:
            held = Held(connect(self.path))
            self._local.held = held
            self._held.add(held)
        return held.connection

    def close(self) -> None:
        for held in list(self._held):
            held.connection.close()
        self._local = threading.local()

    @contextmanager
    def translated(self) -> Iterator[None]:
        with translated(self.path):
            yield

    def rows(self, query: str, values: Sequence[object] = ()) -> Sequence[Row]:
        with translated(self.path):
            return self.connection().execute(query, values).fetchall()

    def tuples(self, query: str, values: Sequence[object] = ()) -> Sequence[tuple[Any, ...]]:
        with translated(self.path):
            cursor = self.connection().cursor()
            cursor.row_factory = None
            return cursor.execute(query, values).fetchall()

    def stream(self, query: str, values: Sequence[object] = ()) -> Iterator[Row]:
        with translated(self.path):
            yield from self.connection().execute(query, values)

    def each(self, query: str, firsts: Sequence[int], rest: Sequence[object]) -> Sequence[Row]:
        with translated(self.path):
            connection, found = self.connection(), []
            for first in firsts:
                found += connection.execute(query, (first, *rest)).fetchall()
            return found

    def keys(self, query: str, values: Sequence[object] = ()) -> NDArray[np.int64]:
        with translated(self.path):
            cursor = self.connection().cursor()
            cursor.row_factory = None
            return np.fromiter((key for (key,) in cursor.execute(query, values)), dtype=np.int64)

    def run(self, statement: str, values: Sequence[object] = ()) -> int:
        with translated(self.path):
            return self.connection().execute(statement, values).rowcount

    def run_many(self, statement: str, values: Iterable[Sequence[object]]) -> int:
        with translated(self.path):
            return self.connection().executemany(statement, values).rowcount

    def insert(self, statement: str, values: Sequence[object]) -> int:
        with translated(self.path):
            return int(self.connection().execute(statement, values).lastrowid or 0)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with translated(self.path):
            connection = self.connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                # A full disk rolls back by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def frozen(self) -> Iterator[None]:
        with translated(self.path):
            connection = self.connection()
            connection.execute("BEGIN")
            try:
                # A transaction sees the state of its first read, not that of its begin.
                connection.execute("SELECT value FROM facts").fetchone()
                yield
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        folder = self.path.parent
        try:
            held = self._lock.acquire(timeout=PATIENCE)
        except Timeout as error:
            raise CorpusBusyError(f"another process is changing {folder}; try again when it is done") from error
        except OSError as error:
            raise CorpusError(
                f"{folder} cannot be written ({error.strerror}); check its owner, or set QUOTELINE_DATA"
            ) from error
        with held:
            yield

    @contextmanager
    def first_look(self) -> Iterator[Database | None]:
        with translated(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                # Connecting itself changes a database that does not use WAL yet, such as another program's.
                with glance(self.path) as connection:
                    yield Sqlite(self.path, connection)
            else:
                connect(self.path, make=True).close()
                yield None

    def is_empty(self) -> bool:
        return not self.rows("SELECT 1 FROM sqlite_master")

    def has_facts(self) -> bool:
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE name = 'facts'"))

    def make_tables(self) -> None:
        self.make(TABLES)
        self.make(RESEMBLANCE)

    def make(self, tables: str) -> None:
        """Make some tables; inside a transaction."""
        for statement in tables.split(";\n"):
            self.run(statement)

    def findings(self) -> list[str]:
        found = [str(row["integrity_check"]) for row in self.rows("PRAGMA integrity_check")]
        found = [] if found == ["ok"] else [f"{self.name}: {finding}" for finding in found]
        strays = self.rows("PRAGMA foreign_key_check")
        return found + [f"{self.name}: a row refers to one that is not there" for _ in strays]

    def wipe(self, *, everything: bool) -> bool:
        """Erase what is left in the files.

        Deleted rows are overwritten by SQLite itself (secure_delete). What is left are older pages in the log, which is
        cut off here; a reader that began before that, and has not ended, keeps it.
        """
        for stale in self.path.parent.glob(f"{ASIDE}*"):
            stale.unlink(missing_ok=True)
        with translated(self.path), impatient(self.connection()) as connection:
            if everything:
                connection.execute("VACUUM")
            [row] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return not row["busy"]

    def read_ahead(self) -> None:
        # A question reads some fifty passages from all over the file, and would wait for the disk each time.
        if hasattr(os, "posix_fadvise") and self.path.stat().st_size <= _memory_left() / 2:
            # In a process of its own: to close the file in this one would end all locks that SQLite has on it here, and
            # others would write what it still reads.
            command = [sys.executable, "-I", "-S", "-c", _READ_AHEAD, str(self.path)]
            subprocess.run(command, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 (our own program)

    def among(self, column: str) -> str:
        return f"{column} IN (SELECT value FROM json_each(?))"

    def listed(self, values: Iterable[str | int | np.int64]) -> object:
        return json.dumps([value if isinstance(value, str) else int(value) for value in values])

    def folded(self, column: str) -> str:
        return f"casefold(v.{column})"

    def like(self, column: str) -> str:
        return f"{column} LIKE '%' || ? || '%'"

    def pairs(self) -> str:
        pair = "json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS version"
        return f"(SELECT {pair} FROM json_each(?)) AS name"

    def paired(self, pairs: Sequence[tuple[str, int | None]]) -> tuple[object, ...]:
        return (json.dumps(pairs),)

    def where_new(self, column: str, run: str, order: str) -> str:
        del run, order
        return column


def _memory_left() -> int:
    """Return how many bytes the system can spare; none where it does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), 0)
