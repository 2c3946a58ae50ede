"""Export: a trained network -> the weights that are shipped, `reader.safetensors` and `reader.json`."""

import hashlib
import json
from pathlib import Path

from safetensors.torch import save_file

from index.encoding import DEFAULT_MODEL
from index.network import ReaderNetwork
from index.packing import pack
from index.reading import base_network
from index.torch_encoder import DEFAULT_SHA256, default_weights

# Counted up with each release of weights; the digest of the weights stands behind it where a reader is named.
NAME = "quoteline-reader-2"


def export(network: ReaderNetwork, folder: Path) -> Path:
    """Write the shipped weights of `network` to `folder`, in place of those there; return the larger file."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "reader.safetensors"
    save_file(pack(network, base_network(default_weights()).encoder), weights)
    told = {
        "name": NAME,
        "base": DEFAULT_MODEL,
        "base_sha256": DEFAULT_SHA256["model.safetensors"],
        "sha256": {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()},
    }
    (folder / "reader.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return weights
