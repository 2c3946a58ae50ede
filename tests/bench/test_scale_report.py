import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.scale.corpora import Built, Disk
from bench.scale.figures import At
from bench.scale.load import Load
from bench.scale.peers.comparing import PeerFigures
from bench.scale.peers.rounds import HTTP, LIBRARY, Round
from bench.scale.quality import Hits
from bench.scale.report import as_json, render, short
from bench.scale.serving import CLIENTS, SETTINGS, Memory, Served, Setting
from bench.scale.targets import Target, ratio, targets

GOOD, POOR = Hits(0.8, 0.9, 0.95, 0.85), Hits(0.7, 0.9, 0.95, 0.8)


def served(setting: Setting, milliseconds: float, *, rate: float = 250.0) -> Served:
    def load(clients: int) -> Load:
        return Load(clients, (milliseconds * clients,) * 100, 100 / rate, 0, 0.1, {"search": 1.0})

    memory = Memory(int(4e8 * setting.workers), int(4e8 + 2e8 * setting.workers), int(2e8))
    return Served(setting, 3.0, 2.0, True, tuple(map(load, CLIENTS)), load(1), load(1), load(16), memory)


def at(size: int, milliseconds: float = 5.0, *, rate: float = 250.0, recall: float = 0.995) -> At:
    return At(
        size,
        Built(10, 50, size, size, 2.0, 0.5, "material", "encoder"),
        Disk(1_000_000, 2_000_000, 3_000_000, 4),
        tuple(served(setting, milliseconds, rate=rate) for setting in SETTINGS),
        50.0,
        recall,
        GOOD,
        GOOD,
        GOOD,
    )


def compared(*, ours: float, theirs: float, hits: Hits = GOOD, added: float = 30.0) -> Round:
    def system(name: str, rate: float, added: float, hits: Hits) -> PeerFigures:
        return PeerFigures(name, "notes", {"lib": "1"}, added, (10.0,), {1: rate / 2, 16: rate}, hits, None, 500, 10**9)

    broken = PeerFigures("broken", failed="it cannot start")
    own = [system(LIBRARY, ours + 50, 100.0, GOOD), system(HTTP, ours, 100.0, GOOD)]
    return Round(
        1700, True, (*own, system("slow", theirs / 2, 20.0, POOR), system("fast", theirs, added, hits), broken)
    )


def verdicts(found: Sequence[Target], word: str) -> list[str]:
    return [target.verdict for target in found if word in target.claim]


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"),
    [
        (11.9, False, "met"),
        (12.0, False, "met"),
        (12.1, False, "missed"),
        (12.0, True, "met"),
        (11.9, True, "missed"),
        (math.nan, True, "missed"),
        (math.nan, False, "missed"),
        (math.inf, True, "met"),
        (None, True, "not measured"),
    ],
)
def test_a_target_is_met_or_missed_or_was_not_measured(value: float | None, at_least: bool, verdict: str) -> None:
    assert Target("claim", "ms", 12, value, at_least).verdict == verdict


def test_nothing_that_was_not_measured_is_met() -> None:
    assert {target.verdict for target in targets({}, [])} == {"not measured"}


def test_fast_corpora_meet_the_targets() -> None:
    found = targets({10_000: at(10_000, 3.0), 300_000: at(300_000, 5.0), 1_000_000: at(1_000_000, 6.0)}, [])
    assert {target.verdict for target in found} == {"met"}


def test_slow_corpora_miss_them_and_the_report_says_so() -> None:
    figures = {10_000: at(10_000), 300_000: at(300_000, 13.0, rate=150, recall=0.98), 1_000_000: at(1_000_000, 21.0)}
    found = targets(figures, [])
    assert verdicts(found, "1 client: p50") == ["missed", "met", "missed"]
    assert verdicts(found, "asks") == ["missed", "missed"]
    assert verdicts(found, "16 clients, 1 worker: p99") == ["missed"]
    assert verdicts(found, "recall") == ["missed"]
    [growth] = (target for target in found if "growth" in target.claim)
    assert growth.value == pytest.approx(21 / 5)
    text = render(figures, [], found)
    assert "| at least 0.99 | 0.980 | **missed** |" in text
    assert text.count("**missed**") == sum(target.verdict == "missed" for target in found)


def test_asks_that_failed_meet_no_target() -> None:
    one = at(300_000)
    broken = tuple(
        replace(served, loads=tuple(replace(load, errors=1) for load in served.loads)) for served in one.served
    )
    found = targets({300_000: replace(one, served=broken)}, [])
    assert set(verdicts(found, "client")) == {"missed", "not measured"}
    assert verdicts(found, "16 clients") == ["missed"] * 4


def test_a_second_worker_takes_what_both_hold_beyond_one() -> None:
    [second] = (target for target in targets({300_000: at(300_000)}, []) if "second worker" in target.claim)
    assert second.value == pytest.approx(200)


def test_the_fastest_peer_is_what_counts() -> None:
    found = targets({}, [compared(ours=120, theirs=50)])
    [over_http] = (
        target for target in found if "(fast): asks per second" in target.claim and "library" not in target.claim
    )
    assert over_http.value == pytest.approx(2.4)
    assert over_http.verdict == "missed"
    [library] = (target for target in found if "as a library" in target.claim)
    assert library.value == pytest.approx(3.4)
    assert library.verdict == "met"
    [added] = (target for target in found if "adds fastest" in target.claim)
    assert added.value == pytest.approx(100 / 30)
    assert added.verdict == "met"


def test_a_peer_that_finds_more_is_told() -> None:
    better = Hits(0.81, 0.9, 0.95, 0.9)
    found = targets({}, [compared(ours=500, theirs=50, hits=better)])
    assert verdicts(found, "(fast): hit@1 ") == ["missed"]
    assert verdicts(found, "(fast): hit@5 ") == ["met"]
    assert verdicts(targets({}, [compared(ours=500, theirs=50, hits=POOR)]), "(fast): hit@1 ") == ["met"]


def test_a_peer_without_figures_is_named_with_its_reason() -> None:
    text = render({}, [compared(ours=500, theirs=50)], [])
    assert "broken has no figures: it cannot start" in text
    assert "| broken |" not in text


def test_where_a_peer_is_better_is_said_plainly() -> None:
    text = render({}, [compared(ours=40, theirs=50, hits=Hits(0.81, 0.9, 0.95, 0.9), added=130)], [])
    assert "**fast is better at asks per second: 50 against 40**" in text
    assert "**fast is better at passages added per second: 130 against 100**" in text
    assert "**fast is better at hit@1 of passages: 0.81 against 0.8**" in text
    assert "slow is better" not in text
    assert "No peer is better" in render({}, [compared(ours=500, theirs=50)], [])


def test_ratios() -> None:
    assert ratio(6.0, 2.0) == 3
    assert ratio(None, 2.0) is None
    assert ratio(2.0, None) is None
    assert ratio(2.0, 0.0) == math.inf


def test_figures_as_json_hold_percentiles_and_verdicts() -> None:
    figures = {300_000: at(300_000)}
    content = as_json(figures, [compared(ours=500, theirs=50)], targets(figures, []))
    text = str(content)
    assert "'p99_ms': 80.0" in text
    assert "milliseconds" not in text
    assert "'verdict': 'met'" in text


def test_figures_are_short() -> None:
    assert [short(value) for value in (0.1234, 1.234, 12.34, 1234.4, None, math.nan)] == [
        "0.123",
        "1.23",
        "12.3",
        "1,234",
        "–",
        "–",
    ]
