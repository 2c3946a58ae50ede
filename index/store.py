"""Articles, their sentences and passages, and all vectors, on disk. The only file that knows SQLite.

The store is the single source of truth: the lexical index and FAISS are derived from it. Every change is one
transaction and raises the generation by one. Readers never wait for the writer (WAL); there is one writer at a time.
"""

import datetime as dt
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from index.articles import Article, Origin, Passage, Span
from index.encoding import Vectors
from index.errors import (
    ArticleNotFoundError,
    CorpusBusyError,
    CorpusDamagedError,
    CorpusError,
    CorpusVersionError,
    EncoderMismatchError,
)

Number = TypeVar("Number", np.float16, np.int32, np.uint32)

FORMAT = 1
# How long a writer waits for another one before it gives up, in seconds.
PATIENCE = 30.0

_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE articles (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
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
    added_at REAL NOT NULL
);
CREATE INDEX articles_by_digest ON articles (digest);
CREATE INDEX articles_by_path ON articles (path);
CREATE INDEX articles_by_source ON articles (source);
CREATE INDEX articles_by_date ON articles (date);
CREATE TABLE passages (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    article INTEGER NOT NULL REFERENCES articles (key),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    vector BLOB NOT NULL,
    spans BLOB NOT NULL,
    sentence_vectors BLOB NOT NULL,
    terms BLOB NOT NULL,
    term_counts BLOB NOT NULL,
    generation INTEGER NOT NULL
);
CREATE INDEX passages_by_article ON passages (article);
CREATE INDEX passages_by_generation ON passages (generation);
CREATE TABLE removals (passage INTEGER PRIMARY KEY, generation INTEGER NOT NULL);
CREATE INDEX removals_by_generation ON removals (generation);
"""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One passage with all that ranking needs of its sentences `[first, last)`, n of them.

    vector: float32, shape (dim,). sentence_vectors: float32, shape (n, dim). Both were rounded to float16 on the way.
    spans: int32, shape (n, 2), offsets in the article. terms: the sentences' terms as 32-bit hashes, one sentence
    after another; term_counts: how many of them belong to each sentence.
    """

    first: int
    last: int
    vector: Vectors
    spans: NDArray[np.int32]
    sentence_vectors: Vectors
    terms: NDArray[np.uint32]
    term_counts: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Many passages at once, in columns; p passages with n sentences in all, in the order of `passages`.

    vectors: float32, shape (p, dim). counts: int64, shape (p,), the sentences of each passage.
    spans: int32, shape (n, 2). sentence_vectors: float32, shape (n, dim). terms, term_counts: as in `Reading`.
    """

    passages: tuple[Passage, ...]
    vectors: Vectors
    counts: NDArray[np.int64]
    spans: NDArray[np.int32]
    sentence_vectors: Vectors
    terms: NDArray[np.uint32]
    term_counts: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Record:
    """An article as the store holds it.

    digest: of the article when it was added. sentences: all of them in order. added_at: seconds since 1970.
    """

    article: Article
    version: int
    digest: str
    sentences: tuple[Span, ...]
    generation: int
    added_at: float


@dataclass(frozen=True, slots=True)
class Summary:
    """An article in a list: all but its text. characters: the length of the text; sentences: how many."""

    id: str
    version: int
    title: str | None
    date: dt.date | None
    source: str | None
    url: str | None
    author: str | None
    language: str | None
    media_type: str
    characters: int
    sentences: int
    added_at: float


@dataclass(frozen=True, slots=True)
class Filters:
    """Which articles may answer; an empty filter admits all. Dates are inclusive; sources match in any case."""

    article_ids: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    date_from: dt.date | None = None
    date_to: dt.date | None = None

    def __bool__(self) -> bool:
        return bool(self.article_ids or self.sources or self.date_from or self.date_to)


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of an article that is about to be added: its id there, its version and its digest."""

    id: str
    version: int
    digest: str
    path: str | None


class Store:
    """One SQLite database. Safe to use from several threads; each has a connection of its own."""

    def __init__(self, path: Path, *, encoder: str, dim: int) -> None:
        """Open the database at `path`, or make it for vectors of `encoder`, `dim` wide.

        Raises CorpusVersionError, CorpusDamagedError, CorpusError.
        """
        self._path = path
        self._encoder = encoder
        self._dim = dim
        self._local = threading.local()
        self._held: WeakSet[_Held] = WeakSet()
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self._fact("format"):
                self._create(encoder)
        self._check_format()
        self.identity = self._fact("identity")

    def close(self) -> None:
        """Close every thread's connection."""
        for held in list(self._held):
            held.connection.close()
        self._local = threading.local()

    def check_encoder(self) -> None:
        """Raise EncoderMismatchError where the vectors in the store are another encoder's."""
        built_with = self._fact("encoder")
        if built_with != self._encoder:
            raise EncoderMismatchError(
                f"{self._path} was built with the encoder {built_with}, not {self._encoder}; set QUOTELINE_MODEL to "
                "the former, or run `quoteline rebuild --encode` to encode all articles again"
            )

    # What is there

    @property
    def generation(self) -> int:
        """The number of changes committed so far."""
        return int(self._fact("generation"))

    def counts(self) -> tuple[int, int, int]:
        """Return how many articles, sentences and passages there are."""
        articles, width = self._one("SELECT count(*), coalesce(sum(length(sentences)), 0) FROM articles")
        (passages,) = self._one("SELECT count(*) FROM passages")
        return articles, width // 8, passages

    def record(self, article_id: str) -> Record:
        """Return an article with its sentences. Raises ArticleNotFoundError."""
        row = self._row("SELECT * FROM articles WHERE id = ?", (article_id,))
        if row is None:
            raise ArticleNotFoundError(f"there is no article {article_id!r}; `quoteline articles` lists them")
        return _record(row)

    def records_of(self, article_ids: Iterable[str]) -> dict[str, Record]:
        """Return the articles of these ids, by id; those that are not there are left out."""
        query = "SELECT * FROM articles WHERE id IN (SELECT value FROM json_each(?))"
        return {row["id"]: _record(row) for row in self._rows(query, (json.dumps(list(article_ids)),))}

    def records(self) -> Iterator[Record]:
        """Yield all articles with their sentences, by id."""
        for (article_id,) in self._rows("SELECT id FROM articles ORDER BY id"):
            yield self.record(article_id)

    def summaries(self, *, after: str = "", limit: int = 1000) -> list[Summary]:
        """Return at most `limit` articles whose ids follow `after`, by id."""
        rows = self._rows(
            "SELECT id, version, title, date, source, url, author, language, media_type, length(text) AS characters,"
            " length(sentences) / 8 AS sentences, added_at FROM articles WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit),
        )
        return [Summary(**{**dict(row), "date": _date(row["date"])}) for row in rows]

    def known(
        self, *, article_id: str | None = None, path: str | None = None, digest: str | None = None
    ) -> Known | None:
        """Return the article with this id, or from this path, or with this digest, whichever one is asked for."""
        column, value = next(
            (c, v) for c, v in (("id", article_id), ("path", path), ("digest", digest)) if v is not None
        )
        row = self._row(f"SELECT id, version, digest, path FROM articles WHERE {column} = ? ORDER BY key", (value,))  # noqa: S608
        return Known(**dict(row)) if row else None

    # What asking needs

    def passages_of(self, filters: Filters) -> list[int]:
        """Return the keys of all passages of the articles that `filters` admits, in ascending order."""
        conditions, values = ["1"], []
        if filters.article_ids:
            conditions.append("a.id IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(filters.article_ids))
        if filters.sources:
            conditions.append("casefold(a.source) IN (SELECT casefold(value) FROM json_each(?))")
            values.append(json.dumps(filters.sources))
        if filters.date_from:
            conditions.append("a.date >= ?")
            values.append(filters.date_from.isoformat())
        if filters.date_to:
            conditions.append("a.date <= ?")
            values.append(filters.date_to.isoformat())
        query = "SELECT p.key FROM articles a JOIN passages p ON p.article = a.key WHERE " + " AND ".join(conditions)  # noqa: S608
        return sorted(row["key"] for row in self._rows(query, values))

    def readings(self, keys: Sequence[int]) -> Readings:
        """Return the passages of `keys` with what ranking needs, by key; those that are gone are left out."""
        rows = self._rows(
            "SELECT p.key, a.id, p.first, p.last, p.vector, p.spans, p.sentence_vectors, p.terms, p.term_counts"
            " FROM passages p JOIN articles a ON a.key = p.article"
            " WHERE p.key IN (SELECT value FROM json_each(?)) ORDER BY p.key",
            (json.dumps(list(keys)),),
        )
        return Readings(
            passages=tuple(Passage(row["key"], row["id"], row["first"], row["last"]) for row in rows),
            vectors=_column(rows, "vector", np.float16).reshape(-1, self._dim).astype(np.float32),
            counts=np.array([row["last"] - row["first"] for row in rows], dtype=np.int64),
            spans=_column(rows, "spans", np.int32).reshape(-1, 2),
            sentence_vectors=_column(rows, "sentence_vectors", np.float16).reshape(-1, self._dim).astype(np.float32),
            terms=_column(rows, "terms", np.uint32),
            term_counts=_column(rows, "term_counts", np.uint32),
        )

    # What the derived indexes need to catch up

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let this thread see the store as it is now, whatever others commit meanwhile."""
        with _translated(self._path):
            self._connection().execute("BEGIN")
            # A transaction sees the state of its first read, not that of its begin.
            self._connection().execute("SELECT value FROM facts").fetchone()
            try:
                yield
            finally:
                self._connection().execute("COMMIT")

    def removed_since(self, generation: int) -> list[int]:
        """Return the keys of passages that were there at `generation` or later and were removed after it."""
        rows = self._rows("SELECT passage FROM removals WHERE generation > ? ORDER BY passage", (generation,))
        return [row["passage"] for row in rows]

    def vectors_since(self, generation: int) -> tuple[list[int], Vectors]:
        """Return keys and vectors, shape (n, dim), of the passages added after `generation`, by key."""
        rows = self._rows("SELECT key, vector FROM passages WHERE generation > ? ORDER BY key", (generation,))
        vectors = _column(rows, "vector", np.float16).reshape(len(rows), self._dim)
        return [row["key"] for row in rows], vectors.astype(np.float32)

    def texts_since(self, generation: int) -> Iterator[tuple[int, str | None, str]]:
        """Yield key, the article's title and own text of each passage added after `generation`, by key."""
        rows = self._connection().execute(
            "SELECT p.key, a.title, p.spans, a.text FROM passages p JOIN articles a ON a.key = p.article"
            " WHERE p.generation > ? ORDER BY p.key",
            (generation,),
        )
        for row in rows:
            spans = np.frombuffer(row["spans"], dtype=np.int32)
            yield row["key"], row["title"], row["text"][spans[0] : spans[-1]]

    # What changes it

    @contextmanager
    def change(self) -> Iterator["Change"]:
        """Open the one transaction of a change; it is committed at the end, or undone as a whole by an error.

        Raises CorpusBusyError where another process does not finish its own change in time.
        """
        connection = self._connection()
        with _translated(self._path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                generation = self.generation + 1
                yield Change(connection, generation)
                connection.execute("UPDATE facts SET value = ? WHERE name = 'generation'", (str(generation),))
                connection.execute("COMMIT")
            except BaseException:
                # A full disk rolls back by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def check(self) -> list[str]:
        """Return what is wrong with the database, in words; nothing where it is sound."""
        try:
            findings = [str(row[0]) for row in self._rows("PRAGMA integrity_check")]
            findings = [] if findings == ["ok"] else [f"{self._path}: {finding}" for finding in findings]
            for record in self.records():
                passages = self._rows(
                    "SELECT first, last, spans FROM passages WHERE article = (SELECT key FROM articles WHERE id = ?)",
                    (record.article.id,),
                )
                findings += _check_record(record) + _check_passages(record, passages)
        except (CorpusError, sqlite3.DatabaseError, ValueError, KeyError) as error:
            return [f"{self._path} cannot be read: {error if isinstance(error, CorpusError) else 'it is damaged'}"]
        return findings

    # How

    def _connection(self) -> sqlite3.Connection:
        held: _Held | None = getattr(self._local, "held", None)
        if held is None:
            held = _Held(
                sqlite3.connect(
                    self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=64
                )
            )
            held.connection.row_factory = sqlite3.Row
            # SQLite's own lower() knows ASCII only.
            held.connection.create_function("casefold", 1, _casefold, deterministic=True)
            _use_wal(held.connection)
            # FULL: what was acknowledged survives a power cut, too.
            held.connection.executescript(
                "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA mmap_size=1073741824;"
            )
            self._local.held = held
            self._held.add(held)
        return held.connection

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        with _translated(self._path):
            return self._connection().execute(query, values).fetchall()

    def _row(self, query: str, values: Sequence[object] = ()) -> sqlite3.Row | None:
        rows = self._rows(query + " LIMIT 1", values)
        return rows[0] if rows else None

    def _one(self, query: str) -> tuple[int, ...]:
        return tuple(self._rows(query)[0])

    def _fact(self, name: str) -> str:
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'facts'"):
            return ""
        row = self._row("SELECT value FROM facts WHERE name = ?", (name,))
        return row["value"] if row else ""

    def _create(self, encoder: str) -> None:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have made it while this one waited.
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchall():
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                facts = {"format": FORMAT, "identity": uuid.uuid4().hex, "encoder": encoder, "generation": 0}
                connection.executemany("INSERT INTO facts VALUES (?, ?)", [(k, str(v)) for k, v in facts.items()])
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _check_format(self) -> None:
        built = self._fact("format")
        if built != str(FORMAT):
            raise CorpusVersionError(
                f"{self._path} has format {built}, this Quoteline reads format {FORMAT}; "
                "use the version that wrote it, or add the articles to a new QUOTELINE_DATA"
            )


class Change:
    """The writing side of one transaction."""

    def __init__(self, connection: sqlite3.Connection, generation: int) -> None:
        self._connection = connection
        self.generation = generation

    def add(self, article: Article, *, version: int, sentences: Sequence[Span], readings: Sequence[Reading]) -> None:
        """Insert an article with its sentences and passages; its id must be free."""
        key = self._connection.execute(
            "INSERT INTO articles (id, version, digest, path, text, body_start, body_end, title, date, source, url,"
            " author, language, media_type, pages, origins, sentences, generation, added_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                article.id,
                version,
                article.digest(),
                article.path,
                article.text,
                article.body.start,
                article.body.end,
                article.title,
                article.date and article.date.isoformat(),
                article.source,
                article.url,
                article.author,
                article.language,
                article.media_type,
                json.dumps(article.pages),
                _origins_to_json(article.origins),
                np.array([(span.start, span.end) for span in sentences], dtype=np.int32).tobytes(),
                self.generation,
                time.time(),
            ),
        ).lastrowid
        self._insert(int(key or 0), readings)

    def remove(self, article_id: str) -> None:
        """Remove an article with its passages. Raises ArticleNotFoundError."""
        key = self._clear(article_id)
        self._connection.execute("DELETE FROM articles WHERE key = ?", (key,))

    def replace_passages(self, article_id: str, readings: Sequence[Reading]) -> None:
        """Replace an article's passages, and nothing else of it. Raises ArticleNotFoundError."""
        self._insert(self._clear(article_id), readings)

    def set_encoder(self, name: str) -> None:
        """Say that all vectors are those of another encoder from now on."""
        self._connection.execute("UPDATE facts SET value = ? WHERE name = 'encoder'", (name,))

    def _clear(self, article_id: str) -> int:
        """Remove an article's passages and return the article's number."""
        row = self._connection.execute("SELECT key FROM articles WHERE id = ?", (article_id,)).fetchone()
        if row is None:
            raise ArticleNotFoundError(f"there is no article {article_id!r}; `quoteline articles` lists them")
        key = int(row["key"])
        self._connection.execute(
            "INSERT INTO removals SELECT key, ? FROM passages WHERE article = ?", (self.generation, key)
        )
        self._connection.execute("DELETE FROM passages WHERE article = ?", (key,))
        return key

    def _insert(self, article: int, readings: Sequence[Reading]) -> None:
        self._connection.executemany(
            "INSERT INTO passages"
            " (article, first, last, vector, spans, sentence_vectors, terms, term_counts, generation)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(article, r.first, r.last, *_blobs(r), self.generation) for r in readings],
        )


class _Held:
    """A thread's connection; it is closed when the thread ends, because a server's threads come and go."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


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


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors, and the file system's, into ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise CorpusBusyError(f"another process is changing {path}; try again when it is done") from error
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            raise CorpusError(f"the disk that holds {path} is full; nothing of this change was kept") from error
        raise CorpusError(
            f"{path} cannot be opened or written; check that its folder exists, is yours, and is not read-only"
        ) from error
    except sqlite3.DatabaseError as error:
        raise CorpusDamagedError(
            f"{path} is damaged or no database; restore a backup, or remove it and add again"
        ) from error
    except OSError as error:
        raise CorpusError(
            f"{path} cannot be written ({error.strerror}); check its folder and who owns it, or set QUOTELINE_DATA"
        ) from error


def _column(rows: Sequence[sqlite3.Row], name: str, dtype: type[Number]) -> NDArray[Number]:
    """Return the arrays of one column, one after another."""
    return np.frombuffer(b"".join(row[name] for row in rows), dtype=dtype)


def _blobs(reading: Reading) -> tuple[bytes, ...]:
    return (
        reading.vector.astype(np.float16).tobytes(),
        reading.spans.astype(np.int32).tobytes(),
        reading.sentence_vectors.astype(np.float16).tobytes(),
        reading.terms.astype(np.uint32).tobytes(),
        reading.term_counts.astype(np.uint32).tobytes(),
    )


def _record(row: sqlite3.Row) -> Record:
    article = Article(
        id=row["id"],
        text=row["text"],
        body=Span(row["body_start"], row["body_end"]),
        title=row["title"],
        date=_date(row["date"]),
        source=row["source"],
        url=row["url"],
        author=row["author"],
        language=row["language"],
        media_type=row["media_type"],
        pages=tuple(json.loads(row["pages"])),
        origins=_origins_from_json(row["origins"]),
        path=row["path"],
    )
    spans = np.frombuffer(row["sentences"], dtype=np.int32).reshape(-1, 2).tolist()
    return Record(
        article, row["version"], row["digest"], tuple(Span(*span) for span in spans), row["generation"], row["added_at"]
    )


def _check_record(record: Record) -> list[str]:
    """Return what is wrong with an article: text that is not what was added, sentences that leave its body."""
    article, findings = record.article, []
    spans = record.sentences
    if article.digest() != record.digest:
        findings.append(f"article {article.id}: its text or metadata is not what was added")
    if not all(article.body.covers(span) for span in spans):
        findings.append(f"article {article.id}: a sentence leaves its body")
    if any(one.end > other.start for one, other in pairwise(spans)):
        findings.append(f"article {article.id}: sentences overlap")
    return findings


def _check_passages(record: Record, passages: Sequence[sqlite3.Row]) -> list[str]:
    """Return what is wrong with an article's passages: spans that are not its sentences', sentences in no passage."""
    name, findings = record.article.id, []
    spans = np.array([(span.start, span.end) for span in record.sentences], dtype=np.int32).reshape(-1, 2)
    if any(spans[row["first"] : row["last"]].tobytes() != row["spans"] for row in passages):
        findings.append(f"article {name}: a passage holds other sentences than the article")
    if {ordinal for row in passages for ordinal in range(row["first"], row["last"])} != set(range(len(spans))):
        findings.append(f"article {name}: its passages do not hold all of its sentences")
    return findings


def _date(value: str | None) -> dt.date | None:
    return dt.date.fromisoformat(value) if value else None


def _origins_to_json(origins: dict[str, Origin]) -> str:
    return json.dumps({k: [o.where, *((o.span.start, o.span.end) if o.span else ())] for k, o in origins.items()})


def _origins_from_json(value: str) -> dict[str, Origin]:
    return {k: Origin(where, Span(*span) if span else None) for k, (where, *span) in json.loads(value).items()}
