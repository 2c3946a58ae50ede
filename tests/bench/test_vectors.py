import numpy as np
import pytest

from bench import vectors
from bench.vectors import KINDS, Material, material, measured, random_passages, rescored
from index.encoding import Vectors


def unit(rows: int, *, seed: int = 0, dim: int = 384) -> Vectors:
    made = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    scaled: Vectors = made / np.linalg.norm(made, axis=1, keepdims=True)
    return scaled


@pytest.fixture(scope="module")
def given() -> Material:
    return material(random_passages(unit(500).astype(np.float16), 3000), unit(5, seed=2))


def test_passages_are_unit_vectors_that_a_seed_repeats() -> None:
    sentences = unit(50).astype(np.float16)
    made = random_passages(sentences, 300)
    assert np.allclose(np.linalg.norm(made.astype(np.float32), axis=1), 1, atol=1e-3)
    assert np.array_equal(made, random_passages(sentences, 300))
    assert len(np.unique(made, axis=0)) > 290


def test_the_nearest_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    passages, questions = unit(100, dim=8).astype(np.float16), unit(3, seed=1, dim=8)
    monkeypatch.setattr(vectors, "BLOCK", 7)
    scores = questions @ passages.astype(np.float32).T
    assert np.array_equal(material(passages, questions).nearest, np.argsort(-scores, axis=1)[:, : vectors.JUDGED])


def test_recall_is_of_the_first_fifty(given: Material) -> None:
    truth = {question.tobytes(): rows for question, rows in zip(given.questions, given.nearest, strict=True)}
    whole = measured("x", given, 0, 0, lambda question: truth[question.tobytes()])
    half = measured("x", given, 0, 0, lambda question: truth[question.tobytes()][:25])
    late = measured("x", given, 0, 0, lambda question: np.concatenate([np.full(50, -5), truth[question.tobytes()]]))
    assert (whole.recall, half.recall, late.recall) == (1.0, 0.5, 0.0)


def test_rescoring_restores_the_order(given: Material) -> None:
    question, rows = given.questions[0], given.nearest[0]
    assert np.array_equal(rescored(lambda _: rows[::-1], given.passages)(question), rows)


@pytest.mark.parametrize("kind", ["shipped", "flat"])
def test_what_is_exact_at_this_size_finds_all(given: Material, kind: str) -> None:
    found = list(KINDS[kind](given))
    assert [figures.recall for figures in found] == [1.0] * len(found)


@pytest.mark.parametrize("kind", ["sq8", "rabitq"])
def test_what_was_tried_runs(given: Material, kind: str) -> None:
    for figures in KINDS[kind](given):
        assert figures.recall > 0.5
        assert len(figures.line().split("|")) == len(vectors.HEAD.splitlines()[0].split("|"))
