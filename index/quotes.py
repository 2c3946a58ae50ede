"""Where a pasted quote stands in a text: word for word, changed, or nowhere. Pure functions, no I/O.

A verbatim place is searched for in the text with its white space made one space, and its offsets are carried back. A
changed place is looked for in three steps: the stretches of the text that share the quote's rare words, in each of them
the words that come in the same order, and the run of those that lies densest. Every step is linear, or nearly so, and
the second, which is not, only ever sees a stretch a few times as long as the quote; so no text makes it slow.
"""

import math
import re
import sys
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, groupby, pairwise, takewhile
from typing import Literal, NamedTuple

from rapidfuzz import fuzz, process
from rapidfuzz.distance import LCSseq

from index.articles import Span
from index.errors import TooLargeError

LONGEST_QUOTE = 5000

# Of sentences of SQuAD 1.1 dev (`tune`), searched in their own article: all were found with a number, a name or a
# "not" changed, 98 % with a clause left out, 99 % with a third of the words left out, 97 % with clauses reordered,
# 98 % with 30 % of the words replaced, 72 % with 40 %. Searched in the 20 other articles (730,000 characters): none of
# 300. Searched in their own without the sentence itself: 3.3 % of 600, many of which say much the same.
LEAST_SIMILARITY = 0.6
# Fragments of 3 to 6 words resemble something in any long text (14 to 62 % of those above), but share less than this.
_LEAST_SHARED_LETTERS, _LEAST_SHARED_WORDS = 20, 8


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a quote beside its source.

    same: stands in both; left_out: in the source, not in the quote; put_in: in the quote, not in the source.
    """

    kind: Literal["same", "left_out", "put_in"]
    text: str


@dataclass(frozen=True, slots=True)
class Altered:
    """The place of a text that a quote was changed from.

    span: in code points of the text; it begins and ends at the edge of a word, or of the punctuation beside one.
    similarity: in (0, 1], the letters of the words that both have in the same order, against all letters of both.
    only_form: the words are the same, but for case, punctuation, quotation marks, invisible characters and white space.
    difference: as `word_difference` has it.
    """

    span: Span
    similarity: float
    only_form: bool
    difference: tuple[Piece, ...]


# --- word for word ------------------------------------------------------------------------------------------------


def find_verbatim(quote: str, text: str) -> Span | None:
    """Return the first place where `quote` stands in `text` word for word; None where it does not, or is blank.

    White space may differ, and a pair of quotation marks around the whole quote is taken off where the text has none
    there. The place neither begins nor ends inside a word or a number: "art" does not stand in "party", "can" not in
    "can't", "3" not in "3.5". In scripts without spaces between words every character may begin or end it.
    Raises TooLargeError where the quote is longer than LONGEST_QUOTE.
    """
    spaced = _spaced(text)
    return next((place for wording in _wordings(quote) for place in _places(wording, spaced)), None)


def all_verbatim(quote: str, text: str) -> list[Span]:
    """Return every place that `find_verbatim` could have returned, in order; they do not overlap."""
    spaced = _spaced(text)
    return next((places for wording in _wordings(quote) if (places := list(_places(wording, spaced)))), [])


def _wordings(quote: str) -> Iterator[str]:
    """Yield the quote with single spaces, then without the quotation marks around it; none where nothing is left."""
    flat = _flat(_checked(quote))
    bare = _bare(flat)
    yield from (wording for wording in dict.fromkeys((flat, bare)) if wording)


def _checked(quote: str) -> str:
    if len(quote) > LONGEST_QUOTE:
        raise TooLargeError(
            f"The quote has {len(quote):,} characters, more than {LONGEST_QUOTE:,}; send it in shorter pieces."
        )
    return quote


def _flat(text: str) -> str:
    return " ".join(text.split())


_ENCLOSING = {
    *("“”", "‘’", "«»", "»«", "‹›", "›‹", "„“", "„”", "‚‘", "‚’", "””", "’’", "「」", "『』", "《》", '""', "''", "``")
}


def _bare(flat: str) -> str:
    """Return a quote without the one pair of quotation marks around all of it, where it has one."""
    return flat[1:-1].strip() if len(flat) > 1 and flat[0] + flat[-1] in _ENCLOSING else flat


_WHITE_SPACE = "".join(c for c in map(chr, range(0x21, 0x3001)) if c.isspace()) + "\t\n\v\f\r\x1c\x1d\x1e\x1f"
_RUN = re.compile("  +")


def _spaced(text: str) -> str:
    """Return `text` with a space for every character that is white space; the offsets stay."""
    # One pass in C for each of them that occurs: five times as fast as `split` and `join`.
    for character in _WHITE_SPACE:
        text = text.replace(character, " ")
    return text


def _places(wording: str, spaced: str) -> Iterator[Span]:
    found = re.finditer(_standing_alone(wording), _RUN.sub(" ", spaced))
    if (first := next(found, None)) is None:
        return
    positions, shifts = _shifts(spaced)
    for match in chain([first], found):
        # The last character is carried back, not the end: that may be followed by any amount of white space.
        start, last = match.start(), match.end() - 1
        yield Span(
            start + shifts[bisect_right(positions, start) - 1],
            last + shifts[bisect_right(positions, last) - 1] + 1,
        )


def _shifts(spaced: str) -> tuple[list[int], list[int]]:
    """Return by how much offsets grow where runs of spaces come back, and from which offset of the short text on."""
    positions, shifts = [0], [0]
    for run in _RUN.finditer(spaced):
        positions.append(run.start() - shifts[-1] + 1)
        shifts.append(run.end() - positions[-1])
    return positions, shifts


# --- words --------------------------------------------------------------------------------------------------------

# Accents, vowel signs and the like: `\w` does not hold them. Those beyond the BMP belong to no script in use.
_MARKS = "".join(chr(c) for c in range(0x300, 0x10000) if unicodedata.category(chr(c)).startswith("M"))
# Kana, Han, Thai, Lao, Burmese, Khmer: written without spaces, so that each character counts as a word.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
_UNSPACED += r"\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
_INVISIBLE = "\u00ad\u200b-\u200f\u2060\ufeff"

_LETTERS = rf"(?:[^\W{_UNSPACED}]++[{_MARKS}]*+)++"
_WORD = rf"\d++(?:[.,]\d++)++|[{_UNSPACED}][{_MARKS}]*+|{_LETTERS}(?:['’{_INVISIBLE}]{_LETTERS})*+"
_WORDS = re.compile(_WORD)
_TOKENS = re.compile(rf"{_WORD}|\S[{_MARKS}]*+")
_SPACED_TOKENS = re.compile(rf"( ?)({_TOKENS.pattern})")
_UNSEEN = re.compile(f"[{_INVISIBLE}]")


def _standing_alone(wording: str) -> str:
    """Return a pattern for `wording` where it neither begins nor ends inside a word or a number.

    What must not stand before it is looked for from its end, because a pattern that begins with a literal is searched
    for in linear time, even where it nearly matches at every character.
    """
    back = rf"(?s:.{{{len(wording)}}})"
    pattern = re.escape(wording) + f"(?![{_MARKS}])"
    if re.match(_LETTERS, wording) or wording[0] in _MARKS:
        pattern += rf"(?<![^\W{_UNSPACED}]{back})(?<![{_MARKS}]{back})"
    if wording[0].isdecimal():
        pattern += rf"(?<!\d[.,]{back})"
    if re.search(rf"[^\W{_UNSPACED}][{_MARKS}]*\Z", wording):
        pattern += rf"(?![^\W{_UNSPACED}])(?!['’][^\W{_UNSPACED}])"
    if wording[-1].isdecimal():
        pattern += r"(?![.,]\d)"
    return pattern


class _Word(NamedTuple):
    """A word as it is compared, and where it stands in its text."""

    folded: str
    start: int
    end: int


def _folded(text: str) -> str:
    """Return `text` as words are compared: without case, typographic apostrophes, and what cannot be seen."""
    return _UNSEEN.sub("", unicodedata.normalize("NFC", text)).casefold().replace("’", "'")


def _words(text: str, start: int = 0, end: int = sys.maxsize) -> list[_Word]:
    return [_Word(_folded(match[0]), *match.span()) for match in _WORDS.finditer(text, start, end)]


# --- changed ------------------------------------------------------------------------------------------------------


def find_altered(quote: str, text: str, *, least: float = LEAST_SIMILARITY) -> Altered | None:
    """Return the place of `text` that is nearest to `quote`; None where none is as similar as `least`.

    None, too, where a part of the words is the same, but so few that chance may have put them there: fewer than
    20 letters, in fewer than 8 words.

    A pair of quotation marks around the whole quote does not count as part of it. Of two places that are equally near
    the first is returned. The similarity is that of the stretch between the first and the last word that both share;
    the span is wider where the quote's first or last words replaced words of the same sentence. A quote without a
    letter or digit is nowhere.
    Raises TooLargeError where the quote is longer than LONGEST_QUOTE.
    """
    flat = _flat(_checked(quote))
    wording = _bare(flat) or flat
    asked = _words(wording)
    cores = [
        core for start, end in _stretches(asked, len(wording), text) if (core := _core(asked, _words(text, start, end)))
    ]
    nearest = max(cores, key=lambda core: (core.similarity, -core.words[core.first].start), default=None)
    if nearest is None or nearest.similarity < least or nearest.is_slight:
        return None
    span = _whole_span(nearest, asked, wording, text)
    source = _flat(span.of(text))
    return Altered(span, nearest.similarity, _bones(wording) == _bones(source), word_difference(wording, source))


_SHORTEST_TILE = 256
_STRETCHES = 4
_LONGEST_STRETCHES = 12_000


def _stretches(asked: Sequence[_Word], length: int, text: str) -> list[tuple[int, int]]:
    """Return the few stretches of `text` that share most words with a quote of that length, rare words first."""
    wanted = {word.folded for word in asked}
    size = max(length, _SHORTEST_TILE)
    # A tile ends at the end of a word, unless that is longer than words are.
    tiles = [match.span() for match in re.finditer(rf"(?s:.{{{size}}})\S{{0,200}}|(?s:.+)", text)]
    shared = [wanted.intersection(_WORDS.findall(_folded(text[start:end]))) for start, end in tiles]
    tiles_with = Counter(word for words in shared for word in words)
    weights = {word: math.log(1 + len(tiles) / count) for word, count in tiles_with.items()}
    # Two neighbours, for no place that is as long as the quote reaches into a third.
    scores = [sum(map(weights.__getitem__, here | after)) for here, after in pairwise([*shared, set()])]
    most = min(_STRETCHES, _LONGEST_STRETCHES // size)
    chosen: list[int] = []
    for tile in sorted(range(len(tiles)), key=lambda tile: (-scores[tile], tile)):
        if not scores[tile] or len(chosen) == most:
            break
        if tile - 1 not in chosen and tile + 1 not in chosen:
            chosen.append(tile)
    # One more on both sides, for the source may be longer than the quote.
    return [(tiles[max(0, tile - 1)][0], tiles[min(tile + 2, len(tiles) - 1)][1]) for tile in chosen]


@dataclass(frozen=True, slots=True)
class _Core:
    """What a quote and a stretch share: words `first` to `last` of `words`.

    before, after: how many words of the quote stand before the first shared one, and after the last.
    missing: the words of the quote that are not shared. is_slight: so little is shared that it may be chance.
    """

    words: Sequence[_Word]
    first: int
    last: int
    before: int
    after: int
    missing: Counter[str]
    similarity: float
    is_slight: bool


def _core(asked: Sequence[_Word], words: Sequence[_Word]) -> _Core | None:
    """Return the run of `words` in which the words of `asked` lie densest, in their order; None where it has none."""
    low, high = 0, len(words)
    pairs: list[tuple[int, int]] = []
    # The first alignment may lose words at the quote's ends to places far off. The second sees no more of the stretch
    # than the quote needs.
    for _ in range(2):
        in_order = [(i, low + j) for i, j in _in_order(asked, words[low:high])]
        pairs = _densest(_drawn_together(in_order, words), words)
        if not pairs:
            return None
        before, after = pairs[0][0], len(asked) - 1 - pairs[-1][0]
        low, high = max(0, pairs[0][1] - 2 * before), pairs[-1][1] + 1 + 2 * after
    first, last = pairs[0][1], pairs[-1][1]
    shared = [words[j] for _, j in pairs]
    similarity = 2 * _weight(shared) / (_weight(asked) + _weight(words[first : last + 1]))
    return _Core(
        words,
        first,
        last,
        before=pairs[0][0],
        after=len(asked) - 1 - pairs[-1][0],
        missing=Counter(word.folded for word in asked) - Counter(word.folded for word in shared),
        similarity=similarity,
        is_slight=similarity < 1 and _weight(shared) < _LEAST_SHARED_LETTERS and len(shared) < _LEAST_SHARED_WORDS,
    )


def _weight(words: Sequence[_Word]) -> int:
    """Return the letters of all words: long words say more about a sentence than short ones."""
    return sum(len(word.folded) for word in words)


def _in_order(asked: Sequence[_Word], words: Sequence[_Word]) -> Iterator[tuple[int, int]]:
    """Yield the indices of the words that both have in the same order, as many as can be."""
    for step in LCSseq.opcodes([word.folded for word in asked], [word.folded for word in words]):
        if step.tag == "equal":
            yield from zip(range(step.src_start, step.src_end), range(step.dest_start, step.dest_end), strict=True)


def _drawn_together(pairs: Sequence[tuple[int, int]], words: Sequence[_Word]) -> list[tuple[int, int]]:
    """Return the same pairs, each with the occurrence of its word that is next to its neighbours.

    Where a word stands in the stretch twice, both may do for the alignment: from the left each word is drawn to the
    one before it, then from the right to the one after it.
    """
    drawn = list(pairs)
    for n in range(1, len(drawn)):
        i, j = drawn[n]
        drawn[n] = i, next(k for k in range(drawn[n - 1][1] + 1, j + 1) if words[k].folded == words[j].folded)
    for n in range(len(drawn) - 2, -1, -1):
        i, j = drawn[n]
        drawn[n] = i, next(k for k in range(drawn[n + 1][1] - 1, j - 1, -1) if words[k].folded == words[j].folded)
    return drawn


_GAP = 0.5


def _densest(pairs: Sequence[tuple[int, int]], words: Sequence[_Word]) -> list[tuple[int, int]]:
    """Return the consecutive `pairs` whose words weigh most, less half the weight of the words between them."""
    weights = list(accumulate((len(word.folded) for word in words), initial=0))
    begun, chosen, running, most, reached = 0, (0, 0), 0.0, 0.0, 0
    for index, (_, j) in enumerate(pairs):
        running -= _GAP * (weights[j] - weights[reached])
        if running <= 0:
            begun, running = index, 0.0
        running += weights[j + 1] - weights[j]
        reached = j + 1
        if running > most:
            most, chosen = running, (begun, index + 1)
    return list(pairs[slice(*chosen)])


_OPENING = frozenset("([{<“‘„‚«‹「『《")
_CLOSING = frozenset(")]}>”’»›」』》.,;:!?…")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]]*+\s|[。！？]|\n\s*?\n")


def _whole_span(core: _Core, asked: Sequence[_Word], wording: str, text: str) -> Span:
    """Return the core's span, with the words beside it that the quote replaced or moved.

    Where the quote begins or ends with punctuation, so does the span, if the text has some there.
    """
    words, missing = core.words, core.missing.copy()
    left = takewhile(lambda i: _same_sentence(words[i], words[i + 1], text), range(core.first - 1, -1, -1))
    right = takewhile(lambda i: _same_sentence(words[i - 1], words[i], text), range(core.last + 1, len(words)))
    first = core.first - _reach([words[i].folded for i in left], core.before, missing)
    last = core.last + _reach([words[i].folded for i in right], core.after, missing)
    start, end = words[first].start, words[last].end
    lowest = words[first - 1].end if first else 0
    highest = words[last + 1].start if last + 1 < len(words) else len(text)
    start -= _signs(wording[: asked[0].start][::-1], text[lowest:start][::-1], _CLOSING)
    end += _signs(wording[asked[-1].end :], text[end:highest], _OPENING)
    return Span(start, end)


def _signs(wanted: str, beside: str, stop: frozenset[str]) -> int:
    """Return how many characters beside a word go with the quote's: those that are the same, else all next to it."""
    if same := re.match(r"\s++".join(map(re.escape, wanted.split(" "))), beside):
        return same.end()
    return next((at for at, sign in enumerate(beside) if sign.isspace() or sign in stop), len(beside))


_FEWEST_MOVED = 3


def _reach(beside: Sequence[str], replaced: int, missing: Counter[str]) -> int:
    """Return how many of the words beside a core belong to it; those are taken out of `missing`.

    As many as the quote may have replaced, and then those that stand elsewhere in the quote: clauses change places.
    """
    missing.subtract(beside[:replaced])
    moved = 0
    for word in beside[replaced:]:
        if missing[word] <= 0:
            break
        missing[word] -= 1
        moved += 1
    # One or two may be an "and" that merely comes next.
    return min(replaced, len(beside)) + (moved if moved >= _FEWEST_MOVED else 0)


def _same_sentence(word: _Word, following: _Word, text: str) -> bool:
    # "Dr." and "U.S." end no sentence; that "Yes." does is missed, which makes a span longer, not wrong.
    abbreviated = word.end - word.start <= 3 and text[word.start].isupper() and text[word.end] == "."
    return abbreviated or not _SENTENCE_END.search(text, word.end, following.start)


def _bones(text: str) -> list[str]:
    """Return the words of `text` as they are compared, and the signs that mean something, such as "%" and "$"."""
    tokens = _TOKENS.findall(_SIGNED.sub("−", text))
    return [folded for token in tokens if not _is_punctuation(token) and (folded := _folded(token))]


# A dash before a number may be a minus; U+2212 is not punctuation, so it stays.
_SIGNED = re.compile(r"(?<![\w.,)])[-–](?=\d)")
_MEANINGFUL = frozenset("%‰٪&@#/*§％＆＠＃／＊")


def _is_punctuation(sign: str) -> bool:
    return sign in "`´" or (unicodedata.category(sign[0]).startswith("P") and sign[0] not in _MEANINGFUL)


# --- the difference -----------------------------------------------------------------------------------------------


def word_difference(quote: str, source: str) -> tuple[Piece, ...]:
    """Return what differs between `quote` and the `source` it was taken from, word by word, in order.

    White space counts as a single space in both, and none at their ends. The texts of the pieces that are same or
    left_out, joined, are then exactly the source; those that are same or put_in are exactly the quote. Two pieces in a
    row are never of one kind, none is empty, and what was left out stands before what was put in for it.
    """
    before, after = _tokens(_flat(source)), _tokens(_flat(quote))
    joined = groupby(_level(_fragments(before, after)), key=lambda piece: piece.kind)
    return tuple(Piece(kind, "".join(piece.text for piece in pieces)) for kind, pieces in joined)


class _Token(NamedTuple):
    """A word or a sign, and the space before it, if any."""

    space: str
    text: str


def _tokens(flat: str) -> list[_Token]:
    return [_Token(match[1], match[2]) for match in _SPACED_TOKENS.finditer(flat)]


def _fragments(before: Sequence[_Token], after: Sequence[_Token]) -> Iterator[Piece]:
    """Yield what was left out, put in and kept, token by token; a space that only one side has is a change."""
    for step in LCSseq.opcodes([token.text for token in before], [token.text for token in after]):
        old, new = before[step.src_start : step.src_end], after[step.dest_start : step.dest_end]
        if step.tag != "equal":
            yield Piece("left_out", "".join(map("".join, old)))
            yield Piece("put_in", "".join(map("".join, new)))
            continue
        for was, now in zip(old, new, strict=True):
            if was.space == now.space:
                yield Piece("same", was.space + was.text)
            else:
                yield from (Piece("left_out", was.space), Piece("put_in", now.space), Piece("same", was.text))


def _level(fragments: Iterable[Piece]) -> Iterator[Piece]:
    """Yield the fragments with one left_out and one put_in for each run of changes; a space before both is the same."""
    for same, run in groupby(fragments, key=lambda piece: piece.kind == "same"):
        pieces = list(run)
        if same:
            yield from pieces
            continue
        left_out = "".join(piece.text for piece in pieces if piece.kind == "left_out")
        put_in = "".join(piece.text for piece in pieces if piece.kind == "put_in")
        space = " " if left_out[:1] == put_in[:1] == " " else ""
        leveled = (
            Piece("same", space),
            Piece("left_out", left_out.removeprefix(space)),
            Piece("put_in", put_in.removeprefix(space)),
        )
        yield from (piece for piece in leveled if piece.text)


# --- among sentences ----------------------------------------------------------------------------------------------

_LEAST_RATIO = 40
_CLOSEST = 8


def nearest_sentence(quote: str, sentences: Sequence[str], *, least: float = LEAST_SIMILARITY) -> int | None:
    """Return the index of the sentence that is `quote` with words changed, the first of those that are equally near.

    None where no sentence is as similar as `least`: see `Altered.similarity`, here of two whole sentences.
    """
    asked = _words(quote)
    # Characters choose the few whose words are compared: in C++, and abandoned as soon as a sentence is too far off.
    closest = process.extract(
        quote, sentences, scorer=fuzz.ratio, processor=str.casefold, score_cutoff=_LEAST_RATIO, limit=_CLOSEST
    )
    similar = [(_similarity(asked, _words(sentence)), -index) for sentence, _, index in closest]
    similarity, index = max(similar, default=(0.0, 0))
    return -index if similarity >= least and similarity > 0 else None


def _similarity(asked: Sequence[_Word], words: Sequence[_Word]) -> float:
    """Return the share of the letters of both that stand in words which both have in the same order."""
    shared = _weight([words[j] for _, j in _in_order(asked, words)])
    return 2 * shared / max(1, _weight(asked) + _weight(words))
