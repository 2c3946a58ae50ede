"""Nearest passages by cosine, by their keys. The only file that knows faiss."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from index.derived import Neighbour, State
from index.encoding import Vectors
from index.errors import CorpusDamagedError, CorpusError, DimensionError

_FILE = "passages.faiss"
_STATE = "state.json"


class VectorIndex:
    """Exact search (FAISS's flat index) over unit vectors; it never changes: `changed` returns another one."""

    def __init__(self, dim: int) -> None:
        # Any: FAISS's types know a clone or a loaded index only as its base class.
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))

    @property
    def dim(self) -> int:
        return int(self._index.d)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def keys(self) -> list[int]:
        """Return the keys of all vectors, in ascending order."""
        return sorted(faiss.vector_to_array(self._index.id_map).tolist())

    def vectors(self, keys: Sequence[int]) -> Vectors:
        """Return the vectors of `keys`, shape (len(keys), dim). Raises KeyError for a key that is not there."""
        try:
            found = [self._index.reconstruct(int(key)) for key in keys]
        except RuntimeError as error:
            raise KeyError(f"no vector of one of the keys {list(keys)[:5]}…") from error
        return np.stack(found) if found else np.empty((0, self.dim), dtype=np.float32)

    def changed(self, *, add: Vectors, keys: Sequence[int], remove: Sequence[int]) -> "VectorIndex":
        """Return an index with the rows of `add` under `keys`, and without `remove`; this one stays as it is.

        add: float32, shape (len(keys), dim), rows of unit length. Raises DimensionError where dim is not the index's.
        """
        self._check(add)
        if len(add) != len(keys):
            raise DimensionError(f"{len(add)} vectors for {len(keys)} keys")
        other = VectorIndex.__new__(VectorIndex)
        other._index = faiss.clone_index(self._index)
        if remove:
            other._index.remove_ids(faiss.IDSelectorBatch(np.asarray(remove, dtype=np.int64)))
        if len(keys):
            other._index.add_with_ids(np.ascontiguousarray(add), np.asarray(keys, dtype=np.int64))
        return other

    def search(self, queries: Vectors, k: int, *, among: Sequence[int] | None = None) -> list[list[Neighbour]]:
        """Return at most `k` passages per query, best cosine first, ties by key.

        queries: float32, shape (n, dim), rows of unit length. among: only passages with these keys.
        Raises DimensionError where dim is not the index's own.
        """
        self._check(queries)
        if k < 1 or not len(self):
            return [[] for _ in queries]
        chosen = selector = None
        if among is not None:
            # Held in a variable: FAISS keeps a bare pointer to it.
            selector = faiss.IDSelectorBatch(np.asarray(among, dtype=np.int64))
            chosen = faiss.SearchParameters()
            chosen.sel = selector
        # One thread for one search: many are asked at once, and OpenMP's threads wait by spinning.
        faiss.omp_set_num_threads(1)
        count = k
        while True:
            count = min(count + 1, len(self))
            scores, keys = self._index.search(np.ascontiguousarray(queries), count, params=chosen)
            # Which of equal scores FAISS keeps is chance: look further until the last one is worse than the k-th.
            if count == len(self) or ((scores[:, k - 1] > scores[:, -1]) | (keys[:, -1] == -1)).all():
                return [_neighbours(*row)[:k] for row in zip(keys.tolist(), scores.tolist(), strict=True)]
            count *= 2

    def _check(self, vectors: Vectors) -> None:
        # FAISS itself raises an AssertionError without a text, and under `python -O` reads past the end of the rows.
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise DimensionError(f"vectors of shape {vectors.shape} for an index of width {self.dim}")
        if vectors.dtype != np.float32:
            raise DimensionError(f"vectors of {vectors.dtype} for an index of float32")

    def save(self, folder: Path, state: State) -> None:
        """Write the index and the state it holds to `folder`, so that a break at any moment leaves no mixture."""
        content = faiss.serialize_index(self._index).tobytes()
        facts = {**asdict(state), "sha256": hashlib.sha256(content).hexdigest()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for unfinished in folder.glob(".*"):
                # Of one that was killed: there is one writer at a time.
                unfinished.unlink(missing_ok=True)
            _replace(folder / _FILE, content)
            _replace(folder / _STATE, json.dumps(facts).encode())
        except OSError as error:
            raise CorpusError(f"the vector index in {folder} cannot be written ({error.strerror})") from error

    @staticmethod
    def saved(folder: Path) -> State | None:
        """Return the state of the index saved in `folder`, unread; None where there is none that can be read."""
        try:
            facts = json.loads((folder / _STATE).read_bytes())
            return State(identity=facts["identity"], generation=facts["generation"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def erase(folder: Path) -> None:
        """Remove the index saved in `folder`, whatever state it is in."""
        shutil.rmtree(folder, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path, dim: int) -> tuple["VectorIndex", State] | None:
        """Return the index saved in `folder` with the state it holds; None where none is.

        Raises CorpusDamagedError where the files are not what was saved.
        """
        if not (folder / _STATE).exists():
            return None
        damaged = CorpusDamagedError(f"the vector index in {folder} is damaged; run `quoteline rebuild`")
        try:
            facts = json.loads((folder / _STATE).read_bytes())
            content = (folder / _FILE).read_bytes()
            state = State(identity=facts["identity"], generation=facts["generation"])
            wanted = facts["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise damaged from error
        # A foreign file is a bare RuntimeError in FAISS, a flipped bit in a vector is nothing at all.
        if hashlib.sha256(content).hexdigest() != wanted:
            raise damaged
        loaded = cls(dim)
        loaded._index = faiss.deserialize_index(np.frombuffer(content, dtype=np.uint8))
        if loaded.dim != dim:
            raise damaged
        return loaded, state


def _neighbours(keys: Sequence[int], scores: Sequence[float]) -> list[Neighbour]:
    # FAISS pads with key -1 where it holds fewer than k vectors, and returns equal scores in no useful order.
    found = [Neighbour(key, score) for key, score in zip(keys, scores, strict=True) if key != -1]
    return sorted(found, key=lambda neighbour: (-neighbour.score, neighbour.key))


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
