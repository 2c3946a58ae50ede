"""Voices: sentences that are nearly the same, word for word, are one, wherever they stand."""

import re
from collections.abc import Callable, Sequence, Set
from difflib import SequenceMatcher

# The share of the longer sentence's words that both have, in order, for them to be one voice.
SHARED = 0.75
# How alike two words are that stand for each other: "colour" and "color", not "rose" and "fell".
SPELLED = 0.85
# Fewer words are too few to tell that one was copied from the other: they have to be the same.
FEW = 5
# A word more or less that changes what is said.
_TURNING = frozenset(
    re.findall(
        r"\w+",
        "not no never none nobody nothing neither nor without cannot deny denies denied denying dismiss dismisses "
        "dismissed reject rejects rejected refuse refuses refused refute refutes refuted fail fails failed false "
        "untrue unlikely if unless may might could would should alleged allegedly reportedly claims claim claimed "
        "almost nearly less more fewer former ex except only before after until hardly barely half dozen dozens "
        "hundred hundreds thousand thousands million millions billion billions trillion one two three four five six "
        "seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty "
        "thirty forty fifty sixty seventy eighty ninety first second third monday tuesday wednesday thursday friday "
        "saturday sunday january february march april june july august september october november december",
    )
)
_WORDS = re.compile(r"\w++(?:'\w++)*+")


def gather(texts: Sequence[str], fits: Callable[[int, int], bool]) -> list[list[int]]:
    """Return the places of `texts` grouped by voice, each group in order, groups by their first.

    fits: whether the one may join the voice that begins with the other, which is asked before texts are compared.
    """
    voices: list[list[int]] = []
    words = [words_of(text) for text in texts]
    known = [frozenset(own) for own in words]
    for place, own in enumerate(words):
        for voice in voices:
            first = voice[0]
            if not _may_be_same(own, known[place], words[first], known[first]):
                continue
            if fits(place, first) and nearly_same(words[first], own):
                voice.append(place)
                break
        else:
            voices.append([place])
    return voices


def _may_be_same(ones: Sequence[str], known: Set[str], others: Sequence[str], other_known: Set[str]) -> bool:
    """Whether two sentences are not too different to be one voice; nearly all are, and this is quickly seen."""
    shorter, longer = sorted((len(ones), len(others)))
    return shorter >= SHARED * longer and len(known & other_known) >= SHARED * max(len(known), len(other_known))


def words_of(text: str) -> list[str]:
    """Return the words of a sentence in small letters, as they are compared here."""
    return _WORDS.findall(text.casefold().replace("’", "'"))


def nearly_same(ones: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two sentences, as `words_of`, are one voice.

    Words may be added or left out, but none that turns what is said, and no number; none may stand for another one,
    unless it is another spelling of it.
    """
    if not ones or not others:
        return False
    if ones == others:
        return True
    longest = max(len(ones), len(others))
    if min(len(ones), len(others)) < FEW or not _may_be_same(ones, set(ones), others, set(others)):
        return False
    # Alignment depends on which comes first; the answer must not.
    ones, others = sorted((list(ones), list(others)))
    matcher = SequenceMatcher(None, ones, others, autojunk=False)
    shared = 0
    moved: set[str] = set()
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        gone, come = ones[start:end], others[other_start:other_end]
        if kind == "equal":
            shared += len(gone)
        elif kind == "replace":
            if len(gone) != len(come) or not all(_is_spelling(*pair) for pair in zip(gone, come, strict=True)):
                return False
            shared += len(gone)
        elif any(_turns(word) or word in moved for word in (*gone, *come)):
            return False
        else:
            # A word that goes in one place and comes in another may be who did it, and to whom.
            moved.update(gone, come)
    return shared >= SHARED * longest


def _turns(word: str) -> bool:
    return word in _TURNING or word.endswith("n't") or any(character.isdigit() for character in word)


def _is_spelling(one: str, other: str) -> bool:
    if _turns(one) or _turns(other):
        return False
    near = one[0] == other[0] and abs(len(one) - len(other)) <= 1 and min(len(one), len(other)) > 3
    return near and SequenceMatcher(None, one, other, autojunk=False).ratio() >= SPELLED
