"""A store copied into another one, of either database: resumable, and compared row by row at the end."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from index.errors import CorpusDamagedError, CorpusError, EncoderMismatchError
from index.store import resemblance, schema
from index.store.change import Change
from index.store.database import Database, insert_version, places
from index.store.rows import READ, RECORD, SEALED, Row, is_sound, record_of, seal
from index.store.store import Store

# Articles that are copied in one transaction.
_TOGETHER = 64
# The fact that a target holds a part of another store, by whose identity it is told.
_COPYING = "copying"

# What an article is told apart by: all that its rows say, because each has a seal of it. Versions with whether they are
# current; passages by where they stand.
_Seals = tuple[frozenset[tuple[int, bool, bytes]], tuple[tuple[int, int, int], ...]]


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied. there_before: articles of those that an earlier attempt had brought over already."""

    articles: int
    versions: int
    passages: int
    there_before: int


def copy_store(source: Store, target: Store, progress: Callable[[int, int], None] | None = None) -> Copied:
    """Copy all that `source` holds into `target`, which is empty, or was left by a copy of this source that broke off.

    Ids, versions, times and vectors stay as they are; keys and generations are the target's own. Nobody changes the
    source meanwhile; the target can be read. Article after article, each whole; begun again, it goes on. At the end all
    rows of both are read and compared.
    progress: is told how many articles are done, of how many; each counts twice, for it is copied and compared.
    Raises CorpusError, EncoderMismatchError, CorpusBusyError, CorpusDamagedError; what is there stays for another run.
    """
    with source.exclusive(), source.frozen():
        _check(source, target)
        ids = [row["id"] for row in source.db.rows("SELECT id FROM versions WHERE current ORDER BY key")]
        tell = progress or (lambda done, total: None)
        _drop_others(target, ids)
        there_before = 0
        for number, some in enumerate(_parts(ids), start=1):
            there_before += _copy(source, target, some)
            tell(min(number * _TOGETHER, len(ids)), 2 * len(ids))
        _retire(source, target)
        for number, some in enumerate(_parts(ids), start=1):
            _compare(source, target, some)
            tell(len(ids) + min(number * _TOGETHER, len(ids)), 2 * len(ids))
        return _finish(source, target, there_before)


def _check(source: Store, target: Store) -> None:
    known, there = schema.facts(source.db), schema.facts(target.db)
    if known["identity"] == there["identity"]:
        raise CorpusError(f"{source.name} cannot be copied into itself")
    if known["encoder"] != there["encoder"]:
        raise EncoderMismatchError(
            f"{source.name} was built with the encoder {known['encoder']}, {target.name} with {there['encoder']}; "
            "copy it into a new one"
        )
    if there.get(_COPYING, known["identity"]) != known["identity"]:
        raise CorpusError(f"{target.name} holds a part of another corpus, whose copy broke off; copy into a new one")
    if _COPYING not in there and target.generation > 0:
        raise CorpusError(f"{target.name} is not empty; a corpus is copied into a new one")
    if _COPYING not in there:
        with target.change():
            schema.set_facts(target.db, **{_COPYING: known["identity"]})


def _drop_others(target: Store, ids: Sequence[str]) -> None:
    """Take out of the target what an earlier attempt brought, and is not in the source any more."""
    wanted = set(ids)
    others = [row["id"] for row in target.db.rows("SELECT id FROM versions WHERE current") if row["id"] not in wanted]
    for some in _parts(others):
        with target.exclusive(), target.change() as change:
            _clear(target.db, change, some)


def _copy(source: Store, target: Store, ids: Sequence[str]) -> int:
    """Copy these articles, but those that are there already; return how many are."""
    wanted, there = _seals(source.db, ids), _seals(target.db, ids)
    missing = [one for one in ids if wanted[one] != there.get(one)]
    if missing:
        with target.exclusive(), target.change() as change:
            _clear(target.db, change, [one for one in missing if one in there])
            for one in missing:
                _copy_article(source.db, target.db, change, one)
    return len(ids) - len(missing)


def _copy_article(source: Database, target: Database, change: Change, article_id: str) -> None:
    versions = source.rows(f"SELECT {RECORD} FROM versions v WHERE v.id = ? ORDER BY v.key", (article_id,))
    for row in versions:
        record = record_of(row)
        key = insert_version(target, [row[name] for name in (*SEALED, "seal")], current=bool(row["current"]))
        passages = [_sound(passage) for passage in _passages(source, row)]
        names = (*READ, "seal")
        target.run_many(
            f"INSERT INTO passages (article, generation, {', '.join(names)}) VALUES ({places(len(names) + 2)})",
            [(key, change.generation, *(passage[name] for name in names)) for passage in passages],
        )
        if record.current:
            resemblance.enter(target, key, record.article.body.of(record.article.text))


def _clear(db: Database, change: Change, ids: Sequence[str]) -> None:
    """Take all versions of these articles out, as if they had never been there."""
    listed = (db.listed(ids),)
    of_these = f"SELECT key FROM versions WHERE {db.among('id')}"
    for row in db.rows(of_these, listed):
        resemblance.forget(db, row["key"])
    db.run(
        f"INSERT INTO removals SELECT key, ? FROM passages WHERE article IN ({of_these})", (change.generation, *listed)
    )
    db.run(f"DELETE FROM passages WHERE article IN ({of_these})", listed)
    db.run(f"DELETE FROM versions WHERE {db.among('id')}", listed)


def _retire(source: Store, target: Store) -> None:
    """Keep in mind what the source keeps in mind of articles that were deleted."""
    with target.exclusive(), target.change() as change:
        for row in source.db.rows("SELECT id_hash, version, deleted_at FROM retired"):
            change.retire(row["id_hash"], row["version"], row["deleted_at"])


def _compare(source: Store, target: Store, ids: Sequence[str]) -> None:
    """Raise CorpusDamagedError where the target does not hold these articles exactly as the source does.

    What it holds instead is taken out of it, so that the next attempt brings it again.
    """
    wanted, there = _seals(source.db, ids), _seals(target.db, ids)
    # A seal says what was written: what is there is held against it.
    wrong = {one for one in ids if wanted[one] != there.get(one)} | set(_damaged(target.db, ids))
    if wrong:
        with target.exclusive(), target.change() as change:
            _clear(target.db, change, sorted(wrong))
        raise CorpusDamagedError(
            f"article {min(wrong)!r} in {target.name} was not that of {source.name}, and was taken out; copy again"
        )


def _damaged(db: Database, ids: Sequence[str]) -> Iterator[str]:
    listed = (db.listed(ids),)
    for row in db.stream(f"SELECT {RECORD} FROM versions v WHERE {db.among('v.id')}", listed):
        if seal(row[name] for name in SEALED) != row["seal"]:
            yield row["id"]
    read = ", ".join(f"p.{name}" for name in READ)
    for row in db.stream(
        f"SELECT v.id, v.version, p.seal, {read} FROM versions v JOIN passages p ON p.article = v.key"
        f" WHERE {db.among('v.id')}",
        listed,
    ):
        if not is_sound(row):
            yield row["id"]


def _finish(source: Store, target: Store, there_before: int) -> Copied:
    """Compare what stands beside the articles, and let the target be a store of its own."""
    counts = (
        "SELECT (SELECT count(*) FROM versions WHERE current) AS articles, (SELECT count(*) FROM versions) AS versions,"
        " (SELECT count(*) FROM passages) AS passages"
    )
    retired = "SELECT id_hash, version, deleted_at FROM retired"
    with target.exclusive():
        [wanted], [there] = source.db.rows(counts), target.db.rows(counts)
        names = ("articles", "versions", "passages")
        if [wanted[name] for name in names] != [there[name] for name in names]:
            raise CorpusDamagedError(f"{target.name} holds more than {source.name}; copy into a new one")
        kept = {(row["id_hash"], row["version"], row["deleted_at"]) for row in target.db.rows(retired)}
        if not {(row["id_hash"], row["version"], row["deleted_at"]) for row in source.db.rows(retired)} <= kept:
            raise CorpusDamagedError(f"{target.name} does not know of all deletions of {source.name}; copy again")
        with target.change():
            schema.drop_facts(target.db, _COPYING)
    return Copied(there["articles"], there["versions"], there["passages"], there_before)


def _seals(db: Database, ids: Sequence[str]) -> dict[str, _Seals]:
    """Return what each of these articles that is there is told apart by."""
    listed = (db.listed(ids),)
    versions: dict[str, set[tuple[int, bool, bytes]]] = {}
    for row in db.rows(f"SELECT id, version, current, seal FROM versions WHERE {db.among('id')}", listed):
        versions.setdefault(row["id"], set()).add((row["version"], bool(row["current"]), row["seal"]))
    passages: dict[str, list[tuple[int, int, int]]] = {}
    for row in db.rows(
        "SELECT v.id, p.first, p.last, p.seal FROM versions v JOIN passages p ON p.article = v.key"
        f" WHERE {db.among('v.id')}",
        listed,
    ):
        passages.setdefault(row["id"], []).append((row["first"], row["last"], row["seal"]))
    return {one: (frozenset(some), tuple(sorted(passages.get(one, ())))) for one, some in versions.items()}


def _passages(db: Database, version: Row) -> Sequence[Row]:
    return db.rows(
        f"SELECT ? AS id, ? AS version, seal, {', '.join(READ)} FROM passages WHERE article = ? ORDER BY key",
        (version["id"], version["version"], version["key"]),
    )


def _sound(passage: Row) -> Row:
    if not is_sound(passage):
        raise CorpusDamagedError(
            f"a passage of article {passage['id']!r} is not what was written: the database is damaged; `quoteline "
            "rebuild --encode` makes all passages again from the texts"
        )
    return passage


def _parts(ids: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while part := list(islice(rest, _TOGETHER)):
        yield part
