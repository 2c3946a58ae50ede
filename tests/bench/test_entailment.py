import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import entailment as bench_entailment
from bench.entailment import Case, load_cases, main, measure_entailment, render_entailment
from index.entailment import Stance, Thresholds
from index.errors import InputError
from index.testing import OverlapEntailment
from service.settings import Settings

ARTICLES = [
    {"id": "d1", "title": "Drones", "text": "It was a Monday. Iran sent drones. Nobody was hurt."},
    {"id": "d2", "title": "Denial", "text": "Iran denies the accusation. Russia said nothing."},
    {"id": "d3", "title": "Weather", "text": "The weather was fine."},
]
QUERIES = [
    {"id": "1", "text": "Iran sent drones.", "split": "validation", "cited_doc_ids": ["d1", "d2"]},
    {"id": "2", "text": "The weather was bad.", "split": "validation", "cited_doc_ids": ["d3", "gone"]},
    {"id": "3", "text": "It was a Monday.", "split": "train", "cited_doc_ids": ["d1"]},
]
EVIDENCE = [
    {"query_id": "1", "doc_id": "d1", "text": "Iran sent drones.", "label": "SUPPORT"},
    {"query_id": "1", "doc_id": "d2", "text": "Iran denies the accusation.", "label": "CONTRADICT"},
    {"query_id": "3", "doc_id": "d1", "text": "It was a Monday.", "label": "SUPPORT"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, records in (("corpus", ARTICLES), ("queries", QUERIES), ("evidence", EVIDENCE)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    rows = ["query-id\tcorpus-id\tscore", *(f"{one['query_id']}\t{one['doc_id']}\t1" for one in EVIDENCE)]
    (tmp_path / "qrels.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def test_the_sentences_of_cited_articles_that_are_no_evidence_are_neither(folder: Path) -> None:
    claim = "Iran sent drones."
    assert load_cases(folder) == [
        Case("Iran sent drones.", claim, "supports"),
        Case("It was a Monday.", claim, None),
        Case("Nobody was hurt.", claim, None),
        Case("Iran denies the accusation.", claim, "opposes"),
        Case("Russia said nothing.", claim, None),
        Case("The weather was fine.", "The weather was bad.", None),
    ]
    assert [case.relation for case in load_cases(folder, "train")] == ["supports", None, None]
    with pytest.raises(InputError, match="no labelled evidence for claims of the split 'test'"):
        load_cases(folder, "test")


class Scripted(OverlapEntailment):
    """Judges by a list, in order."""

    def __init__(self, stances: Sequence[Stance], thresholds: Thresholds) -> None:
        super().__init__(thresholds=thresholds, name="scripted")
        self._stances = stances

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        return list(self._stances[: len(pairs)])


def test_figures_of_stances() -> None:
    relations = ["supports", "supports", "opposes", "opposes", "opposes", None, None]
    cases = [Case("It was a Monday.", "Was it?", relation) for relation in relations]  # type: ignore[arg-type]
    stances = [
        Stance(0.9, 0.0),
        Stance(0.4, 0.3),
        Stance(0.0, 0.8),
        Stance(0.7, 0.2),
        Stance(0.1, 0.2),
        Stance(0.0, 0.9),
        Stance(0.3, 0.3),
    ]
    found = measure_entailment(cases, Scripted(stances, Thresholds(0.6, 0.7)))
    assert found.name == "scripted"
    assert found.sentences == (5, 7)
    assert found.accuracy == pytest.approx(4 / 5)
    assert found.macro_f1 == pytest.approx((2 * 2 / (3 + 2) + 2 * 2 / (2 + 3)) / 2)
    assert [(one.of, one.said, one.right) for one in found.evidence] == [(2, 2, 1), (3, 1, 1)]
    assert [(one.of, one.said, one.right) for one in found.everywhere] == [(2, 2, 1), (3, 2, 1)]
    assert [one.precision for one in found.everywhere] == [0.5, 0.5]
    assert [one.coverage for one in found.everywhere] == pytest.approx([1 / 2, 1 / 3])
    assert found.milliseconds > 0
    assert "| all sentences, opposes | 3 | 2 | 0.500 | 0.333 |" in render_entailment(found)
    never = measure_entailment(cases, Scripted(stances, Thresholds(0.95, 0.95)))
    assert [one.precision for one in never.everywhere] == [None, None]
    assert "| evidence, supports | 2 | 0 | - | 0.000 |" in render_entailment(never)


def test_the_model_that_is_named_is_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(settings: Settings) -> OverlapEntailment | None:
        return None if settings.entailment == "none" else OverlapEntailment(name=settings.entailment)

    monkeypatch.setattr(bench_entailment, "open_entailment", load)
    main([str(folder), "--entailment", "some/model"])
    assert capsys.readouterr().out.startswith("some/model: 2 sentences of evidence, 6 in all")
    with pytest.raises(InputError, match="--entailment"):
        main([str(folder), "--entailment", "none"])
