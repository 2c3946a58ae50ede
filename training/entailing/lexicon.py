"""Words that mean the same and words that mean the opposite: our own list of opposites, and WordNet's.

WordNet (Princeton, 3.0) is read from its own files, as Debian's `wordnet-base` installs them. It is used to make
examples for training; nothing of it is shipped.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from training.synthesis import past, third_person

_VERB_PAIRS = """
increase decrease|rise fall|raise lower|grow shrink|allow ban|permit forbid|confirm deny|accept reject|approve reject
support oppose|win lose|open close|begin end|start stop|buy sell|import export|gain lose|strengthen weaken|expand shrink
improve worsen|activate inhibit|promote inhibit|enhance reduce|accelerate slow|join leave|attack defend|build destroy
create destroy|include exclude|succeed fail|agree disagree|love hate|praise criticize|arrest release|hire fire
lengthen shorten|enter leave|lift impose|tighten ease|induce prevent|stimulate suppress|encourage discourage
protect endanger|remember forget|admit deny|back oppose|cause prevent|welcome condemn|extend shorten|advance retreat
unite divide|borrow lend|arrive depart|employ dismiss|legalize outlaw|upregulate downregulate|reveal conceal
trust distrust|keep abandon|save waste|attract repel|push pull|appear disappear|launch cancel|widen narrow
maximize minimize|pass fail
"""
_OTHER_PAIRS = """
high low|higher lower|highest lowest|large small|larger smaller|largest smallest|more less|most least|first last
good bad|better worse|best worst|early late|earlier later|old new|older younger|oldest youngest|long short
longer shorter
strong weak|stronger weaker|positive negative|possible impossible|legal illegal|public private|internal external
rich poor|hot cold|same different|safe dangerous|common rare|major minor|maximum minimum|always never|before after
with without|inside outside|above below|north south|northern southern|east west|eastern western|male female|men women
majority minority|success failure|victory defeat|increase decrease|growth decline|rise fall|support opposition
present absent|active inactive|effective ineffective|sufficient insufficient|likely unlikely|necessary unnecessary
similar different|true false|successful unsuccessful|popular unpopular|stable unstable|guilty innocent|alive dead
full empty|fast slow|faster slower|easy difficult|independent dependent|permanent temporary|young old
peace war|winner loser|ally enemy|advantage disadvantage|ancient modern|domestic foreign|upper lower
"""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Each word, lower case and inflected, with what can stand in its place in the same form."""

    synonyms: Mapping[str, tuple[str, ...]]
    opposites: Mapping[str, tuple[str, ...]]


def load_lexicon(wordnet: Path) -> Lexicon:
    """Read WordNet's files in the folder `wordnet`; raises FileNotFoundError where they are not there."""
    synonyms: dict[str, set[str]] = defaultdict(set)
    opposites: dict[str, set[str]] = defaultdict(set)
    for one, other in _pairs(_VERB_PAIRS):
        for form, counter in zip(verb_forms(one), verb_forms(other), strict=True):
            opposites[form].add(counter)
            opposites[counter].add(form)
    for one, other in _pairs(_OTHER_PAIRS):
        opposites[one].add(other)
        opposites[other].add(one)
    kinds: dict[str, set[str]] = defaultdict(set)
    for kind in ("noun", "verb", "adj", "adv"):
        for lemma in _first_senses(wordnet, kind):
            kinds[lemma].add(kind)
    for kind in ("noun", "verb", "adj", "adv"):
        first = _first_senses(wordnet, kind)
        for offset, words, contrary in _synsets(wordnet, kind):
            # Words whose chief sense this is, and that are of this kind alone: others may mean something else here.
            chief = [word for word in words if first.get(word) == offset and kinds[word] == {kind}]
            for word in chief:
                for other in chief:
                    if word != other:
                        _relate(synonyms, word, other, kind)
            if kind in ("adj", "verb"):
                for word, opposite in contrary:
                    if first.get(word) == offset and len(word) > 3 and kinds[word] == {kind} and opposite.isalpha():
                        _relate(opposites, word, opposite, kind)
    return Lexicon(_sorted(synonyms), _sorted(opposites))


def verb_forms(verb: str) -> tuple[str, str, str, str]:
    """Return the infinitive, the form that goes with "it", the past and the form in -ing."""
    return verb, third_person(verb), past(verb), gerund(verb)


def gerund(verb: str) -> str:
    """Return the form in -ing of an infinitive."""
    if verb.endswith("ie"):
        return f"{verb[:-2]}ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")) and verb != "be":
        return f"{verb[:-1]}ing"
    regular = re.sub(r"(ied|ed)$", "", past(verb)) if past(verb).endswith("ed") else verb
    short = re.fullmatch(r"(?:[^aeiou]|qu)*[aeiou][bdgklmnprtvz]", verb) is not None
    doubled = short or len(regular) > len(verb) or verb in {"begin", "forget", "forbid"}
    return f"{verb}{verb[-1]}ing" if doubled else f"{verb}ing"


def _relate(table: dict[str, set[str]], word: str, other: str, kind: str) -> None:
    if kind == "verb":
        for form, counter in zip(verb_forms(word), verb_forms(other), strict=True):
            table[form].add(counter)
        return
    table[word].add(other)
    if kind == "noun" and not word.endswith("s") and not other.endswith("s"):
        table[third_person(word)].add(third_person(other))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in re.split(r"[|\n]", text.strip()):
        one, other = pair.split()
        yield one, other


def _first_senses(wordnet: Path, kind: str) -> dict[str, str]:
    """Return for each word where its most frequent synset stands; words of several parts are left out."""
    first = {}
    for line in (wordnet / f"index.{kind}").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if line.startswith(" ") or not fields[0].isalpha() or len(fields[0]) < 4:
            continue
        first[fields[0]] = fields[-int(fields[2])]
    return first


def _synsets(wordnet: Path, kind: str) -> Iterator[tuple[str, list[str], list[tuple[str, str]]]]:
    """Yield each synset's offset, its words, and pairs of a word of it with its opposite (see wndb(5WN))."""
    lines = [
        line.split()
        for line in (wordnet / f"data.{kind}").read_text(encoding="utf-8").splitlines()
        if not line.startswith(" ")
    ]
    words = {line[0]: [line[4 + 2 * at].split("(")[0] for at in range(int(line[3], 16))] for line in lines}
    for line in lines:
        pointers = line[5 + 2 * int(line[3], 16) :]
        count = int(line[4 + 2 * int(line[3], 16)])
        contrary = []
        for at in range(count):
            symbol, offset, _kind, ends = pointers[4 * at : 4 * at + 4]
            if symbol == "!":
                contrary.append((words[line[0]][int(ends[:2], 16) - 1], words[offset][int(ends[2:], 16) - 1]))
        own = [word for word in words[line[0]] if word.isalpha() and word.islower()]
        yield line[0], own, contrary


def _sorted(table: Mapping[str, set[str]]) -> dict[str, tuple[str, ...]]:
    return {word: tuple(sorted(others - {word})) for word, others in table.items() if others - {word}}
