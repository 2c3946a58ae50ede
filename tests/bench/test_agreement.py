import json
from pathlib import Path

import pytest

from bench.agreement import Ambiguous, Shown, questions_of, rows_of
from index.articles import Article, Span
from index.corpus import Corpus
from index.errors import InputError
from index.testing import OverlapReader
from service.answering import Answerer

TEXTS = {
    "right": "The mill was built in 1856 by monks. It rained.",
    "other": "The mill was built in 1870 in the south. It snowed.",
    "wrong": "The mill was built in 1999 by nobody. It was windy.",
}
QUESTION = "When was the mill built?"


def _shown(corpus: Corpus, question: Ambiguous) -> Shown:
    for _ in corpus.add([Article(id=name, text=text, body=Span(0, len(text))) for name, text in TEXTS.items()]):
        pass
    answerer = Answerer(corpus, reader=OverlapReader(), perhaps=0)
    return Shown(question, answerer.ask(QUESTION), answerer.ask(QUESTION, compare=False))


def test_what_is_shown_is_counted_by_the_words_of_right_answers_and_by_documents(corpus: Corpus) -> None:
    shown = _shown(corpus, Ambiguous(QUESTION, frozenset({"1856", "1870"}), {"right": "correct", "wrong": "misinfo"}))
    several, both, *_ = rows_of([shown, shown])
    assert several[1:] == ["1.000", "1.000"]
    assert "2 questions that have them" in several[0]
    assert both[1:] == ["1.000", "1.000"]


def test_an_answer_whose_words_stand_nowhere_is_not_shown(corpus: Corpus) -> None:
    shown = _shown(corpus, Ambiguous(QUESTION, frozenset({"1856", "185"}), {"right": "correct"}))
    several, both, *_ = rows_of([shown, shown])
    assert several[1:] == ["0.000", "0.000"]
    assert both[1:] == ["none", "none"]


def _write(folder: Path, **records: dict[str, object]) -> Path:
    for name, record in records.items():
        (folder / f"{name}.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    return folder


def test_questions_are_read_with_their_documents_and_other_data_is_refused(tmp_path: Path) -> None:
    query: dict[str, object] = {"id": "1", "text": QUESTION, "gold_answers": ["1856"]}
    found = _write(tmp_path, queries=query, evidence={"query_id": "1", "doc_id": "a", "type": "misinfo"})
    assert list(questions_of(found)) == [Ambiguous(QUESTION, frozenset({"1856"}), {"a": "misinfo"})]
    _write(tmp_path, queries={"id": "1", "text": QUESTION})
    with pytest.raises(InputError, match="gold_answers"):
        list(questions_of(tmp_path))
    with pytest.raises(InputError, match="name the folder"):
        list(questions_of(tmp_path / "nowhere"))
