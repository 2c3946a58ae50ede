"""Whatever becomes of the files of a corpus, no text is told that was not added."""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from index.articles import Article, Span
from index.corpus import Corpus, set_aside
from index.errors import ArticleNotFoundError, CorpusDamagedError, CorpusError
from index.retrieval import Retriever
from index.store import Record
from index.testing import HashingEncoder

ENCODER = HashingEncoder(dim=32)
QUESTIONS = ("Who denies number 3?", "How many eggs?", "Are oranges sold out?")
Told = tuple[object, ...]


def article(name: str, text: str, **facts: object) -> Article:
    return replace(Article(name, text, Span(0, len(text))), **facts)  # type: ignore[arg-type]


def add(corpus: Corpus, *articles: Article) -> None:
    list(corpus.add(articles))


def versions(corpus: Corpus) -> Iterator[Record]:
    for name in NAMES:
        for version in range(1, 4):
            with suppress(ArticleNotFoundError):
                yield corpus.store.record(name, version)


def told(corpus: Corpus) -> Told:
    """Return all that a corpus says: every version, the lists, the counts, and what it finds."""
    found = [Retriever(corpus).retrieve(question, top_k=5).candidates for question in QUESTIONS]
    best = [[(one.sentence, one.passage, one.score) for one in candidates] for candidates in found]
    store = corpus.store
    facts = store.counts(), store.collections(), store.generation, store.summaries(), store.has_traces()
    return [*versions(corpus)], facts, [store.last_version(name) for name in NAMES], best


NAMES = [*(f"a{number}" for number in range(6)), "gone", "egg", "orange"]


def fill(folder: Path, older: Path) -> None:
    """Several articles, versions, collections and a deletion; `older` is the corpus as it was before the last two."""
    with closing(Corpus(folder, ENCODER)) as corpus:
        add(corpus, *(article(f"a{n}", f"Iran denies number {n}. It was Friday.", title=f"News {n}") for n in range(6)))
        add(corpus, article("gone", "Cheese is cheap."), article("egg", "Two eggs are enough.", source="A cook"))
        add(corpus, article("egg", "Three eggs are enough.", source="A cook"), article("a1", "Iran admits number 1."))
        corpus.remove(["gone"])
    shutil.copytree(folder, older)
    with closing(Corpus(folder, ENCODER)) as corpus:
        add(corpus, article("orange", "Oranges are sold out.", collection="recipes", url="https://example.org/o"))
        corpus.remove(["a5"])


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory where there is such a thing: hundreds of corpora are written here."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of a name of its own is made in it
    with TemporaryDirectory(
        dir=memory if memory.is_dir() else tmp_path_factory.getbasetemp(), ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def kept(in_memory: Path) -> Path:
    """A closed corpus that no test changes, and beside it an older copy of it."""
    fill(in_memory / "corpus", in_memory / "older")
    return in_memory


@pytest.fixture
def tmp_path(in_memory: Path) -> Iterator[Path]:
    with TemporaryDirectory(dir=in_memory, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def folder(kept: Path, tmp_path: Path) -> Path:
    return shutil.copytree(kept / "corpus", tmp_path / "corpus")


@pytest.fixture(scope="module")
def truth(kept: Path) -> Told:
    with closing(Corpus(shutil.copytree(kept / "corpus", kept / "truth"), ENCODER)) as corpus:
        return told(corpus)


def places(content: bytes, draw: random.Random, count: int) -> list[int]:
    """Return where to change a byte: most of a database's bytes are free, so most places are among the others."""
    written = [place for place, byte in enumerate(content) if byte]
    return draw.sample(written, count - count // 10) + draw.sample(range(len(content)), count // 10)


def changed(content: bytes, place: int, draw: random.Random) -> bytes:
    other = bytearray(content)
    other[place] ^= draw.choice([1 << draw.randrange(8), draw.randrange(1, 256)])
    return bytes(other)


def is_found(corpus: Corpus, truth: Told) -> bool:
    """Whether damage is found; where it is not, all that the corpus tells must be true."""
    true = {(record.article.id, record.version): record for record in truth[0]}  # type: ignore[attr-defined]
    for name, version in true:
        # Found or not: a version is told as it was added, or not at all.
        with suppress(CorpusError, ArticleNotFoundError):
            record = corpus.store.record(name, version)
            assert (record.article, record.sentences) == (true[name, version].article, true[name, version].sentences)
    if corpus.check():
        return True
    assert told(corpus) == truth
    return False


def test_any_changed_byte_of_the_database_is_found_or_harmless(kept: Path, tmp_path: Path, truth: Told) -> None:
    draw = random.Random(1)
    content = (kept / "corpus" / "quoteline.db").read_bytes()
    found = 0
    for number, place in enumerate(places(content, draw, 300)):
        folder = shutil.copytree(kept / "corpus", tmp_path / str(number))
        (folder / "quoteline.db").write_bytes(changed(content, place, draw))
        try:
            with closing(Corpus(folder, ENCODER)) as corpus:
                found += is_found(corpus, truth)
        except CorpusError:
            found += 1
        shutil.rmtree(folder, ignore_errors=True)  # tantivy watches it, and may make a lock
    assert found > 200


def test_any_byte_that_changes_while_a_corpus_is_open_is_found_or_harmless(folder: Path, truth: Told) -> None:
    draw = random.Random(2)
    database = folder / "quoteline.db"
    content = database.read_bytes()
    found = 0
    with closing(Corpus(folder, ENCODER)) as corpus:
        assert told(corpus) == truth
        for place in places(content, draw, 150):
            overwrite(database, changed(content, place, draw))
            # SQLite keeps pages that it has read; another thread would read this one.
            corpus.store.close()
            try:
                found += is_found(corpus, truth)
            except CorpusError:
                found += 1
            overwrite(database, content)
        corpus.store.close()
        # It is a file again, as it was.
        assert corpus.check() == []
    assert found > 50


def overwrite(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


def test_any_changed_byte_of_what_is_derived_is_repaired_or_harmless(kept: Path, tmp_path: Path, truth: Told) -> None:
    draw = random.Random(3)
    files = [path for name in ("lexical", "vectors") for path in (kept / "corpus" / name).iterdir()]
    repaired = 0
    for path in sorted(file for file in files if file.stat().st_size):
        content = path.read_bytes()
        for place in draw.sample(range(len(content)), min(5, len(content))):
            folder = shutil.copytree(kept / "corpus", tmp_path / "corpus")
            (folder / path.relative_to(kept / "corpus")).write_bytes(changed(content, place, draw))
            with closing(Corpus(folder, ENCODER)) as corpus:
                repaired += len(corpus.repairs)
                assert corpus.check() == [], f"{path.name} at {place}"
                assert same_but_for_idf(told(corpus), truth), f"{path.name} at {place}"
            shutil.rmtree(folder, ignore_errors=True)
    assert repaired > 50


def same_but_for_idf(one: Told, other: Told) -> bool:
    """Whether two corpora tell the same; removed passages count in scores until the lexical index is built anew."""
    best = [[{sentence for sentence, _, _ in found} for found in told[3]] for told in (one, other)]  # type: ignore[attr-defined]
    return one[:3] == other[:3] and best[0] == best[1]


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_byte_less(path: Path) -> None:
    # Zeros at the end are read where there is nothing, too.
    path.write_bytes(path.read_bytes().rstrip(b"\0")[:-1])


def another(path: Path) -> None:
    others = sorted(other for other in path.parent.iterdir() if other != path and other.stat().st_size)
    shutil.copy(others[0], path)


@pytest.mark.parametrize("damage", [missing, empty, half, one_byte_less, another])
def test_any_file_of_what_is_derived_may_be_lost(
    kept: Path, tmp_path: Path, truth: Told, damage: Callable[[Path], None]
) -> None:
    for name in ("lexical", "vectors"):
        for path in sorted((kept / "corpus" / name).iterdir()):
            folder = shutil.copytree(kept / "corpus", tmp_path / "corpus")
            damage(folder / name / path.name)
            with closing(Corpus(folder, ENCODER)) as corpus:
                assert corpus.check() == [], path.name
                assert same_but_for_idf(told(corpus), truth), path.name
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("damage", [half, one_byte_less])
def test_a_database_that_was_cut_is_found(folder: Path, damage: Callable[[Path], None], truth: Told) -> None:
    damage(folder / "quoteline.db")
    with suppress(CorpusError), closing(Corpus(folder, ENCODER)) as corpus:
        assert is_found(corpus, truth)


@pytest.mark.parametrize("damage", [missing, empty])
def test_a_corpus_that_lost_its_database_is_refused_unless_it_is_taken_as_empty(
    folder: Path, damage: Callable[[Path], None]
) -> None:
    damage(folder / "quoteline.db")
    for _ in range(2):
        with pytest.raises(CorpusDamagedError, match=r"holds generation 0, its indexes hold 6: .* was removed"):
            Corpus(folder, ENCODER)
    with closing(Corpus(folder, ENCODER, rebuild=True)) as corpus:
        assert (corpus.store.counts(), corpus.check()) == ((0, 0, 0), [])


def test_what_is_set_aside_makes_room_for_a_new_corpus_and_is_kept(folder: Path) -> None:
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} - {Path("writer.lock")}
    first = set_aside(folder)
    with closing(Corpus(folder, ENCODER)) as corpus:
        add(corpus, article("new", "The rocket rose."))
    second = set_aside(folder)
    assert {path.relative_to(first) for path in first.rglob("*") if path.is_file()} == files
    assert first.exists()
    assert (second / "quoteline.db").exists()
    assert not (folder / "quoteline.db").exists()


def test_an_older_copy_of_the_database_is_refused_unless_it_is_taken_as_it_is(kept: Path, folder: Path) -> None:
    shutil.copy(kept / "older" / "quoteline.db", folder / "quoteline.db")
    for _ in range(2):
        with pytest.raises(CorpusDamagedError, match=r"holds generation 4, its indexes hold 6: it lost changes"):
            Corpus(folder, ENCODER)
    with closing(Corpus(folder, ENCODER, rebuild=True)) as corpus:
        assert corpus.check() == []
        assert corpus.store.record("a5").article.text == "Iran denies number 5. It was Friday."
        add(corpus, article("orange", "Oranges are back."))
        assert corpus.check() == []
    with closing(Corpus(folder, ENCODER)) as again:
        assert again.check() == []


@pytest.mark.parametrize("left", ["lexical", "vectors"])
def test_one_of_the_indexes_is_enough_to_see_that_changes_were_lost(kept: Path, folder: Path, left: str) -> None:
    shutil.copy(kept / "older" / "quoteline.db", folder / "quoteline.db")
    for name in {"lexical", "vectors"} - {left}:
        shutil.rmtree(folder / name)
        shutil.copytree(kept / "older" / name, folder / name)
    with pytest.raises(CorpusDamagedError, match="it lost changes"):
        Corpus(folder, ENCODER)


@pytest.fixture(scope="module")
def killed(in_memory: Path) -> tuple[Path, Told]:
    """A corpus as a kill leaves it: its last changes stand in SQLite's log only; and what it told."""
    folder = in_memory / "killed"
    with closing(Corpus(folder / "living", ENCODER)) as corpus:
        add(corpus, *(article(f"a{number}", f"Iran denies number {number}. It was Friday.") for number in range(5)))
        corpus.store._rows("PRAGMA wal_checkpoint(TRUNCATE)")
        add(corpus, article("egg", "Two eggs are enough."))
        add(corpus, article("egg", "Three eggs are enough."))
        corpus.remove(["a3"])
        shutil.copytree(folder / "living", folder / "dead")
        return folder / "dead", told(corpus)


def test_a_killed_corpus_is_whole(killed: tuple[Path, Told], tmp_path: Path) -> None:
    dead, before = killed
    with closing(Corpus(shutil.copytree(dead, tmp_path / "corpus"), ENCODER)) as corpus:
        assert (told(corpus), corpus.check()) == (before, [])


def test_any_damage_to_the_log_of_a_killed_corpus_is_found_or_harmless(
    killed: tuple[Path, Told], tmp_path: Path
) -> None:
    dead, before = killed
    draw = random.Random(4)
    log = (dead / "quoteline.db-wal").read_bytes()
    found = 0
    logs = [changed(log, place, draw) for place in places(log, draw, 60)]
    logs += [log[: len(log) * part // 10] for part in range(10)]
    for number, content in enumerate(logs):
        folder = shutil.copytree(dead, tmp_path / str(number))
        (folder / "quoteline.db-wal").write_bytes(content)
        # A machine that went down leaves no index of the log; a process that did does.
        if number % 2:
            (folder / "quoteline.db-shm").unlink(missing_ok=True)
        try:
            with closing(Corpus(folder, ENCODER)) as corpus:
                found += is_found(corpus, before)
        except CorpusError:
            found += 1
        shutil.rmtree(folder, ignore_errors=True)
    assert found > 30


def test_a_log_that_was_lost_is_told(killed: tuple[Path, Told], tmp_path: Path) -> None:
    folder = shutil.copytree(killed[0], tmp_path / "corpus")
    (folder / "quoteline.db-wal").unlink()
    with pytest.raises(CorpusDamagedError, match="it lost changes"):
        Corpus(folder, ENCODER)
