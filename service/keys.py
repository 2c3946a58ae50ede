"""Keys of the HTTP service: who may do what, in one file beside the corpus.

The file is the switch. Where there has never been one, no key is asked for (`service/access.py` says who may do what
then). Once there is one, a key is asked for, also where its last key was revoked: a service behind a proxy takes the
whole world for this very machine, and revoking a key that leaked must not let that world in. The way back to no keys is
to delete the file and to start the service again.
"""

import datetime as dt
import hashlib
import hmac
import os
import re
import secrets
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal, get_args

from filelock import FileLock, Timeout
from pydantic import ConfigDict, TypeAdapter, ValidationError

from index.articles import COLLECTION, COLLECTION_RULE
from index.errors import AccessError, InputError

# The name of the file, in the data folder.
FILE = "keys.json"
# `ask` is reading: questions, articles, citations. `manage` is all else, and does not bring `ask` with it.
Scope = Literal["ask", "manage"]
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))

# How long a change waits for another process's, in seconds.
PATIENCE = 10
_NAME_LENGTH = 100
_ID = re.compile(r"[0-9a-f]{8}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# 43 characters are 32 random bytes in URL-safe base64 without its padding.
_TOKEN = re.compile(rf"ql_({_ID.pattern})_([A-Za-z0-9_-]{{43}})")
# What the secret of an unknown id is compared with; no text has this digest.
_NOBODY = "-" * 64


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key: never its secret, only the SHA-256 of it."""

    # A field that this version does not know might restrict the key: such a file is refused rather than half obeyed.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: str
    name: str
    scopes: frozenset[Scope]
    collections: frozenset[str] | None
    created_at: dt.datetime
    sha256: str = field(repr=False)

    def __post_init__(self) -> None:
        if not (_ID.fullmatch(self.id) and _DIGEST.fullmatch(self.sha256)):
            raise ValueError("not a key: it has an id of 8 and a sha256 of 64 hexadecimal digits")
        if not (self.name.strip() and len(self.name) <= _NAME_LENGTH and self.name.isprintable()):
            raise ValueError(f"a key's name is 1 to {_NAME_LENGTH} printable characters")
        if not self.scopes or self.scopes - SCOPES:
            raise ValueError(f"a key has one scope or more of {', '.join(sorted(SCOPES))}")
        # None is all of them. An empty set would be one too, to whoever asks `collections or all`.
        if self.collections is not None and not self.collections:
            raise ValueError("a key that is limited to collections names one at least")
        for collection in self.collections or ():
            if not COLLECTION.fullmatch(collection):
                raise ValueError(f"{collection!r} is no collection: {COLLECTION_RULE}")


@dataclass(frozen=True, slots=True)
class _Content:
    """The content of the file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    version: Literal[1]
    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        if len({key.id for key in self.keys}) != len(self.keys):
            raise ValueError("two keys have one id")


_CONTENT = TypeAdapter(_Content)

# What tells one state of a file from another.
_Mark = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Reading:
    mark: _Mark
    keys: Mapping[str, Key]


class KeyStore:
    """The keys in one file, of which any process may make and revoke some while others look.

    Every look sees the file as it is now: a `stat` tells whether it has to be read again. All methods raise AccessError
    where it cannot be read, is damaged, or is gone though this process has seen it: never are there just no keys.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = False
        self._reading: _Reading | None = None

    # Looking

    def required(self) -> bool:
        """Whether callers need a key: whether there is a file of keys, be it one without keys."""
        return self._look() is not None

    def list(self) -> tuple[Key, ...]:
        """Return all keys, oldest first."""
        return tuple((self._look() or {}).values())

    def find(self, token: str) -> Key | None:
        """Return the key that `token` was handed out for, None where there is none (any more).

        How long it takes tells nothing: an unknown id is hashed and compared as a known one is.
        """
        found = _TOKEN.fullmatch(token)
        key_id, secret = found.groups() if found else ("", "")
        key = (self._look() or {}).get(key_id)
        same = hmac.compare_digest(_digest(secret), key.sha256 if key else _NOBODY)
        return key if same else None

    # Changing

    def create(self, name: str, scopes: Iterable[Scope], collections: Iterable[str] | None = None) -> tuple[Key, str]:
        """Make a key; return it, and its token, which nothing can tell again.

        collections: those that it is limited to; None for all, also those to come.
        Raises InputError where the name, a scope or a collection is none.
        """
        with self._changing() as keys:
            key_id = _new_id(keys)
            secret = secrets.token_urlsafe(32)
            try:
                key = Key(
                    id=key_id,
                    name=name,
                    scopes=frozenset(scopes),
                    collections=None if collections is None else frozenset(collections),
                    created_at=dt.datetime.now(dt.UTC).replace(microsecond=0),
                    sha256=_digest(secret),
                )
            except ValueError as error:
                raise InputError(f"{error}; nothing was changed") from error
            keys[key_id] = key
        return key, f"ql_{key_id}_{secret}"

    def revoke(self, *key_ids: str) -> None:
        """Revoke keys: all of them, or none where one is not there (InputError)."""
        with self._changing() as keys:
            if missing := [key_id for key_id in key_ids if key_id not in keys]:
                raise InputError(
                    f"no key has the id {', '.join(missing)}; nothing was changed; `quoteline keys list` shows the ids"
                )
            for key_id in set(key_ids):
                del keys[key_id]

    # The file

    def _look(self) -> Mapping[str, Key] | None:
        """Return the keys by id, as the file has them now; None where there is no file and never was."""
        try:
            now = _mark(self.path.stat())
            self._seen = True
            if self._reading is None or self._reading.mark != now:
                self._reading = _Reading(now, _read(self.path))
        except FileNotFoundError as error:
            if not self._seen:
                return None
            raise AccessError(
                f"{self.path} is gone, and with it all keys; bring it back, or start the service again to have none"
            ) from error
        except OSError as error:
            raise AccessError(
                f"{self.path} cannot be read ({error.strerror}); let the user that the service runs as read it"
            ) from error
        return self._reading.keys

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Key]]:
        """Lend out the keys by id; what they are at the end is written, unless there was an error."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=PATIENCE):
                keys = dict(self._look() or {})
                yield keys
                _write(self.path, _Content(1, tuple(keys.values())))
                self._seen = True
        except Timeout as error:
            raise AccessError(
                f"another process has been changing {self.path} for {PATIENCE} s; try again once it has ended"
            ) from error
        except OSError as error:
            raise AccessError(
                f"{self.path} cannot be changed ({error.strerror}); see to the folder's rights"
            ) from error


def _new_id(taken: Container[str]) -> str:
    while (key_id := secrets.token_hex(4)) in taken:
        pass
    return key_id


def _digest(secret: str) -> str:
    # No salt and no slow hash: those protect passwords, which can be guessed. 32 random bytes cannot.
    return hashlib.sha256(secret.encode()).hexdigest()


def _mark(status: os.stat_result) -> _Mark:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _read(path: Path) -> Mapping[str, Key]:
    try:
        content = _CONTENT.validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        raise AccessError(
            f"{path} is damaged, or was written by another version of Quoteline ({where}: {fault['msg']}); "
            "bring back a copy, or delete it and create all keys anew with `quoteline keys create`"
        ) from None  # its text quotes the file, and a log is read by more people than the file
    return MappingProxyType({key.id: key for key in content.keys})


def _write(path: Path, content: _Content) -> None:
    """Put `content` in place of the file; after a crash there is the old one or the new one, whole."""
    # Made with mode 0600, and in the same folder, so that it can be renamed.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_CONTENT.dump_json(content, indent=1))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a renaming last: else a key that was revoked may be back after a power cut."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot, and need not
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
