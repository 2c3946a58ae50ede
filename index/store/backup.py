"""Copies of a store, made and brought back while others use it."""

import datetime as dt
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from index.errors import CorpusDamagedError, CorpusError, CorpusVersionError
from index.store import damage, resemblance, schema
from index.store.change import Change
from index.store.rows import READ, SEALED, seal

_DATABASE = "quoteline.db"
_ABOUT = "backup.json"
# How the copy of a backup of an older format is called, followed by a number, while it is upgraded and brought back.
ASIDE = ".restore."


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


def write(connection: sqlite3.Connection, folder: Path) -> Backup:
    """Write a copy of the database to `folder`, which must not exist or be empty; a damaged one is no backup.

    Raises CorpusError, CorpusDamagedError.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CorpusError(f"{folder} is not empty; a backup goes into a new folder, which is made for it")
    # Made beside it and renamed: a backup that is there is whole.
    folder = folder.absolute()
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    unfinished.mkdir(parents=True)
    try:
        # A copy without free pages, of one moment.
        connection.execute("VACUUM INTO ?", (str(unfinished / _DATABASE),))
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
def attached(connection: sqlite3.Connection, folder: Path, copy: Backup, beside: Path) -> Iterator[None]:
    """Give the database of a backup to `connection` under the name `copy`; one of an older format is upgraded, aside.

    beside: a file in whose folder there is room for that.
    """
    database, aside = folder / _DATABASE, beside.with_name(f"{ASIDE}{os.getpid()}.db")
    try:
        if copy.format < schema.FORMAT:
            shutil.copyfile(database, aside)
            _upgrade(aside, copy.format)
            database = aside
        connection.execute("ATTACH DATABASE ? AS copy", (f"{database.absolute().as_uri()}?mode=ro&immutable=1",))
        try:
            yield
        finally:
            connection.execute("DETACH DATABASE copy")
    finally:
        aside.unlink(missing_ok=True)


def take_over(connection: sqlite3.Connection, change: Change, copy: Backup, *, with_deleted: bool) -> Restored:
    """Replace all that the store holds by what the attached backup holds; inside the transaction of `change`.

    Keys are not those of the backup but new ones, so that whoever holds what is derived sees an ordinary change: all
    passages removed, others added. No version's number is given to other content: those that go are kept in mind.
    """
    since = None if with_deleted else copy.created_at
    gone = connection.execute(
        "SELECT id_hash(id) AS hashed, max(version) AS version FROM main.versions GROUP BY id"
    ).fetchall()
    connection.execute("INSERT INTO removals SELECT key, ? FROM main.passages", (change.generation,))
    connection.execute("DELETE FROM main.passages")
    resemblance.forget_all(connection)
    connection.execute("DELETE FROM main.versions")
    deleted = {
        row["id_hash"] for row in connection.execute("SELECT id_hash FROM main.retired WHERE deleted_at > ?", (since,))
    }
    for row in connection.execute("SELECT id_hash, version, deleted_at FROM copy.retired").fetchall():
        change.retire(row["id_hash"], row["version"], row["deleted_at"])
    for row in gone:
        change.retire(row["hashed"], row["version"], None)
    left_out = _copy_rows(connection, change, deleted)
    schema.find_near_duplicates_again(connection)
    # What was there before is in the files still.
    schema.set_facts(connection, deleted=change.generation)
    [counts] = connection.execute("SELECT count(*), coalesce(sum(current), 0) FROM main.versions").fetchall()
    return Restored(articles=counts[1], versions=counts[0], left_out=left_out)


def _copy_rows(connection: sqlite3.Connection, change: Change, deleted: set[str]) -> int:
    """Copy all versions but those of deleted articles, with their passages; return how many articles were left out."""
    ids = [row["id"] for row in connection.execute("SELECT id FROM copy.versions WHERE current")]
    hashes = dict(connection.execute("SELECT id, id_hash(id) FROM copy.versions WHERE current").fetchall())
    left_out = json.dumps([one for one in ids if hashes[one] in deleted])
    highest = dict(connection.execute("SELECT name, seq FROM main.sqlite_sequence").fetchall())
    versions, passages = highest.get("versions", 0), highest.get("passages", 0)
    columns, read = ", ".join(SEALED), ", ".join(READ)
    connection.execute(
        f"INSERT INTO main.versions (key, current, {columns}, seal) SELECT key + ?, current, {columns}, seal"
        " FROM copy.versions WHERE id NOT IN (SELECT value FROM json_each(?))",
        (versions, left_out),
    )
    connection.execute(
        f"INSERT INTO main.passages (key, article, generation, {read}, seal)"
        f" SELECT key + ?, article + ?, ?, {read}, seal FROM copy.passages WHERE article IN"
        " (SELECT key FROM copy.versions WHERE id NOT IN (SELECT value FROM json_each(?)))",
        (passages, versions, change.generation, left_out),
    )
    return len(json.loads(left_out))


def _describe(database: Path) -> Backup:
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        if findings := damage.find(connection, database):
            raise CorpusDamagedError(f"what was to be copied is damaged, nothing was kept: {findings[0]}")
        known = schema.facts(connection)
        (articles,) = connection.execute("SELECT count(*) FROM versions WHERE current").fetchone()
    finally:
        connection.close()
    return Backup(
        format=int(known["format"]),
        identity=known["identity"],
        encoder=known["encoder"],
        generation=int(known["generation"]),
        articles=articles,
        created_at=dt.datetime.now(dt.UTC).timestamp(),
        sha256=_sha256(database),
    )


def _upgrade(path: Path, built: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN IMMEDIATE")
        schema.upgrade(connection, built)
        connection.execute("COMMIT")
    finally:
        connection.close()


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
