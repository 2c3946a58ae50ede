"""Corpus: articles added, replaced, removed; store, lexical index and vectors kept at one generation."""

import hashlib
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from index.articles import Article, Span
from index.derived import State
from index.encoding import Context, Encoded, Encoder
from index.errors import CorpusBusyError, CorpusDamagedError, CorpusError, EncoderMismatchError
from index.lexical import LexicalIndex, LexicalReader, analyze
from index.splitting import group_sentences, split_sentences
from index.store import Known, Reading, Store
from index.vectors import VectorIndex

# Tokens of a passage, title included, where the encoder's window allows as many. Shorter passages rank sentences better
# than those that fill a window of 256 (docs/decisions/0004): the default encoder was trained on 128.
PASSAGE = 128
# Neighbouring passages share a sentence, so that no answer is torn from what leads to it.
OVERLAP = 1
# Articles that are encoded together and committed in one transaction; a batch ends with whichever comes first.
BATCH_ARTICLES = 64
BATCH_CHARACTERS = 400_000
# A title longer than this would crowd out the passage that it stands in front of, in code points.
LONGEST_TITLE = 200
# A snapshot may lag behind by so many passages while articles are being added.
FEW_PASSAGES = 2000
# How long a change waits for another process's change, in seconds.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one article that was to be added.

    unchanged: the same content was there already, under `article_id`. refused: it holds no sentence; `reason` says so.
    """

    kind: Literal["added", "replaced", "unchanged", "refused"]
    article_id: str
    version: int
    sentences: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The two derived indexes as they stood at one generation of the store."""

    generation: int
    lexical: LexicalReader
    vectors: VectorIndex


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """An article on its way into the store, split but not yet encoded."""

    article: Article
    version: int
    replaces: bool
    sentences: tuple[Span, ...]
    groups: tuple[tuple[int, int], ...]

    def contexts(self) -> list[Context]:
        return [self._context(*group) for group in self.groups]

    def _context(self, first: int, last: int) -> Context:
        spans = self.sentences[first:last]
        start = spans[0].start
        shifted = tuple(Span(span.start - start, span.end - start) for span in spans)
        return Context(_short_title(self.article), self.article.text[start : spans[-1].end], shifted)


class Corpus:
    """A folder with the store and what is derived from it. Asking never waits for adding.

    Safe to use from several threads and several processes; one of them changes it at a time.
    """

    def __init__(self, folder: Path, encoder: Encoder, *, encode_again: bool = False) -> None:
        """Open the corpus in `folder`, or make an empty one; what is derived catches up, or is built again.

        encode_again: where it was built with another encoder, encode all articles with this one.
        Raises CorpusError: EncoderMismatchError, CorpusVersionError, CorpusDamagedError among them.
        """
        self.folder = folder
        self.encoder = encoder
        self.store = Store(folder / "quoteline.db", encoder=encoder.name, dim=encoder.dim)
        if not encode_again:
            self.store.check_encoder()
        self._lock = FileLock(folder / "writer.lock", timeout=PATIENCE)
        self._refreshing = threading.Lock()
        self._saved = -1
        self._refused: EncoderMismatchError | None = None
        with self._exclusive():
            self._lexical = self._open_lexical()
            self._snapshot = Snapshot(-1, self._lexical.reader(), self._load_vectors())
        if encode_again:
            self.encode_again()
        self.refresh()

    def close(self) -> None:
        """Keep the vectors for the next start, and close the store."""
        self.save()
        self.store.close()

    @property
    def snapshot(self) -> Snapshot:
        """The last generation that is fit to be searched. Raises EncoderMismatchError."""
        if self._refused is not None:
            raise self._refused
        return self._snapshot

    # Changing

    def add(self, articles: Iterable[Article]) -> Iterator[Outcome]:
        """Add articles in batches; yield one outcome for each, in order, once its batch is committed.

        An article whose id was given (by JSON Lines, say) replaces the one of that id; one that came from a file
        replaces the one from that file, and is left alone where its very content is there under another id.
        Raises CorpusBusyError where another process keeps changing the corpus, CorpusError where it cannot be written.
        """
        try:
            for batch in _batches(articles):
                outcomes = self._add_batch(batch)
                if self._is_far_behind():
                    self.refresh()
                yield from outcomes
        finally:
            self.refresh()

    def remove(self, article_ids: Sequence[str]) -> None:
        """Remove articles, all of them or none. Raises ArticleNotFoundError."""
        with self._exclusive(), self.store.change() as change:
            self.store.check_encoder()
            for article_id in dict.fromkeys(article_ids):
                change.remove(article_id)
        self.refresh()

    def refresh(self) -> None:
        """Bring the snapshot to the store's generation; a change of another process is seen by this."""
        with self._refreshing:
            if self.store.generation == self._snapshot.generation:
                return
            # The lock before the store: nobody commits meanwhile, so that no index can be ahead of what is seen here.
            with self._exclusive(), self.store.frozen():
                try:
                    self.store.check_encoder()
                except EncoderMismatchError as error:
                    self._refused = error
                    raise
                generation = self.store.generation
                lexical = self._catch_up_lexical(State(self.store.identity, generation))
                self._snapshot = Snapshot(generation, lexical, self._catch_up_vectors())

    def save(self) -> None:
        """Write the vectors to disk where what is there is older; the other files are always up to date."""
        snapshot = self._snapshot
        if self._saved >= snapshot.generation:
            return
        with self._exclusive():
            snapshot.vectors.save(self._vectors_folder, State(self.store.identity, snapshot.generation))
        self._saved = snapshot.generation

    def rebuild(self) -> None:
        """Build what is derived again from the store."""
        with self._refreshing, self._exclusive(), self.store.frozen():
            self.store.check_encoder()
            generation = self.store.generation
            LexicalIndex.erase(self._lexical_folder)
            self._lexical = LexicalIndex.open(self._lexical_folder)
            state = State(self.store.identity, generation)
            self._lexical.change(add=self._texts_since(0), remove=[], state=state)
            keys, vectors = self.store.vectors_since(0)
            built = VectorIndex(self.encoder.dim).changed(add=vectors, keys=keys, remove=[])
            built.save(self._vectors_folder, state)
            self._snapshot = Snapshot(generation, self._lexical.reader(), built)
            self._saved = generation

    def encode_again(self) -> None:
        """Encode all articles with this corpus' encoder, which may be another than it was built with; all or nothing.

        Another process that serves the corpus with the former encoder refuses to answer from then on.
        """
        with self._exclusive(), self.store.change() as change:
            change.set_encoder(self.encoder.name)
            for record in self.store.records():
                groups = tuple(self._group(record.article, record.sentences))
                one = _Prepared(record.article, record.version, True, record.sentences, groups)
                change.replace_passages(record.article.id, self._encode([one])[0])
        self.refresh()

    def check(self) -> list[str]:
        """Return what is not as it should be, in words; nothing where all is consistent."""
        findings = self.store.check()
        if findings:
            return findings
        with self._refreshing, self.store.frozen():
            keys, vectors = self.store.vectors_since(0)
            snapshot = self._snapshot
            if snapshot.generation != self.store.generation:
                findings.append(f"the indexes hold generation {snapshot.generation}, not {self.store.generation}")
            if snapshot.lexical.keys() != keys:
                findings.append("the lexical index holds other passages than the store; run `quoteline rebuild`")
            if snapshot.vectors.keys() != keys or not np.array_equal(snapshot.vectors.vectors(keys), vectors):
                findings.append("the vector index holds other vectors than the store; run `quoteline rebuild`")
        return findings

    # Adding, step by step

    def _add_batch(self, batch: Sequence[Article]) -> list[Outcome]:
        generation = self.store.generation
        plans = [self._prepare(article) for article in batch]
        # Encoding is what takes long, and holds no lock: others may read, or commit, meanwhile.
        readings = self._encode([ready for _, ready in plans if ready is not None])
        with self._exclusive():
            self.store.check_encoder()
            # What somebody else committed since may have been one of these very articles.
            if self.store.generation != generation:
                plans = [self._prepare(article) for article in batch]
                readings = self._encode([ready for _, ready in plans if ready is not None])
            if readings:
                self._commit([ready for _, ready in plans if ready is not None], readings)
        return [outcome for outcome, _ in plans]

    def _prepare(self, article: Article) -> tuple[Outcome, _Prepared | None]:
        known = self._known(article)
        if known is not None and known.digest == article.digest():
            return Outcome("unchanged", known.id, known.version), None
        sentences = tuple(split_sentences(article.text, article.body))
        if not sentences:
            return Outcome("refused", article.id, 0, reason=f"{article.id} holds no sentence"), None
        if known is not None:
            article = replace(article, id=known.id)
        elif article.path is not None and self.store.known(article_id=article.id):
            # Another file of the same name, from another folder.
            article = replace(article, id=f"{article.id}-{hashlib.sha256(article.path.encode()).hexdigest()[:8]}")
        version = known.version + 1 if known else 1
        groups = tuple(self._group(article, sentences))
        ready = _Prepared(article, version, known is not None, sentences, groups)
        return Outcome("replaced" if known else "added", article.id, version, len(sentences)), ready

    def _known(self, article: Article) -> Known | None:
        """Return what `article` would replace, or what is the same as it already."""
        if article.path is None:
            return self.store.known(article_id=article.id)
        same = self.store.known(digest=article.digest())
        return self.store.known(path=article.path) or same

    def _group(self, article: Article, sentences: Sequence[Span]) -> list[tuple[int, int]]:
        texts = [_short_title(article), *(span.of(article.text) for span in sentences)]
        title, *lengths = self.encoder.count_tokens(texts)
        window = min(self.encoder.window, PASSAGE)
        # The special tokens of each sentence, counted with it, are room to spare for how its neighbours join.
        return group_sentences(lengths, window=max(window - title, window // 2), overlap=OVERLAP)

    def _commit(self, prepared: Sequence[_Prepared], readings: Sequence[Sequence[Reading]]) -> None:
        with self.store.change() as change:
            for one, its_readings in zip(prepared, readings, strict=True):
                if one.replaces:
                    change.remove(one.article.id)
                change.add(one.article, version=one.version, sentences=one.sentences, readings=its_readings)

    def _encode(self, prepared: Sequence[_Prepared]) -> list[list[Reading]]:
        """Return the passages of each article, encoded together because that is faster."""
        encoded = iter(self.encoder.encode_passages([context for one in prepared for context in one.contexts()]))
        return [[_reading(one, *group, next(encoded)) for group in one.groups] for one in prepared]

    # Keeping up

    def _is_far_behind(self) -> bool:
        """Whether so much was added since the last refresh that others should see it before all is done.

        A refresh copies the vectors, so it waits until there is a share of new ones.
        """
        _, _, passages = self.store.counts()
        held = len(self._snapshot.vectors)
        return passages - held > max(FEW_PASSAGES, held // 4)

    def _catch_up_lexical(self, state: State) -> LexicalReader:
        with self._exclusive():
            held = self._lexical.state()
            if held is None or held.identity != state.identity or held.generation > state.generation:
                LexicalIndex.erase(self._lexical_folder)
                self._lexical = LexicalIndex.open(self._lexical_folder)
                held = State(state.identity, 0)
            if held != state or self._lexical.state() is None:
                removed = self.store.removed_since(held.generation)
                self._lexical.change(add=self._texts_since(held.generation), remove=removed, state=state)
        return self._lexical.reader()

    def _texts_since(self, generation: int) -> Iterator[tuple[int, str]]:
        for key, title, text in self.store.texts_since(generation):
            yield key, f"{title or ''}\n{text}"

    def _catch_up_vectors(self) -> VectorIndex:
        snapshot = self._snapshot
        since = max(snapshot.generation, self._saved, 0)
        keys, vectors = self.store.vectors_since(since)
        return snapshot.vectors.changed(add=vectors, keys=keys, remove=self.store.removed_since(since))

    def _open_lexical(self) -> LexicalIndex:
        try:
            return LexicalIndex.open(self._lexical_folder)
        except CorpusDamagedError:
            # It is derived: nothing is lost by building it again.
            LexicalIndex.erase(self._lexical_folder)
            return LexicalIndex.open(self._lexical_folder)

    def _load_vectors(self) -> VectorIndex:
        try:
            loaded = VectorIndex.load(self._vectors_folder, self.encoder.dim)
        except CorpusDamagedError:
            loaded = None
        if loaded is None or loaded[1].identity != self.store.identity or loaded[1].generation > self.store.generation:
            return VectorIndex(self.encoder.dim)
        self._saved = loaded[1].generation
        return loaded[0]

    @property
    def _lexical_folder(self) -> Path:
        return self.folder / "lexical"

    @property
    def _vectors_folder(self) -> Path:
        return self.folder / "vectors"

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the writer's lock; it ends with the process that holds it, however that ends."""
        try:
            with self._lock:
                yield
        except Timeout as error:
            raise CorpusBusyError(f"another process is changing {self.folder}; try again when it is done") from error
        except PermissionError as error:
            raise CorpusError(f"{self.folder} cannot be written; check its owner, or set QUOTELINE_DATA") from error


def _batches(articles: Iterable[Article]) -> Iterator[list[Article]]:
    """Group articles; no two of a group can be the same article, so that each is compared with what was committed."""
    batch: list[Article] = []
    taken: set[str] = set()
    characters = 0
    for article in articles:
        names = {f"id {article.id}", f"path {article.path or article.id}", f"digest {article.digest()}"}
        if batch and (len(batch) == BATCH_ARTICLES or characters > BATCH_CHARACTERS or names & taken):
            yield batch
            batch, taken, characters = [], set(), 0
        batch.append(article)
        taken |= names
        characters += len(article.text)
    if batch:
        yield batch


def _short_title(article: Article) -> str:
    return (article.title or "")[:LONGEST_TITLE]


def _reading(one: _Prepared, first: int, last: int, encoded: Encoded) -> Reading:
    spans = one.sentences[first:last]
    terms = [analyze(span.of(one.article.text)) for span in spans]
    return Reading(
        first=first,
        last=last,
        vector=encoded.vector,
        spans=np.array([(span.start, span.end) for span in spans], dtype=np.int32),
        sentence_vectors=encoded.sentences,
        terms=term_hashes([term for of_sentence in terms for term in of_sentence]),
        term_counts=np.array([len(of_sentence) for of_sentence in terms], dtype=np.uint32),
    )


def term_hashes(terms: Sequence[str]) -> NDArray[np.uint32]:
    """Return a 32-bit number for each term; two terms share one about once in four billion pairs."""
    return np.array([zlib.crc32(term.encode()) for term in terms], dtype=np.uint32)
