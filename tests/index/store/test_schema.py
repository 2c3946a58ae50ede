import shutil
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from index.articles import Article, Span
from index.corpus import Corpus
from index.errors import ArticleNotFoundError, CorpusDamagedError, CorpusError, CorpusVersionError
from index.retrieval import Retriever
from index.store import FORMAT, Filters, Store, resemblance, schema
from index.store.database import Database
from index.store.sqlite import Sqlite
from index.testing import HashingEncoder

GOLDEN = Path(__file__).parents[2] / "golden"
ENCODER = HashingEncoder(dim=32)


def article(name: str, text: str, **facts: object) -> Article:
    return replace(Article(name, text, Span(0, len(text))), **facts)  # type: ignore[arg-type]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A corpus of format 1, with a replaced article (2 versions) and two that were removed, as format 1 wrote it."""
    with tarfile.open(GOLDEN / "format1.tar.gz") as archive:
        archive.extractall(tmp_path / "old", filter="data")
    return tmp_path / "old"


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "quoteline.db")) as connection:
        return connection.execute(query).fetchall()


def quoted(corpus: Corpus, question: str) -> list[str]:
    found = Retriever(corpus).retrieve(question, top_k=10).candidates
    return [one.sentence.span.of(corpus.store.record(one.sentence.article_id).article.text) for one in found]


def test_a_corpus_of_format_1_is_upgraded_as_it_is(old: Path) -> None:
    kept = "id, version, digest, path, text, title, date, pages, origins, sentences, generation, added_at"
    before = rows(old, f"SELECT {kept} FROM articles ORDER BY id")  # noqa: S608 - names of our own - names from above
    passages = rows(old, "SELECT key, article, first, last, vector, spans, generation FROM passages ORDER BY key")
    with closing(Corpus(old, ENCODER)) as corpus:
        assert (corpus.check(), corpus.repairs) == ([], [])
        assert (corpus.store.generation, corpus.store.counts()) == (4, (4, 68, 8))
        assert [one.id for one in corpus.store.summaries()] == ["full", "long", "plain", "replaced"]
        full = corpus.store.record("full").article
        assert (full.title, full.pages, full.path, full.origins["date"].where) == (
            "A title",
            (0, 31),
            "/articles/full.pdf",
            "html",
        )
        assert corpus.store.collections() == {"default": 4}
        assert [(one.version, one.current) for one in corpus.store.versions("replaced")] == [(2, True)]
        assert quoted(corpus, "How many eggs?")[0] == "Three eggs are enough."
        assert quoted(corpus, "Are oranges sold out?")[0] != "Oranges are sold out."
    assert rows(old, f"SELECT {kept} FROM versions WHERE current ORDER BY id") == before  # noqa: S608 - names of our own
    after = rows(old, "SELECT key, article, first, last, vector, spans, generation FROM passages ORDER BY key")
    assert after == passages
    assert rows(old, "SELECT value FROM facts WHERE name = 'format'") == [(str(FORMAT),)]
    assert {name for (name,) in rows(old, "SELECT name FROM sqlite_master WHERE type = 'table'")} == {
        *("facts", "versions", "passages", "removals", "retired", "sqlite_sequence"),
        *("signatures", "bands", "near_duplicates"),
    }


def test_of_what_format_1_derived_the_lexical_index_is_used_on_and_the_vectors_are_made_again(old: Path) -> None:
    segments = {path.name for path in (old / "lexical").glob("*.term")}
    with closing(Corpus(old, ENCODER)) as corpus:
        assert (corpus.check(), corpus.repairs) == ([], [])
    assert {path.name for path in (old / "lexical").glob("*.term")} == segments
    assert not (old / "vectors" / "passages.faiss").exists()


@pytest.mark.parametrize("derived", ["lexical", "vectors"])
def test_what_format_1_derived_may_be_missing(old: Path, derived: str) -> None:
    shutil.rmtree(old / derived)
    with closing(Corpus(old, ENCODER)) as corpus:
        assert corpus.check() == []
        assert quoted(corpus, "How many eggs?")[0] == "Three eggs are enough."


def test_keys_are_not_used_again_after_the_upgrade(old: Path) -> None:
    # The last two articles of format 1, and the last passage, were removed.
    with closing(Corpus(old, ENCODER)) as corpus:
        list(corpus.add([article("new", "Cheese is cheap.")]))
        assert max(corpus.store.passages_of(Filters())) == 12
        assert corpus.check() == []
    assert rows(old, "SELECT key FROM versions WHERE id = 'new'") == [(8,)]


def test_an_upgraded_corpus_can_be_changed_and_compacted(old: Path) -> None:
    with closing(Corpus(old, ENCODER)) as corpus:
        assert corpus.store.has_traces()
        list(corpus.add([article("replaced", "Four eggs are enough.")]))
        assert [one.version for one in corpus.store.versions("replaced")] == [3, 2]
        corpus.remove(["plain"])
        assert corpus.compact()
        assert not corpus.store.has_traces()
        assert corpus.check() == []


def test_compaction_wipes_the_free_pages_that_format_1_left(old: Path) -> None:
    with closing(sqlite3.connect(old / "quoteline.db")) as connection:
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("CREATE TABLE gone (text)")
        connection.executemany("INSERT INTO gone VALUES (?)", [(f"A secret. Number {n}. " * 90,) for n in range(300)])
        connection.execute("DROP TABLE gone")
        connection.commit()
    assert b"A secret." in (old / "quoteline.db").read_bytes()
    with closing(Corpus(old, ENCODER)) as corpus:
        assert corpus.compact()
        assert not [path for path in old.iterdir() if path.is_file() and b"A secret." in path.read_bytes()]
        assert corpus.check() == []


def test_an_upgrade_that_breaks_leaves_format_1(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(old, "SELECT * FROM articles ORDER BY key"), rows(old, "SELECT * FROM passages ORDER BY key")
    whole = schema.upgrade

    def broken(db: Sqlite, built: int) -> None:
        whole(db, built)
        raise KeyboardInterrupt

    monkeypatch.setattr(schema, "upgrade", broken)
    with pytest.raises(KeyboardInterrupt):
        Corpus(old, ENCODER)
    after = rows(old, "SELECT * FROM articles ORDER BY key"), rows(old, "SELECT * FROM passages ORDER BY key")
    assert after == before
    assert rows(old, "PRAGMA integrity_check") == [("ok",)]
    monkeypatch.setattr(schema, "upgrade", whole)
    with closing(Corpus(old, ENCODER)) as corpus:
        assert corpus.check() == []


def test_an_article_of_format_1_that_was_removed_is_simply_not_there(old: Path) -> None:
    with closing(Corpus(old, ENCODER)) as corpus, pytest.raises(ArticleNotFoundError):
        corpus.store.record("removed")


# Format 2


@pytest.fixture
def without_pairs(tmp_path: Path) -> Path:
    """A corpus of format 2, which knew no near-duplicates: a storm, its update, and one that was its copy once."""
    with tarfile.open(GOLDEN / "format2.tar.gz") as archive:
        archive.extractall(tmp_path / "two", filter="data")
    return tmp_path / "two"


def test_a_corpus_of_format_2_gets_its_near_duplicates_and_is_otherwise_as_it_was(without_pairs: Path) -> None:
    kept = ["SELECT * FROM versions", "SELECT * FROM passages", "SELECT * FROM removals", "SELECT * FROM retired"]
    before = [rows(without_pairs, query) for query in kept]
    with closing(Corpus(without_pairs, ENCODER)) as corpus:
        assert (corpus.check(), corpus.repairs) == ([], [])
        assert corpus.store.counts() == (5, 15, 5)
        pairs = corpus.store.near_duplicates_of([one.id for one in corpus.store.summaries()])
        assert {one: list(found) for one, found in pairs.items()} == {"storm": ["update"], "update": ["storm"]}
    assert [rows(without_pairs, query) for query in kept] == before
    assert rows(without_pairs, "SELECT value FROM facts WHERE name = 'format'") == [(str(FORMAT),)]


def test_an_upgrade_to_format_3_that_breaks_leaves_format_2(
    without_pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = resemblance.make_again

    def broken(db: Database) -> None:
        whole(db)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(resemblance, "make_again", broken)
        with pytest.raises(KeyboardInterrupt):
            Corpus(without_pairs, ENCODER)
    assert rows(without_pairs, "SELECT value FROM facts WHERE name = 'format'") == [("2",)]
    assert rows(without_pairs, "SELECT name FROM sqlite_master WHERE name IN ('signatures', 'bands')") == []
    with closing(Corpus(without_pairs, ENCODER)) as corpus:
        assert set(corpus.store.near_duplicates_of(["storm"])["storm"]) == {"update"}


def test_near_duplicates_that_were_found_in_another_way_are_found_anew(
    without_pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(schema, "SCHEME", "none")
        patched.setattr(resemblance, "make_again", resemblance.forget_all)
        with closing(Corpus(without_pairs, ENCODER)) as corpus:
            assert corpus.store.near_duplicates_of(["storm"]) == {}
    with closing(Corpus(without_pairs, ENCODER)) as corpus:
        assert set(corpus.store.near_duplicates_of(["storm"])["storm"]) == {"update"}
        assert corpus.check() == []


# What is not ours


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_another_programs_database_is_left_as_it_is(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "quoteline.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.execute("INSERT INTO recipes VALUES ('eggs')")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(CorpusError, match="database of another program; nothing was changed"):
        Store(path, encoder="one", dim=4)
    assert path.read_bytes() == before


@pytest.mark.parametrize("columns", ["name TEXT, value TEXT", "fact TEXT"])
def test_another_programs_table_of_facts_is_no_reason_to_take_it(tmp_path: Path, columns: str) -> None:
    path = tmp_path / "quoteline.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE facts ({columns})")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(CorpusError):
        Store(path, encoder="one", dim=4)
    assert path.read_bytes() == before


def test_a_newer_format_in_another_journal_mode_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "quoteline.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE facts (name TEXT, value TEXT)")
        connection.execute("INSERT INTO facts VALUES ('format', ?)", (str(FORMAT + 1),))
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(CorpusVersionError, match=f"format {FORMAT + 1}"):
        Store(path, encoder="one", dim=4)
    assert path.read_bytes() == before


def test_a_database_that_lost_its_facts_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "quoteline.db"
    Store(path, encoder="one", dim=4).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM facts WHERE name = 'identity'")
        connection.commit()
    with pytest.raises(CorpusDamagedError):
        Store(path, encoder="one", dim=4)


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "quoteline.db").touch()
    with closing(Store(tmp_path / "quoteline.db", encoder="one", dim=4)) as store:
        assert store.counts() == (0, 0, 0)
