"""What clients sent, what was acknowledged, what they were told: a model of the corpus to compare it with.

Changes of one article are made one after another; those of several articles, by several clients at once.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from bench.serving import Cited

Kind = Literal["lost", "half", "wrong citation", "cited after it was gone", "index", "fault"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and how."""

    kind: Kind
    what: str


@dataclass(frozen=True, slots=True)
class Put:
    """An article is added, or replaced."""

    text: str


@dataclass(frozen=True, slots=True)
class Delete:
    """An article is deleted, with all its versions."""


Step = Put | Delete


@dataclass(frozen=True, slots=True)
class Standing:
    """How an article stands. texts: what can be read, by version; gone: the highest version that was deleted."""

    texts: Mapping[int, str] = field(default_factory=dict)
    gone: int = 0

    @property
    def version(self) -> int:
        """The last version that there was; 0 where there was none."""
        return max(self.texts, default=self.gone)

    def after(self, step: Step) -> "Standing":
        """Return how it stands after a change."""
        if isinstance(step, Put):
            return Standing({**self.texts, self.version + 1: step.text}, self.gone)
        return Standing({}, self.version)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a comparison found. whole, absent: changes that were in flight, by what became of them."""

    violations: tuple[Violation, ...]
    whole: int
    absent: int


class Ledger:
    """The model. Safe to use from several threads; `settle` where nobody changes anything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._standings: dict[str, Standing] = {}
        self._pending: dict[str, list[Step]] = {}
        self._sent: dict[str, list[str]] = {}
        # By article: since when no version up to which one may be cited any more.
        self._past: dict[str, list[tuple[float, int]]] = {}
        self._cited: dict[str, Cited] = {}
        self._touched: set[str] = set()
        self.acknowledged = 0

    def standing(self, article_id: str) -> Standing:
        """Return how an article stands, as far as it was acknowledged."""
        return self._standings.get(article_id, Standing())

    def article_ids(self) -> list[str]:
        """Return all articles that a change was ever sent for."""
        with self._lock:
            return list(self._sent)

    def begin(self, article_id: str, step: Step) -> None:
        """Note a change that is about to be sent."""
        with self._lock:
            self._pending.setdefault(article_id, []).append(step)
            sent = self._sent.setdefault(article_id, [])
            if isinstance(step, Put):
                sent.append(step.text)
            self._touched.add(article_id)

    def acknowledge(self, article_id: str, moment: float) -> Standing:
        """Note that the first change in flight was acknowledged; return how the article stands since."""
        with self._lock:
            before = self.standing(article_id)
            after = self._standings[article_id] = before.after(self._pending[article_id].pop(0))
            self._past.setdefault(article_id, []).append((moment, before.version))
            self.acknowledged += 1
            return after

    def refuse(self, article_id: str) -> None:
        """Note that the first change in flight was refused: nothing was changed."""
        with self._lock:
            self._pending[article_id].pop(0)

    def settle(self, found: Mapping[str, Mapping[int, str]], moment: float) -> Settled:
        """Compare the model with all texts that were found, by id and version.

        Afterwards what was in flight counts as what became of it.
        """
        violations = [Violation("half", f"{one} was never sent") for one in found.keys() - self._sent.keys()]
        whole = absent = 0
        for article_id in self.article_ids():
            pending = self._pending.pop(article_id, [])
            possible = list(accumulate(pending, Standing.after, initial=self.standing(article_id)))
            texts = found.get(article_id, {})
            number = next((number for number, one in enumerate(possible) if one.texts == texts), None)
            if number is None:
                violations.append(_broken(article_id, possible, texts))
                # Reported once.
                self._standings[article_id] = Standing(texts, possible[0].gone)
                continue
            whole, absent = whole + number, absent + len(pending) - number
            if number:
                self._past.setdefault(article_id, []).append((moment, possible[number - 1].version))
            self._standings[article_id] = possible[number]
        return Settled(tuple(violations), whole, absent)

    def take_touched(self) -> list[str]:
        """Return the articles that changes were sent for since this was last asked."""
        with self._lock:
            touched, self._touched = sorted(self._touched), set()
            return touched

    # Citations

    def take(self, citation: Cited, begun: float) -> Violation | None:
        """Take down a citation of an answer to what was asked at `begun`; return what is wrong with it."""
        with self._lock:
            known = self._cited.setdefault(citation.id, citation)
            sent = self._sent.get(citation.article_id, [])
            past = self._past.get(citation.article_id, [])
        if known != citation:
            return Violation("wrong citation", f"{citation.id} was {known}, is {citation}")
        if not any(text[citation.start : citation.end] == citation.quote for text in sent):
            return Violation("wrong citation", f"no text that was sent for it holds {citation}")
        if any(moment < begun and citation.version <= version for moment, version in past):
            return Violation("cited after it was gone", f"{citation}")
        return None

    def citations(self) -> list[Cited]:
        """Return all citations that were handed out, in that order."""
        with self._lock:
            return list(self._cited.values())

    def expected_of(self, citation: Cited) -> str | None:
        """Return the text that a citation is of; None where it was deleted. Only for what is settled.

        Raises KeyError where there is no such version: then a citation outlived what it cites.
        """
        standing = self.standing(citation.article_id)
        return None if citation.version <= standing.gone else standing.texts[citation.version]


def _broken(article_id: str, possible: Sequence[Standing], texts: Mapping[int, str]) -> Violation:
    acknowledged = possible[0].texts
    kind: Kind = "lost" if any(texts.get(version) != text for version, text in acknowledged.items()) else "half"
    wanted = " or ".join(str(_short(one.texts)) for one in possible)
    return Violation(kind, f"{article_id} holds {_short(texts)}, and not {wanted}")


def _short(texts: Mapping[int, str]) -> dict[int, str]:
    return {version: f"{text[:60]}… ({len(text)})" for version, text in texts.items()}
