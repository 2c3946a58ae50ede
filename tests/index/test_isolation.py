import io
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from index import isolation
from index.articles import Article
from index.errors import FormatError, OverloadError
from index.formats import read_articles
from index.isolation import Isolated

CHECKOUT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits are those of POSIX")

PAGE = (
    b'<html lang="en"><head><title>Kuleba speaks</title><meta name="author" content="Jane Doe">'
    b'<meta property="article:published_time" content="2022-10-28"><meta property="og:site_name" content="Reuters">'
    b'<link rel="canonical" href="https://example.com/a"></head><body><article><h1>Kuleba speaks</h1>'
    + b"<p>The minister said so on Friday. \xe2\x80\x9cNo,\xe2\x80\x9d he added \xf0\x9f\x98\x80.</p>" * 3
    + b"</article></body></html>"
)
PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R 3 0 R]/Count 2>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 4 0 R>>>>/Contents 5 0 R>>endobj
4 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
5 0 obj<</Length 62>>stream
BT/F 9 Tf 9 700 Td(date 2022-10-28 The minister said so.)Tj ET
endstream endobj
6 0 obj<</Title(Kuleba speaks)/Author(Jane Doe)/CreationDate(D:20221028)>>endobj
trailer<</Root 1 0 R/Info 6 0 R>>
%%EOF
"""


@pytest.fixture(scope="module")
def isolated() -> Iterator[Isolated]:
    with Isolated() as opened:
        yield opened


def child_that(reads: str, setup: str = "") -> tuple[str, ...]:
    """The command of a child whose library does, for each document, what the lines `reads` do."""
    script = f"""
import os, signal, sys, time
from index import isolation
from index.errors import FormatError
{setup}
def read_document(kind, content, charset, id, path):
{textwrap.indent(textwrap.dedent(reads), "    ")}
real, isolation.read_document = isolation.read_document, read_document
isolation._warm_up = lambda: None
isolation.serve()
"""
    return (sys.executable, "-P", "-c", script)


def child_that_answers(answer: bytes, folder: Path) -> tuple[str, ...]:
    """The command of a child that was taken over: it says that it is ready, and then what it likes."""
    said = folder / "said"
    said.write_bytes(bytes(8) + answer)
    return ("cat", str(said))


def framed(answer: object) -> bytes:
    content = json.dumps(answer).encode()
    return len(content).to_bytes(8) + content


def refusal(isolated: Isolated, content: bytes = PAGE, name: str = "a.html", **limits: float) -> str:
    [error] = isolated.read(content, name=name, **limits)  # type: ignore[arg-type]
    assert isinstance(error, FormatError), error
    assert str(error).startswith(name)
    return str(error).removeprefix(name + " ")


@pytest.mark.parametrize(
    ("content", "name", "media_type"),
    [
        (PAGE, "a page.html", None),
        (PAGE, "a", "text/html; charset=utf-8"),
        (PAGE, "a", None),
        ("<p>Größe zählt. </p>".encode("cp1252") * 9, "a.html", "text/html; charset=iso-8859-1"),
        (PDF, "a.pdf", None),
        (PDF, "a", "application/octet-stream"),
        (b"<p>menu</p>", "a.html", None),
        (b"", "a.html", None),
        (PDF[:200], "a.pdf", None),
        (b"Title: T\n\nIt ends.", "a.txt", None),
        (b"---\ntitle: T\n---\nIt ends.", "a.md", None),
        (b'{"text": "It ends."}\nno\n{"text": "It ends too."}', "a.jsonl", None),
        (b"It ends.", "a.html", "image/png"),
        (b"\x89PNG", "a\x00\x1b.html", None),
    ],
)
def test_documents_are_read_as_they_are_without_isolation(
    isolated: Isolated, content: bytes, name: str, media_type: str | None
) -> None:
    here = list(read_articles(io.BytesIO(content), name=name, media_type=media_type, path="/a"))
    there = isolated.read(content, name=name, media_type=media_type, path="/a")
    assert [str(found) for found in there] == [str(found) for found in here]
    assert [found for found in there if isinstance(found, Article)] == [
        found for found in here if isinstance(found, Article)
    ]


def test_the_samples_say_all_that_an_article_can(isolated: Isolated) -> None:
    [page], [pdf] = isolated.read(PAGE, name="a.html"), isolated.read(PDF, name="a.pdf")
    assert isinstance(page, Article)
    assert isinstance(pdf, Article)
    assert set(page.origins) == {"title", "date", "source", "url", "author", "language"}
    assert len(pdf.pages) == 2
    assert pdf.body.start > 0
    assert not page.named


def test_a_child_starts_where_the_working_directory_is_hostile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit")
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "__init__.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    with Isolated() as isolated:
        [article] = isolated.read(PAGE, name="a.html")
    assert isinstance(article, Article)


def test_only_html_and_pdf_need_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_COMMAND", ("/nowhere",))
    with Isolated() as isolated:
        assert len(isolated.read(b'{"text": "It ends."}\n{"text": "It ends."}', name="a.jsonl")) == 2
        assert isinstance(isolated.read(b"# It\n\nIt ends.", name="a.md")[0], Article)
        assert isinstance(isolated.read(b"It ends.", name="a.txt")[0], Article)


@pytest.mark.parametrize("command", [("/nowhere",), (sys.executable, "-c", "")])
def test_a_child_that_cannot_start_is_no_fault_of_the_document(
    monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(isolation, "_COMMAND", command)
    with Isolated() as isolated, pytest.raises(OverloadError, match="check the machine's memory"):
        isolated.read(PAGE, name="a.html")


# What documents may do to a child


@pytest.mark.parametrize(
    ("reads", "said"),
    [
        ("time.sleep(60)", "took longer than 0.5 s to read; save"),
        ("while True: pass", "took longer than 0.5 s to read; save"),
        ("bytearray(200 * 1024 * 1024)", "needs more than 100 MiB of memory to be read; save"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "made its reader fail: it is damaged, or needs more than 100 MiB"),
        ("os.abort()", "made its reader fail"),
        ("os._exit(0)", "made its reader fail"),
        ("raise ZeroDivisionError", "made its reader fail"),
    ],
)
def test_a_child_that_comes_to_nothing_is_replaced_and_its_document_refused(
    monkeypatch: pytest.MonkeyPatch, reads: str, said: str
) -> None:
    monkeypatch.setattr(logging.getLogger("quoteline"), "disabled", True)
    reads = f"if b'good' in content: raise FormatError('was read')\n{reads}"
    monkeypatch.setattr(isolation, "_COMMAND", child_that(reads))
    with Isolated() as isolated:
        assert refusal(isolated, b"good") == "was read"
        assert refusal(isolated, b"bad", seconds=0.5, megabytes=100).startswith(said)
        assert refusal(isolated, b"good") == "was read"


def test_a_real_bomb_is_refused_within_the_limit_of_memory(isolated: Isolated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("quoteline"), "disabled", True)
    # A form that draws itself twice, which PDFium follows until it has no memory left.
    form = (
        b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>/Length 11>>stream\n/X Do /X Do"
    )
    bomb = PDF.replace(b"/Resources<</Font<</F 4 0 R>>>>", b"/Resources<</XObject<</X 5 0 R>>>>")
    bomb = bomb[: bomb.index(b"5 0 obj")] + b"5 0 obj" + form + b"\nendstream endobj\n" + bomb[bomb.index(b"6 0 obj") :]
    assert "made its reader fail" in refusal(isolated, bomb, "a.pdf", megabytes=100)
    assert isinstance(isolated.read(PDF, name="a.pdf")[0], Article)


def test_what_a_library_prints_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = """
    os.write(1, b"noise")
    print("noise", flush=True)
    sys.stdin.read()
    return real(kind, content, charset, id, path)
    """
    monkeypatch.setattr(isolation, "_COMMAND", child_that(noise))
    with Isolated() as isolated:
        assert isinstance(isolated.read(PAGE, name="a.html")[0], Article)


def test_a_child_can_write_no_file_and_sees_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QUOTELINE_SECRET", "secret")
    reads = f"""
    try:
        with open({str(tmp_path / "file")!r}, "wb", buffering=0) as file:
            file.write(b"x")
    except OSError as error:
        raise FormatError(f"{{error.strerror}}; {{'QUOTELINE_SECRET' in os.environ}}")
    """
    monkeypatch.setattr(isolation, "_COMMAND", child_that(reads))
    with Isolated() as isolated:
        assert refusal(isolated) == "File too large; False"


# What a child may say that was taken over

GOOD = {"text": "It ends.", "body": [0, 8], "pages": [], "facts": []}


def test_an_article_is_put_together_from_what_the_child_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = framed({"last": True, "refusal": None, "article": GOOD})
    monkeypatch.setattr(isolation, "_COMMAND", child_that_answers(said, tmp_path))
    with Isolated() as isolated:
        [article] = isolated.read(PAGE, name="a.html", path="/a.html")
    assert isinstance(article, Article)
    assert article == Article(
        id="a", text="It ends.", body=article.body, media_type="text/html", path="/a.html", named=False
    )


@pytest.mark.parametrize(
    "article",
    [
        None,
        [],
        {},
        {**GOOD, "text": 3},
        {**GOOD, "text": "\ud800 ends."},
        {**GOOD, "text": "It\0ends."},
        {**GOOD, "body": [0, 9]},
        {**GOOD, "body": [-1, 8]},
        {**GOOD, "body": [0, True]},
        {**GOOD, "body": [0]},
        {**GOOD, "pages": [9]},
        {**GOOD, "pages": {"0": 1}},
        {**GOOD, "facts": [["id", "b", "html"]]},
        {**GOOD, "facts": [["title", 3, "html"]]},
        {**GOOD, "facts": [["title", "T", "html", 0, 9]]},
        {**GOOD, "facts": [["title", "T", "html", 0]]},
        {**GOOD, "facts": "title"},
    ],
)
def test_an_article_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, article: object, tmp_path: Path) -> None:
    monkeypatch.setattr(logging.getLogger("quoteline"), "disabled", True)
    monkeypatch.setattr(
        isolation,
        "_COMMAND",
        child_that_answers(framed({"last": False, "refusal": None, "article": article}), tmp_path),
    )
    with Isolated() as isolated:
        assert refusal(isolated) == "made its reader fail; save the story itself as text or Markdown"


@pytest.mark.parametrize(
    "answer",
    [
        (1 << 62).to_bytes(8),
        bytes(8),
        framed([])[:-1],
        framed(3),
        (9).to_bytes(8) + b"not JSON!",
        (100_000).to_bytes(8) + b"[" * 100_000,
        framed({"refusal": "no"}),
        framed({"last": False, "refusal": 3}),
    ],
)
def test_an_answer_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, answer: bytes, tmp_path: Path) -> None:
    monkeypatch.setattr(logging.getLogger("quoteline"), "disabled", True)
    monkeypatch.setattr(isolation, "_COMMAND", child_that_answers(answer, tmp_path))
    with Isolated() as isolated:
        assert refusal(isolated, seconds=1).split(";")[-1] == " save the story itself as text or Markdown"


def test_what_metadata_may_not_be_it_may_not_be_in_an_answer_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    facts = [
        ["url", "javascript:alert(1)", "html"],
        ["date", "9999-99-99", "html"],
        ["title", "a\x1b\nb", "\x1b", 0, 2],
    ]
    said = framed({"last": False, "refusal": None, "article": {**GOOD, "facts": facts}})
    monkeypatch.setattr(isolation, "_COMMAND", child_that_answers(said, tmp_path))
    with Isolated() as isolated:
        [article] = isolated.read(PAGE, name="a.html")
    assert isinstance(article, Article)
    assert (article.title, article.url, article.date) == ("a b", None, None)
    assert set(article.origins) == {"title"}
    assert article.origins["title"].where == ""


def test_a_refusal_cannot_write_to_the_terminal_or_flood_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = framed({"last": False, "refusal": "\x1b[2J\n" + "a" * 5000})
    monkeypatch.setattr(isolation, "_COMMAND", child_that_answers(said, tmp_path))
    with Isolated() as isolated:
        assert refusal(isolated) == "[2J " + "a" * 996


# How long children live

ITS_PID = "raise FormatError(str(os.getpid()))"


def test_a_child_is_kept_until_it_has_read_many_documents_or_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_COMMAND", child_that(ITS_PID, "isolation._DOCUMENTS_PER_CHILD = 3"))
    with Isolated() as isolated:
        pids = [refusal(isolated) for _ in range(6)]
    assert len(set(pids[:3])) == len(set(pids[3:])) == 1
    assert pids[0] != pids[3]
    leaking = "kept.append(bytes(2 * 1024 * 1024).replace(b'\\0', b'a'))\n" + ITS_PID
    monkeypatch.setattr(isolation, "_COMMAND", child_that(leaking, "kept = []; isolation._MEGABYTES_TO_KEEP = 1"))
    with Isolated() as isolated:
        assert refusal(isolated) != refusal(isolated)


def test_a_child_that_ends_while_it_waits_costs_no_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_COMMAND", child_that(ITS_PID))
    with Isolated() as isolated:
        pid = int(refusal(isolated))
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert int(refusal(isolated)) != pid


def test_a_child_outlives_the_limit_of_a_document_that_it_has_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_COMMAND", child_that(ITS_PID, "isolation._SECONDS_OF_GRACE = 0.05"))
    with Isolated() as isolated:
        pid = refusal(isolated, seconds=0.05)
        time.sleep(0.3)
        assert refusal(isolated) == pid


def test_documents_are_read_in_the_order_in_which_they_came_and_waiting_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(isolation, "_COMMAND", child_that("time.sleep(0.2)\nraise FormatError(content.decode())"))
    done: list[str] = []
    with Isolated() as isolated, ThreadPoolExecutor(6) as callers:
        for number in range(6):
            callers.submit(lambda n: done.append(refusal(isolated, b"%d" % n, seconds=0.6)), number)
            time.sleep(0.02)
    assert done == ["0", "1", "2", "3", "4", "5"]


def test_as_many_documents_are_read_at_once_as_there_are_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_COMMAND", child_that("time.sleep(0.1)\n" + ITS_PID))
    with Isolated(processes=2) as isolated, ThreadPoolExecutor(6) as callers:
        pids = list(callers.map(lambda _: refusal(isolated), range(6)))
    assert len(set(pids)) == 2


def test_no_child_outlives_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_COMMAND", child_that(ITS_PID))
    with Isolated() as isolated:
        pid = int(refusal(isolated))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    "busy", [pytest.param("", id="idle"), pytest.param("time.sleep(60)", id="at work, holding Python up")]
)
def test_no_child_outlives_a_parent_that_is_killed(tmp_path: Path, busy: str) -> None:
    pid_file = tmp_path / "pid"
    reads = f"{busy}\nraise FormatError('no')"
    # Before it gives up its rights, a child can still leave its number.
    setup = f"isolation._SECONDS_OF_GRACE = 0.2; open({str(pid_file)!r}, 'w').write(str(os.getpid()))"
    script = f"""
import time
from index import isolation
isolation._COMMAND = {child_that(reads, setup)!r}
isolated = isolation.Isolated()
if __name__ == "__main__":
    isolated.read(b"x", name="a.html", seconds=1.5)
    time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=CHECKOUT)
    try:
        until = time.monotonic() + 10
        while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.5)
        child = int(pid_file.read_text())
        assert is_alive(child)
    finally:
        parent.kill()
        parent.wait()
    until = time.monotonic() + 5
    while is_alive(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_alive(child)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_nothing_is_started_before_the_first_document() -> None:
    threads = threading.active_count()
    Isolated().close()
    assert threading.active_count() == threads
