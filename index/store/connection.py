"""Connections to SQLite, and its errors as ours."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from index.errors import CorpusBusyError, CorpusDamagedError, CorpusError
from index.store.rows import id_hash

# How long a writer waits for another one before it gives up, in seconds.
PATIENCE = 30.0
# How long one waits who can as well come again later.
MOMENT = 1.0

# Not mapped into memory, which would save 0.2 ms per question: a read error, or a file cut short by somebody, would end
# the process instead of one question.
_PRAGMAS = """
PRAGMA synchronous=FULL;        -- what was acknowledged survives a power cut, too
PRAGMA secure_delete=ON;        -- what is deleted is overwritten
PRAGMA foreign_keys=ON;
PRAGMA cache_size=-16384;       -- in KB: the inner pages of a few million passages, which are read again and again
"""


class Held:
    """A thread's connection; it is closed when the thread ends, because a server's threads come and go."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


def connect(path: Path, *, make: bool = False) -> sqlite3.Connection:
    """Return a connection to the database at `path`; only where `make` says so is one made that is not there."""
    # Without a mode, SQLite puts an empty database in the place of one that somebody moved away.
    address = f"file:{quote(str(path.absolute()))}?mode={'rwc' if make else 'rw'}"
    connection = sqlite3.connect(
        address, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    try:
        connection.row_factory = sqlite3.Row
        # SQLite's own lower() knows ASCII only.
        connection.create_function("casefold", 1, _casefold, deterministic=True)
        # SQLite's own length() ends at a NUL.
        connection.create_function("code_points", 1, len, deterministic=True)
        connection.create_function("id_hash", 1, id_hash, deterministic=True)
        _use_wal(connection)
        connection.executescript(_PRAGMAS)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def glance(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection that changes nothing: neither the database nor how it is written."""
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    # What was left half-written is for SQLite to settle, and that takes more than reading.
    settled = not path.with_name(f"{path.name}-journal").exists()
    with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE) if settled else connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


@contextmanager
def impatient(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Let a connection wait for others only as long as an answer takes."""
    connection.execute(f"PRAGMA busy_timeout={round(1000 * MOMENT)}")
    try:
        yield connection
    finally:
        connection.execute(f"PRAGMA busy_timeout={round(1000 * PATIENCE)}")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors, and the file system's, into ours."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.DatabaseError as error:
        # Python's own errors, such as for text that is not UTF-8, have no code of SQLite's.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        raise _ours(code, path) from error
    except UnicodeDecodeError as error:
        # SQLite quotes the damaged part of its schema in its message, which Python cannot read then.
        raise _ours(sqlite3.SQLITE_CORRUPT, path) from error
    except OSError as error:
        raise CorpusError(
            f"{path} cannot be written ({error.strerror}); check its folder and who owns it, or set QUOTELINE_DATA"
        ) from error


def _ours(code: int, path: Path) -> CorpusError:
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return CorpusBusyError(f"another process is changing {path}; try again when it is done")
    if code == sqlite3.SQLITE_FULL:
        return CorpusError(f"the disk that holds {path} is full; nothing of this change was kept")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR):
        return CorpusDamagedError(
            f"{path} is damaged or no database of Quoteline's; bring back a backup with `quoteline restore`, or remove "
            "it and add the articles again"
        )
    return CorpusError(
        f"{path} cannot be opened or written; check that its folder exists, is yours, is not full and not read-only"
    )


def _casefold(value: str | None) -> str | None:
    return value and value.casefold()


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; unlike with everything else, SQLite does not itself wait for another one that is doing so."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
