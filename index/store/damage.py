"""Whether the database still says what was written to it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from index.errors import CorpusDamagedError
from index.store import resemblance
from index.store.database import Database
from index.store.rows import READ, RECORD, Record, Row, is_sound, record_of, seal
from index.store.schema import facts, facts_seal


def check_facts(known: Mapping[str, str], name: str) -> None:
    """Raise CorpusDamagedError where the facts are not what was written."""
    if known.get("seal") != facts_seal(dict(known)):
        raise CorpusDamagedError(
            f"what {name} says of itself is not what was written; bring back a backup with `quoteline restore`"
        )


def find(db: Database) -> list[str]:
    """Return what is wrong, in words; nothing where all is sound."""
    check_facts(facts(db), db.name)
    return [*db.findings(), *_versions(db), *_retired(db), *resemblance.damages(db)]


def _versions(db: Database) -> Iterator[str]:
    for row in db.stream(f"SELECT {RECORD} FROM versions v ORDER BY id, version"):
        try:
            record = record_of(row)
        except (CorpusDamagedError, ValueError) as error:
            yield str(error)
            continue
        name = f"version {record.version} of article {record.article.id!r}"
        passages = db.rows(
            f"SELECT key, ? AS id, ? AS version, seal, {', '.join(READ)} FROM passages WHERE article = ?",
            (row["id"], row["version"], row["key"]),
        )
        for finding in (*_of_record(record), *_of_passages(record, passages)):
            yield f"{name}: {finding}"
        body = record.article.body.of(record.article.text)
        if record.current and not resemblance.is_entered(db, row["key"], body):
            yield f"{name}: its signature is not what was written; `quoteline rebuild` makes it again"


def _of_record(record: Record) -> Iterator[str]:
    article, spans = record.article, record.sentences
    if article.digest() != record.digest:
        yield "its text or metadata is not what was added"
    if not all(article.body.covers(span) for span in spans):
        yield "a sentence leaves its body"
    if any(one.end > other.start for one, other in pairwise(spans)):
        yield "its sentences overlap"


def _of_passages(record: Record, passages: Sequence[Row]) -> Iterator[str]:
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


def _retired(db: Database) -> Iterator[str]:
    for row in db.stream("SELECT id_hash, version, deleted_at, seal FROM retired"):
        if seal((row["id_hash"], row["version"], row["deleted_at"])) != row["seal"]:
            yield "the fact of a deletion is not what was written"
