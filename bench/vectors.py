"""How fast and how exact a search for the nearest passages is, by size: what was tried, and what is shipped.

    python -m bench.vectors --data DIR [DIR ...] --sizes 10000 100000 1000000 [--kinds shipped hnsw ...]

DIR: data sets in BEIR's layout. Their articles are encoded; of the sentences' vectors, vectors of passages are made:
the mean of three to six random ones, which is what a passage of random sentences has. Size 0 takes the data sets' own
passages. Questions are the first data set's. Each search is for 100, by one thread, whose time is that of its core.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bench.datasets import load_dataset
from index.derived import State
from index.encoding import DEFAULT_MODEL, Encoder, Vectors, load_encoder
from index.errors import CorpusError
from index.expected import TOGETHER
from index.halves import widened
from index.passages import context_of
from index.segments import Recent
from index.splitting import group_sentences, split_sentences
from index.vectors import VectorIndex

Halves = NDArray[np.float16]
Found = NDArray[np.int64]
Search = Callable[[Vectors], Found]

K, JUDGED = 100, 50
BLOCK = 20_000
ADDED_AT_ONCE = 4096
TRAINED_ON = 64
_IP = faiss.METRIC_INNER_PRODUCT


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Vectors of passages, float16, shape (n, dim), of questions, and the rows that are nearest to each, best first."""

    passages: Halves
    questions: Vectors
    nearest: Found


@dataclass(frozen=True, slots=True)
class Figures:
    """What one kind of index did. build: seconds. size: bytes. p50, p99: ms of one core for a search."""

    name: str
    build: float
    size: int
    p50: float
    p99: float
    recall: float

    def line(self) -> str:
        return (
            f"| {self.name} | {self.build:.1f} | {self.size / 1e6:.0f} | {self.p50:.2f} | {self.p99:.2f} "
            f"| {self.recall:.4f} |"
        )


HEAD = f"| index | build, s | MB | p50, ms | p99, ms | recall@{JUDGED} |\n|---|---|---|---|---|---|"


# Vectors


def encoded(folders: Sequence[Path], encoder: Encoder) -> tuple[Halves, Halves, Vectors]:
    """Return the vectors of all passages and of all sentences of some data sets, and of the first one's questions."""
    passages, sentences = [], []
    sets = [load_dataset(folder) for folder in folders]
    for article in (article for one in sets for article in one.articles):
        spans = split_sentences(article.text, article.body)
        lengths = encoder.count_tokens([span.of(article.text) for span in spans])
        groups = group_sentences(lengths, window=encoder.window // 2, overlap=1)
        for found in encoder.encode_passages([context_of(article, spans[first:last]) for first, last in groups]):
            passages.append(found.vector.astype(np.float16))
            sentences.append(found.sentences.astype(np.float16))
    questions = encoder.encode_questions([query.text for query in sets[0].queries][:1000])
    return np.stack(passages), np.concatenate(sentences), questions


def random_passages(sentences: Halves, count: int, *, seed: int = 1) -> Halves:
    """Return unit vectors, each the mean of three to six random ones of `sentences`, rounded as the store's."""
    rng = np.random.default_rng(seed)
    made = np.empty((count, sentences.shape[1]), dtype=np.float16)
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        chosen, many = rng.integers(0, len(sentences), (size, 6)), rng.integers(3, 7, size)
        total = sum(sentences[chosen[:, place]].astype(np.float32) * (place < many)[:, None] for place in range(6))
        made[first : first + size] = total / np.linalg.norm(total, axis=1, keepdims=True)
    return made


def material(passages: Halves, questions: Vectors) -> Material:
    """Find the nearest by plain multiplication."""
    scores, rows = np.empty((len(questions), 0), dtype=np.float32), np.empty((len(questions), 0), dtype=np.int64)
    for first in range(0, len(passages), BLOCK):
        block = questions @ passages[first : first + BLOCK].astype(np.float32).T
        here = np.broadcast_to(np.arange(first, first + block.shape[1]), block.shape)
        scores, rows = np.concatenate([scores, block], axis=1), np.concatenate([rows, here], axis=1)
        few = np.argpartition(-scores, min(JUDGED, scores.shape[1]) - 1, axis=1)[:, :JUDGED]
        order = np.take_along_axis(few, np.argsort(-np.take_along_axis(scores, few, axis=1), axis=1), axis=1)
        scores, rows = np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)
    return Material(passages, questions, rows)


# What is measured


def measured(name: str, given: Material, build: float, size: int, search: Search) -> Figures:
    """Search for each question by itself, and judge what is found."""
    times, recalls = [], []
    for question in given.questions[:20]:
        search(question)
    for question, nearest in zip(given.questions, given.nearest, strict=True):
        start = time.thread_time()
        found = search(question)
        times.append(1000 * (time.thread_time() - start))
        recalls.append(len(set(found[:JUDGED].tolist()) & set(nearest.tolist())) / len(nearest))
    p50, p99 = np.percentile(times, [50, 99])
    return Figures(name, build, size, float(p50), float(p99), float(np.mean(recalls)))


def shipped(given: Material) -> Iterator[Figures]:
    """Measure the product's own index: as it grows, block by block; opened again; and with filters."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        index = grown(given.passages, folder)
        built = time.perf_counter() - start
        index.save(folder, State("bench", 1))
        size = sum(path.stat().st_size for path in folder.iterdir())
        dim = given.passages.shape[1]
        start = time.perf_counter()
        opened = VectorIndex.load(folder, dim)
        again = time.perf_counter() - start
        if opened is None:
            raise CorpusError(f"nothing was saved in {folder}")
        yield measured(f"shipped, opened in {again:.2f} s", given, built, size, _found_by(opened[0]))
        yield _together(opened[0], given, built, size)
        for share in (0.5, 0.1, 0.01):
            among = np.flatnonzero(np.random.default_rng(2).random(len(given.passages)) < share)
            among.setflags(write=False)
            exact = material(given.passages[among], given.questions)
            chosen = Material(given.passages, given.questions, among[exact.nearest])
            yield measured(f"shipped, among {share:g}", chosen, built, size, _found_by(opened[0], among))


def _together(index: VectorIndex, given: Material, build: float, size: int) -> Figures:
    """Search for several questions at once, as for those that wait beside the one that is answered; ms of each."""
    times, recalls = [], []
    for first in range(0, len(given.questions), TOGETHER):
        some = given.questions[first : first + TOGETHER]
        start = time.thread_time()
        found = index.search(some, K)
        times.append(1000 * (time.thread_time() - start) / len(some))
        for one, nearest in zip(found, given.nearest[first : first + TOGETHER], strict=True):
            recalls.append(len({each.key for each in one[:JUDGED]} & set(nearest.tolist())) / len(nearest))
    p50, p99 = np.percentile(times, [50, 99])
    return Figures(f"shipped, {TOGETHER} at once", build, size, float(p50), float(p99), float(np.mean(recalls)))


def grown(passages: Halves, folder: Path, *, threads: int = 1) -> VectorIndex:
    """Return the index as it comes about by adding, with all merges that are due."""
    index = VectorIndex(passages.shape[1])
    for first in range(0, len(passages), ADDED_AT_ONCE):
        block = widened(passages[first : first + ADDED_AT_ONCE])
        index = index.changed(add=block, keys=range(first, first + len(block)), remove=[])
        plan = index.plan_merge()
        if plan is not None:
            index = index.with_merged(plan.build(folder, threads=threads))
            # Removes what was merged.
            index.save(folder, State("bench", 0))
    return index


def _found_by(index: VectorIndex, among: Found | None = None) -> Search:
    return lambda question: np.array([one.key for one in index.search(question[np.newaxis], K, among=among)[0]])


def flat(given: Material) -> Iterator[Figures]:
    """Measure all rows in memory, float32, which is exact."""
    recent = Recent(given.passages.shape[1]).with_rows(widened(given.passages), np.arange(len(given.passages)))

    def search(question: Vectors) -> Found:
        rows, scores = recent.nearest(question, K, None)
        return rows[np.argsort(-scores)]

    yield measured("flat float32", given, 0.0, 4 * given.passages.size, search)


def flat_eight_bits(given: Material) -> Iterator[Figures]:
    """Measure rows of eight bits a value, all of them read."""
    dim = given.passages.shape[1]
    yield _plain("flat SQ8", given, faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, _IP))


def hnsw(given: Material) -> Iterator[Figures]:
    """Measure a graph over float16 rows (Malkov and Yashunin 2016), searched with more and more effort."""
    # Any: FAISS's types know one of its constructors.
    make: Any = faiss
    index = make.IndexHNSWSQ(given.passages.shape[1], faiss.ScalarQuantizer.QT_fp16, 32, _IP)
    index.hnsw.efConstruction = 100
    build = _built(index, given.passages)
    for effort in (200, 800):
        chosen = make.SearchParametersHNSW(efSearch=effort)
        yield measured(f"HNSW32 float16, efSearch {effort}", given, build, _bytes(index), _top(index, K, chosen))


def lists(given: Material) -> Iterator[Figures]:
    """Measure inverted lists of one-bit codes (RaBitQ, Gao and Long 2024), rescored exactly."""
    count = int(4 * np.sqrt(len(given.passages)))
    dim = given.passages.shape[1]
    index = faiss.IndexIVFRaBitQFastScan(faiss.IndexFlatIP(dim), dim, count, _IP)
    index.cp.niter = 10
    build = _built(index, given.passages)
    for part in (16, 4):
        chosen = faiss.IVFRaBitQSearchParameters()
        chosen.nprobe = max(1, count // part)
        search = rescored(_top(index, 800, chosen), given.passages)
        yield measured(f"IVF{count} RaBitQ, 1/{part} of lists, 800 rescored", given, build, _bytes(index), search)


def one_bit(given: Material) -> Iterator[Figures]:
    """Measure one-bit codes of all rows, rescored exactly."""
    index = faiss.IndexRaBitQFastScan(given.passages.shape[1], _IP)
    build = _built(index, given.passages)
    for many in (400, 800):
        search = rescored(_top(index, many), given.passages)
        yield measured(f"RaBitQ fast scan, {many} rescored", given, build, _bytes(index), search)


KINDS = {"shipped": shipped, "flat": flat, "sq8": flat_eight_bits, "hnsw": hnsw, "ivf": lists, "rabitq": one_bit}


def _plain(name: str, given: Material, index: Any) -> Figures:  # noqa: ANN401 (FAISS has no types)
    build = _built(index, given.passages)
    return measured(name, given, build, _bytes(index), _top(index, K))


def _built(index: Any, passages: Halves) -> float:  # noqa: ANN401
    start = time.perf_counter()
    # Two spin where others work, too.
    faiss.omp_set_num_threads(1)
    index.train(widened(passages[:: max(1, len(passages) // 65_536)]))
    for first in range(0, len(passages), BLOCK):
        index.add(widened(passages[first : first + BLOCK]))
    return time.perf_counter() - start


def _bytes(index: Any) -> int:  # noqa: ANN401
    return len(faiss.serialize_index(index))


def _top(index: Any, k: int, chosen: Any = None) -> Search:  # noqa: ANN401
    def search(question: Vectors) -> Found:
        faiss.omp_set_num_threads(1)
        rows = index.search(question[np.newaxis], k, params=chosen)[1][0]
        found: Found = rows[rows != -1]
        return found

    return search


def rescored(search: Search, passages: Halves) -> Search:
    """Return a search that puts what another one finds in its true order."""

    def exactly(question: Vectors) -> Found:
        rows = search(question)
        return rows[np.argsort(-np.vecdot(widened(passages[rows]), question), kind="stable")][:K]

    return exactly


def main(arguments: Sequence[str] | None = None) -> None:
    """Encode the data sets and print a table for each size."""
    parser = argparse.ArgumentParser(prog="bench.vectors", description=__doc__)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--sizes", nargs="+", type=int, default=[10_000, 100_000])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--models", type=Path, default=Path("var/models"))
    asked = parser.parse_args(arguments)
    real, sentences, questions = encoded(asked.data, load_encoder(DEFAULT_MODEL, asked.models))
    for size in asked.sizes:
        passages = random_passages(sentences, size) if size else real
        given = material(passages, questions[: asked.questions])
        print(f"\n{len(passages)} passages{'' if size else ', real ones'}\n\n{HEAD}", flush=True)
        for kind in asked.kinds:
            for figures in KINDS[kind](given):
                print(figures.line(), flush=True)


if __name__ == "__main__":
    main()
