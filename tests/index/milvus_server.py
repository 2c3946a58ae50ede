"""A server of Milvus for tests: milvus-lite's, in a process and a folder of its own, on 127.0.0.1."""

import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from index.address import Address
from index.corpus import Corpus
from index.encoding import Encoder
from index.testing import HashingEncoder

DIM = 64


class LiteServer:
    """A server in a folder; it can be killed and started again, and keeps its port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        program = Path(sys.executable).with_name("milvus-lite")
        where = ["--data-dir", str(self._folder / "data"), "--host", "127.0.0.1", "--port", str(self.port)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([program, "server", *where], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.05)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let it go on listening and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def address(self, name: str = "") -> Address:
        """Return the address of a corpus that is not there yet, or of one of this name."""
        return Address("127.0.0.1", self.port, name or f"t{uuid.uuid4().hex[:12]}")


@contextmanager
def lite_server() -> Iterator[LiteServer]:
    with TemporaryDirectory() as folder:
        server = LiteServer(Path(folder))
        try:
            yield server
        finally:
            server.kill()


def open_corpus(
    folder: Path,
    address: Address | None,
    *,
    encoder: Encoder | None = None,
    rebuild: bool = False,
    encode_again: bool = False,
) -> Corpus:
    """Return a corpus with its store in `folder`, which is searched where `address` says, or there, too."""
    return Corpus(
        folder,
        encoder or HashingEncoder(dim=DIM),
        index=written(address) if address else "",
        rebuild=rebuild,
        encode_again=encode_again,
    )


def written(address: Address) -> str:
    """Return an address without a user as one is given to a corpus."""
    options = ["lexical=no"] * (not address.lexical) + [f"store={address.store}"] * (address.store is not None)
    return f"{address}?{'&'.join(options)}"
