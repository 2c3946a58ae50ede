from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from index import segments
from index.encoding import Vectors
from index.errors import CorpusDamagedError, CorpusError
from index.halves import widened
from index.segments import CANDIDATES, Recent, Segment, SegmentFile, Source, best, build, narrowed, scores_of

DIM = 24


def clustered(rows: int, *, seed: int = 0, dim: int = DIM) -> Vectors:
    """Unit vectors around a few centres, as the store rounds them."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((20, dim))[rng.integers(0, 20, rows)] + rng.standard_normal((rows, dim))
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    return unit


def segment_of(vectors: Vectors, folder: Path, keys: NDArray[np.int64] | None = None) -> Segment:
    keys = np.arange(len(vectors)) if keys is None else keys
    return build(folder, [Source(vectors, keys, np.arange(len(vectors)))], threads=1)[0]


def nearest(segment: Segment, query: Vectors, k: int, wanted: NDArray[np.bool_] | None = None) -> list[int]:
    [(_, rows)] = narrowed(segment.candidates(query[np.newaxis], k, wanted), k)
    return [int(row) for row in rows[np.argsort(-segment.scores(rows, query), kind="stable")][:k]]


def recall(segment: Segment, vectors: Vectors, wanted: NDArray[np.bool_] | None = None) -> float:
    shares = []
    for query in clustered(40, seed=77):
        scores = vectors @ query
        if wanted is not None:
            scores[~wanted] = -np.inf
        shares.append(len(set(nearest(segment, query, 50, wanted)) & set(np.argsort(-scores)[:50].tolist())) / 50)
    return float(np.mean(shares))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Segment, Vectors]:
    vectors = clustered(30_000)
    return segment_of(vectors, tmp_path_factory.mktemp("large")), vectors


def test_codes_find_nearly_all_that_are_nearest(large: tuple[Segment, Vectors]) -> None:
    segment, vectors = large
    assert segment.candidates(vectors[:1], 50, None)[0].estimates is not None
    assert recall(segment, vectors) > 0.98


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_a_filter_loses_nothing(large: tuple[Segment, Vectors], share: float) -> None:
    segment, vectors = large
    wanted = np.random.default_rng(3).random(len(vectors)) < share
    assert recall(segment, vectors, wanted) > 0.98


def test_what_is_far_from_the_question_is_found_where_only_that_is_wanted(large: tuple[Segment, Vectors]) -> None:
    segment, vectors = large
    for query in clustered(5, seed=77):
        scores = vectors @ query
        wanted = scores <= np.quantile(scores, 0.4)
        scores[~wanted] = -np.inf
        found = nearest(segment, query, 50, wanted)
        assert wanted[found].all()
        # They lie so close that the codes cannot tell them apart, but are far nearer than the 12,000 others.
        assert len(set(found)) == 50
        assert scores[found].min() >= np.sort(scores)[-CANDIDATES - 100]


@pytest.mark.parametrize("share", [1.0, 0.5, 0.05, 0.001])
def test_queries_that_come_together_find_what_each_finds_alone(large: tuple[Segment, Vectors], share: float) -> None:
    segment, vectors = large
    wanted = None if share == 1.0 else np.random.default_rng(4).random(len(vectors)) < share
    queries = clustered(6, seed=77)
    together = segment.candidates(queries, 50, wanted)
    for query, found in zip(queries, together, strict=True):
        [alone] = segment.candidates(query[np.newaxis], 50, wanted)
        assert set(found.rows.tolist()) == set(alone.rows.tolist())


def test_scores_by_codes_are_of_the_size_of_cosines(large: tuple[Segment, Vectors]) -> None:
    segment, _ = large
    [found] = segment.candidates(clustered(1, seed=77), 50, None)
    assert found.estimates is not None
    assert np.abs(found.estimates - segment.scores(found.rows, clustered(1, seed=77)[0])).max() < 0.2


def test_several_segments_are_scored_as_one(tmp_path: Path) -> None:
    parts = [segment_of(clustered(3000, seed=seed), tmp_path) for seed in range(3)]
    found = [part.candidates(clustered(1, seed=77), 10, None)[0] for part in parts]
    assert sum(len(rows) for _, rows in narrowed(found, 10)) <= segments.CANDIDATES + 30


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=30), st.integers(1, 40))
def test_the_best_are_found_with_all_that_are_equal(scores: list[float], k: int) -> None:
    places = set(best(np.array(scores, dtype=np.float32), k).tolist())
    least = sorted(scores, reverse=True)[:k][-1:] or [0.0]
    assert places == {place for place, score in enumerate(scores) if score >= least[0]}


def test_equal_rows_have_equal_scores_wherever_they_stand() -> None:
    rows = np.repeat(clustered(1, dim=384), 1001, axis=0)
    query = clustered(1, seed=1, dim=384)[0]
    assert len(set(scores_of(rows, query).tolist())) == 1
    assert len(set(scores_of(rows[3:9], query).tolist()) | set(scores_of(rows, query).tolist())) == 1


def test_widening_changes_no_value() -> None:
    halves = np.arange(1, 2**15 - 1024, dtype=np.uint16).view(np.float16).reshape(-1, 1)
    assert np.array_equal(widened(halves), halves.astype(np.float32))


def test_rows_of_all_sources_are_in_order_of_their_keys(tmp_path: Path) -> None:
    one, other = clustered(5), clustered(4, seed=1).astype(np.float16)
    sources = [
        Source(one, np.array([9, 2, 7, 1, 8]), np.array([0, 1, 3])),
        Source(other, np.array([3, 4, 5, 6]), np.array([1, 3])),
    ]
    segment, order = build(tmp_path, sources, threads=1)
    assert segment.keys.tolist() == [1, 2, 4, 6, 9]
    assert order.tolist() == [2, 1, 3, 4, 0]
    assert np.array_equal(segment.vectors, np.stack([one[3], one[1], other[1], other[3], one[0]]).astype(np.float16))
    assert segment.rows_of(np.array([6, 5, 1, 10])).tolist() == [3, 0]


@pytest.mark.parametrize("dim", [1, 7, 8, 10, 12])
def test_codes_suit_any_width(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dim: int) -> None:
    monkeypatch.setattr(segments, "FEWEST_CODED", 64)
    monkeypatch.setattr(segments, "CANDIDATES", 60)
    vectors = clustered(4000, dim=dim)
    segment = segment_of(vectors, tmp_path)
    queries = clustered(1, seed=5, dim=dim)
    [found] = segment.candidates(queries, 1, None)
    assert found.estimates is not None
    [(_, rows)] = narrowed([found], 1)
    assert segment.scores(rows, queries[0]).max() >= np.sort(vectors @ queries[0])[-3] - 1e-6


def test_vectors_that_are_all_the_same_have_codes(tmp_path: Path) -> None:
    segment = segment_of(np.repeat(clustered(1), 2000, axis=0), tmp_path)
    assert len(nearest(segment, clustered(1, seed=2)[0], 10)) == 10


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"rows": -1}, {"rows": 10**9}, {"bytes": 10**12}, {"bytes": 5}])
def test_a_file_of_another_size_than_was_said_is_damage(tmp_path: Path, wrong: dict[str, int]) -> None:
    file = segment_of(clustered(50), tmp_path).file
    said = {"name": file.name, "rows": file.rows, "bytes": file.bytes, "sha256": file.sha256, **wrong}
    with pytest.raises(CorpusDamagedError):
        Segment.open(tmp_path, SegmentFile(**said), DIM)  # type: ignore[arg-type]


def test_a_write_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CorpusError, match="No space left on device"):
        segment_of(clustered(50), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_recent_rows_that_were_removed_are_forgotten_once_they_are_most() -> None:
    recent = Recent(DIM).with_rows(clustered(100), np.arange(100))
    serials = recent.serials.copy()
    fewer = recent.without(np.arange(100) < 40)
    assert (len(fewer), len(fewer.keys)) == (60, 100)
    least = fewer.without(np.arange(100) < 50)
    assert (len(least), len(least.keys)) == (50, 50)
    assert np.array_equal(least.serials, serials[50:])
    assert len(recent) == 100
