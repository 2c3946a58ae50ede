"""JSON Lines: one article per line, in BEIR's layout."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import BinaryIO

from index.articles import COLLECTION, COLLECTION_RULE, Article, Span
from index.decoding import is_blank, kind_of
from index.errors import FormatError
from index.metadata import Metadata, check_storable, metadata_from
from index.splitting import MOST_SENTENCES, has_too_many_sentences

MEDIA_TYPE = "application/x-ndjson"
_CHUNK = 1024 * 1024


def read_records(file: BinaryIO, *, name: str, limit: int) -> Iterator[Article | FormatError]:
    """Yield an article per line, and an error that names the line for each line that is none; blank lines are skipped.

    One line of at most `limit` bytes is in memory at a time.
    """
    number, is_empty = 0, True
    while line := file.readline(limit + 1):
        number += 1
        if number == 1 and (error := _no_lines(line)):
            yield FormatError(f"{name} {error}")
            return
        try:
            if len(line) > limit:
                is_empty = False
                _skip_line(file, line)
                raise FormatError(f"is longer than {limit} bytes; split the article")
            if line.strip(b" \t\r\n\xef\xbb\xbf"):
                is_empty = False
                yield read_record(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
        except FormatError as error:
            yield FormatError(f"{name}, line {number}: {error}")
    if is_empty:
        yield FormatError(f"{name} is empty; write one JSON object per line")


def _no_lines(first: bytes) -> str | None:
    """Return what is wrong with a file whose first line is `first`, where not one of its lines can be read."""
    if kind := kind_of(first):
        return f"is {kind}, not JSON Lines; write one JSON object per line"
    if first.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in first[:4096]:
        return "is UTF-16 or binary, not JSON Lines; save it as UTF-8"
    return None


def _skip_line(file: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = file.readline(_CHUNK)


def read_record(line: bytes) -> Article:
    """Return the article that one line is. Raises FormatError."""
    record = _parse(line)
    text = record.get("text")
    if not isinstance(text, str):
        raise FormatError('the record has no "text" that is a string; add one')
    if is_blank(text):
        raise FormatError("the record's text is blank; fill it in or remove the line")
    check_storable(text, "the record's text")
    if has_too_many_sentences(text):
        raise FormatError(
            f"the record's text holds more than {MOST_SENTENCES} line breaks and punctuation marks; split it"
        )
    metadata = _metadata(record)
    own = _own_id(record)
    article_id = own or _derived_id(text, metadata)
    article = metadata.describe(text, id=article_id, body=Span(0, len(text)), media_type=MEDIA_TYPE)
    return replace(article, named=own is not None, collection=_collection(record))


def _parse(line: bytes) -> Mapping[object, object]:
    try:
        record = json.loads(line.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError:
        raise FormatError("the line is not UTF-8; save the file as UTF-8") from None
    except FormatError:
        raise
    except (ValueError, RecursionError):
        raise FormatError("the line is not JSON; write one JSON object per line") from None
    if not isinstance(record, dict):
        raise FormatError('the line is no JSON object; write {"_id": …, "title": …, "text": …}')
    return record


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record: dict[str, object] = {}
    for key, value in pairs:
        if key in record:
            raise FormatError(f"the record has the key {json.dumps(key[:80])} twice; keep one")
        record[key] = value
    return record


def _metadata(record: Mapping[object, object]) -> Metadata:
    """Return what the record says at its top level, and for what it does not say there, what its `metadata` says."""
    metadata = metadata_from(record, "JSON")
    inner = record.get("metadata")
    return metadata_from(inner, "JSON metadata", known=metadata) if isinstance(inner, dict) else metadata


def _own_id(record: Mapping[object, object]) -> str | None:
    own = next((record[key] for key in ("_id", "id") if record.get(key) is not None), None)
    if own is None:
        return None
    if isinstance(own, int) and not isinstance(own, bool):
        own = str(own)
    if not isinstance(own, str) or not own or len(own) > 200 or not own.isprintable() or own != own.strip():
        raise FormatError(
            "the record's id cannot be used; an id is a number or 1 to 200 printable characters without white space"
            " around them"
        )
    return own


def _collection(record: Mapping[object, object]) -> str | None:
    collection = record.get("collection")
    if collection is None:
        return None
    if not isinstance(collection, str) or not COLLECTION.fullmatch(collection):
        raise FormatError(f"the record's collection cannot be used; {COLLECTION_RULE}")
    return collection


def _derived_id(text: str, metadata: Metadata) -> str:
    """Return an id for a record that has none: the same content has the same id in every run."""
    content = json.dumps([metadata.title, metadata.date and metadata.date.isoformat(), metadata.url, text])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
