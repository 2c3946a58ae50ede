"""The embedded engine: tantivy and FAISS, in the corpus' own folder."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.derived import Neighbour, State, lost_changes
from index.encoding import Vectors
from index.engine import Found
from index.errors import CorpusBusyError, CorpusDamagedError
from index.lexical import LexicalIndex, LexicalReader
from index.runtime import cores
from index.store import Filters, Store
from index.vectors import VectorIndex

# Filters whose passages are kept in mind, of one generation: those of the keys and collections that are asked most.
KEPT_FILTERS = 32
# Questions whose nearest are kept until they are asked; who asked may have gone away.
KEPT_AHEAD = 32


@dataclass(frozen=True, slots=True, eq=False)
class Admitted:
    """The keys of the passages that filters admit, ascending, by filter. Safe to use from several threads."""

    store: Store
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _kept: "OrderedDict[Filters, NDArray[np.int64]]" = field(default_factory=OrderedDict)

    def __call__(self, filters: Filters) -> NDArray[np.int64] | None:
        """Return the keys; None where all are admitted. One that was removed since may be among them."""
        if not filters:
            return None
        with self._lock:
            if filters in self._kept:
                self._kept.move_to_end(filters)
                return self._kept[filters]
        keys = np.asarray(self.store.passages_of(filters), dtype=np.int64)
        # What cannot be written to, the vectors look up once.
        keys.setflags(write=False)
        with self._lock:
            self._kept[filters] = keys
            if len(self._kept) > KEPT_FILTERS:
                self._kept.popitem(last=False)
        return keys


class _Ahead:
    """The nearest of questions that were searched before they were asked, each for whoever asks it first.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[bytes, int], list[Neighbour]] = OrderedDict()

    def keep(self, vector: Vectors, k: int, nearest: list[Neighbour]) -> None:
        with self._lock:
            self._kept[vector.tobytes(), k] = nearest
            if len(self._kept) > KEPT_AHEAD:
                self._kept.popitem(last=False)

    def take(self, vector: Vectors, k: int) -> list[Neighbour] | None:
        with self._lock:
            return self._kept.pop((vector.tobytes(), k), None)


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedSnapshot:
    """The two indexes as they stood at one generation of the store."""

    generation: int
    lexical: LexicalReader
    vectors: VectorIndex
    admitted: Admitted
    _ahead: _Ahead = field(default_factory=_Ahead, init=False)

    def __len__(self) -> int:
        return len(self.vectors)

    def frequencies(self, terms: Sequence[str]) -> list[int]:
        return self.lexical.frequencies(terms)

    def admits(self, filters: Filters) -> bool:
        among = self.admitted(filters)
        return len(self) > 0 if among is None else len(among) > 0

    def search(
        self, vectors: Callable[[], Vectors], terms: Sequence[str], k: int, filters: Filters, *, alone: bool = False
    ) -> Found:
        among = self.admitted(filters)
        lexical = partial(self.lexical.search, terms, k, among=among)
        # Words need no vector: they are looked for while the question is encoded.
        beside = _another_core().submit(lexical) if alone and cores() > 1 else None
        dense = self._nearest(vectors(), k, among)
        return Found(dense, beside.result() if beside else lexical())

    def _nearest(self, vectors: Vectors, k: int, among: NDArray[np.int64] | None) -> list[Neighbour]:
        """Return the nearest of the first of `vectors`.

        Where it may find anything, so may the others, most likely: the codes are read once for all of them.
        """
        if among is not None:
            return self.vectors.search(vectors[:1], k, among=among)[0]
        if nearest := self._ahead.take(vectors[0], k):
            return nearest
        first, *others = self.vectors.search(vectors, k)
        for vector, found in zip(vectors[1:], others, strict=True):
            self._ahead.keep(vector, k, found)
        return first


class Embedded:
    """Both indexes of one store, in a folder; each is lost without loss."""

    def __init__(self, folder: Path, store: Store, dim: int) -> None:
        self._folder = folder
        self._store = store
        self._dim = dim
        # The generation that is saved, the manifest that says so, and whether segments were merged since.
        self._saved = -1
        self._manifest: tuple[int, int] | None = None
        self._merged = False
        # The commits of the lexical index that is searched, and that needed no tidying.
        self._read: tuple[int, int] | None = None
        self._gathered: tuple[int, int] | None = None
        # Held while the snapshot is followed by another one, of changes or of merges.
        self._following = threading.Lock()

    def open(self, *, rebuild: bool) -> list[str]:
        repairs: list[str] = []
        self._lexical = self._open_lexical(rebuild, repairs)
        self._read = self._lexical.stamp()
        vectors = self._load_vectors(rebuild, repairs)
        self._snapshot = EmbeddedSnapshot(-1, self._lexical.reader(), vectors, Admitted(self._store))
        return repairs

    def ready(self) -> bool:
        return True

    def follow(self) -> EmbeddedSnapshot | None:
        state = self._state()
        stamp = self._lexical.stamp()
        reader = self._lexical.reader()
        if reader.state() != state:
            return None
        with self._following:
            self._read = stamp
            self._snapshot = EmbeddedSnapshot(state.generation, reader, self._follow_vectors(), Admitted(self._store))
            return self._snapshot

    def catch_up(self) -> None:
        held, state = self._lexical.state(), self._state()
        if held is None or held.identity != state.identity:
            self.write_anew()
        elif held.generation > state.generation:
            raise self._lost_changes(held.generation)
        elif held != state:
            removed = self._store.removed_since(held.generation)
            self._lexical.change(add=_told(self._store.texts_since(held.generation)), remove=removed, state=state)

    def save(self) -> None:
        snapshot = self._snapshot
        state = State(self._store.identity, snapshot.generation)
        held = VectorIndex.saved(self._vectors_folder)
        # Another process may have saved a later generation.
        is_later = held is not None and held.identity == state.identity and held.generation > state.generation
        if not is_later and (self._merged or held != state):
            snapshot.vectors.save(self._vectors_folder, state)
            self._manifest = self._signature()
        self._saved = snapshot.generation
        self._merged = False

    def is_saved(self) -> bool:
        return self._saved >= self._snapshot.generation and not self._merged

    def tidy(self) -> EmbeddedSnapshot | None:
        adopted = self._adopt()
        return self._merge() or self._gather() or self._read_again() or adopted

    def write_anew(self) -> None:
        self._lexical.change(add=_told(self._store.texts_since(0)), remove=None, state=self._state())

    def erase_leftovers(self) -> None:
        while self._merge(erase=True):
            pass
        self.save()
        self._lexical.erase_leftovers()

    def check(self) -> list[str]:
        findings = []
        snapshot = self._snapshot
        keys = list(self._store.keys_since(0, 0))
        if snapshot.lexical.keys() != keys:
            findings.append("the lexical index holds other passages than the store; run `quoteline rebuild`")
        same = snapshot.vectors.keys() == keys and all(
            np.array_equal(snapshot.vectors.vectors(some), vectors) for some, vectors in self._store.vectors_since(0)
        )
        if not same:
            findings.append("the vector index holds other vectors than the store; run `quoteline rebuild`")
        return findings

    def close(self) -> None:
        pass

    def _state(self) -> State:
        return State(self._store.identity, self._store.generation)

    def _follow_vectors(self) -> VectorIndex:
        snapshot = self._snapshot
        # At first it holds what was saved; from then on it is never behind that.
        return self._changed_since(snapshot.vectors, max(snapshot.generation, self._saved, 0))

    def _changed_since(self, vectors: VectorIndex, generation: int) -> VectorIndex:
        """Return what `vectors`, which hold `generation`, become; a block at a time, so that memory is bounded."""
        removed = self._store.removed_since(generation)
        if removed:
            vectors = vectors.changed(add=np.empty((0, self._dim), dtype=np.float32), keys=[], remove=removed)
        for number, (keys, added) in enumerate(self._store.vectors_since(generation)):
            if number:
                vectors = self._with_merges(vectors)
            vectors = vectors.changed(add=added, keys=keys, remove=[])
        return vectors

    def _with_merges(self, vectors: VectorIndex) -> VectorIndex:
        try:
            while plan := vectors.plan_merge():
                vectors = vectors.with_merged(plan.build(self._vectors_folder))
                self._merged = True
        except CorpusBusyError:
            # Another process is at it: until there is something to adopt, what is new stays in memory.
            pass
        return vectors

    def _merge(self, *, erase: bool = False) -> EmbeddedSnapshot | None:
        """Do the next merge of segments that is due; None where none is, or where somebody else is at it."""
        plan = self._snapshot.vectors.plan_merge(erase=erase)
        if plan is None:
            return None
        try:
            merged = plan.build(self._vectors_folder)
        except CorpusBusyError:
            if erase:
                raise
            return None
        with self._following:
            self._snapshot = replace(self._snapshot, vectors=self._snapshot.vectors.with_merged(merged))
            self._merged = True
            return self._snapshot

    def _adopt(self) -> EmbeddedSnapshot | None:
        """Take the segments that another process merged and saved, where it did; they are in memory once for all."""
        if self._signature() == self._manifest:
            return None
        with self._following, self._store.frozen():
            snapshot = self._snapshot
            self._manifest = self._signature()
            loaded = VectorIndex.load(self._vectors_folder, self._dim, previous=snapshot.vectors)
            if loaded is None or loaded[1].identity != self._store.identity:
                return None
            vectors, state = loaded
            # What the store holds now may be more than this snapshot, whose lexical index is of its own generation.
            if not state.generation <= snapshot.generation == self._store.generation:
                self._manifest = None
                return None
            self._snapshot = replace(snapshot, vectors=self._changed_since(vectors, state.generation))
            self._saved, self._merged = state.generation, False
            return self._snapshot

    def _gather(self) -> EmbeddedSnapshot | None:
        """Write small segments of the lexical index as one, where there are many; None where there are not."""
        stamp = self._lexical.stamp()
        if stamp == self._gathered or not self._lexical.is_scattered():
            self._gathered = stamp
            return None
        try:
            with self._store.exclusive():
                state = self._state()
                if self._lexical.state() != state:
                    # Whoever changes the corpus next, or asks, catches up first.
                    return None
                keys = self._lexical.scattered()
                self._lexical.change(add=_told(self._store.texts_of(keys)), remove=keys, state=state)
        except CorpusBusyError:
            return None
        return self._read_again()

    def _read_again(self) -> EmbeddedSnapshot | None:
        """Search the lexical index as it is now, where this process or another one has written the same anew."""
        stamp = self._lexical.stamp()
        if stamp == self._read:
            return None
        with self._following:
            reader = self._lexical.reader()
            if reader.state() != State(self._store.identity, self._snapshot.generation):
                return None
            self._read = stamp
            self._snapshot = replace(self._snapshot, lexical=reader)
            return self._snapshot

    def _signature(self) -> tuple[int, int] | None:
        """Return what changes whenever the vectors are saved by anybody."""
        try:
            found = (self._vectors_folder / "state.json").stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def _open_lexical(self, rebuild: bool, repairs: list[str]) -> LexicalIndex:
        if rebuild:
            LexicalIndex.erase(self._lexical_folder)
        try:
            opened = LexicalIndex.open(self._lexical_folder)
        except CorpusDamagedError as error:
            # It is derived: nothing is lost by building it again.
            repairs.append(f"{error}: it is being built again")
            LexicalIndex.erase(self._lexical_folder)
            return LexicalIndex.open(self._lexical_folder)
        held = opened.state()
        # Another store's index is no wonder, unless this one was made just now: then the database itself is gone.
        own = held is not None and (held.identity == self._store.identity or self._store.generation == 0)
        if held is not None and own and held.generation > self._store.generation:
            raise self._lost_changes(held.generation)
        return opened

    def _load_vectors(self, rebuild: bool, repairs: list[str]) -> VectorIndex:
        if rebuild:
            VectorIndex.erase(self._vectors_folder)
        try:
            loaded = VectorIndex.load(self._vectors_folder, self._dim)
        except CorpusDamagedError as error:
            repairs.append(f"{error}: it is being built again")
            VectorIndex.erase(self._vectors_folder)
            loaded = None
        if loaded is None or loaded[1].identity != self._store.identity:
            return VectorIndex(self._dim)
        vectors, state = loaded
        if state.generation > self._store.generation:
            raise self._lost_changes(state.generation)
        self._saved = state.generation
        self._manifest = self._signature()
        return vectors

    def _lost_changes(self, generation: int) -> CorpusDamagedError:
        return lost_changes(self._folder, held=generation, there=self._store.generation)

    @property
    def _lexical_folder(self) -> Path:
        return self._folder / "lexical"

    @property
    def _vectors_folder(self) -> Path:
        return self._folder / "vectors"


def _told(texts: Iterable[tuple[int, str | None, str]]) -> Iterator[tuple[int, str]]:
    """Yield key and all that is searched of each passage."""
    for key, title, text in texts:
        yield key, f"{title or ''}\n{text}"


@cache
def _another_core() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="lexical")
