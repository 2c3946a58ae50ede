"""What is trained on, and what is held out to choose and calibrate by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from training.entailing import sources
from training.entailing.events import event_pairs
from training.entailing.lexicon import load_lexicon
from training.entailing.pairs import Pair, held_out
from training.entailing.statements import Statements

# How often each labelled pair is seen, and how many pairs are drawn for each sentence.
PASSES = {"scifact": 8.0, "pubmedqa": 4.0, "strategyqa": 0.7, "squad": 1.5}
DRAWS = {"squad": 12, "scifact": 2, "pubmedqa": 4, "expertqa": 6, "quac": 9, "ewt": 12}
# SciFact's uncited abstracts are many; a share of them is enough.
ABSTRACTS = 1900
EVENTS = 14000
ALL = 1000


@dataclass(frozen=True, slots=True)
class Examples:
    """real: labelled by people, before they are varied; made: by rule, named "…, made". held_out: of both."""

    real: Sequence[Pair]
    made: Sequence[Pair]
    held_out: Sequence[Pair]

    def drawn(self, passes: Mapping[str, float], chance: Random) -> list[Pair]:
        """Return each source's pairs as often as `passes` says, varied anew each time, and once those made."""
        drawn: list[Pair] = []
        for source, times in passes.items():
            own = [pair for pair in self.real if pair.source == source]
            for _ in range(int(times)):
                drawn += [sources.varied(pair, chance) for pair in own]
            drawn += [sources.varied(pair, chance) for pair in chance.sample(own, int(len(own) * (times % 1)))]
        return drawn + chance.sample(self.made, len(self.made))


def load_examples(data: Path, wordnet: Path, seed: int) -> Examples:
    """Return the pairs of all sources, from the data sets in `data`."""
    chance = Random(seed)
    labelled = [
        *sources.scifact(data, "train", chance),
        *sources.pubmedqa(data, chance),
        *sources.strategyqa(data),
        *sources.squad(data, chance),
    ]
    found = list(sources.paragraphs(data))
    abstracts = [one for one in found if one.source == "scifact"]
    chance.shuffle(abstracts)
    found = [one for one in found if one.source != "scifact"] + abstracts[:ABSTRACTS]
    statements = Statements(load_lexicon(wordnet), found, chance)
    made: list[Pair] = []
    kept: list[Pair] = []
    for one in found:
        apart = held_out(one.source, one.group)
        pairs = [
            Pair(f"{pair.source}, made", pair.group, pair.premise, pair.hypothesis, pair.relation)
            for pair in statements.of(one, 1 if apart else DRAWS[one.source])
        ]
        (kept if apart else made).extend(pairs)
    for pair in event_pairs(EVENTS, chance):
        (kept if held_out("events", pair.group) else made).append(pair)
    kept = chance.sample(kept, min(len(kept), 1800))
    real = [pair for pair in labelled if not held_out(pair.source, pair.group)]
    kept += [pair for pair in labelled if pair.source != "scifact" and held_out(pair.source, pair.group)]
    # What stands beside the evidence is what a wrong relation is most often said of: here all of it.
    whole = sources.scifact(data, "train", Random(seed), aside=ALL)
    return Examples(real, made, [*kept, *(pair for pair in whole if held_out(pair.source, pair.group))])
