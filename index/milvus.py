"""The engine on Milvus: a collection that any number of processes search and keep up with one store.

The collection is made out of the store, and holds no truth of its own: it can be dropped at any time. The processes
reach it by an alias, which is moved when another collection is ready to take its place. A row of it says which store it
was made out of and how much of that is in it; that row is written after all it speaks of.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from index.address import Address
from index.derived import lost_changes
from index.encoding import Vectors
from index.engine import Found
from index.errors import CorpusBusyError, CorpusDamagedError, CorpusError
from index.milvus_rows import (
    BLOCK,
    SAMPLE,
    Frequencies,
    expression,
    question,
    rows_after,
    state_row,
)
from index.milvus_server import Server
from index.store import Filters, Store

# How often it is looked whether the server still holds what it held, in seconds.
LOOKS = 1.0
# Rows after which it is written down how far a catch-up came.
STEP = 20 * BLOCK
# Up to so many passages a collection is filled anew to be rid of what was deleted: about a minute.
REFILLED = 200_000


@dataclass(frozen=True, slots=True)
class Held:
    """What a collection holds: the store `identity` up to `generation`, and of what follows passages up to key `after`.

    collection: its own name. dim: of its vectors. lexical: whether it has terms, too. seen: the server's time of the
    last change.
    """

    collection: str
    identity: str
    dim: int
    lexical: bool
    generation: int
    after: int = 0
    seen: int = 0

    @classmethod
    def read(cls, text: str) -> "Held":
        """Return what `write` wrote. Raises CorpusDamagedError."""
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise CorpusDamagedError(
                f"a collection of Milvus says of itself what makes no sense: {text[:200]!r}; run `quoteline rebuild`"
            ) from error

    def write(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True, eq=False)
class MilvusSnapshot:
    """The collection as it stood at one generation of the store, or later. Passages that are gone are in no store."""

    generation: int
    total: int
    counted: Frequencies
    seen: int
    store: Store
    server: Server

    def __len__(self) -> int:
        return self.total

    def frequencies(self, terms: Sequence[str]) -> list[int]:
        return self.counted(terms)

    def admits(self, filters: Filters) -> bool:
        return self.store.admits(filters) if filters else len(self) > 0

    def search(
        self, vectors: Callable[[], Vectors], terms: Sequence[str], k: int, filters: Filters, *, alone: bool = False
    ) -> Found:
        del alone  # the server's cores are not ours to know
        within = expression(filters)
        dense, lexical = self.server.search(vectors()[0], question(terms), k, expression=within, since=self.seen)
        return Found(dense=dense, lexical=lexical)


class Milvus:
    """The passages of one store in a collection of Milvus; lost without loss."""

    def __init__(self, address: Address, store: Store, dim: int) -> None:
        self._server = Server(address)
        self._store = store
        self._dim = dim
        self._anew = False
        # What was followed last, and what this process itself has just brought there.
        self._held: Held | None = None
        self._brought: Held | None = None
        self._snapshot: MilvusSnapshot | None = None
        self._looked = 0.0

    def open(self, *, rebuild: bool) -> list[str]:
        # What is searched goes on being searched until there is another: `catch_up` makes that.
        self._anew = rebuild
        if not rebuild:
            self._check(self._find(newest=True))
        return []

    def ready(self) -> bool:
        """Whether the server holds what was last followed; it is looked at LOOKS seconds after the last look."""
        if self._snapshot is None or self._held is None:
            return False
        if self._server.doubted or time.monotonic() - self._looked > LOOKS:
            try:
                held = self._find(newest=False)
            except CorpusError:
                held = None
            # What is at hand may be older than what was followed, but it is of this store.
            if held is None or held.identity != self._store.identity:
                self._held = None
                return False
            self._looked, self._server.doubted = time.monotonic(), False
        return True

    def follow(self) -> MilvusSnapshot | None:
        generation = self._store.generation
        held = None if self._anew else self._holding(generation)
        if held is None:
            return None
        self._held, self._looked, self._server.doubted = held, time.monotonic(), False
        counted = self._counted()
        self._snapshot = MilvusSnapshot(generation, counted.total, counted, held.seen, self._store, self._server)
        return self._snapshot

    def catch_up(self) -> None:
        if self._anew:
            self._replace(self._make())
            self._anew = False
            return
        held = self._find(newest=True)
        self._check(held)
        if held is None or not self._fits(held):
            # What was begun and not finished is gone on with: it may be millions of passages.
            self._replace(self._begun(held) or self._make())
        elif held.generation == self._store.generation:
            self._brought = held
        else:
            self._brought = self._fill(held, since=held.generation)

    def save(self) -> None:
        """Do nothing: all that is there is on the server."""

    def is_saved(self) -> bool:
        return True

    def tidy(self) -> None:
        # Milvus compacts, and builds its indexes, by itself.
        return None

    def write_anew(self) -> None:
        """Fill another collection and let it take this one's place; what asks meanwhile finds the former.

        Where that would keep writers waiting for too long, Milvus is asked to rewrite the segments that hold deleted
        rows, which it does in its own time. It has no text of them: vectors, and digests of terms and names.
        """
        if self._store.passages() <= REFILLED:
            self._replace(self._make())
        else:
            self.catch_up()
            self._server.compact()

    def erase_leftovers(self) -> None:
        searched = self._find(newest=True)
        for name in self._server.collections():
            if searched is None or name != searched.collection:
                self._server.drop(name)

    def check(self) -> list[str]:
        held = self._find(newest=True)
        if held is None:
            return ["Milvus holds nothing of this corpus; run `quoteline rebuild`"]
        there, differing, foreign = 0, 0, 0
        for keys, vectors in self._server.passages(held.collection):
            readings = self._store.readings(keys)
            known = [passage.key for passage in readings.passages]
            places = {key: place for place, key in enumerate(keys)}
            there += len(known)
            foreign += len(keys) - len(known)
            if known:
                mine = vectors[[places[key] for key in known]]
                differing += int(np.any(mine != readings.vectors, axis=1).sum())
        findings = []
        missing = self._store.passages() - there
        if missing or foreign:
            findings.append(
                f"Milvus lacks {missing:,} passages of the store and has {foreign:,} others; run `quoteline rebuild`"
            )
        if differing:
            findings.append(f"Milvus holds other vectors of {differing:,} passages; run `quoteline rebuild`")
        return findings

    def close(self) -> None:
        self._server.close()

    # How

    def _find(self, *, newest: bool) -> Held | None:
        """Return what is searched now; None where nothing is. Raises CorpusError where the name is somebody else's."""
        address = self._server.address
        if not self._server.is_there():
            return None
        try:
            text = self._server.text_of_state(address.name, newest=newest)
        except CorpusBusyError:
            # A server that was started again may not have loaded it yet.
            self._server.load(address.name)
            text = self._server.text_of_state(address.name, newest=newest)
        if text is None:
            if not newest:
                return self._find(newest=True)
            raise CorpusError(
                f"{address} is a collection that is not Quoteline's; nothing was changed. Give the corpus another name "
                "in QUOTELINE_INDEX, behind the host"
            )
        return Held.read(text)

    def _holding(self, generation: int) -> Held | None:
        """Return what is searched now where that is this store at `generation`."""
        brought, self._brought = self._brought, None
        if brought is not None and self._fits(brought) and brought.generation == generation:
            return brought
        # What is at hand is enough most often, and costs nothing.
        for newest in (False, True):
            held = self._find(newest=newest)
            if held is not None and self._fits(held) and held.generation == generation:
                return held
        return None

    def _fits(self, held: Held) -> bool:
        """Whether a collection is of this store, and can be searched as this one is to be searched."""
        wide = held.identity == self._store.identity and held.dim == self._dim
        # Terms that nobody asks for do no harm: others may.
        return wide and (held.lexical or not self._server.bm25)

    def _check(self, held: Held | None) -> None:
        """Raise CorpusError where what is searched is another store's, or ahead of this one."""
        if held is None:
            return
        if held.identity != self._store.identity:
            raise CorpusError(
                f"{self._server.address} holds the passages of another corpus; give this one another name in "
                "QUOTELINE_INDEX, behind the host, or put it in the other's place with `quoteline rebuild`"
            )
        if held.generation > self._store.generation:
            there = self._store.generation
            raise lost_changes(str(self._server.address), held=held.generation, there=there)

    def _begun(self, searched: Held | None) -> Held | None:
        """Return a collection of this store that was to be filled and is not searched yet; None where there is none."""
        for name in self._server.collections():
            if searched is None or name != searched.collection:
                try:
                    self._server.load(name)
                    text = self._server.text_of_state(name, newest=True)
                except CorpusBusyError:
                    # Whoever made it did not come to the end of that.
                    continue
                held = Held.read(text) if text else None
                if held and self._fits(held):
                    return held
        return None

    def _make(self) -> Held:
        # What is removed from now on is removed from it, too; before it is filled, it holds none of it.
        name = self._server.make(self._dim)
        held = Held(name, self._store.identity, self._dim, self._server.bm25, self._store.generation)
        self._write(held)
        return held

    def _replace(self, held: Held) -> None:
        """Fill a collection that is not searched yet, and let it take the place of the one that is."""
        held = self._fill(held, since=0)
        self._server.point_at(held.collection)
        self._brought = held
        self.erase_leftovers()

    def _fill(self, held: Held, *, since: int) -> Held:
        """Bring a collection to the store's state with what was added after the generation `since`; return that.

        It is written down on the way how far this came. What was done already and is done again changes nothing.
        """
        store, server, name = self._store, self._server, held.collection
        for keys in _blocks(store.removed_since(held.generation)):
            held = replace(held, seen=server.remove(name, keys))
        unwritten = 0
        for rows in rows_after(store, since, held.after, lexical=held.lexical):
            held = replace(held, after=rows[-1]["key"], seen=server.put(name, rows))
            unwritten += len(rows)
            if unwritten >= STEP:
                self._write(held)
                unwritten = 0
        held = replace(held, generation=store.generation)
        self._write(held)
        return held

    def _write(self, held: Held) -> None:
        self._server.put(held.collection, [state_row(held.write(), self._dim)])

    def _counted(self) -> Frequencies:
        counted = self._snapshot.counted if self._snapshot else None
        total = self._store.passages()
        if counted is None or not counted.fits(total):
            return Frequencies.of(*self._store.sample_terms(SAMPLE, 0))
        return replace(counted, total=total)


def _blocks(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(keys), BLOCK):
        yield keys[first : first + BLOCK]
