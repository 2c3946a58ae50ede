"""Quoteline as a library, without HTTP and without the reader; what it is given are articles, not passages.

`model` is the folder of its corpus; prepared models are where QUOTELINE_MODELS says.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.scale.corpora import add
from bench.scale.generate import whole
from bench.scale.peers.protocol import Passage, Start, speak
from bench.scale.quality import Searching
from index.corpus import Corpus
from index.encoding import DEFAULT_MODEL, load_encoder
from service.settings import Settings


class Quoteline:
    """Hybrid search of passages, ranked by their sentences."""

    packages = ("quoteline", "openvino", "faiss-cpu", "tantivy")
    notes = "hybrid (dense + BM25), sentences ranked, without the reader"

    def __init__(self, start: Start) -> None:
        models = Settings.model_validate({}).models_folder
        self._corpus = Corpus(Path(start.model), load_encoder(DEFAULT_MODEL, models))
        self._searching = Searching(self._corpus)

    def add(self, passages: Sequence[Passage], vectors: Any) -> None:  # noqa: ANN401 - the protocol's
        del vectors
        add(self._corpus, (whole(one.id, one.title, one.text) for one in passages))
        self._corpus.save()

    def ask(self, question: str, k: int) -> list[str]:
        return [f"{one.article_id} {one.span.start}" for one in self._searching.sentences(question)[:k]]


if __name__ == "__main__":
    speak(Quoteline)
