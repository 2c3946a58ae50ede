"""Text -> sentences and passages, as spans: pure functions on offsets.

    split_sentences     one span per sentence, none leaving its paragraph
    split_paragraphs    one span per block of running text, heading, list item or table row
    group_sentences     neighbouring sentences that together fit a window of tokens

Lines come first: what separates paragraphs is decided once, and no sentence crosses it. Inside a paragraph every
terminal (full stop, question mark, ...) is a candidate that `_Segment` accepts or refuses by its two neighbours. All of
it is linear in the length of the text, whatever the text is.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from index.articles import Span

LONGEST_SENTENCE = 1500
"""Code points; what has no end for longer is cut, so that a quote stays quotable."""

MOST_SENTENCES = 500_000
"""Of one text: seconds to split, and more than any book has."""


def split_sentences(text: str, body: Span | None = None) -> list[Span]:
    """Return the sentences of `body` (default: all of `text`) in order, each without white space at its ends.

    They never overlap and none leaves its paragraph. Every letter and digit of the body lies in exactly one; bullets,
    heading hashes, the quote marks of e-mails and ornaments without letters may lie in none.
    """
    return [
        piece
        for paragraph in split_paragraphs(text, body)
        for segment in _segments(text, paragraph)
        for start, end in pairwise(_Segment(text, *segment).cuts())
        for piece in _quotable(text, start, end)
    ]


def sentences_at_most(text: str) -> int:
    """Return a number that `len(split_sentences(text))` never exceeds, found in a fraction of the time."""
    marks = sum(text.count(mark) for mark in _DIVIDING)
    return 1 + marks + 2 * len(text) // LONGEST_SENTENCE


def has_too_many_sentences(text: str) -> bool:
    """Whether splitting `text` could give more than MOST_SENTENCES."""
    return len(text) > MOST_SENTENCES and sentences_at_most(text) > MOST_SENTENCES


def split_paragraphs(text: str, body: Span | None = None) -> list[Span]:
    """Return the paragraphs of `body` (default: all of `text`) in order, each without white space at its ends.

    A blank line, a form feed or U+2029 ends a paragraph. Any other line break does too, unless the text is hard-wrapped
    and the break is one that the wrapping made. Everything but white space lies in exactly one paragraph.
    """
    lines = list(_lines(text, body))
    width = _wrapped_width(text, lines)
    if width is None:
        return [Span(line.start, line.end) for line in lines]
    return list(_unwrapped(text, lines, width))


def group_sentences(lengths: Sequence[int], *, window: int, overlap: int) -> list[tuple[int, int]]:
    """Return half-open ranges of neighbouring ordinals whose summed `lengths` fit `window`, in order.

    Consecutive ranges share `overlap` sentences, or fewer where sharing them would leave no room for a new one. A
    sentence longer than the window stands alone. Every sentence is in at least one range, no range within another.
    Raises ValueError where `window` < 1, or `overlap` or a length < 0.
    """
    if window < 1 or overlap < 0 or min(lengths, default=0) < 0:
        raise ValueError(f"no passages of {window} tokens with {overlap} shared sentences")
    before = [0, *accumulate(lengths)]
    ranges: list[tuple[int, int]] = []
    first, last = 0, 0
    while last < len(lengths):
        first = max(first, last - overlap)
        # A range must reach further than the one before it, so its first sentence gives way to the next one at its end.
        while first < last and before[last + 1] - before[first] > window:
            first += 1
        last = max(last + 1, bisect_right(before, before[first] + window) - 1)
        ranges.append((first, last))
    return ranges


# --- lines and paragraphs ---------------------------------------------------------------------------------------------

_BREAKS = "\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
_LINE = re.compile(rf"\S[^{_BREAKS}]*")
_TABLE_ROW = r"\||[^\t\n]*\t[^\t\n]*\t|[^|\n]+\s\|\s[^|\n]+\s\|\s"
_ALONE = re.compile(rf"#{{1,6}}\s|{_TABLE_ROW}")
_BULLET = re.compile(r"[-*+·–]\s|[•‣◦⁃▪●]")
_NUMBERED = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})(?:\.\)|[.)])\s")
_OPEN_END = re.compile(r"[^\W_][,-]?$")
_GOES_ON = re.compile(r"\s(?:the|an?|of|and|or|to|with|by|from|for|that|than)$")
_LOWER_START = re.compile(r"(?:>\s*)*[\"'“‘«(\[]?[^\W\d_]")

LONGEST_WORD = 20
NARROWEST_WRAP, WIDEST_WRAP = 40, 120
"""Columns of hard-wrapped text: a newspaper column of a PDF, and a full page in small print."""


class _Line(NamedTuple):
    start: int
    end: int
    width: int  # columns up to `end`, indentation included
    follows: bool  # on the line just before it, with no blank line between


def _lines(text: str, body: Span | None) -> Iterator[_Line]:
    begin, end = (body.start, body.end) if body else (0, len(text))
    previous = None
    for found in _LINE.finditer(text, begin, end):
        gap = text[previous if previous is not None else begin : found.start()]
        indent, follows = _read_gap(gap)
        length = len(found.group().rstrip())
        yield _Line(found.start(), found.start() + length, indent + length, follows and previous is not None)
        previous = found.end()


def _read_gap(gap: str) -> tuple[int, bool]:
    """Return the indentation after the last break in `gap`, and whether it holds no more than one plain break."""
    if gap == "\n":
        return 0, True
    # The full stop makes a line of what follows the last break, even where nothing does.
    parts = (gap + ".").splitlines()
    return len(parts[-1]) - 1, len(parts) <= 2 and "\f" not in gap and "\u2029" not in gap


def _wrapped_width(text: str, lines: list[_Line]) -> int | None:
    """Return the column at which the text was hard-wrapped; None where each line is a paragraph of its own.

    Wrapped text has no long lines, and many of its breaks fall inside a sentence, after a line so full that the next
    word did not fit. Lists, verse and one-line paragraphs end their lines for other reasons.
    """
    narrow = [line.width for line in lines if line.width <= WIDEST_WRAP]
    width = max(narrow, default=0)
    if width < NARROWEST_WRAP or sum(narrow) < 0.8 * sum(line.width for line in lines):
        return None
    breaks = [(a, b) for a, b in pairwise(lines) if b.follows and not _stands_apart(text, a, b)]
    within = sum(_is_full(text, a, b, width) and _is_open(text, a, b) for a, b in breaks)
    return width if within and within >= 0.3 * len(breaks) else None


def _unwrapped(text: str, lines: list[_Line], width: int) -> Iterator[Span]:
    start = lines[0].start
    for line, following in pairwise(lines):
        joined = (
            following.follows
            and not _stands_apart(text, line, following)
            and (_is_full(text, line, following, width) or _is_open(text, line, following))
        )
        if not joined:
            yield Span(start, line.end)
            start = following.start
    yield Span(start, lines[-1].end)


def _is_full(text: str, line: _Line, following: _Line, width: int) -> bool:
    """Whether the next line's first word would not have fitted; with slack, as printed letters differ in width."""
    word = text[following.start : following.start + width].split(maxsplit=1)[0]
    # A long word, such as a URL, starts a line wherever it stands.
    return line.width + 1 + min(len(word), LONGEST_WORD) > 0.8 * width


def _is_open(text: str, line: _Line, following: _Line) -> bool:
    """Whether the sentence visibly goes on: a word that ends none, or no punctuation and then a small letter."""
    tail = text[max(line.start, line.end - 6) : line.end]
    start = _LOWER_START.match(text, following.start, following.end)
    return bool(_GOES_ON.search(tail) or (start and start.group()[-1].islower() and _OPEN_END.search(tail)))


def _stands_apart(text: str, line: _Line, following: _Line) -> bool:
    """Whether a heading, table row or list item forbids joining two lines."""
    if _ALONE.match(text, line.start, line.end) or _ALONE.match(text, following.start, following.end):
        return True
    if _BULLET.match(text, following.start, following.end):
        return True
    # "28. The" may also start a line in the midst of a sentence.
    numbered = _NUMBERED.match(text, following.start, following.end)
    return bool(numbered) and not text[line.end - 1].isalnum()


# --- sentences of one paragraph ---------------------------------------------------------------------------------------

_WIDE = "。！？｡．"  # need no space after them
_TERMINALS = f".!?…‼⁇⁈⁉؟۔।॥።፧։។៕{_WIDE}"
_QUOTES = "\"'”’»›」』"
# One class of characters stands first, so that the search skips from one of them to the next.
_CANDIDATE = re.compile(
    rf"""(?P<run>[{_TERMINALS}:;=](?:
             (?<=\w\.)(?=(?:\s\.){{3}}\s[A-Z])                   # "We left. . . . The end": full stop, omission
           | (?<=[{_TERMINALS}])[{_TERMINALS}]*+(?:\s++\.(?!\w))*+  # "?!", "...", ". . ."
           | (?<=\s[:;=])['-]?[()DP]+(?=\s|\Z)                    # a smiley
         ))
         (?P<closing>(?:
             [{_QUOTES})\]}}）】》〉*_] | [“‘](?=\s|\Z)              # „German“
           | \s(?:["”»)\]]|'')(?=\s|\Z)                           # set off by a space, as in French
           | \[[^\n\[\]]{{1,40}}\] | [¹²³⁰⁴-⁹]                    # footnote marks
           | :\d{{1,4}}(?:[,–-]\s?\d{{1,4}})*+                    # pages after a footnote mark
           | \s[:;=]['-]?[()DP]+(?=\s|\Z)
         )*+)
         (?P<gap>\s*+)""",
    re.VERBOSE,
)
_LETTER = re.compile(r"[^\W_]")
# All at which a text can be divided: breaks, terminals, smileys, bullets, and the labels of items that run on.
_DIVIDING = frozenset(f"\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029{_TERMINALS}:;=•‣◦⁃▪●)")
_MARKERS = re.compile(r"(?:[>#*+–-]+\s+|[•‣◦⁃▪●]\s*)*+")
_INLINE_BULLET = re.compile(r"(?<=\s)[•‣◦⁃▪●](?=\s*+\S)")
_ITEM_LABEL = re.compile(r"(\(?)(\d{1,3}|[a-z])(\.\)|[.)])\s+")
_INLINE_ITEM = re.compile(rf"(?<=\s){_ITEM_LABEL.pattern}(?=\S)")
# A dash is no mark that opens: "WASHINGTON, D.C. — The senate".
_NEXT_WORD = re.compile(r"(?:[^\w\s—–-]|_){0,6}\s?(?P<word>\d+|[^\W\d_]+)?")
_WORD_LIMIT = re.compile(r"[\s\"“‘«(\[{*_—–/;,-]+")
_BARE_LABEL = re.compile(r"[^\w\s]*(?:\d{1,3}(?:\.\d{1,3})*|[A-Za-z]|[ivxIVX]{1,4})")
_DOTTED = re.compile(r"[^\W\d_]{1,2}(?:\.[^\W\d_]{1,2})++")
_ROMAN_OR_LETTER = re.compile(r"[IVXLC]{1,5}|[A-Z]")
_SHORTENED = re.compile(r"\d{1,2}|[^\W\d_aeiouyAEIOUY]{2,5}")
_ATTRIBUTION = re.compile(
    r"(?:[A-Z][\w.’'-]*\s+){1,4}(?:said|says|asked|asks|told|wrote|writes|added|replied|tweeted|shouted|cried)\b"
)


def _words(listing: str) -> frozenset[str]:
    return frozenset(listing.split())


# Words before a full stop. With a capital here: only with a capital ("Gen." is a title, a "gen." may be anything).
_NEVER_FINAL = _words(
    """mr mrs ms messrs mme mlle dr drs prof profs e.g i.e eg ie vs cf viz ca approx lit resp incl Rev Hon Gen Lt Col
    Maj Capt Cmdr Adm Sgt Cpl Pvt Gov Sen Rep Pres Supt"""
)
_BEFORE_NUMBER = _words("no nos n° nº nr p pp fig figs vol vols ch chap sec art para op eq ref refs ext tel")
# Final before a word that opens sentences, and else not: "the U.S. Army", "Apple Inc. Chairman", but "Apple Inc. The".
_SELDOM_FINAL = _words(
    """inc corp co cos ltd llc plc pty bros jr sr esq al ed eds dept univ assn intl natl st ste ave blvd rd hwy Mt Ft
    Ala Ariz Ark Calif Colo Conn Del Fla Ga Ill Ind Kan Ky La Md Mass Mich Minn Miss Mo Mont Neb Nev Okla Ore Pa Tenn
    Tex Vt Va Wash Wis Wyo Ont Que"""
)
_DATES = _words("Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun")
_ZONES = _words("est edt cst cdt mst mdt pst pdt et pt ct mt gmt utc bst cet eastern")
_WEEKDAYS = _words("monday tuesday wednesday thursday friday saturday sunday")
_OFTEN_FINAL = _DATES | _words("etc oz lb lbs hr hrs min mph km kg cm mm ft a.m p.m")
# Words of the closed classes: a capital makes them, almost always, the first of a sentence.
_OPENERS = _words(
    """the a an this that these those each every some any all both many most much few several such another other no none
    i he she it we you they my your his her its our their there here who whose what which when where why how
    if while although though because since unless until after before and but or nor so yet
    in on at by for from with without of to into over under about between among during through against despite as like
    than not only even also however moreover meanwhile nevertheless still then thus therefore now later earlier once
    just according is are was were do does did has have had could would should must might let please"""
)
_OPENERS_AND_NAMES = _words("an so do no")


def _segments(text: str, paragraph: Span) -> Iterator[tuple[int, int]]:
    """Yield the parts of a paragraph that a list divides which runs on within it: "1. Tea 2. Milk", "• tea • milk"."""
    bullets = (found.start() for found in _INLINE_BULLET.finditer(text, paragraph.start, paragraph.end))
    starts = {paragraph.start, *bullets, *_inline_items(text, paragraph)}
    yield from pairwise([*sorted(starts), paragraph.end])


def _inline_items(text: str, paragraph: Span) -> Iterator[int]:
    """Yield where the second, third, ... item begins, if the paragraph begins with the first of several."""
    first = _ITEM_LABEL.match(text, _after_markers(text, paragraph.start, paragraph.end), paragraph.end)
    if first is None:
        return
    # Only the very next label counts, so that no other number or letter is taken for one.
    following = _label_after(first)
    for found in _INLINE_ITEM.finditer(text, first.end(), paragraph.end):
        if found.groups() == following:
            yield found.start()
            following = _label_after(found)


def _label_after(found: re.Match[str]) -> tuple[str, str, str]:
    opening, label, closing = found.groups()
    return opening, str(int(label) + 1) if label.isdecimal() else chr(ord(label) + 1), closing


def _after_markers(text: str, start: int, end: int) -> int:
    found = _MARKERS.match(text, start, end)
    return found.end() if found else start


class _Segment:
    """Running text on its way to sentences: the one at hand begins at `start`, its first letter stands at `letter`."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text = text
        self.end = end
        self.last_letter = end - 1
        while self.last_letter > start and not text[self.last_letter].isalnum():
            self.last_letter -= 1
        self._begin(start)

    def cuts(self) -> Iterator[int]:
        """Yield where each sentence begins, markers included, and where the last one ends."""
        yield self.start
        for found in _CANDIDATE.finditer(self.text, self.start, self.end):
            if self._is_end(found):
                self._begin(found.end())
                yield found.end()
        yield self.end

    def _begin(self, at: int) -> None:
        self.start = _after_markers(self.text, at, self.end)
        letter = _LETTER.search(self.text, at, self.end)
        self.letter = letter.start() if letter else self.end

    def _is_end(self, found: re.Match[str]) -> bool:
        """Whether a sentence ends with these terminals and the closing marks after them."""
        run, closing, gap = found.group("run", "closing", "gap")
        # Before the first letter and after the last there is nothing to divide.
        if found.start() < self.letter or found.end() > self.last_letter:
            return False
        following = self.text[found.end()]
        if run[-1] in _WIDE:
            # 「はい。」と言った: a particle carries the sentence on.
            return not (closing and "\u3041" <= following <= "\u309f")
        if not gap:
            return run[-1] in "!?" and "\u3041" <= following <= "\u9fff"
        word = self._next_word(found.end())
        if run == ".":
            return self._full_stop_ends(found, word)
        if run[-1] in ".…":
            return self._ellipsis_ends(found, word)
        if run[-1] in "!?":
            return self._exclamation_ends(found, word)
        return run[-1] in _TERMINALS or word[:1].isupper()

    def _full_stop_ends(self, found: re.Match[str], word: str) -> bool:
        if (found["closing"] and word.islower()) or _BARE_LABEL.fullmatch(self.text, self.start, found.start()):
            return False
        before = self._word_before(found.start())
        capital = word[:1].isupper()
        opens = capital and word.lower() in _OPENERS
        if _is_one_of(before, _NEVER_FINAL):
            return False
        if len(before) == 1 and before.isalpha() and before != "p":
            return self._initial_ends(found, before, word, opens=opens)
        if _is_one_of(before, _BEFORE_NUMBER):
            return capital and not _ROMAN_OR_LETTER.fullmatch(word)
        if _is_one_of(before, _OFTEN_FINAL):
            within_time = word.lower() in _ZONES | _WEEKDAYS or _is_one_of(word, _DATES)
            # "At 5 a.m. Mr. Smith": too little for a sentence.
            return capital and not within_time and found.start() - self.start > len("At 10:30 a.m")
        if _DOTTED.fullmatch(before) or _is_one_of(before, _SELDOM_FINAL):
            # "P.S. I love you": an abbreviation alone is no sentence.
            return opens and self.start + len(before) < found.start()
        # "3. small letters", "Foo Bhd. said": the two neighbours speak against an end.
        return not (word.islower() and _SHORTENED.fullmatch(before))

    def _initial_ends(self, found: re.Match[str], before: str, word: str, *, opens: bool) -> bool:
        if before == "I" and not self._word_before(found.start() - 2)[:1].isupper():
            return True
        return opens and word.lower() not in _OPENERS_AND_NAMES

    def _ellipsis_ends(self, found: re.Match[str], word: str) -> bool:
        omission = found["closing"].startswith("]") and self.text[found.start() - 1] == "["
        # A digit has no capital form, and "I" has no other.
        return not (omission or word[:1].islower() or word[:1].isdigit() or word == "I")

    def _exclamation_ends(self, found: re.Match[str], word: str) -> bool:
        if word[:1].islower():
            name = self._word_before(found.start()) if found["run"] == "!" else ""
            inside = found.start() - len(name) > self.start
            return not (found["closing"] or (inside and name.istitle()))
        # “Why?” Mr. Kuleba asked.
        quoted = self.text[self.start] in "\"'“‘«" and not set(_QUOTES).isdisjoint(found["closing"])
        return not (quoted and _ATTRIBUTION.match(self.text, found.end(), self.end))

    def _word_before(self, at: int) -> str:
        """Return the word that touches `at` from the left; empty where none does."""
        return _WORD_LIMIT.split(self.text[max(self.start, at - 24) : at])[-1].lstrip("'")

    def _next_word(self, at: int) -> str:
        """Return the first word from `at` on, up to an apostrophe or hyphen, without quotation marks before it."""
        found = _NEXT_WORD.match(self.text, at, self.end)
        return (found and found["word"]) or ""


def _is_one_of(word: str, listing: frozenset[str]) -> bool:
    return word.lower() in listing or (word[:1].isupper() and word.capitalize() in listing)


# --- from sentences to quotable spans ---------------------------------------------------------------------------------

_CLAUSE_END = re.compile(r"[,;:)\]—–、，；：]\s+|[、，；：]")
_SPACE = re.compile(r"\s+")


def _quotable(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield `[start, end)` without markers and white space, in quotable pieces; nothing where no letter is."""
    start = _after_markers(text, start, end)
    while end - start > LONGEST_SENTENCE:
        cut = _best_cut(text, start, end)
        yield from _stripped(text, start, cut)
        start = cut
    yield from _stripped(text, start, end)


def _stripped(text: str, start: int, end: int) -> Iterator[Span]:
    piece = text[start:end]
    if _LETTER.search(piece):
        start += len(piece) - len(piece.lstrip())
        yield Span(start, start + len(piece.strip()))


def _best_cut(text: str, start: int, end: int) -> int:
    """Return where to cut: after the window's last clause, else after its last white space, else between characters."""
    limit = start + LONGEST_SENTENCE
    for pattern in (_CLAUSE_END, _SPACE):
        ends = [found.end() for found in pattern.finditer(text, start + LONGEST_SENTENCE // 2, limit)]
        if ends:
            return ends[-1]
    while limit < end and _clings(text, limit):
        limit += 1
    return limit


def _clings(text: str, at: int) -> bool:
    """Whether the character at `at` is drawn as part of the one before it."""
    joined = "\u200d" in text[at - 1 : at + 1]
    low_surrogate, skin_tone = "\udc00" <= text[at] <= "\udfff", "\U0001f3fb" <= text[at] <= "\U0001f3ff"
    return joined or low_surrogate or skin_tone or unicodedata.category(text[at]).startswith("M")
