import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from index import entailment
from index import shipped as shipping
from index.encoding import DEFAULT_MODEL
from index.entailment import (
    Entailment,
    NetworkEntailment,
    OpenVinoEntailment,
    Scaling,
    Stance,
    Thresholds,
    base_network,
    load_entailment,
    store_entailment,
)
from index.errors import WeightsError
from index.packing import pack
from index.prepared import sha256_of
from index.testing import OverlapEntailment, check_entailment_contract
from index.torch_encoder import DEFAULT_SHA256, default_weights

if TYPE_CHECKING:
    from index.entailment_network import EntailmentNetwork

CHECKOUT = Path(__file__).parents[2]
SCALING = Scaling((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), Thresholds(0.9, 0.9))
model = pytest.mark.model

# What is said

SHARE = st.floats(0, 1)


@given(SHARE, SHARE, SHARE, SHARE)
def test_only_what_is_likely_enough_is_said_and_of_two_the_likelier(
    share: float, part: float, supports: float, opposes: float
) -> None:
    stance = Stance(share * part, share * (1 - part))
    thresholds = Thresholds(supports or 0.5, opposes or 0.5)
    said = thresholds.said(stance)
    if said is None:
        assert stance.supports < thresholds.supports
        assert stance.opposes < thresholds.opposes
    else:
        assert getattr(stance, said) >= getattr(thresholds, said)
        other = "opposes" if said == "supports" else "supports"
        assert getattr(stance, other) <= getattr(stance, said) or getattr(stance, other) < getattr(thresholds, other)


def test_an_infinite_threshold_is_never_reached() -> None:
    assert Thresholds(0.5, math.inf).said(Stance(0.0, 1.0)) is None
    assert Thresholds(0.5, math.inf).said(Stance(1.0, 0.0)) == "supports"


@pytest.mark.parametrize("wrong", [(-0.1, 0.5), (0.5, -0.1), (0.6, 0.5), (math.nan, 0.0)])
def test_what_cannot_be_probabilities_is_no_stance(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="not the probabilities"):
        Stance(*wrong)


@pytest.mark.parametrize("wrong", [(0.0, 0.9), (0.9, -1.0), (math.nan, 0.9)])
def test_thresholds_from_which_everything_would_be_said_are_none(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="everything would be said"):
        Thresholds(*wrong)


LOGITS = arrays.arrays(np.float32, st.tuples(st.integers(0, 9), st.just(3)), elements=st.floats(-80, 80, width=32))
THREE = st.tuples(*[st.floats(-9, 9)] * 3)


@given(LOGITS, THREE, THREE)
def test_logits_become_a_softmax_of_what_they_are_scaled_to(
    logits: NDArray[np.float32], scale: tuple[float, ...], bias: tuple[float, ...]
) -> None:
    stances = Scaling(scale, bias, Thresholds(0.9, 0.9)).stances(logits)
    assert len(stances) == len(logits)
    for stance, row in zip(stances, logits.tolist(), strict=True):
        scaled = [one * times + plus for one, times, plus in zip(row, scale, bias, strict=True)]
        total = sum(math.exp(one - max(scaled)) for one in scaled)
        assert stance.supports == pytest.approx(math.exp(scaled[0] - max(scaled)) / total, abs=1e-9)
        assert stance.opposes == pytest.approx(math.exp(scaled[1] - max(scaled)) / total, abs=1e-9)


# What is shipped beside the weights


def told() -> dict[str, Any]:
    each = {"supports": 1.0, "opposes": 2.0, "neither": 3.0}
    return {
        "calibration": {"scale": each, "bias": {**each, "opposes": -1}},
        "thresholds": {"supports": 0.8, "opposes": None},
    }


def written(folder: Path, content: object) -> Path:
    (folder / "entailment.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_scaling_and_thresholds_are_read_by_name_and_null_is_never_said(tmp_path: Path) -> None:
    found = Scaling.of(written(tmp_path, told()))
    assert found == Scaling((1, 2, 3), (1, -1, 3), Thresholds(0.8, math.inf))


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        told() | {"calibration": {"scale": {"supports": 1}, "bias": {}}},
        told() | {"calibration": {"scale": 1, "bias": 0}},
        told() | {"thresholds": {"supports": 0.8}},
        told() | {"thresholds": {"supports": 0.8, "opposes": 0.9, "neither": 0.5}},
        told() | {"thresholds": {"supports": 0, "opposes": 0.9}},
        told() | {"thresholds": None},
        told()
        | {"calibration": {part: dict.fromkeys(("supports", "opposes", "neither"), math.nan) for part in told()}},
    ],
)
def test_what_says_no_scaling_is_refused_by_name(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(WeightsError, match=r"entailment\.json cannot be read; install Quoteline again"):
        Scaling.of(written(tmp_path, wrong))
    with pytest.raises(WeightsError, match=r"entailment\.json cannot be read"):
        Scaling.of(tmp_path / "nowhere")


# The fake


def test_the_overlap_entailment_keeps_the_contract() -> None:
    check_entailment_contract(OverlapEntailment())


def test_to_the_overlap_entailment_words_support_and_a_not_opposes() -> None:
    judged = OverlapEntailment().judge(
        [
            ("Iran sent drones to Russia.", "Did Iran send drones?"),
            ("Iran denies sending drones to Russia.", "Did Iran send drones?"),
            ("It was a Monday.", "Did Iran send drones?"),
        ]
    )
    assert [(round(one.supports, 2), round(one.opposes, 2)) for one in judged] == [(0.65, 0), (0, 0.98), (0, 0)]


class Turned(OverlapEntailment):
    """Breaks the contract: gives the stances in another order."""

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        return super().judge(pairs)[::-1]


class Relative(OverlapEntailment):
    """Breaks the contract: probabilities are relative to the best of the call."""

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        found = super().judge(pairs)
        best = max((one.supports for one in found), default=0) or 1
        return [Stance(one.supports / best if not one.opposes else 0.0, one.opposes) for one in found]


class Deaf(OverlapEntailment):
    """Breaks the contract: reads no hypothesis."""

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        return super().judge([(premise, "Iran sent weaponry to Russia.") for premise, _ in pairs])


class Blind(OverlapEntailment):
    """Breaks the contract: reads no premise."""

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        return super().judge([(hypothesis, hypothesis) for _, hypothesis in pairs])


class Symmetric(OverlapEntailment):
    """Breaks the contract: does not tell premise from hypothesis."""

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        ones, others = super().judge(pairs), super().judge([(other, one) for one, other in pairs])
        return [
            Stance((one.supports + other.supports) / 2, (one.opposes + other.opposes) / 2)
            for one, other in zip(ones, others, strict=True)
        ]


class Crowded(OverlapEntailment):
    """Breaks the contract: a long hypothesis leaves nothing of the premise."""

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        return [
            found if len(hypothesis) < 1000 else Stance(0.5, 0.0)
            for found, (_, hypothesis) in zip(super().judge(pairs), pairs, strict=True)
        ]


class Backwards(OverlapEntailment):
    """Breaks the contract: of a long premise it reads the end."""

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Stance]:
        return super().judge([(premise[-1000:], hypothesis) for premise, hypothesis in pairs])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Turned(), "depends on the others"),
        (Relative(), "depends on the others"),
        (Deaf(), "hypothesis is not read"),
        (Blind(), "premise is not read"),
        (Symmetric(), "premise and hypothesis are as one"),
        (Crowded(), "leaves no room"),
        (Backwards(), "beginning of a long premise"),
        (OverlapEntailment(name=""), "without a name"),
    ],
)
def test_the_contract_says_what_is_broken(broken: Entailment, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_entailment_contract(broken)


# Ours, of another size: a network of two layers and chance


@pytest.fixture(scope="module")
def network() -> "EntailmentNetwork":
    import torch
    from transformers import BertConfig, BertModel

    from index.entailment_network import EntailmentNetwork

    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=0.3,
    )
    built = EntailmentNetwork(BertModel(config), 32)
    with torch.no_grad():
        built.relation.weight.normal_(std=0.5)
        built.compared.weight.normal_(std=0.3)
    return built.eval()


@pytest.fixture(scope="module")
def stored(network: "EntailmentNetwork", tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "entailment-tiny"
    tokenizer = default_weights() / "tokenizer.json"
    store_entailment(network, tokenizer, folder, name="tiny-1", model="tiny", weights="0" * 64)
    return folder


@pytest.fixture(scope="module")
def both(network: "EntailmentNetwork", stored: Path) -> tuple[Entailment, Entailment]:
    tokenizer = default_weights() / "tokenizer.json"
    in_torch = NetworkEntailment(network, tokenizer, SCALING, name="tiny-1", device="cpu")
    return OpenVinoEntailment(stored, SCALING), in_torch


@model
def test_the_network_s_logits_are_in_the_order_that_is_read() -> None:
    from index.entailment_network import RELATIONS

    assert RELATIONS == entailment._RELATIONS


@model
@pytest.mark.parametrize("number", [0, 1])
def test_our_entailment_keeps_the_contract_in_both_runtimes(both: tuple[Entailment, Entailment], number: int) -> None:
    check_entailment_contract(both[number])


@model
def test_the_two_runtimes_agree_at_every_length(both: tuple[Entailment, Entailment]) -> None:
    pairs = [
        ("drones " * premise, f"Did Iran {'really ' * hypothesis}send them?")
        for premise in (0, 3, 30, 50, 75, 120, 400)
        for hypothesis in (0, 5, 20, 80)
    ]
    one, other = (np.array([(found.supports, found.opposes) for found in some.judge(pairs)]) for some in both)
    # Processors that have bf16 round in it.
    assert np.abs(one - other).max() < 0.05
    assert one.std() > 0.05


@model
def test_what_is_converted_is_the_network_to_a_hundredth(network: "EntailmentNetwork", stored: Path) -> None:
    import openvino
    import torch

    from index.pairs import pad

    framer = entailment._framer(stored / "tokenizer.json")
    batch = pad(framer.frames([("Iran denies it.", "Did Iran send drones?"), ("They were sent in August.", "Sent?")]))
    inputs = [batch.ids, batch.mask, batch.types]
    with torch.inference_mode():
        wanted = network(*map(torch.from_numpy, inputs)).numpy()
    converted = openvino.Core().compile_model(stored / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    [found] = converted(inputs).values()
    assert found.shape == wanted.shape == (2, len(entailment._RELATIONS))
    assert np.abs(found - wanted).max() < 0.01
    assert wanted.std() > 0.3


JUDGE = """
import sys
from pathlib import Path
from index.entailment import OpenVinoEntailment, Scaling, Thresholds
scaling = Scaling((1, 1, 1), (0, 0, 0), Thresholds(0.9, 0.9))
[found] = OpenVinoEntailment(Path(sys.argv[1]), scaling).judge([("Iran denies it.", "Did Iran send drones?")])
assert 0 < found.supports < 1
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@model
def test_judging_imports_neither_torch_nor_transformers(stored: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", JUDGE, str(stored)], cwd=CHECKOUT, capture_output=True, text=True, check=True
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
    save_file(pack(trained, base.encoder), folder / "entailment.safetensors")
    torch.save(trained.state_dict(), folder.parent / "trained.pt")
    about = {
        "name": "quoteline-entailment-1",
        "base": DEFAULT_MODEL,
        "base_sha256": DEFAULT_SHA256["model.safetensors"],
        "sha256": {"entailment.safetensors": sha256_of(folder / "entailment.safetensors")},
    }
    return written(folder, told() | about)


@model
def test_the_shipped_entailment_is_prepared_once_and_judges_as_it_was_trained(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(entailment, "WEIGHTS", shipped)
    digest = sha256_of(shipped / "entailment.safetensors")[:12]
    first = load_entailment("quoteline", tmp_path / "models")
    assert isinstance(first, OpenVinoEntailment)
    assert first.name == f"quoteline-entailment-1-{digest}"
    assert first.thresholds == Thresholds(0.8, math.inf)
    assert [path.name for path in (tmp_path / "models").iterdir()] == [f"entailment-{digest}"]
    trained = base_network(default_weights())
    trained.load_state_dict(torch.load(shipped.parent / "trained.pt"))
    scaling, tokenizer = Scaling.of(shipped), default_weights() / "tokenizer.json"
    pairs = [("Iran denies it.", "Did Iran send drones?"), ("The drones were sent in August.", "Sent?")]
    in_torch = NetworkEntailment(trained, tokenizer, scaling, name="trained", device="cpu")
    one, other = (
        np.array([(found.supports, found.opposes) for found in some.judge(pairs)]) for some in (first, in_torch)
    )
    assert np.abs(one - other).max() < 0.03
    assert np.ptp(one) > 0.1

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("what is prepared was prepared again")

    monkeypatch.setattr(shipping, "store", refuse)
    again = load_entailment("quoteline", tmp_path / "models", thresholds=Thresholds(0.6, 0.7))
    assert again is not None
    assert again.judge(pairs) == first.judge(pairs)
    assert again.thresholds == Thresholds(0.6, 0.7)


def test_no_entailment_is_none(tmp_path: Path) -> None:
    assert load_entailment("none", tmp_path) is None
