"""The real thing: a server process with the real encoder, asked over HTTP."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from index.encoding import Encoder

pytestmark = pytest.mark.model

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, real_encoder: Encoder) -> Iterator[tuple[str, int]]:
    """The address and the process id of `quoteline serve seeds`."""
    with _started(tmp_path_factory.mktemp("served"), str(CHECKOUT / "seeds")) as (address, process):
        yield address, process.pid


@contextmanager
def _started(data: Path, *arguments: str) -> "Iterator[tuple[str, subprocess.Popen[bytes]]]":
    """Yield the address and the process of `quoteline serve ARGUMENTS`, once it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "QUOTELINE_DATA": str(data), "QUOTELINE_MODELS": str(CHECKOUT / "var" / "models")}
    command = [str(Path(sys.executable).with_name("quoteline")), "serve", *arguments, "--port", str(port)]
    # A file, because a pipe that nobody reads from would stop the server once it is full.
    with (
        (data / "stderr").open("wb") as log,
        subprocess.Popen(command, env=environment, stderr=log) as process,
    ):
        address = f"http://127.0.0.1:{port}"
        try:
            _wait(address, process)
            yield address, process
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(address: str, process: "subprocess.Popen[bytes]", path: str = "/readyz") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            _get(f"{address}{path}")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not get ready")


def _get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as response:
        content: bytes = response.read()
    return content.decode()


def test_the_first_question_of_the_readme_is_answered(server: tuple[str, int]) -> None:
    answer = json.loads(_get(f"{server[0]}/ask?q=Did+Iran+deny+sending+drones?"))
    assert answer["verdict"] == "answered"
    assert answer["citations"][0]["quote"] == "Iran denies sending any weaponry, including drones, to Russia."


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc")
def test_a_server_that_answers_never_loads_torch_and_stays_small(server: tuple[str, int]) -> None:
    _get(f"{server[0]}/ask?q=Who+is+the+minister?")
    process = Path(f"/proc/{server[1]}")
    assert "torch" not in (process / "maps").read_text(encoding="utf-8")
    resident = next(line for line in (process / "status").read_text(encoding="utf-8").splitlines() if "VmRSS" in line)
    assert int(resident.split()[1]) < 500_000, resident


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(
    ("question", "code", "said"),
    [
        ("Did Iran deny sending drones?", 0, "[1] Iran denies sending any weaponry"),
        ("What is the capital of France?", 1, "Nothing here answers that"),
        ("", 2, "the question is empty"),
        ("???", 3, "no word"),
    ],
)
def test_the_script_from_the_server_asks_it(
    server: tuple[str, int], tmp_path: Path, question: str, code: int, said: str
) -> None:
    script = tmp_path / "ask.sh"
    script.write_text(_get(f"{server[0]}/ask.sh"), encoding="utf-8")
    done = subprocess.run(
        ["/bin/sh", str(script), *question.split()],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == code
    assert said in done.stdout + done.stderr


def test_an_article_added_by_another_process_is_answered_from(server: tuple[str, int], tmp_path: Path) -> None:
    process = Path(f"/proc/{server[1]}/environ")
    if not process.exists():
        pytest.skip("reads /proc")
    environment = dict(pair.split("=", 1) for pair in process.read_text(encoding="utf-8").split("\0") if "=" in pair)
    (tmp_path / "cheese.txt").write_text("Gouda is a cheese that is made in Holland.", encoding="utf-8")
    command = [str(Path(sys.executable).with_name("quoteline")), "add", str(tmp_path / "cheese.txt")]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        answer = json.loads(_get(f"{server[0]}/ask?q=Which+cheese+is+made+in+Holland?"))
        if answer["citations"] and answer["citations"][0]["article_id"] == "cheese":
            return
        time.sleep(0.1)
    raise AssertionError(answer)


def _log(data: Path) -> list[dict[str, Any]]:
    """Return the lines of the log; the command line's own words stand before them."""
    lines = (data / "stderr").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_answers_what_it_has_begun_and_leaves_without_an_error(
    tmp_path: Path, real_encoder: Encoder, stop: signal.Signals
) -> None:
    question = b'{"question": "Did Iran deny sending drones?"}'
    with _started(tmp_path, str(CHECKOUT / "seeds")) as (address, process):
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as begun:
            head = f"POST /ask HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            begun.sendall(f"{head}Content-Length: {len(question)}\r\n\r\n".encode() + question[:10])
            # Until it is at work, as the gauge says.
            while "quoteline_in_flight 1.0" not in _get(f"{address}/metrics"):
                time.sleep(0.02)
            process.send_signal(stop)
            _until_refused(host, int(port))
            begun.sendall(question[10:])
            answer = b""
            while got := begun.recv(65536):
                answer += got
        assert process.wait(timeout=30) == 0
    head_of_answer, _, body = answer.partition(b"\r\n\r\n")
    assert head_of_answer.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body)["verdict"] == "answered"
    assert [line["status"] for line in _log(tmp_path) if line.get("route") == "/ask"] == [200]
    assert [line for line in _log(tmp_path) if line["level"] == "error"] == []
    assert "Traceback" not in (tmp_path / "stderr").read_text(encoding="utf-8")


def test_a_process_that_takes_a_dead_ones_place_listens_once_it_can_answer(
    tmp_path: Path, real_encoder: Encoder
) -> None:
    with _started(tmp_path, str(CHECKOUT / "seeds"), "--workers", "2") as (address, process):
        port = int(address.rpartition(":")[2])
        _until(lambda: _listening(port) == 2)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        one = next(int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(one, signal.SIGKILL)
        _until(lambda: _listening(port) == 1)
        question = f"{address}/ask?q=Did+Iran+deny+sending+drones?"
        # Raises HTTPError where anybody is told to come back. One that dies while it is asked whether it lives is found
        # dead a minute later.
        _until(lambda: bool(_get(question)) and _listening(port) == 2, patience=180)
        for _ in range(20):
            _get(question)


def _until(holds: Callable[[], bool], patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _listening(port: int) -> int:
    """Return how many sockets listen there."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return sum(fields[1].endswith(f":{port:04X}") and fields[3] == "0A" for fields in map(str.split, lines))


def _until_refused(host: str, port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            return
        time.sleep(0.02)
    raise AssertionError("the server goes on listening")


def test_several_processes_serve_one_corpus_and_are_counted_as_one(tmp_path: Path, real_encoder: Encoder) -> None:
    with _started(tmp_path, str(CHECKOUT / "seeds"), "--workers", "2") as (address, process):
        # Whichever process has a connection can answer; one that is still opening the corpus has none.
        for _ in range(20):
            _get(f"{address}/ask?q=Did+Iran+deny+sending+drones?")
        metrics = _get(f"{address}/metrics")
        assert 'quoteline_asks_total{verdict="answered"} 20.0' in metrics
        articles = f"quoteline_corpus_articles {len(list((CHECKOUT / 'seeds').glob('*.txt')))}.0"
        deadline = time.monotonic() + 30
        # Which process is asked is chance, and only one is known to have opened the corpus.
        while articles not in _get(f"{address}/metrics"):
            assert time.monotonic() < deadline, metrics
            time.sleep(0.1)
        process.terminate()
        assert process.wait(timeout=40) == 0
    assert [line for line in _log(tmp_path) if line["level"] == "error"] == []
