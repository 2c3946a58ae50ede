"""Values in a text: counted things and people's names; and whether two of them are the same.

For showing where articles differ, so a value is found only where there is little doubt what it is of. English.
"""

import re
import unicodedata
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from index.articles import Span

# From here on two names that are written differently are one: Abdollahian, Abdolahian.
ALIKE = 0.85
# Numbers that differ by less than this share may be one number, rounded.
ROUNDED = 0.05


@dataclass(frozen=True, slots=True)
class Value:
    """A name, or a number with what it counts.

    span: its words, in the text that was searched. about: what it is a value of: what is counted, in the singular, or a
    family name, in small letters; two values can be compared where this is the same. number: None for names.
    """

    kind: Literal["name", "number"]
    span: Span
    about: str
    number: float | None = None


def values_in(text: str) -> list[Value]:
    """Return the counted things and the people in `text`, in order of kind and place."""
    return [*_numbers(text), *_people(text)]


def differ(one: Value, other: Value, text: str, other_text: str) -> bool:
    """Whether two values are of the same thing and are not the same; `text` and `other_text` are what they stand in."""
    if (one.kind, one.about) != (other.kind, other.about):
        return False
    if one.number is not None and other.number is not None:
        return abs(one.number - other.number) > ROUNDED * max(abs(one.number), abs(other.number))
    given, other_given = _given(one.span.of(text)), _given(other.span.of(other_text))
    # An initial or a short form ("Tim", "Timothy") is no other name.
    return not any(a.startswith(b) or b.startswith(a) for a in given for b in other_given)


def same_words(one: str, other: str) -> bool:
    """Whether two answers are the same but for words left out, spelling, and case.

    "Kuleba" and "Dmytro Kuleba", "3,559" and "3,559 people", "Amir-Abdollahian" and "Amirabdollahian".
    """
    ones, others = _content(one), _content(other)
    if not ones or not others:
        return one.casefold().strip() == other.casefold().strip()
    if set(ones) <= set(others) or set(others) <= set(ones):
        return True
    fused, other_fused = "".join(ones), "".join(others)
    if re.search(r"\d", fused + other_fused):
        return False
    shorter, longer = sorted((fused, other_fused), key=len)
    if len(shorter) > 5 and shorter in longer:
        return True
    return SequenceMatcher(None, fused, other_fused, autojunk=False).ratio() >= ALIKE


# Numbers

_NUMBER = re.compile(
    r"(?<![\w.,/$€£¥-])(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?![\d,/:]*\d)(?P<scale>\s+(?:thousand|million|billion"
    r"|trillion))?(?=\s)",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_QUALIFIER = re.compile(
    r"(?:more than|less than|fewer than|at least|at most|up to|as many as|no more than|over|under|about|around|almost"
    r"|nearly|roughly|approximately|some|an estimated|estimated|exactly|only)\s+$",
    re.IGNORECASE,
)
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_WORD = re.compile(r"\s+([A-Za-z][A-Za-z'’-]*)([,;.:)!?”\"]?)")
# What ends the words between a number and what it counts.
_NOT_COUNTED = frozenset(
    re.findall(
        r"\w+",
        "a an the of in on at to for from by with as about into and or but not is are was were be been has have "
        "had who which that within during since after before until over under between per this these those his "
        "her their its it he she they we you i said says say will would can could may might than more less later "
        "ago earlier old times including while when where if because against among",
    )
)
# Plurals of these are measures: of what, the number alone does not say.
_MEASURES = frozenset(
    re.findall(
        r"\w+",
        "year month week day hour minute second time percent point degree mile kilometre kilometer metre meter "
        "foot feet inch yard acre hectare pound dollar euro cent tonne ton kilogram litre liter age",
    )
)
_PLURALS = {"people": "person", "men": "man", "women": "woman", "children": "child", "police": "police"}


def _numbers(text: str) -> list[Value]:
    # Most sentences have none, and this is seen sooner.
    digit = _DIGIT.search(text)
    found = []
    for match in _NUMBER.finditer(text, digit.start()) if digit else ():
        counted = _counted(text, match.end())
        if counted is None:
            continue
        number = float(match["number"].replace(",", ""))
        scale = _SCALES.get((match["scale"] or "").strip().lower(), 1.0)
        qualifier = _QUALIFIER.search(text, max(0, match.start() - 20), match.start())
        start = qualifier.start() if qualifier else match.start()
        found.append(Value("number", Span(start, match.end()), counted, number * scale))
    return found


def _counted(text: str, start: int) -> str | None:
    """Return what a number that ends at `start` counts: the last plural in the next four words; in the singular."""
    counted = None
    for _ in range(4):
        word = _WORD.match(text, start)
        if word is None or word[1].lower() in _NOT_COUNTED:
            break
        counted = _PLURALS.get(word[1].lower()) or _singular(word[1].lower()) or counted
        start = word.end()
        if word[2]:
            break
    return None if counted in _MEASURES else counted


def _singular(word: str) -> str | None:
    """Return the singular of a regular plural; None for all else."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return None
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-2] if word.endswith(("xes", "ches", "shes", "sses")) else word[:-1]


# People

_ROLE = (
    r"(?:[Pp]resident|[Mm]inister|[Cc]hancellor|[Ss]enator|[Gg]overnor|[Mm]ayor|[Ss]ecretary|[Aa]mbassador|[Ss]pokes(?:man"
    r"|woman|person)|[Cc]ounterpart|[Gg]eneral|[Cc]olonel|[Cc]aptain|[Dd]irector|[Cc]hairman|[Cc]hairwoman|[Cc]hair"
    r"|[Cc]hief|[Cc]ommissioner|[Aa]dvis[eo]r|[Pp]rofessor|[Dd]octor|Dr\.?|Mr\.?|Mrs\.?|Ms\.?|[Jj]udge|[Kk]ing|[Qq]ueen"
    r"|[Pp]rince|[Pp]rincess|[Pp]ope|[Bb]ishop|[Ee]ditor|[Cc]oach|[Aa]uthor|[Aa]ctor|[Aa]ctress|[Dd]eputy|[Ll]eader"
    r"|CEO|[Aa]nalyst|[Oo]fficial|[Ll]awyer|[Jj]ournalist|[Rr]eporter)"
)
_SPEAKS = (
    r"(?:said|says|tweeted|wrote|told|added|argued|claimed|denied|announced|stated|explained|insisted|warned|asked"
    r"|replied|called|who|himself|herself)"
)
_GIVEN = r"(?:[^\W\d_a-z][^\W\d_]+(?:[-'’][^\W\d_]+)*)"
_NAME = re.compile(rf"(?<![\w-]){_GIVEN}(?:\s(?:[^\W\d_a-z]\.\s)?{_GIVEN}){{1,2}}(?![\w-])")
_AFTER_ROLE = re.compile(rf"\b{_ROLE},?\s+$")
_BEFORE_VERB = re.compile(rf",?\s+{_SPEAKS}\b")
_TITLES = re.compile(rf"(?:(?:The|Former|Foreign|Prime|Vice|Defen[cs]e|Interior|Finance|{_ROLE})\s+)+")


def _people(text: str) -> list[Value]:
    """Return names of two or three words that a role stands before, or a word of speech behind."""
    found = []
    for match in _NAME.finditer(text):
        title = _TITLES.match(text, match.start(), match.end())
        start = title.end() if title else match.start()
        words = text[start : match.end()].split()
        known = title or _AFTER_ROLE.search(text, max(0, start - 40), start) or _BEFORE_VERB.match(text, match.end())
        if len(words) > 1 and known:
            found.append(Value("name", Span(start, match.end()), _plain(words[-1])))
    return found


def _given(name: str) -> list[str]:
    return [_plain(word) for word in name.split()[:-1]]


def _plain(word: str) -> str:
    """Return a word in small letters without accents and punctuation."""
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(character for character in decomposed if character.isalnum())


_ARTICLES = frozenset({"a", "an", "the"})


def _content(words: str) -> list[str]:
    # Numbers keep their commas out: 3,559 is one word.
    split = re.findall(r"\d[\d,.]*\d|\d|[^\W\d_]+", re.sub(r"['’]s\b", "", words))
    plain = [_plain(word) for word in split]
    return [word for word in plain if word and word not in _ARTICLES]
