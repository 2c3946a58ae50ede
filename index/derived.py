"""What the engines and their indexes have in common: the state they hold and what they find."""

from dataclasses import dataclass
from pathlib import Path

from index.errors import CorpusDamagedError


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


def lost_changes(place: Path | str, *, held: int, there: int) -> CorpusDamagedError:
    """Return the error for a store that is behind what was made out of it: `held` and `there` are generations."""
    return CorpusDamagedError(
        f"the database in {place} holds generation {there}, its indexes hold {held}: it lost changes, or was removed, "
        "or an older copy was put in its place; bring back a backup with `quoteline restore`, or take it as it is with "
        "`quoteline rebuild`"
    )
