import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scale.generate import FEWEST, MOST, Material, Questions, generated, load_material, numbered, until
from index.articles import Article
from index.errors import InputError
from index.splitting import split_sentences

PARAGRAPHS = [
    ("lamp", "The lamp hangs over the old harbour. It was lit in 1911."),
    ("mill", "The mill was closed in the spring. Nobody bought it."),
    ("fair", "The fair opens every year in May. Children ride for free."),
]
QUESTIONS = [("q1", "When was the lamp lit?", "lamp", "It was lit in 1911."), ("q2", "Who bought it?", "mill", None)]


def write_lines(path: Path, *records: Mapping[str, object]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """A data set with questions, and one of whose sentences articles are made."""
    first, second = tmp_path / "asked", tmp_path / "others"
    for folder in (first, second):
        folder.mkdir()
        (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n")
    write_lines(first / "corpus.jsonl", *({"_id": i, "title": i, "text": text} for i, text in PARAGRAPHS))
    write_lines(first / "queries.jsonl", *({"_id": i, "text": text} for i, text, *_ in QUESTIONS))
    (first / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tlamp\t1\n")
    write_lines(first / "evidence.jsonl", {"query_id": "q1", "doc_id": "lamp", "text": "It was lit in 1911."})
    text = " ".join(f"Some ferry number {number} crossed the wide river at noon." for number in range(60))
    write_lines(second / "corpus.jsonl", {"_id": "ferries", "title": "Ferries", "text": text})
    write_lines(second / "queries.jsonl", {"_id": "o1", "text": "When did the ferry cross?"})
    return [first, second]


@pytest.fixture
def material(folders: list[Path]) -> Material:
    return load_material(folders)


def ends(article: Article) -> list[int]:
    """A passage for every three sentences."""
    count = len(split_sentences(article.text, article.body))
    return [*range(3, count, 3), count]


def test_an_article_is_always_the_same(material: Material, folders: list[Path]) -> None:
    again = load_material(folders)
    assert [generated(material, number) for number in range(20)] == [generated(again, number) for number in range(20)]
    assert material.fingerprint == again.fingerprint


def test_articles_differ(material: Material) -> None:
    assert len({generated(material, number).text for number in range(50)}) == 50


def test_an_article_is_made_of_whole_sentences_of_the_other_data_set(material: Material) -> None:
    article = generated(material, 3)
    sentences = [span.of(article.text) for span in split_sentences(article.text, article.body)]
    assert set(sentences) <= set(material.sentences)
    assert FEWEST <= len(sentences) <= MOST


@pytest.mark.parametrize("wanted", [3, 4, 17, 100])
def test_there_are_exactly_as_many_passages_as_wanted(material: Material, wanted: int) -> None:
    articles = list(until(numbered(material, 0), wanted, ends))
    assert sum(len(ends(article)) for article in articles) == wanted


def test_no_more_articles_are_made_than_are_taken(material: Material) -> None:
    made: list[str] = []

    def watched() -> Iterator[Article]:
        for article in numbered(material, 0):
            made.append(article.id)
            yield article

    taken = list(itertools.islice(until(watched(), 1_000_000_000, ends), 5))
    assert made == [article.id for article in taken]


def test_a_corpus_is_continued_where_it_ends(material: Material) -> None:
    whole = list(itertools.islice(numbered(material, 0), 12))
    assert list(itertools.islice(numbered(material, 5), 7)) == whole[5:]


def test_the_evidence_is_in_the_smallest_corpus_and_its_article_comes_first(material: Material) -> None:
    [query] = material.asked.queries
    [place] = material.asked.targets[query.id].places
    [first] = itertools.islice(numbered(material, 0), material.smallest)
    assert first.id == place.article_id
    assert place.span.of(first.text) == "It was lit in 1911."


def test_sentences_of_the_asked_data_set_are_in_no_generated_article(material: Material) -> None:
    asked = {span.of(text) for _, text in PARAGRAPHS for span in split_sentences(text)}
    assert not asked & set(material.sentences)


@given(st.lists(st.integers(0, 9), max_size=12))
def test_no_question_is_handed_out_twice(counts: list[int]) -> None:
    questions = Questions([f"question {number}?" for number in range(40)])
    taken: list[str] = []
    for count in counts:
        if len(taken) + count > 40:
            with pytest.raises(InputError, match="40 questions"):
                questions.take(count)
            return
        taken += questions.take(count)
    assert len(set(taken)) == len(taken) == sum(counts)


def test_what_is_asked_for_quality_is_not_asked_for_speed(material: Material) -> None:
    assert material.questions
    assert len(set(material.questions)) == len(material.questions)
    assert not {query.text for query in material.asked.queries} & set(material.questions)


def test_a_folder_that_is_not_there_is_named_with_the_layout(tmp_path: Path, folders: list[Path]) -> None:
    with pytest.raises(InputError, match=r"nowhere is missing.*evidence\.jsonl"):
        load_material([folders[0], tmp_path / "nowhere"])


def test_questions_without_evidence_are_refused(folders: list[Path]) -> None:
    with pytest.raises(InputError, match=r"no evidence\.jsonl"):
        load_material(folders[::-1])
