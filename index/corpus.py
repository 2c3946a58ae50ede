"""Corpus: articles added, replaced, removed; store, lexical index and vectors kept at one generation."""

import datetime as dt
import hashlib
import itertools
import logging
import threading
import zlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from index.address import Address
from index.ahead import ahead
from index.articles import DEFAULT_COLLECTION, Article, Span
from index.embedded import Embedded
from index.encoding import Context, Encoded, Encoder
from index.engine import Engine, Snapshot
from index.errors import (
    ArticleNotFoundError,
    CorpusError,
    EncoderMismatchError,
)
from index.lexical import analyze
from index.splitting import group_sentences, split_sentences
from index.store import Backup, Known, Reading, Record, Restored, Store, open_store

# Tokens of a passage, title included, where the encoder's window allows as many. Shorter passages rank sentences better
# than those that fill a window of 256 (docs/decisions/0004): the default encoder was trained on 128.
PASSAGE = 128
# Neighbouring passages share a sentence, so that no answer is torn from what leads to it.
OVERLAP = 1
# Articles that are encoded together and committed in one transaction; a batch ends with whichever comes first. The more
# passages are sorted by length, the less of what is encoded is padding (docs/decisions/0018).
BATCH_ARTICLES = 128
BATCH_CHARACTERS = 400_000
# A title longer than this would crowd out the passage that it stands in front of, in code points.
LONGEST_TITLE = 200
# Batches that are read, split or encoded while an earlier one is committed.
AHEAD = 3
# A snapshot may lag behind by so many passages while articles are being added; by a share of those there are, between
# these. What it lags behind by is in memory at once when it catches up.
FEW_PASSAGES, MANY_PASSAGES = 2000, 50_000
# How long setting a corpus aside waits for who is changing it, in seconds.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one article that was to be added.

    unchanged: the same content was there already, under `article_id`. refused: it holds no sentence. elsewhere: it
    belongs to a collection that it must not be changed in. `reason` says so, in words, of the last two.
    near_duplicates: ids and similarities, most similar first, of the articles that say nearly the same, once all that
    was committed with it is there; only for what was added or replaced. All of them are kept.
    """

    kind: Literal["added", "replaced", "unchanged", "refused", "elsewhere"]
    article_id: str
    version: int
    collection: str
    sentences: int = 0
    reason: str = ""
    near_duplicates: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    """The sentences of an article, and its passages as ranges of them; no more than its content decides on them."""

    sentences: Sequence[Span]
    groups: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """An article on its way into the store, split but not yet encoded. digest: of the article, where it is added."""

    article: Article
    version: int
    replaces: bool
    sentences: Sequence[Span]
    groups: tuple[tuple[int, int], ...]
    digest: str = ""

    def contexts(self) -> list[Context]:
        return [context_of(self.article, self.sentences[first:last]) for first, last in self.groups]


_Plan = tuple[Outcome, _Prepared | None]


@dataclass(slots=True, eq=False)
class _Batch:
    """Articles that go into the store together, and what is known of them so far.

    plans: what becomes of each, as the store stood at `generation`. splits, readings: by the article's digest.
    """

    articles: Sequence[Article]
    generation: int = -1
    plans: list[_Plan] = field(default_factory=list)
    splits: dict[str, _Split] = field(default_factory=dict)
    readings: dict[str, list[Reading]] = field(default_factory=dict)

    def changes(self) -> list[_Prepared]:
        """Return what is to be committed."""
        return [ready for _, ready in self.plans if ready is not None]

    def unread(self) -> list[_Prepared]:
        """Return what is to be committed and not yet encoded."""
        return [ready for ready in self.changes() if ready.digest not in self.readings]


class Corpus:
    """A folder with the store and what is derived from it. Asking never waits for adding.

    Safe to use from several threads and several processes; one of them changes it at a time.
    """

    def __init__(
        self,
        folder: Path,
        encoder: Encoder,
        *,
        index: str = "",
        rebuild: bool = False,
        encode_again: bool = False,
    ) -> None:
        """Open the corpus in `folder`, or make an empty one; what is derived catches up, or is built again.

        index: the address of another one, as `Address.parse` takes it, which other machines may share; `folder` holds
        what that leaves to it, if anything. rebuild: build what is derived again, whatever is there. encode_again:
        encode all articles with this encoder, which may be another than it was built with. `repairs` says what was
        found damaged and was built again.
        Raises CorpusError: EncoderMismatchError, CorpusVersionError, CorpusDamagedError among them.
        """
        self.folder = folder
        self.encoder = encoder
        self.repairs: list[str] = []
        address = Address.parse(index) if index else None
        place = address.store if address is not None and address.store else folder / "quoteline.db"
        self.store = open_store(place, encoder=encoder.name, dim=encoder.dim)
        self._engine = _engine(address, folder, self.store, encoder.dim)
        self._snapshot: Snapshot | None = None
        self._refreshing = threading.Lock()
        self._refused: EncoderMismatchError | None = None
        # Passages committed here that no snapshot holds yet.
        self._unseen = 0
        # One thread: the encoder itself uses all cores.
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="encoding")
        try:
            if not encode_again:
                self.store.check_encoder()
            with self.store.exclusive():
                if rebuild:
                    self.store.find_near_duplicates_again()
                for repair in self._engine.open(rebuild=rebuild):
                    self.repairs.append(repair)
                    logging.getLogger("quoteline").warning("%s", repair)
            if encode_again:
                self.encode_again()
            self.refresh()
        except BaseException:
            self._engine.close()
            self.store.close()
            raise

    def close(self) -> None:
        """Keep the vectors for the next start, and close the store."""
        try:
            self.save()
        finally:
            self._encoding.shutdown(cancel_futures=True)
            self._engine.close()
            self.store.close()

    @property
    def snapshot(self) -> Snapshot:
        """The last generation that is fit to be searched. Raises EncoderMismatchError."""
        if self._refused is not None:
            raise self._refused
        if self._snapshot is None:
            raise CorpusError(f"nothing of {self.folder} can be searched yet; try again when it has been indexed")
        return self._snapshot

    # Changing

    def add(
        self,
        articles: Iterable[Article],
        *,
        within: Collection[str] | None = None,
        confirm: Callable[[], None] | None = None,
    ) -> Generator[Outcome, None, None]:
        """Add articles in batches; yield one outcome for each, in order, once its batch is committed.

        An article whose id was given replaces the one of that id. Another one replaces the one from the same file, or
        of the same URL; it is left alone where its very content is there under another id. What is replaced stays
        readable as an older version, and is not searched.
        within: only these collections are changed, or told of. confirm: called before each commit, when nobody else can
        change the corpus any more; what it raises ends all.
        Raises CorpusBusyError where another process keeps changing the corpus, CorpusError where it cannot be written.
        """
        try:
            # While one batch is committed here, and later ones are read and split, another thread encodes.
            begun = (self._begin(batch, within) for batch in batches_of(articles))
            for batch, encoded in ahead(begun, self._encode_unread, self._encoding, depth=AHEAD):
                outcomes = self._add_batch(batch, encoded, within, confirm)
                if self._is_far_behind():
                    self._show_changes()
                    self._tidy_as_it_grows()
                yield from outcomes
        finally:
            self._show_changes()

    def remove(self, article_ids: Sequence[str], *, within: Collection[str] | None = None) -> None:
        """Remove articles with all their versions, all of them or none. Raises ArticleNotFoundError.

        within: only from these collections; what is in others counts as not there.
        """
        with self.store.exclusive(), self.store.change() as change:
            for article_id in dict.fromkeys(article_ids):
                known = self.store.known(article_id=article_id)
                if known is None:
                    raise self.store.missing(article_id)
                if within is not None and known.collection not in within:
                    raise ArticleNotFoundError(f"there is no article {article_id!r}")
                change.remove(article_id)
        self._show_changes()

    def refresh(self) -> None:
        """Bring the snapshot to the store's generation; a change of another process is seen by this."""
        with self._refreshing:
            current = self._snapshot is not None and self.store.generation == self._snapshot.generation
            if current and self._engine.ready():
                return
            with self.store.frozen():
                # Who changed the store brings the engine up to date at once: most often nothing is left to do.
                if self._follow():
                    return
            # The lock before the store: nobody commits meanwhile, so that no index can be ahead of what is seen here.
            with self.store.exclusive(), self.store.frozen():
                self._engine.catch_up()
                self._follow()

    def ready(self) -> bool:
        """Whether questions can be answered."""
        return self._snapshot is not None and self._refused is None and self._engine.ready()

    def save(self) -> None:
        """Write to disk what a later start would have to make again."""
        if self._engine.is_saved():
            return
        with self.store.exclusive():
            self._engine.save()

    def tidy(self) -> bool:
        """Do what makes asking faster, takes long and can wait; return whether there was anything to do.

        Neither asking nor changing waits for it.
        """
        tidied = False
        while snapshot := self._engine.tidy():
            with self._refreshing:
                # What was committed meanwhile may be searched already, and by what was tidied.
                if self._snapshot is not None and self._snapshot.generation <= snapshot.generation:
                    self._snapshot = snapshot
            tidied = True
        if tidied:
            self.save()
        return tidied

    def compact(self) -> bool:
        """Erase what deleted articles left in the files, which an index keeps until it is written anew.

        Returns whether all is gone; False where somebody is still reading an older state: try again later.
        """
        if not self.store.has_traces():
            return True
        self.refresh()
        with self._refreshing, self.store.exclusive():
            with self.store.frozen():
                self._engine.write_anew()
                self._follow()
                self._engine.erase_leftovers()
                self._follow()
            return self.store.erase_traces()

    def encode_again(self) -> None:
        """Encode all articles with this corpus' encoder, which may be another than it was built with; all or nothing.

        Another process that serves the corpus with the former encoder refuses to answer from then on.
        """
        with self.store.exclusive(), self.store.change() as change:
            change.set_encoder(self.encoder.name)
            for record in self.store.records():
                groups = tuple(self.groups_of(record.article, record.sentences))
                one = _Prepared(record.article, record.version, True, record.sentences, groups)
                change.replace_passages(record.article.id, self._encode([one])[0])
        self.refresh()

    def back_up(self, folder: Path) -> Backup:
        """Write a copy of all articles and vectors, as they are now, to a new folder. Raises CorpusError."""
        return self.store.back_up(folder)

    def restore(self, folder: Path, *, with_deleted: bool = False) -> Restored:
        """Let the corpus hold what the backup in `folder` holds, and nothing else; all or nothing.

        with_deleted: also articles that were deleted after the backup was made; they are left out otherwise.
        Raises CorpusError, EncoderMismatchError, CorpusVersionError, CorpusDamagedError.
        """
        with self.store.exclusive():
            self.store.check_encoder()
            restored = self.store.restore(folder, with_deleted=with_deleted)
        self._show_changes()
        return restored

    def check(self) -> list[str]:
        """Return what is not as it should be, in words; nothing where all is consistent."""
        findings = self.store.check()
        if findings:
            return findings
        with self._refreshing, self.store.frozen():
            snapshot = self.snapshot
            if snapshot.generation != self.store.generation:
                findings.append(f"the indexes hold generation {snapshot.generation}, not {self.store.generation}")
            findings += self._engine.check()
        return findings

    # Adding, step by step

    def _begin(self, articles: Sequence[Article], within: Collection[str] | None) -> _Batch:
        """Plan what is to be encoded; the store may have moved on when that is done."""
        batch = _Batch(articles)
        self._plan(batch, within)
        return batch

    def _encode_unread(self, batch: _Batch) -> list[Encoded]:
        """Return the vectors of all passages that `batch` still lacks; holds no lock, and takes long."""
        contexts = [context for one in batch.unread() for context in one.contexts()]
        return self.encoder.encode_passages(contexts) if contexts else []

    def _add_batch(
        self,
        batch: _Batch,
        encoded: Sequence[Encoded],
        within: Collection[str] | None,
        confirm: Callable[[], None] | None,
    ) -> list[Outcome]:
        """Commit a batch whose passages are encoded; return what became of its articles."""
        _read_into(batch, encoded)
        if not batch.changes() and self.store.generation == batch.generation:
            return [outcome for outcome, _ in batch.plans]
        with self.store.exclusive():
            self.store.check_encoder()
            if confirm is not None:
                confirm()
            # What was committed since, here or elsewhere, may have been one of these very articles.
            if self.store.generation != batch.generation:
                self._plan(batch, within)
                _read_into(batch, self._encode_unread(batch))
            found = self._commit(batch.changes(), batch.readings, within)
        return [
            outcome
            if ready is None
            else replace(outcome, near_duplicates=tuple(found.get(ready.article.id, {}).items()))
            for outcome, ready in batch.plans
        ]

    def _plan(self, batch: _Batch, within: Collection[str] | None) -> None:
        """Say what becomes of each article as the store stands now; split those that go in."""
        batch.generation = self.store.generation
        batch.plans = []
        # Of two files of one name in a batch the second one needs another id.
        given: set[str] = set()
        for article in batch.articles:
            plan = self._prepare(article, within, batch.splits, given)
            batch.plans.append(plan)
            if plan[1] is not None:
                given.add(plan[1].article.id)

    def _prepare(
        self, article: Article, within: Collection[str] | None, splits: dict[str, _Split], given: Collection[str]
    ) -> _Plan:
        known = self._known(article)
        collection = article.collection or (known.collection if known else DEFAULT_COLLECTION)
        if within is not None and not {collection, known.collection if known else collection} <= set(within):
            reason = f"{article.id} belongs to a collection that is not among those that may be changed"
            return Outcome("elsewhere", article.id, 0, collection, reason=reason), None
        digest = article.digest()
        if known is not None and (known.digest, known.collection) == (digest, collection):
            return Outcome("unchanged", known.id, known.version, collection), None
        if digest not in splits:
            splits[digest] = self._split(article)
        split = splits[digest]
        if not split.sentences:
            return Outcome("refused", article.id, 0, collection, reason=f"{article.id} holds no sentence"), None
        article = replace(article, id=known.id if known else self._free_id(article, given), collection=collection)
        version = self.store.last_version(article.id) + 1
        ready = _Prepared(article, version, known is not None, split.sentences, split.groups, digest)
        kind: Literal["added", "replaced"] = "replaced" if known else "added"
        return Outcome(kind, article.id, version, collection, len(split.sentences)), ready

    def _split(self, article: Article) -> _Split:
        sentences = tuple(split_sentences(article.text, article.body))
        return _Split(sentences, tuple(self.groups_of(article, sentences)) if sentences else ())

    def _known(self, article: Article) -> Known | None:
        """Return what `article` would replace, or what is the same as it already."""
        if article.named:
            return self.store.known(article_id=article.id)
        where = article.collection
        known = self.store.known(path=article.path, collection=where) if article.path is not None else None
        known = known or self._known_by_url(article)
        return known or self.store.known(digest=article.digest(), collection=where)

    def _known_by_url(self, article: Article) -> Known | None:
        if article.url is None or not _names_a_document(article.url):
            return None
        known = self.store.known(url=article.url, collection=article.collection)
        # Two files that are both there are two articles, whatever they say of themselves.
        apart = known and known.path and article.path and known.path != article.path and Path(known.path).exists()
        return None if apart else known

    def _free_id(self, article: Article, given: Collection[str]) -> str:
        """Return the article's id, or one like it where another article has that, such as a file of the same name."""
        if article.named:
            return article.id
        for attempt in itertools.count():
            origin = f"{article.collection}\n{article.path or article.digest()}\n{attempt}"
            candidate = f"{article.id}-{hashlib.sha256(origin.encode()).hexdigest()[:8]}" if attempt else article.id
            if candidate not in given and self.store.known(article_id=candidate) is None:
                return candidate
        raise AssertionError

    def groups_of(self, article: Article, sentences: Sequence[Span]) -> list[tuple[int, int]]:
        """Return the passages that an article is made into, as half-open ranges of its sentences."""
        texts = [_short_title(article), *(span.of(article.text) for span in sentences)]
        title, *lengths = self.encoder.count_tokens(texts)
        window = min(self.encoder.window, PASSAGE)
        # The special tokens of each sentence, counted with it, are room to spare for how its neighbours join.
        return group_sentences(lengths, window=max(window - title, window // 2), overlap=OVERLAP)

    def encode_passages(self, wanted: Sequence[tuple[Record, Sequence[tuple[int, int]]]]) -> list[list[Reading]]:
        """Return passages of any versions of articles as they would be stored if these were added now.

        wanted: a version, and which of the ranges of its sentences that `groups_of` returns.
        """
        if not wanted:
            return []
        return self._encode(
            [_Prepared(one.article, one.version, True, one.sentences, tuple(groups)) for one, groups in wanted]
        )

    def _commit(
        self, prepared: Sequence[_Prepared], readings: dict[str, list[Reading]], within: Collection[str] | None
    ) -> dict[str, dict[str, float]]:
        """Commit the articles; return what `Store.near_duplicates_of` returns of them."""
        if not prepared:
            return {}
        with self.store.change() as change:
            for one in prepared:
                if one.replaces:
                    change.supersede(one.article.id)
                its_readings = readings[one.digest]
                change.add(one.article, version=one.version, sentences=one.sentences, readings=its_readings)
                self._unseen += len(its_readings)
            return change.near_duplicates_of([one.article.id for one in prepared], within=within)

    def _encode(self, prepared: Sequence[_Prepared]) -> list[list[Reading]]:
        """Return the passages of each article, encoded together because that is faster."""
        return _readings(prepared, self.encoder.encode_passages([one for each in prepared for one in each.contexts()]))

    # Keeping up

    def _show_changes(self) -> None:
        """Refresh after a change of our own; that this fails is no reason to call what was committed failed."""
        try:
            self.refresh()
        except CorpusError as error:
            logging.getLogger("quoteline").warning("a change is kept, but not yet searched: %s", error)

    def _tidy_as_it_grows(self) -> None:
        try:
            self.tidy()
        except CorpusError as error:
            logging.getLogger("quoteline").warning("the indexes cannot be tidied, which can wait: %s", error)

    def _is_far_behind(self) -> bool:
        """Whether so much was added since the last refresh that others should see it before all is done.

        A refresh has the lexical index write a commit, so it waits until there is a share of new ones.
        """
        # Counted as they are committed: to have the store count takes longer the more there is.
        return self._unseen > min(max(FEW_PASSAGES, len(self.snapshot) // 4), MANY_PASSAGES)

    def _follow(self) -> bool:
        """Take what the engine holds for the next snapshot, if that is what this thread sees of the store."""
        try:
            self.store.check_encoder()
        except EncoderMismatchError as error:
            self._refused = error
            raise
        snapshot = self._engine.follow()
        if snapshot is None:
            return False
        self._snapshot = snapshot
        self._unseen = 0
        return True


def _engine(address: Address | None, folder: Path, store: Store, dim: int) -> Engine:
    if address is None:
        return Embedded(folder, store, dim)
    # Imported here: a corpus in a folder needs nothing of it.
    from index.milvus import Milvus

    return Milvus(address, store, dim)


def set_aside(folder: Path) -> Path:
    """Move all files of a corpus that cannot be opened into a folder inside it, and return that.

    A process that has the corpus open goes on with what was moved; it has to be started again.
    """
    kept = folder / f"damaged-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S%f}"
    with FileLock(folder / "writer.lock", timeout=PATIENCE):
        kept.mkdir()
        for path in folder.iterdir():
            if path.name != "writer.lock" and not path.name.startswith("damaged-"):
                path.rename(kept / path.name)
    return kept


def batches_of(articles: Iterable[Article]) -> Iterator[list[Article]]:
    """Group articles that are added together; each is compared with what was committed before its group.

    So no two of a group can be the same article. Two that merely would have the same id, such as two files of one name,
    can be: they are given different ones.
    """
    batch: list[Article] = []
    taken: set[str] = set()
    characters = 0
    for article in articles:
        names = {f"id {article.id}", f"digest {article.digest()}", *names_of(article)}
        # One whose id is given is known by that alone, and any other by all else.
        known_by = {f"id {article.id}"} if article.named else names - {f"id {article.id}"}
        if batch and (len(batch) == BATCH_ARTICLES or characters > BATCH_CHARACTERS or known_by & taken):
            yield batch
            batch, taken, characters = [], set(), 0
        batch.append(article)
        taken |= names
        characters += len(article.text)
    if batch:
        yield batch


def names_of(article: Article) -> set[str]:
    """Return all by which this article and another one may be versions of one."""
    names = {f"id {article.id}"} if article.named else set()
    if article.path is not None:
        names.add(f"path {article.path}")
    if article.url is not None and _names_a_document(article.url):
        names.add(f"url {article.url}")
    return names


def _names_a_document(url: str) -> bool:
    """Whether an address is of one document; what says only what site it is on has the same as all others there."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.path.strip("/") or parts.query)


def context_of(article: Article, sentences: Sequence[Span]) -> Context:
    """Return neighbouring sentences, at least one, as encoder and reader read them; offsets count from the first."""
    start = sentences[0].start
    shifted = tuple(Span(span.start - start, span.end - start) for span in sentences)
    return Context(_short_title(article), article.text[start : sentences[-1].end], shifted)


def _short_title(article: Article) -> str:
    return (article.title or "")[:LONGEST_TITLE]


def _read_into(batch: _Batch, encoded: Sequence[Encoded]) -> None:
    """Put the passages of what was unread, by digest, into the batch."""
    unread = batch.unread()
    for one, readings in zip(unread, _readings(unread, encoded), strict=True):
        batch.readings[one.digest] = readings


def _readings(prepared: Sequence[_Prepared], encoded: Iterable[Encoded]) -> list[list[Reading]]:
    vectors = iter(encoded)
    return [[_reading(one, *group, next(vectors)) for group in one.groups] for one in prepared]


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
