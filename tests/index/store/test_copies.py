import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from index.errors import ArticleDeletedError, CorpusDamagedError, CorpusError, EncoderMismatchError
from index.store import Copied, Filters, Store, copies, copy_store, open_store
from tests.index.store.articles import DIM, add, article, put

STORM = "The storm reached the coast on Friday night. It tore the roofs off forty houses. Nobody was hurt, they said. "


def opened(place: Path | str) -> Store:
    return open_store(place, encoder="one", dim=DIM)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Store]:
    """Articles of all kinds: 15, of which one has two versions, and one that was deleted."""
    with closing(opened(tmp_path / "source" / "quoteline.db")) as made:
        add(made, *(article(f"w{number:02}", f"{STORM}It is {number} degrees.") for number in range(12)))
        add(made, article("a", "A\0B denies it. Two.", title="İ\0"), article("b", collection="wars"), article("gone"))
        with made.change() as change:
            change.supersede("a")
            put(change, article("a", "Iran admits it.", source="Straße"), version=2)
            put(change, article("c"), (0, 2), (2, 4))
            change.remove("gone")
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    found: Path | str = tmp_path / "target" / "quoteline.db"
    if request.param == "postgresql":
        found = request.getfixturevalue("address")
    return found


@pytest.fixture
def target(place: Path | str) -> Iterator[Store]:
    with closing(opened(place)) as made:
        yield made


def told(store: Store) -> list[object]:
    """Return all that a store answers that a copy answers too: all but keys and the generations of passages."""
    names = [one.id for one in store.summaries()]
    readings = store.readings(store.passages_of(Filters()))
    order = sorted(range(len(readings.passages)), key=lambda at: (readings.passages[at].article_id, at))
    return [
        store.counts(),
        store.collections(),
        [store.versions(name) for name in names],
        [store.record(one.id, one.version) for name in names for one in store.versions(name)],
        [(readings.passages[at].article_id, readings.vectors[at].tolist()) for at in order],
        readings.terms.sum(),
        store.near_duplicates_of(names),
        [store.last_version(name) for name in (*names, "gone")],
        store.deletion("gone"),
        store.check(),
    ]


def test_a_copy_is_what_was_copied(source: Store, target: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_TOGETHER", 5)
    steps: list[tuple[int, int]] = []
    assert copy_store(source, target, lambda done, total: steps.append((done, total))) == Copied(15, 16, 16, 0)
    assert told(target) == told(source)
    assert steps == [(number, 30) for number in (5, 10, 15, 20, 25, 30)]
    assert target.count(filters=Filters(sources=("STRASSE",))) == 1
    with pytest.raises(ArticleDeletedError):
        target.record("gone")
    # It goes on as a store of its own.
    assert target.identity != source.identity
    with target.change() as change:
        put(change, article("gone"), version=target.last_version("gone") + 1)
    assert target.record("gone").version == 2
    with pytest.raises(CorpusError, match="is not empty"):
        copy_store(source, target)


def test_a_copy_goes_back_as_it_came(source: Store, target: Store, tmp_path: Path) -> None:
    copy_store(source, target)
    with closing(opened(tmp_path / "back.db")) as back:
        copy_store(target, back)
        assert told(back) == told(source)


def test_an_empty_store_is_copied(tmp_path: Path, target: Store) -> None:
    with closing(opened(tmp_path / "empty.db")) as empty:
        assert copy_store(empty, target) == Copied(0, 0, 0, 0)
    add(target, article("a"))
    assert target.check() == []


def test_what_broke_off_goes_on_where_it_was_and_with_what_changed_since(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_TOGETHER", 5)

    def stop(done: int, _: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_store(source, target, stop)
    assert target.counts()[0] == 10
    with source.change() as change:
        change.remove("w03")
        change.supersede("w04")
        put(change, article("w04", f"{STORM}It is warm."), version=2)
    # 10 were there; one is gone since, one is another.
    assert copy_store(source, target) == Copied(14, 16, 15, 8)
    assert told(target) == told(source)
    assert target.last_version("w03") == 1


KILLED = """
import os, sys
from index.store import copies, copy_store, open_store
source, target = (open_store(place, encoder="one", dim=4) for place in sys.argv[1:])
copies._TOGETHER = 1
copy_store(source, target, lambda done, total: os.kill(os.getpid(), 9) if done == 7 else None)
"""


def test_a_copy_that_was_killed_goes_on(source: Store, target: Store, place: Path | str) -> None:
    given = [sys.executable, "-c", KILLED, source.name, str(place)]
    assert subprocess.run(given, check=False).returncode == -9
    assert target.counts()[0] == 7
    assert copy_store(source, target) == Copied(15, 16, 16, 7)
    assert told(target) == told(source)


def test_the_source_is_not_changed_by_others_meanwhile(source: Store, target: Store) -> None:
    seen: list[int] = []
    waiting = threading.Thread(target=lambda: add_later(source))

    def look(done: int, _: int) -> None:
        if not seen:
            waiting.start()
        seen.append(done)

    copy_store(source, target, look)
    waiting.join(30)
    assert target.counts()[0] == 15
    assert source.counts()[0] == 16


def add_later(store: Store) -> None:
    with store.exclusive():
        add(store, article("later"))


def test_a_store_that_holds_something_else_is_left_as_it_is(source: Store, target: Store, tmp_path: Path) -> None:
    add(target, article("own"))
    with pytest.raises(CorpusError, match="is not empty; a corpus is copied into a new one"):
        copy_store(source, target)
    assert [one.id for one in target.summaries()] == ["own"]
    with pytest.raises(CorpusError, match="into itself"):
        copy_store(source, source)
    with closing(opened(tmp_path / "third.db")) as third, pytest.raises(KeyboardInterrupt):
        copy_store(target, third, lambda done, total: (_ for _ in ()).throw(KeyboardInterrupt))
    with closing(opened(tmp_path / "third.db")) as third, pytest.raises(CorpusError, match="a part of another corpus"):
        copy_store(source, third)


def test_another_encoder_is_refused(source: Store, tmp_path: Path) -> None:
    with (
        closing(open_store(tmp_path / "two.db", encoder="two", dim=DIM)) as target,
        pytest.raises(EncoderMismatchError, match=r"encoder one.*two"),
    ):
        copy_store(source, target)


@pytest.mark.parametrize("damage", ["UPDATE versions SET title = 'x' WHERE id = 'c'", "UPDATE passages SET first = 9"])
def test_damage_is_not_copied(source: Store, target: Store, damage: str) -> None:
    with source.db.transaction():
        source.db.run(damage)
    with pytest.raises(CorpusDamagedError):
        copy_store(source, target)
    assert target.known(article_id="c") is None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE versions SET text = 'x' WHERE id = 'c'",
        "UPDATE versions SET current = FALSE WHERE id = 'c'",
        "DELETE FROM passages WHERE key = 5",
        "UPDATE passages SET last = last + 1 WHERE key = 5",
        "UPDATE passages SET vector = spans WHERE key = 5",
        "UPDATE passages SET article = 2 WHERE key = 5",
        "DELETE FROM retired",
    ],
)
def test_what_did_not_arrive_as_it_was_is_found_at_the_end(source: Store, target: Store, damage: str) -> None:
    def spoil(done: int, total: int) -> None:
        if done == total // 2:
            with target.db.transaction():
                assert target.db.run(damage) == 1

    # Deletions are copied after the last article, so before the comparison begins.
    if "retired" in damage:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(copies, "_retire", lambda source, target: None)
            with pytest.raises(CorpusDamagedError, match="copy again"):
                copy_store(source, target)
    else:
        with pytest.raises(CorpusDamagedError):
            copy_store(source, target, spoil)
    # Begun again, it is made good.
    copy_store(source, target)
    assert told(target) == told(source)
