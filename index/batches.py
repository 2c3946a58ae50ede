"""Batches of articles on their way into a store: what becomes of each, as the store stands."""

import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from index.articles import DEFAULT_COLLECTION, Article
from index.encoding import Context, Encoded, Encoder
from index.passages import Divided, divide, readings_of
from index.store import Known, Reading, Store

# Articles that are encoded together and committed in one transaction; a batch ends with whichever comes first. The more
# passages are sorted by length, the less of what is encoded is padding (docs/decisions/0018).
BATCH_ARTICLES = 128
BATCH_CHARACTERS = 400_000


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
class Prepared:
    """An article that goes into the store. digest: of the article as it came."""

    divided: Divided
    version: int
    replaces: bool
    digest: str

    @property
    def article(self) -> Article:
        """The article, with its id and its collection."""
        return self.divided.article


@dataclass(slots=True, eq=False)
class Batch:
    """Articles that go into the store together, and what is known of them so far.

    plans: what becomes of each, as the store stood at `generation`. divided, readings: by the article's digest.
    """

    articles: Sequence[Article]
    generation: int = -1
    plans: list[tuple[Outcome, Prepared | None]] = field(default_factory=list)
    divided: dict[str, Divided] = field(default_factory=dict)
    readings: dict[str, list[Reading]] = field(default_factory=dict)

    def changes(self) -> list[Prepared]:
        """Return what is to be committed."""
        return [ready for _, ready in self.plans if ready is not None]

    def contexts(self) -> list[Context]:
        """Return the passages that are to be encoded yet."""
        return [context for one in self._unread() for context in one.divided.contexts()]

    def read(self, encoded: Sequence[Encoded]) -> None:
        """Take what `contexts` has become."""
        unread = self._unread()
        for one, readings in zip(unread, readings_of([one.divided for one in unread], encoded), strict=True):
            self.readings[one.digest] = readings

    def _unread(self) -> list[Prepared]:
        return [ready for ready in self.changes() if ready.digest not in self.readings]


@dataclass(frozen=True, slots=True)
class Planner:
    """Says what becomes of articles that are to be added to a store."""

    store: Store
    encoder: Encoder

    def plan(self, batch: Batch, within: Collection[str] | None) -> None:
        """Say what becomes of each article as the store stands now; divide those that go in.

        within: only these collections are changed, or told of.
        """
        batch.generation = self.store.generation
        batch.plans = []
        # Of two files of one name in a batch the second one needs another id.
        given: set[str] = set()
        for article in batch.articles:
            plan = self._plan(article, within, batch.divided, given)
            batch.plans.append(plan)
            if plan[1] is not None:
                given.add(plan[1].article.id)

    def _plan(
        self, article: Article, within: Collection[str] | None, divided: dict[str, Divided], given: Collection[str]
    ) -> tuple[Outcome, Prepared | None]:
        known = self._known(article)
        collection = article.collection or (known.collection if known else DEFAULT_COLLECTION)
        if within is not None and not {collection, known.collection if known else collection} <= set(within):
            reason = f"{article.id} belongs to a collection that is not among those that may be changed"
            return Outcome("elsewhere", article.id, 0, collection, reason=reason), None
        digest = article.digest()
        if known is not None and (known.digest, known.collection) == (digest, collection):
            return Outcome("unchanged", known.id, known.version, collection), None
        if digest not in divided:
            divided[digest] = divide(article, self.encoder)
        sentences = divided[digest].sentences
        if not sentences:
            return Outcome("refused", article.id, 0, collection, reason=f"{article.id} holds no sentence"), None
        article = replace(article, id=known.id if known else self._free_id(article, given), collection=collection)
        version = self.store.last_version(article.id) + 1
        ready = Prepared(replace(divided[digest], article=article), version, known is not None, digest)
        kind: Literal["added", "replaced"] = "replaced" if known else "added"
        return Outcome(kind, article.id, version, collection, len(sentences)), ready

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
