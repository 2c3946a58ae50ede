import json
from pathlib import Path

import pytest

from bench.datasets import Query, Target, load_dataset
from bench.metrics import Place
from bench.run import SEEDS
from index.articles import Span
from index.errors import InputError

ARTICLES = [
    {"_id": "lake", "title": "The_Lake", "text": "It is deep. It is cold. It is deep. Nobody swims."},
    {"_id": "hill", "title": "", "text": "It is high. It is green."},
]
QUERIES = [{"_id": "1", "text": "How deep is it?"}, {"_id": "2", "text": "Is it high?"}, {"_id": "3", "text": "Who?"}]
QRELS = [("1", "lake", "1"), ("2", "hill", "2"), ("2", "lake", "0")]


def write(
    folder: Path,
    *,
    articles: list[dict[str, str]] = ARTICLES,
    evidence: list[dict[str, object]] | None = None,
    qrels: str = "qrels.tsv",
) -> Path:
    _write_lines(folder / "corpus.jsonl", articles)
    _write_lines(folder / "queries.jsonl", QUERIES)
    if evidence is not None:
        _write_lines(folder / "evidence.jsonl", evidence)
    (folder / qrels).parent.mkdir(exist_ok=True)
    rows = [("query-id", "corpus-id", "score"), *QRELS]
    (folder / qrels).write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def _write_lines(path: Path, records: list[dict[str, str]] | list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def evidence(query_id: str, doc_id: str, text: str, **more: object) -> dict[str, object]:
    return {"query_id": query_id, "doc_id": doc_id, "text": text, **more}


def test_articles_are_what_the_product_reads(tmp_path: Path) -> None:
    lake, hill = load_dataset(write(tmp_path)).articles
    assert (lake.id, lake.title, lake.text) == ("lake", "The_Lake", ARTICLES[0]["text"])
    assert (hill.id, hill.title) == ("hill", None)


def test_ids_may_be_called_id(tmp_path: Path) -> None:
    articles = [{"id": one["_id"], "text": one["text"]} for one in ARTICLES]
    assert [article.id for article in load_dataset(write(tmp_path, articles=articles)).articles] == ["lake", "hill"]


def test_evidence_is_every_place_where_its_text_stands(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, evidence=[evidence("1", "lake", "It is deep.")]))
    assert dataset.by_sentence
    assert dataset.targets == {"1": Target((Place("lake", Span(0, 11)), Place("lake", Span(24, 35))))}


def test_all_evidence_of_a_question_is_kept(tmp_path: Path) -> None:
    rows = [evidence("2", "hill", "It is high."), evidence("2", "hill", "It is green.", ambiguous=True)]
    dataset = load_dataset(write(tmp_path, evidence=rows))
    places = (Place("hill", Span(0, 11)), Place("hill", Span(12, 24)))
    assert dataset.targets == {"2": Target(places, ambiguous=True)}


def test_evidence_in_an_article_that_the_qrels_deny_is_none(tmp_path: Path) -> None:
    rows = [evidence("2", "lake", "It is cold."), evidence("3", "lake", "Nobody swims.")]
    assert load_dataset(write(tmp_path, evidence=rows)).targets == {}


def test_evidence_that_is_not_verbatim_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"evidence for 1 does not stand in lake"):
        load_dataset(write(tmp_path, evidence=[evidence("1", "lake", "It is  deep.")]))


@pytest.mark.parametrize("qrels", ["qrels.tsv", "qrels/test.tsv"])
def test_without_evidence_whole_articles_are_the_targets(tmp_path: Path, qrels: str) -> None:
    dataset = load_dataset(write(tmp_path, qrels=qrels))
    assert not dataset.by_sentence
    assert dataset.targets == {
        "1": Target((Place("lake", Span(0, len(ARTICLES[0]["text"]))),)),
        "2": Target((Place("hill", Span(0, len(ARTICLES[1]["text"]))),)),
    }


def test_what_the_evidence_says_of_a_claim_is_kept(tmp_path: Path) -> None:
    rows = [
        evidence("2", "hill", "It is high.", label="SUPPORT"),
        evidence("2", "hill", "It is green.", label="CONTRADICT"),
    ]
    dataset = load_dataset(write(tmp_path, evidence=rows))
    assert dataset.targets["2"].labels == {"SUPPORT", "CONTRADICT"}


def test_what_a_question_tells_of_itself_is_kept(tmp_path: Path) -> None:
    folder = write(tmp_path, evidence=[evidence("1", "lake", "It is deep.")])
    queries: list[dict[str, object]] = [
        {"_id": "1", "text": "How?", "answers": ["deep"], "answerable": True, "source_doc": "lake"},
        {"_id": "2", "text": "Why?", "answerable": False, "source_doc": "hill"},
        {"_id": "3", "text": "Who?"},
    ]
    _write_lines(folder / "queries.jsonl", queries)
    dataset = load_dataset(folder)
    assert dataset.queries[0] == Query("1", "How?", ("deep",), answerable=True, source="lake")
    assert [dataset.is_answerable(query) for query in dataset.queries] == [True, False, None]
    assert dataset.titles() == {"1": {"The_Lake"}, "2": {"hill"}, "3": frozenset()}


@pytest.mark.parametrize("wrong", [{"answers": "deep"}, {"answerable": "no"}])
def test_a_question_that_tells_nonsense_of_itself_is_named(tmp_path: Path, wrong: dict[str, object]) -> None:
    folder = write(tmp_path, evidence=[])
    _write_lines(folder / "queries.jsonl", [{"_id": "7", "text": "How?", **wrong}])
    with pytest.raises(InputError, match=r"queries\.jsonl: question 7"):
        load_dataset(folder)


def test_questions_that_nothing_answers_are_not_asked_for_quality(tmp_path: Path) -> None:
    assert [query.id for query in load_dataset(write(tmp_path)).answerable()] == ["1", "2"]


def test_records_that_are_no_articles_are_left_out_and_told(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, articles=[*ARTICLES, {"_id": "blank", "text": " "}]))
    assert len(dataset.articles) == 2
    assert len(dataset.unread) == 1


def test_a_sample_is_the_same_whatever_the_order_and_grows_by_what_is_added(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path))
    assert set(dataset.sample(1).queries) < set(dataset.sample(2).queries) < set(dataset.sample(9).queries)
    assert dataset.sample(2).sample(9) == dataset.sample(2)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"corpus\.jsonl is missing"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("queries.jsonl", '{"_id": "1"}\n'),
        ("queries.jsonl", "[]\n"),
        ("evidence.jsonl", "not JSON\n"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\n1\tlake\n"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\n1\tlake\tmuch\n"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, name: str, content: str) -> None:
    folder = write(tmp_path, evidence=[])
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=rf"{name}, line \d"):
        load_dataset(folder)


def test_the_own_data_set_quotes_the_seeds_word_for_word() -> None:
    dataset = load_dataset(SEEDS)
    seeds = SEEDS.parents[1] / "seeds"
    for article in dataset.articles:
        assert article.text == (seeds / f"{article.id}.txt").read_bytes().decode()
    assert len(dataset.articles) == 2
    assert len(dataset.answerable()) == len(dataset.queries) >= 25
