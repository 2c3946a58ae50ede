"""Engine: what searches the passages of a store; made out of it, and made again whenever it has to be.

Two of them: `embedded`, in the corpus' own folder, and `milvus`, a server that any number of processes share.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from index.derived import Neighbour
from index.encoding import Vectors
from index.store import Filters


@dataclass(frozen=True, slots=True)
class Found:
    """The nearest passages by cosine, and the best by BM25; each best first, ties by key."""

    dense: list[Neighbour]
    lexical: list[Neighbour]


class Snapshot(Protocol):
    """The passages of one generation of the store, to be searched. Safe to use from several threads."""

    @property
    def generation(self) -> int: ...

    def __len__(self) -> int:
        """Return how many passages there are."""
        ...

    def frequencies(self, terms: Sequence[str]) -> list[int]:
        """Return for each term the number of passages that hold it."""
        ...

    def admits(self, filters: Filters) -> bool:
        """Whether the filters leave any passage."""
        ...

    def search(
        self, vectors: Callable[[], Vectors], terms: Sequence[str], k: int, filters: Filters, *, alone: bool = False
    ) -> Found:
        """Return at most `k` passages by each measure, of articles that `filters` admits.

        vectors: returns the question's, and behind it those of questions that are likely to be asked next, float32,
        shape (n, dim), of unit length; called once, it may take a while. alone: whether nobody else asks now, so that
        another core can have a part of it. Raises what `vectors` raises.
        """
        ...


class Engine(Protocol):
    """Keeps what is searched at the store's generation. All methods but `follow` are for one writer at a time."""

    def open(self, *, rebuild: bool) -> list[str]:
        """Open what is there, or make an empty one; return what was found damaged and is to be built again, in words.

        rebuild: drop all that is there first. Raises CorpusDamagedError where what is there is ahead of the store.
        """
        ...

    def ready(self) -> bool:
        """Whether what was followed last can still be searched; costs little, as it is asked five times a second."""
        ...

    def follow(self) -> Snapshot | None:
        """Return a snapshot of the store's state as this thread sees it; None where `catch_up` has to come first."""
        ...

    def catch_up(self) -> None:
        """Bring what is searched to the store's state as this thread sees it. Raises CorpusError."""
        ...

    def save(self) -> None:
        """Keep for the next start what is not kept yet. Raises CorpusError."""
        ...

    def is_saved(self) -> bool:
        """Whether `save` would find nothing to do."""
        ...

    def tidy(self) -> Snapshot | None:
        """Do some of what makes searching faster and can wait; return what is to be searched from now on, or None.

        None where nothing is left to do. Takes long, and does not keep others from changing the corpus: the caller
        holds no lock.
        """
        ...

    def write_anew(self) -> None:
        """Write anew what keeps traces of what was deleted; `follow` comes next, and then `erase_leftovers`."""
        ...

    def erase_leftovers(self) -> None:
        """Erase all that was deleted, and what earlier states left behind. Raises CorpusBusyError, CorpusError."""
        ...

    def check(self) -> list[str]:
        """Return what of the engine is not as the store has it, in words; nothing where all is consistent."""
        ...

    def close(self) -> None: ...
