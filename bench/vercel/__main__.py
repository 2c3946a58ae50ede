"""Reads Quoteline with the Vercel AI SDK from npm, unmodified: `python -m bench.vercel`.

Installs what `package-lock.json` names into `build/vercel` (Node.js 20 or newer, npm), serves the seeds on a free port,
and runs `check.mjs` against them, which asks both endpoints, whole and streamed. The exit code is that of the check.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.servers import Ours, serving
from index.errors import QuotelineError
from service.settings import Settings

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parent.parent
_LOCK, _LOCKED = "package-lock.json", "installed-lock.json"
SEEDS = _CHECKOUT / "seeds"
BUILD = _CHECKOUT / "build" / "vercel"
QUESTION = "Did Iran deny sending drones?"


class SdkError(QuotelineError):
    """The SDK could not be installed; the message says what is missing, or what npm said."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Install, serve and check; return the exit code. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="bench.vercel", description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=Path, default=BUILD, metavar="DIR", help="where the SDK is installed")
    options = parser.parse_args(arguments)
    # By itself SIGTERM would leave the server running and the temporary folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    check = install(options.build)
    with tempfile.TemporaryDirectory(prefix="quoteline-vercel-") as folder:
        system = Ours(SEEDS, Path(folder) / "data", Settings.model_validate({}).models_folder)
        system.index()
        with serving(system, QUESTION, Path(folder) / "server.log") as server:
            command = [_program("node"), str(check), f"http://127.0.0.1:{server.port}"]
            return subprocess.run(command, check=False).returncode


def install(build: Path) -> Path:
    """Install the locked packages into `build`, if that was not done, and return the check that lies beside them."""
    build.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", _LOCK, "check.mjs"):
        shutil.copy(_HERE / name, build / name)
    lock = (_HERE / _LOCK).read_text(encoding="utf-8")
    installed = build / _LOCKED
    if not installed.exists() or installed.read_text(encoding="utf-8") != lock:
        command = [_program("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=build, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SdkError(f"`npm ci` failed in {build}:\n{done.stderr[-2000:]}")
        installed.write_text(lock, encoding="utf-8")
    return build / "check.mjs"


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SdkError(f"{name} is not on the path; install Node.js 20 or newer, which brings it")
    return found


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QuotelineError as error:
        sys.exit(f"bench.vercel: {error}")
