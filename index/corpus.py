"""Corpus: articles added, replaced, removed; store, lexical index and vectors kept at one generation."""

import datetime as dt
import logging
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from index import passages
from index.address import Address
from index.ahead import ahead
from index.articles import Article, Span
from index.batches import Batch, Outcome, Planner, batches_of
from index.embedded import Embedded
from index.encoding import Encoded, Encoder
from index.engine import Engine, Snapshot
from index.errors import ArticleNotFoundError, CorpusError, EncoderMismatchError
from index.passages import Divided
from index.store import Backup, Reading, Record, Restored, Store, open_store

# Batches that are read, split or encoded while an earlier one is committed.
AHEAD = 3
# A snapshot may lag behind by so many passages while articles are being added; by a share of those there are, between
# these. What it lags behind by is in memory at once when it catches up.
FEW_PASSAGES, MANY_PASSAGES = 2000, 50_000
# How long setting a corpus aside waits for who is changing it, in seconds.
PATIENCE = 60.0


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
        self._planner = Planner(self.store, encoder)
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
                groups = self.groups_of(record.article, record.sentences)
                [readings] = self.encode_passages([(record, groups)])
                change.replace_passages(record.article.id, readings)
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

    def _begin(self, articles: Sequence[Article], within: Collection[str] | None) -> Batch:
        """Plan what is to be encoded; the store may have moved on when that is done."""
        batch = Batch(articles)
        self._planner.plan(batch, within)
        return batch

    def _encode_unread(self, batch: Batch) -> list[Encoded]:
        """Return the vectors of all passages that `batch` still lacks; holds no lock, and takes long."""
        contexts = batch.contexts()
        return self.encoder.encode_passages(contexts) if contexts else []

    def _add_batch(
        self,
        batch: Batch,
        encoded: Sequence[Encoded],
        within: Collection[str] | None,
        confirm: Callable[[], None] | None,
    ) -> list[Outcome]:
        """Commit a batch whose passages are encoded; return what became of its articles."""
        batch.read(encoded)
        if not batch.changes() and self.store.generation == batch.generation:
            return [outcome for outcome, _ in batch.plans]
        with self.store.exclusive():
            self.store.check_encoder()
            if confirm is not None:
                confirm()
            # What was committed since, here or elsewhere, may have been one of these very articles.
            if self.store.generation != batch.generation:
                self._planner.plan(batch, within)
                batch.read(self._encode_unread(batch))
            found = self._commit(batch, within)
        return [
            outcome
            if ready is None
            else replace(outcome, near_duplicates=tuple(found.get(ready.article.id, {}).items()))
            for outcome, ready in batch.plans
        ]

    def _commit(self, batch: Batch, within: Collection[str] | None) -> dict[str, dict[str, float]]:
        """Commit the articles; return what `Store.near_duplicates_of` returns of them."""
        prepared = batch.changes()
        if not prepared:
            return {}
        with self.store.change() as change:
            for one in prepared:
                if one.replaces:
                    change.supersede(one.article.id)
                readings = batch.readings[one.digest]
                change.add(one.article, version=one.version, sentences=one.divided.sentences, readings=readings)
                self._unseen += len(readings)
            return change.near_duplicates_of([one.article.id for one in prepared], within=within)

    # Passages

    def groups_of(self, article: Article, sentences: Sequence[Span]) -> list[tuple[int, int]]:
        """Return the passages that an article is made into, as half-open ranges of its sentences."""
        return passages.groups_of(article, sentences, self.encoder)

    def encode_passages(self, wanted: Sequence[tuple[Record, Sequence[tuple[int, int]]]]) -> list[list[Reading]]:
        """Return passages of any versions of articles as they would be stored if these were added now.

        wanted: a version, and which of the ranges of its sentences that `groups_of` returns.
        """
        divided = [Divided(one.article, one.sentences, tuple(groups)) for one, groups in wanted]
        return passages.encode(divided, self.encoder)

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
