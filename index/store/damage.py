"""Whether the database still says what was written to it."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from index.errors import CorpusDamagedError
from index.store import resemblance
from index.store.rows import READ, RECORD, Record, is_sound, record_of, seal
from index.store.schema import facts, facts_seal


def check_facts(known: Mapping[str, str], path: Path) -> None:
    """Raise CorpusDamagedError where the facts are not what was written."""
    if known.get("seal") != facts_seal(dict(known)):
        raise CorpusDamagedError(
            f"what {path} says of itself is not what was written; bring back a backup with `quoteline restore`"
        )


def find(connection: sqlite3.Connection, path: Path) -> list[str]:
    """Return what is wrong, in words; nothing where all is sound."""
    check_facts(facts(connection), path)
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    found = [] if found == ["ok"] else [f"{path}: {finding}" for finding in found]
    found += [f"{path}: a row refers to one that is not there" for _ in connection.execute("PRAGMA foreign_key_check")]
    return found + list(_versions(connection)) + list(_retired(connection)) + list(resemblance.damages(connection))


def _versions(connection: sqlite3.Connection) -> Iterator[str]:
    for row in connection.execute(f"SELECT {RECORD} FROM versions v ORDER BY id, version"):
        try:
            record = record_of(row)
        except (CorpusDamagedError, ValueError) as error:
            yield str(error)
            continue
        name = f"version {record.version} of article {record.article.id!r}"
        passages = connection.execute(
            f"SELECT key, ? AS id, ? AS version, seal, {', '.join(READ)} FROM passages WHERE article = ?",
            (row["id"], row["version"], row["key"]),
        ).fetchall()
        for finding in (*_of_record(record), *_of_passages(record, passages)):
            yield f"{name}: {finding}"
        body = record.article.body.of(record.article.text)
        if record.current and not resemblance.is_entered(connection, row["key"], body):
            yield f"{name}: its signature is not what was written; `quoteline rebuild` makes it again"


def _of_record(record: Record) -> Iterator[str]:
    article, spans = record.article, record.sentences
    if article.digest() != record.digest:
        yield "its text or metadata is not what was added"
    if not all(article.body.covers(span) for span in spans):
        yield "a sentence leaves its body"
    if any(one.end > other.start for one, other in pairwise(spans)):
        yield "its sentences overlap"


def _of_passages(record: Record, passages: Sequence[sqlite3.Row]) -> Iterator[str]:
    if not record.current:
        if passages:
            yield "it is superseded, and is still searched"
        return
    if not all(map(is_sound, passages)):
        yield "a passage is not what was written; `quoteline rebuild --encode` makes it again"
        return
    spans = np.array([(span.start, span.end) for span in record.sentences], dtype=np.int32).reshape(-1, 2)
    if any(spans[row["first"] : row["last"]].tobytes() != row["spans"] for row in passages):
        yield "a passage holds other sentences than the article"
    if {ordinal for row in passages for ordinal in range(row["first"], row["last"])} != set(range(len(spans))):
        yield "its passages do not hold all of its sentences"


def _retired(connection: sqlite3.Connection) -> Iterator[str]:
    for row in connection.execute("SELECT id_hash, version, deleted_at, seal FROM retired"):
        if seal(tuple(row)[:3]) != row["seal"]:
            yield "the fact of a deletion is not what was written"
