import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest

from index.encoding import Vectors
from index.expected import LONGEST, TOGETHER, Expected
from index.testing import HashingEncoder


class Noting(HashingEncoder):
    """Knows what it was given at a time; waits for `open` before it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[list[str]] = []
        self.open = threading.Event()
        self.open.set()

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        self.given.append(list(texts))
        assert self.open.wait(10)
        if "impossible" in texts:
            raise RuntimeError("impossible")
        return super().encode_questions(texts)


def test_who_comes_alone_goes_alone() -> None:
    encoder = Noting()
    assert np.array_equal(Expected(encoder).vectors("why?")[0], HashingEncoder().encode_questions(["why?"])[0])
    assert encoder.given == [["why?"]]


def test_those_who_wait_are_encoded_with_the_first_and_each_gets_its_own_vector() -> None:
    encoder, questions = Noting(), [f"who is number {n}?" for n in range(2 * TOGETHER)]
    expected = Expected(encoder)
    with ExitStack() as waiting:
        for question in questions:
            waiting.enter_context(expected.expecting(question))
        for question in questions:
            vector = expected.vectors(question)[0]
            assert np.array_equal(vector, HashingEncoder().encode_questions([question])[0])
    assert encoder.given == [questions[:TOGETHER], questions[TOGETHER:]]


def test_whoever_waits_no_longer_is_forgotten() -> None:
    encoder = Noting()
    expected = Expected(encoder)
    with expected.expecting("who left?"):
        pass
    with expected.expecting("who left, too?"):
        expected.vectors("why?")
    expected.vectors("who left, too?")
    assert encoder.given == [["why?", "who left, too?"], ["who left, too?"]]


def test_two_who_wait_with_the_same_question_share_its_vector() -> None:
    encoder = Noting()
    expected = Expected(encoder)
    with expected.expecting("why?"), expected.expecting("why?"):
        expected.vectors("why?")
        expected.vectors("why?")
    assert encoder.given == [["why?"]]


def test_nobody_waits_for_a_long_question_of_somebody_else() -> None:
    encoder, long = Noting(), "why " * LONGEST
    expected = Expected(encoder)
    with expected.expecting(long), expected.expecting("who?"):
        expected.vectors("when?")
        expected.vectors(long)
    assert encoder.given == [["when?", "who?"], [long]]


def test_a_question_that_is_being_encoded_with_another_is_not_encoded_twice() -> None:
    encoder = Noting()
    encoder.open.clear()
    expected = Expected(encoder)
    with expected.expecting("who?"), ThreadPoolExecutor(2) as threads:
        first = threads.submit(expected.vectors, "when?")
        while not encoder.given:
            threading.Event().wait(0.001)
        second = threads.submit(expected.vectors, "who?")
        encoder.open.set()
        assert np.array_equal(second.result(10)[0], HashingEncoder().encode_questions(["who?"])[0])
        first.result(10)
    assert encoder.given == [["when?", "who?"]]


def test_what_fails_together_is_tried_alone() -> None:
    encoder = Noting()
    expected = Expected(encoder)
    with expected.expecting("who?"):
        with pytest.raises(RuntimeError, match="impossible"):
            expected.vectors("impossible")
        assert expected.vectors("who?").shape == (1, encoder.dim)
    assert encoder.given == [["impossible", "who?"], ["who?"]]


def test_one_is_alone_and_two_are_not() -> None:
    expected = Expected(HashingEncoder())
    assert expected.is_alone()
    with expected.expecting("who?"):
        assert expected.is_alone()
        with expected.expecting("why?"):
            assert not expected.is_alone()
    assert expected.is_alone()
