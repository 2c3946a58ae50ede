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
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Self

from index import pdfs, webpages
from index.articles import Article, Origin, Span
from index.errors import FormatError, OverloadError
from index.formats import MAX_DOCUMENT_BYTES, article_id, kind_of_document, printable, read_articles
from index.metadata import Metadata, check_storable

SECONDS = 20.0
MEGABYTES = 1024
"""What one document may take; memory in MiB, beyond what a child holds before it reads its first one."""

_ISOLATED = (webpages.MEDIA_TYPE, pdfs.MEDIA_TYPE)
# A child is replaced after so many documents, or one that took so many MiB: what libraries leak goes with it.
_DOCUMENTS_PER_CHILD = 500
_MEGABYTES_TO_KEEP = 256
_SECONDS_TO_START = 60.0
# No article's text is longer than the longest document. In JSON a character may take six bytes, as an escape.
_MOST_ANSWER_BYTES = MAX_DOCUMENT_BYTES
_LONGEST_MESSAGE = 1000

_INSTEAD = "save the story itself as text or Markdown"
_COMMAND = (sys.executable, "-P", "-m", "index.isolation")
# All that a child sees of the environment. Keys and passwords stand there too, and a child may be taken over.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")
_logger = logging.getLogger(__name__)


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
        """Return what `read_articles` yields for a file of this content, or an error that says which limit it broke.

        The seconds begin when a child begins to read; waiting for one does not count.
        Raises OverloadError where no child can be started.
        """
        kind = kind_of_document(content, name=name, media_type=media_type)
        if kind not in _ISOLATED:
            return list(read_articles(BytesIO(content), name=name, media_type=media_type, path=path))
        document = _Document(content, name, media_type, path, kind, seconds, megabytes)
        return [self._pool.submit(self._read, document).result()]

    def _read(self, document: "_Document") -> Article | FormatError:
        try:
            with self._child() as child:
                return child.read(document)
        except _UsedChildDiedError:
            # What an earlier document left behind may be to blame; a fresh child tells.
            with self._child(fresh=True) as child:
                return child.read(document)

    @contextlib.contextmanager
    def _child(self, *, fresh: bool = False) -> Iterator["_Child"]:
        """Lend a child, a kept one where there is one. It is kept again unless it is dead or worn."""
        child = self._idle.pop() if self._idle and not fresh else _Child()
        try:
            yield child
        finally:
            if child.is_worn:
                child.close()
            else:
                self._idle.append(child)


@dataclass(frozen=True, slots=True)
class _Document:
    """A document to read, what it is read as, and what it may take."""

    content: bytes
    name: str
    media_type: str | None
    path: str | None
    kind: str
    seconds: float
    megabytes: int

    def refusal(self, why: str) -> FormatError:
        return FormatError(f"{printable(self.name)} {why}")


class _UsedChildDiedError(Exception):
    """A child that had read other documents before died while it read this one."""


# --- in the parent ----------------------------------------------------------------------------------------------------


class _Child:
    """A child process, from its start to its end, for one thread at a time."""

    def __init__(self) -> None:
        self._is_used = False
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

    def read(self, document: _Document) -> Article | FormatError:
        """Return the article, or why there is none. Raises _UsedChildDiedError where that may not be its own fault."""
        with self._killed_after(document.seconds) as is_late:
            self._send(document)
            answer = self._receive()
        used, self._is_used = self._is_used, True
        if answer is not None:
            return self._understood(answer, document)
        self._is_last = True
        if is_late():
            return document.refusal(f"took longer than {document.seconds:g} s to read; {_INSTEAD}")
        self._process.kill()
        status = self._process.wait()
        if used:
            raise _UsedChildDiedError
        if status == _OUT_OF_MEMORY:
            return document.refusal(f"needs more than {document.megabytes} MiB of memory to be read; {_INSTEAD}")
        _logger.warning("the reader of %s ended with status %d", printable(document.name), status)
        return document.refusal(
            f"broke off its reader: it is damaged, or needs more than {document.megabytes} MiB of memory; {_INSTEAD}"
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
        about = [document.name, document.media_type, document.path, document.seconds, document.megabytes]
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

    def _understood(self, answer: bytes, document: _Document) -> Article | FormatError:
        try:
            found = json.loads(answer)
            self._is_last |= found["last"] is not False
            if (error := found["error"]) is not None:
                return FormatError(printable(_string(error))[:_LONGEST_MESSAGE])
            return _article_from(found["article"], document)
        # All that JSON of a wrong shape, or an article that is none, can raise.
        except (ValueError, TypeError, LookupError, RecursionError, AttributeError, FormatError):
            self._is_last = True
            _logger.warning("the reader of %s gave a senseless answer", printable(document.name))
            return document.refusal(f"broke its reader; {_INSTEAD}")


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
        origin = Origin(printable(_string(where)), _span(span, text) if span else None)
        metadata = metadata.adding(_string(name), _string(value), origin)
    return metadata.describe(
        text,
        id=article_id(document.name),
        body=_span(found["body"], text),
        media_type=document.kind,
        path=document.path,
        pages=tuple(_offset(page, text) for page in _sequence(found["pages"])),
    )


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


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
    """Read documents from standard input and answer on standard output, until the input ends."""
    requests, answers = _take_pipes()
    _warm_up()
    _give_up_rights()
    before = _memory()
    _answer(answers, b"")
    for number in range(1, _DOCUMENTS_PER_CHILD + 1):
        lengths = requests.read(_LENGTHS.size)
        if len(lengths) < _LENGTHS.size:
            return
        header, content = (requests.read(length) for length in _LENGTHS.unpack(lengths))
        name, media_type, path, seconds, megabytes = json.loads(header)
        _limit(seconds, before, megabytes)
        try:
            file = BytesIO(content)
            [found] = read_articles(file, name=name, media_type=media_type, path=path)
            grown = _memory().resident - before.resident > _MEGABYTES_TO_KEEP * _MEBIBYTE
            _answer(answers, _described(found, last=grown or number == _DOCUMENTS_PER_CHILD))
        except MemoryError:
            os._exit(_OUT_OF_MEMORY)
        # Held while the next one is waited for, they would be memory that nothing needs.
        del content, file, found


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return standard input and output for ourselves; what a library reads or writes there goes nowhere."""
    pipes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return pipes


def _warm_up() -> None:
    """Read one document of each kind, so that libraries are loaded before memory is counted and limited."""
    for name, content in _SAMPLES.items():
        list(read_articles(BytesIO(content), name=name))


def _described(found: Article | FormatError, *, last: bool) -> bytes:
    if isinstance(found, FormatError):
        return json.dumps({"last": last, "error": str(found)}).encode()
    facts = [
        [name, str(getattr(found, name)), origin.where, *([origin.span.start, origin.span.end] if origin.span else [])]
        for name, origin in found.origins.items()
    ]
    body = [found.body.start, found.body.end]
    article = {"text": found.text, "body": body, "pages": found.pages, "facts": facts}
    return json.dumps({"last": last, "error": None, "article": article}, ensure_ascii=False).encode()


def _answer(pipe: BinaryIO, answer: bytes) -> None:
    pipe.write(_LENGTH.pack(len(answer)))
    pipe.write(answer)
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


def _limit(seconds: float, before: "_Memory", megabytes: int) -> None:
    """Have the kernel end this process where the next document takes more time than that, or refuse it more memory."""
    if sys.platform != "win32":
        import resource

        # The parent kills first. This is for when the parent is killed: no child outlives it for longer.
        signal.setitimer(signal.ITIMER_REAL, seconds + _SECONDS_OF_GRACE)
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = math.ceil(used.ru_utime + used.ru_stime + seconds + _SECONDS_OF_GRACE)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, resource.RLIM_INFINITY))
        if before.address_space:
            limit = before.address_space + megabytes * _MEBIBYTE
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
