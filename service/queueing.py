"""The queue as the command line has it: articles put into it, and how far the workers are, in words."""

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from index.address import Address
from index.errors import InputError
from service.paths import Source
from service.progress import Progress
from service.settings import Settings
from service.tally import Tally, counted

if TYPE_CHECKING:
    from index.queueing import Queue, Share, State

# Of so many failures and refusals it is said what they are.
MOST_TOLD = 20
# Between two looks at the queue, in seconds.
LOOK = 2.0


@contextmanager
def open_queue(settings: Settings) -> Iterator["Queue"]:
    """Give the queue that the settings name, or else the one beside the store of the corpus that several share.

    Raises InputError where neither is given, CorpusError where it cannot be reached.
    """
    address = settings.queue or (Address.parse(settings.index).store if settings.index else None)
    if not address:
        raise InputError(
            "there is no place for a queue: set QUOTELINE_QUEUE to postgresql://USER:PASSWORD@HOST/DATABASE, or "
            "QUOTELINE_INDEX to an address with such a store"
        )
    try:
        from index.queueing import Queue
    except ImportError as error:
        raise InputError("the queue needs the package psycopg; `pip install 'quoteline[cluster]'`") from error
    opened = Queue(address)
    try:
        yield opened
    finally:
        opened.close()


def enqueue(queue: "Queue", paths: Sequence[Path], collection: str | None) -> int:
    """Put the articles in `paths` into the queue; return how many files or records could not be read."""
    tally = Tally()
    source = Source(paths, collection, tally.fail)
    articles = batches = 0
    with Progress("enqueuing", source.size) as progress:
        tally.tell = progress.say
        for batch in queue.put(source.articles()):
            articles += len(batch)
            batches += 1
            done = [source.settle() for _ in batch]
            progress.reach(done[-1], counted(articles, "article"))
    said = f"{counted(articles, 'article')} in {batches:,} batches wait for `quoteline work`; failed {tally.failed}"
    tally.tell(said)
    return tally.failed


def described(queue: "Queue") -> Iterator[str]:
    """Yield lines that say what is in the queue, how long it will take, and what failed."""
    state = queue.state()
    yield f"waiting  {_said(state.waiting)}"
    yield f"working  {_said(state.working)}{': ' if state.workers else ''}{', '.join(state.workers)}"
    yield f"done     {_said(state.done)}"
    yield f"refused  {counted(state.refused, 'article')}"
    yield f"failed   {counted(state.failed.articles, 'article')}"
    if left := time_left(state):
        yield left
    for reason in queue.refusals(MOST_TOLD):
        yield f"refused: {reason}"
    for failure in queue.failures(MOST_TOLD):
        yield f"failed: {failure.article_id}: {failure.reason}"
    if state.failed.articles > MOST_TOLD:
        yield f"… and {counted(state.failed.articles - MOST_TOLD, 'more article')} that failed"


def follow(queue: "Queue") -> None:
    """Tell how far the workers are, until nothing is left to them."""
    state = queue.state()
    total = sum(share.size for share in (state.waiting, state.working, state.done))
    with Progress("working", total) as progress:
        while state.waiting.batches or state.working.batches:
            progress.reach(state.done.size, f"{counted(len(state.workers), 'worker')}, {state.failed.articles} failed")
            time.sleep(LOOK)
            state = queue.state()


def time_left(state: "State") -> str:
    """Return how long it will take, in words; nothing where that cannot be told."""
    if state.seconds_left is None or not state.waiting.batches + state.working.batches:
        return ""
    return f"about {dt.timedelta(seconds=round(state.seconds_left))} left at the pace of the last minutes"


def _said(share: "Share") -> str:
    return f"{counted(share.articles, 'article')}, {share.batches:,} batch{'' if share.batches == 1 else 'es'}"
