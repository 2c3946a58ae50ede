"""By hand: sentence-transformers and a FAISS index of the vectors; flat, or HNSW where flat would be slow."""

from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np

from bench.scale.peers.protocol import Passage, Start, speak

# From here on a flat index takes longer than the encoder.
MANY = 50_000


def new_index(dim: int, size: int) -> Any:  # noqa: ANN401 - FAISS's types know an index only as its base class
    """Return an index for vectors of unit length, and so many of them."""
    return faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT) if size >= MANY else faiss.IndexFlatIP(dim)


class Flat:
    """What most people build."""

    packages = ("sentence-transformers", "faiss-cpu", "torch")

    def __init__(self, start: Start) -> None:
        from sentence_transformers import SentenceTransformer

        options = {"dtype": "bfloat16"} if start.half else {}
        self._model = SentenceTransformer(start.model, device="cpu", model_kwargs=options)
        self._index = new_index(self._model.get_embedding_dimension() or 0, start.size)
        self._ids: list[str] = []
        kind = "HNSW32" if start.size >= MANY else "flat"
        self.notes = f"dense, FAISS {kind}, {'bfloat16' if start.half else 'float32'}"

    def add(self, passages: Sequence[Passage], vectors: Any) -> None:  # noqa: ANN401 - the protocol's
        if vectors is None:
            vectors = self._encode([passage.text for passage in passages])
        self._index.add(vectors)
        self._ids += [passage.id for passage in passages]

    def ask(self, question: str, k: int) -> list[str]:
        _, rows = self._index.search(self._encode([question]), k)
        return [self._ids[row] for row in rows[0] if row >= 0]

    def _encode(self, texts: list[str]) -> Any:  # noqa: ANN401 - an array
        vectors = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)


if __name__ == "__main__":
    speak(Flat)
