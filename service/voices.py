"""Ranked sentences -> voices: those that are nearly the same are one; and what each says to a yes-or-no question."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from index.entailment import Entailment, Relation
from index.ranking import Ranked
from index.store import Record
from index.voices import gather

Word = Literal["yes", "no"]
# Sentences that are judged against a question, at most.
JUDGED = 8
# Citations that may be given up for a sentence of another source that says yes or no.
BROUGHT = 2
# Pairs of citations that are judged against each other, at most, both ways.
PAIRS = 3
_WORDS: Mapping[Relation | None, Word | None] = {"supports": "yes", "opposes": "no", None: None}
# The share of the shorter sentence's terms that two sentences have in common, to be about the same.
ABOUT_THE_SAME = 0.4


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Voice:
    """A sentence, and where else it is written in nearly the same words. says: yes or no, where that is clear."""

    first: Heard
    others: tuple[Heard, ...] = ()
    says: Word | None = None

    @property
    def probability(self) -> float:
        """The probability that the sentence answers, wherever that was seen best."""
        return max(place.ranked.probability for place in self.places)

    @property
    def places(self) -> tuple[Heard, ...]:
        """All places, the one that is quoted first."""
        return (self.first, *self.others)


def voices_of(heard: Sequence[Heard], *, newest: bool) -> list[Voice]:
    """Return the voices of sentences, in the order of their best.

    newest: quote the place of the newest article instead of the best one, where articles have dates.
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


def _voice(places: Sequence[Heard], *, newest: bool) -> Voice:
    quoted = places[0]
    if newest:
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


def chosen(voices: Sequence[Voice], wanted: int) -> list[Voice]:
    """Return the first `wanted` voices; of those that say nothing the last give way to what other sources say."""
    shown = list(voices[:wanted])
    for voice in islice(_of_other_sources(voices, wanted), BROUGHT):
        weakest = next((place for place in reversed(range(1, len(shown))) if shown[place].says is None), None)
        if weakest is None:
            break
        del shown[weakest]
        shown.append(voice)
    return shown


def _of_other_sources(voices: Sequence[Voice], wanted: int) -> Iterable[Voice]:
    """Yield what articles say of which nothing is shown that says the same."""
    told = {(place.article_id, voice.says) for voice in voices[:wanted] for place in voice.places}
    for voice in voices[wanted:]:
        if voice.says and (voice.first.article_id, voice.says) not in told:
            told.add((voice.first.article_id, voice.says))
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
