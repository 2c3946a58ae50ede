"""The tables, and how those of an older format become them."""

import uuid

from index.nearduplicates import SCHEME
from index.store import resemblance
from index.store.database import Database
from index.store.rows import SEALED, passage_seal, seal
from index.store.sqlite import RESEMBLANCE, TABLES, Sqlite

FORMAT = 3


def create(db: Database, encoder: str) -> None:
    """Make the tables of an empty database; inside a transaction of the caller's."""
    db.make_tables()
    known = {"identity": uuid.uuid4().hex, "encoder": encoder, "resemblance": SCHEME}
    set_facts(db, format=FORMAT, generation=0, **known)


def upgrade(db: Sqlite, built: int) -> None:
    """Bring the tables of format `built` to this one; inside a transaction of the caller's."""
    if built < 2:
        _upgrade_to_2(db)
    if built < 3:
        # Empty, and not known to be made in any way: who opens the store fills them.
        db.make(RESEMBLANCE)
    set_facts(db, format=FORMAT)


def is_up_to_date(db: Database) -> bool:
    """Whether the tables are of this format, and near-duplicates were found as they are found now."""
    known = facts(db)
    return (known.get("format"), known.get("resemblance")) == (str(FORMAT), SCHEME)


def find_near_duplicates_again(db: Database) -> None:
    """Find all near-duplicates anew, as they are found now; inside a transaction of the caller's."""
    resemblance.make_again(db)
    set_facts(db, resemblance=SCHEME)


def facts(db: Database) -> dict[str, str]:
    """Return all facts by name; none where there is no such table."""
    if not db.has_facts():
        return {}
    # As text, whatever damage made of it: that is for the seal to say.
    return {str(row["name"]): str(row["value"]) for row in db.rows("SELECT name, value FROM facts")}


def set_facts(db: Database, **values: object) -> None:
    """Set some facts, and the seal of all of them."""
    there = facts(db)
    known = {**there, **{name: str(value) for name, value in values.items()}}
    known["seal"] = facts_seal(known)
    changed = [(name, value) for name, value in known.items() if there.get(name) != value]
    db.run_many(
        "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", changed
    )


def drop_facts(db: Database, *names: str) -> None:
    """Forget some facts; the seal is that of the others from then on."""
    db.run(f"DELETE FROM facts WHERE {db.among('name')}", (db.listed(names),))
    set_facts(db)


def facts_seal(known: dict[str, str]) -> str:
    """Return the seal of all facts but itself."""
    return seal(f"{name}={known[name]}" for name in sorted(known) if name != "seal").hex()


def _upgrade_to_2(db: Sqlite) -> None:
    """Format 1 knew one version of each article, no collections, and no seals."""
    connection = db.connection()
    columns = ", ".join(name for name in SEALED if name != "collection")
    sequences = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    known = facts(db)
    connection.execute("DROP TABLE facts")
    for name in ("articles_by_digest", "articles_by_path", "articles_by_source", "articles_by_date"):
        connection.execute(f"DROP INDEX {name}")
    for name in ("passages_by_article", "passages_by_generation", "removals_by_generation"):
        connection.execute(f"DROP INDEX {name}")
    connection.execute("ALTER TABLE removals RENAME TO removals_1")
    connection.execute("ALTER TABLE passages RENAME TO passages_1")
    db.make(TABLES)
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
    set_facts(db, **kept, deleted=known["generation"], unwiped=1)
