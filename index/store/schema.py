"""The tables, and how those of an older format become them."""

import sqlite3
import uuid

from index.nearduplicates import SCHEME
from index.store import resemblance
from index.store.rows import SEALED, passage_seal, seal

FORMAT = 3

_SCHEMA = """
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


def create(connection: sqlite3.Connection, encoder: str) -> None:
    """Make the tables of an empty database; inside a transaction of the caller's."""
    _make_tables(connection, _SCHEMA)
    _make_tables(connection, resemblance.TABLES)
    known = {"identity": uuid.uuid4().hex, "encoder": encoder, "resemblance": SCHEME}
    set_facts(connection, format=FORMAT, generation=0, **known)


def upgrade(connection: sqlite3.Connection, built: int) -> None:
    """Bring the tables of format `built` to this one; inside a transaction of the caller's."""
    if built < 2:
        _upgrade_to_2(connection)
    if built < 3:
        # Empty, and not known to be made in any way: who opens the store fills them.
        _make_tables(connection, resemblance.TABLES)
    set_facts(connection, format=FORMAT)


def is_up_to_date(connection: sqlite3.Connection) -> bool:
    """Whether the tables are of this format, and near-duplicates were found as they are found now."""
    known = facts(connection)
    return (known.get("format"), known.get("resemblance")) == (str(FORMAT), SCHEME)


def find_near_duplicates_again(connection: sqlite3.Connection) -> None:
    """Find all near-duplicates anew, as they are found now; inside a transaction of the caller's."""
    resemblance.make_again(connection)
    set_facts(connection, resemblance=SCHEME)


def facts(connection: sqlite3.Connection) -> dict[str, str]:
    """Return all facts by name; none where there is no such table."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchall():
        return {}
    # As text, whatever damage made of it: that is for the seal to say.
    return {str(row[0]): str(row[1]) for row in connection.execute("SELECT name, value FROM facts")}


def set_facts(connection: sqlite3.Connection, **values: object) -> None:
    """Set some facts, and the seal of all of them."""
    known = {**facts(connection), **{name: str(value) for name, value in values.items()}}
    known["seal"] = facts_seal(known)
    connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", list(known.items()))


def facts_seal(known: dict[str, str]) -> str:
    """Return the seal of all facts but itself."""
    return seal(f"{name}={known[name]}" for name in sorted(known) if name != "seal").hex()


def _make_tables(connection: sqlite3.Connection, tables: str) -> None:
    for statement in tables.split(";\n"):
        connection.execute(statement)


def _upgrade_to_2(connection: sqlite3.Connection) -> None:
    """Format 1 knew one version of each article, no collections, and no seals."""
    columns = ", ".join(name for name in SEALED if name != "collection")
    sequences = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    known = facts(connection)
    connection.execute("DROP TABLE facts")
    for name in ("articles_by_digest", "articles_by_path", "articles_by_source", "articles_by_date"):
        connection.execute(f"DROP INDEX {name}")
    for name in ("passages_by_article", "passages_by_generation", "removals_by_generation"):
        connection.execute(f"DROP INDEX {name}")
    connection.execute("ALTER TABLE removals RENAME TO removals_1")
    connection.execute("ALTER TABLE passages RENAME TO passages_1")
    _make_tables(connection, _SCHEMA)
    for row in connection.execute(f"SELECT key, {columns} FROM articles"):
        named = {**dict(row), "collection": "default"}
        values = [named[name] for name in SEALED]
        places = ", ".join("?" * (len(SEALED) + 3))
        connection.execute(
            f"INSERT INTO versions (key, current, {', '.join(SEALED)}, seal) VALUES ({places})",
            (row["key"], 1, *values, seal(values)),
        )
    connection.create_function("passage_seal", 9, passage_seal, deterministic=True)
    read = "first, last, vector, spans, sentence_vectors, terms, term_counts"
    connection.execute(
        f"INSERT INTO passages (key, article, {read}, seal, generation)"
        f" SELECT p.key, article, {read}, passage_seal(v.id, v.version, {read}), p.generation"
        " FROM passages_1 p JOIN versions v ON v.key = p.article"
    )
    connection.execute("INSERT INTO removals SELECT passage, generation FROM removals_1")
    for name in ("removals_1", "passages_1", "articles"):
        connection.execute(f"DROP TABLE {name}")
    # A key is never used again, whatever was removed last.
    for old, new in (("articles", "versions"), ("passages", "passages")):
        connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (new,))
        connection.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (new, sequences.get(old, 0)))
    kept = {name: value for name, value in known.items() if name != "format"}
    # Format 1 did not overwrite what it deleted: the free pages are still full of it.
    set_facts(connection, **kept, deleted=known["generation"], unwiped=1)
