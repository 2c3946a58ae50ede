"""Haystack with its FAISS document store, which searches by vectors alone."""

from collections.abc import Sequence
from typing import Any

from haystack import Pipeline  # type: ignore[import-not-found]
from haystack_integrations.components.retrievers.faiss import FAISSEmbeddingRetriever  # type: ignore[import-not-found]
from haystack_integrations.document_stores.faiss import FAISSDocumentStore  # type: ignore[import-not-found]

from bench.scale.peers.flat import MANY
from bench.scale.peers.haystack import documents, embedders
from bench.scale.peers.protocol import Passage, Start, speak

_DIM = 384


class HaystackFaiss:
    """A FAISSDocumentStore that is not kept on the disk."""

    packages = ("haystack-ai", "faiss-haystack", "sentence-transformers", "faiss-cpu", "torch")

    def __init__(self, start: Start) -> None:
        kind = "HNSW32" if start.size >= MANY else "Flat"
        self._store = FAISSDocumentStore(index_string=kind, embedding_dim=_DIM)
        self._embedder, asking = embedders(start)
        self._pipeline = Pipeline()
        self._pipeline.add_component("text_embedder", asking)
        self._pipeline.add_component("dense", FAISSEmbeddingRetriever(document_store=self._store))
        self._pipeline.connect("text_embedder", "dense")
        self.notes = f"dense, FAISS {kind}, {'bfloat16' if start.half else 'float32'}"

    def add(self, passages: Sequence[Passage], vectors: Any) -> None:  # noqa: ANN401 - the protocol's
        self._store.write_documents(documents(passages, vectors, self._embedder))

    def ask(self, question: str, k: int) -> list[str]:
        found = self._pipeline.run({"text_embedder": {"text": question}, "dense": {"top_k": k}})
        return [document.id for document in found["dense"]["documents"]]


if __name__ == "__main__":
    speak(HaystackFaiss)
