"""Folders of prepared models: whole or not there at all, each file known by its sha256."""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from index.errors import EncoderError, ReaderError, WeightsError

if TYPE_CHECKING:
    import torch


@contextmanager
def new_folder(folder: Path, error: type[EncoderError | ReaderError]) -> Iterator[Path]:
    """Give an empty folder beside `folder`; it takes that name, and the place of what had it, if the block succeeds.

    Raises `error` where it cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".preparing-"))
    except OSError as failed:
        raise error(
            f"the prepared model cannot be stored in {folder.parent} ({failed.strerror}); check QUOTELINE_DATA and "
            "QUOTELINE_MODELS"
        ) from failed
    try:
        yield unfinished
        # mkdtemp's folders are closed to all others; a container may serve as another user than the one who built it.
        unfinished.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def check_files(folder: Path, sha256: Mapping[str, str], way_out: str) -> None:
    """Check the files of a folder, by name. Raises WeightsError, which ends with `way_out`."""
    for name, wanted in sha256.items():
        path = folder / name
        if not path.is_file():
            raise WeightsError(f"{path} is missing; {way_out}")
        if sha256_of(path) != wanted:
            raise WeightsError(f"{path} is not the file that it should be (sha256 differs); {way_out}")


def is_outdated(path: Path, wanted: int) -> bool:
    """Whether the manifest of a prepared model is of another format than `wanted`, and not just damaged."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and "weights" in told and told.get("format") != wanted


def sha256_of(path: Path) -> str:
    """Return the digest of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_files(folder: Path) -> dict[str, str]:
    """Return the digest of each file in a folder, by name."""
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


def digest_of_model(folder: Path) -> str:
    """Return one digest of all files of a model's folder that can change what it does."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".safetensors", ".bin", ".json", ".txt", ".model"} and path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + sha256_of(path).encode())
    return digest.hexdigest()


def digest_of_weights(weights: Mapping[str, "torch.Tensor"]) -> str:
    """Return one digest of a loaded model's weights, whatever order they are in and wherever they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()


def slug(model: str) -> str:
    """Return a model's name, or the last part of its folder, as it can stand in the name of a file."""
    return re.sub(r"[^\w.-]+", "-", Path(model).name).strip("-.") or "model"
