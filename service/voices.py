"""Ranked sentences -> voices: those that are nearly the same are one; and what each says to a yes-or-no question.

Whether a sentence says yes or no is for an entailment model to say. Without one, and where it is not sure, denials and
accusations are told apart by their words.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, product
from typing import Literal

from index.encoding import Vectors
from index.entailment import Entailment, Relation
from index.ranking import Ranked
from index.speakers import Attribution, Kind, attribution_of
from index.store import Record
from index.values import same_words
from index.voices import gather
from service.comparison import Report

Word = Literal["yes", "no"]
# Sentences that are judged against a question, at most.
JUDGED = 6
# Citations that may be given up for what other sources say, or for what is said of what somebody denies.
BROUGHT = 3
# The cosine of a question and a sentence from which on a denial or an accusation in it is about what was asked.
ABOUT = 0.45
# The cosine of what is denied and a statement from which on that is about it.
DENIED = 0.4
# Pairs of citations that are judged against each other, at most, both ways.
PAIRS = 3
_REPORTS: Mapping[Kind, Report] = {"denies": "denial", "accuses": "accusation"}
_WORDS: Mapping[Relation | None, Word | None] = {"supports": "yes", "opposes": "no", None: None}
# The share of the shorter sentence's terms that two sentences have in common, to be about the same.
ABOUT_THE_SAME = 0.4


@dataclass(frozen=True)
class Heard:
    """A ranked sentence and the version of the article that it stands in."""

    ranked: Ranked
    record: Record

    @property
    def text(self) -> str:
        """The sentence."""
        return self.ranked.candidate.sentence.span.of(self.record.article.text)

    @property
    def article_id(self) -> str:
        """The article's id."""
        return self.record.article.id

    @cached_property
    def said(self) -> Attribution | None:
        """Whose statement it is."""
        ordinal = self.ranked.candidate.sentence.ordinal
        return attribution_of(self.record.article.text, self.record.sentences, ordinal)


@dataclass(frozen=True, slots=True)
class Voice:
    """A sentence, and where else it is written in nearly the same words.

    says: yes or no, where that is clear. reports: a denial of what was asked about, an accusation, or a statement on
    what is denied.
    """

    first: Heard
    others: tuple[Heard, ...] = ()
    says: Word | None = None
    reports: Report | None = None

    @property
    def probability(self) -> float:
        """The probability that the sentence answers, wherever that was seen best."""
        return max(place.ranked.probability for place in self.places)

    @property
    def places(self) -> tuple[Heard, ...]:
        """All places, the one that is quoted first."""
        return (self.first, *self.others)


def voices_of(heard: Sequence[Heard], *, newest: Callable[[], bool]) -> list[Voice]:
    """Return the voices of sentences, in the order of their best.

    newest: whether to quote the place of the newest article instead of the best one, where articles have dates; asked
    only where there are several places.
    """

    def may_be_one(place: int, first: int) -> bool:
        one, other = heard[place], heard[first]
        # Within one article, a sentence that is written a second time is written for a reason: only the same words.
        terms, others = one.ranked.candidate.terms, other.ranked.candidate.terms
        return one.article_id != other.article_id or bool(terms and terms == others)

    return [
        _voice([heard[place] for place in group], newest=newest)
        for group in gather([one.text for one in heard], may_be_one)
    ]


def _voice(places: Sequence[Heard], *, newest: Callable[[], bool]) -> Voice:
    quoted = places[0]
    if len(places) > 1 and newest():
        # The first of those of one day is the best of them.
        quoted = max(places, key=lambda one: one.record.article.date or dt.date.min)
    return Voice(quoted, tuple(one for one in places if one is not quoted))


# What they say


def judged(entailment: Entailment, question: str, voices: Sequence[Voice], wanted: int) -> list[Voice]:
    """Return the voices, some with what they say to a question that yes or no would answer.

    wanted: how many are to be shown: they are judged, and the best of other articles.
    """
    articles = {voice.first.article_id for voice in voices[:wanted]}
    places = [place for place, one in enumerate(voices) if place < wanted or one.first.article_id not in articles]
    stances = entailment.judge([(premise_of(voices[place].first), question) for place in places[:JUDGED]])
    says = {place: _WORDS[entailment.thresholds.said(stance)] for place, stance in zip(places, stances, strict=False)}
    return [replace(voice, says=says.get(place)) for place, voice in enumerate(voices)]


def reported(voices: Sequence[Voice]) -> list[Voice]:
    """Return the voices, some with what they report of what was asked: a denial, or an accusation."""
    return [replace(voice, reports=_report(voice.first)) for voice in voices]


def _report(heard: Heard) -> Report | None:
    if heard.ranked.candidate.features.cosine < ABOUT:
        return None
    return _REPORTS.get(heard.said.kind) if heard.said else None


def what_is_denied(voices: Sequence[Voice], wanted: int) -> str | None:
    """Return what the best denial among the first `wanted` voices denies, in its words; None where there is none."""
    denials = (voice.first for voice in voices[:wanted] if voice.reports == "denial")
    for heard in denials:
        if heard.said and heard.said.content:
            # Without what is put in: "any weaponry, including drones, to Russia".
            return re.sub(r",[^,]*,", "", heard.said.content.of(heard.record.article.text))
    return None


def with_statement(voices: Sequence[Voice], denied: Vectors) -> list[Voice]:
    """Return the voices; of what those who deny it say besides, the nearest to what they deny is marked, if it is near.

    denied: the direction of what is denied, shape (dim,).
    """
    deniers = [name for voice in voices if voice.reports == "denial" for name in _speakers(voice.first)]
    near = {
        place: float(denied @ voice.first.ranked.candidate.vector)
        for place, voice in enumerate(voices)
        if not _word(voice) and any(same_words(*two) for two in product(_speakers(voice.first), deniers))
    }
    nearest = max(near, key=lambda place: near[place], default=None)
    if nearest is None or near[nearest] < DENIED:
        return list(voices)
    return [replace(one, reports="statement") if place == nearest else one for place, one in enumerate(voices)]


def _speakers(heard: Heard) -> list[str]:
    """Return who says it, and the name that this stands for."""
    spans = (heard.said.speaker, heard.said.named) if heard.said else ()
    return [span.of(heard.record.article.text) for span in spans if span]


def chosen(voices: Sequence[Voice], wanted: int) -> list[Voice]:
    """Return the first `wanted` voices; of those that say nothing the last give way to what else is said of it."""
    shown = list(voices[:wanted])
    for voice in islice(_said_besides(voices, wanted), BROUGHT):
        places = reversed(range(1, len(shown)))
        weakest = next((place for place in places if not _word(shown[place])), None)
        if weakest is None:
            break
        del shown[weakest]
        shown.append(voice)
    return shown


def _word(voice: Voice) -> str | None:
    return voice.says or voice.reports


def _said_besides(voices: Sequence[Voice], wanted: int) -> Iterable[Voice]:
    """Yield what articles say of which nothing is shown that says the same, where anything is said at all."""
    told = {(place.article_id, _word(voice)) for voice in voices[:wanted] for place in voice.places}
    if not any(word for _, word in told):
        return
    for voice in voices[wanted:]:
        if _word(voice) and (voice.first.article_id, _word(voice)) not in told:
            told.add((voice.first.article_id, _word(voice)))
            yield voice


def opposed(entailment: Entailment, voices: Sequence[Voice]) -> list[tuple[int, int]]:
    """Return the places of voices of which each denies what the other says."""
    pairs = [
        (one, other)
        for other in range(len(voices))
        for one in range(other)
        if voices[one].first.article_id != voices[other].first.article_id
        and _shared(voices[one].first, voices[other].first) >= ABOUT_THE_SAME
    ][:PAIRS]
    texts = [(premise_of(voices[one].first), premise_of(voices[other].first)) for one, other in pairs]
    stances = entailment.judge([*texts, *((other, one) for one, other in texts)])
    said = [entailment.thresholds.said(stance) for stance in stances]
    both = zip(pairs, said[: len(pairs)], said[len(pairs) :], strict=True)
    return [pair for pair, there, back in both if there == back == "opposes"]


def premise_of(heard: Heard) -> str:
    """Return a sentence as it is judged; one that begins with a pronoun, behind the sentence before it."""
    sentence = heard.ranked.candidate.sentence
    if sentence.ordinal == 0 or not _LEANING.match(heard.text):
        return heard.text
    return f"{heard.record.sentences[sentence.ordinal - 1].of(heard.record.article.text)} {heard.text}"


_LEANING = re.compile(r"\W*(?:he|she|it|they|this|that|these|those)\b", re.IGNORECASE)


def _shared(one: Heard, other: Heard) -> float:
    terms, others = set(one.ranked.candidate.terms), set(other.ranked.candidate.terms)
    return len(terms & others) / max(1, min(len(terms), len(others)))
