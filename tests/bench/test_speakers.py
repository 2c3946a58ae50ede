import json
from pathlib import Path

import pytest

from bench.speakers import (
    LABELS,
    PARTS,
    SEEDS,
    Labelled,
    Score,
    Text,
    digest,
    main,
    milliseconds,
    read,
    score,
    seed_texts,
    texts_of,
)
from index.articles import Span
from index.speakers import Attribution
from index.splitting import split_sentences

TEXT = "Jane Roe said it was late. She denied the sale, Reuters reported. The mill was closed."


def text_of(text: str = TEXT) -> Text:
    return Text(text, split_sentences(text))


def span(part: str) -> Span:
    start = TEXT.index(part)
    return Span(start, start + len(part))


def labelled(ordinal: int, said: Attribution | None, document: str = "sentences/ewt_dev.jsonl#a") -> Labelled:
    return Labelled(document, text_of(), ordinal, said)


ROE = Attribution(span("Jane Roe"), span("said"), "says", False)
SHE = Attribution(span("She"), span("denied"), "denies", False, via=span("Reuters"), named=span("Jane Roe"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for file in ("sentences/ewt_dev", "sentences/ewt_test", "squad1/tune/corpus", "squad1/test/corpus"):
        path = tmp_path / f"{file}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"id": "a", "text": TEXT}) + "\n", encoding="utf-8")
    return tmp_path


def label(**more: object) -> str:
    sentence = text_of().sentences[0]
    record = {"id": "sentences/ewt_dev.jsonl#a", "start": sentence.start, "end": sentence.end}
    return json.dumps({**record, "sha256": digest(sentence.of(TEXT)), **more}) + "\n"


def test_what_was_marked_is_read_back(data: Path) -> None:
    marked = {"speaker": [0, 8], "verb": [9, 13], "kind": "says", "quoted": False, "via": None, "named": None}
    (data / "labels.jsonl").write_text(label(**marked) + label(), encoding="utf-8")
    first, second = read(data / "labels.jsonl", texts_of(data))
    assert (first.said, first.ordinal) == (ROE, 0)
    assert second.said is None


@pytest.mark.parametrize("change", [{"sha256": "0" * 12}, {"id": "sentences/ewt_dev.jsonl#b"}])
def test_a_sentence_that_is_another_now_is_refused(data: Path, change: dict[str, str]) -> None:
    (data / "labels.jsonl").write_text(label(**change), encoding="utf-8")
    with pytest.raises(ValueError, match="has no sentence at"):
        read(data / "labels.jsonl", texts_of(data))


def test_the_labels_hold_no_words_of_the_texts() -> None:
    # Their licence is another than ours.
    for line in LABELS.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        assert set(record) <= {
            "id", "start", "end", "sha256", "drawn", "speaker", "verb", "kind", "quoted", "via", "named",
        }  # fmt: skip
        for name in ("speaker", "verb", "via", "named"):
            assert record.get(name) is None or list(map(type, record[name])) == [int, int]


def test_the_seeds_are_labelled_as_they_are() -> None:
    lines = [line for line in LABELS.read_text(encoding="utf-8").splitlines() if '"seeds#' in line]
    sentences = sum(len(text.sentences) for text in seed_texts(SEEDS).values())
    assert len(lines) == sentences == 32


def test_there_are_enough_labels_with_and_without_a_speaker() -> None:
    records = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    with_one = sum("speaker" in record for record in records)
    assert len(records) > 500
    assert 0.4 < with_one / len(records) < 0.6


def test_sentences_of_one_document_are_in_the_same_half() -> None:
    parts = {labelled(0, None, f"squad1/tune/corpus.jsonl#Kenya#{n}").part for n in range(20)}
    assert len(parts) == 1
    halves = {labelled(0, None, f"sentences/ewt_dev.jsonl#{n}").part for n in range(40)}
    assert halves == {"tune", "test"}
    assert {Labelled("seeds#x", text_of(), 0, None).part, *halves} < set(PARTS)
    assert Labelled("seeds#x", text_of(), 0, None, "second").part == "second"


def test_what_is_right_is_counted_as_right() -> None:
    scores = score([(labelled(0, ROE), ROE), (labelled(1, SHE), SHE), (labelled(2, None), None)])
    assert {(figures.precision, figures.recall) for figures in scores.values()} == {(1.0, 1.0)}
    assert scores["via"] == scores["named"] == Score(1, 1, 1)


def test_a_wrong_speaker_costs_precision_and_recall() -> None:
    wrong = Attribution(span("it"), span("said"), "asks", True)
    scores = score([(labelled(0, ROE), wrong)])
    assert scores["has an attribution"] == Score(1, 1, 1)
    assert scores["speaker, exact"] == scores["speaker, words"] == Score(0, 1, 1)
    assert scores["kind"] == scores["quoted"] == Score(0, 1, 1)


def test_a_speaker_may_share_only_words() -> None:
    scores = score([(labelled(0, ROE), Attribution(span("Roe"), span("said"), "says", False))])
    assert (scores["speaker, exact"].right, scores["speaker, words"].right) == (0, 1)


def test_one_too_many_costs_precision_and_one_too_few_recall() -> None:
    scores = score([(labelled(2, None), ROE), (labelled(1, SHE), None)])
    assert scores["has an attribution"] == scores["speaker, words"] == Score(0, 1, 1)
    assert scores["via"] == Score(0, 0, 1)


def test_f1_is_the_harmonic_mean() -> None:
    assert Score(1, 1, 3).f1 == pytest.approx(0.5)
    assert Score(0, 1, 1).f1 == 0


def test_times_are_told_per_sentence() -> None:
    median, worst = milliseconds([labelled(0, None), labelled(1, None)])
    assert 0 < median <= worst


def test_a_table_is_printed_for_each_part(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "labels.jsonl").write_text(label(), encoding="utf-8")
    monkeypatch.setattr("bench.speakers.LABELS", data / "labels.jsonl")
    monkeypatch.setattr("sys.argv", ["bench.speakers", str(data)])
    main()
    printed = capsys.readouterr().out
    assert all(f"\n{part}: " in printed for part in PARTS)
    assert "ms per sentence" in printed
