"""Haystack in memory: BM25 and dense search side by side, joined by rank, as its hybrid retrieval tutorial has it."""

from collections.abc import Sequence
from typing import Any

from haystack import Document, Pipeline  # type: ignore[import-not-found]
from haystack.components.joiners import DocumentJoiner  # type: ignore[import-not-found]
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever  # type: ignore[import-not-found]
from haystack.document_stores.in_memory import InMemoryDocumentStore  # type: ignore[import-not-found]
from haystack_integrations.components.embedders.sentence_transformers import (  # type: ignore[import-not-found]
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)

from bench.scale.peers.protocol import Passage, Start, speak


def embedders(start: Start) -> tuple[Any, Any]:
    """Return what encodes documents and what encodes questions, both loaded."""
    options: dict[str, Any] = {
        "model": start.model,
        "normalize_embeddings": True,
        "progress_bar": False,
        "local_files_only": True,
        "model_kwargs": {"dtype": "bfloat16"} if start.half else {},
    }
    both = SentenceTransformersDocumentEmbedder(**options), SentenceTransformersTextEmbedder(**options)
    for one in both:
        one.warm_up()
    return both


def documents(passages: Sequence[Passage], vectors: Any, embedder: Any) -> list[Any]:  # noqa: ANN401 - no types here
    """Return documents with embeddings: those that are given, or made."""
    made = [Document(id=passage.id, content=passage.text) for passage in passages]
    if vectors is None:
        return list(embedder.run(documents=made)["documents"])
    given = zip(passages, vectors.tolist(), strict=True)
    return [Document(id=passage.id, content=passage.text, embedding=vector) for passage, vector in given]


class Haystack:
    """An InMemoryDocumentStore."""

    packages = ("haystack-ai", "sentence-transformers", "torch")

    def __init__(self, start: Start) -> None:
        self._store = InMemoryDocumentStore(return_embedding=False)
        self._embedder, asking = embedders(start)
        self._pipeline = Pipeline()
        self._pipeline.add_component("text_embedder", asking)
        self._pipeline.add_component("dense", InMemoryEmbeddingRetriever(self._store))
        self._pipeline.add_component("bm25", InMemoryBM25Retriever(self._store))
        self._pipeline.add_component("joiner", DocumentJoiner(join_mode="reciprocal_rank_fusion"))
        self._pipeline.connect("text_embedder", "dense")
        self._pipeline.connect("bm25", "joiner")
        self._pipeline.connect("dense", "joiner")
        self.notes = f"hybrid (dense + BM25, rank fusion), in memory, {'bfloat16' if start.half else 'float32'}"

    def add(self, passages: Sequence[Passage], vectors: Any) -> None:  # noqa: ANN401 - the protocol's
        self._store.write_documents(documents(passages, vectors, self._embedder))

    def ask(self, question: str, k: int) -> list[str]:
        # The tutorial's own depth for each retriever is its default, ten, which is k here.
        told = {
            "text_embedder": {"text": question},
            "dense": {"top_k": k},
            "bm25": {"query": question, "top_k": k},
            "joiner": {"top_k": k},
        }
        return [document.id for document in self._pipeline.run(told)["joiner"]["documents"]]


if __name__ == "__main__":
    speak(Haystack)
