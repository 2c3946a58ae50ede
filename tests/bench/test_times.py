import datetime as dt
import json
import re
from pathlib import Path

import pytest

from bench import times
from bench.times import Figures, Labelled, compare, load, main
from index.articles import Span
from index.errors import InputError
from index.times import Moment

DAY = dt.date(2022, 10, 28)
TEXT = "Title. It fell in 2001 and in 2003."


def moment(start: int, end: int, year: int) -> Moment:
    return Moment(Span(start, end), dt.date(year, 1, 1), dt.date(year, 12, 31))


def labelled(*moments: Moment) -> Labelled:
    return Labelled(TEXT, Span(7, len(TEXT)), DAY, moments, for_tuning=True)


def test_a_time_is_found_where_it_overlaps_and_resolved_where_its_days_are_the_same() -> None:
    one = labelled(moment(18, 22, 2001), moment(30, 34, 2003))
    assert compare([one], [[moment(15, 22, 2001), moment(30, 34, 2004), moment(0, 5, 1999)]]) == Figures(2, 3, 2, 1)
    assert compare([one], [[]]) == Figures(2, 0, 0, 0)
    assert "0.667   1.000      0.333   0.500" in str(Figures(2, 3, 2, 1))


def test_no_text_of_the_data_sets_is_among_the_labels() -> None:
    for line in Path(times.__file__).with_suffix(".jsonl").read_text(encoding="utf-8").splitlines():
        label = json.loads(line)
        assert set(label) == {"set", "id", "start", "end", "sha256", "published", "times"}
        assert re.fullmatch("[0-9a-f]{12}", label["sha256"])
        assert all(label["start"] <= start < end <= label["end"] for start, end, *_ in label["times"])
        assert all(dt.date.fromisoformat(first) <= dt.date.fromisoformat(last) for *_, first, last in label["times"])


def write(folder: Path, text: str) -> None:
    for name in ("sentences/ewt_dev.jsonl", "sentences/ewt_test.jsonl", "squad1/tune/corpus.jsonl"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps({"id": "a", "text": text}) + "\n", encoding="utf-8")


@pytest.fixture
def labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    facts = {"set": "ewt_dev", "id": "a", "start": 7, "end": 35, "sha256": "66f4f3a8b7ce", "published": "2022-10-28"}
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps({**facts, "times": [[18, 22, "2001-01-01", "2001-12-31"]]}) + "\n", encoding="utf-8")
    monkeypatch.setattr(times, "_LABELS", path)
    return path


def test_labels_are_laid_over_the_very_text_that_was_labelled(tmp_path: Path, labels: Path) -> None:
    write(tmp_path, TEXT)
    [one] = load(tmp_path)
    assert (one.text, one.sentence, one.published, one.times) == (TEXT, Span(7, 35), DAY, (moment(18, 22, 2001),))
    write(tmp_path, TEXT.replace("fell", "rose"))
    with pytest.raises(InputError, match="not what was labelled"):
        list(load(tmp_path))


def test_a_folder_without_the_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name the folder"):
        main([str(tmp_path)])
