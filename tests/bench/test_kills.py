import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bench.kills import Trial
from bench.ledger import Delete, Ledger, Put
from bench.serving import Cited, Serving


def test_nothing_is_lost_in_25_kills(tmp_path: Path) -> None:
    trial = Trial(tmp_path, seed=11)
    trial.run(25)
    assert trial.tally.violations == []
    assert trial.ledger.acknowledged > 25, "there was hardly anything to lose"
    assert trial.tally.whole + trial.tally.absent > 0, "no kill hit a change"
    assert trial.tally.checked > 25, "hardly any citation was read again"


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("DELETE FROM versions WHERE id = (SELECT id FROM versions ORDER BY key LIMIT 1)", "lost"),
        ("UPDATE versions SET text = replace(text, 'keeper', 'sleeper')", "lost"),
        ("UPDATE versions SET id = 'stranger' WHERE key = (SELECT min(key) FROM versions)", "half"),
    ],
)
def test_what_happens_to_the_database_is_found(tmp_path: Path, statement: str, kind: str) -> None:
    trial = Trial(tmp_path, seed=3, patience=5, tamper=_running(statement))
    trial.run(2)
    assert kind in {violation.kind for violation in trial.tally.violations}


def _running(statement: str) -> Callable[[Path], None]:
    def tamper(database: Path) -> None:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys=OFF")
            connection.execute(statement)

    return tamper


def test_what_was_acknowledged_has_to_be_there() -> None:
    ledger = Ledger()
    ledger.begin("a", Put("one"))
    ledger.acknowledge("a", 1)
    [violation] = ledger.settle({}, 2).violations
    assert violation.kind == "lost"


def test_what_was_deleted_has_to_be_gone() -> None:
    ledger = Ledger()
    for step in (Put("one"), Delete()):
        ledger.begin("a", step)
        ledger.acknowledge("a", 1)
    [violation] = ledger.settle({"a": {1: "one"}}, 2).violations
    assert violation.kind == "half"


def test_what_was_in_flight_is_whole_or_absent() -> None:
    for found, whole, absent in (({}, 0, 2), ({1: "one"}, 1, 1), ({1: "one", 2: "two"}, 2, 0)):
        ledger = Ledger()
        ledger.begin("a", Put("one"))
        ledger.begin("a", Put("two"))
        settled = ledger.settle({"a": found}, 1)
        assert (settled.violations, settled.whole, settled.absent) == ((), whole, absent)
        assert ledger.standing("a").texts == found


@pytest.mark.parametrize("found", [{1: "on"}, {2: "two"}, {1: "two"}, {1: "one", 3: "two"}, {1: "one", 2: "other"}])
def test_what_was_in_flight_is_never_half(found: dict[int, str]) -> None:
    ledger = Ledger()
    ledger.begin("a", Put("one"))
    ledger.begin("a", Put("two"))
    [violation] = ledger.settle({"a": found}, 1).violations
    assert violation.kind == "half"


def test_an_article_that_nobody_sent_is_found() -> None:
    [violation] = Ledger().settle({"stranger": {1: "one"}}, 1).violations
    assert "stranger" in violation.what


def test_versions_go_on_counting_after_a_deletion() -> None:
    ledger = Ledger()
    for step in (Put("one"), Put("two"), Delete(), Put("three")):
        ledger.begin("a", step)
        ledger.acknowledge("a", 1)
    assert ledger.standing("a").texts == {3: "three"}
    assert ledger.standing("a").gone == 2
    assert ledger.settle({"a": {3: "three"}}, 2).violations == ()


def cited(version: int, start: int, end: int, quote: str) -> Cited:
    return Cited(f"a.{version}.{start}-{end}", "a", version, start, end, quote)


def test_a_quote_that_stands_elsewhere_is_found() -> None:
    ledger = Ledger()
    ledger.begin("a", Put("One lamp. Two lamps."))
    assert ledger.take(cited(1, 0, 9, "One lamp."), 1) is None
    assert ledger.take(cited(1, 1, 10, "One lamp."), 1) is not None
    assert ledger.take(cited(1, 0, 9, "Two lamps."), 1) is not None


def test_a_citation_of_what_was_gone_when_it_was_asked_for_is_found() -> None:
    ledger = Ledger()
    ledger.begin("a", Put("One lamp."))
    ledger.acknowledge("a", 1)
    ledger.begin("a", Delete())
    one = cited(1, 0, 9, "One lamp.")
    assert ledger.take(one, 2) is None
    ledger.acknowledge("a", 3)
    assert ledger.take(one, 2.5) is None, "it was asked for before"
    violation = ledger.take(one, 3.5)
    assert violation is not None
    assert violation.kind == "cited after it was gone"


def test_a_server_that_was_killed_answers_nobody(tmp_path: Path) -> None:
    serving = Serving(tmp_path)
    with serving.start().wait_until_ready() as process:
        process.kill()
        assert process.stop() == -9
