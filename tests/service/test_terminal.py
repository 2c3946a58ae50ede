import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from index.articles import Article
from service.keys import KeyStore
from service.plaintext import WIDTH
from tests.service.conftest import EMOJI
from tests.service.live import live_server

DENIAL = "Iran denies sending any weaponry, including drones, to Russia."
QUESTION = "Did Iran deny sending drones?"
NOWHERE = "Who invented the bicycle chain?"

# The help


def test_the_help_fits_a_terminal_and_names_all_that_an_ask_takes(served: TestClient) -> None:
    text = served.get("/", headers={"User-Agent": "curl/8.0"}).text
    assert text.endswith("\n")
    assert max(map(len, text.splitlines())) <= WIDTH
    for parameter in served.get("/openapi.json").json()["paths"]["/ask"]["get"]["parameters"]:
        assert f"…&{parameter['name']}" in text or f"?{parameter['name']}=" in text, parameter["name"]


def test_the_help_says_how_scripts_learn_what_happened(served: TestClient) -> None:
    text = served.get("/", headers={"User-Agent": "curl/8.0"}).text
    assert "Quoteline-Verdict" in text
    for question, status in ((QUESTION, 200), (NOWHERE, 200), ("???", 422)):
        answer = served.get("/ask", params={"q": question})
        assert answer.status_code == status
        assert str(status) in text
        assert ("quoteline-verdict" in answer.headers) == (status == 200)


# Turns in a link


def test_a_follow_up_in_a_link_is_understood_as_with_the_quotes_of_the_last_turn(served: TestClient) -> None:
    follow_up = "And who tweeted about it?"
    quotes = [one["quote"] for one in served.get("/ask", params={"q": QUESTION}).json()["citations"]]
    body = {"question": follow_up, "turns": [{"question": "Who is there?"}, {"question": QUESTION, "quotes": quotes}]}
    posted = served.post("/ask", json=body).json()
    linked = served.get("/ask", params={"q": follow_up, "turn": ["Who is there?", QUESTION]}).json()
    assert linked["understood"] == posted["understood"]
    assert [one["id"] for one in linked["citations"]] == [one["id"] for one in posted["citations"]]


def test_a_link_holds_so_many_turns_and_only_such_as_can_be_asked(served: TestClient) -> None:
    assert served.get("/ask", params={"q": QUESTION, "turn": [QUESTION] * 10}).status_code == 200
    assert served.get("/ask", params={"q": QUESTION, "turn": [QUESTION] * 11}).status_code == 422
    assert served.get("/ask", params={"q": QUESTION, "turn": "???"}).status_code == 422


# The script

Ask = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, seeds: list[Article]) -> Iterator[str]:
    """The address of a server of the seeds and the emoji article."""
    with live_server(tmp_path_factory.mktemp("live"), [*seeds, EMOJI]) as address:
        yield address


@pytest.fixture(params=["dash", "bash"])
def ask(request: pytest.FixtureRequest, live: str, tmp_path: Path) -> Ask:
    """What runs the script, as the server gives it, in one of several shells."""
    shell = request.param.split()
    if shutil.which("curl") is None or shutil.which(shell[0]) is None:
        pytest.skip(f"needs curl and {shell[0]}")
    script = tmp_path / "ask.sh"
    fetched = subprocess.run(["curl", "-s", f"{live}/ask.sh"], capture_output=True, check=True)  # noqa: S607
    script.write_bytes(fetched.stdout)

    def run(*arguments: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        mine = {"PATH": os.environ["PATH"], "XDG_STATE_HOME": str(tmp_path / "state"), "TMPDIR": str(tmp_path)}
        return subprocess.run(
            [*shell, str(script), *arguments],
            env={**mine, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def test_the_script_answers_and_its_status_says_what_happened(ask: Ask, tmp_path: Path) -> None:
    answered = ask(*QUESTION.split())
    assert (answered.returncode, answered.stderr) == (0, "")
    assert f"[1] {DENIAL}\n" in answered.stdout
    assert not answered.stdout.endswith("\n\n")
    nothing = ask(NOWHERE)
    assert nothing.returncode == 1
    assert nothing.stdout.startswith("Nothing here answers that")
    refused = ask("???")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert refused.stderr == "ask: the question holds no word; ask something like “Who denied it?”\n"
    unreachable = ask("--server", "http://127.0.0.1:1", "Who?")
    assert unreachable.returncode == 3
    assert "no answer from http://127.0.0.1:1" in unreachable.stderr
    # Nothing is left where temporary files are made.
    assert {path.name for path in tmp_path.iterdir()} == {"ask.sh", "state"}


def test_a_server_that_is_not_quoteline_is_told_from_one(ask: Ask, live: str) -> None:
    other = ask("--server", f"{live}/docs", "Who?")
    assert other.returncode == 3
    assert len(other.stderr) < 1000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bogus", "Who?"], "there is no option --bogus"),
        (["--source"], "--source takes a value"),
        (["-c", "-n"], "-n takes a value"),
        ([], "the question is empty"),
        (["-"], "the question is empty"),
        (["  "], "the question is empty"),
    ],
)
def test_wrong_use_is_told(ask: Ask, arguments: list[str], said: str) -> None:
    done = ask(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"ask: {said}; see ask --help\n"


def test_the_scripts_help_fits_a_terminal_and_documents_each_status(ask: Ask) -> None:
    done = ask("--help", XDG_STATE_HOME="/home/me/.local/state")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= WIDTH
    assert all(f"\n  {status}  " in done.stdout for status in range(4))


def test_a_question_comes_from_standard_input_or_the_arguments_letter_by_letter(ask: Ask) -> None:
    question = "Did \"Iran\" & $HOME deny; `drones` \\n @it +1 100% 'é' 🚀?"
    for arguments, stdin in (([question], ""), ([], question + "\n"), (["-"], question), (["--", question], "")):
        done = ask("--json", *arguments, stdin=stdin)
        assert json.loads(done.stdout)["question"] == question, done.stderr
    assert json.loads(ask("--json", "--", "-n", "or", "not").stdout)["question"] == "-n or not"
    assert json.loads(ask("--json", stdin="Two\nlines?\n").stdout)["question"] == "Two lines?"


def test_options_narrow_the_search(ask: Ask) -> None:
    found = json.loads(ask("--json", "-n", "1", "--source", "x", "--source", "Space Daily", "rocket").stdout)
    assert [one["article_id"] for one in found["citations"] + found["nearest"]] == ["emoji"]
    for narrowed in (["--collection", "letters"], ["--since", "2030-01-01"], ["--until", "2000-01-01"]):
        done = ask(*narrowed, "rocket")
        assert (done.returncode, done.stdout) == (1, "The filters leave no article.\n")
    assert "a day is written like 2022-10-28" in ask("--since", "yesterday", "rocket").stderr
    alone = json.loads(ask("--no-compare", "--json", "-n", "1", "rocket").stdout)
    assert (alone["question"], alone["comparison"]) == ("rocket", None)


def test_a_follow_up_sends_the_questions_before_it(ask: Ask, live: str, tmp_path: Path) -> None:
    ask(QUESTION)
    ask("-c", "And who tweeted about it?")
    kept = tmp_path / "state" / "quoteline" / "conversation"
    assert kept.read_text(encoding="utf-8").splitlines() == [live, QUESTION, "And who tweeted about it?"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    # One that stands alone begins anew.
    ask(QUESTION)
    assert kept.read_text(encoding="utf-8").splitlines() == [live, QUESTION]
    follow_up = "And who sent them?"
    link = ["curl", "-sG", "--data-urlencode", f"q={follow_up}", "--data-urlencode", f"turn={QUESTION}", f"{live}/ask"]
    expected = json.loads(subprocess.run([*link, "-HAccept: application/json"], capture_output=True, check=True).stdout)
    answer = json.loads(ask("--json", "-c", follow_up).stdout)
    assert (answer["question"], answer["understood"]) == (follow_up, expected["understood"])


def test_of_a_conversation_the_last_ten_questions_are_kept(ask: Ask, tmp_path: Path) -> None:
    kept = tmp_path / "state" / "quoteline" / "conversation"
    ask("Who is it 0?")
    kept.write_text("\n".join([*kept.read_text(encoding="utf-8").splitlines(), *"123456789"]) + "\n", encoding="utf-8")
    assert ask("-c", "Who is it 10?").returncode in (0, 1)
    assert kept.read_text(encoding="utf-8").splitlines()[1:] == [*"123456789", "Who is it 10?"]


def test_what_was_asked_elsewhere_is_not_told_and_a_lack_of_it_is_said(ask: Ask, live: str, tmp_path: Path) -> None:
    first = ask("-c", QUESTION)
    assert first.returncode == 0
    assert "nothing is followed up" in first.stderr
    kept = tmp_path / "state" / "quoteline" / "conversation"
    kept.write_text(f"https://elsewhere.example\n{QUESTION}\n", encoding="utf-8")
    answer = ask("-c", "--json", "And who sent them?")
    assert json.loads(answer.stdout)["understood"] is None
    assert "nothing is followed up" in answer.stderr
    assert kept.read_text(encoding="utf-8").splitlines() == [live, "And who sent them?"]


def test_a_conversation_that_cannot_be_kept_stops_nothing(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way", encoding="utf-8")
    done = ask(QUESTION)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_key_comes_from_the_environment_and_never_stands_among_the_arguments(
    ask: Ask, tmp_path: Path, seeds: list[Article]
) -> None:
    _, token = KeyStore(tmp_path / "keys" / "keys.json").create("a reader", ["ask"])
    # In place of curl, one that keeps what it is told.
    spy = tmp_path / "bin" / "curl"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/told\nexec {shutil.which("curl")} "$@"\n')
    spy.chmod(0o755)
    path = f"{spy.parent}:{os.environ['PATH']}"
    with live_server(tmp_path / "keys", seeds) as address:
        assert "401" not in ask(QUESTION).stderr
        without = ask("--server", address, QUESTION)
        assert without.returncode == 3
        assert "send a key" in without.stderr
        assert ask("--server", address, QUESTION, QUOTELINE_KEY=token, PATH=path).returncode == 0
    told = (tmp_path / "told").read_text(encoding="utf-8")
    assert QUESTION in told
    assert token not in told
    assert ask(QUESTION, QUOTELINE_KEY='x"\nurl = "file:///etc/passwd').returncode == 2
