"""Quoteline and its peers, on the same passages and questions, in turns, so that whatever disturbs one disturbs all."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from bench.datasets import Dataset
from bench.metrics import Place
from bench.scale import load
from bench.scale.generate import Questions
from bench.scale.load import percentile
from bench.scale.peers.passages import Given
from bench.scale.peers.running import Asked, PeerError
from bench.scale.quality import DEPTH, Hits, hits_of
from bench.scale.serving import family, memory_of

CLIENTS = (1, 4, 16)
# Questions that one system is asked before it is another one's turn, and how many turns each has.
BLOCK, TURNS = 40, 5
_WARM_UP = 8
# Seconds after which a block ends, however far it is, and for all questions of known evidence.
_BLOCK_SECONDS, _QUALITY_SECONDS = 20.0, 240.0


class System(Protocol):
    """Something that is asked. Ids are of passages; a system that answers over HTTP need not tell any."""

    @property
    def name(self) -> str: ...

    def ask(self, questions: Sequence[str], *, k: int, clients: int, seconds: float) -> Asked:
        """Ask each question once, or the first ones, as many as go into the time."""
        ...

    def resident(self) -> int:
        """Return the bytes of memory that it holds."""
        ...


@dataclass(frozen=True, slots=True)
class OverHttp:
    """A server of ours."""

    name: str
    port: int
    pid: int
    compare: bool

    def ask(self, questions: Sequence[str], *, k: int, clients: int, seconds: float) -> Asked:
        done = load.ask(self.port, questions, clients, seconds, top_k=k, compare=self.compare)
        if done.errors:
            raise PeerError(f"{self.name}: {done.errors} asks failed")
        return Asked(done.seconds, done.milliseconds, ())

    def resident(self) -> int:
        memory = memory_of(family(self.pid))
        return memory.resident if memory else 0


@dataclass(frozen=True, slots=True)
class PeerFigures:
    """One system at one size. failed: why there are no figures; everything else is empty then.

    added: passages per second; None where vectors were handed in. milliseconds: of one client. rates: answers per
    second, by number of clients. sentences, passages: None where it was not asked for such, or has none.
    """

    name: str
    notes: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    added: float | None = None
    milliseconds: tuple[float, ...] = ()
    rates: Mapping[int, float] = field(default_factory=dict)
    passages: Hits | None = None
    sentences: Hits | None = None
    asked: int = 0
    resident: int = 0
    failed: str = ""

    @property
    def best_rate(self) -> float:
        """Answers per second with the number of clients that suits it best."""
        return max(self.rates.values(), default=0.0)

    def percentile(self, share: float) -> float:
        """Return how long at most that share of the asks of one client took, in milliseconds."""
        return percentile(self.milliseconds, share)


def ask_in_turns(systems: Sequence[System], questions: Questions) -> dict[str, PeerFigures]:
    """Ask all systems the same questions, with each number of clients; return the figures by name."""
    figures = {system.name: PeerFigures(system.name) for system in systems}
    _turns(systems, figures, [questions.take(_WARM_UP)], max(CLIENTS))
    for clients in CLIENTS:
        blocks = [questions.take(BLOCK) for _ in range(TURNS)]
        for name, done in _turns(systems, figures, blocks, clients).items():
            seconds = sum(one.seconds for one in done)
            answers = [each for one in done for each in one.milliseconds]
            known = figures[name]
            rates = {**known.rates, clients: len(answers) / seconds if seconds else 0.0}
            figures[name] = replace(
                known, rates=rates, milliseconds=tuple(answers) if clients == 1 else known.milliseconds
            )
    return {
        system.name: replace(figures[system.name], resident=system.resident())
        if not figures[system.name].failed
        else figures[system.name]
        for system in systems
    }


def _turns(
    systems: Sequence[System], figures: dict[str, PeerFigures], blocks: Sequence[Sequence[str]], clients: int
) -> dict[str, list[Asked]]:
    """Ask every system that has not failed block by block; note in `figures` which one fails."""
    done: dict[str, list[Asked]] = {}
    for block in blocks:
        for system in systems:
            if figures[system.name].failed:
                continue
            try:
                asked = system.ask(block, k=DEPTH, clients=clients, seconds=_BLOCK_SECONDS)
            except PeerError as error:
                print(f"  {error}", file=sys.stderr)
                figures[system.name] = PeerFigures(system.name, failed=str(error))
                done.pop(system.name, None)
            else:
                done.setdefault(system.name, []).append(asked)
    return done


def hits_of_peer(system: System, asked: Dataset, given: Given) -> tuple[Hits, int]:
    """Return how often the best passages hold the evidence, and of how many questions: the first, if it is slow."""
    questions = [query.text for query in asked.queries]
    answered = system.ask(questions, k=DEPTH, clients=1, seconds=_QUALITY_SECONDS)
    found: list[list[Place]] = [given.found(ids) for ids in answered.ids]
    return hits_of(replace(asked, queries=asked.queries[: len(found)]), found), len(found)
