"""Variety: questions made by rule beside those that people asked, for more forms than any one set has."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from index.articles import Span
from training.examples import Example, Labelled
from training.synthesis import abridged, altered, number_question, subject_question, time_question, yes_no_question

Chance = random.Random
Maker = Callable[[str], str | None]

# Yes-or-no questions twice: no data set here has many, and people ask them.
_MAKERS: Sequence[Maker] = (yes_no_question, yes_no_question, subject_question, time_question, number_question)
# A pronoun as subject makes a question that no title or neighbour can explain.
_PRONOUNS = frozenset(["he", "she", "it", "they", "this", "these", "those", "that", "we", "i", "you", "there", "one"])


def varied(example: Example, chance: Chance) -> Example:
    """Return the example, at times with its question in the short form that people type into a search box."""
    if chance.random() < 0.08:
        return replace(example, question=abridged(example.question, chance))
    return example


def unanswerable(example: Example, chance: Chance) -> Example | None:
    """Return a question that the first passage no longer answers, made by a swap of one name, number or opposite."""
    first, *others = example.passages
    texts = [other.context.text for other in others]
    question = altered(example.question, first.context.text, texts, chance)
    if question is None:
        return None
    nothing = [Labelled(one.context, (False,) * len(one.answers), parts_known=True) for one in example.passages[:2]]
    return replace(example, source=f"{example.source}, altered", question=question, passages=tuple(nothing))


def made_questions(examples: Sequence[Example], count: int, chance: Chance) -> Iterator[Example]:
    """Yield fewer than `count` examples with questions made from sentences of the examples' passages.

    A quarter are altered, so that nothing answers them. Most sentences yield no question.
    """
    for example in chance.choices(examples, k=count):
        passages = list(example.passages)
        first = passages.pop(chance.randrange(len(passages)))
        context = first.context
        ordinal = chance.randrange(len(context.spans))
        span = context.spans[ordinal]
        made = next(filter(None, (maker(span.of(context.text)) for maker in chance.sample(_MAKERS, 3))), None)
        if made is None or any(word.lower() in _PRONOUNS for word in made.split()[:3]):
            continue
        one = _asked(replace(example, passages=(first, *passages)), made, ordinal, span)
        other = unanswerable(one, chance) if chance.random() < 0.25 else None
        yield other or one


def _asked(example: Example, question: str, ordinal: int, span: Span) -> Example:
    first, *others = example.passages
    answers = tuple(number == ordinal for number in range(len(first.answers)))
    # A whole sentence is no part of itself worth marking: where the answer starts and ends is left open.
    rest = [Labelled(one.context, (False,) * len(one.answers)) for one in others if _is_apart(one, span, first)]
    passages = (Labelled(first.context, answers), *rest)
    return replace(example, source=f"{example.source}, made", question=question, passages=passages)


def _is_apart(other: Labelled, span: Span, first: Labelled) -> bool:
    return span.of(first.context.text) not in other.context.text
