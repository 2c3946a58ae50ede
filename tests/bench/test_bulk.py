import os
from pathlib import Path

import pytest

from bench import bulk
from bench.bulk import Measured, kill_one, load_articles, measure, report
from index.articles import Article, Span
from index.errors import InputError


@pytest.fixture
def articles() -> list[Article]:
    texts = [f"Number {number} it is. The {number}th harbour was closed." for number in range(48)]
    return [Article(f"a{number}", text, Span(0, len(text))) for number, text in enumerate(texts)]


@pytest.fixture
def cores() -> list[int]:
    found = sorted(os.sched_getaffinity(0))[:2]
    return found * 2 if len(found) == 1 else found


def test_workers_add_all_and_each_tells_what_it_took(
    articles: list[Article], cores: list[int], address: str, tmp_path: Path
) -> None:
    found = measure(address, tmp_path / "one", articles[:16], "hashing", cores)
    assert found.rate > 0
    assert found.busy > 0


def test_of_a_killed_worker_nothing_is_lost_and_nothing_is_there_twice(
    articles: list[Article], cores: list[int], address: str, tmp_path: Path
) -> None:
    killed = kill_one(address, tmp_path / "one", articles, "hashing", cores)
    assert (killed.added, killed.lost, killed.twice, killed.findings) == (48, 0, 0, ())


def test_the_report_tells_how_many_times_as_fast_two_are(capsys: pytest.CaptureFixture[str]) -> None:
    report([Measured(10, 6), Measured(10, 6)], [Measured(18, 3), Measured(20, 3)])
    said = capsys.readouterr().out
    assert "| **two to one** | 1.80 | 2.00 |" in said
    assert "| **one to two** | 2.00 | 2.00 |" in said
    assert "Median: 1.90 times as fast." in said


def test_articles_of_a_data_set_that_is_not_there_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--data"):
        load_articles(tmp_path / "nothing", 5)


def test_a_machine_of_one_core_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with pytest.raises(InputError, match="two cores"):
        bulk.main([])
