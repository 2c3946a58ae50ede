"""What news tells of, said in several ways: that it happened, that it did not, that this is open.

`events.txt` says for each event: `+` what says that it happened, all meaning the same; `-` what rules it out, first the
plain denial, which all others imply; `?` what leaves it open. Slots: {c} and {d} countries, {p} and {q} people, {o} and
{u} companies, {g} a body, {t} a town, {n} a number, {w} goods. Written by hand; the names, in `phrases.txt`, mean
nothing.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from training.entailing.pairs import NEITHER, OPPOSES, SUPPORTS, Pair
from training.entailing.phrases import phrases
from training.entailing.statements import denial, hedge, report
from training.synthesis import yes_no_question


class Event(NamedTuple):
    """One event's forms, with slots."""

    happened: Sequence[str]
    ruled_out: Sequence[str]
    left_open: Sequence[str]


def event_pairs(count: int, chance: Random) -> Iterator[Pair]:
    """Yield `count` pairs."""
    events = _events()
    for _ in range(count):
        number = chance.randrange(len(events))
        event, names = events[number], _names(chance)
        positive = chance.random() < 0.5
        hypothesis = chance.choice(event.happened) if positive else event.ruled_out[0]
        relation = chance.choice((SUPPORTS, OPPOSES, NEITHER))
        premise = _premise(events, event, positive, relation, names, chance)
        hypothesis = _filled(hypothesis, names)
        if chance.random() < 0.6:
            hypothesis = yes_no_question(hypothesis, words=40) or hypothesis
        hypothesis = hypothesis if hypothesis.endswith("?") else f"{hypothesis}."
        yield Pair("events, made", str(number), premise, hypothesis, relation)


def _premise(
    events: Sequence[Event], event: Event, positive: bool, relation: int, names: dict[str, str], chance: Random
) -> str:
    if relation == NEITHER:
        kind = chance.random()
        if kind < 0.5:
            return _dressed(_filled(chance.choice(event.left_open), names), chance)
        if kind < 0.65:
            # The same about others.
            others = _names(chance)
            while any(others[slot] == names[slot] for slot in names if slot != "n"):
                others = _names(chance)
            form = chance.choice([*event.happened, *event.ruled_out])
            return _dressed(_filled(form, others), chance) if "{" in form else hedge(_filled(form, names), chance)
        if kind < 0.8:
            other = chance.choice([one for one in events if one is not event])
            return _dressed(_filled(chance.choice([*other.happened, *other.left_open]), names), chance)
        return hedge(_filled(chance.choice(event.happened), names), chance)
    affirmed = (relation == SUPPORTS) == positive
    if affirmed:
        return _dressed(_filled(chance.choice(event.happened), names), chance)
    if chance.random() < 0.3:
        return denial(_filled(chance.choice(event.happened), names), chance)
    return _dressed(_filled(chance.choice(event.ruled_out), names), chance)


def _dressed(said: str, chance: Random) -> str:
    """Return a premise around a statement: with when or where, or as somebody's words."""
    if chance.random() < 0.5:
        said = f"{said} {chance.choice(phrases('circumstances'))}"
    return report(said, chance) if chance.random() < 0.4 else said[:1].upper() + said[1:] + "."


def _filled(form: str, names: dict[str, str]) -> str:
    made = re.sub(r"\{(\w)\}", lambda slot: names[slot[1]], form)
    return made[:1].upper() + made[1:]


def _names(chance: Random) -> dict[str, str]:
    names = {}
    for slots in ("c d", "p q", "o u", "g", "t", "w"):
        values = phrases(f"names: {slots}")
        for slot, value in zip(slots.split(), chance.sample(values, len(slots.split())), strict=True):
            names[slot] = value
    names["n"] = str(chance.choice((3, 4, 7, 12, 15, 18, 24, 36, 57, 80, 120, 300, 450)))
    return names


def _events() -> list[Event]:
    found = []
    for block in Path(__file__).with_name("events.txt").read_text(encoding="utf-8").strip().split("\n\n"):
        forms = block.splitlines()
        found.append(Event(*([form[2:] for form in forms if form[0] == mark] for mark in "+-?")))
    return found
