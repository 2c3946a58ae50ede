import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.asking import FEWEST, check, collect, only_fold
from bench.datasets import Dataset, load_dataset
from index.errors import InputError
from index.testing import HashingEncoder, OverlapReader

TOWNS = [f"town{number}" for number in range(24)]
THINGS = ["harbour", "bakery", "library", "station", "castle", "brewery"]


def made(folder: Path, towns: list[str] = TOWNS, *, answerable: bool = False) -> Dataset:
    """Write and load a data set: of each town, what opened there when; asked of all, and of what never opened."""
    articles, queries, evidence = [], [], []
    for town in towns:
        said = {thing: f"The {thing} of {town} opened in {1800 + number}." for number, thing in enumerate(THINGS[:5])}
        articles.append({"id": town, "title": town, "text": " ".join(said.values())})
        for thing in THINGS:
            query_id, known = f"{town}-{thing}", thing in said
            query = {"id": query_id, "text": f"When did the {thing} of {town} open?", "source_doc": town}
            if known or answerable:
                queries.append({**query, "answerable": known} if answerable else query)
            if known:
                evidence.append({"query_id": query_id, "doc_id": town, "text": said[thing]})
    for name, records in (("corpus", articles), ("queries", queries), ("evidence", evidence)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    rows = ["query-id\tcorpus-id\tscore", *(f"{one['query_id']}\t{one['doc_id']}\t1" for one in evidence)]
    (folder / "qrels.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return load_dataset(folder)


def test_only_a_fold_s_questions_are_asked_of_the_whole_corpus(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    parts = [only_fold(dataset, fold) for fold in range(5)]
    assert sorted(one.id for part in parts for one in part.queries) == sorted(one.id for one in dataset.queries)
    assert all(part.articles == dataset.articles and len(part.queries) < len(dataset.queries) for part in parts)


def test_a_question_about_an_article_that_was_left_out_is_answered_by_nothing(tmp_path: Path) -> None:
    found = list(collect(made(tmp_path, answerable=True), HashingEncoder(), OverlapReader(), 2, small=4))
    assert {one.kind for one in found} == {"all", "elsewhere", "small", "elsewhere, small"}
    for one in found:
        assert not (one.stray and (one.answerable or one.evidence))
    whole = [one for one in found if one.kind == "all"]
    assert sum(one.answerable for one in whole) == 120
    assert sum(not one.answerable for one in whole) == 24
    assert all(one.answerable == bool(one.evidence) for one in whole)


def test_too_few_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"has 5 questions .* needs {FEWEST}"):
        check(made(tmp_path, TOWNS[:1]))


def test_a_data_set_without_anything_unanswerable_is_refused(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    one_title = replace(dataset, articles=tuple(replace(one, title="Towns") for one in dataset.articles))
    with pytest.raises(InputError, match="no question that nothing answers"):
        check(one_title)
