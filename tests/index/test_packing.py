from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from index.errors import WeightsError
from index.packing import merge, pack

if TYPE_CHECKING:
    import torch

    from index.network import ReaderNetwork

pytestmark = pytest.mark.model  # torch alone takes seconds to import
WIDTH = 16


def network_of(seed: int) -> "ReaderNetwork":
    import torch

    from index.network import ReaderNetwork

    class Encoder(torch.nn.Module):
        """Words of its own and one layer; called as a BERT model."""

        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(50, WIDTH)
            self.layer = torch.nn.Linear(WIDTH, WIDTH)

        def forward(self, input_ids: torch.Tensor, **_: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(last_hidden_state=self.layer(self.words(input_ids)))

    torch.manual_seed(seed)
    return ReaderNetwork(Encoder(), WIDTH)


@pytest.fixture
def trained() -> "ReaderNetwork":
    """A network whose layer and heads were changed; its words were not, nor a row of the layer."""
    import torch

    network = network_of(1)
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "words" not in name:
                parameter.add_(0.01 * torch.randn_like(parameter))
        weight = "encoder.layer.weight"
        network.get_parameter(weight)[3] = network_of(1).get_parameter(weight)[3]
    return network


def saved(tensors: "dict[str, torch.Tensor]", folder: Path) -> Path:
    from safetensors.torch import save_file

    save_file(tensors, folder / "reader.safetensors")
    return folder / "reader.safetensors"


def pairs(one: "ReaderNetwork", other: "ReaderNetwork") -> "Iterator[tuple[str, torch.Tensor, torch.Tensor]]":
    others = other.state_dict()
    for name, tensor in one.state_dict().items():
        yield name, tensor, others[name]


def test_what_is_packed_and_merged_is_what_was_trained(trained: "ReaderNetwork", tmp_path: Path) -> None:
    import torch

    base, merged = network_of(1), network_of(1)
    merge(merged, saved(pack(trained, base.encoder), tmp_path))
    before = base.state_dict()
    for name, wanted, found in pairs(trained, merged):
        if name.startswith("encoder."):
            greatest = (wanted - before[name]).abs().amax(dim=-1, keepdim=True)
            assert bool(((wanted - found).abs() <= 0.005 * greatest + 1e-7).all()), name
        else:
            assert torch.equal(wanted, found), name
    difference = torch.cat([(wanted - before[name]).flatten() for name, wanted, _ in pairs(trained, merged)])
    off = torch.cat([(wanted - found).flatten() for _, wanted, found in pairs(trained, merged)])
    assert 0 < off.norm() / difference.norm() < 0.01


def test_what_training_left_alone_is_not_shipped(trained: "ReaderNetwork") -> None:
    import torch

    packed = pack(trained, network_of(1).encoder)
    assert {name for name in packed if name.startswith("encoder.")} == {
        f"encoder.layer.{kind}.{part}" for kind in ("weight", "bias") for part in ("q", "scale")
    }
    assert packed["encoder.layer.weight.q"].dtype == torch.int8
    assert packed["encoder.layer.weight.scale"].shape == (WIDTH, 1)
    assert packed["encoder.layer.bias.scale"].shape == (1,)
    assert packed["nearness"].dtype == torch.float32


@pytest.mark.parametrize(
    ("lost", "added", "message"),
    [
        ("encoder.layer.weight.scale", None, r"encoder\.layer\.weight\.q in another shape .* or half of it"),
        ("encoder.layer.weight.q", None, r"encoder\.layer\.weight\.scale .* or half of it"),
        ("ends.bias", None, r"lacks ends\.bias"),
        (None, "encoder.more.weight.q", "which this network has not"),
        (None, "more", "which this network has not"),
        ("extent", "extent", "extent in another shape"),
        ("encoder.layer.weight.scale", "encoder.layer.weight.scale", "scale in another shape"),
    ],
)
def test_weights_of_another_network_are_refused_and_change_nothing(
    trained: "ReaderNetwork", tmp_path: Path, lost: str | None, added: str | None, message: str
) -> None:
    import torch

    packed = pack(trained, network_of(1).encoder)
    if lost:
        del packed[lost]
    if added:
        packed[added] = torch.zeros(3)
    network = network_of(1)
    with pytest.raises(WeightsError, match=message):
        merge(network, saved(packed, tmp_path))
    for name, found, wanted in pairs(network, network_of(1)):
        assert torch.equal(found, wanted), name


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\0" * 64])
def test_damaged_weights_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "reader.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"reader\.safetensors cannot be read; install"):
        merge(network_of(1), tmp_path / "reader.safetensors")
    with pytest.raises(WeightsError, match=r"nothing cannot be read"):
        merge(network_of(1), tmp_path / "nothing")
