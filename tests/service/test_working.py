import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from index import batches
from index.articles import Article, Span
from index.corpus import Corpus
from index.encoding import Context, Encoded
from index.errors import CorpusBusyError, InputError
from index.queueing import Queue
from index.testing import HashingEncoder
from service import cli, working
from service.working import Worker

CHECKOUT = Path(__file__).parents[2]


def article(name: str, text: str = "") -> Article:
    text = text or f"Number {name} it is."
    return Article(name, text, Span(0, len(text)))


class Fragile(HashingEncoder):
    """Fails on some words."""

    def __init__(self, *words: str) -> None:
        super().__init__(dim=32)
        self.words = list(words)

    def encode_passages(self, passages: Sequence[Context]) -> list[Encoded]:
        for passage in passages:
            if any(word in passage.text for word in self.words):
                raise RuntimeError("cannot be read")
        return super().encode_passages(passages)


@pytest.fixture
def queue(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setattr(batches, "BATCH_ARTICLES", 2)
    monkeypatch.setattr(working, "IDLE", 0.05)
    monkeypatch.setattr(working, "TROUBLE", 0.05)
    with closing(Queue(address, lease=1)) as opened:
        yield opened
    _, _, schema = address.rpartition("schema=")
    with psycopg.connect(address.partition("?")[0], autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {schema}_queue CASCADE")


@pytest.fixture
def encoder() -> Fragile:
    return Fragile("poison")


@pytest.fixture
def corpus(tmp_path: Path, encoder: Fragile) -> Iterator[Corpus]:
    with closing(Corpus(tmp_path / "corpus", encoder)) as opened:
        yield opened


def put(queue: Queue, *articles: Article) -> None:
    for _ in queue.put(articles):
        pass


def work(corpus: Corpus, queue: Queue, said: list[str] | None = None) -> list[tuple[str, str]]:
    tell = (said if said is not None else []).append
    worker = Worker(corpus, queue, "w", tell=tell, renew_after=0.2)
    return [(outcome.kind, outcome.article_id) for outcome in worker.work(until_empty=True)]


def is_empty(queue: Queue) -> bool:
    state = queue.state()
    return not state.waiting.batches and not state.working.batches


def test_a_worker_adds_all_that_waits_in_order(corpus: Corpus, queue: Queue) -> None:
    put(queue, *(article(f"a{number}") for number in range(7)), article("none", "—"), article("a1", "It is new."))
    found = work(corpus, queue)
    assert found == [*(("added", f"a{number}") for number in range(7)), ("refused", "none"), ("replaced", "a1")]
    assert corpus.store.record("a1").article.text == "It is new."
    assert is_empty(queue)
    assert queue.refusals(9) == ["none holds no sentence"]
    assert corpus.check() == []


def test_what_was_enqueued_twice_is_added_once(corpus: Corpus, queue: Queue) -> None:
    for _ in range(2):
        put(queue, *(article(f"a{number}") for number in range(5)))
    found = work(corpus, queue)
    assert [kind for kind, _ in found] == ["added"] * 5 + ["unchanged"] * 5
    assert corpus.store.counts()[0] == 5


def test_an_article_that_cannot_be_encoded_costs_no_other(corpus: Corpus, queue: Queue, encoder: Fragile) -> None:
    put(queue, article("a"), article("b", "This is poison."), article("c"), article("d"))
    said: list[str] = []
    found = work(corpus, queue, said)
    assert sorted(found) == [("added", "a"), ("added", "c"), ("added", "d")]
    assert [failure.article_id for failure in queue.failures(9)] == ["b"]
    assert "RuntimeError: cannot be read" in queue.failures(9)[0].reason
    [line] = said
    assert line.startswith("failed: b cannot be added (RuntimeError: cannot be read); ")
    encoder.words.clear()
    queue.retry()
    assert work(corpus, queue) == [("added", "b")]


def test_an_encoder_that_can_encode_nothing_ends_the_worker_and_fails_no_article(
    corpus: Corpus, queue: Queue, encoder: Fragile
) -> None:
    encoder.words.append("it is")
    put(queue, *(article(f"a{number}") for number in range(6)))
    with pytest.raises(RuntimeError, match="cannot be read"):
        work(corpus, queue)
    assert queue.failures(9) == []
    assert queue.state().waiting.articles == 6


def test_trouble_of_the_store_is_told_and_waited_out(
    corpus: Corpus, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(queue, *(article(f"a{number}") for number in range(6)))
    commit, left = corpus._commit, [2]

    def failing(*arguments: object) -> object:
        left[0] -= 1
        if left[0] == 0:
            raise CorpusBusyError("the server is away")
        return commit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(corpus, "_commit", failing)
    said: list[str] = []
    assert {name for _, name in work(corpus, queue, said)} == {f"a{number}" for number in range(6)}
    assert said == ["the server is away; going on in 0.05 s"]
    assert corpus.store.counts()[0] == 6
    assert queue.failures(9) == []


def test_a_worker_that_was_overtaken_does_not_commit(corpus: Corpus, queue: Queue) -> None:
    put(queue, article("a"))
    outcomes = Worker(corpus, queue, "slow", tell=lambda _: None, renew_after=0.2)
    lease = queue.take("other")
    assert lease is not None
    outcomes._taken.append(working._Taken(lease, 1))
    queue.release(lease)
    assert queue.take("third") is not None
    with pytest.raises(working.LeaseLostError):
        list(corpus.add(lease.articles, confirm=outcomes._confirm))
    assert corpus.store.counts()[0] == 0


DYING = """
import os, sys
from pathlib import Path
from index import batches
from index.corpus import Corpus
from index.queueing import Queue
from index.testing import HashingEncoder
from service.working import Worker
batches.BATCH_ARTICLES = 2
class Deadly(HashingEncoder):
    def encode_passages(self, passages):
        if any("deadly" in passage.text for passage in passages):
            os._exit(9)
        return super().encode_passages(passages)
corpus = Corpus(Path(sys.argv[1]), Deadly(dim=32))
worker = Worker(corpus, Queue(sys.argv[2], lease=1), f"w{os.getpid()}", tell=print, renew_after=0.2)
for outcome in worker.work(until_empty=True):
    print(outcome.article_id)
"""


def test_an_article_that_ends_its_workers_is_given_up_and_all_others_go_in(
    tmp_path: Path, queue: Queue, address: str
) -> None:
    put(queue, article("a0"), article("a1"), article("b", "This is deadly."), article("c"))
    for _ in range(9):
        done = subprocess.run([sys.executable, "-c", DYING, str(tmp_path), address], cwd=CHECKOUT, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == 9
    assert done.returncode == 0
    with closing(Corpus(tmp_path, HashingEncoder(dim=32))) as corpus:
        versions = {summary.id: summary.version for summary in corpus.store.summaries()}
        assert versions == {"a0": 1, "a1": 1, "c": 1}
        assert corpus.check() == []
    [failure] = queue.failures(9)
    assert failure.article_id == "b"
    assert "workers ended while they added it" in failure.reason


# The command line


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, queue: Queue, address: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line, on an embedded corpus of its own and the queue."""
    monkeypatch.setattr(cli, "load_encoder", lambda *_, **__: HashingEncoder(dim=32))
    monkeypatch.setenv("QUOTELINE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("QUOTELINE_QUEUE", address)

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(cli.commands, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def records(tmp_path: Path) -> Path:
    lines = [json.dumps({"_id": f"a{number}", "text": f"Number {number} it is."}) for number in range(5)]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, "{"]) + "\n", encoding="utf-8")
    return tmp_path / "a.jsonl"


def test_files_are_enqueued_then_worked_on_without_the_files(run: Run, records: Path) -> None:
    enqueued = run("enqueue", "--collection", "news", records)
    assert enqueued.exit_code == 1
    assert "5 articles in 3 batches wait for `quoteline work`; failed 1" in enqueued.output
    assert "a.jsonl, line 6" in enqueued.output
    records.unlink()
    assert "waiting  5 articles, 3 batches" in run("queue").output
    worked = run("work", "--until-empty")
    assert worked.exit_code == 0
    assert "added 5, replaced 0, already there 0, failed 0" in worked.output
    assert run("articles", "--collection", "news").output.count("\n") == 5
    assert "done     5 articles, 3 batches" in run("queue", "--follow").output


def test_what_failed_is_listed_and_tried_again(run: Run, queue: Queue) -> None:
    put(queue, article("a"))
    lease = queue.take("w")
    assert lease is not None
    queue.fail(lease, lease.articles[0], "too much")
    queue.finish(lease)
    assert "failed: a: too much" in run("queue").output
    assert "tried again: 1 article" in run("queue", "--retry").output
    assert "added 1" in run("work", "--until-empty").output


def test_without_a_place_for_a_queue_it_is_said_how_to_name_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUOTELINE_QUEUE")
    refused = run("queue")
    assert isinstance(refused.exception, InputError)
    assert "QUOTELINE_QUEUE" in str(refused.exception)


def test_the_queue_stands_beside_the_store_of_the_corpus_that_is_shared(
    run: Run, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUOTELINE_QUEUE")
    monkeypatch.setenv("QUOTELINE_INDEX", f"milvus://localhost/quoteline?store={address}")
    assert "waiting  0 articles, 0 batches" in run("queue").output
