"""Made pairs: a hypothesis from the clause of a real sentence, and a premise that supports it, opposes it, or neither.

A fact is one of two versions of a clause, affirmed or denied. First the hypothesis is drawn, version and negation by
the toss of a coin; then the relation; then a premise that has it. So a "not", a changed number or an odd word in
the hypothesis says nothing about the relation: only both together do.

    kind       two versions of a clause                                    both cannot be true
    contrary   one word its opposite, another number or date, roles swapped        x
    detail     the second lacks an adverbial at its end: the first implies it
    other      another subject or name

Either side may be reported: by someone who says so, denies it, or leaves it open.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from training.entailing.lexicon import Lexicon, gerund
from training.entailing.pairs import NEITHER, OPPOSES, SUPPORTS, Pair
from training.entailing.phrases import phrases
from training.synthesis import (
    DETERMINERS,
    MONTHS,
    PREPOSITIONS,
    Clause,
    clause_of,
    cut,
    past,
    third_person,
    to_statement,
    uncapitalised,
    without_lead,
    word_set,
    words_of,
    yes_no_question,
)

_LONGEST_HYPOTHESIS = 26  # words
_LONGEST_PREMISE = 70


class Fact(NamedTuple):
    """One of two versions of a clause, affirmed or denied."""

    second: bool
    denied: bool


@dataclass(frozen=True, slots=True)
class Versions:
    """Two versions of a clause, what follows the clause in its sentence, and which relations they can have."""

    kind: str
    first: Clause
    second: Clause
    short: tuple[Clause, Clause]
    tail: list[str]

    def clause(self, fact: Fact, *, short: bool) -> Clause:
        if short:
            return self.short[fact.second]
        return self.second if fact.second else self.first


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences that stand together; group: what they are held out with."""

    source: str
    group: str
    sentences: Sequence[str]


class Statements:
    """Makes pairs out of paragraphs."""

    def __init__(self, lexicon: Lexicon, paragraphs: Sequence[Paragraph], chance: Random) -> None:
        self._lexicon = lexicon
        self._chance = chance
        text = " ".join(sentence for one in paragraphs for sentence in one.sentences)
        self._known = frozenset(re.findall(r"[a-z]{3,}", text))
        names = re.findall(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,}){0,2}(?=[ ,.])", text)
        self._names = sorted({name for name in names if name.split()[0] not in MONTHS})
        adverbials = re.findall(r" ((?:in|during|at|for|after|with|near) [\w ]{3,24}?)\.(?= |$)", text)
        self._adverbials = sorted({one for one in adverbials if not re.search(r"\b(?:which|that|and|or)\b", one)})

    def of(self, paragraph: Paragraph, draws: int) -> Iterator[Pair]:
        """Yield at most `draws` pairs for each sentence that has a plain clause."""
        for number, sentence in enumerate(paragraph.sentences):
            if len(sentence) > 450 or _says_i(sentence):
                continue
            clause = clause_of(sentence)
            if clause is None or negated(clause) is None or _is_bare(clause):
                continue
            for _ in range(draws):
                pair = self._pair(paragraph, number, clause)
                if pair is not None:
                    yield pair

    def _pair(self, paragraph: Paragraph, number: int, clause: Clause) -> Pair | None:
        chance = self._chance
        if chance.random() < 0.14:
            made = self._numbers(paragraph.sentences[number], clause)
        else:
            made = self._fact(paragraph, number, clause)
        if made is None:
            return None
        premise, hypothesis, relation = made
        if chance.random() < 0.5:
            hypothesis = yes_no_question(hypothesis, words=40) or hypothesis
        words = len(hypothesis.split())
        if not 3 <= words <= _LONGEST_HYPOTHESIS or len(premise.split()) > _LONGEST_PREMISE:
            return None
        if chance.random() < 0.15 and len(paragraph.sentences) > 1:
            # The product reads a sentence with its neighbour at times.
            near = paragraph.sentences[number - 1 if number else 1]
            premise = f"{near} {premise}" if number else f"{premise} {near}"
        return Pair(paragraph.source, paragraph.group, premise, hypothesis, relation)

    # facts

    def _fact(self, paragraph: Paragraph, number: int, clause: Clause) -> tuple[str, str, int] | None:
        chance = self._chance
        versions = self._versions(paragraph.sentences[number], clause)
        if versions is None:
            return None
        wanted = Fact(chance.random() < 0.5, chance.random() < 0.5)
        relation = chance.choice((SUPPORTS, OPPOSES, NEITHER))
        hypothesis = _rendered(self._worded(versions.clause(wanted, short=True)), denied=wanted.denied, chance=chance)
        if hypothesis is None:
            return None
        speaker = self._speaker()
        report = None
        if chance.random() < 0.22:
            # The hypothesis is itself a report: "Iran denied that ...".
            report = speaker
            said = versions.clause(Fact(wanted.second, denied=False), short=True)
            hypothesis = self._reported_hypothesis(said, speaker, denied=wanted.denied)
        if relation == NEITHER:
            premise = self._neither(paragraph, number, versions, wanted, report)
        else:
            facts = _PREMISES[versions.kind][relation](wanted)
            premise = self._premise(paragraph.sentences[number], versions, chance.choice(facts), report)
        return None if premise is None else (premise, hypothesis + ".", relation)

    def _neither(
        self, paragraph: Paragraph, number: int, versions: Versions, wanted: Fact, report: str | None
    ) -> str | None:
        chance = self._chance
        sentence = paragraph.sentences[number]
        facts = _PREMISES[versions.kind][NEITHER](wanted)
        kind = chance.random()
        if facts and kind < 0.55:
            return self._premise(sentence, versions, chance.choice(facts), report)
        any_fact = Fact(wanted.second, chance.random() < 0.5)
        if kind < 0.75 or len(paragraph.sentences) < 3:
            plain = versions.clause(any_fact, short=chance.random() < 0.5)
            return self._open(plain, report or self._speaker())
        if report is not None and kind < 0.9:
            other = self._speaker()
            return None if other == report else self._premise(sentence, versions, any_fact, other)
        return self._near(paragraph, number)

    def _near(self, paragraph: Paragraph, number: int) -> str:
        """Return the sentence of the paragraph that shares most words with this one, or any."""
        own = _stems(paragraph.sentences[number])
        others = [one for at, one in enumerate(paragraph.sentences) if at != number]
        if self._chance.random() < 0.5:
            return max(others, key=lambda other: len(own & _stems(other)))
        near = self._chance.choice(others)
        other = clause_of(near)
        denied = other and _rendered(other, denied=True, chance=self._chance)
        return f"{denied}." if denied and self._chance.random() < 0.4 else near

    def _premise(self, sentence: str, versions: Versions, fact: Fact, report: str | None) -> str | None:
        """Return a premise that states `fact`, reported by `report` where that is given, by anyone at times else."""
        chance = self._chance
        if report is None and chance.random() < 0.62:
            if fact == Fact(second=False, denied=False) and versions.kind != "detail" and chance.random() < 0.7:
                return sentence
            stated = versions.clause(fact, short=chance.random() < 0.25)
            made = _rendered(stated, denied=fact.denied, chance=chance, lead=True)
            if made is None:
                return None
            tail = versions.tail if stated.rest == versions.clause(fact, short=False).rest else []
            return " ".join([made, *tail]).rstrip(" .,;") + "."
        clause = versions.clause(fact, short=chance.random() < 0.6)
        if report is None and chance.random() < 0.4 and (own := self._own(clause, denied=fact.denied)):
            return own
        speaker = report or self._speaker()
        if fact.denied and chance.random() < 0.75:
            return self._framed(clause, speaker, phrases("denying"))
        said = _rendered(clause, denied=fact.denied, chance=chance, inside=True)
        return None if said is None else _frame(chance.choice(phrases("saying")), speaker, said, chance)

    def _reported_hypothesis(self, clause: Clause, speaker: str, *, denied: bool) -> str:
        frames = phrases("denied, to be asked about") if denied else phrases("said, to be asked about")
        said = " ".join(_stated(clause, inside=True))
        return _frame(self._chance.choice(frames), speaker, said, self._chance).rstrip(".")

    def _framed(self, clause: Clause, speaker: str, frames: Sequence[str]) -> str:
        said = " ".join(_stated(clause, inside=True))
        return _frame(self._chance.choice(frames), speaker, said, self._chance)

    def _open(self, clause: Clause, speaker: str) -> str:
        if not clause.auxiliary and self._chance.random() < 0.3:
            subject = " ".join(clause.subject)
            form = self._chance.choice(phrases("intending")).format(
                s=subject, be="were" if _takes_plural(clause) else "was"
            )
            return " ".join([form, clause.lemma, *clause.rest]) + "."
        return self._framed(clause, speaker, phrases("leaving open"))

    def _own(self, clause: Clause, *, denied: bool) -> str | None:
        """Return what the subject itself, or someone about it, says of its deed: "Iran denied sending drones"."""
        if clause.auxiliary or clause.subject[0].lower() in {"it", "there", "this", "that"}:
            return None
        chance = self._chance
        doing = " ".join([gerund(clause.lemma), *clause.rest])
        if denied and chance.random() < 0.15:
            doing = " ".join([gerund(clause.lemma), "anything,", "including", *clause.rest])
        subject = " ".join(clause.subject)
        inside = _inside(clause)
        form = chance.choice(phrases("denying own deeds") if denied else phrases("admitting own deeds"))
        whose = f"{inside}'" if inside.endswith("s") else f"{inside}'s"
        said = form.format(
            S=subject, s=inside, whose=whose, doing=doing, do=" ".join([clause.lemma, *clause.rest]), x=self._speaker()
        )
        return _capitalised(said) + "."

    def _speaker(self) -> str:
        speakers: Sequence[str] = self._names if self._chance.random() < 0.4 else phrases("speakers")
        return self._chance.choice(speakers)

    # versions

    def _versions(self, sentence: str, clause: Clause) -> Versions | None:
        chance = self._chance
        room = chance.choice((5, 8, 12, 18))
        brief = cut(clause.rest, room)
        if len(brief) < 1:
            return None
        short = clause._replace(rest=brief)
        words, _ = without_lead(words_of(sentence))
        tail = words[len(clause.subject) + 1 + len(clause.rest) :]
        makers: list[Callable[[Clause], tuple[str, Clause, Clause] | None]] = [
            self._opposite,
            self._opposite,
            self._other_number,
            self._swapped,
            self._with_detail,
            self._other_name,
            lambda one: ("contrary", one, one),
        ]
        chance.shuffle(makers)
        for maker in makers:
            found = maker(short)
            if found is None:
                continue
            kind, one, two = found
            rest = clause.rest[len(brief) :]
            if kind == "detail":
                return Versions(kind, one, two, (one, two), [])
            full = (one._replace(rest=one.rest + rest), two._replace(rest=two.rest + rest))
            if one == two:
                kind = "same"
            return Versions(kind, *full, (one, two), tail)
        return None

    def _opposite(self, clause: Clause) -> tuple[str, Clause, Clause] | None:
        found: list[Clause] = []
        for lemma_or_form in [clause.verb]:
            if clause.auxiliary:
                break
            for opposite in self._lexicon.opposites.get(lemma_or_form, ()):
                lemma = _lemma_like(
                    lemma_or_form, clause.lemma, opposite, self._lexicon.opposites.get(clause.lemma, ())
                )
                if lemma and opposite in self._known:
                    found.append(clause._replace(verb=opposite, lemma=lemma))
        for at, word in enumerate(clause.rest):
            bare = word.strip(",")
            for opposite in self._lexicon.opposites.get(bare, ()):
                if opposite in self._known and opposite not in clause.rest and _same_article(clause.rest, at, opposite):
                    found.append(clause._replace(rest=_with(clause.rest, at, opposite + word[len(bare) :])))
        return ("contrary", clause, self._chance.choice(found)) if found else None

    def _other_number(self, clause: Clause) -> tuple[str, Clause, Clause] | None:
        places = [at for at, word in enumerate(clause.rest) if _DIGITS.fullmatch(word) or word.strip(",") in MONTHS]
        if not places:
            return None
        at = self._chance.choice(places)
        word = clause.rest[at]
        bare = word.strip(",")
        if bare in MONTHS:
            other = self._chance.choice([month for month in MONTHS if month != bare])
        else:
            other = _changed(bare, self._chance)
        return "contrary", clause, clause._replace(rest=_with(clause.rest, at, other + word[len(bare) :]))

    def _swapped(self, clause: Clause) -> tuple[str, Clause, Clause] | None:
        """Swap who did it and to whom, where the one excludes the other."""
        text = " ".join(clause.rest)
        than = re.match(r"((?:\w+ ){0,3}\w+ than )([A-Z][\w-]+(?: [A-Z][\w-]+){0,2})(?=$|[ ,])", text)
        deed = re.match(r"()((?:the )?[A-Z][\w-]+(?: [A-Z][\w-]+){0,2})(?=$|[ ,])", text)
        found = than or (deed if clause.lemma in _ONE_WAY and not clause.auxiliary else None)
        if found is None or not clause.subject[-1][0].isupper() or len(clause.subject) > 4:
            return None
        rest = found[1] + _inside(clause) + text[found.end() :]
        return "contrary", clause, clause._replace(subject=_capitalised(found[2]).split(), rest=rest.split())

    def _with_detail(self, clause: Clause) -> tuple[str, Clause, Clause] | None:
        starts = [
            at for at in range(2, len(clause.rest)) if clause.rest[at] in _ADVERBIAL and len(clause.rest) - at < 6
        ]
        if starts and clause.rest[starts[0] - 1] not in PREPOSITIONS:
            return (
                "detail",
                clause,
                clause._replace(rest=[*clause.rest[: starts[0] - 1], clause.rest[starts[0] - 1].rstrip(",")]),
            )
        if len(clause.rest) > 9 or not self._adverbials:
            return None
        return "detail", clause._replace(rest=[*clause.rest, *self._chance.choice(self._adverbials).split()]), clause

    def _other_name(self, clause: Clause) -> tuple[str, Clause, Clause] | None:
        name = self._chance.choice(self._names).split()
        if all(word[0].isupper() and word.lower() not in DETERMINERS for word in clause.subject):
            return "other", clause, clause._replace(subject=name)
        text = " ".join(clause.rest)
        found = re.search(r"(?<= )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,}){0,2}", text)
        if found is None or found[0] in MONTHS:
            return None
        changed = text[: found.start()] + " ".join(name) + text[found.end() :]
        return "other", clause, clause._replace(rest=changed.split())

    def _worded(self, clause: Clause) -> Clause:
        """Return the clause with one or two words exchanged for others that mean the same, or as it was."""
        chance = self._chance
        if chance.random() < 0.5:
            return clause
        rest = list(clause.rest)
        for at in chance.sample(range(len(rest)), min(len(rest), 6)):
            bare = rest[at].strip(",")
            same = [one for one in self._lexicon.synonyms.get(bare, ()) if one in self._known]
            if same and _same_article(rest, at, same[0]):
                rest[at] = same[0] + rest[at][len(bare) :]
        return clause._replace(rest=rest)

    # numbers

    def _numbers(self, sentence: str, clause: Clause) -> tuple[str, str, int] | None:
        """Make a pair of two amounts of one thing, as ranges: one within the other, apart, or overlapping."""
        chance = self._chance
        short = clause._replace(rest=cut(clause.rest, 14))
        places = [at for at, word in enumerate(short.rest) if _is_amount(short.rest, at)]
        if not places or clause.negation or "not" in clause.rest:
            return None
        at = chance.choice(places)
        before = " ".join(short.rest[:at]).lower()
        if re.search(
            r"\b(?:than|over|about|around|nearly|almost|some|approximately|under|least|most|to|and|or)$", before
        ):
            return None
        number = short.rest[at].strip(",")
        mark = short.rest[at][len(number) :]
        value = float(number.replace(",", ""))
        ours, read = _amount(value, number, chance)
        relation = chance.choice((SUPPORTS, OPPOSES, NEITHER))
        for _ in range(40):
            other = value * chance.choice((0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1, 1, 1, 1.05, 1.1, 1.3, 1.6, 2, 3))
            theirs, asked = _amount(_rounded(other, number), number, chance)
            if compare(ours, theirs) == relation:
                premise = clause._replace(rest=_with(clause.rest, at, read + mark))
                hypothesis = short._replace(rest=_with(short.rest, at, asked + mark))
                tail = without_lead(words_of(sentence))[0][len(clause.subject) + 1 + len(clause.rest) :]
                made = " ".join([*_stated(premise, lead=True), *tail]).rstrip(" .,;") + "."
                return made, " ".join(_stated(hypothesis)) + ".", relation
        return None


# --- relations --------------------------------------------------------------------------------------------------


def _same(wanted: Fact) -> list[Fact]:
    return [wanted]


def _denied(wanted: Fact) -> list[Fact]:
    return [wanted._replace(denied=not wanted.denied)]


def _other(wanted: Fact, *, denied: bool) -> Fact:
    return Fact(not wanted.second, denied)


def _never(_wanted: Fact) -> list[Fact]:
    return []


def _supports_contrary(wanted: Fact) -> list[Fact]:
    return [wanted, _other(wanted, denied=False)] if wanted.denied else [wanted]


def _opposes_contrary(wanted: Fact) -> list[Fact]:
    return _denied(wanted) if wanted.denied else [*_denied(wanted), _other(wanted, denied=False)]


def _supports_detail(wanted: Fact) -> list[Fact]:
    # The first implies the second: "not the second" implies "not the first".
    implied = wanted.second != wanted.denied
    return [wanted, _other(wanted, denied=wanted.denied)] if implied else [wanted]


def _opposes_detail(wanted: Fact) -> list[Fact]:
    ruled_out = wanted.second == wanted.denied
    return [*_denied(wanted), _other(wanted, denied=not wanted.denied)] if ruled_out else _denied(wanted)


_PREMISES: Mapping[str, tuple[Callable[[Fact], list[Fact]], ...]] = {
    "same": (_same, _denied, _never),
    "contrary": (_supports_contrary, _opposes_contrary, lambda wanted: [_other(wanted, denied=True)]),
    "detail": (
        _supports_detail,
        _opposes_detail,
        lambda wanted: [_other(wanted, denied=wanted.second)],
    ),
    "other": (_same, _denied, lambda wanted: [_other(wanted, denied=False), _other(wanted, denied=True)]),
}
"""For each kind and relation: the facts that stand so to the hypothesis."""

Range = tuple[float, float]


def compare(premise: Range, hypothesis: Range) -> int:
    """Return how one amount stands to another, each from its least to its greatest possible value."""
    if hypothesis[0] <= premise[0] and premise[1] <= hypothesis[1]:
        return SUPPORTS
    if premise[1] < hypothesis[0] or hypothesis[1] < premise[0]:
        return OPPOSES
    return NEITHER


# --- clauses ----------------------------------------------------------------------------------------------------


def negated(clause: Clause) -> list[str] | None:
    """Return verb and rest of the opposite of `clause`, which has none of its own, or None where that is in doubt."""
    verb, rest = clause.verb, clause.rest
    text = {word.lower().strip(",") for word in [*clause.subject, *rest, *clause.lead]}
    if clause.negation or text & _NEGATIVE or clause.subject[0].lower() in _QUANTIFIED or verb in _NO_NEGATION:
        return None
    if verb.endswith("not"):
        return None
    if clause.auxiliary:
        return ["cannot" if verb == "can" else f"{verb} not", *rest]
    helper = "did"
    if verb == third_person(clause.lemma):
        helper = "does"
    elif verb == clause.lemma and verb != past(clause.lemma):
        helper = "do"
    return [f"{helper} not", clause.lemma, *rest]


def _stated(clause: Clause, *, lead: bool = False, inside: bool = False) -> list[str]:
    return _joined(clause, [clause.verb, *clause.rest], lead=lead, inside=inside)


def _joined(clause: Clause, predicate: list[str], *, lead: bool, inside: bool) -> list[str]:
    front = [f"{_capitalised(' '.join(clause.lead))},"] if lead and clause.lead and not inside else []
    subject = _inside(clause) if inside or front else " ".join(clause.subject)
    return [*front, subject, *predicate]


def _rendered(clause: Clause, *, denied: bool, chance: Random, lead: bool = False, inside: bool = False) -> str | None:
    """Return the clause as a statement without a full stop; None where it cannot be denied."""
    if not denied:
        return " ".join(_stated(clause, lead=lead, inside=inside))
    predicate = negated(clause)
    if predicate is None:
        return None
    kind = chance.random()
    if kind < 0.1 and not inside:
        return f"It is {chance.choice(('not true', 'false', 'wrong', 'incorrect'))} that {_inside(clause)} " + " ".join(
            [clause.verb, *clause.rest]
        )
    if kind < 0.3 and not clause.auxiliary and clause.verb == past(clause.lemma):
        never = chance.choice(("never", "failed to", "never"))
        predicate = [never, clause.verb if never == "never" else clause.lemma, *clause.rest]
    elif kind < 0.5:
        short = re.sub(r"^(is|are|was|were|does|do|did|has|have|had|could|would|should) not$", r"\1n't", predicate[0])
        predicate = [short, *predicate[1:]]
    return " ".join(_joined(clause, predicate, lead=lead, inside=inside))


def _inside(clause: Clause) -> str:
    """Return the subject as it stands after other words."""
    return " ".join([uncapitalised(clause.subject, plural=clause.is_plural), *clause.subject[1:]])


def _takes_plural(clause: Clause) -> bool:
    return clause.subject[-1].endswith("s") and not clause.subject[-1][0].isupper()


def _is_bare(clause: Clause) -> bool:
    """Whether nobody can say what the clause is about: its subject is a pronoun."""
    return len(clause.subject) == 1 and clause.subject[0].lower() in _POINTING


def _says_i(sentence: str) -> bool:
    return re.match(r"(?:I|You|My|Your|Let|Please)\b", sentence) is not None


def _stems(sentence: str) -> set[str]:
    return {word[:6] for word in re.findall(r"[a-z]{4,}", sentence.lower())}


def _frame(form: str, speaker: str, said: str, chance: Random) -> str:
    that = "that " if chance.random() < 0.75 else ""
    made = form.format(x=speaker, X=_capitalised(speaker), p=said, P=_capitalised(said), that=that)
    return _capitalised(made).rstrip(".") + "."


def _with(words: Sequence[str], at: int, word: str) -> list[str]:
    return [*words[:at], *word.split(), *words[at + 1 :]]


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lemma_like(form: str, lemma: str, opposite: str, opposites: Sequence[str]) -> str | None:
    """Return the infinitive of `opposite`, which is to a verb's `form` what `opposites` are to its `lemma`."""
    for one in opposites:
        if (form == lemma and one == opposite) or (form == past(lemma) and past(one) == opposite):
            return one
        if form == third_person(lemma) and third_person(one) == opposite:
            return one
    return None


def _same_article(words: Sequence[str], at: int, other: str) -> bool:
    if at and words[at - 1] in {"a", "an"}:
        return (words[at][0] in "aeiou") == (other[0] in "aeiou")
    return True


# --- amounts ----------------------------------------------------------------------------------------------------

_DIGITS = re.compile(r"\d{1,3}(?:,\d{3})+,?|\d{1,9}(?:\.\d{1,3})?,?")


def _is_amount(words: Sequence[str], at: int) -> bool:
    if not _DIGITS.fullmatch(words[at]):
        return False
    value = float(words[at].replace(",", ""))
    year = re.fullmatch(r"(1[5-9]|20)\d\d,?", words[at]) is not None
    month = any(words[near].strip(",") in MONTHS for near in (at - 1, at + 1) if 0 <= near < len(words))
    return value >= 2 and not year and not month


def _changed(number: str, chance: Random) -> str:
    """Return another number of the same form."""
    value = float(number.replace(",", ""))
    if re.fullmatch(r"(?:1[5-9]|20)\d\d", number):
        return str(int(value) + chance.choice([step for step in range(-30, 31) if step]))
    other = value * chance.choice((0.2, 0.3, 0.5, 0.6, 0.75, 1.3, 1.5, 2, 3, 5)) + chance.choice((0, 0, 1, 2))
    if value.is_integer() and round(other) == value:
        other = value + 1 + chance.randrange(4)
    return _written(_rounded(other, number), number)


def _rounded(value: float, like: str) -> float:
    places = len(like.partition(".")[2])
    if not places and value > 100:
        return round(value, -len(str(int(value))) + 2)
    return round(value, places)


def _written(value: float, like: str) -> str:
    places = len(like.partition(".")[2])
    comma = "," if "," in like or value >= 10000 else ""
    return f"{value:{comma}.{places}f}"


def _amount(value: float, like: str, chance: Random) -> tuple[Range, str]:
    """Return what values an amount near `value` can have, and how it is written."""
    said = _written(value, like)
    value = float(said.replace(",", ""))
    bits = 1e-9 * max(value, 1)
    kinds: list[tuple[Range, Sequence[str]]] = [
        ((value, value), ("{}",)),
        ((value, value), ("{}",)),
        ((value, value), ("{}", "exactly {}")),
        ((0.9 * value, 1.1 * value), ("about {}", "around {}", "approximately {}", "some {}", "roughly {}")),
        ((0.85 * value, value - bits), ("nearly {}", "almost {}", "just under {}")),
        ((value + bits, float("inf")), ("more than {}", "over {}", "above {}")),
        ((value, float("inf")), ("at least {}",)),
        ((0.0, value - bits), ("fewer than {}", "less than {}", "under {}")),
        ((0.0, value), ("at most {}", "no more than {}", "up to {}")),
    ]
    span, forms = chance.choice(kinds)
    return span, chance.choice(forms).format(said)


# --- words ------------------------------------------------------------------------------------------------------

_NEGATIVE = word_set(
    "not no never nor neither none without unless hardly rarely seldom scarcely barely few little only nothing nobody "
    "either cannot n't any unable lack lacks lacked failed fails fail"
)
_QUANTIFIED = word_set("some many most several each every all both few much no half any more")
_NO_NEGATION = word_set("may might must should")
_POINTING = word_set("it this that these those there which who what one i you")
_ADVERBIAL = word_set("in at on during for after before near with under since by")
_ONE_WAY = word_set(
    "defeat beat conquer kill buy acquire found own precede follow succeed exceed invade overthrow replace cause cover "
    "include contain sue arrest attack accuse elect employ lead govern influence teach outlive surround win"
)


def question_or_statement(text: str) -> tuple[str, str] | None:
    """Return a yes-or-no question and its statement, from either; None where the other form cannot be made."""
    if text.rstrip().endswith("?"):
        statement = to_statement(text)
        return None if statement is None else (text, statement + ".")
    question = yes_no_question(text, words=40)
    return None if question is None else (question, text)


def denied_statement(statement: str, chance: Random) -> str | None:
    """Return the opposite of a plain statement that has no negation, or None."""
    clause = clause_of(statement)
    if clause is None or len(clause.rest) + len(clause.subject) + len(clause.lead) + 1 < len(words_of(statement)) - 1:
        return None
    made = _rendered(clause, denied=True, chance=chance, lead=True)
    return None if made is None else made + "."


def report(statement: str, chance: Random) -> str:
    """Return a sentence in which somebody says so; the statement has no full stop."""
    return _frame(chance.choice(phrases("saying")), chance.choice(phrases("speakers")), _inner(statement), chance)


def denial(statement: str, chance: Random) -> str:
    """Return a sentence in which somebody denies it."""
    return _frame(chance.choice(phrases("denying")), chance.choice(phrases("speakers")), _inner(statement), chance)


def hedge(statement: str, chance: Random) -> str:
    """Return a sentence that leaves it open."""
    return _frame(chance.choice(phrases("leaving open")), chance.choice(phrases("speakers")), _inner(statement), chance)


def _inner(statement: str) -> str:
    words = statement.split()
    return " ".join([uncapitalised(words, plural=False), *words[1:]])
