"""Store: one SQLite database, the single source of truth; the lexical index and FAISS are derived from it.

Every change is one transaction and raises the generation by one. Readers never wait for the writer (WAL); there is one
writer at a time.
"""

import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakSet

import numpy as np

from index.encoding import Vectors
from index.errors import (
    ArticleDeletedError,
    ArticleNotFoundError,
    CorpusError,
    CorpusVersionError,
    EncoderMismatchError,
)
from index.store import backup, damage, resemblance, schema
from index.store.change import Change
from index.store.connection import Held, connect, glance, impatient, translated
from index.store.filters import Filters
from index.store.rows import (
    READ,
    RECORD,
    SUMMARY,
    Deletion,
    Known,
    Readings,
    Record,
    Summary,
    column,
    id_hash,
    making_sense,
    readings_of,
    record_of,
    summary_of,
)


class Store:
    """One SQLite database. Safe to use from several threads; each has a connection of its own."""

    def __init__(self, path: Path, *, encoder: str, dim: int) -> None:
        """Open the database at `path`, or make it for vectors of `encoder`, `dim` wide; an older format is upgraded.

        Raises CorpusVersionError, CorpusDamagedError, CorpusBusyError, CorpusError.
        """
        self._path = path
        self._encoder = encoder
        self._dim = dim
        self._local = threading.local()
        self._held: WeakSet[Held] = WeakSet()
        try:
            with translated(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._make_ready()
            self.identity = self._facts()["identity"]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every thread's connection."""
        for held in list(self._held):
            held.connection.close()
        self._local = threading.local()

    def check_encoder(self) -> None:
        """Raise EncoderMismatchError where the vectors in the store are another encoder's."""
        built_with = self._facts()["encoder"]
        if built_with != self._encoder:
            raise EncoderMismatchError(
                f"{self._path} was built with the encoder {built_with}, not {self._encoder}; set QUOTELINE_MODEL to "
                "the former, or run `quoteline rebuild --encode` to encode all articles again"
            )

    # What is there

    @property
    def generation(self) -> int:
        """The number of changes committed so far."""
        return int(self._facts()["generation"])

    def counts(self) -> tuple[int, int, int]:
        """Return how many articles, sentences and passages are searched."""
        [row] = self._rows("SELECT count(*), coalesce(sum(length(sentences)), 0) FROM versions WHERE current")
        articles, width = tuple(row)
        [row] = self._rows("SELECT count(*) FROM passages")
        return articles, width // 8, row[0]

    def collections(self) -> dict[str, int]:
        """Return how many articles each collection holds, by name; those that hold none are not known."""
        rows = self._rows("SELECT collection, count(*) AS n FROM versions WHERE current GROUP BY collection ORDER BY 1")
        return {row["collection"]: row["n"] for row in rows}

    def record(self, article_id: str, version: int | None = None) -> Record:
        """Return a version of an article, the current one unless another is named.

        Raises ArticleNotFoundError, ArticleDeletedError, CorpusDamagedError.
        """
        which, values = ("v.current", ()) if version is None else ("v.version = ?", (version,))
        rows = self._rows(f"SELECT {RECORD} FROM versions v WHERE v.id = ? AND {which}", (article_id, *values))
        if not rows:
            raise self.missing(article_id, version)
        return record_of(rows[0])

    def records_of(self, article_ids: Iterable[str]) -> dict[str, Record]:
        """Return the current versions of these articles, by id; those that are not there are left out."""
        query = f"SELECT {RECORD} FROM versions v WHERE current AND id IN (SELECT value FROM json_each(?))"
        return {row["id"]: record_of(row) for row in self._rows(query, (json.dumps(list(article_ids)),))}

    def records_at(self, names: Iterable[tuple[str, int | None]]) -> dict[tuple[str, int | None], Record]:
        """Return these versions of articles, None for the current one, by both; those not there are left out."""
        rows = self._rows(
            f"SELECT name.value AS name, {RECORD} FROM json_each(?) AS name JOIN versions v"
            " ON v.id = json_extract(name.value, '$[0]')"
            " AND coalesce(v.version = json_extract(name.value, '$[1]'), v.current)",
            (json.dumps(list(names)),),
        )
        return {(row["id"], json.loads(row["name"])[1]): record_of(row) for row in rows}

    def records(self) -> Iterator[Record]:
        """Yield the current versions of all articles, by id."""
        for (article_id,) in self._rows("SELECT id FROM versions WHERE current ORDER BY id"):
            yield self.record(article_id)

    def summaries(
        self, *, after: str = "", limit: int = 1000, filters: Filters | None = None, title: str = ""
    ) -> list[Summary]:
        """Return at most `limit` articles whose ids follow `after`, by id; only those whose title holds `title`."""
        condition, values = _listed(filters, title)
        rows = self._rows(
            f"SELECT {SUMMARY} FROM versions v WHERE {condition} AND v.id > ? ORDER BY v.id LIMIT ?",
            (*values, after, limit),
        )
        return [summary_of(row) for row in rows]

    def count(self, *, filters: Filters | None = None, title: str = "") -> int:
        """Return how many articles `summaries` would list in all."""
        condition, values = _listed(filters, title)
        [row] = self._rows(f"SELECT count(*) FROM versions v WHERE {condition}", values)
        return int(row[0])

    def versions(self, article_id: str) -> list[Summary]:
        """Return all versions of an article, newest first. Raises ArticleNotFoundError, ArticleDeletedError."""
        rows = self._rows(f"SELECT {SUMMARY} FROM versions v WHERE v.id = ? ORDER BY v.version DESC", (article_id,))
        if not rows:
            raise self.missing(article_id)
        return [summary_of(row) for row in rows]

    def holding(self, text: str, filters: Filters | None = None) -> list[str]:
        """Return the ids of all articles that hold `text`, code point by code point. Reads every text there is."""
        condition, values = (filters or Filters()).condition()
        rows = self._rows(f"SELECT v.id FROM versions v WHERE {condition} AND instr(v.text, ?)", (*values, text))
        return [row["id"] for row in rows]

    def of_url(self, url: str, filters: Filters | None = None) -> list[str]:
        """Return the ids of all articles of this URL."""
        condition, values = (filters or Filters()).condition()
        rows = self._rows(f"SELECT v.id FROM versions v WHERE {condition} AND v.url = ? ORDER BY v.id", (*values, url))
        return [row["id"] for row in rows]

    def known(
        self,
        *,
        article_id: str | None = None,
        path: str | None = None,
        url: str | None = None,
        digest: str | None = None,
        collection: str | None = None,
    ) -> Known | None:
        """Return the current article with this id, or path, or URL, or digest, whichever one is asked for.

        collection: only one that belongs to it.
        """
        named = {"id": article_id, "path": path, "url": url, "digest": digest}
        name, value = next((name, value) for name, value in named.items() if value is not None)
        rows = self._rows(
            "SELECT id, version, digest, collection, path FROM versions"
            f" WHERE current AND {name} = ? AND collection = coalesce(?, collection) ORDER BY key LIMIT 1",
            (value, collection),
        )
        return Known(*rows[0]) if rows else None

    def last_version(self, article_id: str) -> int:
        """Return the highest version that an article ever had, deleted ones included; 0 where it never was."""
        rows = self._rows(
            "SELECT coalesce(max(version), 0) AS last FROM (SELECT version FROM versions WHERE id = ?"
            " UNION ALL SELECT version FROM retired WHERE id_hash = ?)",
            (article_id, id_hash(article_id)),
        )
        return int(rows[0]["last"])

    def deletion(self, article_id: str) -> Deletion | None:
        """Return the last deletion of an article, whether or not it was added again since."""
        rows = self._rows(
            "SELECT version, deleted_at FROM retired WHERE id_hash = ? AND deleted_at NOT NULL", (id_hash(article_id),)
        )
        return Deletion(*rows[0]) if rows else None

    def near_duplicates_of(
        self, article_ids: Iterable[str], *, within: Collection[str] | None = None
    ) -> dict[str, dict[str, float]]:
        """Return the near-duplicates of each of these articles that has any: their ids, and how similar they are.

        Most similar first, from 1 down to `nearduplicates.THRESHOLD`; at most a few dozen where there are more. An
        article that is like one that is like a third need not be like that. within: only those in these collections.
        Raises CorpusDamagedError.
        """
        with translated(self._path):
            return resemblance.near_duplicates(self._connection(), article_ids, within)

    # What asking needs

    def passages_of(self, filters: Filters) -> list[int]:
        """Return the keys of all passages of the articles that `filters` admits, in ascending order."""
        condition, values = filters.condition()
        query = f"SELECT p.key FROM versions v JOIN passages p ON p.article = v.key WHERE {condition}"
        return sorted(row["key"] for row in self._rows(query, values))

    def superseded(self, filters: Filters) -> list[tuple[int, str, int]]:
        """Return key, id and version of all versions that `filters` admits and that have no passages any more, by key.

        There are none without `as_of`.
        """
        condition, values = filters.condition()
        rows = self._rows(
            f"SELECT v.key, v.id, v.version FROM versions v WHERE NOT v.current AND {condition} ORDER BY v.key", values
        )
        return [(row["key"], row["id"], row["version"]) for row in rows]

    def there(self, keys: Iterable[int]) -> set[int]:
        """Return those of the keys of versions that are in the store."""
        query = "SELECT v.key FROM versions v WHERE v.key IN (SELECT value FROM json_each(?))"
        return {row["key"] for row in self._rows(query, (json.dumps(list(keys)),))}

    def holding_most(self, keys: Sequence[int], beginnings: Mapping[str, float], limit: int) -> list[int]:
        """Return the keys of the `limit` versions, of those of `keys`, that hold most of what words may begin with.

        beginnings: weights by beginning; case counts in letters outside of ASCII only. Reads all of their texts.
        """
        score = " + ".join(["(v.text LIKE '%' || ? || '%') * ?"] * len(beginnings)) or "0.0"
        rows = self._rows(
            "SELECT v.key FROM versions v WHERE v.key IN (SELECT value FROM json_each(?))"
            f" ORDER BY {score} DESC, v.key LIMIT ?",
            (json.dumps(list(keys)), *(value for pair in beginnings.items() for value in pair), limit),
        )
        return sorted(row["key"] for row in rows)

    def readings(self, keys: Sequence[int]) -> Readings:
        """Return the passages of `keys` with what ranking needs, by key; those that are gone are left out.

        Raises CorpusDamagedError.
        """
        columns = ", ".join(f"p.{name}" for name in READ)
        rows = self._rows(
            f"SELECT p.key, p.seal, v.id, v.version, {columns} FROM passages p JOIN versions v ON v.key = p.article"
            " WHERE p.key IN (SELECT value FROM json_each(?)) ORDER BY p.key",
            (json.dumps(list(keys)),),
        )
        return readings_of(rows, self._dim)

    # What the derived indexes need to catch up

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let this thread see the store as it is now, whatever others commit meanwhile."""
        with translated(self._path):
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                # A transaction sees the state of its first read, not that of its begin.
                connection.execute("SELECT value FROM facts").fetchone()
                yield
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")

    def removed_since(self, generation: int) -> list[int]:
        """Return the keys of passages that were there at `generation` or later and were removed after it."""
        rows = self._rows("SELECT passage FROM removals WHERE generation > ? ORDER BY passage", (generation,))
        return [row["passage"] for row in rows]

    def vectors_since(self, generation: int) -> tuple[list[int], Vectors]:
        """Return keys and vectors, shape (n, dim), of the passages added after `generation`, by key."""
        rows = self._rows("SELECT key, vector FROM passages WHERE generation > ? ORDER BY key", (generation,))
        with making_sense("a passage"):
            vectors = column(rows, "vector", np.float16).reshape(len(rows), self._dim)
        return [row["key"] for row in rows], vectors.astype(np.float32)

    def texts_since(self, generation: int) -> Iterator[tuple[int, str | None, str]]:
        """Yield key, the article's title and own text of each passage added after `generation`, by key."""
        with translated(self._path):
            rows = self._connection().execute(
                "SELECT p.key, v.title, p.spans, v.text FROM passages p JOIN versions v ON v.key = p.article"
                " WHERE p.generation > ? ORDER BY p.key",
                (generation,),
            )
            for row in rows:
                with making_sense("a passage"):
                    spans = np.frombuffer(row["spans"], dtype=np.int32)
                    text = row["text"][spans[0] : spans[-1]]
                yield row["key"], row["title"], text

    # What changes it

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Open the one transaction of a change; it is committed at the end, or undone as a whole by an error.

        Raises CorpusBusyError where another process does not finish its own change in time.
        """
        with self._transaction() as connection:
            generation = self.generation + 1
            yield Change(connection, generation)
            schema.set_facts(connection, generation=generation)

    def find_near_duplicates_again(self) -> None:
        """Find all near-duplicates anew from the texts; nothing else changes, and the generation stays."""
        with self._transaction() as connection:
            self._facts()
            schema.find_near_duplicates_again(connection)

    def has_traces(self) -> bool:
        """Whether what was deleted may still be found in the files."""
        return "deleted" in self._facts()

    def erase_traces(self) -> bool:
        """Erase what deletions left in the database's own files; return whether all of it could be.

        Deleted rows are overwritten by SQLite itself (secure_delete). What is left are older pages in the log, which is
        cut off here; a reader that began before that, and has not ended, keeps it.
        """
        for stale in self._path.parent.glob(f"{backup.ASIDE}*"):
            stale.unlink(missing_ok=True)
        with translated(self._path), impatient(self._connection()) as connection:
            if "unwiped" in self._facts():
                connection.execute("VACUUM")
            [row] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if row["busy"]:
            return False
        with self._transaction() as connection:
            self._facts()
            connection.execute("DELETE FROM facts WHERE name IN ('deleted', 'unwiped')")
            schema.set_facts(connection)
        return True

    # Copies

    def back_up(self, folder: Path) -> backup.Backup:
        """Write a copy of the store, as it is now, to a folder that is made for it. Raises CorpusError."""
        with translated(folder):
            return backup.write(self._connection(), folder)

    def restore(self, folder: Path, *, with_deleted: bool = False) -> backup.Restored:
        """Let the store hold what the backup in `folder` holds, and nothing else; one change, or none.

        with_deleted: also articles that were deleted after the backup was made; they are left out otherwise.
        Raises CorpusError, EncoderMismatchError, CorpusVersionError, CorpusDamagedError; nothing is changed then.
        """
        copy = backup.read(folder)
        connection = self._connection()
        with translated(self._path), backup.attached(connection, folder, copy, self._path):
            if copy.encoder != self._encoder:
                raise EncoderMismatchError(
                    f"the backup in {folder} was made with the encoder {copy.encoder}, not {self._encoder}; set "
                    "QUOTELINE_MODEL to the former"
                )
            with self.change() as change:
                return backup.take_over(connection, change, copy, with_deleted=with_deleted)

    def check(self) -> list[str]:
        """Return what is wrong with the database, in words; nothing where it is sound."""
        try:
            with translated(self._path):
                return damage.find(self._connection(), self._path)
        except CorpusError as error:
            return [str(error)]

    # How

    def _connection(self) -> sqlite3.Connection:
        held: Held | None = getattr(self._local, "held", None)
        if held is None:
            held = Held(connect(self._path))
            self._local.held = held
            self._held.add(held)
        return held.connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        with translated(self._path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A full disk rolls back by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        with translated(self._path):
            return self._connection().execute(query, values).fetchall()

    def _facts(self) -> dict[str, str]:
        """Return all facts by name. Raises CorpusDamagedError where they are not what was written."""
        with translated(self._path):
            known = schema.facts(self._connection())
        damage.check_facts(known, self._path)
        return known

    def missing(self, article_id: str, version: int | None = None) -> ArticleNotFoundError:
        """Return the error for an article, or a version of it, that is not there: never was, or was deleted."""
        deletion = self.deletion(article_id)
        if deletion is not None and (version is None or version <= deletion.version):
            which = f"article {article_id!r}" if version is None else f"version {version} of article {article_id!r}"
            return ArticleDeletedError(f"{which} was deleted; nothing of it is left")
        if version is not None and self.known(article_id=article_id):
            there = ", ".join(str(summary.version) for summary in reversed(self.versions(article_id)))
            return ArticleNotFoundError(f"article {article_id!r} has no version {version}; it has {there}")
        return ArticleNotFoundError(f"there is no article {article_id!r}; `quoteline articles` lists them")

    def _make_ready(self) -> None:
        """Make the tables, or bring them to this format, where that is needed."""
        if self._path.exists():
            # Connecting itself changes a database that does not use WAL yet, such as another program's.
            with glance(self._path) as connection:
                self._check_own(connection)
        else:
            connect(self._path, make=True).close()
        if not schema.is_up_to_date(self._connection()):
            with self._transaction() as connection:
                # Another process may have done so while this one waited.
                self._check_own(connection)
                built = schema.facts(connection).get("format")
                if built is None:
                    schema.create(connection, self._encoder)
                elif built != str(schema.FORMAT):
                    schema.upgrade(connection, int(built))
                if not schema.is_up_to_date(connection):
                    schema.find_near_duplicates_again(connection)

    def _check_own(self, connection: sqlite3.Connection) -> None:
        """Raise CorpusError where the database is another program's, or of a format that is not known."""
        built = schema.facts(connection).get("format")
        if built is None:
            if not connection.execute("SELECT 1 FROM sqlite_master").fetchall():
                return
            raise CorpusError(
                f"{self._path} is the database of another program; nothing was changed. Set QUOTELINE_DATA to a folder "
                "of its own"
            )
        if not built.isdecimal() or not 1 <= int(built) <= schema.FORMAT:
            raise CorpusVersionError(
                f"{self._path} has format {built}, this Quoteline reads formats up to {schema.FORMAT}; use the version "
                "that wrote it, or add the articles to a new QUOTELINE_DATA"
            )


def _listed(filters: Filters | None, title: str) -> tuple[str, list[str | float]]:
    condition, values = (filters or Filters()).condition()
    if title:
        condition += " AND instr(casefold(v.title), casefold(?))"
        values.append(title)
    return condition, values
