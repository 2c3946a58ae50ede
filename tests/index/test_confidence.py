import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from index import reading
from index.articles import Passage, Sentence, Span
from index.confidence import (
    ANSWERED,
    OURS,
    PERHAPS,
    RETRIEVAL,
    Calibration,
    Judgement,
    calibration_for,
    judge,
    logistic,
    score,
)
from index.errors import CalibrationError
from index.retrieval import Candidate, Features

SILENT = Features(cosine=0.0, bm25=0.0, pairs=0.0, passage_cosine=0.0, passage_bm25=0.0, coverage=0.0)
COSINES = st.floats(-1, 1)
SHARES = st.floats(0, 1)
LOGITS = st.floats(-30, 30)
WEIGHTS = st.floats(-20, 20)
GOOD = {"reader": "r", "order": {"logit": 1}, "sentence": {"order": 1, "bias": -2}, "answer": {"odds": 1}}


def candidate(features: Features, fusion: float = 0.0) -> Candidate:
    sentence = Sentence("a", 0, Span(0, 1))
    return Candidate(sentence, Passage(1, "a", 0, 1), fusion, features, ())


def found(cosine: float, coverage: float, fusion: float = 0.0) -> Candidate:
    return candidate(replace(SILENT, cosine=cosine, coverage=coverage), fusion)


def answers(one: Candidate, logit: float = 0.0, calibration: Calibration = RETRIEVAL) -> float:
    return score(calibration, one, logit).probability


def judged(calibration: Calibration, candidates: list[Candidate], logits: list[float]) -> Judgement:
    scores = [score(calibration, one, logit) for one, logit in zip(candidates, logits, strict=True)]
    return judge(calibration, candidates, scores)


CANDIDATES = st.builds(found, COSINES, SHARES, st.floats(0, 3))
CALIBRATIONS = st.builds(
    Calibration,
    st.text(max_size=10),
    st.dictionaries(st.sampled_from(["logit", "fusion"]), WEIGHTS),
    st.dictionaries(st.sampled_from(["order", "cosine", "words", "bias"]), WEIGHTS),
    st.dictionaries(st.sampled_from(["odds", "bias"]), WEIGHTS),
)


# Probabilities


@given(CALIBRATIONS, st.lists(st.tuples(CANDIDATES, LOGITS), max_size=5))
def test_a_probability_lies_between_none_and_certainty(
    calibration: Calibration, read: list[tuple[Candidate, float]]
) -> None:
    assert all(0 <= answers(one, logit, calibration) <= 1 for one, logit in read)
    assert 0 <= judged(calibration, [one for one, _ in read], [logit for _, logit in read]).probability <= 1


@given(st.floats(allow_nan=False))
def test_no_odds_are_too_great(odds: float) -> None:
    assert 0 <= logistic(odds) <= 1
    assert logistic(odds) + logistic(-odds) == pytest.approx(1)


@given(SHARES, SHARES, SHARES)
def test_what_is_nearer_answers_rather(cosine: float, nearer: float, coverage: float) -> None:
    one, other = (answers(found(each, coverage)) for each in sorted([cosine, nearer]))
    assert one <= other


@given(st.floats(-1, 0.5), SHARES, SHARES)
def test_what_holds_more_of_the_question_answers_rather(cosine: float, coverage: float, more: float) -> None:
    one, other = (answers(found(cosine, each)) for each in sorted([coverage, more]))
    assert one <= other


@given(CANDIDATES, LOGITS, LOGITS)
def test_what_the_reader_likes_better_comes_first_and_answers_rather(
    one: Candidate, logit: float, better: float
) -> None:
    low, high = (score(OURS, one, each) for each in sorted([logit, better]))
    assert low.order <= high.order
    assert low.probability <= high.probability


@given(CANDIDATES, LOGITS, LOGITS)
def test_without_a_reader_no_logit_counts(one: Candidate, logit: float, other: float) -> None:
    assert score(RETRIEVAL, one, logit) == score(RETRIEVAL, one, other)


@given(COSINES, SHARES, SHARES, COSINES)
def test_what_a_corpus_or_a_question_scales_is_not_counted(
    cosine: float, coverage: float, share: float, passage: float
) -> None:
    features = replace(SILENT, cosine=cosine, coverage=coverage)
    scaled = replace(features, bm25=share, pairs=share, passage_bm25=share, passage_cosine=passage)
    assert answers(candidate(scaled)) == answers(candidate(features))


# Judgements


@given(st.lists(CANDIDATES, min_size=1))
def test_without_a_reader_any_answers_as_likely_as_the_likeliest(candidates: list[Candidate]) -> None:
    probability = judged(RETRIEVAL, candidates, [0.0] * len(candidates)).probability
    assert probability == max(map(answers, candidates))
    assert judged(RETRIEVAL, candidates[::-1], [0.0] * len(candidates)).probability == probability


@given(st.lists(st.tuples(CANDIDATES, LOGITS), min_size=1, max_size=5), LOGITS)
def test_a_better_reading_of_the_best_sentence_makes_an_answer_rather_likely(
    read: list[tuple[Candidate, float]], more: float
) -> None:
    candidates, logits = [one for one, _ in read], [logit for _, logit in read]
    before = judged(OURS, candidates, logits).probability
    best = max(range(len(read)), key=lambda place: answers(candidates[place], logits[place], OURS))
    logits[best] = max(logits[best], more)
    assert judged(OURS, candidates, logits).probability >= before


def test_the_best_sentence_alone_says_how_likely_an_answer_is() -> None:
    doubled = replace(OURS, sentence={"order": 1.0}, answer={"odds": 2.0, "bias": -1.0})
    two = [found(0, 0), found(0, 0)]
    assert judged(doubled, two, [3.0, 1.0]) == judged(doubled, two, [-9.0, 3.0])
    assert judged(doubled, two, [1.0, 3.0]).probability == pytest.approx(logistic(5))


def test_nothing_found_answers_nothing_and_is_about_nothing() -> None:
    assert judge(OURS, [], []) == Judgement(0.0, about=False)


@pytest.mark.parametrize("calibration", [RETRIEVAL, OURS])
def test_whether_anything_is_about_it_is_for_the_retriever_to_say(calibration: Calibration) -> None:
    near, far = found(0.6, 0.8), found(0.1, 0.1)
    assert judged(calibration, [far, near], [-20.0, -20.0]).about
    assert not judged(calibration, [far, far], [20.0, 20.0]).about


def test_a_sentence_about_something_else_does_not_answer_and_a_close_one_does() -> None:
    assert answers(found(0.2, 0.2)) < PERHAPS
    assert answers(found(0.75, 1.0)) > ANSWERED
    assert 0 < PERHAPS < ANSWERED < 1


# Calibrations


@given(st.text(min_size=1, max_size=20).map(lambda name: f"{OURS.reader}{name}") | st.text(min_size=1))
@example("quoteline-reader-1")
@example("quoteline-reader-1-0123456789ab")
def test_a_reader_that_is_not_ours_has_a_calibration_of_its_own(name: str) -> None:
    other = calibration_for(name)
    assert other.reader == name
    # What its log-odds mean nobody knows; that more of them are better can be relied on.
    assert other.order["logit"] > 0
    assert other.sentence == RETRIEVAL.sentence


def test_our_reader_s_calibration_was_made_for_the_very_weights_that_are_shipped() -> None:
    told = json.loads((reading.WEIGHTS / "reader.json").read_text(encoding="utf-8"))
    assert OURS.reader == f"{told['name']}-{told['sha256']['reader.safetensors'][:12]}"
    assert calibration_for(OURS.reader) == OURS
    assert calibration_for("") == RETRIEVAL


@given(CALIBRATIONS)
@settings(deadline=None)
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, calibration: Calibration) -> None:
    file = tmp_path_factory.mktemp("calibration") / "new" / "calibration.json"
    calibration.save(file)
    assert Calibration.load(file) == calibration
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"reader": "r"}',
        json.dumps({**GOOD, "order": None}).encode(),
        json.dumps({**GOOD, "answer": ["odds"]}).encode(),
        json.dumps({**GOOD, "sentence": {"order": "much"}}).encode(),
        json.dumps({**GOOD, "sentence": {"order": [1]}}).encode(),
    ],
)
def test_what_is_no_calibration_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "calibration.json"
    file.write_bytes(content)
    with pytest.raises(CalibrationError, match=r"calibration\.json is no calibration.*quoteline calibrate"):
        Calibration.load(file)


@pytest.mark.parametrize(
    ("part", "name", "weight"), [("order", "cosine", 1.0), ("answer", "lead", 1.0), ("answer", "odds", math.nan)]
)
def test_an_unknown_input_and_a_weight_that_is_no_number_are_refused(
    tmp_path: Path, part: str, name: str, weight: float
) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps({**GOOD, part: {name: weight}}), encoding="utf-8")
    with pytest.raises(CalibrationError, match=f"{part} the weight '{name}'"):
        Calibration.load(file)


def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.json", tmp_path):
        with pytest.raises(CalibrationError, match="quoteline calibrate"):
            Calibration.load(path)


def test_where_nothing_can_be_written_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(CalibrationError, match=r"calibration\.json cannot be written .*name another file"):
        OURS.save(tmp_path / "file" / "calibration.json")


def test_a_good_file_is_not_refused(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps(GOOD), encoding="utf-8")
    loaded = Calibration.load(file)
    assert answers(found(0, 0), 2.0, loaded) == 0.5
