import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from index import reading
from index import shipped as shipping
from index.articles import Article, Span
from index.encoding import DEFAULT_MODEL, Context
from index.frames import Framer, pad
from index.packing import pack
from index.prepared import sha256_of
from index.reading import (
    SENTENCES,
    UNREAD,
    NetworkReader,
    OpenVinoReader,
    Reader,
    Reading,
    base_network,
    load_reader,
    store_reader,
)
from index.testing import OverlapReader, check_reader_contract
from index.torch_encoder import DEFAULT_SHA256, default_weights

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

    monkeypatch.setattr(shipping, "store", refuse)
    again = load_reader("quoteline", tmp_path / "models")
    assert again is not None
    assert again.read(QUESTION, contexts) == first.read(QUESTION, contexts)


def test_no_reader_is_none(tmp_path: Path) -> None:
    assert load_reader("none", tmp_path) is None
