import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import calibration as module
from bench.asking import Asked
from bench.calibration import as_source, calibrate, calibrate_with, fit, fit_order, folds_of, judged, suggest
from bench.metrics import Choice
from bench.quality import corpus_of
from index.articles import Article, Passage, Sentence, Span
from index.confidence import Calibration
from index.corpus import Corpus
from index.errors import CalibrationError
from index.ranking import PassageRead, Ranker
from index.reading import Reading
from index.retrieval import Candidate, Features, Retriever
from index.testing import HashingEncoder, OverlapReader
from service.settings import Settings
from tests.bench.test_asking import THINGS, TOWNS, made


def asked(logits: Sequence[float], *, evidence: int | None = None, kind: str = "all", title: str = "") -> Asked:
    """Return a question that met one passage; logits: of its sentences; evidence: which of them answers."""
    passage = Passage(1, "a", 0, len(logits))
    features = Features(cosine=0.5, bm25=0.0, pairs=0.0, passage_cosine=0.0, passage_bm25=0.0, coverage=0.6)
    sentences = [Sentence("a", number, Span(number, number + 1)) for number in range(len(logits))]
    return Asked(
        kind=kind,
        titles=frozenset({title}),
        answerable=evidence is not None,
        candidates=[Candidate(sentence, passage, 1.0, features, ()) for sentence in sentences],
        read=[PassageRead(passage, 0, [Reading(logit, None) for logit in logits])],
        evidence=frozenset() if evidence is None else frozenset({sentences[evidence]}),
    )


@pytest.fixture(scope="module")
def corpus() -> Iterator[Corpus]:
    texts = {town: " ".join(f"The {one} of {town} opened late." for one in THINGS) for town in TOWNS[:5]}
    articles = [Article(id=town, title=town, text=text, body=Span(0, len(text))) for town, text in texts.items()]
    with corpus_of(articles, HashingEncoder()) as made_corpus:
        yield made_corpus


CALIBRATIONS = st.builds(
    lambda fusion, steep, bias: Calibration(
        "overlap", {"logit": 1.0, "fusion": fusion}, {"order": steep, "bias": bias}, {"odds": 0.9, "bias": -0.2}
    ),
    *(st.floats(0, 4), st.floats(0.1, 2), st.floats(-6, 6)),
)


@settings(max_examples=25, deadline=None)
@given(CALIBRATIONS, st.sampled_from(THINGS), st.sampled_from(TOWNS[:7]), st.integers(1, 4))
def test_what_was_read_once_is_judged_as_the_product_judges_it(
    corpus: Corpus, calibration: Calibration, thing: str, town: str, depth: int
) -> None:
    question = f"Which {thing} of {town} opened?"
    ranker = Ranker(corpus, OverlapReader(), calibration, depth=depth)
    retrieved = Retriever(corpus).retrieve(question, top_k=max(10, ranker.wanted))
    read = tuple(ranker.read(question, retrieved.candidates))
    assert len(read) > 1 or depth == 1
    told = replace(asked([0.0]), candidates=retrieved.candidates, read=read)
    assert judged(told, calibration).ranking == replace(ranker.rank(question, retrieved), timings={})


def test_a_reader_that_knows_is_followed_and_one_that_does_not_is_refused() -> None:
    chance = random.Random(1)
    for sign in (1, -1):
        questions = [
            asked([sign * (5.0 * (row == place) + chance.random()) for row in range(4)], evidence=place)
            for place in [0, 1, 2, 3] * 20
        ]
        if sign > 0:
            assert fit_order(questions, "overlap")["logit"] == 1.0
        else:
            with pytest.raises(CalibrationError, match="choose another reader"):
                fit_order(questions, "overlap")


def known() -> list[tuple[float, Asked]]:
    """Return questions of three kinds, each with the share of its kind that is answered."""
    chance = random.Random(3)
    found = []
    for number in range(600):
        share, top = ((0.2, -2.0), (0.5, 0.0), (0.9, 3.0))[number % 3]
        logits = [top, *(top - 3 - chance.random() for _ in range(9))]
        evidence = 0 if chance.random() < share else None
        found.append((share, asked(logits, evidence=evidence, title=f"t{number % 7}")))
    return found


def test_a_fitted_probability_is_the_share_that_is_right() -> None:
    questions = known()
    fitted = fit([one for _, one in questions], "overlap")
    for share in (0.2, 0.5, 0.9):
        said = [judged(one, fitted).probability for wanted, one in questions if wanted == share]
        assert np.mean(said) == pytest.approx(share, abs=0.08)


def test_a_sentence_and_an_answer_have_one_input_each() -> None:
    fitted = fit([one for _, one in known()], "overlap")
    inputs = [set(part) for part in (fitted.order, fitted.sentence, fitted.answer)]
    assert inputs == [{"logit", "fusion"}, {"order", "bias"}, {"odds", "bias"}]
    assert fitted.sentence["order"] > 0
    assert fitted.answer["odds"] > 0


@pytest.mark.parametrize(("evidence", "said"), [(0, "right"), (None, "wrong")])
def test_where_all_is_right_or_wrong_nothing_is_fitted(evidence: int | None, said: str) -> None:
    with pytest.raises(CalibrationError, match=f"all that was found is {said}"):
        fit([asked([1.0], evidence=evidence)] * 9, "")


def test_no_title_is_in_two_folds() -> None:
    cases = [asked([0.0], title=f"title {number % 9}") for number in range(90)]
    folds = folds_of(cases)
    assert len(set(folds)) == 5
    assert len({(fold, min(one.titles)) for fold, one in zip(folds, cases, strict=True)}) == 9


def test_questions_of_one_title_are_spread_over_all_folds() -> None:
    assert set(folds_of([asked([0.0], title="one")] * 10)) == set(range(5))


def test_a_calibration_that_was_made_can_be_saved_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_of = calibrate_with(made(tmp_path), HashingEncoder(), OverlapReader(), 2, small=4)
    assert "of strays" in capsys.readouterr().out
    made_of.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == made_of
    assert eval(as_source(made_of), {"Calibration": Calibration}) == made_of  # noqa: S307 - our own source


def test_without_a_reader_retrieval_is_calibrated(tmp_path: Path) -> None:
    made_of = calibrate_with(made(tmp_path), HashingEncoder(), None, 2, small=4)
    assert (made_of.reader, made_of.order) == ("", {"fusion": 1.0})
    assert set(made_of.sentence) == {"cosine", "words", "bias"}


def test_what_is_set_is_what_is_calibrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*_: object, **__: object) -> HashingEncoder:
        return HashingEncoder()

    made(tmp_path)
    monkeypatch.setattr(module, "load_encoder", load)
    assert calibrate(tmp_path, Settings(data=tmp_path / "data", reader="none")).reader == ""
    assert "suggested" in capsys.readouterr().out
    assert not (tmp_path / "data").exists()


def test_the_suggested_thresholds_are_where_few_answers_are_wrong() -> None:
    table = [
        Choice(0.1, coverage=1.0, of_answerable=1.0, risk=0.5, stray=0.9),
        Choice(0.3, coverage=0.8, of_answerable=0.99, risk=0.3, stray=0.05),
        Choice(0.5, coverage=0.6, of_answerable=0.7, risk=0.2, stray=0.01),
        Choice(0.7, coverage=0.3, of_answerable=0.3, risk=0.1, stray=0.0),
    ]
    assert suggest(table) == (0.3, 0.5)
    assert suggest(table[:2]) == (0.3, 0.3)
