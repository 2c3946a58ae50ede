"""What the two derived indexes, lexical and vectors, have in common: the state they hold and what they find."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class State:
    """What a derived index holds: the content of the store with this `identity`, up to this `generation`."""

    identity: str
    generation: int


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A passage found, by its key; score: BM25, or cosine, higher is nearer."""

    key: int
    score: float
