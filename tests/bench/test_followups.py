import json
from pathlib import Path
from typing import Any

import pytest

from bench.followups import (
    Case,
    as_asked,
    by_a_person,
    content_words,
    glued,
    load_articles,
    load_cases,
    main,
    measure,
    ours,
    rank_biased_overlap,
    share_of_the_way,
)
from index.retrieval import LONGEST_QUESTION
from index.testing import HashingEncoder
from service.conversation import Turn

TOLD = Turn("What is throat cancer?", ("Throat cancer is a tumour.",))
CASE = Case("CANARD", "Is it treatable?", (TOLD,), "Is throat cancer treatable?", True, "good")
FOUND = {"Is it treatable?": ["bad"], "Is throat cancer treatable?": ["bad", "good"]}


def find(question: str) -> list[str]:
    return FOUND.get(question, [])


def write(path: Path, *records: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    dialog, page = "C_1", "Throat cancer"
    asked = {"dialog": dialog, "question": "Is it treatable?", "rewrite": CASE.rewrite, "changed": True}
    write(
        tmp_path / "followups/canard.jsonl",
        {**asked, "id": "C_1#1", "history": []},
        {**asked, "id": "C_1#2", "history": ["What is throat cancer?", "A tumour. It grows."]},
        {**asked, "id": "C_1#3", "history": ["What is throat cancer?", "I don't know."]},
    )
    write(
        tmp_path / "followups/cast.jsonl",
        {"id": "1", "year": 2020, "history": ["What is it?"], "question": "Why?", "rewrite": "Why?", "changed": False},
        {"id": "2", "year": 2022, "history": ["What is asthma?", "A disease."], "question": "Why?", "rewrite": "Why?",
         "changed": False, "passage": "Asthma has causes."},
    )  # fmt: skip
    write(tmp_path / "pairs/quac_answers.jsonl", {"id": "C_1#2", "page": page, "answer": "It can be treated early."})
    for half in ("tune", "test"):
        write(tmp_path / f"squad1/{half}/corpus.jsonl", {"id": half, "title": half, "text": f"A {half} of squad."})
    write(tmp_path / "ramdocs/corpus.jsonl", {"id": "r", "title": "", "text": "A document."})
    return tmp_path


def test_cases_have_the_turns_before_them_and_the_article_that_answers(data: Path) -> None:
    articles = load_articles(data)
    canard, unanswered, cast20, cast22 = load_cases(data, articles)
    assert len(articles) == 5
    assert canard.turns == (Turn("What is throat cancer?", ("A tumour.", "It grows.")),)
    assert canard.answer == articles["Throat cancer", "It can be treated early."].id
    assert unanswered.turns == (Turn("What is throat cancer?"),)
    assert unanswered.answer is None
    assert (cast20.source, cast20.turns, cast20.answer) == ("CAsT 2020", (Turn("What is it?"),), None)
    assert cast22.answer == articles["", "Asthma has causes."].id


def test_the_ways_to_ask_differ() -> None:
    assert as_asked(CASE) == "Is it treatable?"
    assert glued(CASE) == "What is throat cancer? Throat cancer is a tumour. Is it treatable?"
    assert ours(CASE) == by_a_person(CASE) == "Is throat cancer treatable?"
    assert len(glued(Case("", "Why?", (TOLD,) * 500, "", True, None))) == LONGEST_QUESTION


def test_a_row_says_what_is_found() -> None:
    row = measure([CASE], as_asked, find)
    assert (row.cases, row.answered, row.hit_10, row.overlap) == (1, 1, 0, 0.5)
    assert (row.recall, row.precision, row.kept) == (1 / 3, 1, 1)
    row = measure([CASE], ours, find)
    assert (row.hit_1, row.hit_10, row.mrr_10, row.overlap, row.biased, row.recall) == (0, 1, 0.5, 1, 1, 1)


def test_what_stands_alone_is_to_be_left_alone() -> None:
    alone = Case("", "What is taurine?", (TOLD,), "What is taurine?", False, None)
    leaned = Case("", "Why?", (TOLD,), "Why?", False, None)
    assert measure([alone, leaned], ours, find).kept == 0.5


def test_rank_biased_overlap_is_one_for_equals_and_none_for_strangers() -> None:
    assert rank_biased_overlap(["a", "b"], ["a", "b"]) == 1
    assert rank_biased_overlap(["a", "b"], ["c"]) == 0
    assert rank_biased_overlap([], []) == 1
    assert rank_biased_overlap(["a", "b", "c"], ["a", "c", "b"]) > rank_biased_overlap(["b", "a", "c"], ["a", "b", "c"])


def test_the_share_of_the_way_is_between_the_ends() -> None:
    assert share_of_the_way(0.3, 0.2, 0.4) == pytest.approx(0.5)
    assert share_of_the_way(0.3, 0.2, 0.2) is None


def test_function_words_have_no_content() -> None:
    assert content_words("What is throat cancer's cause?") == content_words("throat cancer causes")


def test_the_tables_are_printed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(data, ["CANARD", "CAsT 2022"], HashingEncoder())
    printed = capsys.readouterr().out
    assert "5 texts to search in" in printed
    assert "CANARD: 2 follow-up questions, 1 of them with a known answer" in printed
    assert printed.count("| ours, share of the way |") == 2
