"""The whole: quality and speed of Quoteline on one data set, beside what most people would build, in one run."""

import argparse
import datetime as dt
import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import quality, reading, report, speed
from bench.baseline import Baseline, TorchModel
from bench.datasets import Dataset, load_dataset
from bench.quality import Indexed, Quality
from bench.reading import ReadingFigures
from bench.report import Figure
from bench.servers import Ours, System, Theirs, serving
from bench.speed import Asking, Starting
from index.confidence import RETRIEVAL, calibration_for
from index.corpus import Corpus
from index.encoding import DEFAULT_MODEL, load_encoder
from index.errors import InputError
from index.ranking import READ, Ranker
from index.reading import DEFAULT_READER, load_reader
from index.retrieval import LONGEST_QUESTION
from service.settings import Settings

_HERE = Path(__file__).resolve().parent
SEEDS = _HERE / "seeds"
RESULTS = _HERE / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark as a command; return its exit code. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "folder", metavar="DIR", type=Path, nargs="?", default=SEEDS, help="a data set in BEIR's layout"
    )
    parser.add_argument("--questions", type=int, metavar="N", help="ask only N of the questions, the same in every run")
    parser.add_argument("--no-baseline", action="store_true", help="measure ours alone, without torch")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes (default: bench/results/)")
    options = parser.parse_args(arguments)
    dataset = load_dataset(options.folder)
    if options.questions is not None:
        dataset = dataset.sample(options.questions)
    # By itself SIGTERM would leave the servers running and the temporary folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    output = options.output or RESULTS / f"{dataset.name}-{dt.datetime.now(dt.UTC):%Y-%m-%d-%H%M%S}.json"
    bench(dataset, baseline=not options.no_baseline, output=output)
    return 0


def bench(dataset: Dataset, *, baseline: bool, output: Path) -> None:
    """Measure, print the table, and write the JSON to `output`."""
    models = Settings.model_validate({}).models_folder
    _say(f"{dataset.name}: {len(dataset.articles):,} articles, {len(dataset.queries):,} questions")
    with tempfile.TemporaryDirectory(prefix="quoteline-bench-") as folder:
        measured = _measure(dataset, models, Path(folder), baseline=baseline)
    figures = measured.figures()
    print(f"\n{report.render_table(figures)}\n")
    output.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "data_set": _describe(dataset, measured),
        "measured_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "revision": report.describe_revision(),
        "machine": report.describe_machine(),
        "versions": report.describe_versions(),
        "figures": report.figures_as_json(figures),
        "reading": asdict(measured.reading),
    }
    print(f"{reading.render_reading(measured.reading)}\n")
    output.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    _say(f"written to {output}")
    picture = output.with_suffix(".png")
    drawn = reading.plot(measured.reading, picture)
    _say(f"drawn in {picture}" if drawn else "not drawn: matplotlib, of the extra `dev`, is not installed")


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that was measured; in each tuple ours comes first, then the baseline where it was measured.

    fused: ours by fusion alone; reading: the same with the reader.
    """

    indexed: Indexed
    fused: Quality
    reading: ReadingFigures
    theirs: Quality | None
    encoding: tuple[float, ...]
    starting: tuple[Starting, ...]
    asking: tuple[Asking, ...]

    def figures(self) -> list[Figure]:
        """Return the figures in the order in which they are read."""
        rows: list[tuple[str, str, Sequence[float | None], bool]] = [
            *self._ranks(),
            ("passage recall@20", "", [self.fused.recall_20], True),
            ("passage recall@50", "", [self.fused.recall_50], True),
            *((name, "", [value], more) for name, value, more in reading.reader_figures(self.reading)),
            ("passages read", "per question", [self.reading.read], False),
            *((f"stage: {stage.name}, p50", "ms", [stage.p50], False) for stage in self.reading.stages),
            ("stage: total, fusion alone, p50", "ms", [self.reading.fused_total.p50], False),
            ("sentences encoded", "per second", self.encoding, True),
            ("articles added", "per second", [self.indexed.articles / self.indexed.seconds], True),
            ("ask p50", "ms", [one.p50 for one in self.asking], False),
            ("ask p99", "ms", [one.p99 for one in self.asking], False),
            ("ask as curl does, p50", "ms", [one.curl_p50 for one in self.asking], False),
            ("ask as curl does, p99", "ms", [one.curl_p99 for one in self.asking], False),
            (f"asks by {speed.CLIENTS} clients", "per second", [one.per_second for one in self.asking], True),
            ("first answer, cold", "s", [one.cold for one in self.starting], False),
            ("first answer, warm", "s", [one.warm for one in self.starting], False),
            ("resident memory", "MB", [one.resident_mb for one in self.asking], False),
        ]
        return [
            Figure(name, unit, values[0], values[1] if len(values) > 1 else None, more_is_better)
            for name, unit, values, more_is_better in rows
        ]

    def _ranks(self) -> Iterator[tuple[str, str, Sequence[float | None], bool]]:
        names = {"hit_1": "hit@1", "hit_5": "hit@5", "hit_10": "hit@10", "mrr_10": "MRR@10"}
        names["hit_1_clear"] = "hit@1 without ambiguous questions"
        for field, name in names.items():
            yield f"{name}, fusion alone", "", [getattr(self.fused, field)], True
            theirs = [getattr(self.theirs, field)] if self.theirs else []
            yield name, "", [getattr(self.reading.ranks, field), *theirs], True


def _measure(dataset: Dataset, models: Path, folder: Path, *, baseline: bool) -> Measured:
    ours, theirs = Ours(dataset.corpus, folder / "ours", models), Theirs(dataset.corpus, folder / "theirs")
    systems: list[System] = [ours, theirs] if baseline else [ours]
    questions = [query.text for query in dataset.queries if len(query.text) <= LONGEST_QUESTION]
    if not questions:
        raise InputError(f"{dataset.name} has no question that can be asked")
    # The reader, too, is prepared before a server is started.
    encoder, reader = load_encoder(DEFAULT_MODEL, models), load_reader(DEFAULT_READER, models)
    _say("starting, cold and warm …")
    starting = speed.measure_starting(systems, questions[0], folder)
    _say("asking over HTTP …")
    with ExitStack() as stack:
        servers = [
            stack.enter_context(serving(system, questions[0], folder / f"{number}.log"))
            for number, system in enumerate(systems)
        ]
        asking = speed.measure_asking(servers, questions)
    _say("encoding …")
    corpus = Corpus(folder / "corpus", encoder)
    try:
        indexed = quality.index_articles(dataset.corpus, corpus)
        model = TorchModel() if baseline else None
        encoding = speed.encoding_rates(corpus, model)
        _say("answering every question …")
        fused = quality.measure(dataset, quality.search_ours(corpus, Ranker(corpus, None, RETRIEVAL)))
        calibration = calibration_for(reader.name if reader else "")
        read = reading.measure_reading(dataset, corpus, reader, calibration, READ)
        theirs_found = None
        if model is not None:
            search = quality.search_baseline(Baseline.load(model, folder / "theirs"))
            theirs_found = quality.measure(dataset, search)
    finally:
        corpus.close()
    return Measured(indexed, fused, read, theirs_found, tuple(encoding), tuple(starting), tuple(asking))


def _describe(dataset: Dataset, measured: Measured) -> dict[str, object]:
    return {
        "name": dataset.name,
        "articles": measured.indexed.articles,
        "records_that_are_no_articles": len(dataset.unread),
        "sentences": measured.indexed.sentences,
        "passages": measured.indexed.passages,
        "questions": len(dataset.queries),
        "questions_with_a_target": measured.fused.questions,
        "targets": "sentences" if dataset.by_sentence else "articles",
    }


def _say(what: str) -> None:
    print(what, file=sys.stderr)
