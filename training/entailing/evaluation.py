"""`python -m training.entailing.evaluation DATA NEWS`: what the shipped model says of pairs that it has not seen.

SciFact's claims of the split "validation" with their evidence; the same among the other sentences of the abstracts; and
hand-written pairs about news.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

from index.entailment import DEFAULT_ENTAILMENT, Entailment, Stance, load_entailment
from service.settings import Settings
from training.entailing import sources
from training.entailing.pairs import NEITHER, OPPOSES, SUPPORTS, Pair
from training.sources import records

RELATIONS = {"supports": SUPPORTS, "opposes": OPPOSES, "neither": NEITHER}


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m training.entailing.evaluation")
    parser.add_argument("data", type=Path, help="the folder of the data sets")
    parser.add_argument("news", type=Path, help="pairs in JSON Lines: premise, hypothesis, relation")
    options = parser.parse_args()
    model = load_entailment(DEFAULT_ENTAILMENT, Settings().models_folder)
    if model is None:
        raise SystemExit("there is no entailment model")
    claims = list(sources.scifact(options.data, "validation", Random(1), aside=1000))
    gold = [pair for pair in claims if pair.relation != NEITHER]
    news = [
        Pair("news", "", one["premise"], one["hypothesis"], RELATIONS[one["relation"]]) for one in records(options.news)
    ]
    for name, pairs in (("gold sentences", gold), ("whole abstracts", claims), ("news", news)):
        stances = model.judge([(pair.premise, pair.hypothesis) for pair in pairs])
        print(json.dumps({"pairs": name} | figures(model, pairs, stances), indent=2))


def figures(model: Entailment, pairs: Sequence[Pair], stances: Sequence[Stance]) -> dict[str, float | int]:
    """Return the figures of pairs and what was said of them.

    two_classes: forced to choose, where the truth is no "neither"; macro_f1 of the same. For each relation at the
    model's threshold: how often it was said, the share of it that was right, and of what there was to say.
    """
    truth = [pair.relation for pair in pairs]
    forced = [SUPPORTS if one.supports >= one.opposes else OPPOSES for one in stances]
    decided = [(right, made) for right, made in zip(truth, forced, strict=True) if right != NEITHER]
    found: dict[str, float | int] = {
        "count": len(pairs),
        "two_classes": sum(right == made for right, made in decided) / len(decided),
        "macro_f1": sum(_f1(decided, relation) for relation in (SUPPORTS, OPPOSES)) / 2,
    }
    said = [RELATIONS[model.thresholds.said(one) or "neither"] for one in stances]
    for name in ("supports", "opposes"):
        here = [right == RELATIONS[name] for right, made in zip(truth, said, strict=True) if made == RELATIONS[name]]
        found |= {
            f"{name}_said": len(here),
            f"{name}_precision": sum(here) / max(len(here), 1),
            f"{name}_recall": sum(here) / max(truth.count(RELATIONS[name]), 1),
        }
    return found


def _f1(decided: Sequence[tuple[int, int]], relation: int) -> float:
    both = sum(right == made == relation for right, made in decided)
    either = sum(right == relation for right, _ in decided) + sum(made == relation for _, made in decided)
    return 2 * both / max(either, 1)


if __name__ == "__main__":
    main()
