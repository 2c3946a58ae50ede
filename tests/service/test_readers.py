import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from index.confidence import OURS, Calibration
from index.corpus import Corpus
from index.entailment import Entailment, Thresholds
from index.errors import CalibrationError
from index.reading import Reader
from index.testing import OverlapEntailment, OverlapReader
from service import readers
from service.readers import open_answerer, open_entailment, open_reader
from service.settings import Settings

SURE = {"bias": 9.0}


def _save(file: Path, reader: str) -> None:
    Calibration(reader, {"logit": 1.0}, {"order": 1.0}, SURE).save(file)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What was loaded, in place of loading it."""
    calls: list[tuple[str, Path]] = []

    def load(model: str, models: Path) -> Reader:
        calls.append((model, models))
        return OverlapReader(name=model)

    monkeypatch.setattr(readers, "load_reader", load)
    return calls


def test_the_reader_that_is_set_is_loaded_and_none_where_nothing_is_read(
    tmp_path: Path, loaded: list[tuple[str, Path]]
) -> None:
    reader = open_reader(Settings(data=tmp_path, reader="some/model"))
    assert reader is not None
    assert reader.name == "some/model"
    assert loaded == [("some/model", tmp_path / "models")]
    assert open_reader(Settings(data=tmp_path, read=0)) is None
    assert len(loaded) == 1


def test_no_reader_is_one_of_the_readers(tmp_path: Path) -> None:
    assert open_reader(Settings(data=tmp_path, reader="none")) is None


def test_the_entailment_model_that_is_set_is_loaded_with_the_thresholds_that_are_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(model: str, models: Path, *, thresholds: Thresholds | None) -> Entailment:
        assert models == tmp_path / "models"
        return OverlapEntailment(name=model, thresholds=thresholds)

    monkeypatch.setattr(readers, "load_entailment", load)
    found = open_entailment(Settings(data=tmp_path, entailment="some/model", entailed=0.7))
    assert found is not None
    assert (found.name, found.thresholds) == ("some/model", Thresholds(0.7, 0.7))
    unset = open_entailment(Settings(data=tmp_path, entailment="some/model"))
    assert unset is not None
    assert unset.thresholds == OverlapEntailment().thresholds


def test_there_is_no_entailment_model_unless_one_is_set(tmp_path: Path) -> None:
    assert open_entailment(Settings(data=tmp_path)) is None


def test_the_settings_reach_what_answers(corpus: Corpus, tmp_path: Path) -> None:
    def name(**given: object) -> str | None:
        return open_answerer(corpus, Settings(data=tmp_path, **given), OverlapReader()).reader_name  # type: ignore[arg-type]

    assert name() == "overlap"
    assert name(read=0) is None


def test_a_calibration_of_ones_own_is_used_from_where_it_is_set_or_lies(
    tmp_path: Path, corpus_with_a_rocket: Callable[[Settings, Reader | None], float]
) -> None:
    likely = corpus_with_a_rocket
    settings, reader = Settings(data=tmp_path), OverlapReader()
    assert likely(settings, reader) < 0.9
    _save(tmp_path / "other.json", "overlap")
    assert likely(settings, reader) < 0.9
    assert likely(Settings(data=tmp_path, calibration=tmp_path / "other.json"), reader) > 0.9
    _save(tmp_path / "calibration.json", "overlap")
    assert likely(settings, reader) > 0.9
    _save(tmp_path / "calibration.json", "")
    assert likely(settings, None) > 0.9
    assert likely(Settings(data=tmp_path, read=0), reader) > 0.9


@pytest.fixture
def corpus_with_a_rocket(corpus: Corpus) -> Callable[[Settings, Reader | None], float]:
    """How likely it is, by the settings and the reader, that a sentence about a rocket says who denied it."""
    from index.articles import Article, Span

    text = "The rocket rose at dawn."
    list(corpus.add([Article("a", text, Span(0, len(text)))]))
    return lambda settings, reader: open_answerer(corpus, settings, reader).ask("Who denied the rocket?").probability


@pytest.mark.parametrize(
    ("made_for", "reader", "said"),
    [
        ("overlap", None, "made for the reader 'overlap', but no reader is set"),
        ("", OverlapReader(), "made for no reader, but the reader 'overlap' is set"),
        (OURS.reader, OverlapReader(name="quoteline-reader-2"), "'quoteline-reader-2' is set; make it again with"),
    ],
)
def test_the_calibration_of_another_reader_is_refused_where_it_is_set_and_passed_over_where_it_merely_lies(
    corpus_with_a_rocket: Callable[[Settings, Reader | None], float],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    made_for: str,
    reader: Reader | None,
    said: str,
) -> None:
    likely, file = corpus_with_a_rocket, tmp_path / "calibration.json"
    shipped = likely(Settings(data=tmp_path), reader)
    assert not caplog.records
    _save(file, made_for)
    with pytest.raises(CalibrationError, match=r"calibration\.json was made for") as refused:
        likely(Settings(data=tmp_path, calibration=file), reader)
    assert said in str(refused.value)
    assert "quoteline calibrate" in str(refused.value)
    assert likely(Settings(data=tmp_path), reader) == shipped
    (warned,) = caplog.records
    assert (warned.name, warned.levelno) == ("quoteline", logging.WARNING)
    assert warned.getMessage().startswith(str(refused.value))
    assert "the calibration that is shipped is used" in warned.getMessage()


def test_a_calibration_that_cannot_be_read_is_refused_where_it_is_set_and_passed_over_where_it_merely_lies(
    corpus: Corpus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "calibration.json"
    file.write_text("{", encoding="utf-8")
    with pytest.raises(CalibrationError, match=r"calibration\.json is no calibration"):
        open_answerer(corpus, Settings(data=tmp_path, calibration=file), None)
    open_answerer(corpus, Settings(data=tmp_path), None)
    assert "calibration.json is no calibration" in caplog.text


def test_a_calibration_that_is_named_has_to_be_there(corpus: Corpus, tmp_path: Path) -> None:
    named = Settings(data=tmp_path, calibration=tmp_path / "nothing.json")
    with pytest.raises(CalibrationError, match=r"nothing\.json"):
        open_answerer(corpus, named, None)
