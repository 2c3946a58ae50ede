"""Store: one database, the single source of truth; what is searched is derived from it.

Every change is one transaction and raises the generation by one. Readers never wait for the writer; there is one writer
at a time, of all processes on all machines.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from index.store.database import Database
from index.store.filters import Filters
from index.store.rows import (
    READING,
    RECORD,
    SUMMARY,
    Deletion,
    Known,
    Readings,
    Record,
    Row,
    Summary,
    column,
    day_of,
    id_hash,
    making_sense,
    readings_of,
    record_from,
    record_of,
    summary_of,
)
from index.store.sqlite import Sqlite

# Passages whose vectors are read at once: 50 MB of float32 at 384 dimensions.
BLOCK = 32_768
# Passages added after a generation, which is to be given twice. Their keys are the highest: left to itself, a database
# that is to return them by key looks through all the others first, and through their vectors.
_SINCE = "p.generation > ? AND p.key >= (SELECT min(key + 0) FROM passages WHERE generation > ?)"
# How often keys are drawn for a sample, and how many at most for each passage that is wanted.
_ROUNDS, _DRAWN = 8, 50


def open_store(place: Path | str, *, encoder: str, dim: int) -> "Store":
    """Open the store at `place`, or make it, for vectors of `encoder`, `dim` wide.

    place: the path of a file, for SQLite, or an address `postgresql://USER:PASSWORD@HOST/DATABASE?schema=NAME`, with
    whatever else libpq knows as parameters. The schema is `quoteline` where none is named, and is made.
    Raises what Store raises.
    """
    if isinstance(place, str) and place.startswith(("postgresql://", "postgres://")):
        return Store(_postgres(place), encoder=encoder, dim=dim)
    return Store(Path(place), encoder=encoder, dim=dim)


def _postgres(address: str) -> Database:
    # What SQLite is enough for, does without it.
    try:
        from index.store.postgres import Postgres
    except ImportError as error:
        raise CorpusError(
            "a corpus in PostgreSQL needs the package psycopg; install it with `pip install 'quoteline[cluster]'`"
        ) from error
    return Postgres(address)


class Store:
    """One database. Safe to use from several threads, and by several processes."""

    def __init__(self, place: Path | Database, *, encoder: str, dim: int) -> None:
        """Open the database, or make it for vectors of `encoder`, `dim` wide; an older format is upgraded.

        place: the path of a file of SQLite's, or a database. See `open_store`.
        Raises CorpusVersionError, CorpusDamagedError, CorpusBusyError, CorpusError.
        """
        self.db: Database = Sqlite(place) if isinstance(place, Path) else place
        self._encoder = encoder
        self._dim = dim
        self._counted: tuple[int, tuple[int, int, int]] | None = None
        try:
            self._make_ready()
            self.identity = self._facts()["identity"]
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """How the database is called in messages: its path, or its address without user and password."""
        return self.db.name

    def close(self) -> None:
        """Close every connection."""
        self.db.close()

    def check_encoder(self) -> None:
        """Raise EncoderMismatchError where the vectors in the store are another encoder's."""
        built_with = self._facts()["encoder"]
        if built_with != self._encoder:
            raise EncoderMismatchError(
                f"{self.name} was built with the encoder {built_with}, not {self._encoder}; set QUOTELINE_MODEL to "
                "the former, or run `quoteline rebuild --encode` to encode all articles again"
            )

    # What is there

    @property
    def generation(self) -> int:
        """The number of changes committed so far."""
        return int(self._facts()["generation"])

    def passages(self) -> int:
        """Return how many passages are searched."""
        [row] = self._rows("SELECT count(*) AS n FROM passages")
        return int(row["n"])

    def counts(self) -> tuple[int, int, int]:
        """Return how many articles, sentences and passages are searched; counted once for each generation."""
        generation = self.generation
        if self._counted is None or self._counted[0] != generation:
            self._counted = generation, self._count_all()
        return self._counted[1]

    def _count_all(self) -> tuple[int, int, int]:
        [of] = self._rows(
            "SELECT count(*) AS articles, coalesce(sum(length(sentences)), 0) AS width FROM versions WHERE current"
        )
        [passages] = self._rows("SELECT count(*) AS n FROM passages")
        return of["articles"], of["width"] // 8, passages["n"]

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
        query = f"SELECT {RECORD} FROM versions v WHERE current AND {self.db.among('id')}"
        return {row["id"]: record_of(row) for row in self._rows(query, (self.db.listed(article_ids),))}

    def records_at(self, names: Iterable[tuple[str, int | None]]) -> dict[tuple[str, int | None], Record]:
        """Return these versions of articles, None for the current one, by both; those not there are left out."""
        records = ((version, record_from(values)) for version, *values in self._versions(RECORD, names))
        return {(record.article.id, version): record for version, record in records}

    def dated_texts_at(
        self, names: Iterable[tuple[str, int | None]]
    ) -> dict[tuple[str, int | None], tuple[str, dt.date | None]]:
        """Return text and date of versions of articles as `records_at` names them, at a fraction of the cost.

        For what orders sentences: seals are not compared here. What is quoted is to be read with `records_at`.
        """
        found: dict[tuple[str, int | None], tuple[str, dt.date | None]] = {}
        for version, article_id, text, date in self._versions("v.id, v.text, v.date", names):
            with making_sense(f"the text or the date of article {article_id!r}"):
                if not isinstance(text, str):
                    raise TypeError
                found[article_id, version] = text, day_of(date)
        return found

    def _versions(self, columns: str, names: Iterable[tuple[str, int | None]]) -> Iterator[tuple[Any, ...]]:
        """Yield, for each of `names` that is there, its version as it is named, and `columns` of `versions AS v`."""
        names = list(names)
        if current := [article_id for article_id, version in names if version is None]:
            yield from self.db.tuples(
                f"SELECT NULL, {columns} FROM versions v WHERE v.current AND {self.db.among('v.id')}",
                (self.db.listed(current),),
            )
        if others := [name for name in names if name[1] is not None]:
            yield from self.db.tuples(
                f"SELECT v.version, {columns} FROM {self.db.pairs()} JOIN versions v"
                " ON v.id = name.id AND v.version = name.version",
                self.db.paired(others),
            )

    def records(self) -> Iterator[Record]:
        """Yield the current versions of all articles, by id."""
        for row in self._rows("SELECT id FROM versions WHERE current ORDER BY id"):
            yield self.record(row["id"])

    def summaries(
        self, *, after: str = "", limit: int = 1000, filters: Filters | None = None, title: str = ""
    ) -> list[Summary]:
        """Return at most `limit` articles whose ids follow `after`, by id; only those whose title holds `title`."""
        condition, values = self._listed(filters, title)
        rows = self._rows(
            f"SELECT {SUMMARY} FROM versions v WHERE {condition} AND v.id > ? ORDER BY v.id LIMIT ?",
            (*values, after, limit),
        )
        return [summary_of(row) for row in rows]

    def count(self, *, filters: Filters | None = None, title: str = "") -> int:
        """Return how many articles `summaries` would list in all."""
        condition, values = self._listed(filters, title)
        [row] = self._rows(f"SELECT count(*) AS n FROM versions v WHERE {condition}", values)
        return int(row["n"])

    def versions(self, article_id: str) -> list[Summary]:
        """Return all versions of an article, newest first. Raises ArticleNotFoundError, ArticleDeletedError."""
        rows = self._rows(f"SELECT {SUMMARY} FROM versions v WHERE v.id = ? ORDER BY v.version DESC", (article_id,))
        if not rows:
            raise self.missing(article_id)
        return [summary_of(row) for row in rows]

    def holding(self, text: str, filters: Filters | None = None) -> list[str]:
        """Return the ids of all articles that hold `text`, code point by code point, oldest first.

        Reads every text there is.
        """
        condition, values = (filters or Filters()).condition(self.db)
        rows = self._rows(
            f"SELECT v.id FROM versions v WHERE {condition} AND instr(v.text, ?) > 0 ORDER BY v.key", (*values, text)
        )
        return [row["id"] for row in rows]

    def of_url(self, url: str, filters: Filters | None = None) -> list[str]:
        """Return the ids of all articles of this URL."""
        condition, values = (filters or Filters()).condition(self.db)
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
        return Known(**{name: rows[0][name] for name in Known.__dataclass_fields__}) if rows else None

    def last_version(self, article_id: str) -> int:
        """Return the highest version that an article ever had, deleted ones included; 0 where it never was."""
        rows = self._rows(
            "SELECT coalesce(max(version), 0) AS last FROM (SELECT version FROM versions WHERE id = ?"
            " UNION ALL SELECT version FROM retired WHERE id_hash = ?) AS every",
            (article_id, id_hash(article_id)),
        )
        return int(rows[0]["last"])

    def deletion(self, article_id: str) -> Deletion | None:
        """Return the last deletion of an article, whether or not it was added again since."""
        rows = self._rows(
            "SELECT version, deleted_at FROM retired WHERE id_hash = ? AND deleted_at IS NOT NULL",
            (id_hash(article_id),),
        )
        return Deletion(rows[0]["version"], rows[0]["deleted_at"]) if rows else None

    def near_duplicates_of(
        self, article_ids: Iterable[str], *, within: Collection[str] | None = None
    ) -> dict[str, dict[str, float]]:
        """Return the near-duplicates of each of these articles that has any: their ids, and how similar they are.

        Most similar first, from 1 down to `nearduplicates.THRESHOLD`; at most a few dozen where there are more. An
        article that is like one that is like a third need not be like that. within: only those in these collections.
        Raises CorpusDamagedError.
        """
        return resemblance.near_duplicates(self.db, article_ids, within)

    # What asking needs

    def admits(self, filters: Filters) -> bool:
        """Whether there is any passage of an article that `filters` admits."""
        condition, values = filters.condition(self.db)
        has_passage = "EXISTS (SELECT 1 FROM passages p WHERE p.article = v.key)"
        return bool(self._rows(f"SELECT 1 FROM versions v WHERE {condition} AND {has_passage} LIMIT 1", values))

    def passages_of(self, filters: Filters) -> NDArray[np.int64]:
        """Return the keys of all passages of the articles that `filters` admits, ascending."""
        condition, values = filters.condition(self.db)
        query = f"SELECT p.key FROM versions v JOIN passages p ON p.article = v.key WHERE {condition}"
        keys = self.db.keys(query, values)
        keys.sort()
        return keys

    def superseded(self, filters: Filters) -> list[tuple[int, str, int]]:
        """Return key, id and version of all versions that `filters` admits and that have no passages any more, by key.

        There are none without `as_of`.
        """
        condition, values = filters.condition(self.db)
        rows = self._rows(
            f"SELECT v.key, v.id, v.version FROM versions v WHERE NOT v.current AND {condition} ORDER BY v.key", values
        )
        return [(row["key"], row["id"], row["version"]) for row in rows]

    def there(self, keys: Iterable[int]) -> set[int]:
        """Return those of the keys of versions that are in the store."""
        query = f"SELECT v.key FROM versions v WHERE {self.db.among('v.key')}"
        return {row["key"] for row in self._rows(query, (self.db.listed(keys),))}

    def holding_most(self, keys: Sequence[int], beginnings: Mapping[str, float], limit: int) -> list[int]:
        """Return the keys of the `limit` versions, of those of `keys`, that hold most of what words may begin with.

        beginnings: weights by beginning; case counts in letters outside of ASCII only. Reads all of their texts.
        """
        score = " + ".join([f"CASE WHEN {self.db.like('v.text')} THEN ? ELSE 0.0 END"] * len(beginnings))
        rows = self._rows(
            f"SELECT v.key FROM versions v WHERE {self.db.among('v.key')}"
            f" ORDER BY {f'{score} DESC, ' if score else ''}v.key LIMIT ?",
            (self.db.listed(keys), *(value for pair in beginnings.items() for value in pair), limit),
        )
        return sorted(row["key"] for row in rows)

    def readings(self, keys: Sequence[int] | NDArray[np.int64]) -> Readings:
        """Return the passages of `keys` with what ranking needs, by key; those that are gone are left out.

        Raises CorpusDamagedError.
        """
        rows = self.db.tuples(
            f"SELECT {READING} FROM passages p JOIN versions v ON v.key = p.article"
            f" WHERE {self.db.among('p.key')} ORDER BY p.key",
            (self.db.listed(keys),),
        )
        return readings_of(rows, self._dim)

    # What the derived indexes need to catch up

    def read_ahead(self) -> None:
        """Have the system read all there is while nobody waits for it, if it can and has room for it."""
        self.db.read_ahead()

    def frozen(self) -> AbstractContextManager[None]:
        """Let this thread see the store as it is now, whatever others commit meanwhile."""
        return self.db.frozen()

    def removed_since(self, generation: int) -> list[int]:
        """Return the keys of passages that were there at `generation` or later and were removed after it."""
        rows = self._rows("SELECT passage FROM removals WHERE generation > ?", (generation,))
        return sorted(row["passage"] for row in rows)

    def vectors_since(self, generation: int) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """Yield keys and vectors, shape (n, dim), of the passages added after `generation`, by key, in blocks."""
        rows = self.db.stream(f"SELECT p.key, p.vector FROM passages p WHERE {_SINCE} ORDER BY p.key", [generation] * 2)
        while block := list(islice(rows, BLOCK)):
            with making_sense("a passage"):
                vectors = column(block, "vector", np.float16).reshape(len(block), self._dim)
            yield np.array([row["key"] for row in block], dtype=np.int64), vectors.astype(np.float32)

    def keys_since(self, generation: int, after: int) -> Iterator[int]:
        """Yield the keys above `after` of the passages added after `generation`, in ascending order."""
        query = f"SELECT p.key FROM passages p WHERE {_SINCE} AND p.key > ? ORDER BY p.key"
        return (row["key"] for row in self.db.stream(query, (generation, generation, after)))

    def texts_since(self, generation: int) -> Iterator[tuple[int, str | None, str]]:
        """Yield key, the article's title and own text of each passage added after `generation`, by key."""
        return self._texts(_SINCE, (generation, generation))

    def texts_of(self, keys: Sequence[int]) -> Iterator[tuple[int, str | None, str]]:
        """Yield the same of the passages with these keys; those that are gone are left out."""
        return self._texts(self.db.among("p.key"), (self.db.listed(keys),))

    def _texts(self, condition: str, values: Sequence[object]) -> Iterator[tuple[int, str | None, str]]:
        text = self.db.where_new("v.text", "p.article", "p.key")
        rows = self.db.stream(
            f"SELECT p.key, v.title, p.spans, {text} AS text FROM passages p JOIN versions v ON v.key = p.article"
            f" WHERE {condition} ORDER BY p.key",
            values,
        )
        whole = ""
        for row in rows:
            with making_sense("a passage"):
                whole = row["text"] if row["text"] is not None else whole
                spans = np.frombuffer(row["spans"], dtype=np.int32)
                passage = whole[spans[0] : spans[-1]]
            yield row["key"], row["title"], passage

    def sample_terms(self, passages: int, seed: int) -> tuple[int, list[NDArray[np.uint32]]]:
        """Return how many passages there are, and the terms, as hashes, of at most so many of them, drawn by chance.

        All are drawn where there are no more. The terms of a passage are those of its sentences, one after another.
        """
        [row] = self._rows("SELECT count(*) AS n, min(key) AS lowest, max(key) AS highest FROM passages")
        total, lowest, highest = row["n"], row["lowest"], row["highest"]
        if not total:
            return 0, []
        draw = np.random.default_rng(seed)
        chosen: set[int] = set()
        # Keys between the lowest and the highest, of which most are there: it costs as much however many there are.
        of_one = 1.2 * (highest - lowest + 1) / total
        for _ in range(_ROUNDS if total > passages and of_one < _DRAWN else 0):
            count = 10 + round(of_one * (passages - len(chosen)))
            drawn = np.unique(draw.integers(lowest, highest, size=count, endpoint=True))
            there = self.db.keys(f"SELECT key FROM passages WHERE {self.db.among('key')}", (self.db.listed(drawn),))
            chosen.update(there.tolist())
            if len(chosen) >= passages:
                break
        else:
            chosen.update(self.db.keys("SELECT key FROM passages").tolist())
        some = draw.permutation(sorted(chosen))[:passages].tolist()
        rows = self._rows(
            f"SELECT terms FROM passages WHERE {self.db.among('key')} ORDER BY key", (self.db.listed(some),)
        )
        with making_sense("a passage"):
            return total, [np.frombuffer(row["terms"], dtype=np.uint32) for row in rows]

    # What changes it

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the writer's lock: of all processes, one thread at a time. It ends with its holder, however that ends.

        Who has it may take it again. Raises CorpusBusyError where another one keeps it, CorpusError.
        """
        return self.db.exclusive()

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Open the one transaction of a change; it is committed at the end, or undone as a whole by an error.

        Raises CorpusBusyError where another process does not finish its own change in time.
        """
        with self.db.transaction():
            generation = self.generation + 1
            yield Change(self.db, generation)
            schema.set_facts(self.db, generation=generation)

    def find_near_duplicates_again(self) -> None:
        """Find all near-duplicates anew from the texts; nothing else changes, and the generation stays."""
        with self.db.transaction():
            self._facts()
            schema.find_near_duplicates_again(self.db)

    def has_traces(self) -> bool:
        """Whether what was deleted may still be found in the database."""
        return "deleted" in self._facts()

    def erase_traces(self) -> bool:
        """Erase what deletions left in the database; return whether all of it could be.

        It cannot, as long as a reader has not ended who began before the last change.
        """
        if not self.db.wipe(everything="unwiped" in self._facts()):
            return False
        with self.db.transaction():
            self._facts()
            schema.drop_facts(self.db, "deleted", "unwiped")
        return True

    # Copies

    def back_up(self, folder: Path) -> backup.Backup:
        """Write a copy of the store, as it is now, to a folder that is made for it. Raises CorpusError."""
        return backup.write(self.db, folder)

    def restore(self, folder: Path, *, with_deleted: bool = False) -> backup.Restored:
        """Let the store hold what the backup in `folder` holds, and nothing else; one change, or none.

        with_deleted: also articles that were deleted after the backup was made; they are left out otherwise.
        Raises CorpusError, EncoderMismatchError, CorpusVersionError, CorpusDamagedError; nothing is changed then.
        """
        copy = backup.read(folder)
        with backup.opened(self.db, folder, copy) as source:
            if copy.encoder != self._encoder:
                raise EncoderMismatchError(
                    f"the backup in {folder} was made with the encoder {copy.encoder}, not {self._encoder}; set "
                    "QUOTELINE_MODEL to the former"
                )
            with self.change() as change:
                return backup.take_over(self.db, change, source, copy, with_deleted=with_deleted)

    def check(self) -> list[str]:
        """Return what is wrong with the database, in words; nothing where it is sound."""
        try:
            with self.db.translated():
                return damage.find(self.db)
        except CorpusError as error:
            return [str(error)]

    # How

    def _rows(self, query: str, values: Sequence[object] = ()) -> Sequence[Row]:
        return self.db.rows(query, values)

    def _listed(self, filters: Filters | None, title: str) -> tuple[str, list[object]]:
        condition, values = (filters or Filters()).condition(self.db)
        if title:
            condition += f" AND instr({self.db.folded('title')}, ?) > 0"
            values.append(title.casefold())
        return condition, values

    def _facts(self) -> dict[str, str]:
        """Return all facts by name. Raises CorpusDamagedError where they are not what was written."""
        known = schema.facts(self.db)
        damage.check_facts(known, self.name)
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
        with self.db.first_look() as there:
            if there is not None:
                self._check_own(there)
        if not schema.is_up_to_date(self.db):
            with self.db.transaction():
                # Another process may have done so while this one waited.
                self._check_own(self.db)
                built = schema.facts(self.db).get("format")
                if built is None:
                    schema.create(self.db, self._encoder)
                elif built != str(schema.FORMAT) and isinstance(self.db, Sqlite):
                    schema.upgrade(self.db, int(built))
                if not schema.is_up_to_date(self.db):
                    schema.find_near_duplicates_again(self.db)

    def _check_own(self, db: Database) -> None:
        """Raise CorpusError where the database is another program's, or of a format that is not known."""
        built = schema.facts(db).get("format")
        if built is None:
            if db.is_empty():
                return
            raise CorpusError(
                f"{self.name} is the database of another program; nothing was changed. Set QUOTELINE_DATA, or the "
                "store in QUOTELINE_INDEX, to a place of its own"
            )
        if not built.isdecimal() or not db.oldest <= int(built) <= schema.FORMAT:
            raise CorpusVersionError(
                f"{self.name} has format {built}, this Quoteline reads formats up to {schema.FORMAT}; use the version "
                "that wrote it, or add the articles to a new QUOTELINE_DATA"
            )
