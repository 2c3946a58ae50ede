"""Who says what a sentence says: speaker, reporting word, and whether it is a quotation. Pure functions, no I/O.

A sentence is read as a row of words in which every direct quotation is one sign, so that nobody is taken for a speaker
because of a word inside a quotation. Each reporting word in the row is then asked for its subject, by rules on what
stands around it. A quotation that has no reporting word in its own sentence takes that of the sentence before or after
it, as long as both are one piece of speech. English only. Every step is linear in the length of the sentences.

Whatever the rules do not make out is None: a wrong speaker is worse than none.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, islice, pairwise
from typing import Literal, NamedTuple

from index.articles import Span

Kind = Literal["says", "denies", "accuses", "asks", "doubts"]

BEFORE, AFTER = 3, 1
"""How many sentences are looked at beside the one in question."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who says a sentence. All spans are offsets in the article's text.

    speaker: the words that name who says it, without what is put in commas behind a name ("John Roe, a plumber, said").
    verb: the reporting word or words: "said", "according to", "denial"; of a headline "Roe to Doe: Stop" the colon.
    Both stand in the sentence itself, or, where the sentence is part of a quotation, in a neighbour.
    quoted: whether a good part of the sentence is a direct quotation: a quarter of its words.
    via: who passed it on, where that is another.
    named: where the speaker is a pronoun or a bare title, the name that it most likely stands for, in this sentence or
    an earlier one; None where in doubt.
    content: what is said, denied or asked, inside the sentence, where it can be told apart.
    """

    speaker: Span
    verb: Span
    kind: Kind
    quoted: bool
    via: Span | None = None
    named: Span | None = None
    content: Span | None = None


def attribution_of(text: str, sentences: Sequence[Span], ordinal: int) -> Attribution | None:
    """Return who says the `ordinal`-th of `sentences`; None where nobody does, or where in doubt.

    What the writer says on his own account ("I say that ...") is nobody's, and so is what is not said: "never said".
    At most BEFORE sentences before it and AFTER behind it are looked at. `sentences` are in order, and do not overlap.
    Raises IndexError where there is no such sentence.
    """
    if not 0 <= ordinal < len(sentences):
        raise IndexError(f"no sentence {ordinal} among {len(sentences)}; they are counted from 0")
    window = _Window(text, sentences, ordinal)
    found = window.stated(ordinal) or window.continued(ordinal)
    return found and replace(found, named=window.name_of(ordinal, found.speaker))


# --- words ------------------------------------------------------------------------------------------------------------


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Reporting words by what they mean, and by what has to follow them. "any": an object will do ("denied the report").
# "clause": only what is said ("added that", "added: ..."), since they mean something else as well.
_SAYS_ANY = "say tell claim argue state announce declare insist warn admit acknowledge assert contend concede pledge"
_SAYS_ANY += (
    " promise tweet reiterate predict proclaim testify vow boast complain confess report confirm inform assure remind"
)
_SAYS_CLAUSE = "write add note explain suggest conclude indicate reveal stress emphasize emphasise maintain estimate"
_SAYS_CLAUSE += " remark observe reply respond answer comment recall mention post retort caution disclose theorize"
_SAYS_CLAUSE += " theorise reason affirm lament joke whisper shout exclaim continue read point"
_SAYS_CLAUSE += " hint imply speculate hypothesize hypothesise propose counter quip swear threaten agree rule describe"
_DENIES_ANY = "deny refute rebut"
_DENIES_CLAIM = "reject dismiss repudiate dispute"
_ACCUSES = "accuse blame"
_ASKS_ANY = "demand urge beg implore"
_ASKS_CLAUSE = "ask wonder request order instruct call inquire enquire forbid recommend advise appeal"
_TELLS = frozenset({"tell", "inform", "assure", "remind"})
_DOUBTS = "doubt question"
_FINDS = "find show conclude"

_IRREGULAR = {
    "say": ("say", "says", "said", "saying"),
    "tell": ("tell", "tells", "told", "telling"),
    "write": ("write", "writes", "wrote", "writing"),
    "read": ("read", "reads", "read", "reading"),
    "find": ("find", "finds", "found", "finding"),
    "show": ("show", "shows", "showed", "showing"),
    "quote": ("quote", "quotes", "quoted", "quoting"),
    "admit": ("admit", "admits", "admitted", "admitting"),
    "rebut": ("rebut", "rebuts", "rebutted", "rebutting"),
    "beg": ("beg", "begs", "begged", "begging"),
    "quip": ("quip", "quips", "quipped", "quipping"),
    "agree": ("agree", "agrees", "agreed", "agreeing"),
    "swear": ("swear", "swears", "swore", "swearing"),
    "forbid": ("forbid", "forbids", "forbade", "forbidding"),
}


class _Entry(NamedTuple):
    lemma: str
    form: str  # "base", "s", "ed" or "ing"
    kind: Kind
    needs: str  # "any", "clause", "claim", "found" or "quote"


def _forms(lemma: str) -> tuple[str, str, str, str]:
    if lemma in _IRREGULAR:
        return _IRREGULAR[lemma]
    if lemma.endswith("y") and lemma[-2] not in "aeou":
        return lemma, f"{lemma[:-1]}ies", f"{lemma[:-1]}ied", f"{lemma}ing"
    stem = lemma.removesuffix("e")
    return lemma, f"{lemma}{'es' if lemma.endswith(('s', 'x', 'ch', 'sh')) else 's'}", f"{stem}ed", f"{stem}ing"


def _lexicon() -> dict[str, _Entry]:
    listing: list[tuple[str, Kind, str]] = [
        (_FINDS, "says", "found"),
        (_SAYS_ANY, "says", "any"),
        (_SAYS_CLAUSE, "says", "clause"),
        (_DENIES_ANY, "denies", "any"),
        (_DENIES_CLAIM, "denies", "claim"),
        (_ACCUSES, "accuses", "any"),
        ("allege", "accuses", "any"),
        (_ASKS_ANY, "asks", "any"),
        (_ASKS_CLAUSE, "asks", "clause"),
        (_DOUBTS, "doubts", "any"),
        ("quote", "says", "quote"),
    ]
    return {
        form: _Entry(lemma, name, kind, needs)
        for words, kind, needs in listing
        for lemma in words.split()
        for name, form in reversed(list(zip(("base", "s", "ed", "ing"), _forms(lemma), strict=True)))
    }


_VERBS = _lexicon()
# Forms that are at least as often nouns.
_NOUNS = _set(
    "claim claims state states report reports demand demands order orders question questions doubt doubts promise"
    " promises estimate estimates note notes comment comments post posts tweet tweets blame call calls request requests"
    " answer answers reply reason reasons vow vows pledge pledges joke jokes caution hint hints counter rule rules"
    " point points dispute disputes appeal appeals shout remark remarks quote quotes"
    " finds show shows stress warning finding reading saying writing reasoning find"
)
_NOMINAL: dict[str, Kind] = {
    **dict.fromkeys(_set("denial denials rejection"), "denies"),
    **dict.fromkeys(_set("accusation accusations allegation allegations"), "accuses"),
    **dict.fromkeys(_set("claim claims assertion assertions statement insistence admission warning"), "says"),
}
_REPEATING = _set("repeated repeats repeating reiterated reiterates reiterating renewed renews maintained issued")
_CLAIMS = re.compile(
    r"(?:claim|allegation|accusation|report|suggestion|notion|idea|charge|criticism|rumou?r|assertion|statement"
    r"|speculation|finding|argument|concern|theor(?:y|ie)|demand|call|request|proposal|complaint)s?$"
)

_BE = _set("is are was were be been being")
_HAVE = _set("has have had having")
_DO = _set("do does did")
_MODALS = _set("would could can may might must should shall will cannot ought")
_NEGATIONS = _set("not never nor neither cannot hardly")
_ADVERBS = _set(
    "also already recently now then later once again still just even ever first often long repeatedly soon today only"
    " always thus simply further both all too yesterday earlier sometimes perhaps"
)
_FINITE = _BE | _HAVE | _DO | _MODALS
_PRONOUNS = _set("he she they it who others someone somebody another his her their its")
_SUBJECTS = _set("he she they it who others someone somebody")
_WRITERS = _set("i we you i'm i've i'd we've you've me us")
_NOBODY = _set("nobody none nothing neither no-one no there this that these those what which anyone anybody nor here")
_DETERMINERS = _set(
    "the a an some many most several other another each every both all two three four five six seven eight nine ten"
    " few one this that these those my our his her their its various numerous certain such"
)
_PREPOSITIONS = _set(
    "in on at by for from to with of about after before during since under over against between among through into"
    " despite without within near like until upon via per amid across toward towards following because"
)
_SUBORDINATORS = _set(
    "that because while when although though where since until unless than whereas as so if whether after before once"
)
_HYPOTHETICAL = _set("if whether unless until")
_RELATIVES = _set("who which whom whose")
_CONJUNCTIONS = _set("and but or yet nor so plus")
_LEADING = _CONJUNCTIONS | _set(
    "now then later also however meanwhile instead today yesterday recently finally first second moreover indeed still"
    " again thus therefore earlier once initially originally clearly sadly here perhaps maybe apparently ironically"
    " afterwards nevertheless nonetheless furthermore thereafter eventually similarly additionally likewise further"
    " sometimes often soon otherwise hence consequently conversely certainly unfortunately overall"
)
_MONTHS = "january february march april may june july august september october november december"
_MONTHS += " jan feb mar apr jun jul aug sept sep oct nov dec"
_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
_TIME = _set(
    f"{_MONTHS} {_DAYS} last next this early late mid year years month months week weeks day days morning evening"
    " afternoon night century time today yesterday tomorrow earlier later ago same the a an end start beginning of"
    " recent spring summer autumn winter decade moment date weekend following previous past few two three"
)
# Words that may begin with a capital and are no part of a name.
_NO_NAMES = _DETERMINERS | _PRONOUNS | _PREPOSITIONS | _SUBORDINATORS | _LEADING | _NOBODY | _set(f"{_MONTHS} {_DAYS}")
_POINTING = _set(f"last this late early earlier {_DAYS}")

_PEOPLE = _set("police people critics officials sources analysts experts lawyers prosecutors authorities staff doctors")

_NEWS = _set(
    "reuters ap afp irna isna tass interfax xinhua bbc cnn npr upi dpa kyodo bloomberg nbc abc cbs fox msnbc itar-tass"
    " anadolu haaretz axios politico guardian telegraph times post journal tribune herald gazette news newspaper"
    " newspapers paper daily weekly magazine media press agency agencies television tv radio broadcaster channel"
    " al-jazeera unian ukrinform fars mehr tasnim ria"
)
_DOCUMENTS = _set(
    "statement communique communiqué letter memo memorandum report article message declaration note tweet post press"
    " release email e-mail complaint lawsuit paper study interview speech op-ed resolution"
)
_STUDIES = _set(
    "study studies report reports survey surveys poll polls analysis investigation inquiry research researchers"
    " scientists economists paper audit review experts census commission panel committee historians"
)
_RECORDS = _set(
    "statistics estimates figures data records calculations legend tradition rumors rumours documents papers files"
    " accounts account testimony evidence book books memoir memoirs diary chronicle chronicles autobiography website"
    " site blog manual guide encyclopedia dictionary list index works letters statements messages ideology estimate"
    " biography witness witnesses eyewitness historian tale myth bible quran"
)
# A theorem "says" something, but it is nobody who says it; nor is what one acts "according to" always somebody.
_NO_SOURCES = _set(
    "theorem conjecture thesis hypothesis law lemma rule model principle design question questions sign label"
    " plan plans schedule custom customs rules laws need needs size type types principles terms call calls difficulty"
    " degree number numbers age rank order merit standards criteria convention conventions ability abilities wishes"
    " agreement procedure protocol instructions regulations specifications taste tastes preference preferences price"
    " whether how what which where when definition definitions kind function usual results result"
)
_ADDRESSED = _set("him her them us me you it himself herself themselves itself one entry access permission bail visa")
_SMALL_TALK = _set("goodbye hello thanks anything something nothing no yes so things what hi sorry more it please much")
_TITLES = _set(
    "president minister premier spokesman spokeswoman spokesperson secretary chief leader general senator ambassador"
    " mayor governor director professor author chancellor king queen prince pope judge commander congressman lawmaker"
    " diplomat envoy chairman chairwoman chair official officer adviser advisor politician administrator lawyer"
    " counterpart captain colonel admiral sheriff bishop cleric analyst economist scientist"
)
_PERSONAL_TITLES = _TITLES | _set("mr mrs ms dr gen sen rep gov prof sir lord lady")
_GROUPS = _set(
    "ministry government party council committee university company corporation police army commission department"
    " agency office association organization organisation group union bank institute parliament senate congress house"
    " court service services force forces team board media news times post center centre movement society foundation"
    " inc corp ltd co administration authority network federation states nations kingdom republic force pentagon"
    " kremlin hamas hezbollah nato nasa taliban fbi cia opec google microsoft apple facebook"
)
_PLACES = _set(
    "ukraine russia iran iraq israel syria turkey egypt china japan india pakistan afghanistan germany france italy"
    " spain britain england scotland ireland america canada mexico brazil argentina australia poland belarus moldova"
    " romania hungary greece norway sweden finland denmark netherlands belgium austria switzerland lebanon jordan"
    " palestine yemen qatar kuwait libya tunisia algeria morocco sudan ethiopia kenya nigeria somalia rwanda congo"
    " korea vietnam thailand indonesia malaysia philippines cuba venezuela colombia chile peru georgia armenia"
    " azerbaijan kazakhstan uzbekistan serbia kosovo croatia bosnia albania bulgaria latvia lithuania estonia moscow"
    " kyiv kiev tehran washington beijing london paris berlin brussels jerusalem baghdad damascus ankara delhi tokyo"
    " europe africa asia u.s us uk un eu usa u.n e.u u.k u.s. u.n. e.u. u.k. saudi arabia taiwan zealand"
)
_SOURCES = _TITLES | _GROUPS | _PEOPLE | _DOCUMENTS | _STUDIES | _NEWS | _RECORDS
_NO_PERSONS = _set("numbers orders members parameters letters rivers quarters factors vectors sectors indicators")
_PERSONS = re.compile(r".*(?:ists?|ians?|[dklmnprstv]ers|[ct]ors|men|women)$")
_PARTICLES = _set("de von van der den bin ibn al el la le da di du of the and for al- dos del")
_ABBREVIATED = re.compile(
    r"[A-Z]$|(?:Mr|Mrs|Ms|Dr|Gen|Sen|Rep|Gov|Prof|Sgt|Lt|Col|Capt|St|Jr|Sr|Sept|Oct|Nov|Dec|Jan|Feb)$"
)

_SPEECH = "“”"  # what a quotation is in the row of words
_TOKEN = re.compile(r"(?:[A-Z]\.){2,}|[^\W_]++(?:['’.&/-][^\W_]++)*+|\S")
_CLOSERS = {"“": "”", "„": "“”", "«": "»", "»": "«", "‘": "’", "'": "'", '"': '"'}
# Signs and line breaks that are looked at; more have only texts that are no prose.
_MOST_MARKS = 400
# What opens a quotation, or closes one that was never opened; most of what is read has none, which is soon seen.
_OPENERS = '"“”„«‘'
_OPENING_APOSTROPHE = re.compile(r"'(?<![^\s(\[—–\-/]')")
_MARK = re.compile("[\"“”„«»‘’']|\n\\s*+")
_MARKS = "\"“”„«»‘'’"


# "al-Sadr" is a name as well.
_ARABIC = re.compile(r"(?:a[lnrstz]|ash|el|e[rs])-[A-Z]")


class _Token(NamedTuple):
    word: str
    low: str
    start: int
    end: int

    @property
    def is_word(self) -> bool:
        return self.word[:1].isalnum()

    @property
    def is_name(self) -> bool:
        return self.word[:1].isupper() or bool(_ARABIC.match(self.word))


def _token(found: re.Match[str]) -> _Token:
    word = found[0]
    # "US" is a country, "us" is not.
    low = "u.s." if word == "US" else word.lower().replace("’", "'")
    return _Token(word, low, *found.span())


# --- quotations -------------------------------------------------------------------------------------------------------


class _Quotation(NamedTuple):
    """What stands between quotation marks, these included; begun: whether it began before the text looked at."""

    start: int
    end: int
    begun: bool


def _quotations(text: str, start: int, end: int) -> list[_Quotation]:
    """Return what `text` quotes between `start` and `end`, outermost marks only, in order.

    A quotation that its paragraph does not close ends with it, unless the next paragraph opens with a mark.
    """
    looked_at = text[start:end]
    if not any(map(looked_at.__contains__, _OPENERS)) and not _OPENING_APOSTROPHE.search(looked_at):
        return []
    found: list[_Quotation] = []
    opened: int | None = None
    closers = ""
    for mark in islice(_MARK.finditer(text, start, end), _MOST_MARKS):
        at, sign = mark.start(), mark[0]
        if sign.isspace():
            following = text[mark.end() : mark.end() + 1]
            if opened is not None and (closers in "’'" or following not in {'"', "“", "„", "«"}):
                if closers not in "’'":
                    found.append(_Quotation(opened, at, False))
                opened = None
            continue
        before = text[at - 1] if at > start else " "
        after = text[at + 1] if at + 1 < end else " "
        if opened is None:
            if _opens(sign, before, after):
                opened, closers = at, _CLOSERS[sign]
            elif sign in '"”' and not found and not before.isspace():
                # Closed, but never opened: it began before what is looked at.
                found.append(_Quotation(start, at + 1, True))
        elif sign in closers and _closes(sign, before, after):
            found.append(_Quotation(opened, at + 1, False))
            opened = None
    if opened is not None and closers not in "’'":
        found.append(_Quotation(opened, end, False))
    return found


def _opens(sign: str, before: str, after: str) -> bool:
    if sign not in _CLOSERS or after.isspace():
        return False
    return sign in "“„«" or before.isspace() or before in "([—–-/"


def _closes(sign: str, before: str, after: str) -> bool:
    if sign == '"':
        # A mark before a word, behind a space, opens a quotation inside, or the next paragraph's.
        return not (before.isspace() and after.isalnum())
    if sign in "’'":
        return before in ".,!?" and not after.isalnum()
    return True


_WORD = re.compile(r"[^\W_]++(?:['’.-][^\W_]++)*+")


def _is_speech(text: str, quotation: _Quotation) -> bool:
    """Whether a quotation is somebody's speech, and no scare quote, title of a work, or single term."""
    inside = text[quotation.start : quotation.end].strip("\"“”„«»‘’' \n")
    words = _WORD.findall(inside)
    if not words:
        return False
    finished = inside[-1] in ",.!?…—" or inside.startswith("…")
    if len(words) < 4:
        return quotation.begun or (finished and (inside[-1] != "," or words[0].istitle()))
    return finished or not all(word[0].isupper() or word[0].isdigit() for word in words if len(word) > 3)


# --- one sentence -----------------------------------------------------------------------------------------------------


class _Hit(NamedTuple):
    """A reporting word with its subject, by offsets.

    rank: 0 for a main clause, 1 for a subordinate one, 2 for a noun. outer: it stands beside what is said, not before
    it ("..., IRNA said"). at: the reporting word's place in the row. by_source: an agency or a paper says so, which may
    only pass it on, or "according to". beside_speech: a direct quotation stands next to it.
    """

    speaker: Span
    verb: Span
    kind: Kind
    rank: int
    outer: bool
    at: int
    content: Span | None
    via: Span | None = None
    by_source: bool = False
    beside_speech: bool = False


# What is read of a sentence: more words than any has that the splitter makes, and more reporting words.
_LONGEST, _MOST_VERBS = 500, 24
_COMMAS = frozenset(",–—-")
_MOST_COMMAS = 3

# Put together once, since they are asked for at every word.
_ADVERBS_OR_HAVE = _ADVERBS | _HAVE
_BEFORE_NO_NAME = _SUBORDINATORS | _RELATIVES | _FINITE | _NEGATIONS | _WRITERS
_BEFORE_VERB = _FINITE | _NEGATIONS | _ADVERBS
_BEHIND_DESCRIPTION = _FINITE | _RELATIVES | _SUBORDINATORS | (_PREPOSITIONS - {"of"})
_BEHIND_SOURCE = _FINITE | _RELATIVES | {_SPEECH, "that", "when", "while", "but"}
_BE_OR_ADVERBS = _BE | _ADVERBS
_BE_OR_HAVE = _BE | _HAVE
_COMMAS_OR_BRACKET = _COMMAS | {")"}
_COMMAS_OR_STOPS = _COMMAS | {_SPEECH, ";", ":"}
_DETERMINERS_BUT_OTHERS = _DETERMINERS - {"others"}
_DETERMINERS_ONLY = _DETERMINERS - {"others", "many", "some"}
_DETERMINERS_OR_PEOPLE = _DETERMINERS | _PEOPLE
_DOCUMENTS_OR_DATES = _DOCUMENTS | (_TIME - {"the", "this"})
_DOCUMENTS_OR_STUDIES = _DOCUMENTS | _STUDIES
_LEADING_OR_SIGN = _LEADING | {",", "(", ")", "-", "–", "—"}
_MANY_PEOPLE = _PEOPLE | {"many", "some", "others"}
_NEW_CLAUSE = (_SUBJECTS - {"who"}) | _CONJUNCTIONS | _WRITERS
_NOBODY_BUT_WHO = _NOBODY - _RELATIVES
_NOT_ONE_PERSON = _GROUPS | _PLACES | _NEWS
_NO_ENDS = _PREPOSITIONS | _CONJUNCTIONS | _DETERMINERS
_NO_HEADS = _PREPOSITIONS | _CONJUNCTIONS | _FINITE | _WRITERS | _SUBORDINATORS | _ADVERBS
_NO_LAST = _PREPOSITIONS | _CONJUNCTIONS | _ADVERBS
_NO_SOURCE_BEGINS = _WRITERS | _NOBODY - {"this", "that", "these", "those"} | _FINITE
_OPENS_PHRASE = _PREPOSITIONS | _SUBORDINATORS
_PARTS_CLAUSES = _SUBORDINATORS | _CONJUNCTIONS | _RELATIVES | _ADVERBS | _TIME | _LEADING | {_SPEECH}
_PREPOSITIONS_BUT_OF = _PREPOSITIONS - {"of"}
_PREPOSITIONS_OR_AND = _PREPOSITIONS | {"and"}
_PREPOSITIONS_OR_TIME = _PREPOSITIONS | _TIME
_SUBJECTS_AND_WRITERS = _SUBJECTS | _WRITERS
_SUBJECTS_OR_WRITERS = _SUBJECTS | {"i", "we", "you", "this"}
_SUBORDINATE = _SUBORDINATORS | {"whom"}
_TIME_BUT_ARTICLES = _TIME - {"the", "a", "an"}
_TIME_BUT_OF = _TIME - {"the", "a", "an", "of"}
_TIME_BUT_THIS = _TIME - {"the", "a", "an", "this", "of"}
_TIME_BUT_TIMES = _TIME - {"the", "a", "an", "of", "times"}
_TIME_OR_DOCUMENTS = _TIME | _DOCUMENTS
_TITLES_OR_GROUPS = _TITLES | _GROUPS
_TOLD_WHOM = _DETERMINERS | _PEOPLE | _SUBJECTS | _ADDRESSED
_WRITERS_OR_NOBODY = _WRITERS | _NOBODY


class _Row:
    """The words of one sentence, each piece of direct speech as one sign."""

    def __init__(self, text: str, span: Span, speech: Sequence[_Quotation]) -> None:
        self.text, self.span = text, span
        self.speech = [
            Span(max(quotation.start, span.start), min(quotation.end, span.end))
            for quotation in speech
            if quotation.start < span.end and span.start < quotation.end
        ]
        self.tokens = self._read()[:_LONGEST]

    def _read(self) -> list[_Token]:
        at, read = self.span.start, []
        for piece in self.speech:
            read += self._words(at, piece.start)
            read.append(_Token(_SPEECH, _SPEECH, piece.start, piece.end))
            at = piece.end
        return read + self._words(at, self.span.end)

    def _words(self, start: int, end: int) -> list[_Token]:
        return [_token(found) for found in _TOKEN.finditer(self.text, start, end) if found[0] not in _MARKS]

    @cached_property
    def last_word(self) -> int:
        """The place of the last word; -1 where there is none."""
        return next((at for at in range(len(self.tokens) - 1, -1, -1) if self.tokens[at].is_word), -1)

    @cached_property
    def is_all_speech(self) -> bool:
        """Whether nothing but speech and punctuation is in the sentence."""
        return bool(self.speech) and not any(token.is_word for token in self.tokens)

    @cached_property
    def is_quoted(self) -> bool:
        spoken = sum(len(_WORD.findall(self.text, piece.start, piece.end)) for piece in self.speech)
        return 4 * spoken >= sum(1 for token in self.tokens if token.is_word) + spoken > 0 < spoken

    def low(self, at: int) -> str:
        return self.tokens[at].low if 0 <= at < len(self.tokens) else ""

    def span_of(self, first: int, last: int) -> Span:
        return Span(self.tokens[first].start, self.tokens[last].end)

    # --- where a clause begins, and who is its subject

    def ends_clause(self, at: int) -> bool:
        """Whether the sign at `at` parts clauses; the full stop of an initial or a title does not."""
        token = self.tokens[at]
        if token.low == ".":
            return not (at and _ABBREVIATED.match(self.tokens[at - 1].word))
        return not token.is_word and token.low not in "&%$€£#@*'’"

    def subject_before(self, last: int, floor: int) -> tuple[int, int, int] | None:
        """Return the subject that ends at `last`, as first and last word, and where its clause begins.

        `floor`: the first word that may belong to it.
        """
        if last < floor:
            return None
        if self.low(last) == ")":
            opening = next((at for at in range(last - 1, max(floor, last - 40), -1) if self.low(at) == "("), None)
            if opening is None or self.low(opening - 1) in _COMMAS_OR_BRACKET:
                return None
            return self.subject_before(opening - 1, floor)
        if self.low(last) in _COMMAS:
            return self._subject_before_apposition(last, floor)
        if self.low(last) in _SUBJECTS_AND_WRITERS:
            return last, last, last
        last = self._without_time(last, floor)
        start = self._start_of_phrase(last, floor)
        if self.low(start - 1) == "," and self.low(start) in _TITLES and start - 2 > floor:
            # "Jane Roe, president of the union and of the club said": the second comma is missing.
            return self.subject_before(start - 2, floor) if self.tokens[start - 2].is_name else None
        for first in self._starts(start, last):
            if self._is_phrase(first, last):
                listed = self._start_of_list(first, floor)
                return listed, last, min(start, listed)
        return None

    def _start_of_list(self, first: int, floor: int) -> int:
        """Return where "Roe, Doe, and" begins before the last name at `first`."""
        at = first
        if self.low(at - 1) != "and" or not self.tokens[at].is_name:
            return first
        while at > max(floor, first - 14) and (self.tokens[at - 1].is_name or self.low(at - 1) in {",", "and"}):
            at -= 1
        if at and self.low(at - 1) in _PREPOSITIONS:
            # "in a letter to Nature, Roe, Doe, and": the first name belongs to the letter.
            at = next((i + 1 for i in range(at, first - 2) if self.low(i) == ","), first)
        at += self.low(at) == ","
        listed = self.tokens[at].is_name and self.low(at) not in _NO_NAMES and self.low(first - 2) == ","
        return at if listed else first

    def _without_time(self, last: int, floor: int) -> int:
        """Return the last word of the subject in "the minister on Monday", "the minister last week"."""
        at = last
        while at > floor and (self.low(at) in _TIME_BUT_OF or self.low(at)[:1].isdigit()):
            at -= 1
        if at in (last, floor):
            return last
        if self.low(at) in {"on", "in", "at", "since", "during"}:
            # "A study published in 2019"
            return last if self.low(at - 1).endswith("ed") else at - 1
        return at if self.low(at + 1) in _POINTING and self.tokens[at].is_word else last

    def _subject_before_apposition(self, comma: int, floor: int) -> tuple[int, int, int] | None:
        """Return X of "X, who ..., " where the last comma is at `comma`."""
        commas = [at for at in range(max(floor, comma - 60), comma) if self.low(at) in _COMMAS_OR_STOPS]
        for at in commas[: -_MOST_COMMAS - 1 : -1]:
            after = self.tokens[at + 1]
            if self.low(at) not in _COMMAS or after.low in _NEW_CLAUSE:
                return None
            if at == floor or not (self.tokens[at - 1].is_word or self.low(at - 1) == ")"):
                continue
            found = self.subject_before(at - 1, floor)
            # What stands before the comma is a subject only where it begins its clause with a name or an article.
            if found and found[2] == found[0] and (self.tokens[found[1]].is_name or self._is_definite(found[0])):
                first, last, start = found
                named = all(token.is_name for token in self.tokens[at + 1 : comma])
                described = not self.tokens[last].is_name or _head_of(self.tokens[first : last + 1]) in _TITLES
                return first, comma - 1 if named and described else last, start
        return None

    def _is_definite(self, first: int) -> bool:
        return self.low(first) in _DETERMINERS or self.low(first).endswith(("'s", "s'"))

    def _start_of_phrase(self, last: int, floor: int) -> int:
        at = last
        while at > max(floor, last - 24):
            before = self.tokens[at - 1]
            if (
                self.ends_clause(at - 1)
                or before.low in _BEFORE_NO_NAME
                or before.low in {"but", "or", "yet"}
                or (before.low in _VERBS and before.low not in _NOUNS and not before.is_name)
            ):
                break
            at -= 1
        return at

    def _starts(self, start: int, last: int) -> Iterator[int]:
        """Yield where the subject may begin: behind adverbs and times, and behind an "and"."""
        at = start
        while at < last and (self.low(at) in _LEADING or (self.low(at).endswith("ly") and not self.tokens[at].is_name)):
            at += 1
        yield at
        timed = at
        if self.low(at) in _PREPOSITIONS_OR_TIME or self.low(at)[:1].isdigit():
            timed += self.low(at) in _PREPOSITIONS
            while timed < last and (self.low(timed) in _TIME or self.low(timed)[:1].isdigit()):
                # "The" may begin the subject.
                if self.low(timed) in {"the", "a", "an"} and self.low(timed + 1) not in _TIME:
                    break
                timed += 1
            if timed > at:
                yield timed
        for joint in range(last - 1, at, -1):
            if self.low(joint) in {"and", "with"}:
                yield joint + 1
                break
        for article in range(last - 1, at, -1):
            if self.low(article) in {"the", "a", "an"}:
                if self.low(article - 1) not in _PREPOSITIONS_OR_AND:
                    yield article
                return

    def _is_phrase(self, first: int, last: int) -> bool:
        """Whether the words can be the name or the description of somebody."""
        words = self.tokens[first : last + 1]
        if not words or len(words) > 16:
            return False
        head, end = words[0], words[-1]
        if end.low in _DETERMINERS_BUT_OTHERS and not (end.is_name and len(words) > 1):
            return end.low in {"others", "many", "some"} and len(words) == 1
        if head.low in _NOBODY and not (head.low in {"this", "these", "those", "that"} and len(words) > 1):
            return False
        if end.low in _NO_LAST or not end.is_word:
            return False
        if head.low in _NO_HEADS:
            return False
        if all(word.low in _TIME or word.low[:1].isdigit() for word in words):
            return False
        inner = [word for word in words[1:] if word.low in _PREPOSITIONS_BUT_OF]
        if _head_of(words) in _DOCUMENTS_OR_STUDIES:
            inner = [word for word in inner if word.low != "by"]
        if len(inner) > 2 or any(word.low in {"to", "by", "after", "before", "into", "than"} for word in inner):
            return False
        if _head_of(words) in _NO_SOURCES:
            return False
        if head.is_name and (first > 0 or head.low not in _DETERMINERS):
            return first > 0 or head.low not in _PREPOSITIONS
        if head.low in _DETERMINERS or head.low.endswith(("'s", "s'")):
            return len(words) > 1
        # Without an article only many are anybody: "international observers", "critics".
        return (end.low in _PEOPLE or end.low.endswith("s") or end.is_name) and len(words) <= 4 and not inner

    def main_subject(self, before: int, *, first: bool = False) -> tuple[int, int] | None:
        """Return the subject that the clause before the word at `before` begins with; or the `first` clause."""
        at = 0 if first else next((i + 1 for i in range(before - 1, -1, -1) if self._begins_anew(i)), 0)
        for _ in range(3):
            while at < before and (self.low(at) in _LEADING_OR_SIGN):
                at += 1
            opening = self.low(at)
            if opening in _OPENS_PHRASE or opening.endswith("ing") or opening in _TIME_BUT_ARTICLES:
                comma = next((i for i in range(at, before) if self.low(i) == ","), None)
                if comma is None:
                    return self._after_time(at, before)
                at = comma + 1
        return self._phrase_from(at, before)

    def _begins_anew(self, at: int) -> bool:
        """Whether a main clause may begin behind the word at `at`."""
        sign = self.low(at)
        if sign in {_SPEECH, ";", ":", "]", "?", "!"} or (sign == "." and self.ends_clause(at)):
            return True
        return sign in {"and", "but"} and self.low(at - 1) == ","

    def _after_time(self, at: int, before: int) -> tuple[int, int] | None:
        at += self.low(at) in _PREPOSITIONS
        while at < before and (self.low(at) in _TIME or self.low(at)[:1].isdigit()):
            at += 1
        return self._phrase_from(at, before)

    def _phrase_from(self, first: int, stop: int) -> tuple[int, int] | None:
        """Return the name, pronoun or description that begins at `first`."""
        if first >= stop:
            return None
        token = self.tokens[first]
        if token.low in _SUBJECTS:
            return first, first
        if token.low in _WRITERS_OR_NOBODY:
            return None
        last = self._end_of_name(first, stop)
        if token.low in _DETERMINERS or not token.is_name:
            last = self._end_of_description(first, stop)
        if last is None or not self._is_phrase(first, last):
            return None
        # "Iran's foreign minister, Hossein Doe,": the name belongs to the title.
        if last + 2 < stop and self.low(last + 1) == "," and _head_of(self.tokens[first : last + 1]) in _TITLES:
            name_end = self._end_of_name(last + 2, stop)
            if name_end is not None and self.low(name_end + 1) in {",", "("}:
                last = name_end
        return first, last

    def _end_of_name(self, first: int, stop: int) -> int | None:
        last = None
        for at in range(first, min(stop, first + 14)):
            token = self.tokens[at]
            initial = token.low == "." and last == at - 1 and not self.ends_clause(at)
            titled = last is not None and token.low in _TITLES_OR_GROUPS
            if token.is_name or initial or titled:
                last = at
            elif last is None or at + 1 >= stop or not self._name_goes_on(at, stop):
                break
        return last

    def _name_goes_on(self, at: int, stop: int) -> bool:
        following = self.tokens[at + 1 : min(at + 3, stop)]
        if self.tokens[at].low in _PARTICLES:
            return any(token.is_name for token in following)
        # "Delhi air force spokesman Doe"
        return self.tokens[at].is_word and any(token.low in _TITLES_OR_GROUPS for token in following)

    def _end_of_description(self, first: int, stop: int) -> int | None:
        for at in range(first + 1, min(stop, first + 10)):
            token = self.tokens[at]
            ends = (
                token.low in _BEHIND_DESCRIPTION
                or self.ends_clause(at)
                or (not token.is_name and token.low.endswith("ed") and at > first + 1)
                or (token.low in _VERBS and token.low not in _NOUNS and not token.is_name)
                or token.low in _ADVERBS
                or token.low == "and"
            )
            if ends:
                return at - 1
        return None

    def phrase_after(self, first: int, *, loose: bool = False) -> tuple[int, int] | None:
        """Return the source that is named from `first` on: of "said X" and "by X"; `loose`, of "according to X"."""
        size = len(self.tokens)
        if first >= size or not self.tokens[first].is_word:
            return None
        token = self.tokens[first]
        if token.low in _NO_SOURCE_BEGINS:
            return None
        if token.low in _SUBJECTS:
            return first, first
        bound = first
        for at in range(first, min(size, first + 16)):
            word = self.tokens[at]
            stops = self.ends_clause(at) or word.low in _BEHIND_SOURCE
            if at > first and not stops and not loose:
                allowed = {"of"} | ({"for"} if self._speaks_for(first, at) else set())
                stops = (word.low in _OPENS_PHRASE and word.low not in allowed) or word.low in _ADVERBS
                stops = stops or (word.low in _TIME_BUT_TIMES and self.low(at - 1) != "of")
                stops = stops or (word.low.endswith("ing") and not word.is_name)
            if stops:
                break
            bound = at
        if loose and token.is_name and self.low(bound + 1) not in {",", ".", "", ")", ";"}:
            # "According to The Good Guide about a third ...": the name ends where small letters begin.
            bound = self._end_of_name(first, bound + 1) or bound
        while bound > first and (self.low(bound) in _NO_ENDS or self.low(bound) == "."):
            bound -= 1
        words = self.tokens[first : bound + 1]
        if loose and not any(word.is_name for word in words):
            head = _head_of(words)
            if head not in _SOURCES and not (_PERSONS.match(head) and head not in _NO_PERSONS):
                return None
        known = token.is_name or token.low in _DETERMINERS_OR_PEOPLE or words[-1].is_name or loose
        if not known or _head_of(words) in _NO_SOURCES or (token.low in {"his", "her", "their", "its"} and loose):
            return None
        return None if len(words) == 1 and token.low in _DETERMINERS else (first, bound)

    def _speaks_for(self, first: int, at: int) -> bool:
        return any(self.low(i).startswith(("spokes", "lawyer", "attorney", "official")) for i in range(first, at))

    # --- reporting words

    def hits(self) -> list[_Hit]:
        """Return all reporting words that have a subject, in order."""
        found: list[_Hit] = []
        tried = 0
        for at, token in enumerate(self.tokens):
            if token.low not in _VERBS and token.low not in _TELLING:
                continue
            hit = None
            if token.low == "according" and self.low(at + 1) == "to":
                hit = self._according(at)
            elif token.low in _VERBS and (token.word.islower()):
                hit = self._verb(at, _VERBS[token.low])
            elif token.low in {"sure", "unsure"}:
                hit = self._unsure(at)
            if hit is None and token.low in _NOMINAL:
                hit = self._noun(at)
            tried += token.low in _VERBS or token.low == "according"
            if hit:
                found.append(hit)
            if tried == _MOST_VERBS:
                break
        return found or self._headline()

    def _according(self, at: int) -> _Hit | None:
        inside = sum((token.low == "(") - (token.low == ")") for token in self.tokens[:at])
        found = self.phrase_after(at + 2, loose=True)
        if inside > 0 or found is None:
            return None
        opens = not any(token.is_word for token in self.tokens[:at])
        content = self._rest(found[1] + 1) if opens else self._until(at)
        return _Hit(
            self.span_of(*found), self.span_of(at, at + 1), "says", 0, True, at, content, by_source=True,
            beside_speech=self._beside_speech(at, found[1]),
        )  # fmt: skip

    def _beside_speech(self, first: int, last: int) -> bool:
        """Whether speech stands just before or behind the words, at most a comma or colon between."""
        before, after = first - 1, last + 1
        before -= self.low(before) == ","
        after += self.low(after) in {",", ":", "that"}
        return self.low(before) == _SPEECH or self.low(after) == _SPEECH

    def _until(self, at: int) -> Span | None:
        """Return what stands before the word at `at`, without the comma."""
        while at and not (self.tokens[at - 1].is_word or self.low(at - 1) == _SPEECH or self.low(at - 1) in ")%?!"):
            at -= 1
        return Span(self.tokens[0].start, self.tokens[at - 1].end) if at else None

    def _rest(self, at: int, stop: int | None = None) -> Span | None:
        """Return what stands from the word at `at` on, without "that", commas and the full stop at the end."""
        last = len(self.tokens) if stop is None else stop
        while at < last and self.low(at) in {",", ":", "that", "–", "—"}:
            at += 1
        while last > at and self.low(last - 1) in {".", ",", ";"}:
            last -= 1
        return self.span_of(at, last - 1) if at < last else None

    def _verb(self, at: int, entry: _Entry) -> _Hit | None:
        left = at - 1
        negated = passive = modal = False
        while left >= 0:
            word = self.low(left)
            if word in _BEFORE_VERB or word.endswith("n't") or (word.endswith("ly") and left):
                negated |= word in _NEGATIONS or word.endswith("n't")
                passive |= word in _BE and entry.form == "ed"
                modal |= word in _MODALS or word in {"won't", "wouldn't", "couldn't", "can't", "shouldn't"}
                left -= 1
            else:
                break
        if self.low(left) in {"to", "not"} or (self.low(left) in _DETERMINERS_ONLY and not passive):
            return None
        kind = entry.kind
        negated |= passive and not {"none", "nothing", "no"}.isdisjoint(map(self.low, range(left - 2, left + 1)))
        if negated or modal:
            # "has not confirmed", "could not confirm"; all else that is not said, or only may be, is nobody's.
            if not (negated and entry.lemma in {"confirm", "verify"}):
                return None
            # "could not confirm": an infinitive, which agrees with anybody.
            kind, entry = "doubts", entry._replace(form="ed")
        if self.low(left) in _NOBODY_BUT_WHO and not passive:
            return None
        if entry.lemma == "quote":
            return self._quoting(at, left, passive=passive)
        if passive:
            return self._passive(at, left, kind, entry.needs)
        return self._active(at, left, entry._replace(kind=kind))

    def _quoting(self, at: int, left: int, *, passive: bool) -> _Hit | None:
        """Read "X was quoted as saying" and "A quoted X as saying"."""
        saying = next(
            (i for i in range(at + 1, min(at + 14, len(self.tokens) - 1))
             if self.low(i) == "as" and self.low(i + 1) in {"saying", "telling", "writing", "warning"}),
            None,
        )  # fmt: skip
        subject = self.subject_before(left, 0)
        if saying is None or subject is None or self.low(subject[0]) in _WRITERS:
            return None
        verb = self.span_of(at, saying + 1)
        outer = self._is_outer(subject[2], saying + 1)
        content = self._until(subject[0]) if outer else self._rest(saying + 2)
        if passive:
            agent = self.phrase_after(at + 2) if self.low(at + 1) == "by" else None
            via = agent and self.span_of(*agent)
            return _Hit(self.span_of(*subject[:2]), verb, "says", 0, outer, at, content, via, beside_speech=True)
        quoted = (at + 1, at + 1) if self.low(at + 1) in {"him", "her", "them"} else self.phrase_after(at + 1)
        if quoted is None:
            return None
        via = self.span_of(*subject[:2])
        return _Hit(self.span_of(*quoted), verb, "says", 0, outer, at, content, via, beside_speech=True)

    def _passive(self, at: int, left: int, kind: Kind, needs: str) -> _Hit | None:
        """Read "was announced by X": whoever is told or accused is not the one who says so."""
        by = at + 1
        if self.low(by) != "by":
            return None
        found = self.phrase_after(by + 1)
        claimed = any(_CLAIMS.match(self.low(i)) for i in range(max(0, left - 8), left + 1))
        if found is None or (needs == "claim" and not claimed):
            return None
        content = self._rest(found[1] + 1) if kind == "accuses" else self._until(left + 1)
        return self._hit(found, at, kind, 0, content, outer=False, beside=False)

    def _active(self, at: int, left: int, entry: _Entry) -> _Hit | None:
        follows, content_at = self._complement(at, entry)
        if entry.form == "ing" and self.low(at - 1) not in _BE_OR_ADVERBS:
            suffices = self._suffices(at, entry, follows, beside=self._beside_speech(at, at))
            return self._participle(at, left, self._kind_of(at, entry), follows, content_at) if suffices else None
        subject = self.subject_before(left, self._floor(left))
        first = subject[0] if subject else at
        beside = follows == "speech" or self._beside_speech(first, at)
        if not self._suffices(at, entry, follows, beside=beside):
            return None
        kind = self._kind_of(at, entry)
        if self.low(first) in _RELATIVES or self.low(left) in _RELATIVES:
            return self._relative(at, left, kind, follows, content_at)
        if subject:
            return self._stated(at, subject, entry._replace(kind=kind), follows, content_at, beside=beside)
        if self._is_inverted(at, left, entry):
            return self._inverted(at, kind)
        found: tuple[int, int] | None = None
        rank = 0
        if (
            self.low(left) in {"and", "but", ","}
            and entry.form in {"ed", "s"}
            and (follows in _TOLD or (follows == "object" and entry.lemma in {"announce", "deny", "accuse", "blame"}))
        ):
            found = self.main_subject(left)
        elif self.low(left) == "as" and self.low(at + 1) == "in":
            found, rank = self.phrase_after(at + 2), 1
        if found is None:
            return None
        content = self._rest(content_at) if rank == 0 else None
        return self._hit(found, at, kind, rank, content, outer=rank == 1, beside=beside)

    def _stated(
        self, at: int, subject: tuple[int, int, int], entry: _Entry, follows: str, content_at: int, *, beside: bool
    ) -> _Hit | None:
        """Read "X said" with all that may follow it."""
        first, last, clause = subject
        before = self.low(clause - 1)
        # "Did Iran say so?" asks, and says nothing.
        asked = before in _FINITE and first == clause
        if asked or self.low(first) in _WRITERS or before in _HYPOTHETICAL or not self._agrees(first, last, entry):
            return None
        if self.low(first) == "it" and clause and not self._may_begin(clause):
            return None
        if self.tokens[at].low in _NOUNS and follows not in {"that", "speech"} and not self._is_source(first, last, at):
            return None
        as_said = before == "as" and follows == "end"
        spoken = before == _SPEECH or (before == "," and self.low(clause - 2) == _SPEECH)
        outer = follows not in _TOLD and self._is_outer(clause, at) and (spoken or follows in {"end", "recipient"})
        if follows == "end" and not (outer or beside or as_said):
            return None
        content = self._until(first) if outer else self._rest(content_at)
        if as_said or (outer and self._goes_on(content_at)):
            # "Doe, Roe said, was a liar": what is said stands on both sides.
            content = max(self.speech, key=len, default=None)
        rank = 1 if before in _SUBORDINATE else 0
        return self._hit((first, last), at, entry.kind, rank, content, outer=outer or as_said, beside=beside)

    def _hit(
        self,
        speaker: tuple[int, int],
        at: int,
        kind: Kind,
        rank: int,
        content: Span | None,
        *,
        outer: bool,
        beside: bool,
    ) -> _Hit:
        source = _is_news(self.tokens[speaker[0] : speaker[1] + 1])
        return _Hit(self.span_of(*speaker), self.span_of(at, at), kind, rank, outer, at, content, None, source, beside)

    def _may_begin(self, at: int) -> bool:
        before = self.tokens[at - 1]
        return not before.is_word or before.low in (_PARTS_CLAUSES)

    def _goes_on(self, at: int) -> bool:
        return any(self.tokens[i].is_word or self.low(i) == _SPEECH for i in range(at, min(at + 3, len(self.tokens))))

    def _unsure(self, at: int) -> _Hit | None:
        """Read "X is not sure whether", "X is unsure whether"."""
        left = at - 1
        negated = self.low(at) == "unsure"
        while left >= 0 and (self.low(left) in _BEFORE_VERB or self.low(left).endswith("n't")):
            negated |= self.low(left) in _NEGATIONS or self.low(left).endswith("n't")
            left -= 1
        subject = self.subject_before(left, self._floor(left))
        if not negated or self.low(left + 1) not in _BE or self.low(at + 1) not in {"whether", "if", "that"}:
            return None
        if subject is None or self.low(subject[0]) in _WRITERS:
            return None
        return self._hit(subject[:2], at, "doubts", 0, self._rest(at + 1), outer=False, beside=False)

    def _is_source(self, first: int, last: int, at: int) -> bool:
        """Whether the subject of what may be a noun ("many questions of it", "Roe's demands") can say something."""
        words = self.tokens[first : last + 1]
        if words[-1].low.endswith(("'s", "s'")):
            return False
        named = words[-1].is_name and words[-1].low not in _DETERMINERS
        if named or words[-1].low in _SUBJECTS:
            return True
        head = _head_of(words)
        return (head in _SOURCES or head.endswith("s")) and self._names_something(at + 1)

    def _names_something(self, at: int) -> bool:
        return at < len(self.tokens) and (self.tokens[at].is_name or self.low(at) in _TOLD_WHOM)

    def _floor(self, left: int) -> int:
        """Return the first word behind the last piece of speech before `left`."""
        return next((i + 1 for i in range(left, -1, -1) if self.low(i) == _SPEECH), 0)

    def _agrees(self, first: int, last: int, entry: _Entry) -> bool:
        """Whether subject and verb agree in number, where the verb may be a noun."""
        if self.tokens[last].low not in _SUBJECTS and entry.form in {"base", "s"}:
            words = self.tokens[first : last + 1]
            plural = _head_of(words).endswith("s") or "and" in [word.low for word in words]
            plural |= words[-1].low in _MANY_PEOPLE or words[0].low in _PEOPLE
            if entry.form == "base" and not plural:
                return False
            # A lone name in "s" is a person, or a paper, as often as it is many.
            if entry.form == "s" and _head_of(words).endswith("s") and not words[-1].is_name:
                return False
        return not (entry.form == "base" and self.low(last) in {"he", "she", "it"})

    def _complement(self, at: int, entry: _Entry) -> tuple[str, int]:
        """Return what follows the verb, and where: "speech", "that", "clause", "recipient", "object" or "end"."""
        i, size = at + 1 + (entry.lemma == "point" and self.low(at + 1) == "out"), len(self.tokens)
        while i < size:
            word = self.low(i)
            if word == "(":
                i = next((j + 1 for j in range(i, min(size, i + 30)) if self.low(j) == ")"), size)
            elif word in _ADVERBS or (word.endswith("ly") and not self.tokens[i].is_name):
                i += 1
            elif word in _TIME_BUT_THIS or self._is_place_or_time(i):
                i = self._after_place_or_time(i + 1 + (word in _PREPOSITIONS))
            else:
                break
        word = self.low(i)
        if i >= size or word in {".", ";", ")", "?", "!", "]", "…"}:
            return "end", i
        if word in {",", ":", "–", "—"}:
            if self.low(i + 1) == _SPEECH:
                return "speech", i + 1
            if word == ":":
                return "speech", i
            if self.low(i + 1) == "that":
                return "that", i + 1
            return "end", i
        if word == _SPEECH:
            return "speech", i
        if word in {"that", "if", "whether", "why", "how", "what", "where", "when", "there"}:
            return "that", i
        if entry.lemma in _TELLS:
            return self._told(i)
        if (
            word in _PREPOSITIONS
            and entry.lemma not in _OFFERS
            and self.low(i + 1) not in _BE_OR_HAVE
            and not (entry.kind != "says" or word in {"of", "about", "against", "for"})
        ):
            ahead = next((j for j in range(i, min(size, i + 12)) if self.low(j) in {"that", _SPEECH}), None)
            return ("end", i) if ahead is None else ("that", ahead)
        window = [self.low(j) for j in range(i, min(size, i + 14))]
        stop = next((j for j, low in enumerate(window) if j and low in _CLAUSE_ENDS), len(window))
        subject = window[0] in _SUBJECTS_OR_WRITERS
        finite = any(low in _FINITE or low.endswith("n't") for low in window[1:stop])
        if entry.needs == "any" and not finite:
            finite = any(b.endswith("ed") and a not in _DETERMINERS for a, b in pairwise(window[:stop]))
        return ("clause" if subject or finite else "object"), i

    def _is_place_or_time(self, i: int) -> bool:
        if self.low(i) not in {"in", "on", "at", "during", "by", "from"} or i + 1 >= len(self.tokens):
            return False
        after = self.low(i + 1)
        if after in {"a", "an", "the", "this", "his", "her", "its", "their"}:
            return self.low(i + 2) in _TIME_OR_DOCUMENTS
        return after in _TIME_OR_DOCUMENTS or after[:1].isdigit() or self.tokens[i + 1].is_name

    def _after_place_or_time(self, i: int) -> int:
        while i < len(self.tokens):
            word, before = self.low(i), self.low(i - 1)
            dated = word in {",", "."} and self.low(i + 1)[:1].isdigit()
            named = self.tokens[i].is_name and (before in _PREPOSITIONS or self.tokens[i - 1].is_name)
            if not (dated or named or word in _DOCUMENTS_OR_DATES or word[:1].isdigit()):
                break
            i += 1
        return i + (self.low(i) == "," and self.low(i + 1) in {"that", _SPEECH})

    def _told(self, i: int) -> tuple[str, int]:
        for j in range(i, min(len(self.tokens), i + 16)):
            word = self.low(j)
            if word in {"that", "how", "why", "what", "if", "whether"}:
                return "that", j
            if word == _SPEECH or (word in {",", ":"} and self.low(j + 1) == _SPEECH):
                return "speech", j
            if word in _SUBJECTS and j > i:
                return "clause", j
        return "recipient", i

    def _suffices(self, at: int, entry: _Entry, follows: str, *, beside: bool) -> bool:
        """Whether what stands around the verb shows that something is said."""
        after = self.low(at + 1)
        if after == "by" and entry.form == "ed":
            return False
        if after == "to" and entry.form == "ed" and follows not in {"that", "speech"} and entry.lemma not in _OFFERS:
            return False
        beside |= follows in _TOLD
        match entry.lemma:
            case "say" if follows == "object" and after in _SMALL_TALK:
                return False
            case "accuse" | "blame" if after in {"of", "for", "on"}:
                return False
            case "deny" if after in _ADDRESSED or self.low(at + 2) in {"entry", "access", "bail", "permission"}:
                return False
            case "call":
                refuted = not _BASELESS.isdisjoint(self._lows(at, 10))
                return after in {"for", "on"} or refuted or (after in _ADDRESSED and _SPEECH in self._lows(at, 4))
            case "ask" | "request" | "inquire" | "enquire" | "wonder":
                return beside or bool({"to", "if", "whether", "for"} & set(self._lows(at, 12)))
            case "order" | "instruct":
                return entry.form != "base" and (follows == "that" or "to" in self._lows(at, 12))
            case "question" | "doubt":
                return follows in _TOLD or (entry.form != "base" and follows != "end")
            case "tell" | "inform" | "assure" | "remind":
                return follows != "end"
            case "promise" | "pledge" | "vow" | "swear" | "threaten":
                return beside or after == "to" or follows == "end"
            case "insist" if after == "on":
                return False
            case "write" if self.low(at + 1) == _SPEECH and not self._is_finished(at + 1):
                # The title of a work.
                return False
            case "agree" | "rule" | "answer":
                return follows in {"that", "speech"} or (beside and follows == "end")
            case "point":
                return after == "out" and (beside or follows == "end")
            case "describe":
                return _SPEECH in self._lows(at, 10)
            case "claim":
                return beside or follows == "end" or after in {"to", "responsibility", "credit", "victory", "innocence"}
            case "forbid" | "recommend" | "advise" | "appeal":
                return beside or not {"to", "for", "against"}.isdisjoint(self._lows(at, 10))
            case "read":
                return follows == "speech"
            case "report" | "confirm" | "predict" | "state" | "announce" | "declare" | "demand":
                return beside or follows == "end" or entry.form != "base"
            case "note":
                return beside or (entry.form == "ed" and follows in {"object", "end"})
        match entry.needs:
            case "claim":
                return (after in {"the", "any"} and "as" in self._lows(at, 8)) or any(
                    map(_CLAIMS.match, self._lows(at, 8))
                )
            case "found":
                return follows == "that" or (beside and entry.lemma == "conclude")
            case "clause":
                return beside or follows == "end"
        return True

    def _is_finished(self, at: int) -> bool:
        """Whether the speech at `at` ends as sentences or clauses do."""
        said = self.text[self.tokens[at].start : self.tokens[at].end]
        return said.rstrip("\"”»“’' ").endswith((",", ".", "!", "?", "…"))

    def _lows(self, at: int, count: int) -> list[str]:
        return [token.low for token in self.tokens[at + 1 : at + 1 + count]]

    def _kind_of(self, at: int, entry: _Entry) -> Kind:
        if entry.lemma in _TELLS and "to" in self._lows(at, 4) and "that" not in self._lows(at, 4):
            return "asks"
        if entry.lemma == "call":
            if self.low(at + 1) in {"for", "on"}:
                return "asks"
            return "says" if _BASELESS.isdisjoint(self._lows(at, 10)) else "denies"
        return entry.kind

    def _is_outer(self, clause: int, at: int) -> bool:
        """Whether the clause from `clause` on only tells who says what stands beside it."""
        return any(token.is_word or token.low == _SPEECH for token in self.tokens[:clause]) and (
            clause == 0 or self.low(clause - 1) in {",", _SPEECH, "–", "—", ")"}
        )

    def _is_inverted(self, at: int, left: int, entry: _Entry) -> bool:
        if left != at - 1 or entry.form not in {"ed", "s"}:
            return False
        if self.low(left) == _SPEECH or (self.low(left) == "," and self.low(left - 1) == _SPEECH):
            return True
        return self.low(left) == "," and entry.lemma in {"say", "write"}

    def _inverted(self, at: int, kind: Kind) -> _Hit | None:
        found = self.phrase_after(at + 1)
        if found is None:
            return None
        speaker = self.tokens[found[0] : found[1] + 1]
        return _Hit(
            self.span_of(*found), self.span_of(at, at), kind, 0, True, at, self._until(at),
            by_source=_is_news(speaker), beside_speech=self._beside_speech(at, found[1]),
        )  # fmt: skip

    def _relative(self, at: int, pronoun: int, kind: Kind, follows: str, content_at: int) -> _Hit | None:
        """Read "X, who said": X is what stands just before the pronoun."""
        if follows not in _TOLD and self.low(at + 1) != "to" and (kind == "says" or follows != "object"):
            return None
        end = pronoun - 1 - (self.low(pronoun - 1) == ",")
        subject = self.subject_before(end, 0) if end >= 0 and self.tokens[end].is_word else None
        if subject is None or not self.tokens[subject[1]].is_name:
            return None
        comma = next((i for i in range(content_at, len(self.tokens)) if self.low(i) == ","), None)
        content = self._rest(content_at, comma)
        return self._hit(subject[:2], at, kind, 1, content, outer=False, beside=False)

    def _participle(self, at: int, left: int, kind: Kind, follows: str, content_at: int) -> _Hit | None:
        """Read "X did this, saying that", "X issued a letter saying" and "with X saying"."""
        if follows not in _TOLD and (kind == "says" or self.low(at - 1) in {"of", "by", "for"}):
            return None
        found: tuple[int, int] | None = None
        if self.low(left) in {",", "and", "by"}:
            found = self.main_subject(left)
        elif self.low(left) in _DOCUMENTS:
            verb = next((i for i in range(left - 1, max(-1, left - 7), -1) if self.low(i) in _ISSUED), None)
            found = None if verb is None else self.main_subject(verb)
            subject = self.subject_before(left, 0) if verb is None else None
            found = subject[:2] if subject else found
        else:
            subject = self.subject_before(left, 0)
            written = subject and _head_of(self.tokens[subject[0] : subject[1] + 1]) in _DOCUMENTS
            if subject and (written or self.low(subject[0] - 1) == "with"):
                found = subject[:2]
        if found is None or self.low(found[0]) in _WRITERS or found[1] >= at:
            return None
        return _Hit(self.span_of(*found), self.span_of(at, at), kind, 0, False, at, self._rest(content_at))

    def _noun(self, at: int) -> _Hit | None:
        """Read "X's denial of" and "Y repeated X's denial of"."""
        if self.low(at + 1) not in {"of", "that"}:
            return None
        kind = _NOMINAL[self.low(at)]
        repeating = next((i for i in range(at - 1, max(-1, at - 7), -1) if self.low(i) in _REPEATING), None)
        owner = next((i for i in range(at - 1, max(-1, at - 3), -1) if self._possesses(i)), None)
        if repeating is not None and (
            owner is not None or self.low(repeating + 1) in {"a", "his", "her", "its", "their"}
        ):
            left = repeating - 1
            while left > 0 and self.low(left) in _ADVERBS_OR_HAVE:
                left -= 1
            subject = self.subject_before(left, 0)
            if subject is None or self.low(subject[0]) in _WRITERS:
                return None
            return _Hit(self.span_of(*subject[:2]), self.span_of(repeating, at), kind, 0, False, at, self._rest(at + 2))
        if owner is None:
            return None
        if self.low(owner) in _PRONOUNS:
            return self._hit((owner, owner), at, kind, 2, None, outer=False, beside=False)
        first = owner
        while first and (self.tokens[first - 1].is_name or self.low(first - 1) in {"the", "of"}):
            first -= 1
        first += self.low(first) == "of"
        start, end = self.tokens[first].start, self.tokens[owner].end
        end -= 2 if self.low(owner).endswith("'s") else 1
        if end <= start or not self.tokens[first].is_word:
            return None
        return _Hit(Span(start, end), self.span_of(at, at), kind, 2, False, at, None)

    def _possesses(self, at: int) -> bool:
        token = self.tokens[at]
        return token.low in {"his", "her", "their", "its"} or token.low.endswith(("'s", "s'"))

    def _headline(self) -> list[_Hit]:
        """Read "X to Y: Stop it"."""
        colon = next((i for i, token in enumerate(self.tokens[:14]) if token.low == ":"), None)
        to = next((i for i, token in enumerate(self.tokens[:12]) if token.low == "to"), None)
        if colon is None or to is None or not 0 < to < colon - 1 or colon + 1 >= len(self.tokens):
            return []
        names = [*self.tokens[:to], *self.tokens[to + 1 : colon]]
        if self.low(len(self.tokens) - 1) == "." or not all(
            token.is_name or token.low in _PARTICLES for token in names
        ):
            return []
        kind: Kind = "asks" if self.low(colon + 1) in _ORDERS else "says"
        return [_Hit(self.span_of(0, to - 1), self.span_of(colon, colon), kind, 0, False, colon, self._rest(colon + 1))]


_CLAUSE_ENDS = _RELATIVES | _set(", . ; ( and or where when while because if as")
# What follows a verb and shows that something is said.
_TOLD = _set("speech that clause")
_BASELESS = _set("baseless false groundless unfounded untrue fabricated lies lie absurd nonsense propaganda ridiculous")
# What is followed by an infinitive of what is offered.
_OFFERS = _set("promise pledge vow swear threaten appeal call claim ask agree")
_ISSUED = _set("issued issues released releases published publishes made makes gave gives sent sends signed posted")
_ORDERS = _set(
    "stop halt end leave give let free release return withdraw quit pay drop keep send do don't get go come help cease"
    " pull open close cut make take stay resign act join put hand respect show tell"
)


# What stands in a sentence that says who says it (`_Row.hits`), besides verbs, in any case; or the colon of a headline.
_TELLING = frozenset({"according", "sure", "unsure", *_NOMINAL})
# Each of them holds one of these.
_STEMS = tuple(sorted({word.removeprefix("un").removesuffix("s") for word in _TELLING}))
_PLAIN_WORD = re.compile(r"[^\W_]+")


def _may_tell(sentence: str) -> bool:
    """Whether there is a reporting word in a sentence, or what may be one: most have none, which is quickly seen."""
    if ":" in sentence or not _VERBS.keys().isdisjoint(_PLAIN_WORD.findall(sentence)):
        return True
    lowered = sentence.lower()
    return any(map(lowered.__contains__, _STEMS)) and not _TELLING.isdisjoint(_PLAIN_WORD.findall(lowered))


def _head_of(words: Sequence[_Token]) -> str:
    """Return the noun that a phrase is about: the last word before "of", "in" and the like."""
    for at, word in enumerate(words):
        if at and (word.low in _PREPOSITIONS or word.low in {",", "("} or (word.low.endswith("ed") and at > 1)):
            return words[at - 1].low
    return words[-1].low


def _is_news(words: Sequence[_Token]) -> bool:
    return any(word.low in _NEWS for word in words) and not any(word.low in _PERSONAL_TITLES for word in words)


# --- a sentence among its neighbours ----------------------------------------------------------------------------------


class _Window:
    """A sentence and its neighbours; what is read of one of them is kept."""

    def __init__(self, text: str, sentences: Sequence[Span], ordinal: int) -> None:
        self.text = text
        self.first = max(0, ordinal - BEFORE)
        self.spans = sentences[self.first : ordinal + 1 + AFTER]
        marked = _quotations(text, self.spans[0].start, self.spans[-1].end)
        self.speech = [quotation for quotation in marked if _is_speech(text, quotation)]
        self._rows: dict[int, _Row] = {}
        self._stated: dict[int, Attribution | None] = {}
        self._beside: set[int] = set()

    def row(self, ordinal: int) -> _Row:
        if ordinal not in self._rows:
            self._rows[ordinal] = _Row(self.text, self.spans[ordinal - self.first], self.speech)
        return self._rows[ordinal]

    def _sentence(self, ordinal: int) -> str:
        return self.spans[ordinal - self.first].of(self.text)

    def stated(self, ordinal: int) -> Attribution | None:
        """Return who says a sentence by its own words."""
        if ordinal not in self._stated:
            self._stated[ordinal] = self._read(ordinal)
        return self._stated[ordinal]

    def _read(self, ordinal: int) -> Attribution | None:
        if not _may_tell(self._sentence(ordinal)):
            return None
        row = self.row(ordinal)
        hits = row.hits()
        if not hits:
            return None
        inner = min((hit for hit in hits if not hit.outer), key=lambda hit: (hit.rank, hit.at), default=None)
        spoken = next((hit for hit in hits if hit.outer and not hit.by_source), None)
        source = next((hit for hit in hits if hit.outer and hit.by_source), None)
        if inner and not spoken and _is_news_span(row, inner):
            # "IRNA reported that the minister said": the agency passes it on.
            nested = next((hit for hit in hits if hit.at > inner.at and not hit.outer), None)
            if nested and nested.content and not source:
                source, inner = inner, nested
        chosen = spoken or inner or source
        if chosen is None:
            return None
        via = chosen.via
        if via is None and source and source is not chosen and source.speaker != chosen.speaker:
            via = source.speaker
        if chosen.beside_speech:
            self._beside.add(ordinal)
        content = chosen.content
        if content and source and source is not chosen:
            content = _without(self.text, content, source)
        return Attribution(chosen.speaker, chosen.verb, chosen.kind, row.is_quoted, via, None, content)

    def continued(self, ordinal: int) -> Attribution | None:
        """Return who says a sentence that is nothing but speech, by the sentences that it is one speech with."""
        span = self.spans[ordinal - self.first]
        if not any(quotation.start < span.end and span.start < quotation.end for quotation in self.speech):
            return None
        row = self.row(ordinal)
        if not row.is_all_speech:
            return None
        at = ordinal
        while at > self.first and self._goes_on(at - 1, at):
            at -= 1
            found = self.stated(at)
            if found:
                introduced = at in self._beside
                return replace(found, quoted=True, content=row.speech[0]) if introduced else None
            if not self.row(at).is_all_speech:
                break
        following = ordinal + 1
        if following - self.first < len(self.spans) and self._is_one(ordinal, following):
            found = self.stated(following)
            if found and following in self._beside:
                return replace(found, quoted=True, content=row.speech[0], via=found.via)
        return None

    def _is_one(self, left: int, right: int) -> bool:
        """Whether one quotation reaches from one sentence into the next."""
        end, start = self.spans[left - self.first].end, self.spans[right - self.first].start
        return any(quotation.start < end and start < quotation.end for quotation in self.speech)

    def _goes_on(self, left: int, right: int) -> bool:
        """Whether the sentence at `right`, which is speech, is by whoever speaks in the one before it."""
        between = self.text[self.spans[left - self.first].end : self.spans[right - self.first].start]
        return self._is_one(left, right) or ("\n" not in between and bool(self.row(left).speech))

    # --- who is meant

    def name_of(self, ordinal: int, speaker: Span) -> Span | None:
        """Return the name that a pronoun or bare title stands for; None for others, and where in doubt."""
        home = next(
            (i for i in range(self.first, self.first + len(self.spans)) if self.spans[i - self.first].covers(speaker)),
            ordinal,
        )
        words = [_token(found) for found in _TOKEN.finditer(self.text, speaker.start, speaker.end)]
        head = words[0].low if words else ""
        if head in _PRONOUNS and (len(words) == 1 or words[-1].low in _DOCUMENTS):
            person = head in {"he", "she", "his", "her"}
            return self._antecedent(home, speaker, person=person, title=None)
        if len(words) > 1 and head == "the" and words[-1].low in _TITLES:
            return self._antecedent(home, speaker, person=True, title=speaker)
        return None

    def _antecedent(self, home: int, speaker: Span, *, person: bool, title: Span | None) -> Span | None:
        row = self.row(home)
        before = sum(token.end <= speaker.start for token in row.tokens)
        if before and title is None:
            found = self._subject_name(row, before, person=person)
            people = list(dict.fromkeys(self._people(row.tokens[:before]))) if person else []
            if found or people:
                # Of two who were named, the subject is meant.
                return found or (people[0] if len(people) == 1 else None)
        for at in range(home - 1, self.first - 1, -1):
            row = self.row(at)
            stated = self.stated(at)
            name: Span | None = None
            if stated and not self._is_passive_source(stated):
                name = self.name_of(at, stated.speaker) or self._name_in(stated.speaker)
            if (name is None or not self._fits(name, person=person)) and title is None:
                name = self._subject_name(row, row.last_word + 1, person=person, first=True)
                others = set(self._people(row.tokens)) - {name} if person else set()
                # Two persons, and none of them says anything: either may be meant.
                name = None if others else name
            if name and self._fits(name, person=person) and (title is None or self._is_of(title, row)):
                return name
        return None

    def _is_of(self, title: Span, row: _Row) -> bool:
        """Whether a title's country, where it has one ("the Iranian minister"), is spoken of in a sentence."""
        countries = [word[:4] for word in _WORD.findall(title.of(self.text))[1:-1] if word[0].isupper()]
        said = row.span.of(self.text)
        return all(country in said for country in countries if country.lower() not in _TITLES)

    def _is_passive_source(self, stated: Attribution) -> bool:
        return stated.verb.of(self.text).lower() == "according to"

    def _subject_name(self, row: _Row, before: int, *, person: bool, first: bool = False) -> Span | None:
        subject = row.main_subject(before, first=first) if before else None
        if subject is None:
            return None
        name = self._name_in(row.span_of(*subject))
        return name if name and self._fits(name, person=person) else None

    def _people(self, tokens: Sequence[_Token]) -> Iterator[Span]:
        """Yield the names that have a first and a last name."""
        for named, run in groupby(tokens, key=lambda token: token.is_name):
            words = list(run)
            if named and len(words) > 1:
                name = self._name_in(Span(words[0].start, words[-1].end))
                if name and " " in name.of(self.text) and self._fits(name, person=True):
                    yield name

    def _name_in(self, span: Span) -> Span | None:
        """Return the name inside a speaker, without title and article: "Dmytro Kuleba"; None where it holds none."""
        words = [_token(found) for found in _TOKEN.finditer(self.text, span.start, span.end)]
        titles = [at for at, word in enumerate(words) if word.low.rstrip(".") in _PERSONAL_TITLES]
        words = words[titles[-1] + 1 :] if titles else words
        if words and not words[-1].is_name:
            return None
        while words and (not words[0].is_name or words[0].low in _NO_NAMES):
            words = words[1:]
        return Span(words[0].start, words[-1].end) if words and words[0].low not in _WRITERS else None

    def _fits(self, name: Span, *, person: bool) -> bool:
        """Whether a name can be a person's, or else that of several or of an organisation."""
        words_as_written = _TOKEN.findall(name.of(self.text))
        words = [word.lower() for word in words_as_written]
        group = any(word in _NOT_ONE_PERSON or word == "and" for word in words)
        acronym = all(len(word) > 1 and word.isupper() for word in words_as_written)
        return not (group or acronym) if person else group or acronym


def _without(text: str, content: Span, source: _Hit) -> Span | None:
    """Return what is said without "..., Reuters reported" behind it."""
    end = min(source.speaker.start, source.verb.start)
    if not content.start < end <= content.end:
        return content
    kept = content.start + len(text[content.start : end].rstrip(" ,\n"))
    return Span(content.start, kept) if kept > content.start else None


def _is_news_span(row: _Row, hit: _Hit) -> bool:
    return _is_news([token for token in row.tokens if hit.speaker.start <= token.start < hit.speaker.end])
