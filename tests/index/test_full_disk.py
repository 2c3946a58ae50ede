"""A corpus on a disk that is full, or that cannot be written."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from index.articles import Article, Span
from index.corpus import Corpus
from index.derived import State
from index.errors import CorpusError
from index.lexical import LexicalIndex
from index.retrieval import Retriever
from index.store import connection
from index.testing import HashingEncoder
from index.vectors import VectorIndex

ENCODER = HashingEncoder(dim=32)
MOUNT = shutil.which("mount")
UNMOUNT = shutil.which("umount")


def article(name: str, text: str, **facts: object) -> Article:
    return replace(Article(name, text, Span(0, len(text))), **facts)  # type: ignore[arg-type]


def long(number: int) -> Article:
    return article(f"long{number:03}", " ".join(f"Drone {number} was sent on day {day}." for day in range(150)))


def add(corpus: Corpus, *articles: Article) -> None:
    list(corpus.add(articles))


def quoted(corpus: Corpus, question: str) -> list[str]:
    found = Retriever(corpus).retrieve(question, top_k=10).candidates
    return [one.sentence.span.of(corpus.store.record(one.sentence.article_id).article.text) for one in found]


def add_until_full(corpus: Corpus) -> tuple[list[str], CorpusError]:
    """Add articles until there is no room; return the ids of those that were acknowledged, and the error."""
    kept: list[str] = []
    try:
        for number in range(1000):
            kept += [outcome.article_id for outcome in corpus.add([long(number)])]
    except CorpusError as error:
        return kept, error
    raise AssertionError("it never became full")


def ids(corpus: Corpus) -> list[str]:
    return [summary.id for summary in corpus.store.summaries()]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = MOUNT and subprocess.run([MOUNT, "-t", "tmpfs", "-o", "size=4m", "none", place], check=False)
    if not mounted or mounted.returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run([str(UNMOUNT), "-l", place], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that is left on a disk; return the file that takes it."""
    taken = disk / "taken"
    with taken.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return taken


def make_read_only(disk: Path, *, again: bool = False) -> None:
    done = subprocess.run(
        [str(MOUNT), "-o", f"remount,{'rw' if again else 'ro'}", disk], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("no disk can be made read-only here")


# Full


def test_a_database_that_cannot_grow_keeps_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small:
        small.setattr(connection, "_PRAGMAS", connection._PRAGMAS + "PRAGMA max_page_count=120;")
        with closing(Corpus(tmp_path, ENCODER)) as corpus:
            add(corpus, article("first", "Iran denies it."))
            kept, error = add_until_full(corpus)
            assert "is full; nothing of this change was kept" in str(error)
            assert ids(corpus) == ["first", *kept]
            assert corpus.check() == []
            corpus.remove([kept[0]])
            assert quoted(corpus, "Who denies?")[0] == "Iran denies it."
            assert corpus.check() == []
    with closing(Corpus(tmp_path, ENCODER)) as again:
        assert ids(again) == ["first", *kept[1:]]
        add(again, long(999))
        assert again.check() == []


def test_what_was_acknowledged_before_a_disk_was_full_is_there_and_searched(disk: Path, tmp_path: Path) -> None:
    corpus = Corpus(disk / "corpus", ENCODER)
    add(corpus, article("first", "Iran denies it."))
    kept, error = add_until_full(corpus)
    assert "full" in str(error)
    assert len(kept) > 3
    assert ids(corpus) == ["first", *kept]
    assert quoted(corpus, "Who denies?")[0] == "Iran denies it."
    assert corpus.store.check() == []
    # Elsewhere it is whole, without anything having been closed.
    with closing(Corpus(shutil.copytree(disk / "corpus", tmp_path / "elsewhere"), ENCODER)) as elsewhere:
        assert (ids(elsewhere), elsewhere.check()) == (["first", *kept], [])
    with suppress(CorpusError):
        corpus.close()


def test_a_removal_on_a_full_disk_is_whole_or_not_at_all_and_goes_on_once_there_is_room(disk: Path) -> None:
    with closing(Corpus(disk / "corpus", ENCODER)) as corpus:
        (disk / "room").write_bytes(b"x" * 1_500_000)
        kept, _ = add_until_full(corpus)
        taken = fill(disk)
        with pytest.raises(CorpusError, match="is full; nothing of this change was kept"):
            corpus.remove(kept[:2])
        assert ids(corpus) == kept
        taken.unlink()
        (disk / "room").unlink()
        corpus.remove(kept[:2])
        corpus.refresh()
        assert ids(corpus) == kept[2:]
        assert corpus.check() == []
        assert corpus.compact()
        add(corpus, article("last", "Iran denies it."))
        assert quoted(corpus, "Who denies?")[0] == "Iran denies it."
        assert corpus.check() == []
    with closing(Corpus(disk / "corpus", ENCODER)) as again:
        assert (again.check(), again.repairs) == ([], [])


def test_a_change_is_kept_though_the_lexical_index_has_no_room(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(Corpus(disk / "corpus", ENCODER)) as corpus:
        add(corpus, *(long(number) for number in range(3)))
        # SQLite's log has room that it writes again; tantivy has none.
        corpus.store._rows("PRAGMA wal_checkpoint(RESTART)")
        taken = fill(disk)
        add(corpus, article("late", "Iran denies it."))
        assert "a change is kept, but not yet searched" in caplog.text
        assert corpus.store.record("late").version == 1
        taken.unlink()
        corpus.refresh()
        assert quoted(corpus, "Who denies?")[0] == "Iran denies it."
        assert corpus.check() == []


def test_vectors_that_cannot_be_saved_are_an_error_with_a_name_and_no_loss(disk: Path) -> None:
    corpus = Corpus(disk / "corpus", ENCODER)
    add(corpus, *(long(number) for number in range(3)))
    taken = fill(disk)
    with pytest.raises(CorpusError, match=r"the vector index in .* cannot be written \(No space left"):
        corpus.close()
    taken.unlink()
    with closing(Corpus(disk / "corpus", ENCODER)) as again:
        assert (again.check(), again.repairs) == ([], [])


def test_a_full_disk_is_not_taken_for_damage(disk: Path) -> None:
    with closing(Corpus(disk / "corpus", ENCODER)) as corpus:
        add(corpus, *(long(number) for number in range(3)))
    (disk / "empty").mkdir()
    fill(disk)
    with pytest.raises(CorpusError, match="the disk is not full") as caught:
        LexicalIndex.open(disk / "empty")
    assert type(caught.value) is CorpusError
    # A sound index is opened without writing.
    assert len(LexicalIndex.open(disk / "corpus" / "lexical").reader()) > 0
    with pytest.raises(CorpusError):
        Corpus(disk / "another", ENCODER)


def test_a_backup_that_has_no_room_leaves_nothing(disk: Path) -> None:
    with closing(Corpus(disk / "corpus", ENCODER)) as corpus:
        add(corpus, *(long(number) for number in range(8)))
        (disk / "copies").mkdir()
        taken = fill(disk)
        with pytest.raises(CorpusError, match=r"full|space"):
            corpus.back_up(disk / "copies" / "copy")
        assert list((disk / "copies").iterdir()) == []
        assert corpus.check() == []
        taken.unlink()
        assert corpus.back_up(disk / "copies" / "copy").articles == 8


# Read-only


def test_a_disk_that_is_read_only_is_an_error_with_a_name(disk: Path) -> None:
    with closing(Corpus(disk / "corpus", ENCODER)) as corpus:
        add(corpus, article("a", "Iran denies it."))
    make_read_only(disk)
    for folder in (disk / "corpus", disk / "new"):
        with pytest.raises(CorpusError, match=r"cannot be (opened or )?written"):
            Corpus(folder, ENCODER)
    make_read_only(disk, again=True)
    with closing(Corpus(disk / "corpus", ENCODER)) as again:
        assert (again.check(), again.repairs) == ([], [])


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_lock_that_cannot_be_made_is_an_error_with_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    with closing(Corpus(tmp_path, ENCODER)) as corpus:
        add(corpus, article("a", "Iran denies it."))

        def refused(*_: object, **__: object) -> None:
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patched:
            patched.setattr(FileLock, "acquire", refused)
            with pytest.raises(CorpusError, match=f"cannot be written .{os.strerror(code)}"):
                corpus.remove(["a"])
        assert corpus.check() == []


def test_vectors_in_a_folder_that_is_a_file_are_an_error_with_a_name(tmp_path: Path) -> None:
    (tmp_path / "vectors").touch()
    with pytest.raises(CorpusError, match="the vector index in"):
        VectorIndex(4).save(tmp_path / "vectors", State("a store", 1))
