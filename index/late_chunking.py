"""Vectors of a passage's sentences: means of the vectors of their tokens, or each sentence encoded by itself."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from index.articles import Span
from index.encoding import Context, Encoded, Vectors

Token = TypeVar("Token", int, tuple[int, int])


def head(passage: Context, prompt: str) -> str:
    """Return what stands in front of a passage's text: a headline says what its sentences are about."""
    return f"{prompt}{passage.title}. " if passage.title else prompt


def cut(tokens: list[Token], window: int) -> list[Token]:
    """Return the first tokens, or their offsets, with the closing special token kept, as truncation does."""
    return tokens if len(tokens) <= window else tokens[: window - 1] + tokens[-1:]


def mean_by_span(tokens: Vectors, offsets: NDArray[np.int64], spans: Sequence[Span], otherwise: Vectors) -> Vectors:
    """Return for each span the unit mean of the tokens that lie in it, or `otherwise` where the window cut them off.

    tokens: float32, at least as many rows as offsets. offsets: int64, shape (tokens, 2); special tokens are empty.
    """
    vectors = np.empty((len(spans), tokens.shape[1]), dtype=np.float32)
    starts, ends = offsets[:, 0], offsets[:, 1]
    for row, span in enumerate(spans):
        inside = np.flatnonzero((ends > starts) & (starts >= span.start) & (ends <= span.end))
        vectors[row] = unit(tokens[inside].mean(axis=0)) if len(inside) else otherwise
    return vectors


def encode_apart(passages: Sequence[Context], encode: Callable[[list[str]], Vectors], prompt: str) -> list[Encoded]:
    """Encode each passage, and each of its sentences by itself, with the title in front."""
    texts = [head(passage, prompt) + passage.text for passage in passages]
    sentences = [head(passage, prompt) + span.of(passage.text) for passage in passages for span in passage.spans]
    vectors, of_sentences = encode(texts), encode(sentences)
    ends = np.cumsum([len(passage.spans) for passage in passages])
    return [Encoded(*pair) for pair in zip(vectors, np.split(of_sentences, ends[:-1]), strict=True)] if passages else []


def unit(vector: Vectors) -> Vectors:
    """Return the vector, shape (dim,), at a length of 1; of zeros, zeros."""
    return vector / max(math.sqrt(vector @ vector), 1e-12)
