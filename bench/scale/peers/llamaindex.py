"""LlamaIndex with its FAISS vector store, as its guide to FAISS sets it up."""

from collections.abc import Sequence
from typing import Any

from llama_index.core import StorageContext, VectorStoreIndex  # type: ignore[import-not-found]
from llama_index.core.schema import NodeWithScore, TextNode  # type: ignore[import-not-found]
from llama_index.embeddings.huggingface import HuggingFaceEmbedding  # type: ignore[import-not-found]
from llama_index.vector_stores.faiss import FaissVectorStore  # type: ignore[import-not-found]

from bench.scale.peers.flat import MANY, new_index
from bench.scale.peers.protocol import Passage, Start, speak

_DIM = 384


class LlamaIndex:
    """Dense search; its FAISS store has no hybrid mode."""

    packages = ("llama-index-core", "llama-index-vector-stores-faiss", "sentence-transformers", "faiss-cpu", "torch")

    def __init__(self, start: Start) -> None:
        options = {"model_kwargs": {"dtype": "bfloat16"}} if start.half else {}
        self._model = HuggingFaceEmbedding(model_name=start.model, device="cpu", embed_batch_size=32, **options)
        store = FaissVectorStore(faiss_index=new_index(_DIM, start.size))
        self._context = StorageContext.from_defaults(vector_store=store)
        self._index: Any = None
        self._retriever: Any = None
        kind = "HNSW32" if start.size >= MANY else "flat"
        self.notes = f"dense, FAISS {kind}, {'bfloat16' if start.half else 'float32'}"

    def add(self, passages: Sequence[Passage], vectors: Any) -> None:  # noqa: ANN401 - the protocol's
        nodes = [TextNode(id_=passage.id, text=passage.text) for passage in passages]
        if vectors is not None:
            for node, vector in zip(nodes, vectors.tolist(), strict=True):
                node.embedding = vector
        if self._index is None:
            self._index = VectorStoreIndex(nodes, storage_context=self._context, embed_model=self._model)
        else:
            self._index.insert_nodes(nodes)

    def ask(self, question: str, k: int) -> list[str]:
        if self._retriever is None:
            self._retriever = self._index.as_retriever(similarity_top_k=k)
        found: list[NodeWithScore] = self._retriever.retrieve(question)
        return [one.node.node_id for one in found]


if __name__ == "__main__":
    speak(LlamaIndex)
