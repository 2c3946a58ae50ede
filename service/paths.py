"""Files and folders as articles, one after another, whatever their number and size."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from index.articles import Article
from index.errors import FormatError, InputError
from index.formats import MEDIA_TYPES
from index.isolation import Isolated

# Names of a folder that are in memory at once, and in order; those of a folder with more are so by as many.
TOGETHER = 10_000


def files_in(path: Path, refuse: Callable[[str], None]) -> Iterator[Path]:
    """Yield a file itself, or a folder's files, by name, that can hold articles: not hidden ones, nor its README.

    refuse: is told of each folder that cannot be read.
    """
    if not path.is_dir():
        yield path
        return
    try:
        with os.scandir(path) as entries:
            while some := sorted(islice(entries, TOGETHER), key=lambda entry: entry.name):
                for entry in some:
                    yield from _files_of(entry, refuse)
    except OSError as error:
        refuse(f"{path}: cannot be read ({error.strerror})")


def _files_of(entry: "os.DirEntry[str]", refuse: Callable[[str], None]) -> Iterator[Path]:
    file = Path(entry.path)
    if entry.name.startswith("."):
        return
    if entry.is_dir(follow_symlinks=False):
        yield from files_in(file, refuse)
    elif file.suffix.lower() in MEDIA_TYPES and file.stem.upper() != "README" and entry.is_file():
        yield file


class Source:
    """The articles in some files and folders, to be gone through once; tells how much of it is behind.

    size: bytes of all files, as they are found beforehand.
    """

    def __init__(self, paths: Sequence[Path], collection: str | None, refuse: Callable[[str], None]) -> None:
        """Look through the files. Raises InputError where there is none at all that can hold articles.

        collection: of articles that name none themselves. refuse: is told why, of all that cannot be read.
        """
        self._paths = paths
        self._collection = collection
        self._refuse = refuse
        self._ends: deque[int] = deque()
        self._read = 0
        self.size, count = 0, 0
        for file in self._files(lambda _: None):
            count += 1
            self.size += _size(file)
        if not count:
            raise InputError(f"no file in {', '.join(map(str, paths))} ends with one of {', '.join(MEDIA_TYPES)}")

    def articles(self) -> Iterator[Article]:
        """Yield all articles, reading no further than has to be."""
        with Isolated() as reader:
            for file in self._files(self._refuse):
                before = self._read
                try:
                    with file.open("rb") as content:
                        for found in reader.read_articles(content, name=str(file), path=str(file.resolve())):
                            self._read = before + _position(content)
                            if isinstance(found, FormatError):
                                self._refuse(str(found))
                                continue
                            self._ends.append(self._read)
                            yield replace(found, collection=found.collection or self._collection)
                except OSError as error:
                    self._refuse(f"{file}: cannot be read ({error.strerror})")
                self._read = before + _size(file)

    def settle(self) -> int:
        """Return how many bytes lie before the end of the next article, in their order, that all is done with."""
        return self._ends.popleft()

    def _files(self, refuse: Callable[[str], None]) -> Iterator[Path]:
        return (file for path in self._paths for file in files_in(path, refuse))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _position(content: BinaryIO) -> int:
    """Return how much of a file was read; 0 of a pipe."""
    return content.tell() if content.seekable() else 0
