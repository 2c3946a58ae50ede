"""Speed, memory and quality by the size of a corpus, beside peers: `python -m bench.scale`."""

import argparse
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.scale.generate import CHECKOUT, DEFAULT_DATA, load_material
from bench.scale.peers.running import PEERS
from bench.scale.run import Plan, Run
from bench.scale.serving import Asks
from bench.scale.vectors import MixingEncoder, load_vectors
from index.encoding import DEFAULT_MODEL, load_encoder
from index.errors import InputError, QuotelineError
from service.settings import Settings

SIZES = (1_000, 10_000, 100_000, 300_000, 1_000_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark as a command; return 1 where a target was missed. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", default=SIZES, help="passages of each corpus")
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        metavar="DIR",
        default=DEFAULT_DATA,
        help="data sets in BEIR's layout: one with questions and evidence.jsonl, then those whose sentences are used",
    )
    parser.add_argument(
        "--peers", nargs="+", metavar="NAME", default=PEERS, help=f"{', '.join(PEERS)}; or none (default: all)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", default=CHECKOUT / "var" / "bench-scale", help="corpora, figures, plots"
    )
    parser.add_argument("--asks", type=int, default=1000, metavar="N", help="questions at each number of clients")
    parser.add_argument("--seconds", type=float, default=15, metavar="S", help="and the most seconds that they take")
    parser.add_argument("--adding", type=int, default=1000, metavar="N", help="passages added with the real encoder")
    parser.add_argument("--fresh", action="store_true", help="build all corpora anew")
    options = parser.parse_args(arguments)
    plan = Plan(
        sizes=tuple(sorted(set(options.sizes))),
        peers=_peers(options.peers),
        asks=Asks(options.asks, options.seconds),
        adding=options.adding,
        home=options.output,
        environments=CHECKOUT / "var" / "bench-peers",
        models=Settings.model_validate({}).models_folder,
    )
    # By itself SIGTERM would leave servers and peers running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    material = load_material(options.data)
    if options.fresh:
        shutil.rmtree(plan.home / "corpora", ignore_errors=True)
    encoder = load_encoder(DEFAULT_MODEL, plan.models)
    print(f"the vectors of {len(material.sentences):,} sentences, encoded once for good …", file=sys.stderr)
    vectors = load_vectors(encoder, material.sentences, plan.home)
    return Run(plan, material, MixingEncoder(encoder, material.sentences, vectors)).run()


def _peers(names: Sequence[str]) -> tuple[str, ...]:
    if "none" in names:
        return ()
    if unknown := [name for name in names if name not in PEERS]:
        raise InputError(f"there is no peer {unknown[0]}; there are {', '.join(PEERS)}")
    return tuple(names)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QuotelineError as error:
        sys.exit(f"bench.scale: {error}")
