import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bench import encoding
from bench.encoding import CALLERS, Ours, measure, table
from index.articles import Span
from index.encoding import Context, Vectors
from index.errors import InputError
from index.testing import HashingEncoder

QUESTIONS = [f"Did Iran send {number} drones?" for number in range(10)]
PASSAGES = [Context("Weapons", f"Iran denies it {number} times.", (Span(0, 15),)) for number in range(5)]


class Turned(Ours):
    """Another model: its vectors have nothing to do with ours."""

    def add(self, passages: Sequence[Context]) -> Vectors:
        return np.roll(super().add(passages), 1, axis=1)


def test_each_model_costs_something_and_is_as_near_to_the_last_as_its_vectors_are() -> None:
    models = [Ours(HashingEncoder()), Turned(HashingEncoder()), Ours(HashingEncoder())]
    measured = measure(models, QUESTIONS, PASSAGES, turns=2)
    assert [one.nearness[0] for one in measured] == pytest.approx([1, 1, 1])
    assert [measured[0].nearness[1], measured[2].nearness[1]] == pytest.approx([1, 1])
    assert measured[1].nearness[1] < 0.5
    for one in measured:
        assert len(one.asking) == len(CALLERS)
        assert all(cost.processor > 0 and cost.clock > 0 for cost in (*one.asking, one.adding))
    lines = table(measured, ["one", "other", "same"], sentences=2.5).splitlines()
    assert len(lines) == 2 + 3
    assert len({line.count("|") for line in lines}) == 1


def test_turns_take_other_questions_until_all_had_theirs() -> None:
    asked = [encoding._some(range(10), turn, 4) for turn in range(3)]
    assert asked == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]]
    assert encoding._some(range(2), 1, 4) == [0, 1]


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text(json.dumps({"id": "1", "text": "Who?"}), encoding="utf-8")
    with pytest.raises(InputError, match=r"corpus\.jsonl"):
        encoding.main(["--data", str(tmp_path)])
