"""The shipped weights of the reader: what training changed in its encoder, in eight bits, and the heads whole.

For each changed parameter `P` of the encoder there are `encoder.P.q`, int8 of P's shape, and `encoder.P.scale`, float32
of shape (rows, 1), or (1,) where P has one dimension; q * scale is the difference to the public weights, to 0.4 % of
the greatest in its row. All other parameters of the network are float32 under their own names.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from index.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

_ENCODER = "encoder."
_WAY_OUT = "install Quoteline again"


def pack(network: "nn.Module", base: "nn.Module") -> "dict[str, Tensor]":
    """Return what is shipped of a trained network; base: its encoder as it was before training."""
    before = dict(base.named_parameters())
    packed: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        if not name.startswith(_ENCODER):
            packed[name] = parameter.detach().float().cpu().contiguous()
            continue
        difference = parameter.detach().float().cpu() - before[name.removeprefix(_ENCODER)].detach().float().cpu()
        if difference.any():
            packed[f"{name}.q"], packed[f"{name}.scale"] = _quantize(difference)
    return packed


def merge(network: "nn.Module", weights: Path) -> None:
    """Add the packed weights in the file `weights` to a network whose encoder is the one that they were packed with.

    Raises WeightsError where the file is not for this network; then the network is as it was.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        packed = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{weights} cannot be read; {_WAY_OUT}") from error
    parameters = dict(network.named_parameters())
    changed = dict(_changed(packed, parameters, weights))
    missing = [name for name in parameters if not name.startswith(_ENCODER) and name not in changed]
    if missing:
        raise WeightsError(f"{weights} lacks {', '.join(missing)}; {_WAY_OUT}")
    with torch.no_grad():
        for name, value in changed.items():
            parameters[name].copy_(value)


def _changed(
    packed: "Mapping[str, Tensor]", parameters: "Mapping[str, Tensor]", weights: Path
) -> "Iterator[tuple[str, Tensor]]":
    """Yield each parameter that the packed weights change, by name, with its new value."""
    for key, tensor in packed.items():
        name, _, kind = key.rpartition(".") if key.startswith(_ENCODER) else (key, "", "whole")
        known = parameters.get(name)
        if known is None or kind not in ("whole", "q", "scale"):
            raise WeightsError(f"{weights} holds {key}, which this network has not; {_WAY_OUT}")
        wanted = (*known.shape[:-1], 1) if kind == "scale" else tuple(known.shape)
        partner = packed.get(f"{name}.{'q' if kind == 'scale' else 'scale'}")
        if tuple(tensor.shape) != wanted or (kind != "whole" and partner is None):
            raise WeightsError(f"{weights} holds {key} in another shape than this network's, or half of it; {_WAY_OUT}")
        if kind == "whole":
            yield name, tensor
        elif kind == "q" and partner is not None:
            yield name, known + tensor.float() * partner


def _quantize(difference: "Tensor") -> "tuple[Tensor, Tensor]":
    import torch

    greatest = difference.abs().amax(dim=-1, keepdim=True)
    scale = greatest / 127
    # A row without a difference has no scale to divide by; it is divided by one.
    steps = torch.round(difference / torch.where(scale > 0, scale, torch.ones_like(scale)))
    return steps.to(torch.int8), scale
