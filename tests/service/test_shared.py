"""The command line on a corpus that several machines share: PostgreSQL keeps it, Milvus searches it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from index.testing import HashingEncoder, OverlapReader
from service import cli, readers
from tests.index.milvus_server import LiteServer, lite_server

SEEDS = Path(__file__).parents[2] / "seeds"
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def milvus() -> Iterator[LiteServer]:
    with lite_server() as server:
        yield server


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overlap_reader: OverlapReader) -> Run:
    encoder = HashingEncoder(dim=64)
    monkeypatch.setattr(cli, "load_encoder", lambda *_, **__: encoder)
    monkeypatch.setattr(readers, "load_reader", lambda *_, **__: overlap_reader)
    monkeypatch.setenv("QUOTELINE_DATA", str(tmp_path / "data"))

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(cli.commands, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def shared(milvus: LiteServer, address: str) -> str:
    """The address of a corpus that is not there yet."""
    return f"{milvus.address()}?store={address}"


def said(answer: Result) -> str:
    """Return an answer without its scores: in how many passages a word stands is estimated there, and counted here."""
    return re.sub(r"score [\d.]+", "", answer.output)


def test_a_corpus_that_was_migrated_answers_as_it_did_and_goes_on_growing(
    run: Run, shared: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run("add", SEEDS).exit_code == 0
    before = said(run("ask", "Did Iran deny sending drones?"))
    assert "Iran" in before
    monkeypatch.setenv("QUOTELINE_INDEX", shared)
    moved = run("migrate")
    assert moved.exit_code == 0, moved.output
    assert "copied 2 articles, 2 versions" in moved.output
    assert "all is consistent" in moved.output
    assert said(run("ask", "Did Iran deny sending drones?")) == before
    again = run("migrate")
    assert again.exit_code == 0, again.output
    # Two workers, one after the other, on what was put into the queue.
    (tmp_path / "eggs.txt").write_text("Two eggs are enough for breakfast.")
    assert run("enqueue", tmp_path / "eggs.txt").exit_code == 0
    worked = run("work", "--until-empty")
    assert worked.exit_code == 0, worked.output
    assert run("work", "--until-empty").exit_code == 0
    assert "Two eggs are enough for breakfast." in run("ask", "How many eggs are enough?").output
    assert run("check").output.startswith("all is consistent: 3 articles")
    # What was on this machine stays as it was.
    monkeypatch.delenv("QUOTELINE_INDEX")
    assert run("check").output.startswith("all is consistent: 2 articles")


def test_a_backup_of_one_machine_is_restored_where_several_share_a_corpus(
    run: Run, shared: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run("add", SEEDS).exit_code == 0
    before = said(run("ask", "Who is Ukraine's foreign minister?"))
    assert run("backup", tmp_path / "kept").exit_code == 0
    monkeypatch.setenv("QUOTELINE_INDEX", shared)
    restored = run("restore", tmp_path / "kept")
    assert restored.exit_code == 0, restored.output
    assert said(run("ask", "Who is Ukraine's foreign minister?")) == before
    assert run("check").output.startswith("all is consistent: 2 articles")


def test_a_server_that_is_not_there_is_told_by_name_and_without_a_password(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTELINE_INDEX", "milvus://127.0.0.1:9/news?store=postgresql://me:secret@127.0.0.1:9/db")
    refused = run("ask", "Is anybody there?")
    assert refused.exit_code != 0
    assert "127.0.0.1:9" in str(refused.exception)
    assert "secret" not in str(refused.exception) + refused.output
