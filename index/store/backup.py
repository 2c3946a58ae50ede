"""Copies of a store, made and brought back while others use it."""

import datetime as dt
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from index.errors import CorpusDamagedError, CorpusError, CorpusVersionError
from index.store import damage, resemblance, schema
from index.store.change import Change
from index.store.connection import translated
from index.store.database import Database, insert_version, places
from index.store.rows import READ, SEALED, id_hash, seal
from index.store.sqlite import ASIDE, Sqlite

_DATABASE = "quoteline.db"
_ABOUT = "backup.json"
# Rows that are copied at a time.
_TOGETHER = 500


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup says of itself. created_at: seconds since 1970; sha256: of its database."""

    format: int
    identity: str
    encoder: str
    generation: int
    articles: int
    created_at: float
    sha256: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back. left_out: articles that were deleted after the backup was made."""

    articles: int
    versions: int
    left_out: int


def write(db: Database, folder: Path) -> Backup:
    """Write a copy of the database to `folder`, which must not exist or be empty; a damaged one is no backup.

    Raises CorpusError, CorpusDamagedError.
    """
    with translated(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CorpusError(f"{folder} is not empty; a backup goes into a new folder, which is made for it")
        # Made beside it and renamed: a backup that is there is whole.
        folder = folder.absolute()
        unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        unfinished.mkdir(parents=True)
        try:
            _copy(db, unfinished / _DATABASE)
            made = _describe(unfinished / _DATABASE)
            about = asdict(made)
            about["seal"] = _seal(about)
            (unfinished / _ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
            for path in (unfinished / _DATABASE, unfinished / _ABOUT, unfinished):
                _sync(path)
            unfinished.replace(folder)
            _sync(folder.parent)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        return made


def read(folder: Path) -> Backup:
    """Return what the backup in `folder` says of itself, and check that its database is that of then.

    Raises CorpusError, CorpusDamagedError, CorpusVersionError.
    """
    if not (folder / _ABOUT).is_file():
        raise CorpusError(f"{folder} holds no backup; `quoteline backup` makes one")
    try:
        known = json.loads((folder / _ABOUT).read_bytes())
        sound = known.pop("seal") == _seal(known)
        about = Backup(**known)
        sound = sound and _sha256(folder / _DATABASE) == about.sha256
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorpusDamagedError(f"the backup in {folder} is damaged; use another one") from error
    if not sound:
        raise CorpusDamagedError(f"the backup in {folder} is not what was written; use another one")
    if about.format > schema.FORMAT:
        raise CorpusVersionError(
            f"the backup in {folder} has format {about.format}, this Quoteline reads formats up to {schema.FORMAT}; "
            "use the version that wrote it"
        )
    return about


@contextmanager
def opened(db: Database, folder: Path, copy: Backup) -> Iterator[Sqlite]:
    """Give the database of a backup, to be read only; one of an older format is upgraded, aside.

    db: what it is to be brought back into; one of SQLite's has it attached, too, under the name `copy`.
    """
    beside = db.path.parent if isinstance(db, Sqlite) else Path(tempfile.gettempdir())
    database, aside = folder / _DATABASE, beside / f"{ASIDE}{os.getpid()}.{secrets.token_hex(4)}.db"
    try:
        with translated(folder):
            if copy.format < schema.FORMAT:
                shutil.copyfile(database, aside)
                _upgrade(aside, copy.format)
                database = aside
            address = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
            with closing(sqlite3.connect(address, uri=True, check_same_thread=False)) as connection:
                connection.row_factory = sqlite3.Row
                with _attached(db, address):
                    yield Sqlite(database, connection)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _attached(db: Database, address: str) -> Iterator[None]:
    if not isinstance(db, Sqlite):
        yield
        return
    db.run("ATTACH DATABASE ? AS copy", (address,))
    try:
        yield
    finally:
        db.run("DETACH DATABASE copy")


def take_over(db: Database, change: Change, source: Sqlite, copy: Backup, *, with_deleted: bool) -> Restored:
    """Replace all that the store holds by what the opened backup holds; inside the transaction of `change`.

    Keys are not those of the backup but new ones, so that whoever holds what is derived sees an ordinary change: all
    passages removed, others added. No version's number is given to other content: those that go are kept in mind.
    """
    since = None if with_deleted else copy.created_at
    gone = db.rows("SELECT id, max(version) AS version FROM versions GROUP BY id")
    db.run("INSERT INTO removals SELECT key, ? FROM passages", (change.generation,))
    db.run("DELETE FROM passages")
    resemblance.forget_all(db)
    db.run("DELETE FROM versions")
    deleted = {row["id_hash"] for row in db.rows("SELECT id_hash FROM retired WHERE deleted_at > ?", (since,))}
    for row in source.rows("SELECT id_hash, version, deleted_at FROM retired"):
        change.retire(row["id_hash"], row["version"], row["deleted_at"])
    for row in gone:
        change.retire(id_hash(row["id"]), row["version"], None)
    ids = [row["id"] for row in source.rows("SELECT id FROM versions WHERE current")]
    left_out = [one for one in ids if id_hash(one) in deleted]
    if isinstance(db, Sqlite):
        _take_attached(db, change.generation, left_out)
    else:
        _take_rows(db, change.generation, source, set(left_out))
    schema.find_near_duplicates_again(db)
    # What was there before is in the files still.
    schema.set_facts(db, deleted=change.generation)
    [counts] = db.rows("SELECT count(*) AS n, count(CASE WHEN current THEN 1 END) AS searched FROM versions")
    return Restored(articles=counts["searched"], versions=counts["n"], left_out=len(left_out))


def _take_attached(db: Sqlite, generation: int, left_out: list[str]) -> None:
    """Copy all versions but those of `left_out`, with their passages, from the attached database."""
    highest = {row["name"]: row["seq"] for row in db.rows("SELECT name, seq FROM main.sqlite_sequence")}
    versions, passages = highest.get("versions", 0), highest.get("passages", 0)
    columns, read = ", ".join(SEALED), ", ".join(READ)
    db.run(
        f"INSERT INTO main.versions (key, current, {columns}, seal) SELECT key + ?, current, {columns}, seal"
        f" FROM copy.versions WHERE NOT {db.among('id')}",
        (versions, db.listed(left_out)),
    )
    db.run(
        f"INSERT INTO main.passages (key, article, generation, {read}, seal)"
        f" SELECT key + ?, article + ?, ?, {read}, seal FROM copy.passages WHERE article IN"
        f" (SELECT key FROM copy.versions WHERE NOT {db.among('id')})",
        (passages, versions, generation, db.listed(left_out)),
    )


def _take_rows(db: Database, generation: int, source: Sqlite, left_out: set[str]) -> None:
    """Copy all versions but those of `left_out`, with their passages, row by row."""
    names = (*SEALED, "seal")
    keys: dict[int, int] = {}
    for row in source.stream(f"SELECT key, current, {', '.join(names)} FROM versions ORDER BY key"):
        if row["id"] not in left_out:
            keys[row["key"]] = insert_version(db, [row[name] for name in names], current=bool(row["current"]))
    read = (*READ, "seal")
    statement = f"INSERT INTO passages (article, generation, {', '.join(read)}) VALUES ({places(len(read) + 2)})"
    waiting: list[tuple[object, ...]] = []
    for row in source.stream(f"SELECT article, {', '.join(read)} FROM passages ORDER BY key"):
        if row["article"] in keys:
            waiting.append((keys[row["article"]], generation, *(row[name] for name in read)))
        if len(waiting) == _TOGETHER:
            db.run_many(statement, waiting)
            waiting.clear()
    db.run_many(statement, waiting)


def _copy(db: Database, path: Path) -> None:
    """Write all that `db` holds at this moment, and no free pages, to a file of SQLite's."""
    if isinstance(db, Sqlite):
        db.run("VACUUM INTO ?", (str(path),))
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as connection, db.frozen():
        target = Sqlite(path, connection)
        # The file is no backup until it is whole: it need not be safe before that.
        for statement in ("PRAGMA synchronous=OFF", "PRAGMA journal_mode=OFF", "BEGIN"):
            target.run(statement)
        target.make_tables()
        for table, columns in _COPIED.items():
            statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places(len(columns))})"
            rows = db.stream(f"SELECT {', '.join(columns)} FROM {table}")
            target.run_many(statement, (tuple(row[name] for name in columns) for row in rows))
        target.run("COMMIT")
        target.run("PRAGMA journal_mode=WAL")


# Parents before those that refer to them.
_COPIED = {
    "facts": ("name", "value"),
    "versions": ("key", "current", *SEALED, "seal"),
    "passages": ("key", "article", "generation", *READ, "seal"),
    "removals": ("passage", "generation"),
    "retired": ("id_hash", "version", "deleted_at", "seal"),
    "signatures": ("article", "signature"),
    "bands": ("band", "article"),
    "near_duplicates": ("one", "other", "similarity", "seal"),
}


def _describe(database: Path) -> Backup:
    address = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        db = Sqlite(database, connection)
        if findings := damage.find(db):
            raise CorpusDamagedError(f"what was to be copied is damaged, nothing was kept: {findings[0]}")
        known = schema.facts(db)
        [articles] = db.rows("SELECT count(*) AS n FROM versions WHERE current")
    return Backup(
        format=int(known["format"]),
        identity=known["identity"],
        encoder=known["encoder"],
        generation=int(known["generation"]),
        articles=articles["n"],
        created_at=dt.datetime.now(dt.UTC).timestamp(),
        sha256=_sha256(database),
    )


def _upgrade(path: Path, built: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN IMMEDIATE")
        schema.upgrade(Sqlite(path, connection), built)
        connection.execute("COMMIT")


def _seal(about: Mapping[str, object]) -> str:
    return seal(f"{name}={about[name]}" for name in sorted(about)).hex()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Let a file, or the names in a folder, reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
