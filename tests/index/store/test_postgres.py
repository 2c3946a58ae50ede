import datetime as dt
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import chain, product
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.errors import CorpusBusyError, CorpusDamagedError, CorpusError, CorpusVersionError
from index.nearduplicates import THRESHOLD
from index.store import FORMAT, Filters, Restored, Store, change, open_store, postgres
from index.store.postgres import escape, unescape
from tests.index.store.articles import DIM, add, article, put
from tests.index.store.postgresql import PASSWORD, Server, server


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    with closing(opened(address)) as made:
        yield made


@pytest.fixture
def fragile() -> Iterator[Server]:
    """A server of its own, for a test that ends it."""
    with server() as made:
        yield made


def opened(place: str | Path) -> Store:
    return open_store(place, encoder="one", dim=DIM)


def remove(store: Store, article_id: str) -> None:
    with store.change() as one:
        one.remove(article_id)


def in_threads(count: int, work: Callable[[int], None]) -> list[BaseException]:
    """Run the work in so many threads at once; return what they raised."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return failures


# Texts

TEXTS = st.text(
    st.sampled_from("\0\1\2\3\4aA\uffff\U00010000é") | st.characters(exclude_categories=["Cs"]), max_size=12
)


@given(TEXTS)
def test_any_text_is_written_without_nul_and_read_as_it_was(text: str) -> None:
    assert "\0" not in escape(text)
    assert unescape(escape(text)) == text


def test_what_is_written_has_the_order_of_the_texts_and_holds_the_same_pieces() -> None:
    every = ["".join(text) for length in range(4) for text in product("\0\1\2\3\4", repeat=length)]
    assert sorted(every) == sorted(every, key=escape)
    for one in every:
        for other in every:
            assert (escape(other) in escape(one)) == (other in one)


@given(TEXTS, TEXTS)
def test_what_is_written_is_written_letter_by_letter(one: str, other: str) -> None:
    assert escape(one + other) == escape(one) + escape(other)
    assert (escape(one) < escape(other)) == (one < other)


def test_every_text_is_ordered_by_code_point_whatever_the_databases_own_order_is(store: Store) -> None:
    # Which is that of the code points here, as it is on a machine without locales.
    others = store.db.rows(
        "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_collation o ON o.oid = a.attcollation"
        " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND o.collname <> 'C'"
    )
    assert list(others) == []


def test_what_would_not_fit_into_an_index_of_theirs_is_kept_and_found(store: Store) -> None:
    long = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(5000))
    add(store, article("a", url=f"https://example.org/{long}", path=f"/{long}", source=long, title=long))
    found = store.known(url=f"https://example.org/{long}")
    assert found == store.known(path=f"/{long}")
    assert found is not None
    assert store.of_url(f"https://example.org/{long}") == ["a"]
    assert store.count(filters=Filters(sources=(long,)), title=long) == 1
    assert store.check() == []


# The same as SQLite

WORDS = ["Iran", "denies", "iran", "ẞtraße", "İstanbul", "100%", "a_b", "\1\2", "eggs\U0001f95a", "it"]
NAMES = st.sampled_from(["a", "b", "B", "é", "\ufb01", "\U00010000"])
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(lambda words: " ".join(words) + ". Two. ")
STEPS = st.lists(
    st.tuples(NAMES, st.none() | SENTENCES, st.sampled_from([None, "Straße", "STRASSE", "İ", "i̇", "x\0y"])), max_size=10
)


def take(store: Store, steps: list[tuple[str, str | None, str | None]]) -> None:
    for name, text, source in steps:
        known = store.known(article_id=name)
        if text is None:
            if known:
                remove(store, name)
            continue
        with store.change() as one:
            if known:
                one.supersede(name)
            version = store.last_version(name) + 1
            put(one, article(name, text * 3, source=source, title=source), (0, 2), (2, 4), version=version)


def told(store: Store) -> list[object]:
    """Return all that a store answers, but for its identity."""
    every = [Filters(), Filters(sources=("straße", "i̇")), Filters(collections=("default",), article_ids=("a", "é"))]
    every += [Filters(as_of=dt.date(2100, 1, 1)), Filters(as_of=dt.date(2001, 1, 1))]
    names = [one.id for one in store.summaries()]
    keys = list(range(1, 40))
    beginnings = {"IRAN": 1.0, "den": 0.5, "100%": 0.25, "a_b": 0.125, "İ": 2.0, "\1": 0.0625}
    with store.frozen():
        return [
            store.generation,
            store.counts(),
            store.collections(),
            [store.versions(name) for name in names],
            [store.record(one.id, one.version) for name in names for one in store.versions(name)],
            [store.summaries(filters=one, title=title) for one in every for title in ("", "ss", "İ", "Y", "\0")],
            [store.passages_of(one).tolist() for one in every],
            [store.admits(one) for one in every],
            [store.superseded(one) for one in every],
            [store.holding(text, one) for text in ("iran", "\2", "ß", "%", "") for one in every],
            [store.holding_most(keys, beginnings, limit) for limit in (1, 3)],
            store.records_at([("a", 1), ("a", None), ("é", 2), ("\U00010000", None)]),
            store.near_duplicates_of(names),
            [store.last_version(name) for name in ("a", "b", "é")],
            [store.deletion(name) for name in ("a", "b", "é")],
            store.removed_since(2),
            list(store.keys_since(0, 0)),
            list(store.texts_since(1)),
            [terms.tolist() for terms in store.sample_terms(3, 1)[1]],
            store.check(),
        ]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_whatever_was_done_both_databases_tell_the_same(
    tmp_path_factory: pytest.TempPathFactory, postgresql: Server, steps: list[tuple[str, str | None, str | None]]
) -> None:
    schema = f"same_{time.monotonic_ns()}"
    with pytest.MonkeyPatch.context() as patched:
        places = (tmp_path_factory.mktemp("same") / "quoteline.db", f"{postgresql.address}?schema={schema}")
        answers = []
        for place in places:
            clock = iter(range(10**9, 2 * 10**9))
            patched.setattr(change, "time", SimpleNamespace(time=lambda clock=clock: float(next(clock))))
            with closing(opened(place)) as one:
                take(one, steps)
                answers.append(told(one))
    postgresql.execute(f"DROP SCHEMA {schema} CASCADE")
    for one, other in zip(*answers, strict=True):
        assert one == other


def test_near_duplicates_are_those_of_sqlite(store: Store, tmp_path: Path) -> None:
    form = "The storm reached the coast on Friday night. It tore the roofs off forty houses. Nobody was hurt. "
    with closing(opened(tmp_path / "quoteline.db")) as other:
        for one in (store, other):
            add(one, *(article(f"w{number:02}", f"{form}It is {number} degrees in the north.") for number in range(40)))
            remove(one, "w07")
        names = [f"w{number:02}" for number in range(40)]
        found = store.near_duplicates_of(names)
        assert found == other.near_duplicates_of(names)
        assert len(found) == 39
        assert min(chain.from_iterable(some.values() for some in found.values())) >= THRESHOLD
        store.find_near_duplicates_again()
        other.find_near_duplicates_again()
        assert store.near_duplicates_of(names) == other.near_duplicates_of(names)


# What is there already


def test_another_programs_schema_is_left_as_it_is(address: str, postgresql: Server) -> None:
    schema = address.rpartition("=")[2]
    postgresql.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.recipes (name text)")
    with pytest.raises(CorpusError, match="database of another program; nothing was changed"):
        opened(address)
    with psycopg.connect(postgresql.address) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
    assert tables == [("recipes",)]


def test_stores_of_two_schemas_do_not_see_or_wait_for_each_other(store: Store, postgresql: Server) -> None:
    with closing(opened(f"{postgresql.address}?schema=second")) as second:
        with store.exclusive(), second.exclusive():
            add(second, article("a"))
        assert (store.counts()[0], second.counts()[0], store.generation) == (0, 1, 0)
        assert second.identity != store.identity
    postgresql.execute("DROP SCHEMA second CASCADE")


def test_a_database_that_cannot_hold_all_texts_is_refused(postgresql: Server) -> None:
    postgresql.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    with pytest.raises(CorpusError, match="encoding UTF8"):
        opened(postgresql.address.replace("/postgres", "/ascii"))
    postgresql.execute("DROP DATABASE ascii")


def test_formats_that_were_never_written_here_are_refused(store: Store, address: str) -> None:
    with store.db.transaction():
        store.db.run("UPDATE facts SET value = '2' WHERE name = 'format'")
    with pytest.raises(CorpusVersionError, match=f"format 2, this Quoteline reads formats up to {FORMAT}"):
        opened(address)


def test_a_title_that_is_not_kept_as_it_is_searched_for_is_found(store: Store) -> None:
    add(store, article("a", title="Straße"))
    with store.db.transaction():
        store.db.run("UPDATE versions SET title_folded = 'x'")
    assert store.check() == [
        "version 1 of article 'a': its title is not kept as it is searched for; `quoteline restore` brings back a "
        "backup"
    ]


def test_tables_that_are_gone_are_damage(store: Store) -> None:
    add(store, article("a"))
    with store.db.transaction():
        store.db.run("DROP TABLE passages")
    with pytest.raises(CorpusDamagedError, match="not as Quoteline made it"):
        store.counts()


# Addresses and passwords


def told_of(error: BaseException) -> str:
    """Return all that a log would say of an error."""
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://tester:p@ge/geheim@127.0.0.1:1/postgres",
        "postgresql://tester:p@geheim@127.0.0.1:1/postgres",
        "postgresql://tester:p#geheim@127.0.0.1:1/postgres",
        "postgresql://tester:geheim?a@127.0.0.1:1/postgres",
        "postgresql://tester:geheim/a@127.0.0.1:1/postgres",
        "postgresql://tester:p%geheim@127.0.0.1:1/postgres",
        "postgresql://tester:geheim@127.0.0.1:word/postgres",
        "postgresql://tester:geheim@127.0.0.1:1/postgres?wrong=word",
        "postgresql://tester:geheim@127.0.0.1:1/postgres?schema=Word%22",
        "postgresql://tester:geheim@[::1/postgres",
        "postgresql://127.0.0.1:1/postgres?password=geheim&wrong=word",
    ],
)
def test_an_address_that_makes_no_sense_is_refused_without_being_told(address: str) -> None:
    with pytest.raises(CorpusError) as caught:
        opened(address)
    # The lines of this program that were run are not what is said.
    said = [line for line in told_of(caught.value).splitlines() if not line.startswith("    ")]
    assert "geheim" not in "".join(said)


def test_a_wrong_password_is_refused_by_name_and_not_told(postgresql: Server) -> None:
    wrong = postgresql.address.replace("s3cret", "s3cr3t")
    with pytest.raises(CorpusError, match=r"refuses the connection; check user, password") as caught:
        opened(wrong)
    assert not isinstance(caught.value, CorpusBusyError)
    said = told_of(caught.value)
    assert "s3cr" not in said
    assert f"127.0.0.1:{postgresql.port}" in str(caught.value)


def test_a_server_that_is_down_is_told_by_name_and_without_a_password(fragile: Server) -> None:
    with closing(opened(fragile.address)) as store:
        fragile.stop()
        for look in (lambda: store.counts(), lambda: add(store, article("a")), lambda: opened(fragile.address)):
            with pytest.raises(CorpusBusyError, match=r"cannot be reached; try again when it is up") as caught:
                look()
            assert f"127.0.0.1:{fragile.port}" in str(caught.value)
            assert PASSWORD not in told_of(caught.value)
            assert "s3cret" not in told_of(caught.value)


def test_a_process_on_sqlite_does_not_import_psycopg(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from index.store import open_store;"
        "open_store(Path(sys.argv[1]), encoder='one', dim=4).close();"
        "sys.exit(any(name.startswith('psycopg') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program, tmp_path / "quoteline.db"], check=False).returncode == 0


# Connections


def test_more_threads_than_connections_are_all_served(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, article("a"))
    together = threading.Barrier(50)

    def look(_: int) -> None:
        together.wait(30)
        with store.frozen():
            assert store.counts()[0] == 1
            assert store.record("a").version == 1

    assert in_threads(50, look) == []
    [row] = store.db.rows("SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'quoteline'")
    assert row["n"] <= postgres.MOST_CONNECTIONS + 1


def test_no_connection_in_time_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "MOST_CONNECTIONS", 1)
    monkeypatch.setattr(postgres, "PATIENCE", 0.05)
    with closing(opened(address)) as store, store.frozen():
        [failure] = in_threads(1, lambda _: store.check_encoder())
    assert isinstance(failure, CorpusBusyError)
    assert "connections" in str(failure)


def test_a_stream_that_is_not_read_to_its_end_gives_its_connection_back(store: Store) -> None:
    add(store, *(article(f"a{number}") for number in range(3)))
    for _ in range(3 * postgres.MOST_CONNECTIONS):
        texts = store.texts_since(0)
        next(texts)
        # Between two of its rows, the store can be changed, and the stream does not see it.
        add(store, article(f"b{_}"))
        texts.close()  # type: ignore[attr-defined]
    assert len(list(store.texts_since(0))) == 3 + 3 * postgres.MOST_CONNECTIONS


def test_what_takes_too_long_is_broken_off(store: Store) -> None:
    with store.frozen():
        store.db.run("SET LOCAL statement_timeout TO 50")
        with pytest.raises(CorpusBusyError, match="took too long to answer"):
            store.db.rows("SELECT pg_sleep(5)")
    assert store.counts()[0] == 0


# What is lost, and what is not


def end_connections(server: Server) -> None:
    server.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'quoteline'"
        " AND pid <> pg_backend_pid()"
    )


def test_a_connection_that_ended_while_nobody_used_it_is_not_noticed(store: Store, postgresql: Server) -> None:
    for _ in range(3):
        add(store, article(f"a{_}"))
        end_connections(postgresql)
        assert store.counts()[0] == _ + 1
        end_connections(postgresql)


def test_a_change_whose_connection_ends_is_undone_and_told(store: Store, postgresql: Server) -> None:
    add(store, article("a"))

    def broken() -> None:
        with store.change() as one:
            put(one, article("b"))
            end_connections(postgresql)
            put(one, article("c"))

    with pytest.raises(CorpusBusyError, match="try again"):
        broken()
    assert (store.counts()[0], store.generation) == (1, 1)
    add(store, article("b"))
    assert (store.counts()[0], store.check()) == (2, [])


def test_who_lost_the_writers_lock_changes_nothing_any_more(store: Store, postgresql: Server, address: str) -> None:
    with closing(opened(address)) as other:

        def lose() -> None:
            with store.exclusive():
                end_connections(postgresql)
                # Somebody else has the lock now.
                with other.exclusive():
                    add(other, article("theirs"))
                    add(store, article("ours"))

        with pytest.raises(CorpusBusyError):
            lose()
        assert [one.id for one in store.summaries()] == ["theirs"]
        with store.exclusive():
            add(store, article("ours"))
    assert store.counts()[0] == 2


def test_a_commit_of_unknown_outcome_is_no_success(store: Store, address: str, postgresql: Server) -> None:
    schema = address.rpartition("=")[2]
    add(store, article("a"))
    # The connection ends in the middle of the commit.
    postgresql.execute(
        f"CREATE FUNCTION {schema}.die() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
        f"CREATE CONSTRAINT TRIGGER die AFTER INSERT ON {schema}.versions DEFERRABLE INITIALLY DEFERRED"
        f" FOR EACH ROW EXECUTE FUNCTION {schema}.die()"
    )
    with pytest.raises(CorpusError, match="whether it was kept is not known"):
        add(store, article("b"))
    assert (store.counts()[0], store.generation) == (1, 1)


def test_a_change_of_which_a_part_failed_is_not_kept_even_if_nobody_cares(store: Store) -> None:
    add(store, article("a"))

    def careless() -> None:
        with store.change() as one:
            put(one, article("b"))
            with suppress(CorpusError):
                store.db.run("INSERT INTO facts VALUES ('format', 'again')")

    with pytest.raises(CorpusError):
        careless()
    assert (store.counts()[0], store.generation) == (1, 1)


WRITER = """
import sys
from contextlib import closing
from index.errors import CorpusError
from index.store import open_store
from tests.index.store.articles import article, put
address, name, count = sys.argv[1:]
with closing(open_store(address, encoder="one", dim=4)) as store:
    print("ready", flush=True)
    for number in range(int(count)):
        while True:
            try:
                # Two that only ever come together.
                with store.exclusive(), store.change() as change:
                    for one in (f"{name}{number}x", f"{name}{number}y"):
                        if store.known(article_id=one) is None:
                            put(change, article(one))
                break
            except CorpusError:
                pass
        print(number, flush=True)
"""


def writer(address: str, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, address, name, str(count)], stdout=subprocess.PIPE, text=True
    )


def rest(process: subprocess.Popen[str]) -> list[str]:
    """Return what a process says until its end, which is to be a good one."""
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return said.split()


def test_two_processes_that_add_at_once_lose_nothing(store: Store, address: str) -> None:
    writers = [writer(address, name, 15) for name in "pq"]
    assert [rest(one) for one in writers] == [["ready", *map(str, range(15))]] * 2
    assert (store.counts()[0], store.generation, store.check()) == (60, 30, [])
    # Who follows by generations sees each passage once, in the order of the changes.
    generations = [record.generation for record in sorted(store.records(), key=lambda one: one.generation)]
    assert generations == sorted([*range(1, 31)] * 2)
    assert list(store.keys_since(0, 0)) == sorted(store.keys_since(0, 0))


def test_the_lock_of_a_process_that_is_killed_is_free_at_once(store: Store, address: str) -> None:
    holder = (
        "import sys, time; from index.store import open_store; store = open_store(sys.argv[1], encoder='one', dim=4)\n"
        "with store.exclusive(), store.change() as change:\n"
        "    change.set_encoder('two'); print('has it', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", holder, address], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "has it\n"
    process.kill()
    process.communicate(timeout=30)
    started = time.monotonic()
    with store.exclusive():
        add(store, article("a"))
    assert time.monotonic() - started < 10
    store.check_encoder()
    assert store.generation == 1


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_ends_under_writers_loses_nothing_that_was_acknowledged(fragile: Server, how: str) -> None:
    address = f"{fragile.address}?schema=kept"
    with closing(opened(address)) as store:
        writers = [writer(address, name, 30) for name in "pq"]
        for one in writers:
            assert one.stdout is not None
            for _ in range(8):
                one.stdout.readline()
        for _ in range(2):
            getattr(fragile, how)()
            fragile.start()
            time.sleep(0.3)
        assert [rest(one)[-1] for one in writers] == ["29", "29"]
        # The store recovers by itself.
        assert (store.counts()[0], store.check()) == (120, [])
        # Two came with each change, or none; a change that was told as failed, and was kept, was not made again.
        generations = [record.generation for record in store.records()]
        assert {generations.count(one) for one in generations} == {2}
        assert len({store.passages_of(Filters(article_ids=(one.id,))).tolist()[0] for one in store.summaries()}) == 120


# Deletions


def test_deleted_rows_go_once_nobody_sees_them(store: Store) -> None:
    add(store, article("a"), article("b"))
    remove(store, "a")
    assert store.erase_traces()
    assert not store.has_traces()
    [row] = store.db.rows("SELECT count(*) AS n FROM pg_stat_user_tables WHERE schemaname = current_schema()")
    assert row["n"] == 8
    # Nothing is left to be vacuumed.
    dead = store.db.rows(
        "SELECT relname, n_dead_tup FROM pg_stat_user_tables WHERE schemaname = current_schema() AND n_dead_tup > 0"
        " AND relname <> 'facts'"
    )
    assert list(dead) == []


# Copies


def test_a_backup_goes_from_one_database_to_the_other_and_back(store: Store, tmp_path: Path) -> None:
    add(store, article("a", "A\0B denies it. Two.", title="İ\0"), article("b"), article("c"))
    with store.change() as one:
        one.supersede("a")
        put(one, article("a", "Iran admits it.", source="Straße"), version=2)
    remove(store, "c")
    made = store.back_up(tmp_path / "copy")
    assert (made.identity, made.generation, made.articles) == (store.identity, 3, 2)
    records = [store.record("a", 1), store.record("a", 2), store.record("b")]
    with closing(opened(tmp_path / "quoteline.db")) as other:
        assert other.restore(tmp_path / "copy") == Restored(articles=2, versions=3, left_out=0)
        assert other.check() == []
        assert [other.record("a", 1), other.record("a", 2), other.record("b")] == records
        assert other.deletion("c") == store.deletion("c")
        other.back_up(tmp_path / "back")
    before = store.passages_of(Filters()).tolist()
    remove(store, "b")
    assert store.restore(tmp_path / "copy") == Restored(articles=1, versions=2, left_out=1)
    assert store.restore(tmp_path / "back", with_deleted=True) == Restored(articles=2, versions=3, left_out=0)
    assert [store.record("a", 1), store.record("a", 2), store.record("b")] == records
    assert set(store.passages_of(Filters()).tolist()).isdisjoint(before)
    assert store.count(filters=Filters(sources=("STRASSE",))) == 1
    assert (store.check(), store.has_traces()) == ([], True)


def test_a_restore_that_breaks_changes_nothing(store: Store, tmp_path: Path, postgresql: Server) -> None:
    add(store, article("a"))
    store.back_up(tmp_path / "copy")
    add(store, article("b"))
    before = [store.generation, store.counts(), [one.id for one in store.summaries()]]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("index.store.schema.find_near_duplicates_again", lambda _: end_connections(postgresql))
        with pytest.raises(CorpusError):
            store.restore(tmp_path / "copy")
    assert [store.generation, store.counts(), [one.id for one in store.summaries()]] == before
    assert store.check() == []
