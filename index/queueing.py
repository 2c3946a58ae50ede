"""Queue: batches of articles that wait to be added, in PostgreSQL, for any number of workers on any machines.

Each batch holds its articles whole, so that a worker needs no file of anybody's. A worker has a batch on lease: it
renews that while it lives, and another one takes the batch when it does not. So a batch may be added twice, which
changes nothing the second time. Of two batches with versions of one article the later one waits for the former.
"""

import datetime as dt
import hashlib
import json
import platform
import secrets
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from index.articles import Article, Origin, Span
from index.batches import batches_of, names_of
from index.errors import CorpusDamagedError
from index.store.postgres import Postgres
from index.store.rows import Row

# A worker that does not renew its lease for so long is taken for dead, in seconds.
LEASE = 60
# A batch at which so many workers died is divided into its articles; a single article is given up.
MOST_DEATHS = 3
# How much of the past the time that is left is told from, in seconds.
PACE = 600
# Reasons that are kept of one batch, in code points.
_LONGEST_REASON = 4000
# PostgreSQL keeps what is small beside the row, and compressed bytes nowhere smaller.
_TABLES = """
CREATE SEQUENCE IF NOT EXISTS places;
CREATE TABLE IF NOT EXISTS batches (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- When it was put there: what a batch is divided into takes its place.
    place bigint NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'failed')),
    articles integer NOT NULL,
    size bigint NOT NULL,
    names bigint[] NOT NULL,
    content bytea STORAGE EXTERNAL,
    worker text,
    leased_until timestamptz,
    taken integer NOT NULL DEFAULT 0,
    deaths integer NOT NULL DEFAULT 0,
    refused integer NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    finished_at timestamptz
);
CREATE INDEX IF NOT EXISTS batches_waiting ON batches (place, number) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS batches_by_name ON batches USING gin (names) WHERE state <> 'done';
CREATE INDEX IF NOT EXISTS batches_done ON batches (finished_at) WHERE state = 'done';
"""
_TAKE = """
UPDATE batches SET worker = ?, leased_until = now() + make_interval(secs => ?), taken = taken + 1,
    deaths = deaths + (leased_until IS NOT NULL)::integer
WHERE number = (
    SELECT number FROM batches AS one
    WHERE state = 'waiting' AND (leased_until IS NULL OR leased_until < now()) AND NOT EXISTS (
        SELECT 1 FROM batches AS former
        WHERE former.state = 'waiting' AND former.names && one.names AND former.place < one.place
    )
    ORDER BY place, number LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING number, place, taken, deaths, content
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """A batch that one worker has, for now. deaths: how many workers had it before and ended without a word."""

    number: int
    place: int
    taken: int
    deaths: int
    articles: tuple[Article, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the queue: so many batches, articles, and bytes of text."""

    batches: int = 0
    articles: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """An article that could not be added, and why; it is kept, to be tried again."""

    number: int
    article_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class State:
    """The queue at one moment.

    done: since it was last empty; refused of these: articles that hold no sentence. workers: those that have a batch.
    seconds_left: at the pace of late; None where nothing was done of late.
    """

    waiting: Share
    working: Share
    done: Share
    failed: Share
    refused: int
    workers: tuple[str, ...]
    seconds_left: float | None


class Queue:
    """The queue of the corpus whose store is at an address. Safe to use from several threads and processes."""

    def __init__(self, address: str, *, lease: float = LEASE) -> None:
        """address: as of a store, postgresql://...; the queue has a schema of its own there, beside the store's.

        Raises CorpusError, CorpusBusyError where the server cannot be reached.
        """
        schema = f"{dict(parse_qsl(urlsplit(address).query)).get('schema', 'quoteline')}_queue"
        self._db = Postgres(_with_schema(address, schema))
        self._lease = lease
        if not self._db.rows("SELECT 1 AS one FROM pg_class WHERE oid = to_regclass('batches')"):
            with self._db.transaction():
                self._db.run(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
                for statement in _TABLES.split(";\n"):
                    self._db.run(statement)

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        self._db.close()

    # Who has articles

    def put(self, articles: Iterable[Article]) -> Iterator[list[Article]]:
        """Put articles into the queue in batches; yield each batch once it is there, whole.

        What was done is forgotten first where nothing waits any more.
        """
        self._db.run(
            "DELETE FROM batches WHERE state = 'done'"
            " AND NOT EXISTS (SELECT 1 FROM batches AS other WHERE other.state = 'waiting')"
        )
        for batch in batches_of(articles):
            # What failed before is not to come back over what comes now.
            self._forget_failed(batch)
            self._put(batch, None)
            yield batch

    def _put(self, articles: Sequence[Article], place: int | None, failure: str | None = None) -> None:
        """Put a batch where others of `place` are; at the end for None."""
        self._db.run(
            "INSERT INTO batches (place, state, articles, size, names, content, reason) VALUES"
            " (coalesce(?::bigint, nextval('places')), ?, ?, ?, ?::bigint[], ?, ?)",
            (
                *(place, "waiting" if failure is None else "failed", len(articles), _size(articles)),
                *(_hashes(articles), _pack(articles), (failure or "")[:_LONGEST_REASON]),
            ),
        )

    def _forget_failed(self, articles: Sequence[Article]) -> None:
        self._db.run("DELETE FROM batches WHERE state = 'failed' AND names && ?::bigint[]", (_hashes(articles),))

    # Who works

    def take(self, worker: str) -> Lease | None:
        """Return the next batch that can be worked on, for `worker` alone; None where there is none now.

        Raises CorpusDamagedError where it is not what was put there; then it counts as failed.
        """
        rows = self._db.rows(_TAKE, (worker, self._lease))
        for row in rows:
            try:
                return Lease(row["number"], row["place"], row["taken"], row["deaths"], _unpack(row))
            except CorpusDamagedError as error:
                self._db.run(
                    "UPDATE batches SET state = 'failed', reason = ? WHERE number = ?", (str(error), row["number"])
                )
                raise
        return None

    def renew(self, worker: str) -> None:
        """Keep all that `worker` has from being taken by others."""
        self._db.run(
            "UPDATE batches SET leased_until = now() + make_interval(secs => ?)"
            " WHERE state = 'waiting' AND worker = ? AND leased_until IS NOT NULL",
            (self._lease, worker),
        )

    def is_held(self, leases: Iterable[Lease]) -> bool:
        """Whether nobody else has taken any of these batches."""
        held = {(lease.number, lease.taken) for lease in leases}
        rows = self._db.rows(
            "SELECT number, taken FROM batches WHERE state = 'waiting' AND number = ANY (?::bigint[])",
            ([number for number, _ in held],),
        )
        return held == {(row["number"], row["taken"]) for row in rows}

    def release(self, lease: Lease) -> None:
        """Give a batch back as it is; nothing happens where somebody else has it."""
        self._db.run(
            "UPDATE batches SET leased_until = NULL, worker = NULL"
            " WHERE number = ? AND taken = ? AND state = 'waiting'",
            (lease.number, lease.taken),
        )

    def finish(self, lease: Lease, refused: Sequence[str] = ()) -> None:
        """Say that all of a batch was added, but for articles that were refused, and why.

        Its texts are forgotten. Nothing happens where somebody else has it.
        """
        self._db.run(
            "UPDATE batches SET state = 'done', content = NULL, names = '{}', leased_until = NULL, finished_at = now(),"
            " refused = ?, reason = ? WHERE number = ? AND taken = ? AND state = 'waiting'",
            (len(refused), "\n".join(refused)[:_LONGEST_REASON], lease.number, lease.taken),
        )

    def fail(self, lease: Lease, article: Article, reason: str) -> None:
        """Keep an article of a batch that could not be added, which costs no other one.

        It is not kept where a later version of it waits.
        """
        self._forget_failed([article])
        later = self._db.rows(
            "SELECT 1 AS one FROM batches WHERE state = 'waiting' AND place > ? AND names && ?::bigint[] LIMIT 1",
            (lease.place, _hashes([article])),
        )
        if not later:
            self._put([article], lease.place, reason)

    def divide(self, lease: Lease) -> None:
        """Put each article of a batch into a batch of its own: one of them ends whoever works on it.

        Nothing happens where somebody else has it.
        """
        with self._db.transaction():
            gone = self._db.run(
                "DELETE FROM batches WHERE number = ? AND taken = ? AND state = 'waiting'", (lease.number, lease.taken)
            )
            for article in lease.articles if gone else ():
                self._put([article], lease.place)

    # Who looks

    def state(self) -> State:
        """Return what is in the queue."""
        rows = self._db.rows(
            "SELECT CASE WHEN state = 'waiting' AND leased_until >= now() THEN 'working' ELSE state END AS kind,"
            " count(*) AS batches, coalesce(sum(articles), 0)::bigint AS articles, coalesce(sum(size), 0)::bigint AS"
            " size, coalesce(sum(refused), 0)::bigint AS refused FROM batches GROUP BY 1"
        )
        shares = {row["kind"]: Share(row["batches"], row["articles"], row["size"]) for row in rows}
        workers = self._db.rows(
            "SELECT DISTINCT worker FROM batches WHERE state = 'waiting' AND leased_until >= now() ORDER BY worker"
        )
        left = sum(shares.get(kind, Share()).size for kind in ("waiting", "working"))
        return State(
            waiting=shares.get("waiting", Share()),
            working=shares.get("working", Share()),
            done=shares.get("done", Share()),
            failed=shares.get("failed", Share()),
            refused=sum(row["refused"] for row in rows),
            workers=tuple(row["worker"] for row in workers),
            seconds_left=self._seconds_left(left),
        )

    def _seconds_left(self, size: int) -> float | None:
        # The first batch that was finished says when, and not how long it took.
        [row] = self._db.rows(
            "SELECT coalesce(sum(size), 0)::bigint AS size, coalesce(min(size), 0)::bigint AS first,"
            " extract(epoch FROM max(finished_at) - min(finished_at))::float8 AS seconds FROM batches"
            " WHERE state = 'done' AND finished_at > now() - make_interval(secs => ?)",
            (PACE,),
        )
        if not row["seconds"] or row["size"] <= row["first"]:
            return None
        return float(size * row["seconds"] / (row["size"] - row["first"]))

    def refusals(self, limit: int) -> list[str]:
        """Return why articles of what was done were refused, the latest first."""
        rows = self._db.rows(
            "SELECT reason FROM batches WHERE state = 'done' AND refused > 0 ORDER BY number DESC LIMIT ?", (limit,)
        )
        return [line for row in rows for line in row["reason"].splitlines()][:limit]

    def failures(self, limit: int) -> list[Failure]:
        """Return the articles that failed, the first ones first."""
        rows = self._db.rows(
            "SELECT number, content, reason FROM batches WHERE state = 'failed' ORDER BY number LIMIT ?", (limit,)
        )
        return [Failure(row["number"], name, row["reason"]) for row in rows for name in _ids(row)]

    def retry(self) -> int:
        """Let all articles that failed wait again; return how many."""
        return self._db.run(
            "UPDATE batches SET state = 'waiting', reason = '', deaths = 0, leased_until = NULL WHERE state = 'failed'"
        )


def worker_name() -> str:
    """Return a name that no other worker has."""
    return f"{platform.node()}-{secrets.token_hex(3)}"


def _with_schema(address: str, schema: str) -> str:
    parts = urlsplit(address)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "schema"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("schema", schema)])))


def _size(articles: Iterable[Article]) -> int:
    return sum(len(article.text) for article in articles)


def _hashes(articles: Iterable[Article]) -> list[int]:
    """Return numbers for all by which another article can be a version of one of these."""
    names = {name for article in articles for name in names_of(article)}
    digests = (hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest() for name in names)
    return sorted(int.from_bytes(digest, "big", signed=True) for digest in digests)


def _pack(articles: Iterable[Article]) -> bytes:
    return zlib.compress("\n".join(json.dumps(_to_json(article)) for article in articles).encode(), level=1)


def _unpack(row: Row) -> tuple[Article, ...]:
    try:
        lines = zlib.decompress(row["content"]).splitlines()
        return tuple(_from_json(json.loads(line)) for line in lines)
    except (zlib.error, ValueError, TypeError, KeyError) as error:
        raise CorpusDamagedError(
            f"batch {row['number']} of the queue is not what was put there; remove it from the table `batches`, and "
            "add its articles again"
        ) from error


def _ids(row: Row) -> list[str]:
    try:
        return [article.id for article in _unpack(row)]
    except CorpusDamagedError:
        return [f"batch {row['number']}"]


def _to_json(article: Article) -> dict[str, object]:
    facts: dict[str, Any] = {one.name: getattr(article, one.name) for one in fields(article)}
    origins = {
        name: [origin.where, *((origin.span.start, origin.span.end) if origin.span else ())]
        for name, origin in article.origins.items()
    }
    body = [article.body.start, article.body.end]
    return {**facts, "body": body, "date": article.date and article.date.isoformat(), "origins": origins}


def _from_json(facts: Mapping[str, Any]) -> Article:
    origins = {name: Origin(where, Span(*span) if span else None) for name, (where, *span) in facts["origins"].items()}
    date = facts["date"] and dt.date.fromisoformat(facts["date"])
    known = {"body": Span(*facts["body"]), "date": date, "origins": origins, "pages": tuple(facts["pages"])}
    return Article(**{**facts, **known})
