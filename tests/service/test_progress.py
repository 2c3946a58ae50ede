import io
import sys

import pytest

from service import progress
from service.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_on_a_terminal_there_is_a_bar_with_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    with Progress("adding", 10_000_000) as bar:
        bar.reach(2_500_000, "300 articles")
        bar.say("failed: a.txt is empty")
    assert "adding  25 %|" in shown.getvalue()
    assert "2.50M of 10.0M" in shown.getvalue()
    assert " left, 300 articles" in shown.getvalue()
    assert "failed: a.txt is empty\n" in shown.getvalue()


def test_elsewhere_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(sys, "stderr", shown := io.StringIO())
    with Progress("adding", 10_000_000) as lines:
        for megabytes in range(1, 10):
            clock.now += 20
            lines.reach(megabytes * 1_000_000, f"{megabytes} articles")
    said = shown.getvalue().splitlines()
    assert said[0] == "adding 20 %: 2.00M of 10.0M, 50.0kB/s, 02:40 left, 2 articles"
    assert len(said) == 4
    assert "\r" not in shown.getvalue()


def test_the_time_that_is_left_is_told_at_the_pace_of_late(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(sys, "stderr", shown := io.StringIO())
    with Progress("adding", 10_000_000) as lines:
        clock.now += 30
        # What is there already goes by at once.
        lines.reach(9_000_000)
        clock.now += 40
        lines.reach(9_004_000)
    assert shown.getvalue().splitlines()[1].endswith("100B/s, 2:46:00 left")


def test_short_work_is_told_of_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", shown := io.StringIO())
    with Progress("adding", 100) as lines:
        lines.reach(100)
    assert shown.getvalue() == ""


def test_of_what_has_no_known_end_no_share_is_told(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(sys, "stderr", shown := io.StringIO())
    with Progress("working", 0, unit=" articles") as lines:
        clock.now += 60
        lines.reach(1200)
    assert shown.getvalue() == "working: 1.20k, 20.0 articles/s, for 01:00\n"
