import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.derived import State
from index.encoding import Vectors
from index.errors import CorpusDamagedError
from index.testing import check_vector_index_contract
from index.vectors import VectorIndex

STATE = State("a store", 3)


def unit(rows: int, dim: int = 8, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    scaled: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def test_the_index_keeps_its_contract() -> None:
    check_vector_index_contract(VectorIndex)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 8), st.sets(st.integers(0, 40), max_size=8)), max_size=6),
    k=st.integers(1, 50),
    repeated=st.integers(1, 6),
)
def test_after_any_changes_it_finds_what_numpy_finds(steps: list[tuple[int, set[int]]], k: int, repeated: int) -> None:
    # Few distinct vectors, so that there are ties to break.
    pool = unit(repeated)
    index, held, following = VectorIndex(8), dict[int, Vectors](), 0
    for added, removed in steps:
        new = range(following, following + added)
        following += added
        index = index.changed(add=pool[[key % repeated for key in new]], keys=new, remove=sorted(removed))
        held = {key: vector for key, vector in held.items() if key not in removed}
        held |= {key: pool[key % repeated] for key in new}
    assert index.keys() == sorted(held)
    [query] = unit(1, seed=5)
    [found] = index.search(query[np.newaxis], k)
    scores = {key: round(float(query @ vector), 5) for key, vector in held.items()}
    assert [neighbour.key for neighbour in found] == sorted(held, key=lambda key: (-scores[key], key))[:k]


def test_a_batch_of_questions_finds_what_each_finds_alone() -> None:
    index = VectorIndex(8).changed(add=unit(200), keys=range(200), remove=[])
    queries = unit(40, seed=3)
    together = index.search(queries, 5)
    assert [[one.key for one in row] for row in together] == [
        [one.key for one in index.search(query[np.newaxis], 5)[0]] for query in queries
    ]


def saved(folder: Path) -> None:
    VectorIndex(8).changed(add=unit(5), keys=range(5), remove=[]).save(folder, STATE)


def test_a_flipped_bit_in_a_vector_is_damage(tmp_path: Path) -> None:
    saved(tmp_path)
    content = bytearray((tmp_path / "passages.faiss").read_bytes())
    content[-60] ^= 1
    (tmp_path / "passages.faiss").write_bytes(content)
    with pytest.raises(CorpusDamagedError, match="quoteline rebuild"):
        VectorIndex.load(tmp_path, 8)


@pytest.mark.parametrize("name", ["passages.faiss", "state.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"null", b"\xff\xfe", b"no index at all" * 50])
def test_a_file_that_is_another_is_damage(tmp_path: Path, name: str, content: bytes) -> None:
    saved(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusDamagedError):
        VectorIndex.load(tmp_path, 8)


def test_a_missing_index_beside_its_state_is_damage(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "passages.faiss").unlink()
    with pytest.raises(CorpusDamagedError):
        VectorIndex.load(tmp_path, 8)


def test_vectors_and_state_of_two_saves_are_damage(tmp_path: Path) -> None:
    saved(tmp_path / "one")
    VectorIndex(8).save(tmp_path / "two", State("a store", 4))
    (tmp_path / "one" / "state.json").write_bytes((tmp_path / "two" / "state.json").read_bytes())
    with pytest.raises(CorpusDamagedError):
        VectorIndex.load(tmp_path / "one", 8)


def test_saving_leaves_no_other_file(tmp_path: Path) -> None:
    saved(tmp_path)
    saved(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["passages.faiss", "state.json"]
    assert json.loads((tmp_path / "state.json").read_bytes())["generation"] == 3


def test_saving_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / ".passages.faiss.77").write_bytes(b"half of it")
    saved(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["passages.faiss", "state.json"]


def test_the_state_of_what_is_saved_is_read_without_reading_it(tmp_path: Path) -> None:
    assert VectorIndex.saved(tmp_path) is None
    saved(tmp_path)
    (tmp_path / "passages.faiss").unlink()
    assert VectorIndex.saved(tmp_path) == STATE
    for content in (b"", b"[]", b"{}", b"\xff"):
        (tmp_path / "state.json").write_bytes(content)
        assert VectorIndex.saved(tmp_path) is None


def test_removed_vectors_are_not_saved(tmp_path: Path) -> None:
    index = VectorIndex(8).changed(add=unit(5), keys=range(5), remove=[])
    gone = index.vectors([2])[0].tobytes()
    index.changed(add=unit(0), keys=[], remove=[2]).save(tmp_path, STATE)
    assert gone not in (tmp_path / "passages.faiss").read_bytes()
