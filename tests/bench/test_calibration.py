import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.calibration import (
    FEWEST,
    Asked,
    as_source,
    calibrate_with,
    check,
    collect,
    everything_heard,
    fit,
    fit_order,
    folds_of,
    judged,
    listen,
    only_fold,
    suggest,
)
from bench.datasets import Dataset, load_dataset
from bench.metrics import Choice
from bench.quality import corpus_of
from index.articles import Article, Span
from index.confidence import OURS, Calibration
from index.corpus import Corpus
from index.errors import CalibrationError, InputError
from index.ranking import Ranker
from index.retrieval import Retriever
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


def asked(
    logits: list[float], *, evidence: int | None = None, kind: str = "all", title: str = "", fusion: float = 1.0
) -> Asked:
    count = len(logits)
    return Asked(
        kind=kind,
        titles=frozenset({title}),
        answerable=evidence is not None,
        logits=np.array(logits, dtype=np.float64)[:, np.newaxis],
        fusion=np.full(count, fusion),
        cosine=np.full(count, 0.5),
        words=np.full(count, 0.3),
        evidence=np.arange(count) == (-1 if evidence is None else evidence),
    )


@pytest.fixture(scope="module")
def corpus() -> Iterator[Corpus]:
    texts = {town: " ".join(f"The {one} of {town} opened late." for one in THINGS) for town in TOWNS[:5]}
    articles = [Article(id=town, title=town, text=text, body=Span(0, len(text))) for town, text in texts.items()]
    with corpus_of(articles, HashingEncoder()) as made_corpus:
        yield made_corpus


CALIBRATIONS = st.builds(
    lambda fusion, steep, bias, lead, cosine: Calibration(
        "overlap",
        {"logit": 1.0, "fusion": fusion},
        {"order": steep, "cosine": cosine, "words": 0.2, "bias": bias},
        {"odds": 0.9, "lead": lead, "cosine": cosine, "words": 0.1, "bias": -0.2},
    ),
    *(st.floats(0, 4), st.floats(0.1, 2), st.floats(-6, 6), st.floats(-1, 1), st.floats(-1, 1)),
)


@settings(max_examples=25, deadline=None)
@given(
    calibrations=st.lists(CALIBRATIONS, min_size=1, max_size=3),
    thing=st.sampled_from(THINGS),
    town=st.sampled_from(TOWNS[:7]),
    depth=st.integers(1, 4),
)
def test_what_is_fitted_is_what_the_product_computes(
    corpus: Corpus, calibrations: list[Calibration], thing: str, town: str, depth: int
) -> None:
    question = f"Which {thing} of {town} opened?"
    found = listen(corpus, question, OverlapReader(), depth)
    assert found is not None
    candidates, logits = found
    told = asked([0.0] * len(candidates))
    features = [one.features for one in candidates]
    cosine = np.clip([one.cosine for one in features], 0, 1)
    told = replace(
        told,
        logits=logits,
        fusion=np.array([one.score for one in candidates]),
        cosine=cosine,
        words=np.array([one.coverage for one in features]) * (1 - cosine),
    )
    for calibration in calibrations:
        ranker = Ranker(corpus, OverlapReader(), calibration, depth=depth)
        ranking = ranker.rank(question, Retriever(corpus).retrieve(question, top_k=max(10, ranker.wanted)))
        ours = judged(told, calibration)
        assert ours.probability == pytest.approx(ranking.judgement.probability, abs=1e-6)
        assert [candidates[row].sentence for row in ours.ranking] == [
            one.candidate.sentence for one in ranking.sentences
        ]


def test_a_sentence_of_two_passages_has_its_better_logit_and_an_unread_one_the_least() -> None:
    logits = np.array([[1.0, 3.0], [np.nan, -9.0], [np.nan, np.nan]])
    told = replace(asked([0.0, 0.0, 0.0]), logits=logits)
    assert everything_heard(told).tolist() == [3.0, -9.0, -9.0]
    assert everything_heard(told.at(1)).tolist() == [1.0, -8.0, -8.0]


def test_once_the_answer_is_clear_no_more_is_read() -> None:
    told = replace(asked([0.0, 0.0]), logits=np.array([[20.0, np.nan], [np.nan, 30.0]]))
    assert judged(told, OURS).ranking == [0, 1]
    unclear = replace(OURS, sentence={"order": 1.0, "bias": -100.0})
    assert judged(told, unclear).ranking == [1, 0]


def test_a_reader_that_knows_is_followed_and_one_that_does_not_is_refused() -> None:
    chance = random.Random(1)
    knows = [
        asked([5.0 * (row == place) + chance.random() for row in range(4)], evidence=place)
        for place in [0, 1, 2, 3] * 20
    ]
    assert fit_order(knows, "overlap")["logit"] == 1.0
    errs = [replace(one, logits=-one.logits) for one in knows]
    with pytest.raises(CalibrationError, match="choose another reader"):
        fit_order(errs, "overlap")


def test_a_fitted_probability_is_the_share_that_is_right() -> None:
    chance = random.Random(3)
    cases = []
    for number in range(600):
        share = [0.2, 0.5, 0.9][number % 3]
        hit = chance.random() < share
        top = {0.2: -2.0, 0.5: 0.0, 0.9: 3.0}[share]
        rest = [top - 3 - chance.random() for _ in range(9)]
        cases.append(asked([top, *rest], evidence=0 if hit else None, title=f"t{number % 7}"))
    fitted = fit(cases, "overlap")
    for share, top in ((0.2, -2.0), (0.5, 0.0), (0.9, 3.0)):
        probability = np.mean([judged(one, fitted).probability for one in cases if one.logits[0, 0] == top])
        assert probability == pytest.approx(share, abs=0.08)


def test_no_title_is_in_two_folds() -> None:
    cases = [asked([0.0], title=f"title {number % 9}") for number in range(90)]
    folds = folds_of(cases)
    assert len(set(folds)) == 5
    assert len({(fold, min(one.titles)) for fold, one in zip(folds, cases, strict=True)}) == 9


def test_questions_of_one_title_are_spread_over_all_folds() -> None:
    assert set(folds_of([asked([0.0], title="one")] * 10)) == set(range(5))


def test_only_a_fold_s_questions_are_asked_of_the_whole_corpus(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    parts = [only_fold(dataset, fold) for fold in range(5)]
    assert sorted(one.id for part in parts for one in part.queries) == sorted(one.id for one in dataset.queries)
    assert all(part.articles == dataset.articles and len(part.queries) < len(dataset.queries) for part in parts)


def test_a_question_about_an_article_that_was_left_out_is_answered_by_nothing(tmp_path: Path) -> None:
    found = list(collect(made(tmp_path, answerable=True), HashingEncoder(), OverlapReader(), 2, small=4))
    assert {one.kind for one in found} == {"all", "elsewhere", "small", "elsewhere, small"}
    for one in found:
        assert not (one.stray and (one.answerable or one.evidence.any()))
    whole = [one for one in found if one.kind == "all"]
    assert sum(one.answerable for one in whole) == 120
    assert sum(not one.answerable for one in whole) == 24
    assert all(one.answerable == one.evidence.any() for one in whole)


def test_a_calibration_that_was_made_can_be_saved_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_of = calibrate_with(made(tmp_path), HashingEncoder(), OverlapReader(), 2, small=4)
    assert "of strays" in capsys.readouterr().out
    made_of.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == made_of
    assert eval(as_source(made_of), {"Calibration": Calibration}) == made_of  # noqa: S307 - our own source


def test_without_a_reader_retrieval_is_calibrated(tmp_path: Path) -> None:
    made_of = calibrate_with(made(tmp_path), HashingEncoder(), None, 2, small=4)
    assert (made_of.reader, made_of.order) == ("", {"fusion": 1.0})


def test_too_few_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"has 5 questions .* needs {FEWEST}"):
        check(made(tmp_path, TOWNS[:1]))


def test_a_data_set_without_anything_unanswerable_is_refused(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    one_title = replace(dataset, articles=tuple(replace(one, title="Towns") for one in dataset.articles))
    with pytest.raises(InputError, match="no question that nothing answers"):
        check(one_title)


def test_the_suggested_thresholds_are_where_few_answers_are_wrong() -> None:
    table = [
        Choice(0.1, coverage=1.0, of_answerable=1.0, risk=0.5, stray=0.9),
        Choice(0.3, coverage=0.8, of_answerable=0.99, risk=0.3, stray=0.05),
        Choice(0.5, coverage=0.6, of_answerable=0.7, risk=0.2, stray=0.01),
        Choice(0.7, coverage=0.3, of_answerable=0.3, risk=0.1, stray=0.0),
    ]
    assert suggest(table) == (0.3, 0.5)
    assert suggest(table[:2]) == (0.3, 0.3)
