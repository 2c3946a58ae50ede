import hashlib
import json
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from index.articles import Article, Span
from index.corpus import Corpus
from index.errors import (
    ArticleDeletedError,
    ArticleNotFoundError,
    CorpusDamagedError,
    CorpusError,
    CorpusVersionError,
    EncoderMismatchError,
)
from index.retrieval import Retriever
from index.store import FORMAT, Filters, Restored, backup
from index.testing import HashingEncoder

GOLDEN = Path(__file__).parents[2] / "golden"
ENCODER = HashingEncoder(dim=32)


def article(name: str, text: str, **facts: object) -> Article:
    return replace(Article(name, text, Span(0, len(text))), **facts)  # type: ignore[arg-type]


def add(corpus: Corpus, *articles: Article) -> None:
    list(corpus.add(articles))


def quoted(corpus: Corpus, question: str) -> list[str]:
    found = Retriever(corpus).retrieve(question, top_k=10).candidates
    return [one.sentence.span.of(corpus.store.record(one.sentence.article_id).article.text) for one in found]


def texts(corpus: Corpus) -> dict[tuple[str, int], str]:
    """Return the text of every version of every article."""
    return {
        (summary.id, version.version): corpus.store.record(summary.id, version.version).article.text
        for summary in corpus.store.summaries()
        for version in corpus.store.versions(summary.id)
    }


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with closing(Corpus(tmp_path / "corpus", ENCODER)) as opened:
        yield opened


@pytest.fixture
def filled(corpus: Corpus) -> Corpus:
    """Three articles, one of them with two versions, and one that was deleted."""
    add(corpus, article("a", "Iran denies it."), article("b", "Two eggs are enough.", collection="recipes"))
    add(corpus, article("a", "Iran admits it."), article("c", "Water is short."), article("d", "Cheese is cheap."))
    corpus.remove(["d"])
    return corpus


# Backing up


def test_a_backup_says_what_it_holds(filled: Corpus, tmp_path: Path) -> None:
    made = filled.back_up(tmp_path / "deep" / "copy")
    assert (made.format, made.encoder, made.generation, made.articles) == (FORMAT, "hashing", 3, 3)
    assert made.identity == filled.store.identity
    content = (tmp_path / "deep" / "copy" / "quoteline.db").read_bytes()
    assert made.sha256 == hashlib.sha256(content).hexdigest()
    assert backup.read(tmp_path / "deep" / "copy") == made
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["copy"]


def test_a_backup_goes_into_an_empty_folder_and_no_other(
    filled: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    assert filled.back_up(Path("empty")).articles == 3
    with pytest.raises(CorpusError, match="is not empty"):
        filled.back_up(Path("empty"))
    Path("file").write_text("in the way")
    for folder in (Path("file"), Path("file/below")):
        with pytest.raises(CorpusError, match="file"):
            filled.back_up(folder)
    assert Path("file").read_text() == "in the way"


def test_a_backup_that_breaks_leaves_nothing_that_looks_like_one(
    filled: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backup, "_sync", broken)
    with pytest.raises(KeyboardInterrupt):
        filled.back_up(tmp_path / "copies" / "copy")
    assert list((tmp_path / "copies").iterdir()) == []


def test_what_a_killed_backup_left_is_no_backup_and_not_in_the_way(
    filled: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        patched.setattr(backup, "_sync", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            filled.back_up(tmp_path / "copies" / "copy")
    [left] = (tmp_path / "copies").iterdir()
    assert left.name.startswith(".copy.")
    assert filled.back_up(tmp_path / "copies" / "copy").articles == 3


def test_backups_are_whole_while_others_write_and_ask(corpus: Corpus, tmp_path: Path) -> None:
    add(corpus, article("first", "Iran denies it."))
    done = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(12):
                # Two articles that only ever come and go together.
                add(corpus, article(f"x{number}", f"Egg {number}."), article(f"y{number}", f"Cheese {number}."))
                if number % 3 == 0:
                    corpus.remove([f"x{number}", f"y{number}"])
        except BaseException as error:
            failures.append(error)
        finally:
            done.set()

    def ask() -> None:
        try:
            while not done.is_set():
                [best] = Retriever(corpus).retrieve("Who denies?", top_k=1).candidates
                assert best.sentence.article_id == "first"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for work in (write, ask)]
    for thread in threads:
        thread.start()
    made = 0
    while not done.is_set() or not made:
        copy = corpus.back_up(tmp_path / f"copy{made}")
        assert copy.articles % 2 == 1
        made += 1
    for thread in threads:
        thread.join(30)
    assert failures == []
    with closing(Corpus(tmp_path / "fresh", ENCODER)) as fresh:
        for number in {0, made // 2, made - 1}:
            fresh.restore(tmp_path / f"copy{number}")
            names = {summary.id for summary in fresh.store.summaries()}
            assert {name.replace("x", "y") for name in names} == {name.replace("x", "y") for name in names}
            assert {f"y{name[1:]}" for name in names if name[0] == "x"} <= names
            assert fresh.check() == []


# Restoring


def test_an_empty_corpus_is_backed_up_and_restored(corpus: Corpus, tmp_path: Path) -> None:
    assert corpus.back_up(tmp_path / "copy").articles == 0
    add(corpus, article("a", "Iran denies it."))
    assert corpus.restore(tmp_path / "copy") == Restored(articles=0, versions=0, left_out=0)
    assert (texts(corpus), quoted(corpus, "Who denies?"), corpus.check()) == ({}, [], [])


def test_a_restore_into_a_fresh_folder_brings_back_everything(filled: Corpus, tmp_path: Path) -> None:
    filled.back_up(tmp_path / "copy")
    with closing(Corpus(tmp_path / "fresh", ENCODER)) as fresh:
        assert fresh.restore(tmp_path / "copy") == Restored(articles=3, versions=4, left_out=0)
        assert texts(fresh) == texts(filled)
        assert fresh.store.collections() == {"default": 2, "recipes": 1}
        assert quoted(fresh, "Who admits?") == quoted(filled, "Who admits?")
        with pytest.raises(ArticleDeletedError):
            fresh.store.record("d")
        assert fresh.store.identity != filled.store.identity
        assert fresh.check() == []
    with closing(Corpus(tmp_path / "fresh", ENCODER)) as again:
        assert (again.check(), again.repairs) == ([], [])


def test_a_restore_replaces_everything_and_no_number_is_given_to_other_content(filled: Corpus, tmp_path: Path) -> None:
    filled.back_up(tmp_path / "copy")
    before = texts(filled)
    keys = filled.store.passages_of(Filters())
    add(filled, article("a", "Iran says nothing."), article("later", "Oranges are sold out."))
    add(filled, article("later", "Oranges are back."))
    assert filled.restore(tmp_path / "copy") == Restored(articles=3, versions=4, left_out=0)
    assert texts(filled) == before
    assert set(filled.store.passages_of(Filters())).isdisjoint(keys)
    assert "Oranges are back." not in quoted(filled, "Are oranges back?")
    with pytest.raises(ArticleNotFoundError):
        filled.store.record("later")
    add(filled, article("a", "Iran waits."), article("later", "Oranges are cheap."))
    assert [one.version for one in filled.store.versions("a")] == [4, 2, 1]
    assert [one.version for one in filled.store.versions("later")] == [3]
    assert filled.check() == []


def test_removed_after_a_restore_an_article_still_goes_on_with_its_numbers(filled: Corpus, tmp_path: Path) -> None:
    filled.back_up(tmp_path / "copy")
    add(filled, article("a", "Iran says nothing."))
    filled.restore(tmp_path / "copy")
    filled.remove(["a"])
    add(filled, article("a", "Iran waits."))
    assert [one.version for one in filled.store.versions("a")] == [4]


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "deleted and added again"])
def test_what_was_deleted_since_is_left_out_unless_it_is_asked_for(filled: Corpus, tmp_path: Path, again: bool) -> None:
    filled.back_up(tmp_path / "copy")
    filled.remove(["a"])
    if again:
        add(filled, article("a", "Iran is back."))
    assert filled.restore(tmp_path / "copy") == Restored(articles=2, versions=2, left_out=1)
    with pytest.raises(ArticleDeletedError):
        filled.store.record("a")
    assert not [quote for quote in quoted(filled, "What does Iran admit?") if "Iran" in quote]
    assert filled.check() == []
    assert filled.restore(tmp_path / "copy", with_deleted=True) == Restored(articles=3, versions=4, left_out=0)
    assert quoted(filled, "Who admits?")[0] == "Iran admits it."
    assert filled.store.record("a", 1).article.text == "Iran denies it."
    add(filled, article("a", "Iran waits."))
    assert filled.store.record("a").version == (4 if again else 3)
    assert filled.check() == []


def test_what_was_there_before_a_restore_is_erased_by_compaction(filled: Corpus, tmp_path: Path) -> None:
    assert filled.compact()
    filled.back_up(tmp_path / "copy")
    add(filled, article("later", "A secret recipe."))
    assert not filled.store.has_traces()
    filled.restore(tmp_path / "copy")
    assert filled.store.has_traces()
    assert filled.compact()
    assert not [path for path in filled.folder.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]


def test_another_process_catches_up_with_a_restore(filled: Corpus, tmp_path: Path) -> None:
    filled.back_up(tmp_path / "copy")
    add(filled, article("b", "Three eggs are enough."), article("later", "Oranges are sold out."))
    with closing(Corpus(filled.folder, ENCODER)) as other:
        assert quoted(other, "How many eggs?")[0] == "Three eggs are enough."
        filled.restore(tmp_path / "copy")
        # Not refreshed, it quotes nothing that is gone.
        assert not [quote for quote in quoted(other, "eggs oranges") if quote[:5] in {"Three", "Orang"}]
        other.refresh()
        assert quoted(other, "How many eggs?")[0] == "Two eggs are enough."
        assert other.check() == []


def test_asking_goes_on_while_restoring(filled: Corpus, tmp_path: Path) -> None:
    filled.back_up(tmp_path / "copy")
    done = threading.Event()

    def restore() -> None:
        try:
            for _ in range(5):
                filled.restore(tmp_path / "copy")
        finally:
            done.set()

    thread = threading.Thread(target=restore)
    thread.start()
    asked = 0
    while not done.is_set() or not asked:
        # Between the change and the refresh that follows it nothing is found, and never anything else.
        assert quoted(filled, "Who admits?")[:1] in ([], ["Iran admits it."])
        asked += 1
    thread.join(30)
    assert quoted(filled, "Who admits?")[0] == "Iran admits it."
    assert filled.check() == []


def a_letter(copy: Path) -> None:
    content = (copy / "quoteline.db").read_bytes()
    (copy / "quoteline.db").write_bytes(content.replace(b"admits", b"denies", 1))


def cut(copy: Path) -> None:
    content = (copy / "quoteline.db").read_bytes()
    (copy / "quoteline.db").write_bytes(content[:-4096])


def without_database(copy: Path) -> None:
    (copy / "quoteline.db").unlink()


def another_time(copy: Path) -> None:
    about = json.loads((copy / "backup.json").read_bytes())
    (copy / "backup.json").write_text(json.dumps({**about, "created_at": about["created_at"] + 1e6}))


def older(copy: Path) -> None:
    about = json.loads((copy / "backup.json").read_bytes())
    (copy / "backup.json").write_text(json.dumps({**about, "format": 1}))


def nonsense(copy: Path) -> None:
    (copy / "backup.json").write_text("[]")


def without_seal(copy: Path) -> None:
    about = json.loads((copy / "backup.json").read_bytes())
    del about["seal"]
    (copy / "backup.json").write_text(json.dumps(about))


@pytest.mark.parametrize("damage", [a_letter, cut, without_database, another_time, older, nonsense, without_seal])
def test_a_damaged_backup_is_refused_and_nothing_is_changed(
    filled: Corpus, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    filled.back_up(tmp_path / "copy")
    add(filled, article("a", "Iran waits."))
    before = texts(filled), filled.store.generation
    damage(tmp_path / "copy")
    with pytest.raises(CorpusDamagedError, match="use another one"):
        filled.restore(tmp_path / "copy")
    assert (texts(filled), filled.store.generation) == before
    assert filled.check() == []


def test_a_folder_without_a_backup_is_refused(filled: Corpus, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"holds no backup; `quoteline backup`"):
        filled.restore(tmp_path / "nothing")


def test_a_backup_of_another_encoder_is_refused(filled: Corpus, tmp_path: Path) -> None:
    filled.back_up(tmp_path / "copy")
    with closing(Corpus(tmp_path / "other", HashingEncoder(name="other"))) as other:
        add(other, article("z", "Oranges are sold out."))
        with pytest.raises(EncoderMismatchError, match="encoder hashing, not other; set QUOTELINE_MODEL"):
            other.restore(tmp_path / "copy")
        assert texts(other) == {("z", 1): "Oranges are sold out."}
        assert other.check() == []


def test_a_process_with_a_former_encoder_does_not_restore(filled: Corpus, tmp_path: Path) -> None:
    filled.back_up(tmp_path / "copy")
    with closing(Corpus(filled.folder, HashingEncoder(name="other"), encode_again=True)) as other:
        with pytest.raises(EncoderMismatchError):
            filled.restore(tmp_path / "copy")
        assert other.check() == []


def test_a_restore_that_breaks_changes_nothing(filled: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.back_up(tmp_path / "copy")
    add(filled, article("a", "Iran waits."))
    before = texts(filled), filled.store.generation
    whole = backup.take_over

    def broken(*given: object, **named: object) -> None:
        whole(*given, **named)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(backup, "take_over", broken)
    with pytest.raises(KeyboardInterrupt):
        filled.restore(tmp_path / "copy")
    assert (texts(filled), filled.store.generation) == before
    monkeypatch.setattr(backup, "take_over", whole)
    filled.restore(tmp_path / "copy")
    assert filled.check() == []


def backup_of_format(tmp_path: Path, number: int) -> Path:
    """Return a backup of format 1 or 2; for other numbers one of format 1 that is said to be of that."""
    with tarfile.open(GOLDEN / f"format{number if number <= 2 else 1}.tar.gz") as archive:
        archive.extract("quoteline.db", tmp_path / "old", filter="data")
    database = tmp_path / "old" / "quoteline.db"
    about: dict[str, object] = {"format": number, "identity": "old", "encoder": "hashing", "generation": 4}
    about |= {"articles": 4, "created_at": 1e9, "sha256": hashlib.sha256(database.read_bytes()).hexdigest()}
    (tmp_path / "old" / "backup.json").write_text(json.dumps({**about, "seal": backup._seal(about)}))
    return tmp_path / "old"


def test_a_backup_of_an_older_format_is_brought_back(filled: Corpus, tmp_path: Path) -> None:
    copy = backup_of_format(tmp_path, 1)
    before = (copy / "quoteline.db").read_bytes()
    assert filled.restore(copy) == Restored(articles=4, versions=4, left_out=0)
    assert quoted(filled, "How many eggs?")[0] == "Three eggs are enough."
    assert filled.check() == []
    assert (copy / "quoteline.db").read_bytes() == before
    assert not list(filled.folder.glob(".restore*"))


def test_a_backup_of_format_2_brings_its_near_duplicates(filled: Corpus, tmp_path: Path) -> None:
    filled.restore(backup_of_format(tmp_path, 2))
    assert {"update"} == set(filled.store.near_duplicates_of(["storm"])["storm"])
    assert filled.check() == []


def test_a_restore_brings_back_the_near_duplicates_of_then_and_no_others(corpus: Corpus, tmp_path: Path) -> None:
    report = "The storm reached the coast on Friday. It tore the roofs off forty houses. Nobody was hurt, they said."
    add(corpus, article("storm", report), article("copy", report), article("gone", report))
    add(corpus, article("copy", f"{report} Two ferries wait."))
    before = corpus.store.near_duplicates_of(["storm", "copy"])
    assert set(before["storm"]) == {"copy", "gone"}
    corpus.back_up(tmp_path / "copy")
    corpus.remove(["gone"])
    add(corpus, article("later", report))
    corpus.restore(tmp_path / "copy")
    after = corpus.store.near_duplicates_of(["storm", "copy", "later", "gone"])
    assert after == {
        one: {other: share for other, share in found.items() if other != "gone"} for one, found in before.items()
    }
    assert corpus.check() == []
    corpus.restore(tmp_path / "copy", with_deleted=True)
    assert corpus.store.near_duplicates_of(["storm", "copy"]) == before


def test_a_backup_of_a_newer_format_is_refused(filled: Corpus, tmp_path: Path) -> None:
    before = texts(filled)
    with pytest.raises(CorpusVersionError, match=f"format {FORMAT + 1}, this Quoteline reads formats up to {FORMAT}"):
        filled.restore(backup_of_format(tmp_path, FORMAT + 1))
    assert texts(filled) == before


def test_a_damaged_corpus_makes_no_backup(corpus: Corpus, tmp_path: Path) -> None:
    add(corpus, article("a", "The rocket rose at dawn."))
    corpus.save()
    with closing(sqlite3.connect(corpus.folder / "quoteline.db")) as connection:
        connection.execute("UPDATE versions SET text = replace(text, 'dawn', 'dusk')")
        connection.commit()
    with pytest.raises(CorpusDamagedError, match="version 1 of article 'a'"):
        corpus.back_up(tmp_path / "copy")
    assert [path for path in tmp_path.iterdir() if "copy" in path.name] == []
