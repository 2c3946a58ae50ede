import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from index import batches
from index.batches import Outcome
from index.confidence import Calibration
from index.encoding import Encoder
from index.errors import (
    ArticleDeletedError,
    ArticleNotFoundError,
    CalibrationError,
    CorpusDamagedError,
    CorpusError,
    InputError,
)
from index.testing import HashingEncoder, OverlapEntailment, OverlapReader
from service import cli, readers
from service.settings import Settings
from service.tally import Tally

Run = Callable[..., Result]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashing_encoder: HashingEncoder, overlap_reader: OverlapReader
) -> Run:
    """The command line, on a corpus of its own, with the hashing encoder and the reader that counts words."""

    def load(*_: object, **__: object) -> Encoder:
        return hashing_encoder

    def load_reader(model: str, *_: object) -> OverlapReader | None:
        return None if model == "none" else overlap_reader

    monkeypatch.setattr(cli, "load_encoder", load)

    def load_entailment(model: str, *_: object, **__: object) -> OverlapEntailment | None:
        return None if model == "none" else OverlapEntailment(name=model)

    monkeypatch.setattr(readers, "load_reader", load_reader)
    monkeypatch.setattr(readers, "load_entailment", load_entailment)
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


def test_near_duplicates_are_named_and_kept(run: Run, news: Path) -> None:
    text = "The storm reached the coast on Friday night. It tore the roofs off forty houses. Nobody was hurt there."
    (news / "storm.txt").write_text(text, encoding="utf-8")
    run("add", news)
    (news / "update.txt").write_text(f"{text} Two ferries wait.", encoding="utf-8")
    assert "added update (near-duplicate of storm, 85 %)" in run("add", news).output
    (news / "latest.txt").write_text(f"{text} Two ferries still wait.", encoding="utf-8")
    output = run("add", news).output
    assert "added latest (near-duplicate of update, 86 %, and of 1 other)" in output
    assert "update (" not in output
    assert len(run("articles").output.splitlines()) == 5


def test_of_very_many_near_duplicates_the_first_are_named(run: Run, news: Path) -> None:
    for number in range(25):
        (news / f"w{number:02}.txt").write_text(f"It is dry in most parts of the country. Report {number}.")
    output = run("add", news).output
    assert output.count("(near-duplicate of ") == 20
    assert "… and 5 more articles with near-duplicates; GET /articles/ID says of which" in output


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
    assert "[1] The rocket rose at dawn.\n" in run("ask", "When did the rocket rise?", "--no-compare").output
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


def test_what_was_added_before_an_interrupt_stays_and_the_same_command_goes_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps({"_id": f"a{number}", "text": f"Number {number} it is."}) for number in range(9)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(batches, "BATCH_ARTICLES", 2)
    told = Tally.count

    def interrupted(tally: Tally, outcome: Outcome) -> None:
        told(tally, outcome)
        if tally.counts.total() == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Tally, "count", interrupted)
        broken = run("add", tmp_path / "a.jsonl")
    assert broken.exit_code == cli.INTERRUPTED
    assert "added 5, replaced 0, already there 0, failed 0" in broken.output
    assert "the same command goes on from there" in broken.output
    # The batch of the fifth was committed as a whole.
    assert "added 3, replaced 0, already there 6, failed 0" in run("add", tmp_path / "a.jsonl").output
    assert "9 articles" in run("check").output


def test_what_was_added_is_tidied_up_and_nothing_is_where_nothing_was_added(run: Run, news: Path) -> None:
    assert "tidying the indexes" in run("add", news).output
    assert "tidying" not in run("add", news).output


def test_a_migration_that_is_not_told_where_to_says_how_to_name_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUOTELINE_INDEX", raising=False)
    refused = run("migrate")
    assert isinstance(refused.exception, InputError)
    assert "QUOTELINE_INDEX" in str(refused.exception)


# Collections, versions, deletions


def test_articles_go_into_the_collection_that_is_named_and_stay_there(run: Run, news: Path) -> None:
    assert run("add", "--collection", "news", news).exit_code == 0
    (news / "rocket.txt").write_text("The rocket fell at dusk.", encoding="utf-8")
    run("add", news)
    columns = [line.split("\t") for line in run("articles", "--collection", "news").output.splitlines()]
    assert [(column[0], column[4], column[5]) for column in columns] == [("dog", "1", "news"), ("rocket", "2", "news")]
    assert run("articles", "--collection", "default").output == ""
    assert "The rocket fell" in run("ask", "--collection", "news", "When did the rocket fall?").output
    assert run("ask", "--collection", "default", "When did the rocket fall?").exit_code == 3


def test_a_collection_of_another_kind_of_name_is_refused(run: Run, news: Path) -> None:
    refused = run("add", "--collection", "My News", news)
    assert isinstance(refused.exception, InputError)
    assert "a-z" in str(refused.exception)


def test_nothing_is_left_of_a_removed_article(run: Run, news: Path, tmp_path: Path) -> None:
    run("add", news)
    assert run("remove", "rocket").output == "removed 1 article\n"
    files = [path for path in (tmp_path / "data" / "corpus").rglob("*") if path.is_file()]
    assert [path for path in files if b"Nobody was hurt" in path.read_bytes()] == []
    assert run("compact").output == "nothing is left of removed articles\n"
    assert isinstance(run("remove", "rocket").exception, ArticleDeletedError)


# Copies


def test_a_backup_is_brought_back_without_what_was_removed_since(run: Run, news: Path, tmp_path: Path) -> None:
    run("add", news)
    assert run("backup", tmp_path / "copy").output.startswith("2 articles, generation 1")
    run("remove", "dog")
    (news / "rocket.txt").write_text("The rocket fell at dusk.", encoding="utf-8")
    run("add", news / "rocket.txt")
    restored = run("restore", tmp_path / "copy")
    assert "restored 1 article, 1 version" in restored.output
    assert "left out 1 article" in restored.output
    assert "The rocket rose at dawn." in run("ask", "When did the rocket rise?").output
    assert "restored 2 articles" in run("restore", "--with-deleted", tmp_path / "copy").output
    assert run("check").exit_code == 0


def test_a_backup_goes_into_a_new_folder_only_and_is_brought_back_from_one_only(
    run: Run, news: Path, tmp_path: Path
) -> None:
    run("add", news)
    for command, folder, said in (("backup", news, "not empty"), ("restore", news, "no backup")):
        refused = run(command, folder)
        assert isinstance(refused.exception, CorpusError)
        assert said in str(refused.exception)
    assert run("check").exit_code == 0


def test_a_damaged_database_is_set_aside_for_a_backup(run: Run, news: Path, tmp_path: Path) -> None:
    run("add", news)
    run("backup", tmp_path / "copy")
    database = tmp_path / "data" / "corpus" / "quoteline.db"
    database.write_bytes(b"\xaa" * 8192)
    assert isinstance(run("check").exception, CorpusDamagedError)
    restored = run("restore", tmp_path / "copy")
    assert "restored 2 articles" in restored.output
    assert "is kept as" in restored.output
    assert [path.read_bytes() for path in database.parent.glob("*damaged*/quoteline.db")] == [b"\xaa" * 8192]
    assert run("check").exit_code == 0


def test_check_tells_what_was_repaired(run: Run, news: Path, tmp_path: Path) -> None:
    run("add", news)
    for file in (tmp_path / "data" / "corpus" / "vectors").iterdir():
        file.write_bytes(b"\xaa")
    first, second = run("check"), run("check")
    assert first.exit_code == 1
    assert "the vector index" in first.output
    assert "is being built again" in first.output
    assert second.exit_code == 0


# Reading


def _calibrate(file: Path, reader: str, bias: float) -> None:
    Calibration(reader, {"logit": 1.0}, {"order": 1.0}, {"bias": bias}).save(file)


def test_an_ask_reads_as_the_settings_say(run: Run, news: Path, tmp_path: Path) -> None:
    run("add", news)
    question = ("ask", "Did the rocket rise at dawn?")
    assert run(*question).exit_code == 0
    _calibrate(tmp_path / "data" / "calibration.json", "overlap", -9)
    assert run(*question).exit_code == 3
    assert run(*question, "--calibration", tmp_path / "data" / "calibration.json", "--perhaps", 0).exit_code == 0
    for without in (("--reader", "none"), ("--read", 0)):
        assert run(*question, *without).exit_code == 0
        refused = run(*question, *without, "--calibration", tmp_path / "data" / "calibration.json")
        assert isinstance(refused.exception, CalibrationError)
        assert "QUOTELINE_READER" in str(refused.exception)
    _calibrate(tmp_path / "other.json", "", 9)
    assert run(*question, "--read", 0, "--calibration", tmp_path / "other.json").exit_code == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdout", "no_color", "bold"), [(Terminal, "", True), (Terminal, "1", False), (io.StringIO, "", False)]
)
def test_on_a_terminal_the_words_that_answer_are_bold_unless_no_color_is_set(
    run: Run,
    news: Path,
    monkeypatch: pytest.MonkeyPatch,
    stdout: type[io.StringIO],
    no_color: str,
    bold: bool,
) -> None:
    run("add", news)
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys, "stdout", shown := stdout())
    with pytest.raises(SystemExit):
        cli.commands(["ask", "Which rocket rose at dawn?"])
    wanted = "[1] The \x1b[1mrocket rose at dawn\x1b[0m.\n" if bold else "[1] The rocket rose at dawn.\n"
    assert wanted in shown.getvalue()


def test_preparing_prepares_what_reads_too_unless_there_is_none(run: Run, tmp_path: Path) -> None:
    models = tmp_path / "data" / "models"
    prepared = run("prepare", "--entailment", "some/model").output
    assert prepared == "".join(f"{name} is ready in {models}\n" for name in ("hashing", "overlap", "some/model"))
    assert run("prepare", "--reader", "none", "--entailment", "none").output == f"hashing is ready in {models}\n"


def test_calibrating_writes_what_is_used_from_then_on_or_the_file_that_is_named(
    run: Run, news: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def calibrate(folder: Path, settings: Settings) -> Calibration:
        assert (folder, settings.read) == (news, 3)
        return Calibration("overlap", {"logit": 1.0}, {"order": 1.0}, {"bias": 9})

    bench = ModuleType("bench.calibration")
    bench.calibrate = calibrate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bench.calibration", bench)
    run("add", news)
    file = tmp_path / "new" / "other.json"
    assert run("calibrate", news, "--read", 3, "--output", file).output == (
        f"saved as {file}; set QUOTELINE_CALIBRATION={file}\n"
    )
    assert json.loads(file.read_text())["reader"] == "overlap"
    assert run("ask", "What is the capital of France?").exit_code == 3
    file = tmp_path / "data" / "calibration.json"
    assert run("calibrate", news, "--read", 3).output == f"saved as {file}; it is used from the next start on\n"
    assert run("ask", "What is the capital of France?").exit_code == 0


@pytest.mark.parametrize(("command", "module"), [("calibrate", "bench.calibration"), ("bench", "bench.run")])
def test_what_needs_a_checkout_says_so(
    run: Run, news: Path, monkeypatch: pytest.MonkeyPatch, command: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    refused = run(command, news)
    assert isinstance(refused.exception, InputError)
    assert f"`quoteline {command}` needs the repository" in str(refused.exception)
