"""Conversations: a question that leans on earlier ones becomes one that stands alone. Pure; no model.

The turns are read in order. What they are about is kept as phrases with a salience, which grows as they are spoken of
and fades from turn to turn. A question is then changed in the first of three ways that applies:

ellipsis   "Why?", "And Russia?" are filled in from the last question
pronouns   give way to the most salient phrase that agrees with them: centering (Grosz, Joshi and Weinstein 1995) with
           salience weights (Lappin and Leass 1994)
topic      one that tells nothing by itself gets the most salient phrase, or the last question, in parentheses:
           historical query expansion (Lin et al. 2020); that picking terms is enough is QuReTeC's finding (Voskarides
           et al. 2020)

There is no dictionary of the world here: only short lists of English function words, of frequent verbs and nouns that
name no topic, and of countries and bodies, which are no persons. The weights were tuned on CANARD (Elgohary et al.
2019) and TREC CAsT 2019-21; docs/followups.md has what they reach. Every word that is put in stands in the
conversation.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

# Of a conversation, the last ones.
MOST_TURNS = 50

# What is read: the first turn, which says what it is all about, and the last ones; of each so many quotes, and so many
# code points of a text. Whoever asks in more than that leans on nothing.
_LAST_READ = 7
_QUOTES_READ = 3
_LONGEST_READ = 300
# A phrase, in words and code points; and how many are put in at most.
_MOST_WORDS = 7
_LONGEST_PHRASE = 60
_MOST_REPLACED = 4

# Salience: of what a pronoun meant, of the first phrase of a question or of a quote, of what was put in parentheses;
# how much less the next phrase of a text has, what is left after a turn, and how much of the past counts at most.
_MEANT, _ASKED, _QUOTED, _TOLD = 1.0, 1.0, 0.7, 0.4
_LATER, _FADES, _MOST_KEPT = 0.2, 0.55, 1.0
# How well phrases agree with "they": a name of several, several things, another name, a person, one thing.
_MANY_NAMED, _MANY, _NAMED, _PERSON, _ONE = 1.0, 0.7, 0.6, 0.5, 0.3
# A name that stands for a place is seldom "he"; several things are seldom "it".
_PLACE_AS_PERSON, _MANY_AS_IT = 0.1, 0.5
# With so few words of its own a question that names nothing needs the topic; with so many if it says "the" of one that
# was spoken of.
_SHORT, _SHORT_WITH_THE = 1, 2


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question, as it was asked, and the sentences that were shown for it, best first."""

    question: str
    quotes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Understood:
    """A question that stands alone. new_topic: it has nothing to do with the turns before it."""

    question: str
    new_topic: bool = False


def understand(question: str, turns: Sequence[Turn]) -> Understood:
    """Return `question` as it is to be understood after `turns`, oldest first; unchanged where it stands alone."""
    if not turns:
        return Understood(question)
    recent = turns[-MOST_TURNS:]
    if len(recent) > _LAST_READ + 1:
        recent = [recent[0], *recent[-_LAST_READ:]]
    topics = _Topics()
    for turn in recent:
        topics.add(_resolved(turn.question, topics), turn)
    resolved = _resolved(question, topics)
    return Understood(resolved.text, new_topic=resolved.new_topic)


# Words


def _words_of(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_HE = _words_of("he him himself his")
_SHE = _words_of("she her herself hers")
_THEY = _words_of("they them themselves their theirs")
_IT = _words_of("it its itself")
_POINTING = _words_of("this that these those")
_PRONOUNS = _HE | _SHE | _THEY | _IT
_WH = _words_of("what who whom whose which when where why how")
_DO = _words_of("do does did don't doesn't didn't")
_MODALS = _words_of(
    "can could will would shall should may might must can't couldn't won't wouldn't shouldn't",
)
_BE = _words_of("is are was were am be been being isn't aren't wasn't weren't")
_HAVE = _words_of("has have had having hasn't haven't hadn't")
_AUXILIARIES = _DO | _MODALS | _BE | _HAVE
_DETERMINERS = _words_of("a an the my our your")
_PREPOSITIONS = _words_of(
    "of in on at to for from by with about into onto upon over under between among against during before after",
    "since until till through throughout without within across around near behind beyond per via than like as",
    "versus vs besides despite regarding concerning toward towards along off out up down away back apart instead",
    "together",
)
_CONJUNCTIONS = _words_of("and or but so if then because while though although whether nor yet once")
_OTHER = _words_of(
    "i me my mine myself you your yours yourself we us our ours there here not no yes any some all both each",
    "every either neither none few many much more most less least several other others another else same such own",
    "only just also too very really still even ever never always often again now ago already soon later today",
    "yesterday anyway one ones something anything everything nothing someone anyone everyone somebody anybody",
    "nobody thing things ok okay oh well wow thanks thank please hi hello hey sorry cool great nice good",
    "interesting i'm i've i'd let's lets that's what's it's he's she's they're there's who's where's how's when's",
    "why's we're you're isn't actually maybe perhaps exactly specifically generally particular kind kinds type",
    "types sort sorts way ways first second last next new old big long bigger biggest best better main major",
    "important different similar common able likely possible certain lot lots bit enough almost quite rather far",
    "high low early late top",
)
_VERBS = _words_of(
    "say says said saying tell tells told ask asks asked talk talked talking speak know knows knew known think",
    "thinks thought mean means meant happen happens happened happening do doing done make makes made making get",
    "gets got getting gotten go goes going went gone come comes came coming take takes took taken taking give",
    "gives gave given giving see sees saw seen look looks looked find finds found want wants wanted need needs",
    "needed use uses used using try tries tried call calls called work works worked working become becomes became",
    "begin began begun start starts started end ended keep kept let lead led show shows showed shown hear heard",
    "feel feels felt leave left put bring brought hold held turn turned move moved live lives lived believe",
    "believed stand stood set run ran pay paid meet met include includes included continue continued learn",
    "learned change changed follow followed stop stopped create created read allow allowed add added spend spent",
    "grow grew open opened win won lose lost offer offered remember consider considered appear appeared buy",
    "bought wait serve served die died dying send sent expect expected build built stay stayed fall fell cut",
    "reach reached kill killed remain remained suggest suggested raise raised seem seems sound sounds hurt hurts",
    "hurting pass passed sell sold require required report reported decide decided pull explain explained",
    "describe describes discuss affect affects affected cause causes caused compare compared compares differ",
    "differs influence influenced help helps helped like likes liked play plays played write wrote written sing",
    "sang release released record recorded publish published perform performed join joined receive received marry",
    "married attend attended deny denied denies react reacted respond responded answer answered agree agreed",
    "accuse accused attack attacked announce announced claim claimed support supported supply supplied prevent",
    "prevented treat treated improve improved choose chose chosen invent invented develop developed cost costs",
    "eat eats originate spread does exist exists occur occurred break broke enjoy enjoyed produce produced direct",
    "directed star starred act acted",
)
_FUNCTION = _PRONOUNS | _POINTING | _WH | _AUXILIARIES | _DETERMINERS | _PREPOSITIONS | _CONJUNCTIONS | _OTHER
# Nouns that say what is asked of a topic, and are none: in "the history of toilets" toilets are.
_ASPECTS = _words_of(
    "history difference differences purpose purposes fact facts role roles effect effects reason reasons example",
    "examples type types pros cons benefit benefits advantage advantages disadvantage disadvantages symptom",
    "symptoms origin origins impact impacts importance significance meaning definition information info",
    "relationship relation relations mechanism mechanisms aspect aspects article articles detail details part",
    "parts side characteristics function functions name names list risk risks consequence consequences result",
    "results outcome outcomes issue issues problem problems question questions summary overview background story",
    "legacy similarities alternative alternatives option options treatment treatments feature features goal goals",
    "source sources point points topic subject situation year years month months day days week weeks time times",
    "date age number numbers amount total born married interesting notable significant famous popular successful",
    "known good bad safe true real right wrong cheap cheaper expensive healthy dangerous effective person anyone",
    "else career life term terms",
)
_EMPTY = _FUNCTION | _VERBS | _ASPECTS
_HELPING = _FUNCTION | _VERBS
_VERBAL = _AUXILIARIES | _VERBS
_INVERTING = _DO | _MODALS | _HAVE
_BEHIND_THAT = _VERBAL | _PREPOSITIONS | _CONJUNCTIONS | _words_of("true right wrong possible likely certain")
# What may stand inside a name, between words that begin with capitals.
_LINKS = _words_of("of and de la le du van von der den el al bin ibn")
_NO_NAMES = _PRONOUNS | _POINTING | _WH | _words_of("i i'm i've i'd my is are was do does did")
_PLACES = _words_of(
    "ukraine russia iran iraq israel china america usa us u.s. uk britain england scotland ireland france germany",
    "italy spain poland turkey syria lebanon egypt india pakistan afghanistan japan korea taiwan vietnam canada",
    "mexico brazil argentina chile cuba venezuela australia africa europe asia eu nato un washington moscow kyiv",
    "kiev tehran beijing london paris berlin brussels jerusalem gaza belarus georgia hungary sweden norway",
    "finland denmark netherlands belgium switzerland austria greece romania saudi arabia qatar yemen libya sudan",
    "ethiopia nigeria kenya",
)
_PLURALS = _words_of("people women men children police")
# A name that ends, or begins, so is no person.
_THINGS = _words_of(
    "center centre hospital theatre theater club tour team band brothers stadium life university college school",
    "institute ministry department committee council commission parliament congress senate court party union",
    "association organization organisation company corporation inc ltd group records studios church street road",
    "avenue city county state states republic kingdom empire island river lake sea ocean mountain north south",
    "east west war battle treaty act law league cup championship award awards prize festival album song book film",
    "movie show series times post news journal magazine press agency bank museum hotel airport park january",
    "february march april may june july august september october november december monday tuesday wednesday",
    "thursday friday saturday sunday american british english french german russian chinese iranian ukrainian",
    "european israeli palestinian turkish indian japanese korean italian spanish polish iraqi syrian afghan",
    "canadian african asian",
)
_AT = _words_of("in at from near to")
_NO_PERSONS = _THINGS | _PLACES
_WORD = re.compile(r"(?:[A-Z]\.){2,}|[^\W_]+(?:['’&.\-/][^\W_]+)*")
_POSSESSIVE = re.compile(r"['’]s$")
_BETWEEN_SENTENCES = re.compile(r"(?<=[.?!…])\s+")
_STOPS = re.compile(r"[.,;:?!()\[\]\"“”—–…|]|\s-\s")

# Kinds of pronouns, and where they stand.
_KINDS = {"he": _HE, "she": _SHE, "they": _THEY, "it": _IT}
_PERSONAL = _HE | _SHE
_OWNERS = _words_of("his her hers their theirs its himself herself themselves itself")
_CONTRACTED = _PRONOUNS | _words_of("there that")
_SUBJECTS = _words_of("i you we he she it they who to")
_IT_VERBS = _words_of("take takes took mean means rain rains snow snows")
_SAYING = _words_of(
    "deny denied say said know knew confirm confirmed admit admitted report reported mention mentioned",
)
_MORE = _words_of("other others else another more same such this these those")
# How elliptic questions begin, and what they consist of.
_OPENERS = _words_of("and but so ok okay then also or")
_BARE = _words_of("many much long often far so not exactly")
# With these begins a question that is none of "And Russia?": a whole one, or one that says where.
_BEGINNINGS = _WH | _AUXILIARIES | _PREPOSITIONS
_POLITE = _words_of(
    "thanks thank you very much so ok okay yes no hi hello hey great cool nice good please sorry well wow",
)
_ADVERBS = _words_of("why when where how")


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a text. low: in lower case, without 's. opens: a mark, or nothing, is before it. first: of a sentence.

    named: its capital makes it a name, or a part of one.
    """

    text: str
    low: str
    start: int
    end: int
    opens: bool
    first: bool
    named: bool

    @property
    def owns(self) -> bool:
        return _POSSESSIVE.search(self.text) is not None

    @property
    def tells(self) -> bool:
        return self.named or self.low not in _EMPTY


def _read(text: str) -> list[_Word]:
    """Return the words of the beginning of `text`; of "it's" and "they're" the pronoun alone."""
    text = text[:_LONGEST_READ]
    matches = list(_WORD.finditer(text))
    # Where every word begins with a capital, that says nothing.
    shouted = len(matches) > 3 and sum(match.group()[0].isupper() for match in matches) > 0.85 * len(matches)
    words: list[_Word] = []
    last = 0
    for match in matches:
        gap = text[last : match.start()]
        first = not words or any(mark in gap for mark in ".?!…")
        opens = first or _STOPS.search(gap) is not None
        word, start, end = match.group(), match.start(), match.end()
        low = word.lower().replace("’", "'")
        stem, _, tail = low.partition("'")
        if tail and stem in _CONTRACTED:
            word, low, end = word[: len(stem)], stem, start + len(stem)
        elif low not in _FUNCTION:
            low = _POSSESSIVE.sub("", low)
        named = word[0].isupper() and not shouted and low not in _NO_NAMES and not (first and low in _EMPTY)
        words.append(_Word(word, low, start, end, opens, first, named))
        last = match.end()
    return [
        replace(word, named=False) if word.named and word.first and not _names(words, place) else word
        for place, word in enumerate(words)
    ]


def _names(words: Sequence[_Word], place: int) -> bool:
    """Whether the first word of a sentence is a name, by what follows: all of them begin with a capital."""
    after = _after(words, place)
    return after is None or after.named or _has_verb(words, place)


def _has_verb(words: Sequence[_Word], place: int) -> bool:
    """Whether the word at `place` is an owner, or has what looks like its verb behind it."""
    after = _after(words, place)
    if words[place].owns:
        return True
    return after is not None and (after.low in _VERBAL or after.low.endswith(("ed", "es")))


def _after(words: Sequence[_Word], place: int) -> _Word | None:
    """Return the next word, unless a mark is between."""
    return words[place + 1] if place + 1 < len(words) and not words[place + 1].opens else None


def _before(words: Sequence[_Word], place: int) -> _Word | None:
    """Return the word before, unless a mark is between."""
    return words[place - 1] if place and not words[place].opens else None


def _stem(word: str) -> str:
    return word[:6] if len(word) > 6 else word.rstrip("s")


# Phrases


@dataclass(frozen=True, slots=True)
class _Phrase:
    """What may be meant: a name, or some words of a question. words: in lower case.

    weight: its salience in turn `seen`, the last that spoke of it.
    """

    text: str
    words: tuple[str, ...]
    named: bool
    person: bool
    plural: bool
    place: bool
    weight: float = 0.0
    seen: int = 0


def _phrases(text: str, words: Sequence[_Word], *, only_names: bool = False) -> list[_Phrase]:
    """Return the phrases of `text`, which was read as `words`, in order."""
    found = (_phrase(text, words, *run) for run in _runs(words, only_names=only_names))
    return [phrase for phrase in found if phrase]


def _runs(words: Sequence[_Word], *, only_names: bool) -> Iterator[tuple[int, int]]:
    """Yield ranges of neighbouring words that tell something: names with what links them, owners apart."""
    place = 0
    while place < len(words):
        if not words[place].tells or (only_names and not words[place].named):
            place += 1
            continue
        first = place
        place = _end_of_run(words, first, only_names=only_names)
        if words[first].named:
            yield first, place
        else:
            yield from _without_verbs(words, first, place)


def _end_of_run(words: Sequence[_Word], first: int, *, only_names: bool) -> int:
    place = first + 1
    while place < len(words) and not words[place].opens and not words[place - 1].owns:
        linked = _linked(words, place)
        if linked:
            place = linked
        elif words[place].named or (words[place].tells and not only_names):
            # "did Iran deny", "did officials tell Reuters": where case changes after an auxiliary, the subject ends.
            if words[place - 1].named != words[place].named and _is_subject(words, first):
                break
            place += 1
        else:
            break
    return place


def _linked(words: Sequence[_Word], place: int) -> int:
    """Return where a name goes on to that is linked by "of", "and the" or the like at `place`; 0 where it ends."""
    if words[place].low not in _LINKS or not words[place - 1].named:
        return 0
    reach = (
        2 if words[place].low in ("of", "and") and [word.low for word in words[place + 1 : place + 2]] == ["the"] else 1
    )
    goes_on = words[place + reach : place + reach + 1]
    return place + reach + 1 if goes_on and goes_on[0].named and not goes_on[0].opens else 0


def _without_verbs(words: Sequence[_Word], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the run without the verb that it begins ("they attract prey") or ends with ("did the band tour")."""
    before = _before(words, first)
    if before and before.low in _SUBJECTS:
        first += 1
    closes = last == len(words) or words[last].opens or words[last].named
    if last - first > 1 and closes and _is_subject(words, first):
        last -= 1
    if last - first > 1 or (last - first == 1 and not words[first].low.endswith(("ing", "ed", "ly", "est"))):
        yield first, last


def _is_subject(words: Sequence[_Word], first: int) -> bool:
    """Whether an auxiliary stands before what begins at `first`, so that its verb comes behind it."""
    if first and words[first - 1].low in _DETERMINERS:
        first -= 1
    if not first:
        return False
    before = words[first - 1]
    return before.low in _INVERTING or (before.low in _BE and before.first)


def _phrase(text: str, words: Sequence[_Word], first: int, last: int) -> _Phrase | None:
    """Return words[first:last] as a phrase; None where it is too long, or has no letter."""
    run = words[first:last]
    said = _POSSESSIVE.sub("", text[run[0].start : run[-1].end])
    lows = tuple(word.low for word in run)
    if len(run) > _MOST_WORDS or len(said) > _LONGEST_PHRASE or not any(letter.isalpha() for letter in said):
        return None
    before = _before(words, first)
    article = before is not None and before.low in ("the", "my", "our")
    named = any(word.named for word in run)
    return _Phrase(
        text=f"{before.low} {said}" if before and article else said,
        words=lows,
        named=named,
        person=not article and len(run) <= 4 and all(word.named for word in run) and not set(lows) & _NO_PERSONS,
        plural="and" in lows or "&" in said or lows[-1] in _PLURALS or _ends_in_s(lows[-1]),
        place=named and (set(lows) <= _PLACES or (before is not None and before.low in _AT)),
    )


def _ends_in_s(word: str) -> bool:
    return len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))


# Salience


class _Topics:
    """What a conversation is about so far. last: its last question that told something. stems: of all that was said."""

    def __init__(self) -> None:
        self._phrases: dict[tuple[str, ...], _Phrase] = {}
        self._turn = 0
        self.last = ""
        self.stems: set[str] = set()

    def add(self, resolved: "_Resolved", turn: Turn) -> None:
        """Take in a turn, whose question was understood as `resolved`."""
        self._turn += 1
        self.last = _last_sentence(resolved.core) or self.last
        for phrase in resolved.meant:
            self._strengthen(phrase, _MEANT)
        for phrase in resolved.told:
            self._strengthen(phrase, _TOLD)
        self._take_in(turn.question, _ASKED, only_names=False)
        for rank, quote in enumerate(turn.quotes[:_QUOTES_READ]):
            self._take_in(quote, _QUOTED / (1 + rank), only_names=True)

    def best(self, pronoun: str, without: frozenset[str]) -> _Phrase | None:
        """Return the most salient phrase that agrees with `pronoun`, not made of words of `without` alone."""
        found = [
            (self._salience(phrase) * fits, -place, phrase)
            for place, phrase in enumerate(self._phrases.values())
            if not set(phrase.words) <= without and (fits := _agreement(pronoun, phrase))
        ]
        return max(found)[2] if found else None

    def most_salient(self, without: frozenset[str]) -> _Phrase | None:
        """Return the most salient phrase of all, no place if there is another; `without` as for `best`."""
        others = (one for one in self._phrases.values() if not set(one.words) <= without)
        return max(others, key=lambda one: (not one.place, self._salience(one)), default=None)

    def _take_in(self, text: str, weight: float, *, only_names: bool) -> None:
        words = _read(text)
        for place, phrase in enumerate(_phrases(text, words, only_names=only_names)):
            self._strengthen(phrase, weight / (1 + _LATER * place))
        self.stems.update(_stem(word.low) for word in words if word.low not in _EMPTY)

    def _salience(self, phrase: _Phrase) -> float:
        return phrase.weight * float(_FADES ** (self._turn - phrase.seen))

    def _strengthen(self, phrase: _Phrase, weight: float) -> None:
        known = self._known(phrase)
        if known:
            del self._phrases[known.words]
            weight += min(self._salience(known), _MOST_KEPT)
            longer = phrase if len(phrase.words) > len(known.words) else known
            phrase = replace(longer, place=known.place and phrase.place, person=known.person or phrase.person)
        self._phrases[phrase.words] = replace(phrase, weight=weight, seen=self._turn)

    def _known(self, phrase: _Phrase) -> _Phrase | None:
        """Return what was called by this name, or a longer or shorter one, before: "Zappa", "Frank Zappa"."""
        if phrase.words in self._phrases or not phrase.named:
            return self._phrases.get(phrase.words)
        for known in reversed(self._phrases.values()):
            short, long = sorted((known.words, phrase.words), key=len)
            ends = long[: len(short)] == short or long[-len(short) :] == short
            if known.named and ends and not set(long) & _LINKS:
                return known
        return None


def _agreement(pronoun: str, phrase: _Phrase) -> float:
    """Return how well a phrase agrees with a pronoun, in [0, 1]; 0 where it cannot be meant."""
    if pronoun in _PERSONAL:
        return (_PLACE_AS_PERSON if phrase.place else 1.0) if phrase.person else 0.0
    if pronoun in _THEY:
        if phrase.plural:
            return _MANY_NAMED if phrase.named else _MANY
        return _ONE if not phrase.named else _PERSON if phrase.person else _NAMED
    if pronoun == "there":
        return float(phrase.place)
    return _MANY_AS_IT if phrase.plural and not phrase.named else 1.0


def _last_sentence(question: str) -> str:
    """Return the last sentence that tells something; what was asked stands there."""
    sentences = _BETWEEN_SENTENCES.split(question[:_LONGEST_READ].strip())
    return next((one for one in reversed(sentences) if any(word.tells for word in _read(one))), "")


# Resolving


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A question that stands alone. core: it, without what was put into parentheses.

    meant: what pronouns gave way to; told: what was put into parentheses.
    """

    text: str
    core: str
    meant: tuple[_Phrase, ...] = ()
    told: tuple[_Phrase, ...] = ()
    new_topic: bool = False


def _resolved(question: str, topics: _Topics) -> _Resolved:
    words = _read(question)
    if not words or not topics.stems or len(question) > _LONGEST_READ:
        return _Resolved(question, question)
    filled = _filled(question, words, topics.last) if topics.last else None
    if filled:
        return filled
    replaced = _replaced(question, words, topics)
    leans = _leans(words, topics, replaced)
    if leans == "last" and topics.last and (asked := _asked_about(question, words, topics.last)):
        return _Resolved(asked, asked)
    if leans == "last" and topics.last and not any(word.low in _PRONOUNS for word in _read(topics.last)):
        return replace(replaced, text=_with(replaced.core, _as_part(topics.last)))
    if leans:
        told = topics.most_salient(frozenset(word.low for word in _read(replaced.core)))
        return replace(replaced, text=_with(replaced.core, told.text), told=(told,)) if told else replaced
    said = {_stem(word.low) for word in words if word.tells}
    new_topic = bool(said) and replaced.core == question and not said & topics.stems
    return replace(replaced, new_topic=new_topic and not any(word.low in _PRONOUNS for word in words))


def _leans(words: Sequence[_Word], topics: _Topics, replaced: _Resolved) -> str:
    """Return what a question leans on: the "last" question, the "topic" of all, or "" nothing."""
    lows = [word.low for word in words]
    if set(lows) <= _POLITE:
        return ""
    bare = all(low in _HELPING for low in lows)
    if bare and (not replaced.meant or (len(words) <= 2 and lows[0] in _AUXILIARIES)):
        return "last"
    if any(_means_what_was_said(words, place) for place in range(len(words))):
        return "last"
    if lows[0] in _OPENERS or lows[:2] in (["what", "about"], ["how", "about"]):
        return "last"
    if replaced.meant or any(word.named for word in words):
        return ""
    if any(word.low in _PRONOUNS and _pronoun(words, place) for place, word in enumerate(words)):
        return "topic"
    if lows[0] in ("what", "who") and set(lows[1:2]) & _BE and all(word.tells for word in words[2:]) and words[2:]:
        return ""  # "What is taurine?"
    telling = sum(word.tells for word in words)
    the = any(before == "the" and _stem(low) in topics.stems for before, low in pairwise(lows))
    short = telling <= _SHORT or (the and telling <= _SHORT_WITH_THE)
    return "topic" if short or set(lows) & _MORE else ""


def _asked_about(question: str, words: Sequence[_Word], last: str) -> str:
    """Return "What did Ukraine say about sending drones?" of "And what did Ukraine say?"; "" for any other question.

    Said of is what stood behind the verb of the last question, "Did Iran deny sending drones?".
    """
    opened = words[0].low in _OPENERS and len(words) > 2 and words[1].low in _WH
    if not opened or words[-1].low not in _SAYING or not any(word.named for word in words):
        return ""
    before = _read(last)
    verb = next(
        (
            place
            for place, word in enumerate(before)
            if word.low in _VERBS | _SAYING and any(one.tells for one in before[:place])
        ),
        len(before),
    )
    behind = before[verb + 1 :]
    if before[0].low not in _AUXILIARIES | _WH or not any(word.tells for word in behind):
        return ""
    matter = last[behind[0].start : behind[-1].end]
    about = matter if behind[0].low in _PREPOSITIONS else f"about {matter}"
    asked = question[words[1].start : words[-1].end]
    return f"{asked[0].upper()}{asked[1:]} {about}?"


def _as_part(question: str) -> str:
    """Return a question as it stands in parentheses."""
    body = question.strip().rstrip("?.! ")
    return body[0].lower() + body[1:] if body.split(None, 1)[0].lower() in _FUNCTION and body[0] != "I" else body


def _with(question: str, more: str) -> str:
    """Return the question with `more` in parentheses before its last mark."""
    stripped = question.rstrip()
    body = stripped.rstrip("?.! ")
    return f"{body} ({more}){stripped[len(body) :].strip()}"


# Pronouns


def _replaced(question: str, words: Sequence[_Word], topics: _Topics) -> _Resolved:
    """Return the question with pronouns replaced: the first of each kind, since the others mean the same then."""
    own = frozenset(word.low for word in words)
    meant: dict[str, _Phrase | None] = {}
    text, shift = question, 0
    for place, word in enumerate(words):
        kind = _pronoun(words, place)
        if not kind or kind in meant or len(meant) == _MOST_REPLACED or _is_meant_inside(words, place):
            continue
        taken = frozenset(low for phrase in meant.values() if phrase for low in phrase.words)
        phrase = meant[kind] = topics.best(word.low, own | taken)
        if phrase:
            put = _put(words, place, phrase)
            text = text[: word.start + shift] + put + text[word.end + shift :]
            shift += len(put) - (word.end - word.start)
    return _Resolved(text, text, tuple(phrase for phrase in meant.values() if phrase))


def _pronoun(words: Sequence[_Word], place: int) -> str:
    """Return the kind of the pronoun at `place` that means a phrase; "" where there is none."""
    low, before, after = words[place].low, _before(words, place), _after(words, place)
    if low == "it" and (_is_empty_it(words, place) or _means_what_was_said(words, place)):
        return ""
    if low == "there":
        adverb = (after is None or after.low in _CONJUNCTIONS) and not (before and before.low in _BE)
        return "there" if adverb else ""
    return next((name for name, forms in _KINDS.items() if low in forms), "")


def _means_what_was_said(words: Sequence[_Word], place: int) -> bool:
    """Whether a "that" or "this" alone, or the "it" of "deny it", means all that was said."""
    low, before, after = words[place].low, _before(words, place), _after(words, place)
    if low == "it":
        return after is None and before is not None and before.low in _SAYING
    if low not in _POINTING or (before and (before.tells or (low == "that" and before.low in _VERBS))):
        return False
    return after is None or after.low in _BEHIND_THAT


def _is_empty_it(words: Sequence[_Word], place: int) -> bool:
    """Whether an "it" means nothing: "how long does it take to", "is it true that", "is it worth it"."""
    before = [word.low for word in words[max(place - 1, 0) : place]]
    rest = [word.low for word in words[place + 1 : place + 7]]
    if before == ["worth"] or ("to" in rest and set(rest[:1]) & _IT_VERBS):
        return True
    return bool(set(before + rest[:1]) & _BE) and bool({"to", "that"} & set(rest[1:3]))


def _is_meant_inside(words: Sequence[_Word], place: int) -> bool:
    """Whether a name earlier in the same question says what the pronoun means; for an owner, in the same clause too."""
    low = words[place].low
    clause = place
    if low not in _OWNERS:
        while clause and not words[clause].opens and words[clause].low not in _CONJUNCTIONS:
            clause -= 1
    return any(word.named and (low not in _PERSONAL or word.low not in _NO_PERSONS) for word in words[:clause])


def _put(words: Sequence[_Word], place: int, phrase: _Phrase) -> str:
    """Return the phrase as it stands in the place of the pronoun there."""
    word, after = words[place], _after(words, place)
    # "her" is both: an owner in "her book", none in "with her in".
    owner = (
        word.low in _OWNERS
        if word.low != "her"
        else bool(after and (after.tells or after.low in _OTHER or after.low in _ASPECTS))
    )
    text = phrase.text
    if word.low == "there" and not (place and words[place - 1].low in _PREPOSITIONS):
        text = f"in {text}"
    if owner and not word.low.endswith(("self", "selves")):
        text += "'" if phrase.plural and not phrase.named and text.endswith("s") else "'s"
    return text[0].upper() + text[1:] if word.first else text


# Ellipsis


def _filled(question: str, words: Sequence[_Word], last: str) -> _Resolved | None:
    """Return an elliptic question filled in from the last one: "Why?", "And Russia?"; None for any other."""
    start = next((place for place, word in enumerate(words) if word.low not in _OPENERS), len(words))
    rest = words[start:]
    lows = [word.low for word in rest]
    if rest and len(rest) <= 2 and lows[0] in _WH and set(lows) <= _WH | _BARE:
        return _asked_again(question[rest[0].start : rest[-1].end], last)
    about = lows[:2] in (["what", "about"], ["how", "about"])
    if about:
        rest = rest[2:]
    if (about or start) and rest and rest[0].low not in _BEGINNINGS:
        return _swapped(question[rest[0].start : rest[-1].end], last)
    return None


def _asked_again(asked: str, last: str) -> _Resolved:
    """Return the last question as one that asks `asked`: "why", "how many"."""
    words = _read(last)
    asked = asked[0].upper() + asked[1:]
    if asked.lower() in _ADVERBS and words[0].low in _AUXILIARIES:
        text = f"{asked} {last[0].lower()}{last[1:]}"
    elif asked.lower() in _ADVERBS and words[0].low in _ADVERBS and {word.low for word in words[1:2]} & _AUXILIARIES:
        text = asked + last[words[0].end :]
    else:
        return _Resolved(f"{asked} ({_as_part(last)})?", last)
    return _Resolved(text, text)


def _swapped(new_text: str, last: str) -> _Resolved | None:
    """Return the last question with what is asked about now in the place of what is like it; None without such."""
    new = _phrases(new_text, _read(new_text))
    slot = _slot(new[0], last) if len(new) == 1 else None
    start = last.lower().find(slot.text.lower()) if slot else -1
    if slot is None or start < 0:
        return None
    text = f"{last[:start]}{new[0].text}{last[start + len(slot.text) :]}"
    return _Resolved(text, text, meant=(new[0],))


def _slot(new: _Phrase, last: str) -> _Phrase | None:
    """Return the phrase of the last question that `new` may stand for: with the same head, or a name for a name."""
    slots = _phrases(last, _read(last))
    if any(slot.words == new.words for slot in slots):
        return None
    same_head = (slot for slot in slots if _stem(slot.words[-1]) == _stem(new.words[-1]))
    names = (slot for slot in slots if new.named and slot.named and slot.place == new.place)
    return next(same_head, None) or next(names, None)
