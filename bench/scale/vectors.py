"""Vectors for corpora that would take hours to encode: real ones of all sentences, and their means for passages.

A generated passage has the normalised mean of its sentences' vectors, and each of its sentences its own; whatever else
is encoded (questions, real articles) the real encoder encodes. So neighbours are closer to each other, and search is
harder, than with vectors of passages that are about one thing each.
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from index.articles import Span
from index.encoding import Context, Encoded, Encoder, Vectors

# Sentences that are encoded between two words about how far it is.
_SHARE = 4096


class MixingEncoder:
    """An Encoder that knows some vectors. Its name is the real encoder's, so that a server opens its corpus."""

    def __init__(self, real: Encoder, sentences: Sequence[str], vectors: Vectors) -> None:
        self._real = real
        self._rows = {text: row for row, text in enumerate(sentences)}
        self._vectors = vectors
        self._tokens: dict[str, int] = {}

    @property
    def name(self) -> str:
        return self._real.name

    @property
    def dim(self) -> int:
        return self._real.dim

    @property
    def window(self) -> int:
        return self._real.window

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        unknown = [text for text in dict.fromkeys(texts) if text not in self._tokens]
        counts = dict(zip(unknown, self._real.count_tokens(unknown), strict=True)) if unknown else {}
        # Only known sentences come again; all others would fill the memory.
        self._tokens |= {text: count for text, count in counts.items() if text in self._rows}
        return [self._tokens[text] if text in self._tokens else counts[text] for text in texts]

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        return self._real.encode_questions(texts)

    def encode_passages(self, passages: Sequence[Context]) -> list[Encoded]:
        mixed = [self._mix(passage) for passage in passages]
        others = [passage for passage, done in zip(passages, mixed, strict=True) if done is None]
        encoded = iter(self._real.encode_passages(others) if others else ())
        return [done or next(encoded) for done in mixed]

    def _mix(self, passage: Context) -> Encoded | None:
        rows = [self._rows.get(span.of(passage.text)) for span in passage.spans]
        known = [row for row in rows if row is not None]
        if len(known) < len(rows):
            return None
        sentences = self._vectors[known]
        return Encoded(_unit(sentences.mean(axis=0)), sentences)


def _unit(vector: Vectors) -> Vectors:
    unit: Vectors = (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
    return unit


def load_vectors(encoder: Encoder, sentences: Sequence[str], cache: Path) -> Vectors:
    """Return the vectors of all sentences, shape (len(sentences), dim), each encoded alone; `cache` keeps them."""
    digest = hashlib.sha256("\n".join([encoder.name, *sentences]).encode()).hexdigest()[:16]
    path = cache / f"sentences-{encoder.name}-{digest}.npy"
    if path.exists():
        known: Vectors = np.load(path)
        return known
    parts = []
    for first in range(0, len(sentences), _SHARE):
        share = sentences[first : first + _SHARE]
        contexts = [Context("", text, (Span(0, len(text)),)) for text in share]
        parts += [encoded.sentences for encoded in encoder.encode_passages(contexts)]
        print(f"  {first + len(share):,} of {len(sentences):,} sentences encoded", file=sys.stderr)
    vectors = np.concatenate(parts).astype(np.float32)
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.save(file, vectors)
    unfinished.rename(path)
    return vectors
