"""Questions that are asked at the same time are encoded together: a row of several costs little more than one of them.

Whoever comes first takes along those who wait, for the encoder or for a thread to be answered in, and waits for nobody.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import islice

import numpy as np

from index.encoding import Encoder, Vectors

# Questions in a row: four of common length fill the encoder's widest one.
TOGETHER = 4
# Nobody is to wait for a long question of somebody else. In code points.
LONGEST = 160


class Expected:
    """The vectors of questions, some of which are known before they are asked for. Safe to use from several threads."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()
        # How many wait with each question, in the order of their coming.
        self._waiting: Counter[str] = Counter()
        self._coming: dict[str, Future[Vectors]] = {}

    @contextmanager
    def expecting(self, question: str) -> Iterator[None]:
        """Let it be known, for as long as this lasts, that `question`, which can be encoded, is going to be asked."""
        if len(question) > LONGEST:
            yield
            return
        with self._lock:
            self._waiting[question] += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting[question] -= 1
                if not self._waiting[question]:
                    del self._waiting[question]
                    self._coming.pop(question, None)

    def is_alone(self) -> bool:
        """Whether one question is being asked at most."""
        return len(self._waiting) < 2

    def vectors(self, question: str) -> Vectors:
        """Return the question's vector, and those of others that were encoded now, float32 of shape (n, dim).

        The others are going to be asked for next. Raises what the encoder raises.
        """
        with self._lock:
            coming = self._coming.get(question)
            together = {} if coming else self._taken(question)
        if coming is not None and coming.exception() is None:
            return coming.result()[np.newaxis]
        try:
            vectors = self._encoder.encode_questions(list(together or [question]))
        except BaseException as error:
            # Each of them finds out for itself what is wrong.
            for one in together.values():
                one.set_exception(error)
            raise
        for one, vector in zip(together.values(), vectors, strict=False):
            one.set_result(vector)
        return vectors

    def _taken(self, question: str) -> dict[str, Future[Vectors]]:
        """Return what is encoded in one row: `question`, and those that wait next. From now on they are coming."""
        waiting = () if len(question) > LONGEST else (one for one in self._waiting if one not in self._coming)
        others = islice((one for one in waiting if one != question), TOGETHER - 1)
        together: dict[str, Future[Vectors]] = {one: Future() for one in (question, *others)}
        self._coming |= {one: future for one, future in together.items() if one in self._waiting}
        return together
