"""Corpora of each size, kept from run to run; what adding to them takes, and what they take on the disk."""

import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from bench.scale.generate import Ends, Material, generated, numbered, until
from bench.scale.vectors import MixingEncoder
from index.articles import Article
from index.corpus import Corpus
from index.encoding import Encoder
from index.errors import InputError
from index.splitting import split_sentences

# Of articles that no corpus holds: they are added to a copy, with the real encoder.
_OTHERS = 10_000_000
# Bytes of a passage on the disk, at most, to see beforehand whether a run can end well.
_PASSAGE_BYTES = 7_000
_FACTS = "built.json"


@dataclass(frozen=True, slots=True)
class Built:
    """How a corpus came to be. added, seconds: passages of its last step that are not encoded, and their time.

    tidying: seconds of what a server does afterwards, in the background. material, encoder: what it is made with.
    """

    articles: int
    sentences: int
    passages: int
    added: int
    seconds: float
    tidying: float
    material: str
    encoder: str

    @property
    def per_second(self) -> float | None:
        """Passages stored and indexed per second; None where all of them were encoded, too."""
        return self.added / self.seconds if self.added else None


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of a corpus, by part."""

    database: int
    lexical: int
    vectors: int
    other: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.database + self.lexical + self.vectors + self.other


class Corpora:
    """The corpora of a run, each in a folder that a server can be started on."""

    def __init__(self, folder: Path, material: Material, encoder: MixingEncoder) -> None:
        self._folder = folder
        self._material = material
        self._encoder = encoder

    def data(self, size: int) -> Path:
        """Return the data folder of the corpus of that many passages."""
        return self._folder / f"passages-{size}"

    def corpus(self, size: int) -> Path:
        """Return the folder of the corpus itself."""
        return self.data(size) / "corpus"

    def built(self, size: int) -> Built | None:
        """Return the facts of a corpus that is there and complete, made of what this run is made of."""
        try:
            built = Built(**json.loads((self.data(size) / _FACTS).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        made_with = (self._material.fingerprint, self._encoder.name)
        return built if (built.material, built.encoder) == made_with else None

    def check_space(self, sizes: Sequence[int]) -> None:
        """Raise InputError where the disk is too small for all that is missing, and a copy of the largest."""
        self._folder.mkdir(parents=True, exist_ok=True)
        missing = [size for size in sizes if self.built(size) is None]
        needed = _PASSAGE_BYTES * (sum(missing) + max(sizes))
        free = shutil.disk_usage(self._folder).free
        if needed > free:
            raise InputError(
                f"{self._folder} has {free / 1e9:.0f} GB free, {needed / 1e9:.0f} GB may be needed; take smaller sizes "
                "with --sizes, or another disk with --output"
            )

    def build(self, size: int) -> Built:
        """Make the corpus of that size out of the largest smaller one that is there; return how that went."""
        if built := self.built(size):
            return built
        shutil.rmtree(self.data(size), ignore_errors=True)
        smaller = self._largest_below(size)
        if smaller is None:
            self.data(size).mkdir(parents=True)
        else:
            shutil.copytree(self.data(smaller), self.data(size), ignore=shutil.ignore_patterns(_FACTS))
        with opened(self.corpus(size), self._encoder) as corpus:
            built = self._grow(corpus, size)
        (self.data(size) / _FACTS).write_text(json.dumps(asdict(built)))
        return built

    def _largest_below(self, size: int) -> int | None:
        there = (int(path.name.partition("-")[2]) for path in self._folder.glob("passages-*"))
        return max((one for one in there if one < size and self.built(one)), default=None)

    def _grow(self, corpus: Corpus, size: int) -> Built:
        articles, _, passages = corpus.store.counts()
        more = until(numbered(self._material, articles), size - passages, ends_of(corpus))
        # The real ones are encoded as well, which is not what is measured here.
        add(corpus, islice(more, max(len(self._material.real) - articles, 0)))
        passages = corpus.store.passages()
        watched = Watched(more)
        started = time.perf_counter()
        add(corpus, watched)
        corpus.save()
        seconds = time.perf_counter() - started - watched.seconds
        started = time.perf_counter()
        while corpus.tidy():
            pass
        corpus.save()
        tidying = time.perf_counter() - started
        return Built(
            *corpus.store.counts(), size - passages, seconds, tidying, self._material.fingerprint, self._encoder.name
        )


class Watched(Iterator[Article]):
    """Articles, and the seconds that making them took."""

    def __init__(self, articles: Iterator[Article]) -> None:
        self._articles = articles
        self.seconds = 0.0

    def __next__(self) -> Article:
        started = time.perf_counter()
        try:
            return next(self._articles)
        finally:
            self.seconds += time.perf_counter() - started


def ends_of(corpus: Corpus) -> Ends:
    """Return what tells where the passages of an article would end."""

    def ends(article: Article) -> list[int]:
        sentences = split_sentences(article.text, article.body)
        return [last for _, last in corpus.groups_of(article, sentences)]

    return ends


def add(corpus: Corpus, articles: Iterable[Article]) -> None:
    """Add articles. Raises InputError where one is not added: the bench would measure something else."""
    for outcome in corpus.add(articles):
        if outcome.kind != "added":
            raise InputError(f"article {outcome.article_id} was to be added, and is {outcome.kind}: {outcome.reason}")


def adding_rate(corpus: Path, encoder: Encoder, material: Material, passages: int) -> float:
    """Return the passages per second that are encoded, stored and indexed, added to a copy of a corpus."""
    with tempfile.TemporaryDirectory(dir=corpus.parent, prefix="adding-") as folder:
        shutil.copytree(corpus, Path(folder), dirs_exist_ok=True)
        with opened(Path(folder), encoder) as copy:
            others = (generated(material, number) for number in itertools.count(_OTHERS))
            articles = list(until(others, passages, ends_of(copy)))
            started = time.perf_counter()
            add(copy, articles)
            copy.save()
            return passages / (time.perf_counter() - started)


@contextmanager
def opened(folder: Path, encoder: Encoder) -> Iterator[Corpus]:
    """Give an open corpus, and close it."""
    with closing(Corpus(folder, encoder)) as corpus:
        yield corpus


def disk_of(corpus: Path) -> Disk:
    """Return what the files of a corpus take."""
    sizes = {"database": 0, "lexical": 0, "vectors": 0, "other": 0}
    for path in corpus.rglob("*"):
        if path.is_file():
            top = path.relative_to(corpus).parts[0]
            part = "database" if top.startswith("quoteline.db") else top
            sizes[part if part in sizes else "other"] += path.stat().st_size
    return Disk(**sizes)
