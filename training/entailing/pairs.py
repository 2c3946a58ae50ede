"""Pairs: a premise, a hypothesis, and how the one stands to the other."""

import zlib
from dataclasses import dataclass
from typing import Final

SUPPORTS: Final = 0
OPPOSES: Final = 1
NEITHER: Final = 2


@dataclass(frozen=True, slots=True)
class Pair:
    """relation: SUPPORTS, OPPOSES or NEITHER. group: what is held out as one, an article or a record."""

    source: str
    group: str
    premise: str
    hypothesis: str
    relation: int


def held_out(source: str, group: str) -> bool:
    """Whether a group is kept to choose and calibrate by: of SciFact's abstracts a fifth, of all others a tenth."""
    return zlib.crc32(group.encode()) % (5 if source == "scifact" else 10) == 0
