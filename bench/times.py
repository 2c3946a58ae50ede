"""How well times in sentences are found and resolved: `python -m bench.times DIR`, with the folder of all data sets.

The labels are ours, made by hand before the patterns were written (`bench/times.jsonl`): sentences of UD English-EWT
and of SQuAD by record and offsets, with a checksum and not a word of their text. `published` is the record's own date
where its id tells one, else assumed. Half of the records, by CRC-32 of their ids, are for tuning.

Conventions: a week is Monday to Sunday; "few" is 2 to 5, "several" 3 to 7; "two months ago" is that calendar month; a
date whose day and month nobody can tell apart (3/9/2005) is no expression, nor is what counts from another time.
"""

import argparse
import datetime as dt
import hashlib
import json
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.articles import Span
from index.errors import InputError
from index.times import Moment, moments_of

_LABELS = Path(__file__).with_suffix(".jsonl")
_FILES = {
    "ewt_dev": "sentences/ewt_dev.jsonl",
    "ewt_test": "sentences/ewt_test.jsonl",
    "squad1/tune": "squad1/tune/corpus.jsonl",
}

Finder = Callable[[str, Span, dt.date], Sequence[Moment]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A sentence with all times that it speaks of."""

    text: str
    sentence: Span
    published: dt.date
    times: tuple[Moment, ...]
    for_tuning: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts. right: of those found, how many overlap a label; resolved: how many of these have its very days."""

    labelled: int
    found: int
    right: int
    resolved: int

    def __str__(self) -> str:
        found, labelled = max(self.found, 1), max(self.labelled, 1)
        return (
            f"{self.labelled:8}  {self.right / found:9.3f}  {self.right / labelled:6.3f}  "
            f"{self.resolved / found:9.3f}  {self.resolved / labelled:6.3f}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print precision and recall of finding and of resolving, ours and a general library's."""
    parser = argparse.ArgumentParser(prog="bench.times", description=__doc__)
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder that holds sentences/ and squad1/")
    parser.add_argument("--misses", action="store_true", help="tell what was missed of the half for tuning")
    options = parser.parse_args(arguments)
    labelled = list(load(options.folder))
    print("                         labelled  found: P       R    resolved: P     R   us per sentence")
    for name, finder in (("ours", moments_of), ("dateparser alone", _by_dateparser)):
        for half, for_tuning in (("tuning", True), ("test", False)):
            some = [one for one in labelled if one.for_tuning is for_tuning]
            started = time.process_time()
            found = [finder(one.text, one.sentence, one.published) for one in some]
            each = 1e6 * (time.process_time() - started) / len(some)
            print(f"{name:17} {half:6}  {compare(some, found)}  {each:12.0f}")
            if options.misses and for_tuning and finder is moments_of:
                _tell(some, found)
    return 0


def load(folder: Path) -> Iterator[Labelled]:
    """Yield the labelled sentences. Raises InputError where a text is not the one that was labelled."""
    texts = {(name, str(one["id"])): str(one["text"]) for name in _FILES for one in _records(folder / _FILES[name])}
    for label in _records(_LABELS):
        text = texts.get((label["set"], label["id"]), "")
        sentence = Span(label["start"], label["end"])
        if hashlib.sha256(sentence.of(text).encode()).hexdigest()[:12] != label["sha256"]:
            raise InputError(f"{label['id']} of {label['set']} is not what was labelled; use the same edition")
        times = tuple(
            Moment(Span(start, end), dt.date.fromisoformat(first), dt.date.fromisoformat(last))
            for start, end, first, last in label["times"]
        )
        for_tuning = zlib.crc32(label["id"].encode()) % 2 == 0
        yield Labelled(text, sentence, dt.date.fromisoformat(label["published"]), times, for_tuning)


def compare(labelled: Sequence[Labelled], found: Sequence[Sequence[Moment]]) -> Figures:
    """Return the counts; a label is found once, by the first time that overlaps it."""
    right = resolved = 0
    for one, times in zip(labelled, found, strict=True):
        for label in one.times:
            hit = next((time for time in times if _overlap(time.span, label.span)), None)
            right += hit is not None
            resolved += hit is not None and (hit.first, hit.last) == (label.first, label.last)
    return Figures(sum(len(one.times) for one in labelled), sum(map(len, found)), right, resolved)


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _by_dateparser(text: str, sentence: Span, published: dt.date) -> list[Moment]:
    """Return what dateparser finds by itself, each as the one day that it says."""
    from dateparser.search import search_dates  # slow to import

    settings = {
        "RELATIVE_BASE": dt.datetime.combine(published, dt.time(12)),
        "PREFER_DATES_FROM": "past",
    }
    moments, at = [], sentence.start
    for words, day in search_dates(sentence.of(text), languages=["en"], settings=settings) or ():
        start = text.find(words, at, sentence.end)
        if start >= 0:
            at = start + len(words)
            moments.append(Moment(Span(start, at), day.date(), day.date()))
    return moments


def _tell(labelled: Sequence[Labelled], found: Sequence[Sequence[Moment]]) -> None:
    for one, times in zip(labelled, found, strict=True):
        said, wanted = ([(t.span.of(one.text), t.first, t.last) for t in some] for some in (times, one.times))
        if [days for _, *days in said] != [days for _, *days in wanted]:
            told = [[(words, f"{first} to {last}") for words, first, last in some] for some in (said, wanted)]
            print(f"  {one.sentence.of(one.text)!r} ({one.published}): {told[0]}, not {told[1]}")


def _records(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; name the folder that holds sentences/ and squad1/") from None


if __name__ == "__main__":
    sys.exit(main())
