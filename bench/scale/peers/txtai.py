"""txtai with its own hybrid search: dense vectors in FAISS and BM25 in its own index, weighed half and half."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from txtai import Embeddings  # type: ignore[import-not-found]

from bench.scale.peers.protocol import Passage, Start, speak


class Txtai:
    """An embeddings database without content, as its hybrid example has it."""

    packages = ("txtai", "sentence-transformers", "faiss-cpu", "torch")

    def __init__(self, start: Start) -> None:
        self._start = start
        self._embeddings: Any = None
        self._given: dict[str, Any] = {}
        self._model: Any = None
        numbers = "bfloat16" if start.half else "float32"
        self.notes = f"hybrid (dense + BM25), FAISS as it chooses by size, {numbers}"

    def add(self, passages: Sequence[Passage], vectors: Any) -> None:  # noqa: ANN401 - the protocol's
        rows = [(passage.id, passage.text, None) for passage in passages]
        if vectors is not None:
            self._given |= dict(zip((passage.text for passage in passages), vectors, strict=True))
        if self._embeddings is None:
            self._embeddings = self._made(given=vectors is not None)
            self._embeddings.index(rows)
        else:
            self._embeddings.upsert(rows)

    def _made(self, *, given: bool) -> Any:  # noqa: ANN401 - txtai has no types
        options: dict[str, Any] = {"model_kwargs": {"dtype": "bfloat16"}} if self._start.half else {}
        if not given:
            return Embeddings(
                path=self._start.model,
                method="sentence-transformers",
                hybrid=True,
                gpu=False,
                vectors=options,
                encodeargs={"show_progress_bar": False},
            )
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(self._start.model, device="cpu", **options)

        def transform(texts: list[str]) -> Any:  # noqa: ANN401 - an array
            known = [self._given[text] for text in texts if text in self._given]
            if len(known) == len(texts):
                return np.stack(known)
            return self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)

        return Embeddings(method="external", transform=transform, hybrid=True)

    def ask(self, question: str, k: int) -> list[str]:
        return [id_ for id_, _ in self._embeddings.search(question, k)]


if __name__ == "__main__":
    speak(Txtai)
