from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from index.encoding import Encoder
from index.errors import ArticleNotFoundError, InputError
from index.testing import HashingEncoder
from service import cli

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashing_encoder: HashingEncoder) -> Run:
    """The command line, on a corpus of its own, with the hashing encoder."""

    def load(*_: object, **__: object) -> Encoder:
        return hashing_encoder

    monkeypatch.setattr(cli, "load_encoder", load)
    monkeypatch.setenv("QUOTELINE_DATA", str(tmp_path / "data"))

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(cli.commands, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def news(tmp_path: Path) -> Path:
    folder = tmp_path / "news"
    (folder / "old").mkdir(parents=True)
    (folder / "rocket.txt").write_text("The rocket rose at dawn. Nobody was hurt.", encoding="utf-8")
    (folder / "old" / "dog.md").write_text("# The dog\n\nThe dog slept all day.", encoding="utf-8")
    (folder / "README.md").write_text("What is in this folder.", encoding="utf-8")
    (folder / ".hidden.txt").write_text("Nobody should read this.", encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n")
    return folder


def test_a_folder_is_added_with_its_folders_but_not_what_is_hidden_or_about_it(run: Run, news: Path) -> None:
    result = run("add", news)
    assert result.exit_code == 0
    assert "added 2, replaced 0, already there 0, failed 0" in result.output
    assert [line.split("\t")[0] for line in run("articles").output.splitlines()] == ["dog", "rocket"]


def test_adding_again_is_no_change_and_a_changed_file_replaces(run: Run, news: Path) -> None:
    run("add", news)
    (news / "rocket.txt").write_text("The rocket fell at dusk.", encoding="utf-8")
    assert "added 0, replaced 1, already there 1, failed 0" in run("add", news).output
    assert "The rocket fell at dusk." in run("ask", "When did the rocket fall?").output


def test_what_cannot_be_read_is_named_and_the_rest_goes_in(run: Run, news: Path) -> None:
    (news / "empty.txt").write_text("", encoding="utf-8")
    (news / "broken.pdf").write_bytes(b"%PDF-1.7 and no more")
    result = run("add", news)
    assert result.exit_code == 1
    assert "added 2, replaced 0, already there 0, failed 2" in result.output
    assert result.output.count("failed: ") == 2
    assert "empty.txt" in result.output
    assert "broken.pdf" in result.output


def test_files_of_one_name_from_two_folders_are_both_kept(run: Run, news: Path) -> None:
    (news / "old" / "rocket.txt").write_text("The old rocket never flew.", encoding="utf-8")
    assert "added 3" in run("add", news).output
    assert "The old rocket never flew." in run("ask", "Which rocket never flew?").output


def test_a_folder_without_articles_is_an_error_that_says_what_is_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    result = run("add", tmp_path / "nothing")
    assert isinstance(result.exception, InputError)
    assert ".jsonl" in str(result.exception)


def test_an_ask_prints_what_curl_gets_and_exits_3_where_nothing_answers(run: Run, news: Path) -> None:
    run("add", news)
    answered = run("ask", "When", "did", "the", "rocket", "rise", "at", "dawn?")
    assert answered.exit_code == 0
    assert "[1] The rocket rose at dawn.\n" in answered.output
    unanswered = run("ask", "What is the capital of France?")
    assert unanswered.exit_code == 3
    assert unanswered.output.startswith("Nothing here answers that")


def test_a_removed_article_is_gone_and_an_unknown_one_removes_nothing(run: Run, news: Path) -> None:
    run("add", news)
    failed = run("remove", "dog", "cat")
    assert isinstance(failed.exception, ArticleNotFoundError)
    assert len(run("articles").output.splitlines()) == 2
    assert run("remove", "dog").output == "removed 1 article\n"
    assert [line.split("\t")[0] for line in run("articles").output.splitlines()] == ["rocket"]


def test_check_is_clean_until_something_is_damaged_and_rebuild_mends_what_is_derived(
    run: Run, news: Path, tmp_path: Path
) -> None:
    run("add", news)
    assert run("check").output == "all is consistent: 2 articles, 4 sentences, 2 passages\n"
    for path in (tmp_path / "data" / "corpus" / "vectors").iterdir():
        path.write_bytes(b"?")
    assert "rebuilt the indexes of 2 articles" in run("rebuild").output
    assert run("check").exit_code == 0


def test_an_error_of_ours_is_one_line_and_exit_code_1(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("articles")
    monkeypatch.setattr("sys.argv", ["quoteline", "remove", "nobody"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 1
    assert capsys.readouterr().err == "quoteline: there is no article 'nobody'; `quoteline articles` lists them\n"
