import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from index import reading
from index.articles import Article, Span
from index.encoding import DEFAULT_MODEL, DEFAULT_SHA256, Context, default_weights
from index.errors import ReaderError, WeightsError
from index.frames import Framer, pad
from index.packing import pack
from index.prepared import sha256_of
from index.reading import (
    LONGEST_PART,
    SENTENCES,
    UNREAD,
    NetworkReader,
    OpenVinoReader,
    PairReader,
    Reader,
    Reading,
    SpanReader,
    base_network,
    load_reader,
    prepare_reader,
    store_reader,
)
from index.testing import OverlapReader, check_reader_contract

if TYPE_CHECKING:
    from index.network import ReaderNetwork

CHECKOUT = Path(__file__).parents[2]
QUESTION = "Did Iran deny sending drones to Russia?"
model = pytest.mark.model


def context_of(title: str, *sentences: str) -> Context:
    spans: list[Span] = []
    for sentence in sentences:
        start = spans[-1].end + 1 if spans else 0
        spans.append(Span(start, start + len(sentence)))
    return Context(title, " ".join(sentences), tuple(spans))


# The fake


def test_the_overlap_reader_keeps_the_contract() -> None:
    check_reader_contract(OverlapReader())
    check_reader_contract(OverlapReader(window=60))


def test_to_the_overlap_reader_the_sentence_that_shares_words_answers() -> None:
    context = context_of("", "It was a Monday.", "Iran did deny sending drones to Russia.", "Iran is a country.")
    [readings] = OverlapReader().read(QUESTION, [context])
    assert [round(one.score, 1) for one in readings] == [-6, 6, -4.3]
    assert readings[0].part is None
    assert readings[1].part is not None
    assert readings[1].part.of(context.text) == "Iran did deny sending drones to Russia"


class Turned(OverlapReader):
    """Breaks the contract: gives passages in another order."""

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        return super().read(question, passages)[::-1]


class Relative(OverlapReader):
    """Breaks the contract: scores are relative to the best of the call."""

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        found = super().read(question, passages)
        best = max((one.score for readings in found for one in readings), default=0)
        return [[Reading(max(one.score - best, UNREAD), one.part) for one in readings] for readings in found]


class Leaving(OverlapReader):
    """Breaks the contract: parts reach into the next sentence."""

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        return [
            [dataclasses.replace(one, part=one.part and Span(one.part.start, one.part.end + 100)) for one in readings]
            for readings in super().read(question, passages)
        ]


class Deaf(OverlapReader):
    """Breaks the contract: reads no question."""

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        return super().read(QUESTION, passages)


class Short(OverlapReader):
    """Breaks the contract: leaves out sentences that it did not read."""

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        return [[one for one in readings if one.score > UNREAD] for readings in super().read(question, passages)]


class Blind(OverlapReader):
    """Breaks the contract: a long question leaves nothing of the passage."""

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        found = super().read(question, passages)
        return found if len(question) < 1000 else [[Reading(UNREAD, None) for _ in readings] for readings in found]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Turned(), "readings|depend"),
        (Relative(), "depend on the others"),
        (Leaving(), "leaves its sentence"),
        (Deaf(), "question is not read"),
        (Short(window=60), "120 sentences"),
        (Blind(), "first sentence of a long passage"),
    ],
)
def test_the_contract_says_what_is_broken(broken: Reader, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_reader_contract(broken)


# The part that answers

FINITE = st.floats(-50, 50, width=32)


@given(st.integers(1, 50).flatmap(lambda tokens: arrays.arrays(np.float32, (tokens, 2), elements=FINITE)))
def test_the_best_part_is_the_best_of_all_that_are_short_enough(ends: reading.Floats) -> None:
    score, (first, last) = reading._best(ends[:, 0], ends[:, 1])
    allowed = [
        ends[start, 0] + ends[end, 1]
        for start in range(len(ends))
        for end in range(start, min(start + LONGEST_PART, len(ends)))
    ]
    assert score == pytest.approx(max(allowed), abs=1e-5)
    assert 0 <= last - first < LONGEST_PART
    assert score == pytest.approx(ends[first, 0] + ends[last, 1], abs=1e-5)


@pytest.mark.parametrize(
    ("sentence", "piece", "wanted"),
    [
        ("Amir-Abdollahian denies it.", "oll", "Abdollahian"),
        ("He went to Bogota\u0301s cafe\u0301.", "cafe", "cafe\u0301"),
        ("It cost 2,400 dollars.", "2", "2"),
        ("Send 👩\u200d👧 now.", "👩", "👩\u200d👧"),
        ("会談が行われた。", "談", "談"),
        ("“Yes”, he said.", "Yes", "Yes"),
        ("drones", "r", "drones"),
        ("It denies it.", "denies it", "denies it"),
    ],
)
def test_a_part_is_whole_words(sentence: str, piece: str, wanted: str) -> None:
    before = "before"
    text = before + sentence + "after"
    start = text.index(piece, len(before))
    span = Span(len(before), len(before) + len(sentence))
    offsets = np.array([[start, start + len(piece)]])
    assert reading._part(text, span, offsets, (0, 0)).of(text) == wanted


# Ours, of another size: a network of two layers and chance


@pytest.fixture(scope="module")
def network() -> "ReaderNetwork":
    import torch
    from transformers import BertConfig, BertModel

    from index.network import ReaderNetwork

    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=0.3,
    )
    built = ReaderNetwork(BertModel(config), 32)
    with torch.no_grad():
        built.ends.weight.normal_(std=0.4)
        built.sentence.weight.normal_(std=0.3)
    return built.eval()


@pytest.fixture(scope="module")
def stored(network: "ReaderNetwork", tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "reader-tiny"
    store_reader(network, default_weights() / "tokenizer.json", folder, name="tiny-1", model="tiny", weights="0" * 64)
    return folder


@pytest.fixture(scope="module")
def both(network: "ReaderNetwork", stored: Path) -> tuple[OpenVinoReader, NetworkReader]:
    torch_reader = NetworkReader(network, default_weights() / "tokenizer.json", name="tiny-1", device="cpu")
    return OpenVinoReader(stored), torch_reader


def contexts_of(articles: Sequence[Article]) -> list[Context]:
    """Return passages of one to six sentences, with and without titles, one of which no frame holds."""
    contexts = []
    for article in articles:
        sentences = [f"{piece.strip()}." for piece in article.body.of(article.text).split(".") if piece.strip()]
        for number, size in enumerate((1, 3, 6, 40)):
            contexts.append(context_of("" if number % 2 else article.title or "", *sentences[:size]))
    return contexts


@model
@pytest.mark.parametrize("number", [0, 1])
def test_our_reader_keeps_the_contract_in_both_runtimes(both: tuple[Reader, Reader], number: int) -> None:
    check_reader_contract(both[number])


@model
def test_the_two_runtimes_agree(both: tuple[Reader, Reader], seeds: list[Article]) -> None:
    contexts = contexts_of(seeds)
    parts = []
    for question in (QUESTION, "Who tweeted?", "👩\u200d👧?", "x " * 300):
        ours, theirs = ([one for found in reader.read(question, contexts) for one in found] for reader in both)
        one, other = (np.array([found.score for found in some]) for some in (ours, theirs))
        assert np.array_equal(one == UNREAD, other == UNREAD)
        assert 0 < (one == UNREAD).sum() < len(one) / 2
        # Processors that have bf16 round in it: a logit of 8 to 0.06.
        assert np.abs(one - other).max() < 0.15
        ranked = one[np.argsort(other)]
        assert np.all(ranked[1:] - ranked[:-1] > -0.15)
        parts += [found.part == wanted.part for found, wanted in zip(ours, theirs, strict=True)]
    # Two that are nearly as good may change places.
    assert np.mean(parts) > 0.95


@model
def test_what_is_converted_is_the_network_to_a_hundredth(
    network: "ReaderNetwork", stored: Path, seeds: list[Article]
) -> None:
    import openvino
    import torch
    from tokenizers import Tokenizer

    framer = Framer(Tokenizer.from_file(str(stored / "tokenizer.json")))
    batch = pad(framer.frames(QUESTION, contexts_of(seeds)))
    inputs = [batch.ids, batch.mask, batch.types, batch.members, batch.numbers]
    with torch.inference_mode():
        wanted = [output.numpy() for output in network(*map(torch.from_numpy, inputs))]
    converted = openvino.Core().compile_model(stored / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for found, output in zip(converted(inputs).values(), wanted, strict=True):
        assert found.shape == output.shape
        read = output > UNREAD / 2
        assert np.abs(found - output)[read].max() < 0.01
        assert np.all(found[~read] < UNREAD)
        assert output[read].std() > 0.5


@model
def test_a_passage_of_many_sentences_is_read_as_one_of_few(both: tuple[Reader, Reader]) -> None:
    context = context_of("", *(f"Drone {number}." for number in range(SENTENCES + 9)))
    one, other = (np.array([found.score for found in reader.read(QUESTION, [context])[0]]) for reader in both)
    assert np.abs(one - other).max() < 0.15
    assert one.min() > UNREAD
    assert one.std() > 0.1


@model
def test_parts_are_whole_words_of_their_sentence(both: tuple[Reader, Reader], seeds: list[Article]) -> None:
    contexts = contexts_of(seeds)
    longest = 0
    for context, readings in zip(contexts, both[0].read(QUESTION, contexts), strict=True):
        for found, sentence in zip(readings, context.spans, strict=True):
            assert (found.part is None) == (found.score == UNREAD)
            if found.part:
                assert sentence.covers(found.part)
                around = f" {context.text} "
                first, last = found.part.start + 1, found.part.end + 1
                assert not (around[first - 1].isalnum() and around[first].isalnum())
                assert not (around[last - 1].isalnum() and around[last].isalnum())
                longest = max(longest, len(found.part.of(context.text).split()))
    assert longest > 1


@model
@pytest.mark.parametrize("name", ["model.bin", "model.xml", "tokenizer.json"])
def test_a_prepared_file_that_was_changed_is_refused_by_name(stored: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "reader-tiny"
    shutil.copytree(stored, folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name} is not the file.*remove .* prepared again"):
        OpenVinoReader(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"name": "x"}', b"\xff"])
def test_a_damaged_manifest_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "reader.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"reader\.json cannot be read; remove .* prepared again"):
        OpenVinoReader(tmp_path)
    with pytest.raises(WeightsError, match=r"reader\.json cannot be read; install"):
        prepare_reader(tmp_path, tmp_path / "models")


@model
def test_storing_is_whole_or_not_at_all(
    network: "ReaderNetwork", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object, __: object, path: Path) -> None:
        path.write_text("half of")
        raise OSError("no space left")

    tokenizer = default_weights() / "tokenizer.json"
    monkeypatch.setattr(reading, "convert", broken)
    with pytest.raises(ReaderError, match="cannot be converted"):
        store_reader(network, tokenizer, tmp_path / "models" / "reader", name="x", model="x", weights="x")
    assert list((tmp_path / "models").iterdir()) == []
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(ReaderError, match="QUOTELINE_MODELS"):
        store_reader(network, tokenizer, tmp_path / "file" / "reader", name="x", model="x", weights="x")


READ = """
import sys
from pathlib import Path
from index.articles import Span
from index.encoding import Context
from index.reading import OpenVinoReader
found = OpenVinoReader(Path(sys.argv[1])).read("Who?", [Context("", "Iran denies it.", (Span(0, 15),))])
assert found[0][0].part
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@model
def test_reading_imports_neither_torch_nor_transformers(stored: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ, str(stored)], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert "openvino" in imported
    assert not imported & {"torch", "transformers", "sentence_transformers", "safetensors"}


# Ours, from its shipped weights


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights as training writes it, of a network that chance has trained."""
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("weights")
    trained, base = base_network(default_weights()), base_network(default_weights())
    torch.manual_seed(4)
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            if "embeddings" not in name and "pooler" not in name:
                parameter.add_(0.02 * torch.randn_like(parameter))
    save_file(pack(trained, base.encoder), folder / "reader.safetensors")
    torch.save(trained.state_dict(), folder.parent / "trained.pt")
    told = {
        "name": "quoteline-reader-1",
        "base": DEFAULT_MODEL,
        "base_sha256": DEFAULT_SHA256["model.safetensors"],
        "sha256": {"reader.safetensors": sha256_of(folder / "reader.safetensors")},
        "seed": 4,
    }
    (folder / "reader.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


@model
def test_the_shipped_reader_is_prepared_once_and_reads_as_it_was_trained(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: list[Article]
) -> None:
    import torch

    monkeypatch.setattr(reading, "WEIGHTS", shipped)
    digest = sha256_of(shipped / "reader.safetensors")[:12]
    first = load_reader("quoteline", tmp_path / "models")
    assert isinstance(first, OpenVinoReader)
    assert first.name == f"quoteline-reader-1-{digest}"
    assert [path.name for path in (tmp_path / "models").iterdir()] == [f"reader-{digest}"]
    assert (tmp_path / "models" / f"reader-{digest}").stat().st_mode & 0o777 == 0o755
    trained = base_network(default_weights())
    trained.load_state_dict(torch.load(shipped.parent / "trained.pt"))
    wanted = NetworkReader(trained, default_weights() / "tokenizer.json", name="trained", device="cpu")
    contexts = contexts_of(seeds)[:3]
    one, other = (
        np.array([found.score for some in reader.read(QUESTION, contexts) for found in some])
        for reader in (first, wanted)
    )
    assert np.abs(one - other).max() < 0.1

    def refuse(*_: object) -> None:
        raise AssertionError("what is prepared was prepared again")

    monkeypatch.setattr(reading, "prepare_reader", refuse)
    again = load_reader("quoteline", tmp_path / "models")
    assert again is not None
    assert again.read(QUESTION, contexts) == first.read(QUESTION, contexts)


def changed(told: dict[str, Any]) -> dict[str, Any]:
    return told | {"sha256": {"reader.safetensors": "0" * 64}}


def other_base(told: dict[str, Any]) -> dict[str, Any]:
    return told | {"base_sha256": "0" * 64}


def unnamed(told: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if key != "base"}


@model
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed, r"reader\.safetensors is not the file.*install Quoteline again"),
        (other_base, "trained from other weights"),
        (unnamed, r"reader\.json cannot be read"),
    ],
)
def test_weights_that_are_not_those_that_were_shipped_are_refused(
    shipped: Path, tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(shipped, weights)
    told = json.loads((weights / "reader.json").read_text(encoding="utf-8"))
    (weights / "reader.json").write_text(json.dumps(change(told)), encoding="utf-8")
    with pytest.raises(WeightsError, match=message):
        prepare_reader(weights, tmp_path / "models")
    assert not list(tmp_path.glob("models/*"))


def test_without_torch_what_is_not_prepared_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reader.json").write_text(
        json.dumps({"name": "x", "base": "x", "base_sha256": "x", "sha256": {"reader.safetensors": "0" * 64}})
    )
    monkeypatch.setattr(reading, "find_spec", lambda _: None)
    monkeypatch.setattr(reading, "WEIGHTS", tmp_path)
    with pytest.raises(ReaderError, match="quoteline prepare"):
        load_reader("quoteline", tmp_path / "models")
    with pytest.raises(ReaderError, match=r"install quoteline\[prepare\]"):
        load_reader("some/model", tmp_path / "models")


def test_no_reader_is_none(tmp_path: Path) -> None:
    assert load_reader("none", tmp_path) is None


# Others


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
