"""Markdown to articles: front matter, then the text."""

import re

import yaml

from index.articles import Article, Origin, Span
from index.decoding import is_blank
from index.errors import FormatError
from index.heads import Head, read_labels
from index.metadata import metadata_from

MEDIA_TYPE = "text/markdown"
# Front matter is a few lines. A parser of YAML needs hundreds of bytes of memory for each of its bytes.
_MOST_FRONT_MATTER = 64 * 1024

_OPENING = re.compile(r"---[ \t]*\r?\n")
_CLOSING = re.compile(r"^(?:---|\.\.\.)[ \t]*(?:\r\n|\r|\n|\Z)", re.MULTILINE)
_HEADING = re.compile(
    r"[\s\ufeff]*+(?:[ ]{0,3}#[ \t]+(?P<atx>[^\r\n]{1,500}?)(?:[ \t]{1,20}#+)?[ \t]{0,20}(?:[\r\n]|\Z)"
    r"|(?P<setext>[^\r\n]{1,300})(?:\r\n|\r|\n)[ ]{0,3}=+[ \t]*(?:[\r\n]|\Z))"
)


def read_markdown(text: str, *, start: int, id: str, path: str | None) -> Article:  # noqa: A002 - the article's own word
    """Return the article in a Markdown text that begins at `start`; FormatError where its front matter is broken."""
    head = _front_matter(text, start) or read_labels(text, start)
    if is_blank(text[head.body :]):
        raise FormatError("holds nothing after its front matter; there is nothing to quote in it")
    metadata = head.metadata
    heading = _HEADING.match(text, head.body)
    if heading and heading.lastgroup:
        metadata = metadata.adding(
            "title", heading[heading.lastgroup], Origin("heading", Span(*heading.span(heading.lastgroup)))
        )
    return metadata.describe(text, id=id, body=Span(head.body, len(text)), media_type=MEDIA_TYPE, path=path)


def _front_matter(text: str, start: int) -> Head | None:
    """Return what stands between two lines of `---` at the head of the text; None where nothing does."""
    opening = _OPENING.match(text, start)
    closing = opening and _CLOSING.search(text, opening.end())
    if not opening or not closing:
        return None
    source = text[opening.end() : closing.start()]
    if len(source) > _MOST_FRONT_MATTER:
        if not re.match(r"\w+[ \t]*:", source):
            return None
        raise FormatError(f"has more than {_MOST_FRONT_MATTER} characters of front matter; shorten it")
    content = _parse(source) if source.strip() else {}
    # A ruled-off paragraph at the head of a text is no front matter.
    return Head(metadata_from(content, "front matter"), closing.end()) if isinstance(content, dict) else None


def _parse(source: str) -> object:
    try:
        # The loader of plain strings, stricter than the safe one: it makes no objects, merges no keys, and reads
        # "no" as Norwegian and not as false.
        return yaml.load(source, Loader=yaml.BaseLoader)  # noqa: S506 - see above
    except yaml.MarkedYAMLError as error:
        marks = [mark.line for mark in (error.problem_mark, error.context_mark) if mark is not None]
        # What is never closed is noticed at the end; the line to mend is the one where it was opened.
        line = next((mark for mark in marks if mark < source.count("\n")), 0) + 2
    except yaml.reader.ReaderError as error:
        line = source.count("\n", 0, int(error.position)) + 2
    except (yaml.YAMLError, RecursionError, ValueError):
        line = 2
    raise FormatError(f"has front matter that is not YAML, at line {line}; mend it, or put the value in quotes")
