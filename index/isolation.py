"""Hostile files: what C libraries read, HTML and PDF, is read in a child process that may take too long, or die.

    Isolated    in the server: hands documents to its children, and answers for those that come to nothing
    serve       in the child: reads one document after another, until nobody asks any more

The child has limits for its time and its memory, and no secrets in its environment. It is not trusted: what it sends is
JSON, and an article is put together from it with the checks that its metadata passes at its source. Text, Markdown and
JSON Lines are read by code of our own that takes time in proportion to their length; they stay in the calling process.
"""

import contextlib
import json
import logging
import math
import os
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, BinaryIO, Self

from index import pdfs, webpages
from index.articles import Article, Origin, Span
from index.errors import FormatError, OverloadError
from index.formats import MAX_DOCUMENT_BYTES, read_articles, read_document
from index.metadata import Metadata, check_storable, one_line

SECONDS = 20.0
MEGABYTES = 1024
"""What one document may take; memory in MiB, beyond what its child holds already."""

_ISOLATED = (webpages.MEDIA_TYPE, pdfs.MEDIA_TYPE)
_MEBIBYTE = 1024 * 1024
# A child is replaced after so many documents, or when it has grown by so many MiB: what libraries leak goes with it.
_DOCUMENTS_PER_CHILD = 500
_MEGABYTES_TO_KEEP = 256
_SECONDS_TO_START = 60.0
# What the kernel gives a child whose parent is no longer there to end it.
_SECONDS_OF_GRACE = 5.0
# The text of a PDF may be longer than its file.
_MOST_ANSWER_BYTES = MAX_DOCUMENT_BYTES
_LONGEST_MESSAGE = 1000
# A child's exit status where Python, and not a C library, could get no more memory.
_OUT_OF_MEMORY = 86
_INSTEAD = "save the story itself as text or Markdown"
_CANNOT_START = "no process to read HTML and PDF in could be started; check the machine's memory, then try again"

_COMMAND = (sys.executable, "-P", "-m", "index.isolation")
# All that a child sees of the environment. Keys and passwords stand there too, and a child may be taken over.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")
# Before a document: the lengths of its header, in JSON, and of its content. Before an answer: its length.
_LENGTHS = struct.Struct(">IQ")
_LENGTH = struct.Struct(">Q")
_logger = logging.getLogger("quoteline")


class Isolated:
    """Reads documents as `read_articles` does, with HTML and PDF in children of this process; close it after use.

    processes: how many documents are read at once; a child starts with the first document and is kept for further ones.
    May be used by several threads. Documents wait in the order in which they came.
    """

    def __init__(self, *, processes: int = 1) -> None:
        # The pool is the queue: its threads take documents first come, first served.
        self._pool = ThreadPoolExecutor(processes, thread_name_prefix="isolated")
        self._idle: deque[_Child] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the documents at hand be read to their end, then end the children. Reading afterwards is an error."""
        self._pool.shutdown()
        while self._idle:
            self._idle.pop().close()

    def read(
        self,
        content: bytes,
        *,
        name: str,
        media_type: str | None = None,
        path: str | None = None,
        seconds: float = SECONDS,
        megabytes: int = MEGABYTES,
    ) -> list[Article | FormatError]:
        """Return what `read_articles` yields for a file of this content, with the same limits.

        For JSON Lines of many records take `read_articles`, which holds one of them at a time.
        """
        file = BytesIO(content)
        return list(
            self.read_articles(file, name=name, media_type=media_type, path=path, seconds=seconds, megabytes=megabytes)
        )

    def read_articles(
        self,
        file: BinaryIO,
        *,
        name: str,
        media_type: str | None = None,
        path: str | None = None,
        seconds: float = SECONDS,
        megabytes: int = MEGABYTES,
    ) -> Iterator[Article | FormatError]:
        """Yield what `index.formats.read_articles` yields, or an error that says which limit the document broke.

        The seconds begin when a child begins to read; waiting for one does not count.
        Raises OverloadError where no child can be started.
        """

        def reader(kind: str, data: bytes, charset: str | None, id: str, path: str | None) -> Article:  # noqa: A002
            if kind not in _ISOLATED:
                return read_document(kind, data, charset, id, path)
            document = _Document(kind, data, charset, id, path, seconds, megabytes)
            return self._pool.submit(self._read, document).result()

        return read_articles(file, name=name, media_type=media_type, path=path, reader=reader)

    def _read(self, document: "_Document") -> Article:
        with self._child() as child:
            return child.read(document)

    @contextlib.contextmanager
    def _child(self) -> Iterator["_Child"]:
        """Lend a child, a kept one where there is one. It is kept again unless it is dead or worn."""
        child = self._kept() or _Child()
        try:
            yield child
        finally:
            if child.is_worn:
                child.close()
            else:
                self._idle.append(child)

    def _kept(self) -> "_Child | None":
        while self._idle:
            child = self._idle.pop()
            if not child.is_worn:
                return child
            child.close()
        return None


@dataclass(frozen=True, slots=True)
class _Document:
    """A document to read, as what, and what it may take."""

    kind: str
    content: bytes
    charset: str | None
    id: str
    path: str | None
    seconds: float
    megabytes: int


# --- in the parent ----------------------------------------------------------------------------------------------------


class _Child:
    """A child process, from its start to its end, for one thread at a time."""

    def __init__(self) -> None:
        self._is_last = False
        self._process = self._start()
        with self._killed_after(_SECONDS_TO_START):
            ready = self._receive()
        if ready is None:
            self.close()
            raise OverloadError(_CANNOT_START, retry_after=5)

    @property
    def is_worn(self) -> bool:
        """Whether it can, or should, read no further document."""
        return self._is_last or self._process.poll() is not None

    def close(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            # Closing would flush what the dead never took.
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.wait()

    def read(self, document: _Document) -> Article:
        """Return the article. Raises FormatError where there is none, or where the child does not live to find it."""
        with self._killed_after(document.seconds) as is_late:
            self._send(document)
            answer = self._receive()
        if answer is not None:
            return self._understood(answer, document)
        self._is_last = True
        if is_late():
            raise FormatError(f"took longer than {document.seconds:g} s to read; {_INSTEAD}")
        self._process.kill()
        status = self._process.wait()
        if status == _OUT_OF_MEMORY:
            raise FormatError(f"needs more than {document.megabytes} MiB of memory to be read; {_INSTEAD}")
        _logger.warning("the reader of a document (%s) ended with status %d", document.id, status)
        raise FormatError(
            f"made its reader fail: it is damaged, or needs more than {document.megabytes} MiB of memory; {_INSTEAD}"
        )

    def _start(self) -> "subprocess.Popen[bytes]":
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        # The very code that runs here, wherever it is installed; with `-P`, never what lies in the working directory.
        environment["PYTHONPATH"] = str(Path(__file__).parents[1])
        try:
            return subprocess.Popen(  # noqa: S603 - a fixed command
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        except OSError:
            raise OverloadError(_CANNOT_START, retry_after=5) from None

    @contextlib.contextmanager
    def _killed_after(self, seconds: float) -> Iterator[Callable[[], bool]]:
        """Kill the child unless the block ends in time; yields a function that tells, after it, whether it did not."""
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, kill)
        timer.start()
        try:
            yield late.is_set
        finally:
            timer.cancel()
            # It may be at it just now.
            timer.join()
            self._is_last |= late.is_set()

    def _send(self, document: _Document) -> None:
        about = [document.kind, document.charset, document.seconds, document.megabytes]
        header = json.dumps(about).encode()
        pipe = _open(self._process.stdin)
        # A child that died takes no more; that it has no answer is noticed next.
        with contextlib.suppress(OSError):
            pipe.write(_LENGTHS.pack(len(header), len(document.content)))
            pipe.write(header)
            pipe.write(document.content)
            pipe.flush()

    def _receive(self) -> bytes | None:
        """Return the next answer; None where the child died before its end, or says more than any document can."""
        pipe = _open(self._process.stdout)
        length = pipe.read(_LENGTH.size)
        if len(length) < _LENGTH.size or _LENGTH.unpack(length)[0] > _MOST_ANSWER_BYTES:
            return None
        (size,) = _LENGTH.unpack(length)
        answer = pipe.read(size)
        return answer if len(answer) == size else None

    def _understood(self, answer: bytes, document: _Document) -> Article:
        refusal: str | None = None
        try:
            found = json.loads(answer)
            self._is_last |= found["last"] is not False
            if found["refusal"] is None:
                return _article_from(found["article"], document)
            refusal = _one_line(found["refusal"])
        # All that JSON of a wrong shape, or an article that is none, can raise.
        except (ValueError, TypeError, LookupError, RecursionError, FormatError):
            self._is_last = True
            _logger.warning("the reader of a document (%s) gave an answer that is none", document.id)
        raise FormatError(refusal or f"made its reader fail; {_INSTEAD}")


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("a child without pipes")
    return pipe


def _article_from(found: Mapping[str, object], document: _Document) -> Article:
    """Return the article that a child describes, its metadata cleaned once more; any error where it describes none."""
    text = _string(found["text"])
    check_storable(text, "its text")
    metadata = Metadata()
    for name, value, where, *span in _sequence(found["facts"]):
        origin = Origin(_one_line(where), _span(span, text) if span else None)
        metadata = metadata.adding(_string(name), _string(value), origin)
    return metadata.describe(
        text,
        id=document.id,
        body=_span(found["body"], text),
        media_type=document.kind,
        path=document.path,
        pages=tuple(_offset(page, text) for page in _sequence(found["pages"])),
    )


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _one_line(value: object) -> str:
    return (one_line(_string(value)) or "")[:_LONGEST_MESSAGE]


def _sequence(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _span(value: object, text: str) -> Span:
    start, end = _sequence(value)
    return Span(_offset(start, text), _offset(end, text))


def _offset(value: object, text: str) -> int:
    if type(value) is not int or not 0 <= value <= len(text):
        raise ValueError("not an offset")
    return value


# --- in the child -----------------------------------------------------------------------------------------------------


def serve() -> None:
    """Read documents from standard input and answer on standard output, until the input ends or much was read."""
    requests, answers = _take_pipes()
    _warm_up()
    _give_up_rights()
    most = _memory().resident + _MEGABYTES_TO_KEEP * _MEBIBYTE
    _send_answer(answers, {})
    for left in reversed(range(_DOCUMENTS_PER_CHILD)):
        lengths = requests.read(_LENGTHS.size)
        if len(lengths) < _LENGTHS.size:
            return
        header, content = (requests.read(length) for length in _LENGTHS.unpack(lengths))
        kind, charset, seconds, megabytes = json.loads(header)
        try:
            _limit(seconds, megabytes)
            answer = _answer_to(kind, content, charset)
            _send_answer(answers, {**answer, "last": left == 0 or _memory().resident > most})
        except MemoryError:
            os._exit(_OUT_OF_MEMORY)
        _unlimit()


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return standard input and output for ourselves; what a library reads or writes there goes nowhere."""
    pipes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return pipes


def _warm_up() -> None:
    """Read a document of each kind, so that the libraries are there before memory is counted and limited."""
    for kind, content in _SAMPLES.items():
        read_document(kind, content, None, "sample", None)


def _answer_to(kind: str, content: bytes, charset: str | None) -> dict[str, object]:
    try:
        article = read_document(kind, content, charset, "document", None)
    except FormatError as error:
        return {"refusal": str(error)}
    facts = [
        [
            name,
            str(getattr(article, name)),
            origin.where,
            *([origin.span.start, origin.span.end] if origin.span else []),
        ]
        for name, origin in article.origins.items()
    ]
    body = [article.body.start, article.body.end]
    return {"refusal": None, "article": {"text": article.text, "body": body, "pages": article.pages, "facts": facts}}


def _send_answer(pipe: BinaryIO, answer: Mapping[str, object]) -> None:
    content = json.dumps(answer, ensure_ascii=False).encode()
    if len(content) > _MOST_ANSWER_BYTES:
        content = json.dumps({"last": True, "refusal": "holds more text than one document may; split it"}).encode()
    pipe.write(_LENGTH.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def _give_up_rights() -> None:
    """Take from this process what reading needs not: to write files, to start processes, to leave a core dump."""
    # The parent decides when to stop, also for Ctrl-C in a terminal, which reaches both.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.dont_write_bytecode = True
    if sys.platform != "win32":
        import resource

        for right in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
            resource.setrlimit(right, (0, 0))


def _limit(seconds: float, megabytes: int) -> None:
    """Have the kernel end this process where the next document takes longer than that, and refuse it more memory."""
    if sys.platform != "win32":
        import resource

        # The parent kills first. This is for when the parent itself was killed: no child outlives it for long.
        seconds += _SECONDS_OF_GRACE
        signal.setitimer(signal.ITIMER_REAL, seconds)
        used = resource.getrusage(resource.RUSAGE_SELF)
        _lower(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds))
        if size := _memory().size:
            _lower(resource.RLIMIT_AS, size + megabytes * _MEBIBYTE)


def _unlimit() -> None:
    """Stop the clock while the next document is waited for."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, 0)


def _lower(right: int, limit: int) -> None:
    """Set a limit, no higher than it may be, so that it can be raised again for the next document."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(right)
        resource.setrlimit(right, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


@dataclass(frozen=True, slots=True)
class _Memory:
    """Bytes of this process: its address space, and what of it is in memory; 0 where the system does not say."""

    size: int
    resident: int


def _memory() -> _Memory:
    try:
        size, resident, *_ = Path("/proc/self/statm").read_text().split()
    except OSError:
        return _Memory(0, 0)
    page = os.sysconf("SC_PAGE_SIZE")
    return _Memory(int(size) * page, int(resident) * page)


_SAMPLES = {
    webpages.MEDIA_TYPE: b"<html><head><title>A sample</title></head><body><p>It ends.</p></body></html>",
    pdfs.MEDIA_TYPE: b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Resources<</Font<</F 4 0 R>>>>/Contents 5 0 R>>endobj
4 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
5 0 obj<</Length 31>>stream
BT/F 9 Tf 9 9 Td(It ends.)Tj ET
endstream endobj
trailer<</Root 1 0 R>>
%%EOF
""",
}

if __name__ == "__main__":
    serve()
