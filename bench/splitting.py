"""How well, and how fast, sentences are found: `python -m bench.splitting FOLDER`.

FOLDER holds `*.jsonl` files of records with `text` and `sentences`, the sentences in order and verbatim in the text.

What is counted are the ends of sentences: the set of offsets just after the last character of each that is not white
space, the last end of a text included (with it, plain nupunkt has the known .870 on the golden rules). P, R and F1 are
taken over all texts of a set together. "F1 letters" leaves out, on both sides, sentences without a letter or digit,
such as "------": Quoteline quotes none of these and does not call them sentences.

nupunkt does not end a sentence at a line break. "nupunkt, lines" splits each line on its own, and has the known .927 on
EWT test; "nupunkt" is handed the whole text.

MB/s: bytes of UTF-8 per second, one process, the best of several rounds. nupunkt remembers its decisions, so the later
rounds flatter it.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import nupunkt

from index.splitting import split_sentences

Splitter = Callable[[str], list[int]]
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Marked:
    """A text and the ends of its sentences, ascending."""

    text: str
    ends: list[int]


@dataclass(frozen=True, slots=True)
class Score:
    """Precision and recall of sentence ends."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.precision * self.recall / (self.precision + self.recall)


def main() -> None:
    """Print a table: one line per set and splitter."""
    parser = argparse.ArgumentParser(description="Measure sentence splitting.")
    parser.add_argument("folder", type=Path, help="where the *.jsonl files lie")
    files = sorted(parser.parse_args().folder.glob("*.jsonl"))
    print(f"{'set':18} {'splitter':15} {'P':>6} {'R':>6} {'F1':>6} {'F1 letters':>11} {'MB/s':>6}")
    for file in files:
        texts = read(file)
        for name, splitter in SPLITTERS.items():
            all_ends, lettered = score(texts, splitter), score(texts, splitter, only_lettered=True)
            figures = f"{all_ends.precision:6.3f} {all_ends.recall:6.3f} {all_ends.f1:6.3f} {lettered.f1:11.3f}"
            print(f"{file.stem:18} {name:15} {figures} {speed(texts, splitter):6.1f}")


def read(file: Path) -> list[Marked]:
    """Return the texts of one set; raises ValueError where a sentence is not in its text."""
    with file.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return [Marked(record["text"], ends_of(record["text"], record["sentences"])) for record in records]


def ends_of(text: str, sentences: Iterable[str]) -> list[int]:
    """Return where each of `sentences` ends in `text`."""
    ends: list[int] = []
    for sentence in sentences:
        ends.append(text.index(sentence, ends[-1] if ends else 0) + len(sentence))
    return ends


def score(texts: Iterable[Marked], splitter: Splitter, *, only_lettered: bool = False) -> Score:
    """Compare the ends that `splitter` finds with the marked ones."""
    right = found = wanted = 0
    for marked in texts:
        ours, theirs = splitter(marked.text), marked.ends
        if only_lettered:
            ours, theirs = with_letters(marked.text, ours), with_letters(marked.text, theirs)
        right += len(set(ours) & set(theirs))
        found += len(set(ours))
        wanted += len(set(theirs))
    return Score(right / found, right / wanted)


def with_letters(text: str, ends: list[int]) -> list[int]:
    """Return the ends of those sentences that hold a letter or digit."""
    return [end for start, end in pairwise([0, *ends]) if any(map(str.isalnum, text[start:end]))]


def speed(texts: list[Marked], splitter: Splitter) -> float:
    """Return MB/s, each set repeated until it holds a megabyte."""
    size = sum(len(marked.text.encode()) for marked in texts)
    repeats = max(1, 1_000_000 // size)
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(repeats):
            for marked in texts:
                splitter(marked.text)
        best = min(best, time.perf_counter() - began)
    return size * repeats / 1e6 / best


def by_quoteline(text: str) -> list[int]:
    """Return the ends that Quoteline finds."""
    return [span.end for span in split_sentences(text)]


def by_nupunkt(text: str) -> list[int]:
    """Return the ends that nupunkt's default model finds."""
    return [start + len(text[start:end].rstrip()) for start, end in nupunkt.sent_spans(text) if text[start:end].strip()]


def by_nupunkt_in_lines(text: str) -> list[int]:
    """Return the ends that nupunkt's default model finds in each line."""
    ends: list[int] = []
    offset = 0
    for line in text.splitlines(keepends=True):
        ends += [offset + end for end in by_nupunkt(line) if line.strip()]
        offset += len(line)
    return ends


SPLITTERS: dict[str, Splitter] = {
    "quoteline": by_quoteline,
    "nupunkt, lines": by_nupunkt_in_lines,
    "nupunkt": by_nupunkt,
}

if __name__ == "__main__":
    main()
