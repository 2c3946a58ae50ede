from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.scale.quality import exact_nearest
from bench.scale.vectors import MixingEncoder, load_vectors
from index.articles import Span
from index.encoding import Context, Encoded
from index.testing import HashingEncoder

SENTENCES = ("The lamp hangs over the harbour.", "The mill was closed.", "The fair opens in May.")


class Counting(HashingEncoder):
    """Counts what it is asked to encode."""

    def __init__(self) -> None:
        super().__init__()
        self.passages = 0

    def encode_passages(self, passages: Sequence[Context]) -> list[Encoded]:
        self.passages += len(passages)
        return super().encode_passages(passages)


def context_of(*sentences: str) -> Context:
    starts = np.cumsum([0, *(len(one) + 1 for one in sentences)])
    spans = tuple(Span(int(start), int(start) + len(one)) for start, one in zip(starts, sentences, strict=False))
    return Context("A title", " ".join(sentences), spans)


@pytest.fixture
def real() -> Counting:
    return Counting()


@pytest.fixture
def mixing(real: Counting, tmp_path: Path) -> MixingEncoder:
    mixing = MixingEncoder(real, SENTENCES, load_vectors(real, SENTENCES, tmp_path))
    real.passages = 0
    return mixing


def test_a_passage_of_known_sentences_is_their_normalised_mean(mixing: MixingEncoder, real: Counting) -> None:
    [encoded] = mixing.encode_passages([context_of(SENTENCES[2], SENTENCES[0])])
    own = real.encode_questions([SENTENCES[2], SENTENCES[0]])
    np.testing.assert_allclose(encoded.sentences, own, atol=1e-6)
    np.testing.assert_allclose(encoded.vector, own.sum(axis=0) / np.linalg.norm(own.sum(axis=0)), atol=1e-6)
    assert real.passages == 0


def test_a_passage_with_another_sentence_is_encoded_in_its_place(mixing: MixingEncoder, real: Counting) -> None:
    known, other = context_of(SENTENCES[0]), context_of(SENTENCES[0], "Nobody knows this one.")
    found = mixing.encode_passages([known, other, known])
    [wanted] = real.encode_passages([other])
    np.testing.assert_array_equal(found[1].vector, wanted.vector)
    assert not np.allclose(found[0].vector, found[1].vector)


def test_its_name_and_its_tokens_are_the_real_encoders(mixing: MixingEncoder, real: Counting) -> None:
    texts = [SENTENCES[0], "another text", SENTENCES[0]]
    assert (mixing.name, mixing.dim, mixing.window) == (real.name, real.dim, real.window)
    assert mixing.count_tokens(texts) == mixing.count_tokens(texts) == real.count_tokens(texts)
    assert mixing.count_tokens([]) == []


def test_texts_that_may_never_come_again_are_not_kept(mixing: MixingEncoder) -> None:
    mixing.count_tokens([f"a text, number {number}" for number in range(100)])
    assert len(mixing._tokens) == 0


def test_sentences_are_encoded_once_for_good(real: Counting, tmp_path: Path) -> None:
    first = load_vectors(real, SENTENCES, tmp_path)
    assert real.passages == len(SENTENCES)
    np.testing.assert_array_equal(load_vectors(real, SENTENCES, tmp_path), first)
    assert real.passages == len(SENTENCES)
    load_vectors(real, SENTENCES[:2], tmp_path)
    assert real.passages == len(SENTENCES) + 2


def test_exact_search_by_blocks_is_exact_search() -> None:
    dice = np.random.default_rng(3)
    passages = dice.standard_normal((50, 8)).astype(np.float32)
    questions = dice.standard_normal((4, 8)).astype(np.float32)
    keys = np.arange(100, 150)
    wanted = [set(keys[np.argsort(-row)[:9]].tolist()) for row in questions @ passages.T]
    assert exact_nearest(questions, [(keys[:17], passages[:17]), (keys[17:], passages[17:])], 9) == wanted
