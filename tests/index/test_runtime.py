from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.runtime import Compiled, Input, Shaped, convert, read_model

if TYPE_CHECKING:
    import torch

pytestmark = pytest.mark.model
WORDS, DIM = 50, 16
WIDTHS = (4, 6, 16)
MOST = 9


def network() -> "torch.nn.Module":
    """Tokens and numbers in; a vector of each token, and how often each number is among them, out."""
    import torch

    class Tiny(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(4)
            self.words = torch.nn.Embedding(WORDS, DIM)
            self.product = torch.nn.Linear(DIM, DIM)

        def forward(self, ids: torch.Tensor, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            stands = (ids[:, None, :] == numbers[None, :, None]).float().sum(-1)
            return torch.tanh(self.product(self.words(ids))), stands

    return Tiny()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401 - OpenVINO's type
    import torch

    path = tmp_path_factory.mktemp("tiny") / "model.xml"
    convert(network(), [torch.ones((2, 5), dtype=torch.int64), torch.arange(7)], path)
    return read_model(path)


@pytest.fixture(scope="module")
def shaped(stored: Any) -> Shaped:  # noqa: ANN401 - OpenVINO's type
    return Shaped(stored, [[(1, width), (MOST,)] for width in WIDTHS], lanes=1)


@pytest.fixture(scope="module")
def for_any(stored: Any) -> Compiled:  # noqa: ANN401 - OpenVINO's type
    return Compiled(stored, lanes=1)


def inputs(ids: Sequence[int]) -> tuple[Input, Input]:
    return np.array([ids], dtype=np.int64), np.arange(MOST, dtype=np.int64)


def texts(width: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, WORDS - 1), min_size=width, max_size=width)


# Each after others, so that what a wider one left behind would be seen.
@settings(deadline=None)
@given(st.lists(st.sampled_from(WIDTHS).flatmap(texts), min_size=1, max_size=5))
def test_of_several_shapes_each_yields_what_a_model_for_any_does(
    shaped: Shaped, for_any: Compiled, some: list[list[int]]
) -> None:
    for ids in some:
        for one, other in zip(shaped(*inputs(ids)), for_any(*inputs(ids)), strict=True):
            assert one.shape == other.shape
            assert np.allclose(one, other, atol=0.02)


def test_one_shape_needs_no_choice(stored: Any, for_any: Compiled) -> None:  # noqa: ANN401 - OpenVINO's type
    shaped = Shaped(stored, [[(1, 5), (MOST,)]], lanes=1)
    for one, other in zip(shaped(*inputs([1, 2, 3, 4, 5])), for_any(*inputs([1, 2, 3, 4, 5])), strict=True):
        assert np.allclose(one, other, atol=0.02)


def test_what_a_thread_found_stays_until_it_asks_again(shaped: Shaped) -> None:
    found = shaped(*inputs([1, 2, 3, 4]))
    before = [one.copy() for one in found]
    with ThreadPoolExecutor(1) as thread:
        others = thread.submit(lambda: [one.copy() for one in shaped(*inputs([5, 6, 7, 8]))]).result()
    assert all(map(np.array_equal, found, before))
    assert not np.array_equal(others[0], before[0])


def test_threads_do_not_mix_up_what_they_ask(shaped: Shaped) -> None:
    asked = [[number % WORDS] * WIDTHS[number % 3] for number in range(60)]
    alone = [[found.copy() for found in shaped(*inputs(ids))] for ids in asked]
    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(lambda ids: [found.copy() for found in shaped(*inputs(ids))], asked))
    for one, other in zip(alone, together, strict=True):
        assert all(map(np.array_equal, one, other))


def test_another_shape_is_refused(shaped: Shaped) -> None:
    with pytest.raises(ValueError, match="not in list"):
        shaped(*inputs([1, 2, 3]))


def test_matrices_are_stored_in_half_precision_and_tables_in_single(stored: Any) -> None:  # noqa: ANN401 - OpenVINO's type
    kinds = {
        tuple(node.get_output_shape(0)): node.get_element_type().to_dtype()
        for node in stored.get_ordered_ops()
        if node.get_type_name() == "Constant"
    }
    assert kinds[WORDS, DIM] == np.float32
    assert kinds[DIM, DIM] == np.float16
