"""The real thing: a server process with the real encoder, asked over HTTP."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from index.encoding import Encoder

pytestmark = pytest.mark.model

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, real_encoder: Encoder) -> Iterator[tuple[str, int]]:
    """The address and the process id of `quoteline serve seeds`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "QUOTELINE_DATA": str(tmp_path_factory.mktemp("served"))}
    environment["QUOTELINE_MODELS"] = str(CHECKOUT / "var" / "models")
    command = [str(Path(sys.executable).with_name("quoteline")), "serve", str(CHECKOUT / "seeds"), "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:  # noqa: S603 - our own command
        address = f"http://127.0.0.1:{port}"
        try:
            _wait(address, process)
            yield address, process.pid
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _wait(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            _get(f"{address}/readyz")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not get ready")


def _get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as response:  # noqa: S310 - our own server
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
        ("", 2, "usage"),
        ("???", 3, "no word"),
    ],
)
def test_the_script_from_the_server_asks_it(
    server: tuple[str, int], tmp_path: Path, question: str, code: int, said: str
) -> None:
    script = tmp_path / "ask.sh"
    script.write_text(_get(f"{server[0]}/ask.sh"), encoding="utf-8")
    done = subprocess.run(  # noqa: S603
        ["/bin/sh", str(script), *question.split()], capture_output=True, text=True, check=False, timeout=30
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
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)  # noqa: S603
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        answer = json.loads(_get(f"{server[0]}/ask?q=Which+cheese+is+made+in+Holland?"))
        if answer["citations"] and answer["citations"][0]["article_id"] == "cheese":
            return
        time.sleep(0.1)
    raise AssertionError(answer)
