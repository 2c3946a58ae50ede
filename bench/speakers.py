"""How well it is told who says what: `python -m bench.speakers DIR`.

DIR holds `sentences` (UD English-EWT dev and test: weblogs, newsgroups, mail, reviews, answers) and `squad1`
(paragraphs of Wikipedia). Both are under CC BY-SA, so `speakers.jsonl` beside this file holds no word of them: it names
the text, the sentence's offsets with a piece of its sha256, and offsets of what a person marked in it. The articles of
`seeds` are labelled too.

What was marked:

- A sentence has an attribution where it tells, by a word of saying, what another than the writer says, denies, asks or
  accuses somebody of; or where it is part of a quotation whose speaker stands at most three sentences before or one
  behind. Persons, groups, documents and studies can say something; theorems, findings and signs cannot.
- Not: what the writer or the reader says ("I told her", "as you said"); what nobody in particular says ("it is said",
  "was announced"); what is not said ("never said"), but "has not confirmed" is a doubt; what is thought or wished; what
  is done by saying it ("claimed the land").
- The speaker is marked without what is put in commas behind a name; a title before the name belongs to it. Of two who
  speak, the outer one, unless that is an agency that only passes on: then it is `via`.
- quoted: at least four words, and a quarter of the sentence, in quotation marks.
- named: for pronouns and bare titles, where the name stands in the same sentence or in one of the three before.

All were drawn with fixed seeds: the first 355 sentences by quotation marks and words that may be of saying, 40 of them
without any; then 82, 78 (8 of them without any) and 62 by fewer such words. 17 were left out, because it could not be
said what is right. Whoever marked them wrote the rules, too, and had read them all by then. So this is how it went:

tune, test      the first drawing, marked before the first rule, in halves by crc32 of the document. Of what the rules
                make of `test`, nothing but the totals was looked at.
seeds           the rules were made on them
second, third   drawn and marked when the rules were done; scored once, then their mistakes were mended
fourth          the same, but its mistakes were left alone, and not looked at
"""

import argparse
import hashlib
import json
import re
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.tables import render_markdown
from index.articles import Article, Span
from index.formats import read_articles
from index.speakers import Attribution, attribution_of
from index.splitting import split_sentences

LABELS = Path(__file__).with_suffix(".jsonl")
SEEDS = Path(__file__).parents[1] / "seeds"
PARTS = ("tune", "second", "third", "seeds", "test", "fourth")
ROUNDS = 5
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Text:
    """A text and its sentences."""

    text: str
    sentences: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A sentence and what a person marked in it. said: None where nobody is told to say it."""

    document: str
    text: Text
    ordinal: int
    said: Attribution | None
    drawn: str | None = None

    @property
    def part(self) -> str:
        """`seeds`, the later drawing, or the half: all sentences of one document are in the same."""
        if self.drawn:
            return self.drawn
        if self.document.startswith("seeds#"):
            return "seeds"
        # Paragraphs of one article of Wikipedia: "Kenya#3".
        file, _, name = self.document.partition("#")
        return "test" if zlib.crc32(f"{file}#{name.partition('#')[0]}".encode()) % 2 else "tune"


@dataclass(frozen=True, slots=True)
class Score:
    """How many were right, of those that were found and of those that were to be found."""

    right: int
    found: int
    wanted: int

    @property
    def precision(self) -> float:
        """Of what was found, the share that is right; 1 where nothing was found."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Of what was to be found, the share that was; 1 where nothing was to be."""
        return self.right / self.wanted if self.wanted else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def main() -> None:
    """Print a table for each part, and the time that a sentence takes."""
    parser = argparse.ArgumentParser(description="Measure who says what.")
    parser.add_argument("folder", type=Path, help="where `sentences` and `squad1` lie")
    labelled = read(LABELS, texts_of(parser.parse_args().folder) | seed_texts(SEEDS))
    for part in PARTS:
        here = [one for one in labelled if one.part == part]
        print(f"\n{part}: {len(here)} sentences, {sum(one.said is not None for one in here)} with an attribution\n")
        scores = score([(one, attribution_of(one.text.text, one.text.sentences, one.ordinal)) for one in here])
        print(
            render_markdown(("", "P", "R", "F1", "right", "found", "wanted"), [row(*item) for item in scores.items()])
        )
    print(f"\nms per sentence, p50 / p99: {' / '.join(f'{figure:.2f}' for figure in milliseconds(labelled))}")


def row(name: str, figures: Score) -> list[str]:
    """Return a line of the table."""
    shares = [f"{share:.3f}".removeprefix("0") for share in (figures.precision, figures.recall, figures.f1)]
    return [name, *shares, str(figures.right), str(figures.found), str(figures.wanted)]


def texts_of(folder: Path) -> dict[str, Text]:
    """Return the texts below `folder`, by file and id: `squad1/tune/corpus.jsonl#Kenya#3`."""
    files = ["sentences/ewt_dev.jsonl", "sentences/ewt_test.jsonl", "squad1/tune/corpus.jsonl"]
    files.append("squad1/test/corpus.jsonl")
    texts = {}
    for file in files:
        with (folder / file).open(encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                texts[f"{file}#{record['id']}"] = Text(record["text"], split_sentences(record["text"]))
    return texts


def seed_texts(folder: Path) -> dict[str, Text]:
    """Return the seeds, by `seeds#` and the article's id."""
    texts = {}
    for path in sorted(folder.glob("*.txt")):
        with path.open("rb") as file:
            for article in read_articles(file, name=path.name, path=str(path)):
                if isinstance(article, Article):
                    texts[f"seeds#{article.id}"] = Text(article.text, split_sentences(article.text, article.body))
    return texts


def read(labels: Path, texts: Mapping[str, Text]) -> list[Labelled]:
    """Return the labelled sentences.

    Raises ValueError where one is not in its text as it was when it was labelled.
    """
    with labels.open(encoding="utf-8") as lines:
        return [_labelled(record, texts) for record in map(json.loads, lines)]


def _labelled(record: Mapping[str, Any], texts: Mapping[str, Text]) -> Labelled:
    document, span = record["id"], Span(record["start"], record["end"])
    text = texts.get(document)
    if text is None or digest(span.of(text.text)) != record["sha256"] or span not in text.sentences:
        raise ValueError(
            f"{document} has no sentence at [{span.start}, {span.end}) as it was labelled; "
            "use the data of the same release, and split it with this version"
        )
    return Labelled(document, text, text.sentences.index(span), _said(record), record.get("drawn"))


def _said(record: Mapping[str, Any]) -> Attribution | None:
    if "speaker" not in record:
        return None
    via, named = (record[key] and Span(*record[key]) for key in ("via", "named"))
    return Attribution(Span(*record["speaker"]), Span(*record["verb"]), record["kind"], record["quoted"], via, named)


def digest(sentence: str) -> str:
    """Return the first digits of the sha256, in hex."""
    return hashlib.sha256(sentence.encode()).hexdigest()[:_DIGITS]


Pair = tuple[Labelled, Attribution | None]


def score(pairs: Iterable[Pair]) -> dict[str, Score]:
    """Return the scores by what is asked.

    Of the speaker, "exact" wants the very offsets, "words" a common word of weight (for a pronoun: the same one). kind
    and quoted count only where both have an attribution, so their precision is their accuracy. via and named want a
    common word of weight.
    """
    pairs = list(pairs)
    said = [(one, one.said, found) for one, found in pairs if one.said]
    both = [(one.text.text, wanted, found) for one, wanted, found in said if found]
    found_count = sum(found is not None for _, found in pairs)

    def speakers(same: Callable[[str, Span, Span], bool]) -> Score:
        right = sum(same(text, wanted.speaker, found.speaker) for text, wanted, found in both)
        return Score(right, found_count, len(said))

    def parts(name: str) -> Score:
        right = sum(
            _share_words(text, getattr(wanted, name), getattr(found, name))
            for text, wanted, found in both
            if getattr(wanted, name) and getattr(found, name)
        )
        found = sum(bool(found and getattr(found, name)) for _, found in pairs)
        return Score(right, found, sum(bool(getattr(wanted, name)) for _, wanted, _ in said))

    return {
        "has an attribution": Score(len(both), found_count, len(said)),
        "speaker, exact": speakers(lambda _, wanted, found: wanted == found),
        "speaker, words": speakers(_share_words),
        "kind": Score(sum(wanted.kind == found.kind for _, wanted, found in both), len(both), len(both)),
        "quoted": Score(sum(wanted.quoted == found.quoted for _, wanted, found in both), len(both), len(both)),
        "via": parts("via"),
        "named": parts("named"),
    }


_LIGHT = {"the", "a", "an", "of", "and", "in", "for", "to", "by", "its", "s", "is", "was", "has", "that"}


def _share_words(text: str, wanted: Span, found: Span) -> bool:
    """Whether two spans have a word in common that is none of the lightest."""
    ours, theirs = ({word.lower() for word in re.findall(r"\w+", span.of(text))} - _LIGHT for span in (wanted, found))
    return bool(ours & theirs)


def milliseconds(labelled: Sequence[Labelled]) -> tuple[float, float]:
    """Return the median and the 99th of 100 times per sentence, the best of some rounds for each."""
    best = [float("inf")] * len(labelled)
    for _ in range(ROUNDS):
        for at, one in enumerate(labelled):
            began = time.perf_counter()
            attribution_of(one.text.text, one.text.sentences, one.ordinal)
            best[at] = min(best[at], 1000 * (time.perf_counter() - began))
    best.sort()
    return best[len(best) // 2], best[len(best) * 99 // 100]


if __name__ == "__main__":
    main()
