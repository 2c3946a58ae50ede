import datetime as dt
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index import batches
from index.articles import Article, Origin, Span
from index.errors import CorpusDamagedError, CorpusError
from index.queueing import Lease, Queue, worker_name


def article(name: str, text: str = "It was Friday.", **facts: object) -> Article:
    return replace(Article(name, text, Span(0, len(text))), **facts)  # type: ignore[arg-type]


@pytest.fixture
def queue(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setattr(batches, "BATCH_ARTICLES", 2)
    opened = Queue(address)
    yield opened
    opened.close()
    _, _, schema = address.rpartition("schema=")
    with psycopg.connect(address.partition("?")[0], autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {schema}_queue CASCADE")


def put(queue: Queue, *articles: Article) -> None:
    for _ in queue.put(articles):
        pass


def taken(queue: Queue, worker: str = "w") -> Lease:
    lease = queue.take(worker)
    assert lease is not None
    return lease


def named(lease: Lease | None) -> list[str]:
    return [one.id for one in lease.articles] if lease else []


def test_articles_come_back_as_they_were_put_in_batches_and_in_order(queue: Queue) -> None:
    full = article(
        "full",
        "Iran\0 denies 🚀 it.",
        body=Span(2, 9),
        title="Ünï",
        date=dt.date(2024, 2, 29),
        source="s",
        url="https://example.org/a",
        author="A",
        language="en",
        media_type="application/pdf",
        pages=(0, 4),
        origins={"title": Origin("first line", Span(0, 3)), "date": Origin("JSON")},
        path="/x/full.pdf",
        named=False,
        collection="news",
    )
    put(queue, full, article("b"), article("c"))
    first, second = taken(queue), taken(queue)
    assert first.articles == (full, article("b"))
    assert second.articles == (article("c"),)
    assert queue.take("w") is None


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_any_text_comes_back_as_it_was(queue: Queue, text: str) -> None:
    put(queue, article("a", text))
    lease = taken(queue)
    assert lease.articles[0].text == text
    queue.finish(lease)


def test_a_batch_is_one_workers_alone_until_it_is_given_back(queue: Queue) -> None:
    put(queue, article("a"))
    lease = taken(queue, "one")
    assert queue.take("two") is None
    queue.release(lease)
    assert named(queue.take("two")) == ["a"]


def test_many_workers_take_each_batch_once(queue: Queue) -> None:
    put(queue, *(article(f"a{number}") for number in range(60)))

    def work(worker: str) -> list[str]:
        found = []
        while lease := queue.take(worker):
            found += named(lease)
            queue.finish(lease)
        return found

    with ThreadPoolExecutor(4) as pool:
        found = [one for some in pool.map(work, "abcd") for one in some]
    assert sorted(found) == sorted(f"a{number}" for number in range(60))


def test_the_batch_of_a_worker_that_is_silent_is_taken_by_another_and_no_longer_its_own(
    queue: Queue, address: str
) -> None:
    brief = Queue(address, lease=0.2)
    put(queue, article("a"))
    lease = taken(brief, "dead")
    assert brief.is_held([lease])
    time.sleep(0.4)
    other = taken(queue, "alive")
    assert (other.articles, other.deaths) == (lease.articles, 1)
    assert not brief.is_held([lease])
    for is_nothing_to_it in (brief.finish, brief.release, brief.divide):
        is_nothing_to_it(lease)
    assert queue.is_held([other])
    assert queue.state().working.batches == 1
    brief.close()


def test_a_worker_that_renews_its_lease_keeps_its_batch(queue: Queue, address: str) -> None:
    brief = Queue(address, lease=0.6)
    put(queue, article("a"))
    lease = taken(brief, "slow")
    for _ in range(4):
        time.sleep(0.3)
        brief.renew("slow")
        assert queue.take("other") is None
    assert brief.is_held([lease])
    brief.close()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (article("a"), article("a", "It was Monday.")),
        (article("a", path="/x", named=False), article("b", path="/x", named=False)),
        (article("a", url="https://example.org/a"), article("b", url="https://example.org/a", named=False)),
    ],
)
def test_a_later_version_waits_for_the_former(queue: Queue, one: Article, other: Article) -> None:
    put(queue, one)
    put(queue, article("c", "Water."), other)
    put(queue, article("d"))
    first = taken(queue)
    assert named(taken(queue)) == ["d"]
    assert queue.take("w") is None
    queue.finish(first)
    assert named(taken(queue)) == ["c", other.id]


def test_articles_that_have_nothing_but_a_file_name_or_a_site_in_common_do_not_wait(queue: Queue) -> None:
    for path in ("/a/index.txt", "/b/index.txt"):
        put(queue, article("index", path=path, url="https://example.org/", named=False))
    assert [named(taken(queue)), named(taken(queue))] == [["index"], ["index"]]


def test_what_a_batch_is_divided_into_takes_its_place(queue: Queue) -> None:
    put(queue, article("a"), article("b"))
    put(queue, article("a", "It was Monday."))
    queue.divide(taken(queue))
    one, other = taken(queue), taken(queue)
    assert [named(one), named(other)] == [["a"], ["b"]]
    assert queue.take("w") is None
    queue.finish(one)
    assert taken(queue).articles[0].text == "It was Monday."


def test_what_failed_is_kept_with_its_reason_and_can_be_tried_again(queue: Queue) -> None:
    put(queue, article("a"), article("b"))
    lease = taken(queue)
    queue.fail(lease, lease.articles[0], "too much")
    queue.finish(lease, ["b holds no sentence"])
    [failure] = queue.failures(9)
    assert (failure.article_id, failure.reason) == ("a", "too much")
    assert queue.refusals(9) == ["b holds no sentence"]
    assert queue.take("w") is None
    assert queue.retry() == 1
    assert named(taken(queue)) == ["a"]
    assert queue.failures(9) == []


@pytest.mark.parametrize("put_before", [True, False])
def test_what_failed_does_not_come_back_over_a_later_version(queue: Queue, put_before: bool) -> None:
    put(queue, article("a"))
    lease = taken(queue)
    later: Sequence[Article] = [article("a", "It was Monday.")]
    if put_before:
        put(queue, *later)
    queue.fail(lease, lease.articles[0], "too much")
    queue.finish(lease)
    if not put_before:
        put(queue, *later)
    assert queue.failures(9) == []
    assert queue.retry() == 0
    assert taken(queue).articles[0].text == "It was Monday."


def test_the_state_counts_what_waits_is_worked_on_done_and_failed(queue: Queue) -> None:
    put(queue, *(article(f"a{number}", "It was so. " * 10) for number in range(8)))
    for _ in range(2):
        queue.finish(taken(queue))
        time.sleep(0.1)
    lease = taken(queue, "one")
    queue.fail(lease, lease.articles[0], "too much")
    state = queue.state()
    assert [share.batches for share in (state.waiting, state.working, state.done, state.failed)] == [1, 1, 2, 1]
    assert [share.articles for share in (state.waiting, state.working, state.done, state.failed)] == [2, 2, 4, 1]
    assert state.workers == ("one",)
    # One batch a tenth of a second, and two are left.
    assert state.seconds_left == pytest.approx(0.2, rel=0.9)
    assert state.waiting.size == 220


def test_what_is_done_holds_no_text_and_is_forgotten_when_something_is_put_into_an_empty_queue(
    queue: Queue, address: str
) -> None:
    put(queue, article("a"))
    queue.finish(taken(queue))
    assert queue.state().done.articles == 1
    with psycopg.connect(address.partition("?")[0]) as connection:
        _, _, schema = address.rpartition("schema=")
        assert connection.execute(f"SELECT content FROM {schema}_queue.batches").fetchall() == [(None,)]  # noqa: S608
    put(queue, article("b"))
    assert queue.state().done.articles == 0


def test_a_damaged_batch_is_told_and_not_added(queue: Queue, address: str) -> None:
    put(queue, article("a"))
    with psycopg.connect(address.partition("?")[0], autocommit=True) as connection:
        _, _, schema = address.rpartition("schema=")
        connection.execute(f"UPDATE {schema}_queue.batches SET content = 'abc'")  # noqa: S608
    with pytest.raises(CorpusDamagedError, match="batch 1 of the queue"):
        queue.take("w")
    assert [(one.article_id, queue.take("w")) for one in queue.failures(9)] == [("batch 1", None)]


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(CorpusError, match="cannot be reached") as told:
        Queue("postgresql://somebody:hush@127.0.0.1:1/none")
    assert "hush" not in str(told.value)


def test_no_two_workers_have_one_name() -> None:
    assert len({worker_name() for _ in range(50)}) == 50
