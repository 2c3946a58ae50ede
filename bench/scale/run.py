"""The whole run: corpora, servers, peers, in that order; what is measured is written after each step."""

import datetime as dt
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench import report as machine
from bench.scale import plots, report, serving
from bench.scale.corpora import Corpora, adding_rate, disk_of, opened
from bench.scale.figures import At
from bench.scale.generate import Material, Questions
from bench.scale.peers.rounds import Round, Rounds
from bench.scale.quality import Searching, hits_of, recall_of
from bench.scale.serving import SETTINGS, Asks, Served
from bench.scale.targets import targets
from bench.scale.vectors import MixingEncoder
from index.encoding import DEFAULT_MODEL, Encoder, load_encoder
from index.reading import DEFAULT_READER, Reader, load_reader

# Passages that are handed to peers with their vectors.
HANDED = (10_000, 100_000)
_RECALLED = 200
# A first guess, of two cores; after the first corpus of some size the rate is its own.
_STORED_PER_SECOND = 500.0
_RATE_COUNTS_FROM = 5_000
_ENCODED_PER_SECOND = 40.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured. adding: passages that are added with the real encoder. home: of corpora and results."""

    sizes: tuple[int, ...]
    peers: tuple[str, ...]
    asks: Asks
    adding: int
    home: Path
    environments: Path
    models: Path


class Run:
    """One run of the bench."""

    def __init__(self, plan: Plan, material: Material, encoder: MixingEncoder) -> None:
        self._plan = plan
        self._material = material
        self._mixing = encoder
        self._real: Encoder = load_encoder(DEFAULT_MODEL, plan.models)
        self._reader: Reader | None = load_reader(DEFAULT_READER, plan.models)
        self._corpora = Corpora(plan.home / "corpora", material, encoder)
        self._figures: dict[int, At] = {}
        self._rounds: list[Round] = []
        self._started = time.monotonic()
        self._stored = _STORED_PER_SECOND

    def run(self) -> int:
        """Measure everything and print it; return 1 where a target was missed."""
        self._corpora.check_space(self._plan.sizes)
        for number, size in enumerate(self._plan.sizes):
            self._say(f"{size:,} passages; about {self._estimate(number) / 60:.0f} minutes left for all")
            self._figures[size] = self._measure(size)
            self._write()
        if self._plan.peers:
            self._compare()
        checked = targets(self._figures, self._rounds)
        for path in plots.draw(self._figures, self._rounds, self._plan.home):
            self._say(f"drawn in {path}")
        print(report.render(self._figures, self._rounds, checked))
        return int(any(target.verdict == "missed" for target in checked))

    def _measure(self, size: int) -> At:
        built = self._corpora.build(size)
        if built.per_second is not None:
            self._stored = built.per_second if built.added >= _RATE_COUNTS_FROM else self._stored
            self._say(f"  built: {built.per_second:,.0f} passages per second without encoding")
        disk = disk_of(self._corpora.corpus(size))
        served = tuple(self._serve(size))
        with opened(self._corpora.corpus(size), self._mixing) as corpus:
            recall = recall_of(corpus, self._material.questions[-_RECALLED:])
            self._say(f"  recall {recall:.4f}")
            asked = self._material.asked
            questions = [query.text for query in asked.queries]
            without, reading = Searching(corpus), Searching(corpus, self._reader)
            sentences = hits_of(asked, list(map(without.sentences, questions)))
            passages = hits_of(asked, list(map(without.passages, questions)))
            read = hits_of(asked, list(map(reading.sentences, questions)))
            self._say(f"  sentence hit@1 {sentences.hit_1:.3f}, with the reader {read.hit_1:.3f}")
        adding = adding_rate(self._corpora.corpus(size), self._real, self._material, self._plan.adding)
        self._say(f"  added {adding:.0f} passages per second with the real encoder")
        return At(size, built, disk, served, adding, recall, sentences, read, passages)

    def _serve(self, size: int) -> list[Served]:
        done = []
        for setting in SETTINGS:
            # Each server is a new one: it has no answer to any question yet.
            questions = Questions(self._material.questions[:-_RECALLED])
            log = self._plan.home / "server.log"
            one = serving.measure(self._corpora.data(size), self._plan.models, setting, questions, self._plan.asks, log)
            p50, crowd = one.load(1).percentile(50), one.load(16).per_second
            self._say(f"  {setting}: cold {one.cold:.1f} s, p50 {p50:.1f} ms, {crowd:.0f} asks/s from 16 clients")
            done.append(one)
        return done

    def _compare(self) -> None:
        rounds = Rounds(self._plan.peers, self._plan.environments, self._plan.models, self._material)
        self._say(f"peers: the {len(self._material.real):,} real articles")
        self._rounds.append(rounds.of_real_articles(self._mixing, self._asking()))
        self._write()
        for size in HANDED:
            if size in self._plan.sizes:
                self._say(f"peers: {size:,} passages, vectors handed in")
                self._rounds.append(rounds.of_corpus(self._corpora, size, self._mixing, self._asking()))
                self._write()

    def _asking(self) -> Questions:
        return Questions(self._material.questions)

    def _estimate(self, number: int) -> float:
        """Return the seconds that are left, roughly, before the corpus of that number is built."""
        total, there = 0.0, 0 if number == 0 else self._plan.sizes[number - 1]
        for size in self._plan.sizes[number:]:
            if self._corpora.built(size) is None:
                total += (size - there) / self._stored
            there = size
            # Starts, asks at each number of clients, and the rest that is asked.
            total += len(SETTINGS) * (20 + 5 * self._plan.asks.seconds)
            total += self._plan.adding / _ENCODED_PER_SECOND + 90
        handed = [size for size in HANDED if size in self._plan.sizes]
        return total + len(self._plan.peers) * (90 + 240 * len(handed))

    def _write(self) -> None:
        checked = targets(self._figures, self._rounds)
        content = {
            "measured_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "minutes": round((time.monotonic() - self._started) / 60, 1),
            "revision": machine.describe_revision(),
            "machine": machine.describe_machine(),
            "versions": machine.describe_versions(),
            **report.as_json(self._figures, self._rounds, checked),
        }
        path = self._plan.home / "figures.json"
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _say(self, what: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        print(f"[{minutes:3}:{seconds:02}] {what}", file=sys.stderr)
