"""Plain statements -> questions that they answer, by rule; and questions -> ones that their passage no longer answers.

    yes_no_question     Tesla sold the patent in 1888.      Did Tesla sell the patent in 1888?
    subject_question                                        Who sold the patent in 1888?
    time_question                                           When did Tesla sell the patent?
    number_question     The town has 16 parks.              How many parks does the town have?
    altered             one name, number or opposite swapped
    abridged            as people type into a search box
    to_statement        a yes-or-no question back into the statement that it asks about

No parser stands behind it: closed lists of words, endings, and the order of words. Where these leave doubt, the answer
is None: a badly formed question teaches more wrong than a missing one. Questions for training, never shown to anyone.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, takewhile
from random import Random
from typing import NamedTuple

LONGEST_SUBJECT = 9
"""Words; what has no verb for longer is too tangled to turn round."""

LONGEST_STATEMENT = 80
"""Words."""


def yes_no_question(statement: str, *, words: int = 18) -> str | None:
    """Return the question whether `statement` is so, or None where its verb or subject is in doubt.

    A question longer than `words` is cut where a clause ends; None where it is then still half as long again.
    """
    clause = clause_of(statement)
    if clause is None:
        return None
    return _asked(clause.inverted(), clause.rest, clause.lead, words)


def subject_question(statement: str, *, words: int = 18) -> str | None:
    """Return the question that the subject of `statement` answers, or None where Who and What are both possible."""
    clause = clause_of(statement)
    asker = clause and _asker(clause)
    if clause is None or asker is None:
        return None
    return _asked([asker, *clause.said_of_one()], clause.rest, clause.lead, words)


def time_question(statement: str, *, words: int = 18) -> str | None:
    """Return the question that the one date or year in `statement` answers, or None without exactly one."""
    clause = clause_of(statement)
    if clause is None or len(_YEAR.findall(statement)) > 1 or clause.verb in {"is", "are", "does", "do"}:
        return None
    rest = " ".join(clause.rest)
    when = [match for match in _TIME.finditer(rest) if not _is_part_of_more(rest, match)]
    if len(when) + bool(clause.lead) != 1 or (when and _is_in_clause(rest[: when[0].start()].split())):
        return None
    since = (when[0][1] if when else clause.lead[0]).lower() == "since"
    if when:
        after = rest[when[0].end() :]
        rest = rest[: when[0].start()].rstrip(" ,") + ("" if after.startswith(",") else after)
    verb, *others = clause.inverted()
    return _asked(["Since when" if since else "When", _lower_initial(verb), *others], rest.split(), [], words)


def number_question(statement: str, *, words: int = 18) -> str | None:
    """Return the "How many" question that a plain "has 16 children" answers, or None."""
    clause = clause_of(statement)
    if clause is None or not clause.rest or clause.negation:
        return None
    number, *rest = clause.rest
    counted = list(takewhile(lambda word: word.isalpha() and word.islower() and word not in _NO_NOUN, rest[:3]))
    while counted and not _is_plural(counted[-1]):
        counted.pop()
    if not _COUNT.fullmatch(number) or not counted or rest[len(counted) :][:1] in (["and"], ["or"], ["of"]):
        return None
    verb, *others = clause.inverted()
    verb = _lower_initial(verb)
    if clause.subject != ["There"] and (clause.lemma not in _HOLDING or clause.auxiliary):
        return None
    return _asked(["How many", *counted, verb, *others], rest[len(counted) :], clause.lead, words)


def to_statement(question: str) -> str | None:
    """Return the statement that a yes-or-no question asks about, without a full stop, or None in doubt."""
    first, *rest = words_of(question) or [""]
    auxiliary = first.lower().replace("’", "'")
    if not question.rstrip().endswith("?") or auxiliary.removesuffix("n't") not in {*_AUXILIARIES, "ca", "wo"}:
        return None
    rest = " ".join(rest).rstrip("?!. ").split()
    length = _subject_length(rest, auxiliary.removesuffix("n't"))
    if not 0 < length < len(rest):
        return None
    subject, predicate = rest[:length], rest[length:]
    if auxiliary in _DOING and predicate[0] != "not":
        adverbs = len(list(takewhile(_is_adverb, predicate)))
        if adverbs == len(predicate) or not predicate[adverbs].isalpha():
            return None
        verb = predicate[adverbs]
        verb = past(verb) if auxiliary == "did" else third_person(verb) if auxiliary == "does" else verb
        predicate = [*predicate[:adverbs], verb, *predicate[adverbs + 1 :]]
    else:
        predicate = [auxiliary, *predicate]
    return _capitalised(" ".join([*subject, *predicate]))


def altered(question: str, passage: str, others: Sequence[str], chance: Random) -> str | None:
    """Return `question` with one thing swapped, so that `passage` no longer answers it, or None.

    A name that `passage` has, or a number, gives way to one of its kind that `others` have and that neither `passage`
    nor `question` has. Where that is impossible one word becomes its opposite.
    """
    known = f"{passage}\n{question}"
    swaps = [
        (name.span(), value)
        for name in _names(question)
        if re.search(rf"\b{re.escape(name[0])}\b", passage)
        for value in _like_name(name[0], known, others)
    ]
    swaps += [
        (number.span(), value)
        for number in _NUMBER.finditer(question)
        for value in _like_number(number[0], known, others)
    ]
    swaps = [swap for swap in swaps if _fits(question, *swap)] or [
        swap for swap in _opposites(question, known) if _fits(question, *swap)
    ]
    if not swaps:
        return None
    # First what is swapped, then for what: or the name with the most stand-ins would always be the one.
    start, end = chance.choice(sorted({span for span, _ in swaps}))
    value = chance.choice(sorted({value for span, value in swaps if span == (start, end)}))
    return question[:start] + value + question[end:]


def abridged(question: str, chance: Random) -> str:
    """Return `question` as people type it: without its mark, by chance lower-cased and without function words.

    At least two of its content words stay, if it has so many.
    """
    kept = [word for word in (raw.strip('?!,;:"“”') for raw in question.split()) if word]
    if len(_content(kept)) >= 2:
        kind = chance.random()
        if kind < 0.4:
            kept = _content(kept)
        elif kind < 0.7:
            kept = [word for word in kept if word.lower() not in _DROPPED_FIRST]
        # Names and nouns come last more often than not; a word dropped is one that a searcher did not think of.
        if len(_content(kept)) > 4 and chance.random() < 0.3:
            kept.remove(chance.choice(_content(kept)))
    text = " ".join(kept)
    return text.lower() if chance.random() < 0.6 else text


# --- the clause -------------------------------------------------------------------------------------------------


class Clause(NamedTuple):
    """A statement, taken apart: its subject, its verb with its parts, and the rest, in words."""

    subject: list[str]
    verb: str
    """As it stands: an auxiliary without its n't, or the main verb."""
    lemma: str
    auxiliary: bool
    """Whether the verb itself goes before the subject."""
    negation: str
    """ "n't" or nothing; a "not" stands in `rest`."""
    rest: list[str]
    lead: list[str]
    """The "In 1903," in front, without its comma."""

    def inverted(self) -> list[str]:
        subject = [uncapitalised(self.subject, plural=self.is_plural), *self.subject[1:]]
        if self.auxiliary:
            verb = {"can": "ca", "will": "wo"}.get(self.verb, self.verb) if self.negation else self.verb
            return [_capitalised(verb + self.negation), *subject]
        helper = "Do" if self.verb == self.lemma and self.is_plural else "Does"
        if self.verb != self.lemma or not self.is_plural:
            helper = "Does" if self.verb == third_person(self.lemma) else "Did"
        return [helper, *subject, self.lemma]

    def said_of_one(self) -> list[str]:
        verb = {"are": "is", "were": "was", "have": "has", "do": "does"}.get(self.verb, self.verb)
        if not self.auxiliary and self.verb == self.lemma and self.is_plural:
            verb = third_person(self.lemma)
        return [verb + self.negation]

    @property
    def is_plural(self) -> bool:
        if self.verb in {"are", "were", "have", "do"}:
            return True
        if self.verb in _UNCHANGED:
            return False
        return not self.auxiliary and self.verb == self.lemma


def clause_of(statement: str) -> Clause | None:
    """Return a statement's parts; None where its verb or its subject is in doubt."""
    words = words_of(statement)
    if not words or not 3 <= len(words) <= LONGEST_STATEMENT or statement.rstrip().endswith(("?", ":", "…", "...")):
        return None
    words, lead = without_lead(words)
    if not words or not re.match(r"[A-Za-z0-9]", words[0]) or _bare(words[0]) in _NO_SUBJECT:
        return None
    found = _verb_at(words)
    if found is None:
        return None
    at, lemma, auxiliary = found
    if re.match(r"[a-z]+(ed|ing|ly)$", words[0].lower()) and at > 1 and words[1].lower() in PREPOSITIONS:
        return None
    verb, negation = words[at].replace("’", "'"), ""
    if verb.endswith("n't"):
        verb, negation = {"ca": "can", "wo": "will"}.get(verb[:-3], verb[:-3]), "n't"
    rest = _ended(words[at + 1 :], main=None if auxiliary else verb)
    if auxiliary and (not rest or (words[:at] == ["It"] and rest[0] in PREPOSITIONS and "that" in rest)):
        return None
    return Clause(words[:at], verb, lemma, auxiliary, negation, rest, lead)


def words_of(text: str) -> list[str]:
    """Return the words without citations, what stands in brackets, and the mark at the end."""
    text = re.sub(r" ?\[[^\][]{0,40}\]| ?\([^()]{0,200}\)", "", " ".join(text.split()))
    text = re.sub(r" ([,;:.])(?!\d)", r"\1", text).replace("—", " — ").replace(" – ", " — ")
    words = text.split()
    if words and not re.search(r"(\b[A-Z]|\.[A-Za-z]|\b(Inc|Jr|Sr|Ltd|Co|etc))\.$", words[-1]):
        words[-1] = words[-1].rstrip(".!;,")
    return [word for word in words if word]


def without_lead(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words without a link, a time or a place in front, and what that was."""
    text = " ".join(words)
    if link := _LINK.match(text):
        text = _capitalised(text[link.end() :])
    if lead := _LEAD.match(text):
        text = text[lead.end() :]
        return text.split(), _lower_initial(lead[1]).split()
    return text.split(), []


def _verb_at(words: list[str]) -> tuple[int, str, bool] | None:
    """Return where the finite verb stands, its lemma, and whether it goes before the subject, or None in doubt."""
    for at, word in enumerate(words[: LONGEST_SUBJECT + 1]):
        if at and not word.islower() and "n't" not in word:
            if word[-1] in ",;:—":
                return None
            continue
        if at and (auxiliary := _auxiliary(words, at)) is not None:
            return (at, _BE_HAVE_DO.get(_positive(word), word), auxiliary)
        if at and (lemma := _main_verb(words, at)):
            later = _later_finite(words, at)
            if later is None or lemma in _SAYING:
                return at, lemma, False
            # "The castle built in 1200 was closed": what looked like the verb is part of the subject.
            if _is_participle(word) and words[at + 1] in PREPOSITIONS and later <= LONGEST_SUBJECT + 2:
                auxiliary = _auxiliary(words, later)
                lemma = _BE_HAVE_DO.get(_positive(words[later]), words[later])
                return None if auxiliary is None else (later, lemma, auxiliary)
            return None
        if word[-1] in ',;:—"”' or (at and word in _SUBORDINATING) or "/" in word or '"' in word or "“" in word:
            return None
    return None


def _auxiliary(words: list[str], at: int) -> bool | None:
    """Whether the word at `at` goes before the subject; None where it is no auxiliary, nor "has" as a main verb."""
    word = _positive(words[at])
    before = words[at - 1].lower()
    if word not in _AUXILIARIES or before in DETERMINERS - _ALONE or before in {"to", "and", "or"} or before in _MODALS:
        return None
    if word in _MODALS | _BE and at + 1 < len(words):
        return True
    following = [w for w in words[at + 1 : at + 5] if not _is_adverb(w)]
    if words[at] != word or words[at + 1 : at + 2] == ["not"]:
        return True
    if word in _HAVE:
        return bool(following and (_is_participle(following[0].rstrip(",")) or following[0] == "been"))
    return False


def _main_verb(words: list[str], at: int) -> str | None:
    """Return the lemma if the word at `at` looks like a finite main verb."""
    word, before = words[at], words[at - 1]
    after = words[at + 1] if at + 1 < len(words) else ""
    if not word.isalpha() or not _ends_subject(words, at):
        return None
    opens = not after or _opens_phrase(after)
    # "The system created by the council ...": part of the subject, whatever comes.
    if after == "by" and _is_participle(word):
        return None
    if word in _LEMMAS:
        return _LEMMAS[word] if opens or word not in _NOUNLIKE else None
    if _is_past(word):
        return base(word) if opens or before.lower() in _PRONOUNS or before[0].isupper() or at > 1 else None
    lemma = _singular_lemma(word)
    if lemma and before.lower() not in _PLURAL_WORDS:
        certain = lemma not in _VERBS_AND_NOUNS and not _is_plural(before)
        return lemma if certain or (opens and not (_is_plural(before) and before.islower())) else None
    plural = before.lower() in _PLURAL_WORDS or (_is_plural(before) and (before.islower() or at == 1))
    if word in _VERBS and plural and (word not in _VERBS_AND_NOUNS or (opens and after)):
        return word
    return None


def _ends_subject(words: list[str], at: int) -> bool:
    """Whether the words before `at` can be a whole subject."""
    before = words[at - 1].lower()
    if before in _PRONOUNS:
        return True
    if _is_adverb(before):
        return at > 1 and _ends_subject(words, at - 1)
    open_still = before in DETERMINERS - _ALONE or before in PREPOSITIONS or before in _ADJECTIVES
    return not (
        open_still or before in {"and", "or", "nor", "to", "not", "more", "most"} or before.endswith(("'s", "’s"))
    )


def _later_finite(words: list[str], at: int) -> int | None:
    for later in range(at + 1, len(words)):
        word = words[later]
        if word.rstrip(",") in _SUBORDINATING or word in {"and", "or", "but", "than", "—", "as"} or word in _NOMINATIVE:
            return None
        if _positive(word) in _FINITE and words[later - 1] not in {"to", *_MODALS}:
            return later
        if word[-1] in ",;:":
            return None
    return None


def _ended(rest: list[str], main: str | None) -> list[str]:
    """Return `rest` up to where another main clause, or a verb of the same subject, begins."""
    for at, word in enumerate(rest):
        if word == "—" or word[-1] in ";:":
            return [*rest[:at], *([word[:-1]] if word != "—" else [])]
        # "They pushed on, finished off the garrison, and ...": a list of verbs.
        if main and at > 1 and rest[at - 1].endswith(",") and _is_past(word) and not _is_past(rest[0]):
            return _trimmed(rest[:at])
        if (at == 0 and main is None) or word not in {"and", "but", "or", "so", "yet"}:
            continue
        after = [w for w in rest[at + 1 : at + 4] if not _is_adverb(w)] or [""]
        comma = at > 0 and rest[at - 1].endswith(",")
        clause = after[0] in _NOMINATIVE or _positive(after[0]) in _FINITE | {"did", "does"}
        lemma = _singular_lemma(after[0])
        nouns = lemma in _VERBS_AND_NOUNS and rest[at - 1].rstrip(",").endswith("s")
        same = _is_past(after[0]) or (lemma is not None and not nouns)
        same &= main is not None or comma or not _is_participle(rest[0])
        if clause or same or (word in {"but", "so", "yet"} and comma) or (comma and _holds_finite(rest[at + 1 :])):
            return _trimmed(rest[:at])
    return _trimmed(rest)


def _holds_finite(words: Sequence[str]) -> bool:
    """Whether a new subject with its verb follows: "..., and the game was moved"."""
    for at, word in enumerate(words[:8]):
        if word in _SUBORDINATING or word[-1] in ",;":
            return False
        if at and (_positive(word) in _FINITE or (_main_verb(list(words), at) and words[0].lower() in DETERMINERS)):
            return True
    return False


def _trimmed(words: list[str]) -> list[str]:
    kept = list(words)
    while kept and kept[-1].rstrip(",") in {"and", "or", "but", "", "—", "which", "who", "the", "a", "those"}:
        kept.pop()
    if kept:
        kept[-1] = kept[-1].rstrip(",;:") or kept[-1]
    return kept


# --- putting it together ----------------------------------------------------------------------------------------


def _asked(head: Iterable[str], rest: Sequence[str], lead: Sequence[str], words: int) -> str | None:
    head = [part for piece in head for part in piece.split()]
    rest = cut(list(rest), words - len(head) - len(lead))
    asked = [*head, *rest, *lead]
    text = " ".join(asked).rstrip(" ,;:")
    doubtful = len(asked) > 1.5 * words or len(head) + len(rest) < 3 or not text
    if doubtful or text.count('"') % 2 or text.count("“") != text.count("”") or re.search(r"[()\[\]?]", text):
        return None
    return _capitalised(text) + "?"


def cut(rest: list[str], room: int) -> list[str]:
    """Return `rest`, cut at the last end of a clause that leaves at most `room` words, else at the first end."""
    if len(rest) <= room:
        return rest
    ends = [at for at in range(2, len(rest)) if _begins_clause(rest, at)]
    if not ends:
        return rest
    fitting = [at for at in ends if at <= room]
    return _trimmed(rest[: fitting[-1] if fitting else ends[0]])


def _begins_clause(rest: Sequence[str], at: int) -> bool:
    if rest[at] in _SUBORDINATING - {"that", "how", "what", "whether", "if", "where", "which", "who", "whose", "than"}:
        return True
    if rest[at] in {"which", "who", "where", "whose"}:
        return rest[at - 1] not in PREPOSITIONS
    # A comma between the items of a list ends nothing; one before "and" ends the list.
    listed = rest[at - 1].endswith(",") and any(w in {"and", "or"} for w in rest[at : at + 10])
    return rest[at - 1].endswith(",") and not listed and not re.match(r"\d", rest[at])


def _asker(clause: Clause) -> str | None:
    """Return "Who" or "What", or None where that cannot be told from the subject."""
    subject = [word for word in clause.subject if not _is_adverb(word.lower())] or clause.subject
    first, last = subject[0], subject[-1]
    if first.lower() in {"he", "she"} and len(subject) == 1:
        return "Who"
    if len(subject) == 1 and first.lower() in _PRONOUNS | {"there", "one", "some", "many", "most", "others", "both"}:
        return None
    if "and" in subject or (clause.lemma in {"include", "have"} and clause.is_plural):
        return None
    if all(word[0].isupper() for word in subject) and first.lower() not in DETERMINERS:
        if len(subject) == 1:
            return "Who" if clause.lemma in _HUMAN else None
        place = {word.strip(".,").lower() for word in subject} & _ORGANISATIONS or first.lower() in _PLACES
        return "What" if place else "Who" if len(subject) <= 4 and _NAME.fullmatch(" ".join(subject)) else None
    head = next((subject[at - 1] for at, w in enumerate(subject) if at and w in PREPOSITIONS), last).lower()
    if head in _PEOPLE or head.removesuffix("s") in _PEOPLE:
        return "Who"
    if last[0].isupper() and len(subject) > 1 and {word.lower() for word in subject} & _PEOPLE:
        return "Who"
    # "The company's founder", "Many customers": who acts so, or ends so, may be people.
    human = clause.lemma in _HUMAN or re.search(r"(ers?|ors?|ists?|ians?|men|people)$", head)
    return None if human or (first.lower() in _PRONOUNS and len(subject) == 1) else "What"


def _is_part_of_more(rest: str, when: re.Match[str]) -> bool:
    """Whether the date belongs to more than itself: "in 1903 and 1904", "from 1903 to 1907", "in March's vote"."""
    after, before = rest[when.end() :], rest[: when.start()]
    more = re.match(r"\s*(?:[–'’-]|,? and \d|,? or \d|to \d|until|and (?:in|on|again)|\w*\d)", after.lstrip())
    return bool(more) or bool(re.search(r"\b(?:from|between|until|and|or|only|not)$", before.rstrip()))


def _is_in_clause(before: Sequence[str]) -> bool:
    """Whether a date after these words says when something else was: "a law that was passed", "a bid, made"."""
    aside = any(word.endswith(",") and later != "and" for word, later in pairwise(before))
    of_noun = any(_is_participle(word) or word in _LEMMAS for word in before[2:])
    return aside or of_noun or any(word.rstrip(",") in _SUBORDINATING for word in before)


def uncapitalised(subject: Sequence[str], *, plural: bool) -> str:
    """Return the first word as it would stand inside a sentence."""
    first = subject[0]
    low = first.lower()
    if first in {"I", "A.", "I."} or not first.istitle() or _bare(first) in _PROPER:
        return first
    if low in DETERMINERS | _PRONOUNS | PREPOSITIONS:
        return low
    if len(subject) > 1 and subject[1][0].isupper():
        return first
    if low in _ADJECTIVES | _COMMON | _PEOPLE:
        return low
    common = r"(?:tion|ment|ness|ism|ship|hood|ology|ysis|ing)s?"
    if re.fullmatch(rf"[a-z]{{2,}}{common}", low):
        return low
    if low.endswith("s") and all(map(_is_adverb, subject[1:])) and (plural or re.search(r"(?:ors|ers|ates|ids)$", low)):
        return first if re.search(r"(?:[^m]ans|ese|ss|ics)$", low) else low
    if len(subject) > 1 and re.search(r"(?:ed|ly|ive|ous|ary|ble|ful|less|al|ic|[^aeious]s)$", low):
        return low
    return first


# --- endings ----------------------------------------------------------------------------------------------------


def base(verb: str) -> str:
    """Return the infinitive of a regular past in -ed ("denied" -> "deny")."""
    stem = verb[:-2]
    if verb in _EXTRA_BASES:
        return _EXTRA_BASES[verb]
    if stem.endswith("i") and len(stem) > 2:
        return f"{stem[:-1]}y"
    if re.search(r"([bdgmnprtv])\1$", stem) and stem not in {"add", "err", "purr", "putt", "butt", "ebb", "egg"}:
        return stem[:-1]
    if stem.endswith("ll"):
        return stem if re.fullmatch(r"(?:[^aeiou]*|inst|enr|re|rec|ref|reinst)[aeiou]ll", stem) else stem[:-1]
    return f"{stem}e" if (_SILENT_E.search(stem) and not _NO_E.search(stem)) or _SILENT_E_TOO.search(stem) else stem


def past(verb: str) -> str:
    """Return the simple past of an infinitive."""
    if verb in _PASTS:
        return _PASTS[verb]
    if verb.endswith("e"):
        return f"{verb}d"
    if re.search(r"[^aeiou]y$", verb):
        return f"{verb[:-1]}ied"
    doubled = re.fullmatch(r"(?:[^aeiou]|qu)*[aeiou][bdgklmnprtvz]", verb) or verb in _DOUBLED
    return f"{verb}{verb[-1]}ed" if doubled else f"{verb}ed"


def third_person(verb: str) -> str:
    """Return the form of an infinitive that goes with "it"."""
    if verb in {"have", "be"}:
        return {"have": "has", "be": "is"}[verb]
    if re.search(r"(?:s|x|z|ch|sh|[^aeiou]o|^do|^go|undergo)$", verb):
        return f"{verb}es"
    return f"{verb[:-1]}ies" if re.search(r"[^aeiou]y$", verb) else f"{verb}s"


def _singular_lemma(word: str) -> str | None:
    if not word.endswith("s"):
        return None
    forms = (word[:-1], word.removesuffix("es"), f"{word[:-3]}y" if word.endswith("ies") else "")
    return next((form for form in forms if form in _VERBS and third_person(form) == word), None)


def _is_participle(word: str) -> bool:
    return word in _PARTICIPLES or (word.endswith("ed") and len(word) > 4 and word not in _NO_PAST)


def _is_past(word: str) -> bool:
    regular = word.endswith("ed") and len(word) > 4 and word.isalpha() and word not in _NO_PAST
    return word in _LEMMAS or (regular and not re.match(r"un(?!i[tf]|ve|ea|der|cov|load|do)", word))


def _is_plural(word: str) -> bool:
    low = word.lower()
    return low in _PLURAL_WORDS or (
        len(low) > 3 and low.endswith("s") and not low.endswith(("ss", "us", "is", "'s", "’s"))
    )


def _is_adverb(word: str) -> bool:
    return word in _ADVERBS or (len(word) > 4 and word.endswith("ly") and word.islower() and word not in _NO_ADVERB)


def _opens_phrase(word: str) -> bool:
    """Whether a word stands where a verb's object or adverbial begins."""
    low = word.rstrip(",").lower()
    closed = low in DETERMINERS or low in PREPOSITIONS or low in _PRONOUNS or low in _SUBORDINATING or low == "to"
    return closed or not word[0].islower() or _is_adverb(low)


def _positive(word: str) -> str:
    word = word.replace("’", "'")
    return {"can't": "can", "won't": "will", "cannot": "cannot"}.get(word, word.removesuffix("n't"))


def _bare(word: str) -> str:
    return re.sub(r"(?:['’]s?)?[,;:.]*$", "", word).lower()


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower_initial(text: str) -> str:
    return text[:1].lower() + text[1:]


# --- back to a statement ----------------------------------------------------------------------------------------


def _subject_length(words: Sequence[str], auxiliary: str) -> int:
    """Return how many of the words after the auxiliary are the subject; 0 in doubt."""
    if not words or any(word[-1] in ",;:" for word in words[:4]):
        return 0
    first = words[0].lower()
    if first in _NOMINATIVE | {"it", "you", "there"}:
        return 1
    ends = _ends_at(auxiliary)
    for at in range(1, min(len(words), LONGEST_SUBJECT + 1)):
        before, word = words[at - 1], words[at]
        if word in _SUBORDINATING:
            return 0
        inside = before.lower() in DETERMINERS - _ALONE or before in PREPOSITIONS or before in {"and", "or"}
        if inside or word in {"of", "and", "or"}:
            continue
        if ends(word) and not before.endswith(("'s", "’s", "s'", "s’")):
            return at
        if (
            word.islower()
            and words[0][0].isupper()
            and all(w[0].isupper() for w in words[:at])
            and not _is_plural(word)
        ):
            # After a name the predicate begins, unless the name goes on as a noun ("Did Apple shares fall").
            nothing_later = not any(ends(later) for later in words[at + 1 : at + 3])
            return at if nothing_later and auxiliary in _BE | _DOING else 0
        if auxiliary in _BE and (word in PREPOSITIONS or (at == len(words) - 1 and at > 1)):
            return at if at == len(words) - 1 else 0
    return 0


def _ends_at(auxiliary: str) -> Callable[[str], bool]:
    """Return what tells the word with which the predicate begins."""

    def after_be(word: str) -> bool:
        predicate = word in DETERMINERS or _is_participle(word) or word in _ADJECTIVES
        return predicate or word == "not" or _is_adverb(word) or (word.endswith("ing") and len(word) > 5)

    def after_have(word: str) -> bool:
        return _is_participle(word) or word in {"been", "not"} or _is_adverb(word)

    def after_others(word: str) -> bool:
        return word in _VERBS or word in {"not", "be", "have", "do"} or _is_adverb(word)

    return after_be if auxiliary in _BE else after_have if auxiliary in _HAVE else after_others


# --- swapping ---------------------------------------------------------------------------------------------------


def _names(question: str) -> Iterator[re.Match[str]]:
    """Yield the runs of at most four capitalised words that do not open `question`."""
    for found in _NAME.finditer(question):
        if found.start() and found[0].count(" ") < 4 and found[0] != "I":
            yield found


def _like_name(name: str, known: str, others: Sequence[str]) -> Iterator[str]:
    size, kind = len(name.split()), _calendar(name)
    parts = set(re.findall(r"\w{4,}", known.lower()))
    for text in others:
        for found in _NAME.finditer(text):
            value = found[0]
            # A word that opens a sentence has its capital from there.
            opens = not found.start() or text[: found.start()].rstrip(" \n\"'“‘(")[-1:] in {"", ".", "?", "!", ":"}
            alike = abs(len(value.split()) - size) <= (size > 2) and _calendar(value) == kind
            alike &= value.isupper() == name.isupper()
            new = value.lower() not in known.lower() and parts.isdisjoint(re.findall(r"\w{4,}", value.lower()))
            if not opens and alike and new and value.lower() not in _FUNCTION | {"i", "no"}:
                yield value


def _calendar(name: str) -> str:
    return "month" if name in MONTHS else "day" if name in _DAYS else ""


def _like_number(number: str, known: str, others: Sequence[str]) -> Iterator[str]:
    there = {_value(found[0]) for found in _NUMBER.finditer(known)}
    for text in others:
        for found in _NUMBER.finditer(text):
            alike = bool(_YEAR.fullmatch(number)) == bool(_YEAR.fullmatch(found[0]))
            ours, theirs = _value(number), _value(found[0])
            alike &= ours / 10 <= theirs <= ours * 10 and ("." in number) == ("." in found[0])
            if alike and theirs not in there and found[0] not in known:
                yield found[0]


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _opposites(question: str, known: str) -> Iterator[tuple[tuple[int, int], str]]:
    low = known.lower()
    for found in re.finditer(r"[A-Za-z]+", question):
        opposite = _OPPOSITES.get(found[0].lower())
        if opposite and found.start() and not found[0][1:].isupper() and not re.search(rf"\b{opposite}\b", low):
            yield found.span(), _capitalised(opposite) if found[0][0].isupper() else opposite


def _fits(question: str, span: tuple[int, int], value: str) -> bool:
    """Whether an "a" or "an" before it still holds."""
    if not re.search(r"\b[Aa]n? $", question[: span[0]]):
        return True
    return (question[span[0]].lower() in "aeiou") == (value[0].lower() in "aeiou")


def _content(words: Iterable[str]) -> list[str]:
    return [word for word in words if _bare(word) not in _FUNCTION and re.search(r"\w", word)]


# --- words ------------------------------------------------------------------------------------------------------


def _sequence(words: str) -> tuple[str, ...]:
    return tuple(words.split())


def word_set(words: str) -> set[str]:
    """Return the words of a list that is written with spaces."""
    return set(words.split())


# Past and participle where it differs, after the infinitive; a noun as often as a verb is in _NOUNLIKE below.
_IRREGULAR = """
arise arose arisen|awake awoke awoken|bear bore borne|beat beat beaten|become became become|begin began begun|bend bent
bet bet|bind bound|bite bit bitten|bleed bled|blow blew blown|break broke broken|breed bred|bring brought
broadcast broadcast|build built|burst burst|buy bought|cast cast|catch caught|choose chose chosen|cling clung
come came come|cost cost|creep crept|cut cut|deal dealt|dig dug|do did done|draw drew drawn|drink drank drunk
drive drove driven|eat ate eaten|fall fell fallen|feed fed|feel felt|fight fought|find found|flee fled|fling flung
fly flew flown|forbid forbade forbidden|forecast forecast|foresee foresaw foreseen|forget forgot forgotten
forgive forgave forgiven|forgo forwent forgone|freeze froze frozen|get got gotten|give gave given|go went gone
grind ground|grow grew grown|hang hung|have had|hear heard|hide hid hidden|hit hit|hold held|hurt hurt|keep kept
kneel knelt|know knew known|lay laid|lead led|lean leant|leap leapt|leave left|lend lent|let let|lie lay lain|light lit
lose lost|make made|mean meant|meet met|mislead misled|mistake mistook mistaken|misunderstand misunderstood
outdo outdid outdone|outgrow outgrew outgrown|overcome overcame overcome|overhear overheard|override overrode overridden
oversee oversaw overseen|overtake overtook overtaken|overthrow overthrew overthrown|pay paid|put put|quit quit|read read
rebuild rebuilt|redo redid redone|repay repaid|retake retook retaken|rewrite rewrote rewritten|rid rid
ride rode ridden|ring rang rung|rise rose risen|run ran run|say said|see saw seen|seek sought|sell sold|send sent
set set|shake shook shaken|shed shed|shine shone|shoot shot|show showed shown|shrink shrank shrunk|shut shut
sing sang sung|sink sank sunk|sit sat|sleep slept|slide slid|speak spoke spoken|speed sped|spend spent|spin spun
split split|spread spread|spring sprang sprung|stand stood|steal stole stolen|stick stuck|sting stung|stink stank stunk
strike struck|string strung|strive strove striven|swear swore sworn|sweep swept|swell swelled swollen|swim swam swum
swing swung|take took taken|teach taught|tear tore torn|tell told|think thought|throw threw thrown|thrust thrust
undergo underwent undergone|understand understood|undertake undertook undertaken|undo undid undone|uphold upheld
wake woke woken|wear wore worn|weave wove woven|weep wept|win won|wind wound|withdraw withdrew withdrawn
withhold withheld|withstand withstood|write wrote written
"""
_FORMS = [entry.split() for entry in re.split(r"[|\n]", _IRREGULAR) if entry]
_PASTS = {entry[0]: entry[1] for entry in _FORMS} | {"be": "was"}
_LEMMAS = {entry[1]: entry[0] for entry in _FORMS if entry[0] != "lie"}
_PARTICIPLES = {entry[-1] for entry in _FORMS} | {"been", "born", "overrun", "known", "proven", "sewn", "sown"}
_UNCHANGED = {entry[0] for entry in _FORMS if entry[0] == entry[1]}
_NOUNLIKE = _UNCHANGED | word_set(
    """bit bore bound broke cast felt ground left lay lit meant rose saw shot spoke thought wound stole wove bent led"""
)

_VERBS_ONLY = """
accept achieve acquire adapt add adopt affect agree allow appear apply argue arise ask assert assume attend attract
avoid become begin believe belong bring carry cite claim combine compete comprise concern conduct confirm connect
consider consist constitute construct contain continue contribute convert cover create declare define deliver
demonstrate deny depend derive describe destroy determine develop die differ discuss display distribute divide elect
eliminate emerge emphasize employ enable encourage ensure enter establish evolve examine exceed exist expand explain
express extend facilitate fail feature follow gain generate give govern grow happen have help hold identify ignore
illustrate improve include incorporate indicate induce inhibit inform insist inspire involve keep know lack lead learn
leave lie like live lose maintain make manage mean modify need obtain occupy occur offer operate own participate
perform permit possess predict prefer prepare prevent preserve produce promote protect prove provide publish receive
recognize recommend recover reduce refer reflect regard regulate relate rely remain remember remove represent require
reside resist retain reveal satisfy say see seek seem select sell send serve sing solve speak specify stand stimulate
suffer suggest surround survive take teach tell tend think travel treat understand unite use vary want win write
activate alter appoint approve attain bind build cause change close come compare contrast control decrease drive earn
feed feel find focus form function get go host house increase issue join launch limit link look mark measure meet move
name open order pass pay plan play point present process range rank reach read report result return rise rule run
score search share show sit sound start state stay stop study supply support target trace turn value view visit vote
walk wear work accelerate accumulate act aim answer appeal attack attempt award call contact cross defeat demand
design draw end face fall fight finish force fund guide hope impact influence judge land last love mediate migrate mix
mutate oversee pull push raise record release rest secure spread stem store stress suppress talk taste trigger trade
transform watch cease contract allege announce arrest bombard cancel condemn criticize deploy detain execute impose
invade invest kill ratify reject resign sign strike threaten withdraw warn wish accuse block defend escape hate eat
drink fly sleep swim buy break catch choose throw hear lend lift light respond react attach accompany celebrate
collect communicate complete conclude correspond decide enjoy engage evaluate enhance exhibit experience fit hide hunt
import export imply inhabit inherit interact invent invite justify marry notice observe oppose organize originate
overlap persuade pray prohibit propose pursue qualify realize recall coincide replace reproduce resemble respect
rotate save separate settle shape speed spend split suit sponsor succeed surrender switch transmit transport trust
worship
"""
_VERBS = set(_VERBS_ONLY.split()) | {entry[0] for entry in _FORMS}
_VERBS_AND_NOUNS = word_set(
    """act aim answer appeal attack attempt attract award bear beat bend bet bind bite blow break broadcast burst buy
    call cast catch cause change claim close contact contract contrast control cost cover cross cut deal
    decrease defeat demand design display draw dream drink drive end escape experience export express face fall
    feature feed feel fight finish fit fly focus force forecast form function fund gain grind guide hang help
    hit hold hope host house hunt hurt impact import increase influence issue judge kill lack land last launch
    lay lead lean leap leave lie lift light like limit link live look love make mark meet measure mean mix move
    name need notice offer open order own pass pay permit plan play point present process pull push put quit
    raise range rank reach read record regard release report reproduce rest result return ride ring rise rule
    run save score search sense set shake shape share shed shoot show shut sign sink sit sleep slide sound speed
    spin split sponsor spread spring stand start state stay steal stem stick sting stop store stress strike
    string study suit supply support surrender swear sweep swell swim swing switch talk target taste tear think
    throw thrust trace trade transport travel treat trigger trust turn use value view visit vote wake walk want
    watch wear weave will win wind wish work worship wound"""
)

_BE = {"is", "are", "was", "were"}
_HAVE = {"has", "have", "had"}
_DOING = {"do", "does", "did"}
_MODALS = {"can", "could", "will", "would", "may", "might", "must", "should", "shall"}
_AUXILIARIES = _BE | _HAVE | _DOING | _MODALS
_FINITE = _BE | _HAVE | _MODALS | {"cannot"}
_BE_HAVE_DO = {**dict.fromkeys(_BE, "be"), **dict.fromkeys(_HAVE, "have"), **dict.fromkeys(_DOING, "do")}

DETERMINERS = word_set(
    """the a an this that these those each every some any no all both many most several few various another other such
    his her its their our my your one two three four five six seven eight nine ten eleven twelve much either
    neither more less enough half"""
)
_ALONE = word_set("this that these those each some all both many most several few one two three four half")
"""Determiners that can be a whole subject."""
_PRONOUNS = word_set("he she it they we you i there this these those who which him them us everyone someone nobody")
_NOMINATIVE = {"he", "she", "they", "we", "I"}
PREPOSITIONS = word_set(
    """in on at by for from with of to into onto over under between among through during since until after before
    against about around across along behind beyond near within without upon toward towards via per despite
    unlike like as throughout outside inside below above beside besides including following amid amidst off out
    up down given due according"""
)
_SUBORDINATING = word_set(
    """that which who whom whose where when why how what whether if because although though while whereas unless since
    after before until once so than whereby wherein"""
)
_NO_SUBJECT = (PREPOSITIONS - {"like"}) | (_SUBORDINATING - {"that"})
_NO_SUBJECT |= word_set(
    """and but or nor so yet as however also then thus therefore hence moreover furthermore meanwhile later today
    currently historically originally initially finally recently first second third here not only rather even
    just still nevertheless instead indeed again perhaps maybe often usually generally typically eventually
    subsequently additionally see note let please directly beneath being having despite yes no among none never
    rarely seldom neither both either like together whatever whoever there's"""
)
_ADVERBS = word_set(
    """also not never always often still soon then now just even ever once again already almost later first thus
    therefore however sometimes usually perhaps too instead indeed yet both alone together rather quite
    eventually"""
)
_NO_ADVERB = word_set(
    "family italy july assembly supply reply apply italy anomaly monopoly ally daily early only likely"
)
_ADJECTIVES = word_set(
    """new old large small great good bad big high low early late long short young major minor main modern ancient
    western eastern northern southern central first second third last next recent current former original common
    different important local national international public private human social political economic military
    natural general special similar full free certain possible strong weak medieval contemporary traditional
    global foreign total white black red green blue physical chemical biological cultural religious whole single
    multiple additional numerous higher lower larger smaller older younger later best better worst highest
    lowest largest smallest oldest dead alive able available likely true false real safe rich poor hot cold dark
    wide deep heavy"""
)
_COMMON = word_set(
    """people men women children students scientists researchers critics historians scholars water light oil gas air
    blood cells plants animals dogs cats birds fish trees teachers workers police parliament government
    education health research evidence data studies patients mice rats cancer exposure treatment food music art
    science mathematics physics chemistry medicine law trade war peace money gold silver iron steel oxygen
    hydrogen nitrogen carbon today members officials protesters rebels troops soldiers residents voters
    authorities prices sales shares rain snow membership construction work life death time space land energy
    power steam heat sound plastic paper wood glass stone about over nearly almost approximately around only
    half non least thousands hundreds millions dozens part parts economists experts engineers computer mutations
    increased reduced low loss lack levels use imperial complexity pharmacists pharmacies income inequality
    proteins bacteria viruses insulin vitamin"""
)
_PROPER = word_set(
    """english french german italian spanish dutch british american chinese japanese russian indian african european
    asian christian muslim jewish catholic islamic greek roman latin arab turkish polish swedish danish irish
    scottish welsh january february march april june july august september october november december monday
    tuesday wednesday thursday friday saturday sunday greeks turks muslims jews arabs danes swedes poles finns
    mongols tatars huns vikings beijing wyoming reading christianity judaism buddhism hinduism catholicism
    marxism calvinism protestantism zionism sikhism lutheranism methodism stalinism leninism maoism taoism
    darwinism confucianism italy germany philippines arctic atlantic baltic gothic montreal nepal senegal
    portugal bengal netherlands athens paris wales texas congress god beatles huguenots normans yankees olympics
    alps andes"""
)
_PLURAL_WORDS = word_set(
    """they we you people men women children these those some many most several few both others all police mice data
    bacteria media fish scientists critics"""
)
_NO_PAST = word_set(
    """need seed speed breed feed bleed indeed exceed proceed succeed united allied hundred sacred naked wicked kindred
    embed shred unprecedented so-called red bed shed biped steed tweed weed greed creed aged beloved infrared
    hatred moped"""
)
_NO_NOUN = (
    PREPOSITIONS | _SUBORDINATING | DETERMINERS | {"percent", "million", "billion", "times", "and", "or", "years"}
)
_HOLDING = {"have", "contain", "include", "own", "employ", "win", "comprise", "publish", "write", "serve", "operate"}
_SAYING = word_set("say believe think claim argue state show suggest find know report announce feel conclude note mean")
_HUMAN = word_set(
    """say believe think claim argue state suggest write marry die invent study teach work know tell speak want feel
    decide refuse ask graduate paint compose discover read explain admit deny announce resign meet visit
    describe born see hear go travel love learn note propose vote"""
)
_PEOPLE = word_set(
    """man woman people person king queen emperor president minister scientist player teacher student author singer
    actor writer poet artist leader general officer soldier lawyer doctor engineer historian chief mayor
    governor senator judge prince princess pope bishop physicist chemist critic child boy girl mother father son
    daughter brother sister wife husband member official customer worker resident researcher scholar settler
    citizen coach professor chancellor pharmacist patient men women children police sir lord captain colonel
    commander astronaut farmer spokesman spokeswoman"""
)
_ORGANISATIONS = word_set(
    """university college school institute company corporation inc group league club church council committee agency
    department ministry court party union association society foundation bank commission congress parliament
    senate army navy force forces empire dynasty kingdom republic state states city county river lake mountain
    mount island islands sea ocean bay war battle treaty act law bill amendment award awards prize museum
    library hospital station airport bridge street road park stadium tower building center centre festival games
    cup bowl program project mission theory model system series show album film book magazine news times press
    journal records studios channel network airlines airways aviation motors electric technologies systems
    services industries valley desert coast region district province revolution movement convention conference
    protocol constitution declaration plan office house palace castle cathedral abbey theatre theater hall
    orchestra team united panthers broncos code language languages canal march fund rights years age period
    culture religion media software tv radio world international"""
)
_PLACES = word_set(
    """north south east west new los las san santa saint st great royal national united central hong sri saudi costa el
    cape fort port mount lake western eastern northern southern european american british french german african
    asian chinese japanese russian english soviet roman greek federal international global super doctor apollo
    world big free black red white old first second third"""
)
_DROPPED_FIRST = word_set("the a an is are was were did does do has have had be been of it")
_FUNCTION = (
    DETERMINERS | _PRONOUNS | PREPOSITIONS | _SUBORDINATING | _AUXILIARIES | {"and", "or", "but", "not", "be", "been"}
)

MONTHS = _sequence("January February March April May June July August September October November December")
_DAYS = _sequence("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")

_PAIRS = """
first last|before after|largest smallest|larger smaller|large small|increase decrease|increases decreases
increased decreased|increasing decreasing|north south|northern southern|east west|eastern western|male female|win lose
won lost|never always|more less|most least|highest lowest|higher lower|high low|oldest youngest|older younger|early late
earlier later|best worst|better worse|longest shortest|longer shorter|fastest slowest|faster slower|accept reject
accepted rejected|begin end|began ended|open close|opened closed|inside outside|above below|men women|man woman
father mother|son daughter|brother sister|husband wife|king queen|rich poor|richest poorest|positive negative
strong weak|majority minority|internal external|minimum maximum|ancient modern|public private|allow forbid
allowed forbidden|with without|buy sell|bought sold|rise fall|rose fell|import export|left right|legal illegal
possible impossible|upper lower|same different|hot cold|young old|supported opposed|gain lose
"""
# Where a word stands in two pairs, its first opposite is the one.
_OPPOSITES: dict[str, str] = {}
for _one, _other in (pair.split() for pair in re.split(r"[|\n]", _PAIRS) if pair):
    _OPPOSITES.setdefault(_one, _other)
    _OPPOSITES.setdefault(_other, _one)

_EXTRA_BASES = {
    **{past_form: past_form[:-1] for past_form in ("died", "tied", "lied", "vied", "agreed", "freed", "decreed")},
    **{past_form: past_form[:-2] for past_form in ("focused", "biased", "belonged", "hanged", "banged", "prolonged")},
    **{past_form: past_form[:-2] for past_form in ("combated", "formated", "wronged", "canvased", "gased")},
    **{"guaranteed": "guarantee", "refereed": "referee", "exceeded": "exceed", "disagreed": "disagree"},
    **{
        "picnicked": "picnic",
        "mimicked": "mimic",
        "debuted": "debut",
        "massacred": "massacre",
        "welcomed": "welcome",
        "trafficked": "traffic",
        "fulfilled": "fulfil",
    },
    **{past_form: past_form[:-1] for past_form in ("tasted", "wasted", "pasted", "bathed", "breathed", "clothed")},
}
# The stem of "-ed" lost an e: by its end, unless _NO_E speaks against it, or by the word.
_SILENT_E = re.compile(
    r"(?:[cvuz]|[^s]s|[^aeiou]l|[aeiou]g|[dlnr]g|[ai]d|[eo]d|ud|at|ut|in|ir|ar|ur|il|ul|am|um|im|ap|ip|yp|ak|ik|ok|uk"
    r"|ib|ob|et|yn|yr|ys|az|af)$"
)
_NO_E = re.compile(
    r"(?:[aeo][aeiou][dgklmnprt]|[iu]at(?<![iu]at)|out|oud|our|[ae]id|uid(?<!guid)|[^aeiou][lr]l|rl|wl|hl"
    r"|mmit|gag(?<!ngag)|zag|combat|targ[e]t|mark[e]t|budget|ket|get|geted|aunt|ceil|veil|oil|model|civil|pencil|"
    r"council|signal|total|equal|rival|petit|dialog|catalog|alphabet|interpret|blanket|forfeit|cabinet|diet|fidget|"
    r"(?<![d])ium|ransom|vacuum|gossip|worship|kidnap|wiretap|develop|envelop|gallop|blossom|polic(?<!polic))$"
)
_SILENT_E_TOO = re.compile(
    r"(?:(?:^|[^f])(?:unit|invit|excit|ignit|recit|incit|reunit|cit|writ|despit)|[vnqd]ot|mot|postpon|clon|phon|zon|condon|ton"
    r"|conven|interven|interfer|adher|persever|explor|restor|ignor|stor|scor|ador|implor|deplor|bor|consol|hop|cop|creat"
    r"|recreat|initiat|associat|negotiat|affiliat|evaluat|graduat|situat|appreciat|differentiat|radiat|retaliat|devot|"
    r"quot|rul|eliminat|guid)$"
)

_YEAR = re.compile(r"(?<![\d.,])(?:1\d{3}|20\d\d)(?![\d%]|,\d|\.\d)")
_NUMBER = re.compile(r"(?<![\w.,–-])\d{1,3}(?:,\d{3})+(?![\w,])|(?<![\w.,–-])\d{1,9}(?:\.\d{1,4})?(?![\w–]|[,.]\d)")
_DOUBLED = word_set(
    """occur refer prefer permit commit admit submit control compel transfer regret equip omit incur deter confer rebel
    propel expel patrol infer concur recur emit transmit acquit program kidnap format quit"""
)
_COUNT = re.compile(
    r"(?!1[0-9]{3}$|20[0-9]{2}$)\d{1,3}(?:,\d{3})*|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|"
    r"fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty"
)
_NAME = re.compile(r"\b[A-Z][\w-]*(?: (?:[A-Z]\. )?[A-Z][\w-]*)*")
_MONTH = rf"(?:{'|'.join(MONTHS)})"
_DATE = (
    rf"(?:\d{{1,2}} {_MONTH}(?:,? \d{{4}})?|{_MONTH}(?: \d{{1,2}}(?!\d)(?:, \d{{4}})?|,? \d{{4}})?"
    r"|(?:the )?(?:early |late |mid-)?(?:1\d{3}|20\d\d)s?)"
)
_TIME = re.compile(rf"(?:(?<=\s)|^)([Ii]n|[Oo]n|[Ss]ince|[Dd]uring) {_DATE}(?![\w-])")
_LEAD = re.compile(rf"^((?:In|On|Since|During) {_DATE}),? (?=[A-Z]|the |a |an |he |she |it |they |his |her |its )")
_LINK = re.compile(
    r"^(?:However|Moreover|Furthermore|Additionally|Also|Thus|Therefore|Consequently|Instead|Nevertheless|In addition"
    r"|For example|For instance|As a result|In fact|Similarly|Finally|Subsequently|Meanwhile|Indeed|Hence|In contrast"
    r"|On the other hand|Today|Historically|Currently|Initially|Originally|Eventually|Unfortunately|Traditionally), "
)
