import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from index import segments, vectors
from index.derived import State
from index.encoding import Vectors
from index.errors import CorpusBusyError, CorpusDamagedError, CorpusError
from index.testing import check_vector_index_contract
from index.vectors import VectorIndex

STATE = State("a store", 3)


def unit(rows: int, dim: int = 8, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return rounded(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def rounded(vectors: Vectors) -> Vectors:
    """As the store rounds them."""
    return vectors.astype(np.float16).astype(np.float32)


@contextmanager
def small_segments(*, exact: int = 12, recent: int = 4, coded: int = 1000) -> Iterator[None]:
    """So that segments come about with few rows."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(vectors, "EXACT", exact)
        patched.setattr(vectors, "RECENT", recent)
        patched.setattr(segments, "FEWEST_CODED", coded)
        yield


def merged(index: VectorIndex, folder: Path, *, erase: bool = False) -> VectorIndex:
    """All that is due."""
    while (plan := index.plan_merge(erase=erase)) is not None:
        index = index.with_merged(plan.build(folder))
    return index


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "merging.lock")


def segment_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("segment-*"))


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


class Model:
    """What an index must hold and find, in plain numpy."""

    def __init__(self, pool: Vectors) -> None:
        self.pool = pool
        self.held: dict[int, Vectors] = {}
        self.following = 0

    def changed(self, index: VectorIndex, added: int, removed: set[int]) -> VectorIndex:
        new = range(self.following, self.following + added)
        self.following += added
        rows = self.pool[[key % len(self.pool) for key in new]]
        self.held = {key: vector for key, vector in self.held.items() if key not in removed}
        self.held |= dict(zip(new, rows, strict=True))
        return index.changed(add=rows, keys=new, remove=sorted(removed))

    def check(self, index: VectorIndex, k: int) -> None:
        keys = sorted(self.held)
        assert index.keys() == keys
        assert len(index) == len(keys)
        assert np.array_equal(index.vectors(keys), np.array([self.held[key] for key in keys]).reshape(-1, 8))
        [query] = unit(1, seed=5)
        scores = {key: round(float(query @ vector), 5) for key, vector in self.held.items()}
        for among in (None, keys[::2], np.array(keys[1::3], dtype=np.int64)):
            [found] = index.search(query[np.newaxis], k, among=among)
            named = set(keys if among is None else [int(key) for key in among])
            best = sorted((key for key in keys if key in named), key=lambda key: (-scores[key], key))[:k]
            assert [neighbour.key for neighbour in found] == best


# What is added and removed; then whether all is merged, what is removed while that is done, whether it is saved and
# opened again.
step = st.tuples(
    st.integers(0, 12),
    st.sets(st.integers(0, 80), max_size=12),
    st.sampled_from(["", "merge", "erase"]),
    st.sets(st.integers(0, 80), max_size=6),
    st.sampled_from(["", "save", "open", "adopt"]),
)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(step, max_size=8), k=st.integers(1, 90), repeated=st.integers(1, 9), coded=st.booleans())
def test_whatever_is_merged_saved_and_opened_it_finds_what_numpy_finds(
    steps: list[tuple[int, set[int], str, set[int], str]], k: int, repeated: int, coded: bool
) -> None:
    model, index = Model(unit(repeated)), VectorIndex(8)
    with TemporaryDirectory() as name, small_segments(coded=32 if coded else 1000):
        for generation, (added, removed, merging, meanwhile, keeping) in enumerate(steps):
            folder, before = Path(name), index
            index = model.changed(index, added, removed)
            plan = index.plan_merge(erase=merging == "erase") if merging else None
            if plan is not None:
                made = plan.build(folder)
                index = model.changed(index, len(meanwhile), meanwhile).with_merged(made)
            if keeping:
                index.save(folder, State("a store", generation))
            if keeping in {"open", "adopt"}:
                loaded = VectorIndex.load(folder, 8, previous=before if keeping == "adopt" else None)
                assert loaded is not None
                index = loaded[0]
            model.check(index, k)


def test_what_was_merged_is_in_few_segments_and_little_memory(tmp_path: Path) -> None:
    index, most = VectorIndex(8), 0
    with small_segments():
        for first in range(0, 2000, 5):
            index = index.changed(add=unit(5, seed=first), keys=range(first, first + 5), remove=[])
            index = merged(index, tmp_path)
            most = max(most, len(index._parts))
            assert len(index._recent) < 12
    assert most <= 8
    assert index.keys() == list(range(2000))


def test_removed_rows_are_dropped_once_they_are_many(tmp_path: Path) -> None:
    with small_segments():
        index = merged(VectorIndex(8).changed(add=unit(100), keys=range(100), remove=[]), tmp_path)
        index = index.changed(add=unit(0), keys=[], remove=range(20))
        assert index.plan_merge() is None
        index = merged(index.changed(add=unit(0), keys=[], remove=[20]), tmp_path)
    assert [len(part.segment) for part in index._parts] == [79]


def test_a_merge_that_another_one_overtook_changes_nothing(tmp_path: Path) -> None:
    with small_segments():
        index = merged(VectorIndex(8).changed(add=unit(20), keys=range(20), remove=[]), tmp_path)
        index = index.changed(add=unit(20, seed=2), keys=range(20, 40), remove=[])
        plan = index.plan_merge()
        assert plan is not None
        assert len(plan) == 40
        late = plan.build(tmp_path)
        index = merged(index, tmp_path)
        assert index.with_merged(late).keys() == list(range(40))
        assert len(index.with_merged(late)._parts) == 1
        assert VectorIndex(8).with_merged(late).keys() == []


def test_one_merge_at_a_time_is_done_for_a_folder(tmp_path: Path) -> None:
    with small_segments():
        plan = VectorIndex(8).changed(add=unit(20), keys=range(20), remove=[]).plan_merge()
        assert plan is not None
        with FileLock(tmp_path / "merging.lock"), pytest.raises(CorpusBusyError, match="merged already"):
            plan.build(tmp_path)


def test_saving_leaves_what_another_process_is_building(tmp_path: Path) -> None:
    (tmp_path / ".segment-1.vectors.77").write_bytes(b"half of it")
    with FileLock(tmp_path / "merging.lock"):
        saved(tmp_path)
    assert ".segment-1.vectors.77" in names(tmp_path)
    saved(tmp_path)
    assert ".segment-1.vectors.77" not in names(tmp_path)


def test_a_segment_that_was_taken_for_a_leftover_is_written_again(tmp_path: Path) -> None:
    with small_segments():
        index = merged(VectorIndex(8).changed(add=unit(20), keys=range(20), remove=[]), tmp_path)
    saved(tmp_path)
    assert segment_files(tmp_path) == []
    index.save(tmp_path, STATE)
    loaded = VectorIndex.load(tmp_path, 8)
    assert loaded is not None
    assert np.array_equal(loaded[0].vectors(range(20)), unit(20))


def test_small_changes_share_their_rows_with_what_they_came_from() -> None:
    index = VectorIndex(8).changed(add=unit(1000), keys=range(1000), remove=[])
    one = index.changed(add=unit(1, seed=1), keys=[1000], remove=[3])
    assert np.shares_memory(one._recent.vectors, index._recent.vectors)
    # Two that grow out of the same do not see one another's rows.
    other = index.changed(add=unit(1, seed=2), keys=[2000], remove=[])
    assert (one.keys()[-1], other.keys()[-1]) == (1000, 2000)
    assert np.array_equal(one.vectors([1000]), unit(1, seed=1))
    assert np.array_equal(other.vectors([2000]), unit(1, seed=2))


def test_a_filter_that_cannot_change_is_looked_up_once(tmp_path: Path) -> None:
    with small_segments():
        index = merged(VectorIndex(8).changed(add=unit(50), keys=range(50), remove=[]), tmp_path)
    among = np.arange(10, 40)
    assert {one.key for one in index.search(unit(1), 50, among=among)[0]} == set(range(10, 40))
    among[:] = 7
    assert [one.key for one in index.search(unit(1), 50, among=among)[0]] == [7]
    fixed = np.arange(10, 40)
    fixed.setflags(write=False)
    first = index._filters.of(fixed)
    assert index.search(unit(1), 50, among=fixed) == index.search(unit(1), 50, among=np.arange(10, 40))
    assert index.changed(add=unit(0), keys=[], remove=[])._filters.of(fixed) is first
    assert {
        one.key for one in index.changed(add=unit(0), keys=[], remove=[11]).search(unit(1), 50, among=fixed)[0]
    } == {
        10,
        *range(12, 40),
    }
    for _ in range(40):
        array = np.arange(3)
        array.setflags(write=False)
        index.search(unit(1), 1, among=array)
    assert len(index._filters._known) <= vectors.FILTERS


# Saving


def saved(folder: Path) -> None:
    VectorIndex(8).changed(add=unit(5), keys=range(5), remove=[]).save(folder, STATE)


def saved_with_segments(folder: Path) -> VectorIndex:
    """An index with two segments, of which rows are removed, and recent rows."""
    with small_segments():
        index = merged(VectorIndex(8).changed(add=unit(60), keys=range(60), remove=[]), folder)
        index = merged(index.changed(add=unit(8, seed=1), keys=range(60, 68), remove=[2]), folder)
        index = index.changed(add=unit(3, seed=2), keys=range(68, 71), remove=[61])
    index.save(folder, STATE)
    assert len(segment_files(folder)) == 2
    return index


def test_a_flipped_bit_anywhere_is_damage(tmp_path: Path) -> None:
    saved_with_segments(tmp_path)
    for name in names(tmp_path):
        content = (tmp_path / name).read_bytes()
        for place in (0, len(content) // 3, len(content) // 2, len(content) - 1):
            altered = bytearray(content)
            altered[place] ^= 1
            (tmp_path / name).write_bytes(altered)
            with pytest.raises(CorpusDamagedError, match="quoteline rebuild"):
                VectorIndex.load(tmp_path, 8)
        (tmp_path / name).write_bytes(content)
    assert VectorIndex.load(tmp_path, 8) is not None


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"null", b"\xff\xfe", b"no index at all" * 500])
def test_a_file_that_is_another_is_damage(tmp_path: Path, content: bytes) -> None:
    saved_with_segments(tmp_path)
    for name in names(tmp_path):
        right = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CorpusDamagedError):
            VectorIndex.load(tmp_path, 8)
        (tmp_path / name).write_bytes(right)


def test_a_cut_or_missing_file_is_damage(tmp_path: Path) -> None:
    saved_with_segments(tmp_path)
    for name in names(tmp_path):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-1])
        with pytest.raises(CorpusDamagedError):
            VectorIndex.load(tmp_path, 8)
        if name != "state.json":
            (tmp_path / name).unlink()
            with pytest.raises(CorpusDamagedError):
                VectorIndex.load(tmp_path, 8)
        (tmp_path / name).write_bytes(content)


def test_vectors_and_state_of_two_saves_are_damage(tmp_path: Path) -> None:
    saved(tmp_path / "one")
    VectorIndex(8).save(tmp_path / "two", State("a store", 4))
    (tmp_path / "one" / "state.json").write_bytes((tmp_path / "two" / "state.json").read_bytes())
    with pytest.raises(CorpusDamagedError):
        VectorIndex.load(tmp_path / "one", 8)


def test_what_an_older_version_saved_counts_as_nothing(tmp_path: Path) -> None:
    facts = {"identity": "a store", "generation": 3, "sha256": "0" * 64}
    (tmp_path / "state.json").write_text(json.dumps(facts))
    (tmp_path / "passages.faiss").write_bytes(b"rows")
    assert VectorIndex.saved(tmp_path) is None
    assert VectorIndex.load(tmp_path, 8) is None
    saved(tmp_path)
    assert len(names(tmp_path)) == 2


def test_a_load_beside_a_save_finds_one_of_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved_with_segments(tmp_path)
    opened = segments.Segment.open.__func__  # type: ignore[attr-defined]

    def overtaken(*args: object) -> segments.Segment:
        monkeypatch.undo()
        VectorIndex(8).save(tmp_path, State("a store", 9))
        found: segments.Segment = opened(*args)
        return found

    monkeypatch.setattr(segments.Segment, "open", classmethod(overtaken))
    loaded = VectorIndex.load(tmp_path, 8)
    assert loaded is not None
    assert (loaded[0].keys(), loaded[1].generation) == ([], 9)


def test_saving_leaves_no_other_file(tmp_path: Path) -> None:
    saved(tmp_path)
    saved(tmp_path)
    first, second = names(tmp_path)
    assert first.startswith("recent-")
    assert second == "state.json"
    assert VectorIndex.saved(tmp_path) == STATE


def test_a_segment_is_written_once(tmp_path: Path) -> None:
    index = saved_with_segments(tmp_path)
    before = [(path.name, path.stat().st_ino) for path in segment_files(tmp_path)]
    index.changed(add=unit(1), keys=[99], remove=[4]).save(tmp_path, State("a store", 4))
    assert [(path.name, path.stat().st_ino) for path in segment_files(tmp_path)] == before


def test_a_save_that_ends_at_any_step_leaves_the_former_index_or_the_new_one(tmp_path: Path) -> None:
    index = saved_with_segments(tmp_path)
    former = index.keys()
    with small_segments():
        index = merged(index.changed(add=unit(40), keys=range(100, 140), remove=[5]), tmp_path)
    calls = ["fsync", "replace", "unlink"]
    for name, after in itertools.product(calls, range(6)):
        with pytest.MonkeyPatch.context() as patched:
            taken = itertools.count()

            def stopping(
                *args: object, name: str = name, after: int = after, real: object = None, **more: object
            ) -> object:
                if next(taken) >= after:  # noqa: B023 (called within this turn)
                    raise OSError(28, "No space left on device")
                return real(*args, **more)  # type: ignore[operator]

            for owner in (os, Path):
                if hasattr(owner, name) and not (owner is os and name != "fsync"):
                    real = getattr(owner, name)
                    patched.setattr(owner, name, lambda *args, real=real, **more: stopping(*args, real=real, **more))
            with suppress(CorpusError):
                index.save(tmp_path, State("a store", 4))
        loaded = VectorIndex.load(tmp_path, 8)
        assert loaded is not None
        assert (loaded[0].keys(), loaded[1].generation) in [(former, 3), (index.keys(), 4)]
    index.save(tmp_path, State("a store", 4))
    assert len(names(tmp_path)) == 2 + len(segment_files(tmp_path))


def test_segments_are_adopted_without_reading_them_again(tmp_path: Path) -> None:
    index = saved_with_segments(tmp_path)
    for path in segment_files(tmp_path):
        path.unlink()
    loaded = VectorIndex.load(tmp_path, 8, previous=index)
    assert loaded is not None
    assert loaded[0].keys() == index.keys()
    assert {id(part.segment) for part in loaded[0]._parts} == {id(part.segment) for part in index._parts}


def test_an_index_whose_files_were_removed_goes_on(tmp_path: Path) -> None:
    saved_with_segments(tmp_path)
    loaded = VectorIndex.load(tmp_path, 8)
    assert loaded is not None
    before = loaded[0].search(unit(3, seed=9), 20)
    VectorIndex.erase(tmp_path)
    assert loaded[0].search(unit(3, seed=9), 20) == before


def test_the_state_of_what_is_saved_is_read_without_reading_it(tmp_path: Path) -> None:
    assert VectorIndex.saved(tmp_path) is None
    saved(tmp_path)
    for path in tmp_path.glob("recent-*"):
        path.unlink()
    assert VectorIndex.saved(tmp_path) == STATE
    for content in (b"", b"[]", b"{}", b"\xff"):
        (tmp_path / "state.json").write_bytes(content)
        assert VectorIndex.saved(tmp_path) is None


def test_removed_vectors_are_in_no_file_once_they_are_erased(tmp_path: Path) -> None:
    index = saved_with_segments(tmp_path)
    gone = [index.vectors([key])[0].astype(np.float16).tobytes() for key in (7, 62, 69)]
    index = index.changed(add=unit(0), keys=[], remove=[7, 62, 69])
    merged(index, tmp_path, erase=True).save(tmp_path, State("a store", 4))
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert not any(vector in content for vector in gone)
    loaded = VectorIndex.load(tmp_path, 8)
    assert loaded is not None
    assert loaded[0].keys() == [key for key in range(71) if key not in {2, 61, 7, 62, 69}]


def test_importing_starts_no_threads_and_reads_no_files() -> None:
    code = "import threading, index.vectors; print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
