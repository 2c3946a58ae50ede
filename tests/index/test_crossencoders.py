from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from index import crossencoders
from index.articles import Span
from index.crossencoders import PairEntailment, PairReader, SpanReader
from index.entailment import Thresholds, load_entailment
from index.errors import EntailmentError, ReaderError
from index.reading import load_reader
from index.testing import check_entailment_contract, check_reader_contract
from index.torch_encoder import default_weights
from tests.index.test_reading import QUESTION, context_of

model = pytest.mark.model


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a folder with a model of two layers and chance, and the default tokenizer."""
    import torch
    import transformers

    def made(kind: str, **settings: Any) -> Path:  # noqa: ANN401 - of a configuration
        folder = tmp_path_factory.mktemp(kind)
        tokenizer = default_weights() / "tokenizer.json"
        transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_file=str(tokenizer),
            pad_token="[PAD]",  # noqa: S106 - a token of text
            unk_token="[UNK]",  # noqa: S106 - a token of text
            cls_token="[CLS]",  # noqa: S106 - a token of text
            sep_token="[SEP]",  # noqa: S106 - a token of text
            model_max_length=96,
        ).save_pretrained(folder)
        torch.manual_seed(5)
        config = transformers.BertConfig(
            vocab_size=30522,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=96,
            initializer_range=0.3,
            **settings,
        )
        getattr(transformers, kind)(config).save_pretrained(folder)
        return folder

    return made


@pytest.fixture(scope="module")
def pair_folder(build: Callable[..., Path]) -> Path:
    return build("BertForSequenceClassification", num_labels=1)


@pytest.fixture(scope="module")
def span_folder(build: Callable[..., Path]) -> Path:
    return build("BertForQuestionAnswering")


@pytest.fixture(scope="module")
def pair_reader(pair_folder: Path) -> PairReader:
    loaded = load_reader(str(pair_folder), pair_folder)
    assert isinstance(loaded, PairReader)
    return loaded


@pytest.fixture(scope="module")
def span_reader(span_folder: Path) -> SpanReader:
    loaded = load_reader(str(span_folder), span_folder)
    assert isinstance(loaded, SpanReader)
    return loaded


@model
def test_a_cross_encoder_keeps_the_contract(pair_reader: PairReader) -> None:
    check_reader_contract(pair_reader)


@model
def test_a_model_for_extractive_answers_keeps_the_contract(span_reader: SpanReader) -> None:
    check_reader_contract(span_reader)


@model
def test_a_cross_encoders_score_is_its_logit(pair_reader: PairReader, pair_folder: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(pair_folder)
    scored: Any = AutoModelForSequenceClassification.from_pretrained(pair_folder).eval()
    context = context_of("Drones", "Iran denies it.", "The drones were sent in August.")
    with torch.inference_mode():
        wanted = [
            scored(**tokenizer(QUESTION, span.of(context.text), return_tensors="pt")).logits.item()
            for span in context.spans
        ]
    [readings] = pair_reader.read(QUESTION, [context])
    assert [one.score for one in readings] == pytest.approx(wanted, abs=1e-3)
    assert max(map(abs, wanted)) > 0.01
    assert [one.part for one in readings] == [None, None]


@model
def test_of_two_classes_the_second_against_the_first_is_the_score(build: Callable[..., Path]) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = build("BertForSequenceClassification", num_labels=2)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    scored: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        logits = scored(**tokenizer(QUESTION, "Iran denies it.", return_tensors="pt")).logits[0]
    reader = load_reader(str(folder), folder)
    assert reader is not None
    [[found]] = reader.read(QUESTION, [context_of("", "Iran denies it.")])
    assert found.score == pytest.approx((logits[1] - logits[0]).item(), abs=1e-3)


@model
def test_only_a_sentence_that_points_back_is_read_with_what_it_points_to(pair_reader: PairReader) -> None:
    def scores(title: str, first: str) -> list[float]:
        context = context_of(title, first, "“I demand it,” he said.", "He wrote that.", "Iran denied that.")
        return [one.score for one in pair_reader.read(QUESTION, [context])[0]]

    one, other = scores("Drones", "Iran denies it."), scores("Weapons", "It was a Monday.")
    assert [abs(a - b) > 1e-4 for a, b in zip(one, other, strict=True)] == [True, False, True, False]


@model
def test_what_a_sentence_points_back_to_is_left_out_where_it_has_no_room(pair_reader: PairReader) -> None:
    def last(first: str) -> float:
        return pair_reader.read(QUESTION, [context_of("", first, "He wrote that.")])[0][1].score

    alone = pair_reader.read(QUESTION, [context_of("", "He wrote that.")])[0][0].score
    assert last("drones " * 100) == pytest.approx(alone, abs=1e-4)
    assert last("drones " * 10) != pytest.approx(alone, abs=1e-4)


@model
def test_a_sentences_score_is_its_best_part_against_no_answer(span_reader: SpanReader, span_folder: Path) -> None:
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(span_folder)
    answering: Any = AutoModelForQuestionAnswering.from_pretrained(span_folder).eval()
    context = context_of("Drones", "Iran denies it.", "Amir-Abdollahian wrote of the drones.")
    tokens = tokenizer(QUESTION, f"{context.title}. {context.text}", return_tensors="pt", return_offsets_mapping=True)
    offsets = tokens.pop("offset_mapping")[0] - len("Drones. ")
    with torch.inference_mode():
        logits = answering(**tokens)
    start, end = logits.start_logits[0], logits.end_logits[0]
    second = [index == 1 for index in tokens.sequence_ids(0)]
    [readings] = span_reader.read(QUESTION, [context])
    for found, span in zip(readings, context.spans, strict=True):
        inside = [
            place
            for place, (first, last) in enumerate(offsets.tolist())
            if second[place] and span.start <= first < last <= span.end
        ]
        best, places = max(
            ((start[one] + end[other]).item(), (one, other)) for one in inside for other in inside if one <= other
        )
        assert found.score == pytest.approx(best - (start[0] + end[0]).item(), abs=1e-3)
        assert found.part is not None
        assert found.part.covers(Span(int(offsets[places[0], 0]), int(offsets[places[1], 1])))


@model
def test_what_is_no_reader_is_refused_by_name(
    build: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    for name in (str(tmp_path / "empty"), str(tmp_path / "nothing")):
        with pytest.raises(ReaderError, match=r"cannot load .*QUOTELINE_READER"):
            load_reader(name, tmp_path)
    with pytest.raises(ReaderError, match=r"is a BertModel; it must be"):
        load_reader(str(build("BertModel")), tmp_path)
    with pytest.raises(ReaderError, match="tells 3 classes apart"):
        load_reader(str(build("BertForSequenceClassification", num_labels=3)), tmp_path)


@model
def test_a_reader_is_named_by_its_folder_and_what_is_in_it(span_reader: SpanReader, span_folder: Path) -> None:
    again = load_reader(str(span_folder), span_folder)
    assert again is not None
    assert again.name == span_reader.name
    assert again.name.startswith(span_folder.name)
    assert len(again.name) == len(span_folder.name) + 13


# To tell entailment with

NLI = {0: "CONTRADICTION", 1: "entailment", 2: "Neutral"}
PAIRS = [("Iran denies it.", "Iran sent drones."), ("The drones were sent in August.", "Were drones sent?")]


@pytest.fixture(scope="module")
def nli_folder(build: Callable[..., Path]) -> Path:
    return build("BertForSequenceClassification", id2label=NLI, classifier_dropout=0.0)


@pytest.fixture(scope="module")
def pair_entailment(nli_folder: Path) -> PairEntailment:
    loaded = load_entailment(str(nli_folder), nli_folder)
    assert isinstance(loaded, PairEntailment)
    return loaded


def softmax_of(folder: Path, pair: tuple[str, str]) -> list[float]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    judging: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        likely: list[float] = judging(**tokenizer(*pair, return_tensors="pt")).logits[0].softmax(-1).tolist()
    return likely


@model
def test_an_entailment_model_of_others_keeps_the_contract(pair_entailment: PairEntailment) -> None:
    check_entailment_contract(pair_entailment)


@model
def test_labels_are_found_by_name_in_any_order_and_case(pair_entailment: PairEntailment, nli_folder: Path) -> None:
    assert pair_entailment.thresholds == Thresholds(0.9, 0.9)
    for stance, pair in zip(pair_entailment.judge(PAIRS), PAIRS, strict=True):
        opposes, supports, _ = softmax_of(nli_folder, pair)
        assert (stance.supports, stance.opposes) == pytest.approx((supports, opposes), abs=1e-5)
        assert abs(supports - opposes) > 1e-3


@model
def test_of_two_labels_none_says_that_a_sentence_opposes(build: Callable[..., Path]) -> None:
    folder = build("BertForSequenceClassification", id2label={0: "entailment", 1: "not-entailment"})
    loaded = load_entailment(str(folder), folder, thresholds=Thresholds(0.7, 0.8))
    assert loaded is not None
    assert loaded.thresholds == Thresholds(0.7, 0.8)
    for stance, pair in zip(loaded.judge(PAIRS), PAIRS, strict=True):
        assert stance.supports == pytest.approx(softmax_of(folder, pair)[0], abs=1e-5)
        assert stance.opposes == 0


@model
def test_what_is_no_entailment_model_is_refused_by_name(build: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(EntailmentError, match=r"cannot load the entailment model .*QUOTELINE_ENTAILMENT"):
        load_entailment(str(tmp_path), tmp_path)
    with pytest.raises(EntailmentError, match=r"is a BertModel; it must be a cross-encoder"):
        load_entailment(str(build("BertModel")), tmp_path)
    with pytest.raises(EntailmentError, match=r"has the labels LABEL_0, LABEL_1, LABEL_2; it must have entailment"):
        load_entailment(str(build("BertForSequenceClassification", num_labels=3)), tmp_path)


@pytest.mark.parametrize(("load", "error"), [(load_reader, ReaderError), (load_entailment, EntailmentError)])
def test_without_what_runs_them_they_are_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Callable[..., object], error: type[Exception]
) -> None:
    monkeypatch.setattr(crossencoders, "find_spec", lambda _: None)
    with pytest.raises(error, match=r"'some/model' needs sentence-transformers; install quoteline\[prepare\]"):
        load("some/model", tmp_path)
