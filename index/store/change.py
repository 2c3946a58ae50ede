"""The writing side of one transaction."""

import time
from collections.abc import Collection, Iterable, Sequence

from index.articles import Article, Span
from index.errors import ArticleNotFoundError
from index.store import resemblance
from index.store.database import Database, insert_version, places
from index.store.rows import READ, Reading, id_hash, passage_row, seal, version_row
from index.store.schema import set_facts


class Change:
    """What one transaction changes; all of it is committed, or nothing."""

    def __init__(self, db: Database, generation: int) -> None:
        self._db = db
        self.generation = generation

    def add(self, article: Article, *, version: int, sentences: Sequence[Span], readings: Sequence[Reading]) -> None:
        """Insert a version of an article with its sentences and passages; it becomes the one that is searched.

        `article.collection` is given, and the version is higher than any that there was.
        """
        row = version_row(
            article, version=version, sentences=sentences, generation=self.generation, added_at=time.time()
        )
        key = insert_version(self._db, row, current=True)
        self._insert(key, article.id, version, readings)
        resemblance.enter(self._db, key, article.body.of(article.text))

    def near_duplicates_of(
        self, article_ids: Iterable[str], *, within: Collection[str] | None = None
    ) -> dict[str, dict[str, float]]:
        """Return what `Store.near_duplicates_of` returns, as this transaction leaves it so far."""
        return resemblance.near_duplicates(self._db, article_ids, within)

    def supersede(self, article_id: str) -> None:
        """Take an article's current version out of the search; it stays readable. Raises ArticleNotFoundError."""
        key, _ = self._clear(article_id)
        self._db.run("UPDATE versions SET current = FALSE WHERE key = ?", (key,))
        resemblance.forget(self._db, key)

    def remove(self, article_id: str) -> None:
        """Remove all versions of an article, and keep the fact of it. Raises ArticleNotFoundError."""
        key, version = self._clear(article_id)
        resemblance.forget(self._db, key)
        self._db.run("DELETE FROM versions WHERE id = ?", (article_id,))
        self.retire(id_hash(article_id), version, time.time())
        # What is deleted leaves traces in files that are only appended to, until `Corpus.compact`.
        set_facts(self._db, deleted=self.generation)

    def retire(self, hashed: str, version: int, deleted_at: float | None) -> None:
        """Keep in mind that an article had versions up to this one, so that none of these numbers is given again.

        What was kept in mind before stays so: the highest version and the last deletion of all count.
        """
        for row in self._db.rows("SELECT version, deleted_at FROM retired WHERE id_hash = ?", (hashed,)):
            version = max(version, row["version"])
            deleted_at = max(filter(None, (deleted_at, row["deleted_at"])), default=None)
        values = (hashed, version, deleted_at)
        self._db.run("DELETE FROM retired WHERE id_hash = ?", (hashed,))
        self._db.run(
            "INSERT INTO retired (id_hash, version, deleted_at, seal) VALUES (?, ?, ?, ?)", (*values, seal(values))
        )

    def replace_passages(self, article_id: str, readings: Sequence[Reading]) -> None:
        """Replace an article's passages, and nothing else of it. Raises ArticleNotFoundError."""
        key, version = self._clear(article_id)
        self._insert(key, article_id, version, readings)

    def set_encoder(self, name: str) -> None:
        """Say that all vectors are those of another encoder from now on."""
        set_facts(self._db, encoder=name)

    def _clear(self, article_id: str) -> tuple[int, int]:
        """Remove an article's passages; return the key and the number of its current version, which is the highest."""
        rows = self._db.rows("SELECT key, version FROM versions WHERE id = ? AND current", (article_id,))
        if not rows:
            raise ArticleNotFoundError(f"there is no article {article_id!r}; `quoteline articles` lists them")
        key = int(rows[0]["key"])
        self._db.run("INSERT INTO removals SELECT key, ? FROM passages WHERE article = ?", (self.generation, key))
        self._db.run("DELETE FROM passages WHERE article = ?", (key,))
        return key, int(rows[0]["version"])

    def _insert(self, key: int, article_id: str, version: int, readings: Sequence[Reading]) -> None:
        self._db.run_many(
            f"INSERT INTO passages (article, generation, {', '.join(READ)}, seal) VALUES ({places(len(READ) + 3)})",
            [(key, self.generation, *passage_row(article_id, version, reading)) for reading in readings],
        )
