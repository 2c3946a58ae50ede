"""Article -> passages: which sentences stand together, as an encoder and a reader read them, and as they are stored."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.articles import Article, Span
from index.encoding import Context, Encoded, Encoder
from index.lexical import analyze
from index.splitting import group_sentences, split_sentences
from index.store import Reading

# Tokens of a passage, title included, where the encoder's window allows as many. Shorter passages rank sentences better
# than those that fill a window of 256 (docs/decisions/0004): the default encoder was trained on 128.
PASSAGE = 128
# Neighbouring passages share a sentence, so that no answer is torn from what leads to it.
OVERLAP = 1
# A title longer than this would crowd out the passage that it stands in front of, in code points.
LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True, eq=False)
class Divided:
    """An article with its sentences, and its passages as half-open ranges of them."""

    article: Article
    sentences: Sequence[Span]
    groups: tuple[tuple[int, int], ...]

    def contexts(self) -> list[Context]:
        """Return the passages as they are read."""
        return [context_of(self.article, self.sentences[first:last]) for first, last in self.groups]


def divide(article: Article, encoder: Encoder) -> Divided:
    """Return the article with the sentences and passages that it is made into; it may have none."""
    sentences = tuple(split_sentences(article.text, article.body))
    return Divided(article, sentences, tuple(groups_of(article, sentences, encoder)) if sentences else ())


def groups_of(article: Article, sentences: Sequence[Span], encoder: Encoder) -> list[tuple[int, int]]:
    """Return the passages that an article is made into, as half-open ranges of its sentences."""
    texts = [_short_title(article), *(span.of(article.text) for span in sentences)]
    title, *lengths = encoder.count_tokens(texts)
    window = min(encoder.window, PASSAGE)
    # The special tokens of each sentence, counted with it, are room to spare for how its neighbours join.
    return group_sentences(lengths, window=max(window - title, window // 2), overlap=OVERLAP)


def context_of(article: Article, sentences: Sequence[Span]) -> Context:
    """Return neighbouring sentences, at least one, as encoder and reader read them; offsets count from the first."""
    start = sentences[0].start
    shifted = tuple(Span(span.start - start, span.end - start) for span in sentences)
    return Context(_short_title(article), article.text[start : sentences[-1].end], shifted)


def _short_title(article: Article) -> str:
    return (article.title or "")[:LONGEST_TITLE]


def encode(articles: Sequence[Divided], encoder: Encoder) -> list[list[Reading]]:
    """Return the passages of each article as they are stored; all are encoded together, because that is faster."""
    contexts = [context for article in articles for context in article.contexts()]
    return readings_of(articles, encoder.encode_passages(contexts) if contexts else [])


def readings_of(articles: Sequence[Divided], encoded: Iterable[Encoded]) -> list[list[Reading]]:
    """Return the passages of each article as they are stored; encoded: of all of them, in order."""
    vectors = iter(encoded)
    return [list(_readings(article, vectors)) for article in articles]


def _readings(divided: Divided, vectors: Iterator[Encoded]) -> Iterator[Reading]:
    for first, last in divided.groups:
        encoded = next(vectors)
        spans = divided.sentences[first:last]
        terms = [analyze(span.of(divided.article.text)) for span in spans]
        yield Reading(
            first=first,
            last=last,
            vector=encoded.vector,
            spans=np.array([(span.start, span.end) for span in spans], dtype=np.int32),
            sentence_vectors=encoded.sentences,
            terms=term_hashes([term for of_sentence in terms for term in of_sentence]),
            term_counts=np.array([len(of_sentence) for of_sentence in terms], dtype=np.uint32),
        )


def term_hashes(terms: Sequence[str]) -> NDArray[np.uint32]:
    """Return a 32-bit number for each term; two terms share one about once in four billion pairs."""
    return np.array([zlib.crc32(term.encode()) for term in terms], dtype=np.uint32)
