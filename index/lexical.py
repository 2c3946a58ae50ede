"""BM25 over passages, by their keys. The only file that knows tantivy."""

import errno
import fcntl
import hashlib
import json
import shutil
import struct
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tantivy
from numpy.typing import NDArray

from index.derived import Neighbour, State
from index.errors import CorpusBusyError, CorpusDamagedError, CorpusError

# One document of the index is not a passage: it says which store's content the index holds, and how much of it. It is
# replaced in the commit that changes the passages, so that the two cannot disagree.
_STATE = "state"
_HEAP = 64 * 1024 * 1024
_LONGEST_TERM = 64
# Up to so many keys are looked up in the index, one by one.
FEW_KEYS = 2000
# A search looks into each segment, and tantivy lets a dozen or two come about. Where there are more than ENOUGH, some,
# FEWEST at least, are written again as one, of at most MOST documents: whoever wants to write waits for that.
ENOUGH, FEWEST, MOST = 6, 3, 100_000
# None has more than so many times the documents of all smaller ones among them: few are written again and again.
FACTOR = 2
# The last four bytes of each of tantivy's files.
_FOOTER = 1337
# Beside tantivy's files: a checksum of those of them that have none.
_SEAL = "seal"
# What tantivy keeps beside the segments.
_OPENING = ".tantivy-meta.lock"
_NAMES = ("meta.json", ".managed.json", _OPENING, ".tantivy-writer.lock")
# The disk is full, the file system is read-only, the folder is another's, or the quota is used up.
_NO_FAULT_OF_THE_FILES = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT)


def analyze(text: str) -> list[str]:
    """Return the terms of `text` in order: NFKC, words, lower case, accents off, English stems; repeats are kept."""
    return _analyzer().analyze(unicodedata.normalize("NFKC", text))


class LexicalIndex:
    """BM25 (k1 1.2, b 0.75, as in Lucene) over passages; a folder of files, one writer at a time, many readers."""

    def __init__(self, index: tantivy.Index, folder: Path) -> None:
        self._index = index
        self._folder = folder
        self._schema = index.schema

    @classmethod
    def open(cls, folder: Path) -> "LexicalIndex":
        """Open the index in `folder`, or make an empty one there. Raises CorpusDamagedError."""
        with _writing():
            folder.mkdir(parents=True, exist_ok=True)
        try:
            _check_files(folder)
            index = tantivy.Index(_schema(), path=str(folder), reuse=True)
            index.register_tokenizer("quoteline", _analyzer())
            opened = cls(index, folder)
            opened.state()
        except Exception as error:  # tantivy and the check raise many kinds, nearly all for files they cannot use
            if any(f"(os error {code})" in str(error) for code in _NO_FAULT_OF_THE_FILES):
                raise _unwritable() from error
            raise CorpusDamagedError(
                f"the lexical index in {folder} cannot be read; run `quoteline rebuild`"
            ) from error
        return opened

    @staticmethod
    def erase(folder: Path) -> None:
        """Remove the index in `folder`, whatever state it is in."""
        shutil.rmtree(folder, ignore_errors=True)

    def reader(self) -> "LexicalReader":
        """Return a view of what was committed last; it stays as it is while the index goes on."""
        self._index.reload()
        return LexicalReader(self._index.searcher(), self._schema)

    def state(self) -> State | None:
        """Return what the index holds; None where it was never filled."""
        return self.reader().state()

    def is_scattered(self) -> bool:
        """Whether there are many small segments that should be one."""
        return bool(worth_merging(self._sizes()))

    def scattered(self) -> list[int]:
        """Return the keys of what is in such segments, some of them removed ones, while nobody else writes.

        To remove these passages and to add them anew, in one change, puts them together.
        """
        sizes = self._sizes()
        return self.reader().keys_in({number: sizes[number] for number in worth_merging(sizes)})

    def _sizes(self) -> list[int]:
        return [segment["max_doc"] for segment in _meta(self._folder)["segments"]]

    def stamp(self) -> tuple[int, int]:
        """Return what changes with each commit; nothing is read."""
        found = (self._folder / "meta.json").stat()
        return found.st_mtime_ns, found.st_ino

    def change(self, *, add: Iterable[tuple[int, str]], remove: Sequence[int] | None, state: State) -> None:
        """Add passages (key, text), remove others by key, and record `state`, in one commit.

        remove: None removes all that is there; `erase_leftovers` sees to it that nothing of it stays in files.
        The keys to add are new: the state says what the index holds already, and is never behind or ahead of it.
        Raises CorpusBusyError where another process is writing, CorpusError where the files cannot be written.
        """
        writer = self._writer()
        try:
            with _writing():
                # Without a seal it is not looked at; with one that is not of this commit it would be called damaged.
                (self._folder / _SEAL).unlink(missing_ok=True)
                # tantivy takes the names that a killed writer's files have again, and then cannot write them.
                self._unlink_leftovers()
                if remove is None:
                    writer.delete_all_documents()
                for key in remove or ():
                    writer.delete_documents_by_query(self._key(key))
            for key, text in add:
                with _writing():
                    writer.add_document(_document(key=key, text=unicodedata.normalize("NFKC", text)))
            with _writing():
                writer.delete_documents_by_term("kind", _STATE)
                writer.add_document(_document(kind=_STATE, identity=state.identity, generation=state.generation))
                writer.commit()
                writer.wait_merging_threads()
                self._seal()
        finally:
            # The writer holds a lock as long as it lives: in the traceback of an error, for as long as that is kept.
            del writer

    def erase_leftovers(self) -> None:
        """Erase files of earlier commits; who reads them goes on. One writer at a time. Raises as `change` does."""
        if self._leftovers():
            writer = self._writer()
            try:
                with _writing():
                    (self._folder / _SEAL).unlink(missing_ok=True)
                    writer.garbage_collect_files()
                    writer.wait_merging_threads()
                    self._seal()
            finally:
                del writer
        # tantivy forgets what other processes wrote: each has a list of its own, and the last to write it down wins.
        with _writing():
            self._unlink_leftovers()

    def _unlink_leftovers(self) -> None:
        with (self._folder / _OPENING).open("ab") as lock:
            # Who is on its way from the list of segments to their files holds this lock, and needs them.
            fcntl.flock(lock, fcntl.LOCK_EX)
            for name in self._leftovers():
                (self._folder / name).unlink(missing_ok=True)

    def _leftovers(self) -> list[str]:
        held = {path.name for path in self._folder.iterdir()} - {_SEAL, *_NAMES}
        return sorted(held - set(_segment_files(self._folder)))

    def _writer(self) -> tantivy.IndexWriter:
        try:
            return self._index.writer(heap_size=_HEAP, num_threads=1)
        except ValueError as error:
            raise CorpusBusyError("another process is writing the lexical index; try again when it is done") from error

    def _seal(self) -> None:
        unfinished = self._folder / f".tmp-{_SEAL}"
        unfinished.write_text(_checksum(self._folder), encoding="ascii")
        unfinished.replace(self._folder / _SEAL)

    def _key(self, key: int) -> tantivy.Query:
        # Not delete_documents_by_term: that takes a Python int for a signed value and finds nothing in this field.
        return tantivy.Query.term_query(self._schema, "key", key, index_option="basic")


class LexicalReader:
    """One committed state of the index."""

    def __init__(self, searcher: tantivy.Searcher, schema: tantivy.Schema) -> None:
        self._searcher = searcher
        self._schema = schema

    def __len__(self) -> int:
        # Of all documents, one is the state; an index that was never filled has not even that.
        return max(self._searcher.num_docs - 1, 0)

    def state(self) -> State | None:
        """Return what the index holds; None where it was never filled."""
        query = tantivy.Query.term_query(self._schema, "kind", _STATE)
        hits = self._searcher.search(query, limit=1, count=False).hits
        if not hits:
            return None
        found = self._searcher.doc(hits[0][1])
        return State(identity=str(found.get_first("identity")), generation=int(found.get_first("generation") or 0))

    def keys(self) -> list[int]:
        """Return the keys of all passages, in ascending order."""
        found = self._searcher.search(tantivy.Query.all_query(), limit=self._searcher.num_docs or 1, count=False)
        values = self._searcher.fast_field_values("key", [address for _, address in found.hits])
        return sorted(int(value) for value in values if value is not None)

    def keys_in(self, segments: Mapping[int, int]) -> list[int]:
        """Return the keys in some segments, in ascending order; segments: how many documents each has, by number."""
        addresses = [tantivy.DocAddress(segment, place) for segment, size in segments.items() for place in range(size)]
        # The state has no key.
        return sorted(int(key) for key in self._searcher.fast_field_values("key", addresses) if key is not None)

    def frequencies(self, terms: Sequence[str]) -> list[int]:
        """Return for each term the number of passages that hold it."""
        return [self._searcher.doc_freq("text", term) for term in terms]

    def search(self, terms: Sequence[str], k: int, *, among: NDArray[np.int64] | None = None) -> list[Neighbour]:
        """Return at most `k` passages that hold any of `terms`, best BM25 first, ties by key.

        among: only passages with these keys, in ascending order.
        """
        if not terms or k < 1 or (among is not None and not len(among)):
            return []
        query = tantivy.Query.boolean_query([(tantivy.Occur.Should, self._term(term)) for term in dict.fromkeys(terms)])
        if among is None:
            return _best(*self._hits(query, k), k)
        if len(among) <= FEW_KEYS:
            filtered = tantivy.Query.const_score_query(
                tantivy.Query.term_set_query(self._schema, "key", among.tolist()), 0.0
            )
            return _best(*self._hits(_both(query, filtered), k), k)
        # tantivy would look up each key; the best of all that hold a term are sooner seen through.
        limit = 2 * k * (1 + len(self) // len(among))
        while True:
            keys, scores = self._hits(query, limit)
            admitted = _is_among(keys, among)
            if admitted.sum() >= k or len(keys) < limit:
                return _best(keys[admitted], scores[admitted], k)
            limit *= 4

    def _hits(self, query: tantivy.Query, limit: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return keys and scores of the best passages, best first."""
        hits = self._searcher.search(query, limit=limit, count=False).hits
        keys = self._searcher.fast_field_values("key", [address for _, address in hits])
        return np.array(keys, dtype=np.int64), np.array([score for score, _ in hits], dtype=np.float64)

    def _term(self, term: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, "text", term, index_option="freq")


def worth_merging(sizes: Sequence[int]) -> list[int]:
    """Return the places of the segments, by how many documents they have, that should become one; none for now."""
    if len(sizes) <= ENOUGH:
        return []
    order = sorted(range(len(sizes)), key=lambda place: sizes[place])
    for first in range(len(order)):
        together = sizes[order[first]]
        end = first + 1
        while end < len(order) and sizes[order[end]] <= min(FACTOR * together, MOST - together):
            together += sizes[order[end]]
            end += 1
        if end - first >= FEWEST:
            return order[first:end]
    return []


def _both(one: tantivy.Query, other: tantivy.Query) -> tantivy.Query:
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, one), (tantivy.Occur.Must, other)])


def _is_among(keys: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each key whether it is one of `among`, which ascend."""
    places = np.searchsorted(among, keys)
    found: NDArray[np.bool_] = among[np.minimum(places, len(among) - 1)] == keys
    return found


def _best(keys: NDArray[np.int64], scores: NDArray[np.float64], k: int) -> list[Neighbour]:
    order = np.lexsort((keys, -scores))[:k]
    return [Neighbour(*one) for one in zip(keys[order].tolist(), scores[order].tolist(), strict=True)]


@contextmanager
def _writing() -> Iterator[None]:
    """Turn tantivy's errors in writing, of many kinds, into one of ours."""
    try:
        yield
    except CorpusError:
        raise
    except Exception as error:
        raise _unwritable() from error


def _unwritable() -> CorpusError:
    return CorpusError("the lexical index cannot be written; check that the disk is not full and not read-only")


def _check_files(folder: Path) -> None:
    """Raise ValueError, or another error, where a file of the index is not what tantivy wrote.

    tantivy puts a checksum at the end of each segment's file but looks at it only on demand, and not from Python;
    reading on in a damaged file ends the whole process. The lists of segments have none: they get ours.
    """
    if not (folder / "meta.json").exists():
        return
    if (folder / _SEAL).exists() and (folder / _SEAL).read_text(encoding="ascii") != _checksum(folder):
        raise ValueError("the list of segments is damaged")
    for file in _segment_files(folder):
        content = (folder / file).read_bytes()
        length, magic = struct.unpack("<II", content[-8:])
        footer = json.loads(content[-8 - length : -8])
        if magic != _FOOTER or zlib.crc32(memoryview(content)[: -8 - length]) != footer["crc"]:
            raise ValueError(f"{file} is damaged")


def _segment_files(folder: Path) -> Iterator[str]:
    for segment in _meta(folder)["segments"]:
        name, deletes = segment["segment_id"].replace("-", ""), segment["deletes"]
        yield from (f"{name}.{kind}" for kind in ("fast", "fieldnorm", "idx", "pos", "store", "term"))
        if deletes:
            yield f"{name}.{deletes['opstamp']}.del"


def _meta(folder: Path) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_bytes())
    return meta


def _checksum(folder: Path) -> str:
    contents = [(folder / name).read_bytes() for name in ("meta.json", ".managed.json")]
    return hashlib.sha256(b"\n".join(contents)).hexdigest()


def _document(**values: str | int) -> tantivy.Document:
    return tantivy.Document.from_dict(values, _schema())


@cache
def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("key", indexed=True, fast=True)
    builder.add_text_field("text", tokenizer_name="quoteline", index_option="freq")
    builder.add_text_field("kind", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("identity", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field("generation", stored=True)
    return builder.build()


@cache
def _analyzer() -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (
        tantivy.Filter.remove_long(_LONGEST_TERM),
        tantivy.Filter.lowercase(),
        tantivy.Filter.ascii_fold(),
        tantivy.Filter.stemmer("english"),
    ):
        builder = builder.filter(step)
    return builder.build()
