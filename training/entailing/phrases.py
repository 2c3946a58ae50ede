"""How things are said: the frames of `phrases.txt`, by what they do."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path


def phrases(kind: str) -> tuple[str, ...]:
    """Return the phrases under the heading `kind`, in order; raises KeyError where there is none."""
    return _all_phrases()[kind]


@cache
def _all_phrases() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for block in Path(__file__).with_name("phrases.txt").read_text(encoding="utf-8").split("\n["):
        heading, *lines = block.splitlines()
        found[heading.rstrip("]")] = tuple(line for line in lines if line)
    return found
