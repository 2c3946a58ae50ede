"""Nearest passages by cosine, by their keys: a few segments in files, and what came since in memory.

Built like a log (O'Neil et al. 1996; Lucene does the same): what is new is added in memory and searched exactly. Once
there is enough of it, `plan_merge` has it written as a segment, together with segments that are not much larger, so
that there are never many of them and each row is written few times. What is removed is marked, and dropped when its
segment is written again.
"""

import hashlib
import io
import json
import mmap
import os
import secrets
import shutil
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from index.derived import Neighbour, State
from index.encoding import Vectors
from index.errors import CorpusBusyError, CorpusDamagedError, CorpusError, DimensionError
from index.halves import widened
from index.segments import (
    EXACT_IN_CODES,
    Candidates,
    Keys,
    Mask,
    Recent,
    Rows,
    Segment,
    SegmentFile,
    Source,
    best,
    build,
    narrowed,
)

# So many rows are searched exactly, without a segment: 1 ms of one core at 384 dimensions.
EXACT = 16_384
# So many are searched exactly beside segments, before they become one: 0.3 ms, and 6 MB.
RECENT = 4096
# A segment is merged with what is younger once that is at least a half of it.
FACTOR = 2
# A segment is written again without its removed rows once they are this share of it.
REMOVED = 0.2
# Filters whose rows are remembered; each costs a byte for every row.
FILTERS = 16

_MANIFEST = "state.json"
_LOCK = "merging.lock"


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A segment and which of its rows are still there; None where all are."""

    segment: Segment
    alive: Mask | None = None

    def __len__(self) -> int:
        return len(self.segment) if self.alive is None else int(np.count_nonzero(self.alive))

    def rows(self) -> Rows:
        return np.arange(len(self.segment), dtype=np.int64) if self.alive is None else np.flatnonzero(self.alive)

    def rows_of(self, keys: Keys) -> Rows:
        rows = self.segment.rows_of(keys)
        return rows if self.alive is None else rows[self.alive[rows]]

    def without(self, rows: Rows) -> "_Part":
        if not len(rows):
            return self
        alive = np.ones(len(self.segment), dtype=np.bool_) if self.alive is None else self.alive.copy()
        alive[rows] = False
        return _Part(self.segment, alive)


class VectorIndex:
    """Search over unit vectors, exact while there are few; it never changes: `changed` returns another one.

    Keys are int64. Vectors are kept as float32 until they become part of a segment, which holds them as float16: those
    that were rounded to float16 before, as the store's are, come back as they were.
    """

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._recent = Recent(dim)
        self._parts: tuple[_Part, ...] = ()
        self._filters = _Filters()

    @property
    def dim(self) -> int:
        return self._dim

    def __len__(self) -> int:
        return len(self._recent) + sum(len(part) for part in self._parts)

    def keys(self) -> list[int]:
        """Return the keys of all vectors, in ascending order."""
        held = [part.segment.keys[part.rows()] for part in self._parts]
        keys: list[int] = np.sort(np.concatenate([self._recent.keys[self._recent.alive], *held])).tolist()
        return keys

    def vectors(self, keys: Sequence[int] | Keys) -> Vectors:
        """Return the vectors of `keys`, shape (len(keys), dim). Raises KeyError for a key that is not there."""
        wanted = np.asarray(keys, dtype=np.int64)
        found = np.empty((len(wanted), self._dim), dtype=np.float32)
        missing = np.ones(len(wanted), dtype=np.bool_)
        for held, rows, read in self._holdings():
            order = np.argsort(held, kind="stable")
            places = np.minimum(np.searchsorted(held, wanted, sorter=order), max(len(held) - 1, 0))
            mine = np.flatnonzero(held[order[places]] == wanted) if len(held) else np.empty(0, dtype=np.int64)
            if len(mine):
                found[mine] = read(rows[order[places[mine]]])
            missing[mine] = False
        if missing.any():
            raise KeyError(f"no vector of the keys {wanted[missing][:5].tolist()}…")
        return found

    def _holdings(self) -> Iterator[tuple[Keys, Rows, Callable[[Rows], Vectors]]]:
        """Yield keys, row numbers and what reads rows, of all that is there."""
        rows = np.flatnonzero(self._recent.alive)
        yield self._recent.keys[rows], rows, lambda chosen: self._recent.vectors[chosen]
        for part in self._parts:
            rows = part.rows()
            yield part.segment.keys[rows], rows, _reader(part.segment)

    def changed(self, *, add: Vectors, keys: Sequence[int] | Keys, remove: Sequence[int] | Keys) -> "VectorIndex":
        """Return an index with the rows of `add` under `keys`, and without `remove`; this one stays as it is.

        Costs what is added and a byte for each row of a segment that something is removed from.
        add: float32, shape (len(keys), dim), rows of unit length. Raises DimensionError where dim is not the index's.
        """
        self._check(add)
        if len(add) != len(keys):
            raise DimensionError(f"{len(add)} vectors for {len(keys)} keys")
        gone = np.asarray(remove, dtype=np.int64)
        recent, parts = self._recent, self._parts
        if len(gone):
            recent = recent.without(np.isin(recent.keys, gone))
            parts = tuple(part.without(part.rows_of(gone)) for part in parts)
        if len(keys):
            recent = recent.with_rows(add, np.asarray(keys, dtype=np.int64))
        return self._following(recent, parts)

    def _following(self, recent: Recent, parts: Sequence[_Part]) -> "VectorIndex":
        other = VectorIndex.__new__(VectorIndex)
        other._dim, other._recent, other._filters = self._dim, recent, self._filters
        # The largest first, which is the order in which they are merged.
        other._parts = tuple(sorted((part for part in parts if len(part)), key=len, reverse=True))
        return other

    # Searching

    def search(
        self, queries: Vectors, k: int, *, among: Sequence[int] | NDArray[np.int64] | None = None
    ) -> list[list[Neighbour]]:
        """Return at most `k` passages per query, best cosine first, ties by key.

        The nearest themselves where no segment is searched by its codes, else nearly always: of the 50 nearest of
        1,000,000, on average, more than .99. Scores are exact in either case.
        queries: float32, shape (n, dim), rows of unit length. among: only passages with these keys; an array that
        cannot be written to (`setflags(write=False)`) is looked up once, however often it is handed in.
        Raises DimensionError where dim is not the index's own.
        """
        self._check(queries)
        if k < 1 or not len(self) or (among is not None and not len(among)):
            return [[] for _ in queries]
        queries = np.ascontiguousarray(queries)
        wanted = None if among is None else self._filters.of(among)
        recent = None if wanted is None else wanted.recent(self._recent)
        found = [
            part.segment.candidates(queries, k, part.alive if wanted is None else wanted.part(part))
            for part in self._parts
        ]
        return [self._nearest(query, k, recent, [some[n] for some in found]) for n, query in enumerate(queries)]

    def _nearest(
        self, query: Vectors, k: int, recent: Mask | None, candidates: Sequence[Candidates]
    ) -> list[Neighbour]:
        rows, scores = self._recent.nearest(query, k, recent)
        found = [(self._recent.keys[rows], scores)]
        for segment, near in narrowed(candidates, k):
            exact = segment.scores(near, query)
            places = best(exact, k)
            found.append((segment.keys[near[places]], exact[places]))
        keys, cosines = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.lexsort((keys, -cosines))[:k]
        return [Neighbour(*pair) for pair in zip(keys[order].tolist(), cosines[order].tolist(), strict=True)]

    def _check(self, vectors: Vectors) -> None:
        # FAISS itself raises an AssertionError without a text, and under `python -O` reads past the end of the rows.
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise DimensionError(f"vectors of shape {vectors.shape} for an index of width {self.dim}")
        if vectors.dtype != np.float32:
            raise DimensionError(f"vectors of {vectors.dtype} for an index of float32")

    # Merging

    def plan_merge(self, *, erase: bool = False) -> "Merge | None":
        """Return the next merge that is due; None where none is.

        erase: also where anything at all was removed from a segment, so that no file holds it once nothing is left to
        merge and the index is saved.
        """
        # The smallest last.
        parts = list(self._parts)
        if len(self._recent) >= (RECENT if parts else EXACT):
            merged, together = [], len(self._recent)
            while parts and len(parts[-1]) <= FACTOR * together:
                merged.append(parts.pop())
                together += len(merged[-1])
            return Merge(self._dim, self._recent, tuple(merged))
        for part in parts:
            removed = len(part.segment) - len(part)
            if removed > REMOVED * len(part.segment) or (erase and removed):
                return Merge(self._dim, None, (part,))
        return None

    def with_merged(self, merged: "Merged") -> "VectorIndex":
        """Return an index in which the rows of `merged` are where they were merged to.

        It may have changed since the merge was planned: what was removed meanwhile stays removed, what was added stays.
        Right for any index: rows that are no longer where they were merged from are not taken from the segment.
        """
        taken = np.isin(self._recent.serials, merged.serials) & self._recent.alive
        moved = np.isin(merged.serials, self._recent.serials[taken])
        here = {part.segment.file.name: part for part in self._parts}
        alive = [moved]
        for part in merged.parts:
            same = here.pop(part.segment.file.name, None)
            rows = part.rows()
            if same is None:
                alive.append(np.zeros(len(rows), dtype=np.bool_))
            else:
                alive.append(np.ones(len(rows), dtype=np.bool_) if same.alive is None else same.alive[rows])
        mask = np.concatenate(alive)[merged.order]
        segment = _Part(merged.segment, None if mask.all() else mask)
        rest = Recent(self._dim)
        left = self._recent.alive & ~taken
        if left.any():
            rest = rest.with_rows(self._recent.vectors[left], self._recent.keys[left])
        return self._following(rest if taken.any() else self._recent, [*here.values(), segment])

    # Saving

    def save(self, folder: Path, state: State) -> None:
        """Write what `folder` does not hold yet, so that a break at any moment leaves what was there, or this.

        Files that are no part of it are removed; another process may go on with them. There is one writer at a time.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for part in self._parts:
                path = folder / part.segment.file.name
                # Another process may have taken it for a leftover, between its making and this.
                if not path.exists() or path.stat().st_size != part.segment.file.bytes:
                    _replace(path, part.segment.content)
            content = self._small()
            recent = {"name": f"recent-{secrets.token_hex(8)}.npz", "sha256": hashlib.sha256(content).hexdigest()}
            _replace(folder / recent["name"], content)
            segments = [asdict(part.segment.file) for part in self._parts]
            facts = {**asdict(state), "dim": self._dim, "recent": recent, "segments": segments}
            _replace(folder / _MANIFEST, json.dumps({"facts": facts, "sha256": _seal(facts)}).encode())
            _remove_others(
                folder, {recent["name"], _MANIFEST, _LOCK, *(part.segment.file.name for part in self._parts)}
            )
        except OSError as error:
            raise CorpusError(f"the vector index in {folder} cannot be written ({error.strerror})") from error

    def _small(self) -> bytes:
        """Return all that is not in segments: recent rows, and which rows of segments are removed."""
        vectors = self._recent.vectors[self._recent.alive]
        halves = vectors.astype(np.float16)
        arrays: dict[str, NDArray[np.generic]] = {
            "keys": self._recent.keys[self._recent.alive],
            "vectors": halves if np.array_equal(halves, vectors) else vectors,
        }
        for number, part in enumerate(self._parts):
            if part.alive is not None:
                arrays[f"removed{number}"] = np.flatnonzero(~part.alive)
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        return file.getvalue()

    @staticmethod
    def saved(folder: Path) -> State | None:
        """Return the state of the index saved in `folder`, unread; None where there is none that can be read."""
        try:
            return _read_manifest(folder).state
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def erase(folder: Path) -> None:
        """Remove the index saved in `folder`, whatever state it is in."""
        shutil.rmtree(folder, ignore_errors=True)

    @classmethod
    def load(
        cls, folder: Path, dim: int, *, previous: "VectorIndex | None" = None
    ) -> tuple["VectorIndex", State] | None:
        """Return the index saved in `folder` with the state it holds; None where none is, or one of an older version.

        previous: an index whose segments are taken as they are where they are part of what was saved.
        Raises CorpusDamagedError where the files are not what was saved.
        """
        damaged = CorpusDamagedError(f"the vector index in {folder} is damaged; run `quoteline rebuild`")
        last = None
        while True:
            try:
                content = (folder / _MANIFEST).read_bytes()
            except FileNotFoundError:
                return None
            except OSError as error:
                raise damaged from error
            if _is_older(content):
                return None
            try:
                manifest = _parsed(content)
                if manifest.dim != dim:
                    raise damaged
                return cls._opened(folder, manifest, previous), manifest.state
            except FileNotFoundError as error:
                # Another process saved meanwhile, and removed what the manifest that was read named.
                if content == last:
                    raise damaged from error
                last = content
            except (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
                raise damaged from error

    @classmethod
    def _opened(cls, folder: Path, manifest: "_Manifest", previous: "VectorIndex | None") -> "VectorIndex":
        small = (folder / manifest.recent).read_bytes()
        if hashlib.sha256(small).hexdigest() != manifest.sha256:
            raise ValueError(manifest.recent)
        known = {part.segment.file: part.segment for part in previous._parts} if previous is not None else {}
        loaded = cls(manifest.dim)
        if previous is not None:
            loaded._filters = previous._filters
        with np.load(io.BytesIO(small), allow_pickle=False) as arrays:
            segments = [known.get(file) or Segment.open(folder, file, manifest.dim) for file in manifest.segments]
            none = np.empty(0, dtype=np.int64)
            parts = [
                _Part(segment).without(arrays.get(f"removed{number}", none)) for number, segment in enumerate(segments)
            ]
            recent = loaded._recent.with_rows(arrays["vectors"].astype(np.float32), arrays["keys"])
        return loaded._following(recent, parts)


def _reader(segment: Segment) -> Callable[[Rows], Vectors]:
    return lambda rows: widened(segment.vectors[rows])


# Merging


@dataclass(frozen=True, slots=True, eq=False)
class Merge:
    """Rows that are to become one segment: some recent ones, and parts; made by `VectorIndex.plan_merge`."""

    dim: int
    recent: Recent | None
    parts: tuple[_Part, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts) + (0 if self.recent is None else len(self.recent))

    def build(self, folder: Path, *, threads: int = 1) -> "Merged":
        """Write the segment to `folder`, where no manifest names it yet; takes some 20 µs of a core for each row.

        Searches and changes go on meanwhile; threads: of FAISS, of which the interpreter is free.
        Raises CorpusBusyError where another one is being built for this folder, CorpusError where it cannot be written.
        """
        sources = [Source(part.segment.vectors, part.segment.keys, part.rows()) for part in self.parts]
        serials = np.empty(0, dtype=np.int64)
        if self.recent is not None:
            rows = np.flatnonzero(self.recent.alive)
            sources.insert(0, Source(self.recent.vectors, self.recent.keys, rows))
            serials = self.recent.serials[rows]
        with _building(folder):
            segment, order = build(folder, sources, threads=threads)
        return Merged(segment, serials, self.parts, order)


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """A segment, and where its rows were: recent ones by their serials, then those of parts.

    order: for each row of the segment, its place among these.
    """

    segment: Segment
    serials: Rows
    parts: tuple[_Part, ...]
    order: Rows


@contextmanager
def _building(folder: Path) -> Iterator[None]:
    """Hold what says that a file of `folder` is being written; it ends with the process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder / _LOCK, timeout=0).acquire()
    except Timeout as error:
        raise CorpusBusyError(f"segments of {folder} are being merged already; try again when that is done") from error
    except OSError as error:
        raise CorpusError(f"the vector index in {folder} cannot be written ({error.strerror})") from error
    with held:
        yield


# Filters


class _Filter:
    """The rows of each segment that a filter names, looked up once for each segment."""

    def __init__(self, keys: Sequence[int] | NDArray[np.int64]) -> None:
        self._keys: Keys = np.unique(np.asarray(keys, dtype=np.int64))
        self._masks: weakref.WeakKeyDictionary[Segment, Mask] = weakref.WeakKeyDictionary()

    def recent(self, recent: Recent) -> Mask:
        places = np.minimum(np.searchsorted(self._keys, recent.keys), len(self._keys) - 1)
        mask: Mask = self._keys[places] == recent.keys
        return mask

    def part(self, part: _Part) -> Mask | Rows:
        if len(self._keys) <= len(part.segment) / EXACT_IN_CODES:
            return part.rows_of(self._keys)
        mask = self._masks.get(part.segment)
        if mask is None:
            mask = np.zeros(len(part.segment), dtype=np.bool_)
            mask[part.segment.rows_of(self._keys)] = True
            self._masks[part.segment] = mask
        return mask if part.alive is None else mask & part.alive


class _Filters:
    """The last filters that were asked with, by the very array that they came as."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[weakref.ref[NDArray[np.int64]], _Filter]] = OrderedDict()

    def of(self, keys: Sequence[int] | NDArray[np.int64]) -> _Filter:
        # What can be written to may hold other keys the next time.
        if not isinstance(keys, np.ndarray) or keys.flags.writeable:
            return _Filter(keys)
        known = self._known.get(id(keys))
        if known is None or known[0]() is not keys:
            known = self._known[id(keys)] = weakref.ref(keys), _Filter(keys)
            while len(self._known) > FILTERS:
                self._known.popitem(last=False)
        return known[1]


# Files


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What a saved index consists of. recent, sha256: the name of its small file, and that file's digest."""

    state: State
    dim: int
    recent: str
    sha256: str
    segments: tuple[SegmentFile, ...]


def _read_manifest(folder: Path) -> _Manifest:
    return _parsed((folder / _MANIFEST).read_bytes())


def _parsed(content: bytes) -> _Manifest:
    """Return what a manifest says. Raises ValueError, KeyError or TypeError where it is none."""
    whole = json.loads(content)
    facts = whole["facts"]
    if _seal(facts) != whole["sha256"]:
        raise ValueError("a manifest that was altered")
    return _Manifest(
        State(facts["identity"], facts["generation"]),
        facts["dim"],
        facts["recent"]["name"],
        facts["recent"]["sha256"],
        tuple(SegmentFile(**segment) for segment in facts["segments"]),
    )


def _is_older(content: bytes) -> bool:
    """Whether this is what the version before wrote beside its one file, which is built again from the store."""
    try:
        return set(json.loads(content)) == {"identity", "generation", "sha256"}
    except (ValueError, TypeError):
        return False


def _seal(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _remove_others(folder: Path, named: set[str]) -> None:
    try:
        with FileLock(folder / _LOCK, timeout=0):
            for path in folder.iterdir():
                if path.name not in named and path.is_file():
                    path.unlink(missing_ok=True)
    except Timeout:
        # A segment is being built: what it leaves is removed by the next one who saves.
        return


def _replace(path: Path, content: "bytes | mmap.mmap") -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
