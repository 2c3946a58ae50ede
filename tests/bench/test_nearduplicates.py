import random
from pathlib import Path

import pytest

from bench.nearduplicates import Editor, Source, form_letters, measure_quality, measure_speed

NOUNS = [
    f"{first}{last}" for first in ("har", "mar", "bor", "kel", "tin") for last in ("bour", "ket", "der", "lo", "sa")
]


@pytest.fixture
def sources() -> list[Source]:
    draw = random.Random(0)
    texts = [[" ".join(draw.choices(NOUNS, k=14)).capitalize() + "." for _ in range(9)] for _ in range(60)]
    return [Source(f"Number {number}", tuple(sentences)) for number, sentences in enumerate(texts)]


def test_edits_are_what_they_are_called(sources: list[Source]) -> None:
    own = sources[0].sentences
    copies = dict(Editor(sources[1:], 0).copies(sources[0]))
    assert copies["another title"] == own
    assert len(set(own) - set(copies["a sentence dropped"])) == 1
    assert len(set(copies["a sentence added"]) - set(own)) == 1
    assert sorted(copies["two sentences reordered"]) == sorted(own) != list(copies["two sentences reordered"])
    others = dict(Editor(sources[1:], 0).others(sources[0]))
    shared = {kind: len(set(own) & set(sentences)) for kind, sentences in others.items()}
    assert sorted(shared.values()) == [0, 1, 2, 4]


def test_copies_are_found_and_others_are_not(sources: list[Source], tmp_path: Path) -> None:
    quality = measure_quality(sources[:10], sources[10:], tmp_path, seed=0)
    assert len(quality.copies) == 6
    assert quality.recall() > 0.95
    assert quality.precision() > 0.95


def test_what_is_not_found_lowers_recall_and_what_is_wrong_precision(
    sources: list[Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.store.resemblance.THRESHOLD", 0.9)
    monkeypatch.setattr("index.store.resemblance._LIKELY", 0.0)
    assert measure_quality(sources[:10], sources[10:], tmp_path / "strict", seed=0).recall() < 0.7
    monkeypatch.setattr("index.store.resemblance.THRESHOLD", 0.05)
    assert measure_quality(sources[:10], sources[10:], tmp_path / "lax", seed=0).precision() < 0.9


def test_the_detection_that_is_timed_happens_on_one_side_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure_speed(lambda: form_letters(20, seed=0), tmp_path)
    assert "20 articles added" in capsys.readouterr().out
    databases = {side: (tmp_path / side / "quoteline.db").stat().st_size for side in ("True", "False")}
    assert databases["True"] > databases["False"]
