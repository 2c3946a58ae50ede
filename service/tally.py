"""What became of articles that were added, counted, and told in words."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import click

from index.batches import Outcome

# Of so many articles that have near-duplicates it is said which.
MOST_ALIKE = 20


def counted(number: int, name: str) -> str:
    """Return a number of things, in words."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


@dataclass(slots=True)
class Tally:
    """What became of articles that were added, counted; failures are told as they come."""

    tell: Callable[[str], None] = field(default=lambda line: click.echo(line, err=True))
    counts: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    # Those that have near-duplicates: the first of them, and how many there are.
    alike: list[Outcome] = field(default_factory=list)
    alike_in_all: int = 0

    @property
    def changed(self) -> int:
        return self.counts["added"] + self.counts["replaced"]

    @property
    def note(self) -> str:
        return counted(self.counts.total(), "article")

    def count(self, outcome: Outcome) -> None:
        """Take note of one outcome."""
        self.counts[outcome.kind] += 1
        if outcome.kind in ("refused", "elsewhere"):
            self.fail(outcome.reason)
        if outcome.near_duplicates:
            self.alike_in_all += 1
            if len(self.alike) < MOST_ALIKE:
                self.alike.append(outcome)

    def fail(self, reason: str) -> None:
        """Say why something failed."""
        self.failed += 1
        self.tell(f"failed: {reason}")

    def summarize(self) -> None:
        """Say what became of all of them."""
        for outcome in self.alike:
            click.echo(f"{outcome.kind} {outcome.article_id} ({_near_duplicates(outcome)})", err=True)
        if self.alike_in_all > len(self.alike):
            more = counted(self.alike_in_all - len(self.alike), "more article")
            click.echo(f"… and {more} with near-duplicates; GET /articles/ID says of which", err=True)
        added, replaced, unchanged = (self.counts[kind] for kind in ("added", "replaced", "unchanged"))
        click.echo(f"added {added}, replaced {replaced}, already there {unchanged}, failed {self.failed}", err=True)


def _near_duplicates(outcome: Outcome) -> str:
    """Say which article is most like one that was added, and how many more there are."""
    (nearest, share), *others = outcome.near_duplicates
    said = f"near-duplicate of {nearest}, {share:.0%}".replace("%", " %")
    return f"{said}, and of {counted(len(others), 'other')}" if others else said
