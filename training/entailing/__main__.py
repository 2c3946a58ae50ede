"""`python -m training.entailing DATA`: make pairs, train, calibrate, and write the weights that are shipped."""

import argparse
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from random import Random

import torch
from safetensors.torch import save_file

from index.encoding import DEFAULT_MODEL
from index.entailment_network import EntailmentNetwork
from index.packing import merge, pack
from index.reading import WEIGHTS, base_network
from index.torch_encoder import DEFAULT_SHA256, default_weights
from training.entailing.calibration import Calibration, calibrate, is_calibrated_on
from training.entailing.examples import PASSES, load_examples
from training.entailing.train import Recipe, logits_of, train

# Counted up with each release of weights.
NAME = "quoteline-entailment-1"
# A second stage on what people labelled, at a lower rate, made held-out claims worse, and so did the mean of both.
RECIPE = Recipe()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m training.entailing", description="Train the entailment model.")
    parser.add_argument("data", type=Path, help="the folder of the data sets")
    parser.add_argument(
        "--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="the folder of WordNet's files (%(default)s)"
    )
    parser.add_argument("--output", type=Path, default=Path("build/training"), help="for checkpoints (%(default)s)")
    parser.add_argument(
        "--weights", type=Path, help="`index/weights/entailment` to ship them (default: `entailment` in the output)"
    )
    parser.add_argument("--from", dest="checkpoint", type=Path, help="export this checkpoint instead of training")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    examples = load_examples(options.data, options.wordnet, RECIPE.seed)
    network = start()
    tokenizer = default_weights() / "tokenizer.json"
    if options.checkpoint:
        network.load_state_dict(torch.load(options.checkpoint, weights_only=True))
    else:
        drawn = examples.drawn(PASSES, Random(RECIPE.seed))
        for source, count in sorted(Counter(one.source for one in drawn).items()):
            print(f"{source}: {count}", file=sys.stderr)
        train(network, tokenizer, drawn, RECIPE, options.output / "entailment.pt")
    kept = [pair for pair in examples.held_out if is_calibrated_on(pair)]
    calibration = calibrate(kept, logits_of(network, tokenizer, kept))
    weights = export(network, calibration, options.weights or options.output / "entailment")
    print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB, thresholds {calibration.thresholds}", file=sys.stderr)


def start() -> EntailmentNetwork:
    """Return the network before training, upon the encoder of the reader that ships."""
    reader = base_network(default_weights(), attention="eager")
    merge(reader, WEIGHTS / "reader.safetensors")
    torch.manual_seed(RECIPE.seed)
    return EntailmentNetwork(reader.encoder, reader.ends.in_features)


def export(network: EntailmentNetwork, calibration: Calibration, folder: Path) -> Path:
    """Write the shipped weights of `network` to `folder`, in place of those there; return the larger file."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "entailment.safetensors"
    save_file(pack(network, base_network(default_weights()).encoder), weights)
    told = calibration.told()
    manifest = {
        "name": NAME,
        "base": DEFAULT_MODEL,
        "base_sha256": DEFAULT_SHA256["model.safetensors"],
        "sha256": {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()},
        "calibration": {"scale": told["scale"], "bias": told["bias"]},
        "thresholds": told["thresholds"],
    }
    (folder / "entailment.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return weights


if __name__ == "__main__":
    main()
