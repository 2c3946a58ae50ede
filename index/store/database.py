"""Database: what the store asks of SQLite and of PostgreSQL.

The SQL is the same for both, but for what stands under "What differs", and the tables.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from index.store.rows import SEALED, Row


class Database(Protocol):
    """One database, safe to use from several threads. Values stand for the `?` of a query, in order.

    Everything raises CorpusError: CorpusBusyError, where trying again helps, and CorpusDamagedError among them.
    """

    # How it is called in messages; without user and password.
    name: str
    # Tables of formats from this one on are read, the older ones after an upgrade.
    oldest: int
    # Columns of `versions` that are kept casefolded in columns of their own, called `…_folded`.
    kept_folded: tuple[str, ...]

    def rows(self, query: str, values: Sequence[object] = ()) -> Sequence[Row]:
        """Return all rows of a result."""

    def tuples(self, query: str, values: Sequence[object] = ()) -> Sequence[tuple[Any, ...]]:
        """Return all rows of a result, each as its values in order: quicker where there are many, or many columns."""

    def stream(self, query: str, values: Sequence[object] = ()) -> Iterator[Row]:
        """Yield the rows of a result, of one state, without holding all of them in memory."""

    def each(self, query: str, firsts: Sequence[int], rest: Sequence[object]) -> Sequence[Row]:
        """Return all rows of a query for each of these numbers as its first value, one result after another.

        rest: its other values, the same for all.
        """

    def keys(self, query: str, values: Sequence[object] = ()) -> NDArray[np.int64]:
        """Return the only column of a result, which is called `key`, in any order."""

    def run(self, statement: str, values: Sequence[object] = ()) -> int:
        """Run a statement and return how many rows it changed."""

    def run_many(self, statement: str, values: Iterable[Sequence[object]]) -> int:
        """Run a statement for each of these values; return how many rows all of them changed."""

    def insert(self, statement: str, values: Sequence[object]) -> int:
        """Insert one row and return its key."""

    def transaction(self) -> AbstractContextManager[None]:
        """Let this thread change the database; committed as a whole at the end, or undone by an error.

        One thread of all processes does so at a time; others wait, for a while.
        """

    def frozen(self) -> AbstractContextManager[None]:
        """Let this thread see the database as it is now, whatever others commit meanwhile."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the writer's lock, which ends with its holder; a thread may take it again while it has it."""

    def translated(self) -> AbstractContextManager[None]:
        """Turn the database's errors into ours."""

    def first_look(self) -> AbstractContextManager["Database | None"]:
        """Give the database in a way that changes nothing of it; None where it was not there, and was made now."""

    def is_empty(self) -> bool:
        """Whether there is no table."""

    def has_facts(self) -> bool:
        """Whether there is the table that all else is told by."""

    def make_tables(self) -> None:
        """Make all tables; inside a transaction."""

    def findings(self) -> list[str]:
        """Return what the database itself finds wrong, in words."""

    def wipe(self, *, everything: bool) -> bool:
        """Erase what deleted rows left; return False where a reader of an older state is in the way.

        everything: also what was deleted without being overwritten.
        """

    def read_ahead(self) -> None:
        """Have the system read what questions will need while nobody waits for it, if it can and has room for it."""

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""

    # What differs

    def among(self, column: str) -> str:
        """Return the condition that `column` is in a list, whose value is made by `listed`."""

    def listed(self, values: Iterable[str | int | np.int64]) -> object:
        """Return a list as one value."""

    def folded(self, column: str) -> str:
        """Return the casefolded value of one of the columns `kept_folded`, as `versions AS v` has it."""

    def like(self, column: str) -> str:
        """Return the condition that `column` holds a value, in any case of ASCII letters; `%` and `_` are wild."""

    def pairs(self) -> str:
        """Return a table `name (id, version)` of values that `paired` makes."""

    def paired(self, pairs: Sequence[tuple[str, int | None]]) -> tuple[object, ...]:
        """Return the values for `pairs`."""

    def where_new(self, column: str, run: str, order: str) -> str:
        """Return `column`, or NULL where `run` is what it was in the row before, in the order of `order`.

        Where sending it again costs nothing, it may stay.
        """


def insert_version(db: Database, values: Sequence[object], *, current: bool) -> int:
    """Insert a row into `versions` and return its key. values: those of `SEALED`, and their seal."""
    named = dict(zip(SEALED, values, strict=False))
    folded = [None if named[name] is None else str(named[name]).casefold() for name in db.kept_folded]
    columns = (*SEALED, "seal", "current", *(f"{name}_folded" for name in db.kept_folded))
    row = (*values, current, *folded)
    return db.insert(f"INSERT INTO versions ({', '.join(columns)}) VALUES ({places(len(row))})", row)


def places(count: int) -> str:
    """Return so many places for values, as they stand in SQL."""
    return ", ".join("?" * count)
