"""verbatim-rag's retrieval: its index on Milvus Lite with dense vectors.

What it is for, extracting spans, needs a model from a hub (ModernBERT) or a language model's API, and its hybrid search
SPLADE vectors, whose model is on a hub too; Milvus Lite has no BM25 in its store. So this is the half that can run.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# What it brings for reading pictures does not fit a torch for processors alone, and breaks transformers. It is not
# needed here, and this says that it is not there.
sys.modules["torchvision"] = None  # type: ignore[assignment]

from verbatim_rag.document import Chunk, Document, DocumentType, ProcessedChunk  # type: ignore[import-not-found]  # noqa: E402
from verbatim_rag.embedding_providers import SentenceTransformersProvider  # type: ignore[import-not-found]  # noqa: E402
from verbatim_rag.index import VerbatimIndex  # type: ignore[import-not-found]  # noqa: E402
from verbatim_rag.vector_stores import LocalMilvusStore  # type: ignore[import-not-found]  # noqa: E402

from bench.scale.peers.protocol import Passage, Start, speak  # noqa: E402


class Verbatim:
    """A VerbatimIndex of documents that are one chunk each."""

    packages = ("verbatim-rag", "milvus-lite", "pymilvus", "sentence-transformers", "torch")

    def __init__(self, start: Start) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="verbatim-")
        self._given: dict[str, list[float]] = {}
        self._provider = _Provider(start.model, self._given)
        store = LocalMilvusStore(db_path=str(Path(self._folder.name) / "index.db"), enable_sparse=False)
        self._index = VerbatimIndex(vector_store=store, dense_provider=self._provider)
        self.notes = "dense, Milvus Lite, float32; retrieval alone, its extraction needs a model hub"

    def add(self, passages: Sequence[Passage], vectors: Any) -> None:  # noqa: ANN401 - the protocol's
        if vectors is not None:
            self._given |= dict(zip((passage.text for passage in passages), vectors.tolist(), strict=True))
        self._index.add_documents_bulk(map(_document, passages))
        self._given.clear()

    def ask(self, question: str, k: int) -> list[str]:
        return [str(found.id) for found in self._index.query(question, k=k)]


class _Provider(SentenceTransformersProvider):  # type: ignore[misc]
    """The package's own provider, but for texts whose vectors were handed in."""

    def __init__(self, model: str, given: dict[str, list[float]]) -> None:
        super().__init__(model)
        self._given = given

    def embed_batch(self, texts: list[str]) -> list[list[float]]:
        if texts and all(text in self._given for text in texts):
            return [self._given[text] for text in texts]
        embedded: list[list[float]] = super().embed_batch(texts)
        return embedded


def _document(passage: Passage) -> Any:  # noqa: ANN401 - the package has no types
    processed = ProcessedChunk(id=passage.id, chunk_id=passage.id, enhanced_content=passage.text)
    chunk = Chunk(id=passage.id, document_id=passage.id, content=passage.text, processed_chunks=[processed])
    return Document(id=passage.id, content_type=DocumentType.TXT, raw_content=passage.text, chunks=[chunk])


if __name__ == "__main__":
    speak(Verbatim)
