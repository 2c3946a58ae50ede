"""Passages as rows of Milvus, and filters as its expressions. Knows no server.

Names and terms are held as digests: they are of one length, whatever letters they have, no expression can be broken out
of by one, every tokenizer leaves them whole, and what a server keeps of a deleted article holds no word of it.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from index.encoding import Vectors
from index.lexical import analyze
from index.passages import term_hashes
from index.store import Filters, Store

# Rows that are sent together, about 2 kB each for vectors of 384 numbers, and as much again for long passages.
BLOCK = 1000
# Bytes of a text, in Milvus; a term has eight digits and a blank.
LONGEST_TEXT = 65_535
_TERMS = LONGEST_TEXT // 9
# Letters of a name's digest.
NAME = 32
# The key of the row that is no passage: keys of passages begin at 1.
STATE = 0
# Later than any day that is asked for.
_NEVER = 2**31
# How many passages the frequencies of terms are taken from; up to FEW they are counted again with every generation.
SAMPLE = 20_000
FEW = 2_000


class Row(TypedDict):
    """A passage in Milvus.

    text: its terms, repeats kept, its article's title first. article, source, collection: digests, empty where there is
    none. day: the article's date, counted from the year 1, 0 where it has none. added: the day on which this version
    was added (UTC), counted from 1970.
    """

    key: int
    vector: Vectors
    text: str
    article: str
    source: str
    collection: str
    day: int
    added: int


def rows_after(store: Store, generation: int, after: int, *, lexical: bool) -> Iterator[list[Row]]:
    """Yield the passages added after `generation` whose keys follow `after`, by key, in blocks of at most BLOCK.

    lexical: whether their terms are wanted.
    """
    keys = store.keys_since(generation, after)
    while block := list(islice(keys, BLOCK)):
        readings = store.readings(block)
        records = store.records_of({passage.article_id for passage in readings.passages})
        ends = np.cumsum(readings.counts)
        words = np.concatenate([[0], np.cumsum(readings.term_counts, dtype=np.int64)])
        rows = []
        for place, passage in enumerate(readings.passages):
            record = records[passage.article_id]
            article = record.article
            last = int(ends[place])
            first = last - int(readings.counts[place])
            terms = readings.terms[words[first] : words[last]]
            rows.append(
                Row(
                    key=passage.key,
                    vector=readings.vectors[place],
                    text=written(_with_title(article.title, terms)) if lexical else "",
                    article=digest(article.id),
                    source=digest(article.source.casefold()) if article.source is not None else "",
                    collection=digest(article.collection or ""),
                    day=article.date.toordinal() if article.date else 0,
                    added=int(record.added_at // _DAY),
                )
            )
        yield rows


def state_row(text: str, dim: int) -> Row:
    """Return the row that says what a collection holds; no filter admits it, and no term is found in it."""
    nowhere = np.zeros(dim, dtype=np.float32)
    return Row(key=STATE, vector=nowhere, text=text, article="", source="", collection="", day=0, added=_NEVER)


def digest(name: str) -> str:
    """Return what stands for a name of any length: 32 letters, for no two names the same."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=NAME // 2).hexdigest()


def written(terms: Sequence[int] | NDArray[np.uint32]) -> str:
    """Return terms as Milvus analyzes them: eight digits each; of a very long passage the first ones."""
    return " ".join(f"{int(term):08x}" for term in terms[:_TERMS])


def question(terms: Sequence[str]) -> str:
    """Return the terms of a question as Milvus analyzes them, each of them once."""
    return written(term_hashes(list(dict.fromkeys(terms))))


def expression(filters: Filters) -> str:
    """Return the expression of Milvus that passages of articles which `filters` admits meet; empty for all.

    A row is of an article's current version, so that of the versions before a day it is the newest if it is one.
    """
    conditions = [
        f"{field} in [{', '.join(sorted({_quoted(name) for name in names}))}]"
        for field, names in (
            ("article", filters.article_ids),
            ("source", [name.casefold() for name in filters.sources]),
            ("collection", filters.collections),
        )
        if names
    ]
    if filters.date_from or filters.date_to:
        conditions.append(f"day >= {filters.date_from.toordinal() if filters.date_from else 1}")
    if filters.date_to:
        conditions.append(f"day <= {filters.date_to.toordinal()}")
    if filters.as_of:
        conditions.append(f"added <= {filters.as_of.toordinal() - _EPOCH}")
    return " and ".join(conditions)


@dataclass(frozen=True, slots=True, eq=False)
class Frequencies:
    """In how many of all passages a term stands, by those that were looked at.

    total: of all passages. looked_at: how many of them. terms: uint32, ascending; counts: of those passages, of each.
    """

    total: int
    looked_at: int
    terms: NDArray[np.uint32]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, total: int, sample: Sequence[NDArray[np.uint32]]) -> "Frequencies":
        """Count in a sample of passages, each given by its terms; repeats do not count."""
        distinct = [np.unique(terms) for terms in sample]
        terms, counts = np.unique(np.concatenate([*distinct, np.empty(0, dtype=np.uint32)]), return_counts=True)
        return cls(total, len(sample), terms.astype(np.uint32), counts.astype(np.int64))

    def fits(self, total: int) -> bool:
        """Whether this still says enough of `total` passages."""
        return total == self.total or (total > FEW and abs(total - self.total) <= self.total // 10)

    def __call__(self, terms: Sequence[str]) -> list[int]:
        wanted = term_hashes(terms)
        if not len(self.terms):
            return [0] * len(wanted)
        places = np.minimum(np.searchsorted(self.terms, wanted), len(self.terms) - 1)
        counts = np.where(self.terms[places] == wanted, self.counts[places], 0)
        return [round(count * self.total / self.looked_at) for count in counts.tolist()]


_DAY = 24 * 60 * 60
_EPOCH = dt.date(1970, 1, 1).toordinal()


def _quoted(name: str) -> str:
    return f'"{digest(name)}"'


def _with_title(title: str | None, terms: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return np.concatenate([term_hashes(analyze(title)), terms]) if title else terms
