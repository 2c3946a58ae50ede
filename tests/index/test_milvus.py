import datetime as dt
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import milvus as milvus_module
from index import milvus_rows, milvus_server
from index.address import Address
from index.articles import Article, Span
from index.corpus import Corpus
from index.errors import CorpusBusyError, CorpusDamagedError, CorpusError
from index.lexical import analyze
from index.milvus import Milvus
from index.milvus_rows import Frequencies, Row, digest, expression, question, written
from index.milvus_server import Server
from index.passages import term_hashes
from index.retrieval import Retriever
from index.store import Filters
from tests.index.milvus_server import DIM, LiteServer, lite_server, open_corpus

Opener = Callable[..., Corpus]
SECRET = "s3cret-p@ss/xyzzy"  # noqa: S105 - of a server that is not there


@pytest.fixture(scope="module")
def server() -> Iterator[LiteServer]:
    with lite_server() as opened:
        yield opened


@pytest.fixture
def address(server: LiteServer) -> Address:
    return server.address()


@pytest.fixture
def opened(address: Address, tmp_path: Path) -> Iterator[Opener]:
    """Open the corpus once more, as another process would; or another one, in another folder."""
    with ExitStack() as stack:

        def open_one(folder: str = "corpus", *, rebuild: bool = False) -> Corpus:
            corpus = open_corpus(tmp_path / folder, address, rebuild=rebuild)
            stack.callback(corpus.close)
            return corpus

        yield open_one


@pytest.fixture
def connection(address: Address) -> Iterator[Server]:
    with closing(Server(address)) as made:
        yield made


def article(name: str, text: str, **facts: object) -> Article:
    return replace(Article(name, text, Span(0, len(text))), **facts)  # type: ignore[arg-type]


def towns(numbers: Sequence[int]) -> list[Article]:
    return [article(f"a{number:03}", f"The mayor of town {number} denied the report.") for number in numbers]


def add(corpus: Corpus, articles: Sequence[Article]) -> None:
    assert {outcome.kind for outcome in corpus.add(articles)} <= {"added", "replaced"}


def found(corpus: Corpus, asked: str, filters: Filters | None = None) -> list[str]:
    candidates = Retriever(corpus).retrieve(asked, top_k=100, filters=filters).candidates
    return [one.sentence.article_id for one in candidates]


def engine_of(corpus: Corpus) -> Milvus:
    engine = corpus._engine
    assert isinstance(engine, Milvus)
    return engine


def until(corpus: Corpus, generation: int, seconds: float = 30) -> None:
    """Refresh as the service does until the corpus is searched as of this generation."""
    deadline = time.monotonic() + seconds
    while not engine_of(corpus).ready() or corpus.snapshot.generation < generation:
        assert time.monotonic() < deadline, "it does not recover by itself"
        try:
            corpus.refresh()
        except CorpusBusyError:
            time.sleep(0.1)


# Addresses


def test_an_address_says_where_all_is() -> None:
    text = (
        "milvus+tls://bob:p%40ss%2Fword@vectors.example:1234/news?lexical=no&ef=300&store=postgresql://u:p@h/d?a=b&c=d"
    )
    assert Address.parse(text) == Address(
        host="vectors.example",
        port=1234,
        name="news",
        user="bob",
        password="p@ss/word",  # noqa: S106 - of a server that is not there
        tls=True,
        store="postgresql://u:p@h/d?a=b&c=d",
        lexical=False,
        ef=300,
    )
    assert Address.parse("milvus://h") == Address("h")
    assert str(Address.parse("milvus://h")) == "milvus://h:19530/quoteline"
    assert str(Address.parse("milvus://[::1]:5/x?store=s")) == "milvus://[::1]:5/x"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"http://u:{SECRET}@h", "does not begin"),
        (f"milvus://u:{SECRET}@", "%2F"),
        (f"milvus://u:{SECRET}@h:99999", "%2F"),
        ("milvus://u:s3cret-p%40ss%2Fxyzzy@", "no host"),
        ("milvus://u:s3cret-p%40ss%2Fxyzzy@h:99999", "port"),
        ("milvus://h/two/parts", "no name"),
        ("milvus://h/näme", "no name"),
        ("milvus://h?lexical=maybe", "lexical"),
        ("milvus://h?ef=1", "ef"),
        ("milvus://h?depth=1", "option"),
        (f"milvus://u:p@h:x?store=postgresql://u:{SECRET}@h", "port"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused_and_its_password_is_not_repeated(text: str, what: str) -> None:
    with pytest.raises(CorpusError, match=re.escape(what)) as refused:
        Address.parse(text)
    told = refused.value
    while told is not None:
        assert SECRET not in f"{told!r}"
        assert "xyzzy" not in f"{told!r}"
        assert "s3cret" not in f"{told!r}"
        told = None if told.__suppress_context__ else told.__context__  # type: ignore[assignment]
    assert "milvus://host" in str(refused.value)


def test_no_password_is_in_what_an_address_shows() -> None:
    address = Address.parse(f"milvus://bob:s3cret-p%40ss@h/x?store=postgresql://u:{SECRET}@h")
    assert address.password
    for shown in (str(address), repr(address), f"{address}", str(Server(address)._unreachable("x"))):
        assert "s3cret" not in shown


# Rows and expressions


@given(st.lists(st.text(), max_size=5), st.lists(st.text(), max_size=5))
def test_a_name_cannot_break_out_of_an_expression(ids: list[str], sources: list[str]) -> None:
    said = expression(Filters(article_ids=tuple(ids), sources=tuple(sources), date_to=dt.date(2024, 1, 1)))
    member = r'\w+ in \["[0-9a-f]{32}"(, "[0-9a-f]{32}")*\]'
    assert re.fullmatch(rf"({member} and )*day >= 1 and day <= \d+", said)


def test_no_filters_are_no_expression() -> None:
    assert expression(Filters()) == ""


@given(st.text(), st.text())
def test_names_have_the_same_digest_only_if_they_are_the_same(one: str, other: str) -> None:
    assert (digest(one) == digest(other)) == (one == other)


def test_a_very_long_passage_ends_at_a_term() -> None:
    text = written(np.arange(10_000, dtype=np.uint32))
    assert len(text) <= 65_535
    assert re.fullmatch(r"([0-9a-f]{8} )*[0-9a-f]{8}", text)


@given(st.text())
def test_a_question_is_written_as_passages_are(text: str) -> None:
    terms = analyze(text)
    assert set(question(terms).split()) == set(written(term_hashes(terms)).split())


def test_frequencies_are_those_of_the_sample_at_the_size_of_the_whole() -> None:
    sample = [term_hashes(terms) for terms in (["a", "b", "a"], ["b"], ["c"], [])]
    counted = Frequencies.of(400, sample)
    assert counted(["a", "b", "c", "d"]) == [100, 200, 100, 0]
    assert Frequencies.of(0, [])(["a"]) == [0]
    assert counted.fits(400)
    assert not counted.fits(401)
    assert Frequencies.of(10_000, sample).fits(10_999)
    assert not Frequencies.of(10_000, sample).fits(11_001)


# Whose collection it is


def test_a_name_that_another_corpus_has_is_refused_until_a_rebuild(opened: Opener) -> None:
    add(opened("one"), towns([1]))
    with pytest.raises(CorpusError, match="another corpus"):
        opened("two")
    two = opened("two", rebuild=True)
    add(two, towns([2]))
    assert found(two, "mayor") == ["a002"]


def test_a_collection_that_is_not_ours_is_left_alone(opened: Opener, address: Address, connection: Server) -> None:
    with connection._speaking("nothing") as client:
        client.create_collection(address.name, dimension=4)
    with pytest.raises(CorpusError, match="not Quoteline's"):
        opened()
    with connection._speaking("nothing") as client:
        assert client.has_collection(address.name)
        client.drop_collection(address.name)


def test_a_store_that_lost_changes_is_told_of(opened: Opener, tmp_path: Path) -> None:
    corpus = opened()
    add(corpus, towns([1]))
    corpus.close()
    older = (tmp_path / "corpus" / "quoteline.db").read_bytes()
    again = opened()
    add(again, towns([2]))
    again.close()
    (tmp_path / "corpus" / "quoteline.db").write_bytes(older)
    with pytest.raises(CorpusDamagedError, match="lost changes"):
        opened()
    assert found(opened(rebuild=True), "mayor") == ["a001"]


def test_several_that_start_at_once_make_one_collection(opened: Opener, connection: Server) -> None:
    corpora: list[Corpus] = []
    threads = [threading.Thread(target=lambda: corpora.append(opened())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(corpora) == 4
    assert len(connection.collections()) == 1


# Filling


def test_a_fill_that_breaks_is_gone_on_with(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, connection: Server, address: Address
) -> None:
    corpus = opened()
    add(corpus, towns(range(40)))
    corpus.close()
    drop_all(connection)
    monkeypatch.setattr(milvus_rows, "BLOCK", 5)
    monkeypatch.setattr(milvus_module, "STEP", 10)
    sent: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(Server, "put", breaking_after(25, sent))
        with pytest.raises(CorpusBusyError):
            opened()
    assert len(connection.collections()) == 1
    assert not connection.is_there()
    sent.clear()
    with monkeypatch.context() as patched:
        patched.setattr(Server, "put", breaking_after(10**9, sent))
        again = opened()
    # The last block written down was the one of the twentieth.
    assert min(sent) > 10
    assert again.check() == []
    assert len(connection.collections()) == 1


def test_a_catch_up_that_breaks_shows_the_former_state_and_is_gone_on_with(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = opened()
    add(corpus, towns(range(4)))
    monkeypatch.setattr(milvus_rows, "BLOCK", 5)
    with monkeypatch.context() as patched:
        patched.setattr(Server, "put", breaking_after(10, []))
        # It is committed and acknowledged all the same.
        add(corpus, towns(range(4, 40)))
        corpus.remove(["a001"])
    assert corpus.snapshot.generation == 1
    corpus.refresh()
    assert corpus.snapshot.generation == 3
    assert corpus.check() == []
    assert sorted(set(found(corpus, "mayor"))) == [f"a{n:03}" for n in range(40) if n != 1]


def test_a_rebuild_leaves_no_gap(opened: Opener, connection: Server) -> None:
    corpus = opened()
    add(corpus, towns(range(20)))
    before = connection.collections()
    corpus.remove(["a000"])
    answers: list[int] = []
    ended = threading.Event()
    failures: list[Exception] = []

    def ask() -> None:
        while not ended.is_set():
            try:
                answers.append(len(found(corpus, "Which mayor denied it?")))
            except Exception as error:
                failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(3):
            engine_of(corpus).write_anew()
    finally:
        ended.set()
        asking.join()
    assert failures == []
    assert set(answers) == {19}
    assert connection.collections() != before
    assert len(connection.collections()) == 1


def test_a_question_that_meets_the_moment_of_the_swap_is_asked_again(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException

    corpus = opened()
    add(corpus, towns(range(5)))
    real, missing = MilvusClient.search, 1

    def search(self: MilvusClient, *given: object, **named: object) -> object:
        nonlocal missing
        missing -= 1
        if missing >= 0:
            raise MilvusException(100, "collection not found[collection=t_0123]")
        return real(self, *given, **named)

    monkeypatch.setattr(MilvusClient, "search", search)
    assert len(found(corpus, "mayor")) == 5
    missing = 10
    with pytest.raises(CorpusBusyError, match="does not hold"):
        found(corpus, "mayor")


def test_a_large_collection_is_compacted_by_the_server_and_not_filled_again(
    opened: Opener, connection: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = opened()
    add(corpus, towns(range(5)))
    before = connection.collections()
    monkeypatch.setattr(milvus_module, "REFILLED", 3)
    corpus.remove(["a000"])
    assert corpus.compact()
    assert connection.collections() == before
    corpus.remove(["a001"])
    assert corpus.compact()
    assert connection.collections() != before
    assert corpus.check() == []


def test_a_check_finds_what_is_missing_foreign_or_altered(opened: Opener, connection: Server) -> None:
    corpus = opened()
    add(corpus, towns(range(10)))
    [name] = connection.collections()
    [key] = corpus.store.passages_of(Filters(article_ids=("a003",)))
    connection.remove(name, [int(key)])
    connection.put(name, [row(10**6)])
    assert any("lacks 1 passages of the store and has 1 others" in finding for finding in corpus.check())
    connection.put(name, [row(int(key))])
    connection.remove(name, [10**6])
    [finding] = corpus.check()
    assert "other vectors of 1 passages" in finding


def test_what_is_gone_from_the_store_is_not_found_though_the_server_still_has_it(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = opened()
    add(corpus, towns(range(3)))
    with monkeypatch.context() as patched:
        patched.setattr(Server, "remove", breaking_after(0, []))
        corpus.remove(["a001"])
    assert corpus.snapshot.generation == 1
    assert sorted(found(corpus, "mayor")) == ["a000", "a002"]


# What servers can do


def test_a_client_that_is_not_installed_is_told_of(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus_server, "find_spec", lambda _: None)
    with pytest.raises(CorpusError, match=r"quoteline\[cluster\]"):
        Server(address)


def test_nothing_is_imported_before_a_server_is_needed() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, index.milvus; print({'pymilvus', 'grpc', 'pandas'} & set(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "set()"


def test_a_server_without_bm25_is_refused_unless_that_is_not_wanted(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pymilvus import MilvusClient

    monkeypatch.setattr(MilvusClient, "get_server_version", lambda *_, **__: "v2.3.5-lite")
    with pytest.raises(CorpusError, match=r"has version v2\.3\.5-lite, which has no BM25.*lexical=no"):
        _ = Server(address).bm25
    with closing(Server(replace(address, lexical=False))) as dense:
        assert not dense.bm25


def test_by_vectors_only_there_is_no_bm25(address: Address, tmp_path: Path) -> None:
    with closing(open_corpus(tmp_path, replace(address, lexical=False))) as corpus:
        add(corpus, towns(range(5)))
        vectors = corpus.encoder.encode_questions(["town 3"])
        result = corpus.snapshot.search(lambda: vectors, ["town", "3"], 5, Filters())
        assert len(result.dense) == 5
        assert result.lexical == []
        assert found(corpus, "the mayor of town 3")[0] == "a003"
    # Who wants terms, too, makes another collection; who does not want them is content with that one.
    for lexical in (True, False, True):
        with closing(open_corpus(tmp_path, replace(address, lexical=lexical))) as corpus:
            result = corpus.snapshot.search(lambda: vectors, ["town", "3"], 5, Filters())
            assert bool(result.lexical) == lexical
            add(corpus, towns([corpus.store.generation + 10]))
            assert corpus.check() == []


# Down, slow, restarting, emptied


def test_a_server_that_is_not_there_is_told_of_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(CorpusBusyError, match="cannot be reached"):
        open_corpus(tmp_path, Address("127.0.0.1", 1, "x"))
    assert time.monotonic() - began < 5


def test_a_server_that_dies_loses_nothing_and_comes_back_by_itself(
    opened: Opener, server: LiteServer, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = opened(), opened()
    add(one, towns(range(5)))
    other.refresh()
    server.kill()
    try:
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(CorpusBusyError, match="cannot be reached"):
                found(one, "mayor")
            assert time.monotonic() - began < 4
        assert not engine_of(one).ready()
        # What is committed is acknowledged.
        add(one, towns([7]))
        assert one.store.record("a007").article.text
        # A replica notices even if nobody asks it anything.
        time.sleep(milvus_module.LOOKS)
        assert not engine_of(other).ready()
    finally:
        server.start()
    for corpus in (one, other):
        until(corpus, 2)
        assert "a007" in found(corpus, "mayor")
        assert corpus.check() == []
    assert not [record for record in caplog.records if record.name.startswith("pymilvus")]
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert all("cannot be reached" in message for message in told)


def test_a_server_that_was_emptied_is_filled_again(opened: Opener, connection: Server) -> None:
    one, other = opened(), opened()
    add(one, towns(range(5)))
    other.refresh()
    drop_all(connection)
    with pytest.raises(CorpusBusyError, match="does not hold"):
        found(one, "mayor")
    for corpus in (one, other):
        until(corpus, 1)
        assert len(found(corpus, "mayor")) == 5
    assert one.check() == []
    assert len(connection.collections()) == 1


def test_a_server_that_does_not_answer_costs_no_more_than_the_limit(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, server: LiteServer
) -> None:
    corpus = opened()
    add(corpus, towns(range(3)))
    monkeypatch.setattr("index.milvus_server.ASKING", 0.5)
    server.freeze()
    try:
        began = time.monotonic()
        with pytest.raises(CorpusBusyError, match="cannot be reached"):
            found(corpus, "mayor")
        assert time.monotonic() - began < 3
    finally:
        server.thaw()
    until(corpus, 1)
    assert len(found(corpus, "mayor")) == 3


def test_a_wrong_state_is_damage() -> None:
    with pytest.raises(CorpusDamagedError):
        milvus_module.Held.read(json.dumps({"collection": "x"}))


def breaking_after(rows: int, sent: list[int]) -> Callable[..., int]:
    """Return what stands in for `Server.put` or `Server.remove` and fails when so many rows were sent."""
    real = Server.put
    left = rows

    def put(self: Server, collection: str, sending: Sequence[Row]) -> int:
        nonlocal left
        left -= len(sending)
        if left < 0:
            raise CorpusBusyError("the server is gone")
        sent.extend(one["key"] for one in sending if one["key"])
        return real(self, collection, sending)

    return put


def drop_all(connection: Server) -> None:
    with connection._speaking("nothing") as client:
        client.drop_alias(connection.address.name)
    for name in connection.collections():
        connection.drop(name)


def row(key: int) -> Row:
    vector = np.ones(DIM, dtype=np.float32) / np.float32(np.sqrt(DIM))
    return Row(key=key, vector=vector, text="00000000", article="", source="", collection="", day=0, added=0)
