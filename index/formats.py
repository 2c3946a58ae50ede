"""Bytes and a media type to articles: the one entrance to text, Markdown, HTML, PDF and JSON Lines."""

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import PurePath
from types import MappingProxyType
from typing import BinaryIO

from index import markdown, pdfs, records, webpages
from index.articles import Article, Span
from index.decoding import decode, is_blank
from index.errors import FormatError
from index.heads import read_head
from index.splitting import MOST_SENTENCES, has_too_many_sentences

# The largest document, and the longest line of JSON Lines, in bytes. No article is that long; a database dump is.
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024

# The extensions that are read, and the media type of each.
MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".txt": "text/plain",
        ".text": "text/plain",
        ".md": "text/markdown",
        ".markdown": "text/markdown",
        ".html": "text/html",
        ".htm": "text/html",
        ".xhtml": "text/html",
        ".pdf": "application/pdf",
        ".jsonl": records.MEDIA_TYPE,
        ".ndjson": records.MEDIA_TYPE,
    }
)


# Other names of the same types, and names that say nothing, for which the extension is asked.
_ALIASES = {
    "text/x-markdown": "text/markdown",
    "text/md": "text/markdown",
    "application/xhtml+xml": "text/html",
    "application/x-pdf": "application/pdf",
    "application/jsonl": records.MEDIA_TYPE,
    "application/jsonlines": records.MEDIA_TYPE,
    "application/x-jsonlines": records.MEDIA_TYPE,
    "application/x-jsonl": records.MEDIA_TYPE,
    "application/ndjson": records.MEDIA_TYPE,
}
_SAYS_NOTHING = ("", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded")

Reader = Callable[[str, bytes, str | None, str, str | None], Article]
"""Media type, content, charset, the article's id and path to an article; raises FormatError, as `read_document`."""


def read_articles(
    file: BinaryIO,
    *,
    name: str,
    media_type: str | None = None,
    path: str | None = None,
    reader: Reader | None = None,
) -> Iterator[Article | FormatError]:
    """Yield the articles of a file opened for bytes; what cannot be read is yielded as an error, and the rest goes on.

    name: what the file is called, in messages and, without its folder and extension, as the article's id.
    media_type: what the sender says it is, parameters allowed; without it the extension decides, then the content.
    path: becomes `Article.path`; not for JSON Lines, whose records are no files.
    reader: reads a document that is one article; `read_document`, or what does the same elsewhere.
    Raises nothing for what the file holds. The file is read from where it stands and not closed.
    """
    shown = _printable(name)
    try:
        yield from _read(file, name, shown, media_type or "", path, reader or read_document)
    except FormatError as error:
        yield FormatError(f"{shown} {error}")
    except OSError:
        yield FormatError(f"{shown} could not be read to its end; check the file and its disk, then add it again")


def read_document(kind: str, data: bytes, charset: str | None, id: str, path: str | None) -> Article:  # noqa: A002
    """Return the article that one document of the media type `kind` is, here and now. Raises FormatError.

    charset: what the sender says; None where nothing is said.
    """
    return _READERS[kind](data, charset, id, path)


def article_id(name: str) -> str:
    """Return the id of the article in the file `name`: its stem, with nothing in it that an id cannot hold."""
    stem = unicodedata.normalize("NFC", PurePath(name.replace("\\", "/")).name)
    if _extension(name) in MEDIA_TYPES:
        stem = PurePath(stem).stem
    slug = "".join(c if c.isalnum() or c in "-_." else "-" for c in stem)
    return re.sub(r"-{2,}", "-", slug).strip("-.")[:80].rstrip("-.") or "article"


def _read(
    file: BinaryIO, name: str, shown: str, media_type: str, path: str | None, reader: Reader
) -> Iterator[Article | FormatError]:
    if path is not None and re.search("[\ud800-\udfff]", path):
        raise FormatError("has a path that is not UTF-8, which cannot be stored; rename it")
    essence, charset = _split(media_type)
    kind = _kind(essence, name)
    if kind == records.MEDIA_TYPE:
        yield from records.read_records(file, name=shown, limit=MAX_DOCUMENT_BYTES)
        return
    data = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise FormatError(f"is larger than {MAX_DOCUMENT_BYTES} bytes, the limit for one document; split it")
    if not data:
        raise FormatError("is empty; there is nothing to quote in it")
    kind = kind or _sniff(data)
    if kind == records.MEDIA_TYPE:
        yield from records.read_records(BytesIO(data), name=shown, limit=MAX_DOCUMENT_BYTES)
        return
    article = reader(kind, data, charset, article_id(name), path)
    if has_too_many_sentences(article.text):
        raise FormatError(f"holds more than {MOST_SENTENCES} line breaks and punctuation marks; split it")
    yield replace(article, named=False)


def _split(media_type: str) -> tuple[str, str | None]:
    """Return a media type without its parameters, in lower case, and its charset."""
    essence, *parameters = (part.strip() for part in media_type.split(";"))
    named = (part.partition("=") for part in parameters)
    charset = next((value.strip(" \"'") for key, _, value in named if key.strip().lower() == "charset"), None)
    return essence.lower(), charset


def _kind(essence: str, name: str) -> str | None:
    """Return the media type to read the file as; None where only its content can tell."""
    if essence in _SAYS_NOTHING:
        return MEDIA_TYPES.get(_extension(name))
    kind = _ALIASES.get(essence, essence)
    if kind not in _READERS and kind != records.MEDIA_TYPE:
        readable = ", ".join([*_READERS, records.MEDIA_TYPE])
        raise FormatError(f"is said to be {_printable(essence[:80])}, which cannot be read; send one of {readable}")
    return kind


def _extension(name: str) -> str:
    return PurePath(name.replace("\\", "/")).suffix.lower()


def _sniff(data: bytes) -> str:
    if b"%PDF-" in data[:1024]:
        return "application/pdf"
    head = data[:4096].removeprefix(codecs.BOM_UTF8).lstrip()
    if re.match(rb"<!doctype html|<html|<\?xml[^>]*>\s*<(!doctype )?html", head, re.IGNORECASE):
        return "text/html"
    if re.match(rb"\{[^\n]*\}[ \t\r]*(\n|$)", head) or (head.startswith(b'{"') and b"\n" not in head):
        return records.MEDIA_TYPE
    if re.match(rb"[\[{]\s*[\"{\[]", head):
        raise FormatError("looks like JSON; write it as JSON Lines, one object per line, and name it .jsonl")
    return "text/markdown" if re.match(rb"---[ \t]*\r?\n\w+:", head) else "text/plain"


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in name)


def _read_text(data: bytes, charset: str | None, id: str, path: str | None) -> Article:  # noqa: A002
    text, start = _text_of(data, charset)
    head = read_head(text, start)
    return head.metadata.describe(text, id=id, body=Span(head.body, len(text)), media_type="text/plain", path=path)


def _read_markdown(data: bytes, charset: str | None, id: str, path: str | None) -> Article:  # noqa: A002
    text, start = _text_of(data, charset)
    return markdown.read_markdown(text, start=start, id=id, path=path)


def _read_page(data: bytes, charset: str | None, id: str, path: str | None) -> Article:  # noqa: A002
    return webpages.read_page(data, charset, id=id, path=path)


def _read_pdf(data: bytes, charset: str | None, id: str, path: str | None) -> Article:  # noqa: A002
    return pdfs.read_pdf(data, id=id, path=path)


def _text_of(data: bytes, charset: str | None) -> tuple[str, int]:
    """Return the decoded text and the offset behind its byte order mark."""
    text, _ = decode(data, charset)
    if is_blank(text):
        raise FormatError("holds nothing but white space; there is nothing to quote in it")
    return text, 1 if text.startswith("\ufeff") else 0


_READERS: Mapping[str, Callable[[bytes, str | None, str, str | None], Article]] = MappingProxyType(
    {
        "text/plain": _read_text,
        markdown.MEDIA_TYPE: _read_markdown,
        webpages.MEDIA_TYPE: _read_page,
        pdfs.MEDIA_TYPE: _read_pdf,
    }
)
