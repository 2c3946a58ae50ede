"""An embedded corpus moved over to where several machines share one; it stays as it is."""

from collections.abc import Callable, Iterator
from pathlib import Path

from index.encoding import Encoder
from index.errors import CorpusError
from index.store import Copied, Store, copy_store, open_store
from index.store.rows import Summary


def copy_articles(folder: Path, address: str, encoder: Encoder, progress: Callable[[int, int], None]) -> Copied:
    """Copy what the store in `folder` holds to the one at `address`, verified; begun again, it goes on.

    progress: is told how much is done, of how much.
    Raises CorpusError: where there is no corpus in `folder`, where another one is at `address`, and as `copy_store`.
    """
    database = folder / "quoteline.db"
    if not database.is_file():
        raise CorpusError(f"there is no corpus in {folder}; QUOTELINE_DATA says where one is")
    source = open_store(database, encoder=encoder.name, dim=encoder.dim)
    try:
        source.check_encoder()
        target = open_store(address, encoder=encoder.name, dim=encoder.dim)
        try:
            if holds_the_same(source, target):
                articles, _, passages = target.counts()
                return Copied(articles, articles, passages, there_before=articles)
            return copy_store(source, target, progress)
        finally:
            target.close()
    finally:
        source.close()


def holds_the_same(source: Store, target: Store) -> bool:
    """Whether a former run copied all: what is there are the same versions, added at the same moments."""
    if not target.generation or source.counts() != target.counts():
        return False
    return all(one == other for one, other in zip(_versions(source), _versions(target), strict=False))


def _versions(store: Store) -> Iterator[Summary]:
    """Yield the current versions of all articles, by id."""
    after = ""
    while page := store.summaries(after=after):
        yield from page
        after = page[-1].id
