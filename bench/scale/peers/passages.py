"""The passages that Quoteline makes of a corpus, as files that peers read."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.metrics import Place
from index.articles import Article, Span
from index.corpus import Corpus
from index.encoding import Context
from index.passages import context_of
from index.splitting import split_sentences

# Passages that are in memory with their vectors at once.
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Given:
    """What peers are given. vectors: None where they are to encode the texts themselves. places: of ids, in order."""

    texts: Path
    vectors: Path | None
    places: tuple[Place, ...]

    def found(self, ids: Sequence[str]) -> list[Place]:
        """Return where the passages of these ids stand."""
        return [self.places[int(id_)] for id_ in ids]


def write_articles(articles: Iterable[Article], path: Path) -> None:
    """Write articles as rows that Quoteline is given."""
    _write(path, ({"id": one.id, "title": one.title or "", "text": one.text} for one in articles))


def write_passages(corpus: Corpus, articles: Iterable[Article], folder: Path, *, encoded: bool) -> Given:
    """Write the passages of articles to `folder`, with the vectors of the corpus' encoder where they are `encoded`."""
    texts = folder / "passages.jsonl"
    places: list[Place] = []
    contexts: list[Context] = []

    def rows() -> Iterator[dict[str, str]]:
        for article in articles:
            sentences = split_sentences(article.text, article.body)
            for first, last in corpus.groups_of(article, sentences):
                context = context_of(article, sentences[first:last])
                yield {"id": str(len(places)), "text": f"{context.title}\n{context.text}".strip()}
                places.append(Place(article.id, Span(sentences[first].start, sentences[last - 1].end)))
                contexts.append(context)

    _write(texts, rows())
    if not encoded:
        return Given(texts, None, tuple(places))
    vectors = folder / "vectors.npy"
    found = np.empty((len(contexts), corpus.encoder.dim), dtype=np.float32)
    for first in range(0, len(contexts), _BATCH):
        batch = corpus.encoder.encode_passages(contexts[first : first + _BATCH])
        found[first : first + len(batch)] = [one.vector for one in batch]
    np.save(vectors, found)
    return Given(texts, vectors, tuple(places))


def _write(path: Path, rows: Iterable[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
