"""What the issue asks for, and whether it was met."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.scale.figures import At
from bench.scale.load import Load
from bench.scale.peers.comparing import PeerFigures
from bench.scale.peers.rounds import HTTP, LIBRARY, Round
from bench.scale.serving import Served

MB, GB = 1e6, 1e9


@dataclass(frozen=True, slots=True)
class Target:
    """A claim about one figure. value: None where it was not measured; NaN where it could not be, which is missed."""

    claim: str
    unit: str
    limit: float
    value: float | None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """Return "met", "missed" or "not measured"."""
        if self.value is None:
            return "not measured"
        # NaN is neither.
        return "met" if (self.value >= self.limit if self.at_least else self.value <= self.limit) else "missed"


def targets(figures: Mapping[int, At], rounds: Sequence[Round]) -> list[Target]:
    """Return all targets with what was measured, in the order of the issue."""
    return [*_at(figures.get(300_000)), *_growth(figures), *_peers(rounds)]


def _at(at: At | None) -> Iterator[Target]:
    where = "300,000 passages"
    for workers in (1, 2):
        served = at.served_as(reader=False, workers=workers) if at else None
        if workers == 1:
            yield from _alone(f"{where}, without the reader", served)
        named = f"{where}, without the reader, 16 clients, {workers} worker{'s'[: workers - 1]}"
        yield Target(
            f"{named}: asks", "per second", 200, _sound(served.load(16)).per_second if served else None, at_least=True
        )
        yield Target(f"{named}: p99", "ms", 150, _sound(served.load(16)).percentile(99) if served else None)
    read = at.served_as(reader=True, workers=1) if at else None
    yield Target(
        f"{where}, with the reader, 1 client: p50", "ms", 70, _sound(read.load(1)).percentile(50) if read else None
    )
    yield Target(f"{where}: recall@50 of the vector search", "", 0.99, at.recall if at else None, at_least=True)
    yield Target(f"{where}: what a second worker takes", "MB", 300, _second_worker(at) if at else None)


def _alone(where: str, served: Served | None) -> Iterator[Target]:
    yield Target(f"{where}, 1 client: p50", "ms", 12, _sound(served.load(1)).percentile(50) if served else None)
    yield Target(f"{where}, 1 client: p99", "ms", 40, _sound(served.load(1)).percentile(99) if served else None)
    memory = served.memory if served else None
    yield Target(f"{where}, 1 worker: resident memory", "GB", 1.5, memory.resident / GB if memory else None)
    yield Target(f"{where}: cold start to the first answer", "s", 4, served.cold if served else None)


def _sound(load: Load) -> Load:
    """Return a load as it is; one with errors as if nothing had been answered: it meets no target."""
    return replace(load, milliseconds=()) if load.errors else load


def _second_worker(at: At) -> float | None:
    """Return the MB that two workers hold more than one, what they share counted once."""
    one, two = at.served_as(reader=False, workers=1), at.served_as(reader=False, workers=2)
    if not (one and two and one.memory and two.memory):
        return None
    return (two.memory.proportional - one.memory.proportional) / MB


def _growth(figures: Mapping[int, At]) -> Iterator[Target]:
    p50s = {}
    for size in (10_000, 1_000_000):
        served = figures[size].served_as(reader=False, workers=1) if size in figures else None
        p50s[size] = _sound(served.load(1)).percentile(50) if served else None
    small, large = p50s[10_000], p50s[1_000_000]
    yield Target("1,000,000 passages, without the reader, 1 client: p50", "ms", 20, large)
    growth = large / small if large is not None and small else None
    yield Target("growth of that p50 from 10,000 to 1,000,000 passages", "times", 2, growth)


def _peers(rounds: Sequence[Round]) -> Iterator[Target]:
    for one in rounds:
        if not one.peers:
            continue
        fastest = max(one.peers, key=lambda peer: peer.best_rate)
        where = f"{one.passages:,} passages, against the fastest peer ({fastest.name})"
        ours = one.ours(HTTP)
        yield Target(f"{where}: asks per second", "times", 3, ratio(ours.best_rate, fastest.best_rate), at_least=True)
        library = ratio(one.ours(LIBRARY).best_rate, fastest.best_rate)
        yield Target(f"{where}: asks per second, ours as a library", "times", 3, library, at_least=True)
        if one.encoded:
            adding = max(one.peers, key=lambda peer: peer.added or 0.0)
            added = ratio(one.ours(LIBRARY).added, adding.added)
            claim = f"{one.passages:,} passages, against the one that adds fastest ({adding.name}): added"
            yield Target(claim, "times", 2, added, at_least=True)
        yield from _hits(where, one.ours(LIBRARY), fastest)
        best = max(one.peers, key=lambda peer: peer.passages.hit_1 if peer.passages else 0.0)
        if best is not fastest:
            yield from _hits(f"{one.passages:,} passages, against the best peer ({best.name})", one.ours(LIBRARY), best)


def _hits(where: str, ours: PeerFigures, peer: PeerFigures) -> Iterator[Target]:
    for k in (1, 5, 10):
        less = None
        if ours.passages and peer.passages:
            # Shares of a few hundred questions: what differs by less than rounding is equal.
            less = round(getattr(ours.passages, f"hit_{k}") - getattr(peer.passages, f"hit_{k}"), 6)
        yield Target(f"{where}: hit@{k} of passages, ours less theirs", "", 0, less, at_least=True)


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """Return how many times more ours is; None where either is unknown, infinite where theirs is nothing."""
    if ours is None or theirs is None:
        return None
    return ours / theirs if theirs else math.inf
