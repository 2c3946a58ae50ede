"""Drives Open WebUI in headless Chromium against Quoteline on the seeds: `python -m bench.webui`.

Open WebUI is installed into an environment of its own, once (several GB, some minutes), and started offline; nothing in
it is set but where Quoteline is. Then it does what a person does: asks, watches the answer stream, opens the sources,
reads the cited sentence, reloads, asks a follow-up question. What is shown is compared with what `POST /ask` says.

Prints a line for each check, leaves screenshots and logs under `build/webui`, and ends with 1 where a check failed.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Locator, Page, WebSocket, sync_playwright
from playwright.sync_api import TimeoutError as PatienceError

from bench.servers import Ours, serving
from index.errors import QuotelineError
from service.settings import Settings

VERSION = "0.12.4"
# Of this version there is a build for processors alone; others bring several GB for GPUs.
TORCH = "2.13.0"
QUESTION = "Did Iran deny sending drones?"
FOLLOW_UP = "And what did Ukraine say?"
# An article made to break out: whatever Markdown and HTML would make of it, it is to be read as it stands here.
HOSTILE = (
    "The minister of Zanzibar said [click here](https://example.org/x) **now** <script>alert(1)</script> "
    "<img src=https://example.org/p.png> ![x](https://example.org/p.png) [[1]](https://example.org) `code` $x^2$ too."
)
ABOUT_HOSTILE = "What did the minister of Zanzibar say?"

_CHECKOUT = Path(__file__).resolve().parent.parent
SEEDS = _CHECKOUT / "seeds"
BUILD = _CHECKOUT / "build" / "webui"
_HOST = "127.0.0.1"
# It loads torch and makes a database before it answers; in seconds.
_STARTS_WITHIN = 600.0
# In milliseconds, for whatever the page has to do.
_SHOWS_WITHIN = 120_000
_ANSWER = ".chat-assistant"
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "OFFLINE_MODE": "true",
    "ENABLE_VERSION_UPDATE_CHECK": "false",
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "true",
    "SCARF_NO_ANALYTICS": "true",
    # Its own retrieval, which is not used here, would fetch models.
    "RAG_EMBEDDING_ENGINE": "openai",
    "RAG_EMBEDDING_MODEL": "none",
    "RAG_EMBEDDING_MODEL_AUTO_UPDATE": "false",
    "RAG_RERANKING_MODEL_AUTO_UPDATE": "false",
    "WHISPER_MODEL_AUTO_UPDATE": "false",
}


class WebuiError(QuotelineError):
    """Open WebUI could not be installed, started or driven; the message says where the log is."""


@dataclass
class Report:
    """What was checked, in order: a claim, whether it holds, and what was seen."""

    checks: list[tuple[str, bool, str]] = field(default_factory=list)

    def check(self, claim: str, holds: bool, seen: str = "") -> None:
        """Note whether a claim holds, and print it."""
        self.checks.append((claim, holds, seen))
        print(f"{'ok  ' if holds else 'FAIL'} {claim}{f': {seen}' if seen else ''}", flush=True)

    @property
    def failed(self) -> int:
        """How many claims do not hold."""
        return sum(not holds for _, holds, _ in self.checks)


def main(arguments: Sequence[str] | None = None) -> int:
    """Install, serve, drive; return the exit code. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="bench.webui", description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=Path, default=BUILD, metavar="DIR", help="for screenshots and logs")
    parser.add_argument("--environment", type=Path, metavar="DIR", help="of Open WebUI (default: venv in that folder)")
    parser.add_argument("--chromium", default=_chromium(), metavar="PATH", help="the browser")
    options = parser.parse_args(arguments)
    # By itself SIGTERM would leave the servers running and the temporary folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    build = options.build.resolve()
    build.mkdir(parents=True, exist_ok=True)
    program = install(options.environment or build / "venv", build / "install.log")
    report = Report()
    with tempfile.TemporaryDirectory(prefix="quoteline-webui-") as folder:
        system = Ours(SEEDS, Path(folder) / "quoteline", Settings.model_validate({}).models_folder)
        system.index()
        with serving(system, QUESTION, build / "quoteline.log") as server:
            quoteline = f"http://{_HOST}:{server.port}"
            with open_webui(program, quoteline, Path(folder) / "webui", build / "open-webui.log") as address:
                drive(address, quoteline, options.chromium, build, report)
        look_into_logs(build, report)
    held = len(report.checks) - report.failed
    print(f"{held} of {len(report.checks)} checks hold; screenshots and logs are in {build}")
    return int(report.failed > 0)


def _chromium() -> str | None:
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return next(filter(None, found), None)


# Open WebUI itself


def install(environment: Path, log: Path) -> Path:
    """Return the program `open-webui` of that environment, in which it is installed first where it is not there yet.

    Raises WebuiError.
    """
    program = environment / "bin" / "open-webui"
    # Written last: an installation that was broken off is begun again.
    installed = environment / f"open-webui-{VERSION}"
    if installed.exists():
        return program
    print(f"installing Open WebUI {VERSION} into {environment}; see {log}", flush=True)
    python = str(environment / "bin" / "python")
    packages = [f"open-webui=={VERSION}", f"torch=={TORCH}"]
    with log.open("w", encoding="utf-8") as output:
        for command in ([sys.executable, "-m", "venv", str(environment)], [python, "-m", "pip", "install", *packages]):
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
            if done.returncode != 0:
                raise WebuiError(f"`{' '.join(command)}` failed (Open WebUI needs Python 3.11 or 3.12); see {log}")
    installed.touch()
    return program


@contextmanager
def open_webui(program: Path, quoteline: str, data: Path, log: Path) -> Iterator[str]:
    """Start Open WebUI with Quoteline as its only backend, and end it at the end. Yields its address."""
    data.mkdir(parents=True, exist_ok=True)
    address = f"http://{_HOST}:{(port := _free_port())}"
    command = [str(program), "serve", "--host", _HOST, "--port", str(port)]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            # It leaves a secret key where it is started.
            cwd=data,
            env=_environment(quoteline, data),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _await(process, f"{address}/health", log)
            yield address
        finally:
            _end(process)


def _environment(quoteline: str, data: Path) -> Mapping[str, str]:
    return {
        **os.environ,
        **_OFFLINE,
        "DATA_DIR": str(data),
        "WEBUI_AUTH": "false",
        "WEBUI_SECRET_KEY": "nobody else reaches this server",
        "ENABLE_OLLAMA_API": "false",
        "OPENAI_API_BASE_URL": f"{quoteline}/v1",
        "OPENAI_API_KEY": "none",
        "NO_PROXY": f"{_HOST},localhost",
    }


def _await(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise WebuiError(f"Open WebUI ended with exit code {process.returncode}; see {log}")
        with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own
            return
        time.sleep(0.5)
    raise WebuiError(f"Open WebUI did not answer within {_STARTS_WITHIN:.0f} s; see {log}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind((_HOST, 0))
        return int(free.getsockname()[1])


# What a person does


@dataclass(frozen=True, slots=True)
class Cited:
    """A citation, as `POST /ask` tells it."""

    quote: str
    title: str


def drive(address: str, quoteline: str, chromium: str | None, shots: Path, report: Report) -> None:
    """Ask Open WebUI at `address` in a browser, and check what it shows against Quoteline's own answer."""
    cited = ask(quoteline, QUESTION)
    arguments = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    # Chromium's sandbox does not run as root.
    arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_context(viewport={"width": 1120, "height": 800}, locale="en-US").new_page()
        page.set_default_timeout(_SHOWS_WITHIN)
        traffic = Traffic.of(page)
        try:
            _ask_first(page, address, traffic, cited, report, shots)
            _reload(page, cited, report, shots)
            _ask_on(page, traffic, report, shots)
            _ask_hostile(page, address, quoteline, traffic, report, shots)
        except Error as error:
            page.screenshot(path=shots / "failed.png")
            (shots / "failed.html").write_text(page.content(), encoding="utf-8")
            report.check("the page does what it should", False, f"{error}; see failed.png")
        report.check("nothing outside this machine was asked for", not traffic.outside, ", ".join(traffic.outside[:3]))
        browser.close()


def ask(quoteline: str, question: str) -> list[Cited]:
    """Return the citations of Quoteline's own answer."""
    citations = _post(f"{quoteline}/ask", {"question": question})["citations"]
    return [Cited(one["quote"], one["title"] or one["article_id"]) for one in citations]


def _post(address: str, said: Mapping[str, str]) -> Any:  # noqa: ANN401 - whatever the server sends
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    request = urllib.request.Request(address, json.dumps(said).encode(), headers)  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - our own
        return json.load(response)


@dataclass
class Traffic:
    """What the page was sent by Open WebUI while it was open. outside: addresses that are not on this machine."""

    events: list[dict[str, Any]] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, page: Page) -> "Traffic":
        """Return the traffic of a page from now on."""
        traffic = cls()
        page.on("websocket", traffic._follow)
        page.on("request", lambda request: traffic._look_at(request.url))
        return traffic

    def pieces(self) -> list[str]:
        """Return the pieces in which text came, in order."""
        told = (event["data"] for event in self.events if event.get("type") == "response:completion")
        return [data["delta"] for data in told if data.get("type") == "response.output_text.delta"]

    def answers(self) -> int:
        """Return how many answers have come to their end."""
        told = (event["data"] for event in self.events if event.get("type") == "chat:completion")
        return sum(data.get("done") is True for data in told)

    def last(self, kind: str) -> Any:  # noqa: ANN401 - whatever Open WebUI sent
        """Return the data of the last event of that kind; None where there was none."""
        return next((event.get("data") for event in reversed(self.events) if event.get("type") == kind), None)

    def _follow(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._receive)

    def _receive(self, frame: str | bytes) -> None:
        # Socket.IO: 4 is a message, 2 an event.
        if isinstance(frame, str) and frame.startswith("42"):
            name, *said = json.loads(frame[2:])
            if name == "events" and said:
                self.events.append(said[0]["data"])

    def _look_at(self, url: str) -> None:
        if not url.startswith((f"http://{_HOST}:", f"ws://{_HOST}:", "data:", "blob:")):
            self.outside.append(url)


def _ask_first(page: Page, address: str, traffic: Traffic, cited: Sequence[Cited], report: Report, shots: Path) -> None:
    page.goto(address)
    page.wait_for_selector("#chat-input")
    # What is new in this version covers the page of whoever comes for the first time, some moments later.
    with suppress(PatienceError):
        page.get_by_role("button", name="Okay, Let's Go!").click(timeout=20_000)
    answer, lengths = _send(page, traffic, QUESTION)
    page.screenshot(path=shots / "answer.png")
    pieces = traffic.pieces()
    report.check("the answer streams", len(pieces) > 1, f"{len(pieces)} pieces; on the page {len(lengths)} lengths")
    text = answer.inner_text()
    shown = [one for one in cited if one.quote in text]
    report.check("the answer shows sentences word for word", bool(shown) and shown[0] is cited[0], f"{len(shown)}")
    _check_chips(page, answer, shown, report, "after the answer")
    page.screenshot(path=shots / "dialog.png")
    for link in page.get_by_role("dialog").get_by_role("link").all():
        name, address = link.inner_text(), str(link.get_attribute("href"))
        report.check(f"“{name}” opens the article at the sentence", _opens_at(page, address, shown[0].quote), address)
    _close_dialog(page)
    titled = _wait(page, lambda: bool(traffic.last("chat:title")))
    report.check("the chat has a title", titled, f"{traffic.last('chat:title')}")


def _reload(page: Page, cited: Sequence[Cited], report: Report, shots: Path) -> None:
    page.reload()
    answer = page.locator(_ANSWER).first
    _toggle(answer).wait_for()
    text = answer.inner_text()
    shown = [one for one in cited if one.quote in text]
    _check_chips(page, answer, shown, report, "after a reload")
    page.screenshot(path=shots / "reloaded.png")
    _close_dialog(page)


def _ask_on(page: Page, traffic: Traffic, report: Report, shots: Path) -> None:
    before = len(traffic.pieces())
    answer, _ = _send(page, traffic, FOLLOW_UP)
    page.screenshot(path=shots / "follow-up.png")
    text = answer.inner_text()
    understood = next((line for line in text.splitlines() if line.startswith("Understood as")), "")
    report.check("a follow-up question is understood", bool(understood), understood or text[:200])
    report.check("its answer streams, too", len(traffic.pieces()) - before > 1)
    report.check("its answer has sources", _toggle(answer).is_visible())


def _ask_hostile(page: Page, address: str, quoteline: str, traffic: Traffic, report: Report, shots: Path) -> None:
    _post(f"{quoteline}/articles", {"id": "hostile", "title": "A *title* [x](https://example.org)", "text": HOSTILE})
    page.goto(address)
    answer, _ = _send(page, traffic, ABOUT_HOSTILE)
    page.screenshot(path=shots / "hostile.png")
    _check_plain(answer, quoteline, report, "the answer")
    _toggle(answer).click()
    answer.locator("button[id^='source-']").first.click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    page.wait_for_timeout(500)
    page.screenshot(path=shots / "hostile-dialog.png")
    _check_plain(dialog, quoteline, report, "the dialog")
    _close_dialog(page)


def _check_plain(shown: Locator, quoteline: str, report: Report, where: str) -> None:
    text = shown.inner_text()
    report.check(f"a hostile article is plain text in {where}", HOSTILE in text, "" if HOSTILE in text else text[:500])
    links = [str(link.get_attribute("href")) for link in shown.get_by_role("link").all()]
    foreign = [link for link in links if not link.startswith(f"{quoteline}/")]
    images = shown.locator("img, iframe").count()
    report.check(f"it makes no link, image or frame in {where}", not foreign and not images, " ".join(foreign))


def _send(page: Page, traffic: Traffic, question: str) -> tuple[Locator, set[int]]:
    """Ask, and return the answer once it has ended, and the lengths that its text had on the way."""
    answers, already = page.locator(_ANSWER), traffic.answers()
    answer = answers.nth(answers.count())
    lengths: set[int] = set()

    def has_ended() -> bool:
        lengths.add(len(answer.inner_text()))
        return traffic.answers() > already

    page.locator("#chat-input").click()
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    answer.wait_for()
    _wait(page, has_ended)
    # It stops being a loading page, and shows all that it was sent.
    page.wait_for_timeout(1000)
    return answer, lengths


def _check_chips(page: Page, answer: Locator, shown: Sequence[Cited], report: Report, when: str) -> None:
    """Open the list of sources, and its first source; the dialog is left open."""
    _toggle(answer).click()
    chips = answer.locator("button[id^='source-']")
    chips.first.wait_for()
    names = [chip.inner_text().split("\n")[-1] for chip in chips.all()]
    # In the order of the answer, in which those that say the same stand together.
    report.check(f"a chip for each sentence {when}", sorted(names) == sorted(one.title for one in shown), f"{names}")
    chips.first.click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    text = dialog.inner_text()
    report.check(f"the dialog shows the verbatim sentence {when}", shown[0].quote in text.splitlines(), shown[0].quote)
    # Dialogs grow into sight; a screenshot waits for that.
    page.wait_for_timeout(500)


def _opens_at(page: Page, address: str, quote: str) -> bool:
    """Whether the page at `address` marks that sentence and nothing else, and shows it first of all."""
    opened = page.context.new_page()
    try:
        # So low that not all of an article is in sight.
        opened.set_viewport_size({"width": 480, "height": 240})
        opened.goto(address)
        marks = opened.locator("mark")
        marks.first.wait_for()
        opened.wait_for_timeout(500)
        box = marks.first.bounding_box()
        return marks.all_inner_texts() == [quote] and box is not None and 0 <= box["y"] < 240
    finally:
        opened.close()


def _toggle(answer: Locator) -> Locator:
    return answer.get_by_role("button", name=re.compile(r"^Toggle \d+ sources?$"))


def _close_dialog(page: Page) -> None:
    page.get_by_role("button", name="Close citation modal").click()
    page.get_by_role("dialog").wait_for(state="detached")


def _wait(page: Page, found: Callable[[], bool]) -> bool:
    """Wait until something is found, and return whether it was; what the page is sent is received meanwhile."""
    deadline = time.monotonic() + _SHOWS_WITHIN / 1000
    while not found() and time.monotonic() < deadline:
        page.wait_for_timeout(10)
    return found()


# What the servers say of it


def look_into_logs(build: Path, report: Report) -> None:
    """Check that no request of Open WebUI failed, those for titles, tags and suggestions least of all."""
    lines = (build / "quoteline.log").read_text(encoding="utf-8").splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    asked = [one for one in logged if str(one.get("route", "")).startswith("/v1/")]
    refused = [f"{one['status']} {one['route']}" for one in asked if one["status"] >= HTTPStatus.BAD_REQUEST]
    report.check("Quoteline refused nothing", bool(asked) and not refused, f"{len(asked)} requests{refused or ''}")
    told = (build / "open-webui.log").read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in told if "| ERROR" in line or line.startswith("Traceback")]
    report.check("Open WebUI logged no error", not errors, " ".join(errors[:2])[:500])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QuotelineError as error:
        sys.exit(f"bench.webui: {error}")
