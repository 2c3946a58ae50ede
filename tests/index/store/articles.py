"""Articles for tests of the store, with vectors of chance."""

from dataclasses import replace

import numpy as np

from index.articles import Article, Span
from index.splitting import split_sentences
from index.store import Change, Reading, Store

TEXT = "Iran denies it. The minister called 👩\u200d👧! Cafe\u0301s closed. It was Friday."
DIM = 4


def article(name: str, text: str = TEXT, **facts: object) -> Article:
    return replace(Article(name, text, Span(0, len(text)), collection="default"), **facts)  # type: ignore[arg-type]


def readings(one: Article, *groups: tuple[int, int], seed: int = 0) -> list[Reading]:
    spans = np.array([(span.start, span.end) for span in split_sentences(one.text, one.body)], dtype=np.int32)
    draw = np.random.default_rng(seed)
    return [
        Reading(
            first,
            last,
            draw.standard_normal(DIM).astype(np.float16).astype(np.float32),
            spans[first:last],
            draw.standard_normal((last - first, DIM)).astype(np.float16).astype(np.float32),
            np.arange(2 * (last - first), dtype=np.uint32) + 2**31,
            np.full(last - first, 2, dtype=np.uint32),
        )
        for first, last in groups
    ]


def put(change: Change, one: Article, *groups: tuple[int, int], version: int = 1) -> None:
    sentences = split_sentences(one.text, one.body)
    change.add(one, version=version, sentences=sentences, readings=readings(one, *groups or [(0, len(sentences))]))


def add(store: Store, *articles: Article) -> None:
    with store.change() as change:
        for one in articles:
            put(change, one)
