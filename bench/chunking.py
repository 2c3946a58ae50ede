"""How to make vectors of passages and sentences: `python -m bench.chunking DIR`, with a data set for tuning.

One row per way: what the fusion reaches with weights fitted for that way (on other articles than the question's), the
number of passages, and the seconds that adding took. Articles are taken as they are, and six neighbours joined to one,
because most data sets hold paragraphs where people have articles.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from bench.datasets import Dataset, Target, load_dataset
from bench.fit import collect, fit_by_fold, reached
from bench.metrics import Place
from index import passages
from index.articles import Article, Span
from index.encoding import DEFAULT_MODEL, Context, Encoded, Encoder, Vectors, load_encoder
from service.settings import Settings

JOINED = 6
GAP = "\n\n"


@dataclass(frozen=True, slots=True)
class Way:
    """passage, overlap: in tokens and sentences. apart: each sentence is encoded by itself; titled: after its title."""

    passage: int
    overlap: int
    apart: bool = False
    titled: bool = True

    def __str__(self) -> str:
        how = "late chunking" if not self.apart else f"each sentence by itself{', title in front' * self.titled}"
        return f"{self.passage} tokens, {self.overlap} shared, {how}"


WAYS = (
    Way(128, 1),
    Way(256, 1),
    Way(256, 0),
    Way(96, 1),
    Way(128, 2),
    Way(128, 1, apart=True),
    Way(128, 1, apart=True, titled=False),
)


@dataclass(frozen=True, slots=True)
class Chunking:
    """An encoder that makes its sentences' vectors in another way, and counts passages and the seconds they take."""

    encoder: Encoder
    way: Way
    spent: list[float]
    passages: list[int]

    @property
    def name(self) -> str:
        return self.encoder.name

    @property
    def dim(self) -> int:
        return self.encoder.dim

    @property
    def window(self) -> int:
        return self.encoder.window

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self.encoder.count_tokens(texts)

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        return self.encoder.encode_questions(texts)

    def encode_passages(self, passages: Sequence[Context]) -> list[Encoded]:
        started = time.perf_counter()
        encoded = self.encoder.encode_passages(passages)
        if self.way.apart:
            encoded = [Encoded(one.vector, rows) for one, rows in zip(encoded, self._apart(passages), strict=True)]
        self.spent.append(time.perf_counter() - started)
        self.passages.append(len(passages))
        return encoded

    def _apart(self, passages: Sequence[Context]) -> Iterator[Vectors]:
        for passage in passages:
            title = passage.title if self.way.titled else ""
            texts = [f"{title}. {span.of(passage.text)}" if title else span.of(passage.text) for span in passage.spans]
            yield self.encoder.encode_questions(texts)


def main(folder: Path) -> None:
    """Print the table."""
    paragraphs = load_dataset(folder)
    encoder = load_encoder(DEFAULT_MODEL, Settings().models_folder)
    print("hit@1  hit@5  hit@10 MRR@10  passages  seconds")
    for name, dataset in (("as they are", paragraphs), (f"{JOINED} joined", join(paragraphs))):
        print(f"{dataset.name}, {name}: {len(dataset.articles)} articles")
        for way in WAYS:
            passages.PASSAGE, passages.OVERLAP = way.passage, way.overlap
            chunking = Chunking(encoder, way, [], [])
            cases = collect(dataset, chunking)
            print(
                f"{reached(cases, fit_by_fold(cases))}  {sum(chunking.passages):8}  {sum(chunking.spent):7.1f}  {way}"
            )


def join(dataset: Dataset) -> Dataset:
    """Return the data set with each `JOINED` neighbouring articles of one title as one article."""
    joined: list[Article] = []
    moved: dict[str, tuple[str, int]] = {}
    for title, articles in groupby(dataset.articles, key=lambda article: article.title):
        several = list(articles)
        for first in range(0, len(several), JOINED):
            text = ""
            for article in several[first : first + JOINED]:
                moved[article.id] = (several[first].id, len(text))
                text += article.text + GAP
            joined.append(Article(id=several[first].id, text=text, body=Span(0, len(text)), title=title))
    targets = {key: replace(target, places=tuple(_move(target, moved))) for key, target in dataset.targets.items()}
    return replace(dataset, articles=tuple(joined), targets=targets)


def _move(target: Target, moved: dict[str, tuple[str, int]]) -> Iterator[Place]:
    for place in target.places:
        article_id, offset = moved[place.article_id]
        yield Place(article_id, Span(place.span.start + offset, place.span.end + offset))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
