"""Rows of vectors, searched: `Recent` ones in memory, and a `Segment` of many in one file. All that knows faiss.

A segment is searched twice: FAISS's fast scan over codes of half a byte for three dimensions each (PQ fast scan;
André, Kermarrec, Le Scouarnec 2015) says which few hundred rows may be the nearest, and these are scored exactly, from
the float16 rows of the mapped file. That reads all codes for each question, so that nothing depends on how the vectors
lie, and a segment is built as fast as its rows are encoded (docs/decisions/0014-vectors.md).
"""

import hashlib
import mmap
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedRandom
from itertools import count
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.encoding import Vectors
from index.errors import CorpusDamagedError, CorpusError
from index.halves import widened

Keys = NDArray[np.int64]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Below this many rows, and below four for each dimension, a segment is searched exactly: codes save nothing.
FEWEST_CODED = 1024
# Dimensions share a code by twos or threes where a row then has at least so many codes.
FEW_CODES = 128
# Rows that codes are learned from. 16 centroids in three dimensions need no more.
TRAINING = 20_000
# Rows that are copied, encoded or scored at once: 12 MB of float32 at 384 dimensions.
BLOCK = 8192
# So many of the nearest by their codes are scored exactly, and 2 k more where k are wanted. At 1,000,000 rows of 384
# dimensions 300 hold .994 of the 50 nearest, 400 hold .998.
CANDIDATES = 300
# An exact score costs as much as so many more candidates, or the codes of so many rows: a filter that leaves few is
# searched exactly.
EXACT_IN_CANDIDATES = 10
EXACT_IN_CODES = 200
# How many of the rows are asked for again, once too few of those found were wanted.
WIDER = 4

_serials = count()
_NO_SCORES: Vectors = np.empty(0, dtype=np.float32)


def scores_of(rows: Vectors, query: Vectors) -> Vectors:
    """Return inner products, shape (len(rows),); equal rows have equal scores, wherever they stand.

    Not `rows @ query`: BLAS sums a row by where it stands, and wakes threads that wait by spinning.
    """
    scores: Vectors = np.vecdot(rows, query)
    return scores


def best(scores: Vectors, k: int) -> Rows:
    """Return the places of the `k` highest scores, and of all that are equal to the last of them, in no order."""
    if len(scores) <= k:
        return np.arange(len(scores), dtype=np.int64)
    return np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])


class Recent:
    """Float32 rows in memory, in order of arrival, searched exactly. It never changes; `with_rows` returns another.

    Those that follow one another share a buffer, so that adding costs what is added. keys: shape (n,). serials: a
    number that no other row of this process has, whatever its key. alive: whether a row is still there.
    """

    def __init__(self, dim: int) -> None:
        self._buffer = _Buffer(dim, 16)
        self._length = 0
        self.alive: Mask = np.empty(0, dtype=np.bool_)

    def __len__(self) -> int:
        return int(np.count_nonzero(self.alive))

    @property
    def keys(self) -> Keys:
        return self._buffer.keys[: self._length]

    @property
    def vectors(self) -> Vectors:
        return self._buffer.vectors[: self._length]

    @property
    def serials(self) -> Rows:
        return self._buffer.serials[: self._length]

    def with_rows(self, vectors: Vectors, keys: Keys) -> "Recent":
        return self._following(self._buffer.appended(self._length, vectors, keys), len(keys))

    def without(self, gone: Mask) -> "Recent":
        """Return the same without the rows that `gone` marks."""
        alive = self.alive & ~gone
        # Rows that nobody can find are forgotten once they are most of what would be read.
        if np.count_nonzero(alive) * 2 <= len(alive):
            fresh = Recent(self.vectors.shape[1])
            buffer = fresh._buffer.appended(0, self.vectors[alive], self.keys[alive], self.serials[alive])
            return fresh._following(buffer, int(np.count_nonzero(alive)))
        other = self._following(self._buffer, 0)
        other.alive = alive
        return other

    def _following(self, buffer: "_Buffer", added: int) -> "Recent":
        other = Recent.__new__(Recent)
        other._buffer, other._length = buffer, self._length + added
        other.alive = np.concatenate([self.alive, np.ones(added, dtype=np.bool_)])
        return other

    def nearest(self, query: Vectors, k: int, wanted: Mask | None) -> tuple[Rows, Vectors]:
        """Return rows and cosines of the `k` nearest and of all equal to the last, in no order.

        wanted: which rows may be found; all that are alive where it is None.
        """
        mask = self.alive if wanted is None else self.alive & wanted
        scores = scores_of(self.vectors, query)
        if not mask.all():
            rows = np.flatnonzero(mask)
            places = best(scores[rows], k)
            return rows[places], scores[rows[places]]
        places = best(scores, k)
        return places, scores[places]


class _Buffer:
    """Rows that several `Recent` share: each sees the first so many of them, and only the last one adds in place."""

    def __init__(self, dim: int, capacity: int) -> None:
        self.vectors: Vectors = np.empty((capacity, dim), dtype=np.float32)
        self.keys: Keys = np.empty(capacity, dtype=np.int64)
        self.serials: Rows = np.empty(capacity, dtype=np.int64)
        self._used = 0
        self._lock = threading.Lock()

    def appended(self, length: int, vectors: Vectors, keys: Keys, serials: Rows | None = None) -> "_Buffer":
        """Return a buffer that holds the first `length` rows of this one and then these: this very one if it can."""
        if serials is None:
            serials = np.fromiter(_serials, dtype=np.int64, count=len(keys))
        with self._lock:
            end = length + len(keys)
            target = self
            if self._used != length or end > len(self.keys):
                # Twice as many, so that what is copied in the end is at most twice what was added.
                target = _Buffer(self.vectors.shape[1], max(16, 2 * end))
                for ours, theirs in zip(target._columns(), self._columns(), strict=True):
                    ours[:length] = theirs[:length]
            target.vectors[length:end], target.keys[length:end], target.serials[length:end] = vectors, keys, serials
            target._used = end
            return target

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.vectors, self.keys, self.serials


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """What a manifest says of a segment's file: its name, how many rows it holds, its bytes and their sha256."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Segment:
    """Rows in a file that is mapped into memory: float16 vectors, then their keys, then FAISS's index of codes.

    keys: ascending, shape (n,). vectors: float16, shape (n, dim).
    """

    file: SegmentFile
    keys: Keys
    vectors: NDArray[np.float16]
    _content: mmap.mmap = field(repr=False)
    # Any: FAISS's types know a loaded index only as its base class. None: few rows, searched exactly.
    _codes: Any = field(repr=False)

    def __len__(self) -> int:
        return self.file.rows

    @property
    def content(self) -> mmap.mmap:
        """All bytes of the file, which are there even once it was removed."""
        return self._content

    @classmethod
    def open(cls, folder: Path, file: SegmentFile, dim: int) -> "Segment":
        """Map a segment's file. Raises CorpusDamagedError where it is not what was written, FileNotFoundError."""
        damaged = CorpusDamagedError(
            f"{folder / file.name} is damaged, a part of the vector index; run `quoteline rebuild`"
        )
        if file.rows < 1 or file.bytes < file.rows * (2 * dim + 8):
            raise damaged
        with (folder / file.name).open("rb") as opened:
            # What is mapped past a file's end kills the process that reads it.
            if os.fstat(opened.fileno()).st_size != file.bytes:
                raise damaged
            if hashlib.file_digest(opened, "sha256").hexdigest() != file.sha256:
                raise damaged
            content = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        vectors = np.frombuffer(content, dtype=np.float16, count=file.rows * dim).reshape(file.rows, dim)
        keys = np.frombuffer(content, dtype=np.int64, count=file.rows, offset=vectors.nbytes)
        codes = np.frombuffer(content, dtype=np.uint8, offset=vectors.nbytes + keys.nbytes)
        return cls(file, keys, vectors, content, _searchable(codes) if len(codes) else None)

    def rows_of(self, keys: Keys) -> Rows:
        """Return the rows of those of `keys` that are here, in the order of `keys`."""
        places = np.minimum(np.searchsorted(self.keys, keys), len(self) - 1)
        found: Rows = places[self.keys[places] == keys]
        return found

    def candidates(self, queries: Vectors, k: int, wanted: Mask | Rows | None) -> "list[Candidates]":
        """Return for each query rows that may be among its `k` nearest; several cost less than one after another.

        queries: shape (n, dim). wanted: which rows may be found, as a mask of all rows or as their numbers; all of them
        where it is None.
        """
        if wanted is not None and wanted.dtype != np.bool_:
            return [Candidates(self, wanted.astype(np.int64), None)] * len(queries)
        many = CANDIDATES + 2 * k
        within = len(self) if wanted is None else int(np.count_nonzero(wanted))
        asked = many if within == len(self) else int(1.2 * many * len(self) / max(within, 1))
        few = within <= many or within <= asked / EXACT_IN_CANDIDATES + len(self) / EXACT_IN_CODES
        if self._codes is None or few or asked >= len(self):
            return [self._all(wanted)] * len(queries)
        found = self._by_codes(queries, asked)
        if wanted is None:
            return found
        return [self._wanted(*each, wanted, asked, many) for each in zip(queries, found, strict=True)]

    def _all(self, wanted: NDArray[Any] | None) -> "Candidates":
        rows = np.arange(len(self), dtype=np.int64) if wanted is None else np.flatnonzero(wanted)
        return Candidates(self, rows, None)

    def _wanted(self, query: Vectors, found: "Candidates", wanted: NDArray[Any], asked: int, many: int) -> "Candidates":
        """Return those of `found`, the nearest `asked` rows, that are wanted: at least `many`, or all there are."""
        while True:
            mine = found.only(wanted[found.rows])
            if len(mine.rows) >= many:
                return mine
            # What is wanted lies far from the question: look further.
            asked *= WIDER
            if asked >= len(self):
                return self._all(wanted)
            [found] = self._by_codes(query[np.newaxis], asked)

    def _by_codes(self, queries: Vectors, many: int) -> "list[Candidates]":
        # One thread for one search: many are asked at once, and OpenMP's threads wait by spinning.
        faiss.omp_set_num_threads(1)
        estimates, rows = self._codes.search(queries, many)
        return [Candidates(self, *each).only(each[0] != -1) for each in zip(rows, estimates, strict=True)]

    def scores(self, rows: Rows, query: Vectors) -> Vectors:
        """Return the cosines of `query` and of the vectors of `rows`, exactly."""
        blocks = [rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK)]
        return np.concatenate([scores_of(widened(self.vectors[block]), query) for block in blocks] or [_NO_SCORES])


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Rows of a segment that may be near.

    estimates: their cosines by the codes; None where these are all rows that may be found.
    """

    segment: Segment
    rows: Rows
    estimates: Vectors | None

    def only(self, chosen: Mask) -> "Candidates":
        """Return those that `chosen` marks."""
        return Candidates(self.segment, self.rows[chosen], None if self.estimates is None else self.estimates[chosen])


def narrowed(found: Sequence[Candidates], k: int) -> Iterator[tuple[Segment, Rows]]:
    """Yield the rows of each segment that are worth an exact score, where the `k` nearest of all are wanted.

    What the codes say is compared across segments, so that several cost no more than one.
    """
    estimates = [one.estimates for one in found if one.estimates is not None]
    together = np.concatenate(estimates) if estimates else _NO_SCORES
    many = CANDIDATES + 2 * k
    least = np.partition(together, len(together) - many)[len(together) - many] if len(together) > many else -np.inf
    for one in found:
        yield one.segment, one.rows if one.estimates is None else one.rows[one.estimates >= least]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Rows that are to become part of a segment: float16 or float32 vectors and keys, and which rows are taken."""

    vectors: NDArray[np.float16] | Vectors
    keys: Keys
    rows: Rows


def build(folder: Path, sources: Sequence[Source], *, threads: int) -> tuple[Segment, Rows]:
    """Write the rows of all sources to a new file in `folder`; return its segment, and where each of its rows was.

    The rows are in order of their keys; where they were is their place in the sources' rows, one source after the
    other. Values are rounded to float16. Takes little memory beside the codes (64 bytes a row of 384 dimensions, twice
    while they are written): some 100 MB to learn from. The interpreter is free for other threads while FAISS works.
    Raises CorpusError where nothing can be written.
    """
    keys = np.concatenate([source.keys[source.rows] for source in sources])
    order = np.argsort(keys, kind="stable")
    dim = sources[0].vectors.shape[1]
    codes = _trained(sources, order) if len(keys) >= max(FEWEST_CODED, 4 * dim) else None
    name = f"segment-{secrets.token_hex(8)}.vectors"
    unfinished = folder / f".{name}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with unfinished.open("w+b") as file:
            for block in _blocks(sources, order):
                file.write(np.ascontiguousarray(block).data)
                if codes is not None:
                    rows = widened(block)
                    faiss.omp_set_num_threads(threads)
                    codes.add(rows)
            file.write(np.ascontiguousarray(keys[order]).data)
            if codes is not None:
                file.write(faiss.serialize_index(codes).data)
            facts = _facts(file, name, len(keys))
        unfinished.replace(folder / name)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise CorpusError(f"the vector index in {folder} cannot be written ({error.strerror})") from error
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return Segment.open(folder, facts, dim), order


def _searchable(codes: NDArray[np.uint8]) -> Any:  # noqa: ANN401 (FAISS has no types)
    index: Any = faiss.deserialize_index(codes)
    # Blocks of several queries for each code that is read, and a reservoir, as many are asked for.
    fast: Any = faiss.downcast_index(index.index)
    fast.implem = 15
    return index


def _facts(file: BufferedRandom, name: str, rows: int) -> SegmentFile:
    file.flush()
    os.fsync(file.fileno())
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return SegmentFile(name, rows, size, hashlib.file_digest(file, "sha256").hexdigest())


def _trained(sources: Sequence[Source], order: Rows) -> Any:  # noqa: ANN401 (FAISS has no types)
    """Return an empty FAISS index whose codes are learned from some of the rows, evenly spread."""
    dim = sources[0].vectors.shape[1]
    chosen = order[:: max(1, -(-len(order) // TRAINING))]
    sample = np.concatenate([widened(block) for block in _blocks(sources, chosen)])
    # Few codes know little, however few dimensions each is of.
    width = next(width for width in (3, 2, 1) if width == 1 or (dim % width == 0 and dim // width >= FEW_CODES))
    # Rotated to the principal axes, of which each code gets strong and weak ones: all codes lose about as much then.
    # Without this step, codes of the same size need four times as many candidates for the same recall.
    rotation = faiss.PCAMatrix(dim, dim)
    rotation.balanced_bins = dim // width
    coded = faiss.IndexPQFastScan(dim, dim // width, 4, faiss.METRIC_INNER_PRODUCT)
    coded.pq.cp.min_points_per_centroid = 1
    # Learning is many short steps: several threads wait for one another longer than they work where others work, too.
    faiss.omp_set_num_threads(1)
    rotation.train(sample)
    # A question is rotated by the same step, and must not be centred: inner products would rank otherwise.
    rotation.have_bias = False
    rotated = faiss.IndexPreTransform(rotation, coded)
    rotated.train(sample)
    return rotated


def _blocks(sources: Sequence[Source], order: Rows) -> Iterator[NDArray[np.float16]]:
    """Yield the vectors of all sources in this order, as float16, in blocks."""
    ends = np.cumsum([len(source.rows) for source in sources])
    for first in range(0, len(order), BLOCK):
        places = order[first : first + BLOCK]
        which = np.searchsorted(ends, places, side="right")
        block = np.empty((len(places), sources[0].vectors.shape[1]), dtype=np.float16)
        for number in np.unique(which):
            source, mine = sources[number], which == number
            block[mine] = source.vectors[source.rows[places[mine] - (ends[number] - len(source.rows))]]
        yield block
