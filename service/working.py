"""A worker: takes articles out of the queue and adds them to the corpus, beside any number of others."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from index.articles import Article
from index.batches import Outcome
from index.corpus import Corpus
from index.errors import CorpusError, EncoderMismatchError, QuotelineError
from index.queueing import MOST_DEATHS, Lease, Queue

# How long an idle worker waits before it looks again, and one that met trouble before it goes on, in seconds.
IDLE, TROUBLE = 1.0, 5.0


class LeaseLostError(CorpusError):
    """A batch that this worker had is another one's, because this one was silent for too long."""


@dataclass(slots=True, eq=False)
class _Taken:
    """A batch at work: how many of its articles are not yet committed, and why some were refused."""

    lease: Lease
    left: int
    refused: list[str] = field(default_factory=list)


class Worker:
    """Adds what a queue holds to a corpus. Several batches are at work at once, at different steps."""

    def __init__(
        self, corpus: Corpus, queue: Queue, name: str, *, tell: Callable[[str], None], renew_after: float
    ) -> None:
        """name: no other worker's. tell: is told what went wrong. renew_after: a fraction of a lease, in seconds."""
        self._corpus = corpus
        self._queue = queue
        self._name = name
        self._tell = tell
        self._renew_after = renew_after
        self._taken: deque[_Taken] = deque()
        self._suspect: Lease | None = None

    def work(self, *, until_empty: bool = False) -> Iterator[Outcome]:
        """Yield what becomes of each article. Endless, unless `until_empty`: then until nothing is left to anybody.

        What the corpus cannot do now is tried again, for as long as it takes. Raises EncoderMismatchError, and what an
        encoder raises that can encode nothing.
        """
        with self._renewing():
            try:
                while True:
                    worked = False
                    for outcome in self._work_on_all():
                        worked = True
                        yield outcome
                    if worked or self._suspect is not None:
                        continue
                    if until_empty and self._is_empty():
                        return
                    time.sleep(IDLE)
            finally:
                self._release()

    def _is_empty(self) -> bool:
        state = self._queue.state()
        return not state.waiting.batches and not state.working.batches

    def _work_on_all(self) -> Iterator[Outcome]:
        """Add what is in the queue, until there is nothing for this worker, or there is trouble."""
        try:
            with closing(self._corpus.add(self._articles(), confirm=self._confirm)) as outcomes:
                for outcome in outcomes:
                    self._note(outcome)
                    yield outcome
        except EncoderMismatchError:
            raise
        except QuotelineError as error:
            self._pause(error)
        except Exception as error:
            logging.getLogger("quoteline").warning("a batch cannot be added: %r", error)
            yield from self._work_one_by_one(error)

    def _pause(self, error: QuotelineError) -> None:
        """Leave all to others for a while: it is the store's fault, or the engine's, and no article's."""
        self._tell(f"{error}; going on in {TROUBLE:g} s")
        self._release()
        time.sleep(TROUBLE)

    def _articles(self) -> Iterator[Article]:
        """Yield what is in the queue; one batch and no more where workers ended while they had it.

        It may have been the end of them, and would be of what is at work beside it.
        """
        if self._suspect is not None:
            suspect, self._suspect = self._suspect, None
            yield from self._begun(suspect)
            return
        while (taken := self._queue.take(self._name)) is not None:
            if taken.deaths >= MOST_DEATHS:
                self._spare(taken)
            elif taken.deaths:
                self._suspect = taken
                return
            else:
                yield from self._begun(taken)

    def _begun(self, lease: Lease) -> tuple[Article, ...]:
        self._taken.append(_Taken(lease, len(lease.articles)))
        return lease.articles

    def _note(self, outcome: Outcome) -> None:
        first = self._taken[0]
        first.left -= 1
        if outcome.kind in ("refused", "elsewhere"):
            first.refused.append(outcome.reason)
        if not first.left:
            self._queue.finish(first.lease, first.refused)
            self._taken.popleft()

    def _confirm(self) -> None:
        """Raise LeaseLostError where a later version of something may have been added meanwhile."""
        if not self._queue.is_held(one.lease for one in self._taken):
            raise LeaseLostError("this worker was silent for so long that another one has taken over its batch")

    def _spare(self, lease: Lease) -> None:
        """Keep a batch at which several workers died from ending this one, too."""
        if len(lease.articles) > 1:
            self._tell(f"{lease.deaths} workers ended while they added batch {lease.number}; its articles go in singly")
            self._queue.divide(lease)
            return
        [article] = lease.articles
        self._fail(lease, article, f"{lease.deaths} workers ended while they added it; look into their logs")
        self._queue.finish(lease)

    def _work_one_by_one(self, error: Exception) -> Iterator[Outcome]:
        """Add what is at work article by article, so that one that cannot be added costs no other.

        Raises `error` where nothing of a batch of several can be added: then it is not the articles' fault.
        """
        while self._taken:
            lease = self._taken[0].lease
            failed: list[tuple[Article, str]] = []
            refused: list[str] = []
            for article in lease.articles:
                try:
                    outcomes = list(self._corpus.add([article], confirm=self._confirm))
                except EncoderMismatchError:
                    raise
                except QuotelineError as trouble:
                    self._pause(trouble)
                    return
                except Exception as fault:
                    failed.append((article, f"{type(fault).__name__}: {fault}"))
                    continue
                refused += [one.reason for one in outcomes if one.kind in ("refused", "elsewhere")]
                yield from outcomes
            if len(failed) == len(lease.articles) > 1:
                raise error
            for article, reason in failed:
                self._fail(lease, article, reason)
            self._queue.finish(lease, refused)
            self._taken.popleft()

    def _fail(self, lease: Lease, article: Article, reason: str) -> None:
        self._queue.fail(lease, article, reason)
        self._tell(f"failed: {article.id} cannot be added ({reason}); `quoteline queue --retry` tries it again")

    def _release(self) -> None:
        """Give back what is at work, for others or for later; where that cannot be said, the leases run out."""
        leases = [one.lease for one in self._taken] + ([self._suspect] if self._suspect is not None else [])
        self._taken.clear()
        self._suspect = None
        for lease in leases:
            try:
                self._queue.release(lease)
            except CorpusError as error:
                logging.getLogger("quoteline").warning("batch %d cannot be given back: %s", lease.number, error)

    @contextmanager
    def _renewing(self) -> Iterator[None]:
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(self._renew_after):
                try:
                    self._queue.renew(self._name)
                except CorpusError as error:
                    logging.getLogger("quoteline").warning("the queue cannot be reached: %s", error)

        thread = threading.Thread(target=renew, name="leases", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
