"""What others depend on, as files; `make golden` writes them anew, and the diff is read."""

import json
import os
from pathlib import Path

import pytest

from index.articles import Article
from index.corpus import Corpus
from index.encoding import Encoder
from index.reading import Reader
from service.answering import Answer, Answerer
from service.app import create_app
from service.settings import Settings

GOLDEN = Path(__file__).parents[1] / "golden"
QUESTIONS = json.loads((GOLDEN / "questions.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory, seeds: list[Article], real_encoder: Encoder, real_reader: Reader
) -> dict[str, Answer]:
    corpus = Corpus(tmp_path_factory.mktemp("golden"), real_encoder)
    for _ in corpus.add(seeds):
        pass
    answerer = Answerer(corpus, reader=real_reader)
    answers = {one["question"]: answerer.ask(one["question"]) for one in QUESTIONS}
    corpus.close()
    return answers


def _compare(name: str, content: object) -> None:
    path = GOLDEN / name
    if os.environ.get("QUOTELINE_GOLDEN") == "write":
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert content == json.loads(path.read_text(encoding="utf-8")), (
        f"{name} is out of date: `make golden`, read the diff"
    )


@pytest.mark.model
def test_the_answers_on_the_seeds_are_as_they_were(answers: dict[str, Answer]) -> None:
    content = [
        {
            "question": answer.question,
            "verdict": answer.verdict,
            "first": (answer.citations or answer.nearest)[0].quote,
            "id": (answer.citations or answer.nearest)[0].id,
        }
        for answer in answers.values()
    ]
    _compare("seeds.json", content)


@pytest.mark.model
def test_nine_of_ten_questions_on_the_seeds_have_a_right_sentence_first(answers: dict[str, Answer]) -> None:
    answerable = [one for one in QUESTIONS if one["right"]]
    firsts = {question: answer.citations[0].quote for question, answer in answers.items() if answer.citations}
    right = [one for one in answerable if firsts.get(one["question"], "").startswith(tuple(one["right"]))]
    assert len(right) >= 0.9 * len(answerable), [one["question"] for one in answerable if one not in right]


@pytest.mark.model
def test_every_answer_to_an_answerable_question_holds_a_right_sentence(answers: dict[str, Answer]) -> None:
    missed = [
        one["question"]
        for one in QUESTIONS
        if one["right"]
        and not any(each.quote.startswith(tuple(one["right"])) for each in answers[one["question"]].citations)
    ]
    assert len(missed) <= 2, missed


@pytest.mark.model
@pytest.mark.parametrize("question", [one["question"] for one in QUESTIONS if not one["right"]])
def test_a_question_about_something_else_is_not_answered(answers: dict[str, Answer], question: str) -> None:
    assert answers[question].verdict == "unanswered"


def test_the_openapi_document_is_as_it_was() -> None:
    _compare("openapi.json", create_app(Settings()).openapi())


@pytest.mark.model
def test_both_names_of_the_foreign_minister_are_shown_and_where_each_stands(answers: dict[str, Answer]) -> None:
    answer = answers["Who is Ukraine's foreign minister?"]
    assert answer.comparison is not None
    assert [side.answer for side in answer.comparison.sides] == ["Dmytro Kuleba", "John Kuleba"]
    [names] = answer.comparison.differences
    cited = {one.n: one.article_id for one in answer.citations}
    assert len({cited[value.n] for value in names.values}) == 2
    # What is set in bold is what stands above it.
    assert [one.part and one.part.text for one in answer.citations[:2]] == ["Dmytro Kuleba", "John Kuleba"]


@pytest.mark.model
def test_both_denials_are_shown_together_and_the_earlier_exports_beside_them(answers: dict[str, Answer]) -> None:
    answer = answers["Did Iran deny sending drones?"]
    assert answer.comparison is not None
    told = {
        side.reports: [one for one in answer.citations if one.n in side.citations] for side in answer.comparison.sides
    }
    denials = told["denial"]
    assert [one.quote.split(" ")[0] for one in denials] == ["Iran", "Amir-Abdollahian"]
    assert len({one.article_id for one in denials}) == 2
    assert all(one.attribution and one.attribution.kind == "denies" for one in denials)
    assert [one.date and one.date.isoformat() for one in denials] == [None, "2022-10-28"]
    [exported] = told["statement"]
    assert "We have recently exported weapons to Russia" in exported.quote
    assert exported.attribution is not None
    assert exported.attribution.named is not None
    assert exported.attribution.named.text == "Amirabdollahian"
