"""What the store holds, as nouns and as rows.

Each row of an article or of a passage carries a seal, a checksum of all that it says, taken when it was written. SQLite
itself notices a page that makes no sense, but not a letter that became another one.
"""

import datetime as dt
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from index.articles import Article, Origin, Passage, Span
from index.encoding import Vectors
from index.errors import CorpusDamagedError
from index.halves import widened

Number = TypeVar("Number", np.float16, np.int32, np.uint32)


class Row(Protocol):
    """A row of a result, by the names of its columns."""

    def __getitem__(self, name: str, /) -> Any: ...  # noqa: ANN401 - what a column holds is the schema's to say


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


class Spans(Sequence[Span]):
    """Spans that are made when they are looked at: of an article's hundreds of sentences, few are."""

    __slots__ = ("_offsets",)

    def __init__(self, offsets: NDArray[np.int32]) -> None:
        """offsets: shape (n, 2)."""
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, place: int) -> Span: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Span, ...]: ...

    def __getitem__(self, place: int | slice) -> Span | tuple[Span, ...]:
        found = self._offsets[place].tolist()
        return tuple(Span(*offsets) for offsets in found) if isinstance(place, slice) else Span(*found)

    def __iter__(self) -> Iterator[Span]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spans) and np.array_equal(self._offsets, other._offsets)

    def __hash__(self) -> int:
        return hash(self._offsets.tobytes())


@dataclass(frozen=True, slots=True)
class Record:
    """One version of an article as the store holds it; `article.collection` is the collection that it belongs to.

    digest: of the article when it was added. sentences: all of them in order. added_at: seconds since 1970.
    current: whether no newer version took its place; only current versions are searched.
    """

    article: Article
    version: int
    current: bool
    digest: str
    sentences: Sequence[Span]
    generation: int
    added_at: float


@dataclass(frozen=True, slots=True)
class Summary:
    """An article in a list: all but its text. characters: the length of the text; sentences: how many."""

    id: str
    version: int
    current: bool
    collection: str
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
class Known:
    """What the store knows of an article that is about to be added: where it is, its version and its digest."""

    id: str
    version: int
    digest: str
    collection: str
    path: str | None


@dataclass(frozen=True, slots=True)
class Deletion:
    """The fact of a deletion. version: the last that there was; deleted_at: seconds since 1970."""

    version: int
    deleted_at: float


# The columns of `versions`, without its key, its seal, and `current`, which changes.
SEALED = (
    *("id", "version", "collection", "digest", "path", "text", "body_start", "body_end", "title", "date", "source"),
    *("url", "author", "language", "media_type", "pages", "origins", "sentences", "generation", "added_at"),
)
# What a record is made of. By name: damage to the schema renames columns, and SQLite refuses names that it lacks.
_OF_RECORD = ("key", "current", *SEALED, "seal")
RECORD = ", ".join(f"v.{name}" for name in _OF_RECORD)
SUMMARY = (
    "v.id, v.version, v.current, v.collection, v.title, v.date, v.source, v.url, v.author, v.language, v.media_type,"
    " code_points(v.text) AS characters, length(v.sentences) / 8 AS sentences, v.added_at"
)
# The columns of a passage that its seal covers, beside its article's id and version; the article's key is not among
# them, because a restore changes it.
READ = ("first", "last", "vector", "spans", "sentence_vectors", "terms", "term_counts")
# What `readings_of` is given, of `passages AS p` and `versions AS v`.
READING = ", ".join(("p.key", "p.seal", "v.id", "v.version", *(f"p.{name}" for name in READ)))


def seal(values: Iterable[object]) -> bytes:
    """Return 16 bytes (BLAKE2b) that stand for these values, each with its kind and length."""
    parts: list[bytes] = []
    for value in values:
        # Most are one of these; all are put together alike.
        if value is None:
            parts.append(b"NoneType 4 None")
        elif type(value) is str:
            content = value.encode()
            parts += (b"str %d " % len(content), content)
        else:
            content = value if isinstance(value, bytes) else str(value).encode()
            parts += (b"%s %d " % (type(value).__name__.encode(), len(content)), content)
    return hashlib.blake2b(b"".join(parts), digest_size=16).digest()


def passage_seal(article_id: str, version: int, first: int, last: int, *blobs: bytes) -> int:
    """Return a CRC-32 of a passage and of what it belongs to: fifty of them are read for each question."""
    return zlib.crc32(b"".join((f"{version} {first} {last} {article_id}".encode(), *blobs)))


def id_hash(article_id: str) -> str:
    """Return what stands for an id that is not to be kept itself."""
    return hashlib.sha256(article_id.encode()).hexdigest()


def version_row(
    article: Article, *, version: int, sentences: Sequence[Span], generation: int, added_at: float
) -> tuple[object, ...]:
    """Return the values of `SEALED` and their seal."""
    values = (
        *(article.id, version, article.collection, article.digest(), article.path, article.text),
        *(article.body.start, article.body.end, article.title, article.date and article.date.isoformat()),
        *(article.source, article.url, article.author, article.language, article.media_type),
        *(json.dumps(article.pages), _origins_to_json(article.origins)),
        np.array([(span.start, span.end) for span in sentences], dtype=np.int32).tobytes(),
        *(generation, added_at),
    )
    return (*values, seal(values))


def record_of(row: Row) -> Record:
    """Return the record in a row of `RECORD`. Raises CorpusDamagedError where it is not what was written."""
    return record_from([row[name] for name in _OF_RECORD])


def record_from(values: Sequence[Any]) -> Record:
    """Return the record in the values of the columns `RECORD`. Raises what `record_of` raises."""
    _, current, *sealed, its_seal = values
    article_id, version, collection, digest, path, text, body_start, body_end, *rest = sealed
    title, date, source, url, author, language, media_type, pages, origins, sentences, generation, added_at = rest
    if seal(sealed) != its_seal:
        raise CorpusDamagedError(
            f"version {version} of article {article_id!r} is not what was written: the database is damaged; "
            "`quoteline check` says what else is, `quoteline restore` brings back a backup"
        )
    article = Article(
        id=article_id,
        text=text,
        body=Span(body_start, body_end),
        title=title,
        date=day_of(date),
        source=source,
        url=url,
        author=author,
        language=language,
        media_type=media_type,
        pages=() if pages == "[]" else tuple(json.loads(pages)),
        origins=_origins_from_json(origins),
        path=path,
        collection=collection,
    )
    spans = Spans(np.frombuffer(sentences, dtype=np.int32).reshape(-1, 2))
    return Record(article, version, bool(current), digest, spans, generation, added_at)


def summary_of(row: Row) -> Summary:
    """Return the summary in a row of the columns `SUMMARY`. Raises CorpusDamagedError where it makes no sense."""
    facts = {name: row[name] for name in Summary.__dataclass_fields__}
    with making_sense(f"what is said of article {row['id']!r}"):
        return Summary(**{**facts, "date": day_of(row["date"]), "current": bool(row["current"])})


def passage_row(article_id: str, version: int, reading: Reading) -> tuple[object, ...]:
    """Return the values of `READ` and their seal."""
    blobs = (
        reading.vector.astype(np.float16).tobytes(),
        reading.spans.astype(np.int32).tobytes(),
        reading.sentence_vectors.astype(np.float16).tobytes(),
        reading.terms.astype(np.uint32).tobytes(),
        reading.term_counts.astype(np.uint32).tobytes(),
    )
    where = (reading.first, reading.last)
    return *where, *blobs, passage_seal(article_id, version, *where, *blobs)


def is_sound(row: Row) -> bool:
    """Whether a passage, in a row with its article's id and version, is what was written."""
    return _is_sealed(row["seal"], row["id"], row["version"], *(row[name] for name in READ))


def _is_sealed(its_seal: object, article_id: str, version: int, first: int, last: int, *blobs: bytes) -> bool:
    try:
        return passage_seal(article_id, version, first, last, *blobs) == its_seal
    except TypeError:
        # SQLite keeps the kind of a value beside the value: one bit makes a text of a blob.
        return False


def readings_of(rows: Sequence[Sequence[Any]], dim: int) -> Readings:
    """Return the passages in rows of the columns `READING`.

    Raises CorpusDamagedError where one is not what was written.
    """
    for row in rows:
        if not _is_sealed(*row[1:]):
            raise CorpusDamagedError(
                f"a passage of article {row[2]!r} is not what was written: the database is damaged; `quoteline "
                "check` says what else is, `quoteline rebuild --encode` makes all passages again from the texts"
            )
    keys, _, ids, _, firsts, lasts, *blobs = zip(*rows, strict=True) if rows else ((),) * (4 + len(READ))
    vectors, spans, sentence_vectors, terms, term_counts = (b"".join(column) for column in blobs)
    return Readings(
        passages=tuple(map(Passage, keys, ids, firsts, lasts)),
        vectors=widened(np.frombuffer(vectors, dtype=np.float16)).reshape(-1, dim),
        counts=np.array(lasts, dtype=np.int64) - np.array(firsts, dtype=np.int64),
        spans=np.frombuffer(spans, dtype=np.int32).reshape(-1, 2),
        sentence_vectors=widened(np.frombuffer(sentence_vectors, dtype=np.float16)).reshape(-1, dim),
        terms=np.frombuffer(terms, dtype=np.uint32),
        term_counts=np.frombuffer(term_counts, dtype=np.uint32),
    )


@contextmanager
def making_sense(what: str) -> Iterator[None]:
    """Turn what Python raises on values of a wrong kind, length or form into CorpusDamagedError."""
    try:
        yield
    except (TypeError, ValueError, IndexError) as error:
        raise CorpusDamagedError(
            f"{what} is not what was written: the database is damaged; `quoteline check` says what else is, "
            "`quoteline restore` brings back a backup"
        ) from error


def column(rows: Sequence[Row], name: str, dtype: type[Number]) -> NDArray[Number]:
    """Return the arrays of one column, one after another."""
    return np.frombuffer(b"".join(row[name] for row in rows), dtype=dtype)


def day_of(value: str | None) -> dt.date | None:
    """Return the day in a column `date`. Raises ValueError or TypeError where it holds something else."""
    return dt.date.fromisoformat(value) if value else None


def _origins_to_json(origins: dict[str, Origin]) -> str:
    return json.dumps({k: [o.where, *((o.span.start, o.span.end) if o.span else ())] for k, o in origins.items()})


def _origins_from_json(value: str) -> dict[str, Origin]:
    return {k: Origin(where, Span(*span) if span else None) for k, (where, *span) in json.loads(value).items()}
