"""HTML to articles: the story's own text, without menus, adverts and comments."""

import copy
import logging
import re
from typing import TYPE_CHECKING

from index.articles import Article, Origin, Span
from index.decoding import decode
from index.errors import FormatError
from index.metadata import MONTHS, Metadata, parse_date

if TYPE_CHECKING:
    from lxml.etree import _Element  # type: ignore[import-untyped]  # lxml ships no types
    from trafilatura.settings import Document

MEDIA_TYPE = "text/html"
# A story has some hundreds. The extraction takes time with the square of their number.
_MOST_ELEMENTS = 100_000
_NO_ARTICLE = "holds no article that could be told from its menus; save the story itself as text or Markdown"

_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_XML_DECLARED = re.compile(rb"\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{2,40})", re.IGNORECASE)
# What XML cannot hold, and the declaration that lxml refuses in text that is decoded already.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\\A[\\s\ufeff]*<\\?xml[^>]*>")
_SENTENCE_END = re.compile(r"[.!?…。！？।؟]")


def read_page(data: bytes, charset: str | None, *, id: str, path: str | None) -> Article:  # noqa: A002 - the article's
    """Return the article on a page. Raises FormatError where there is none on it."""
    html, _ = decode(data, charset or _declared_charset(data))
    tree = _parse(html)
    found = _extract(tree)
    text = _render(found.body) if found is not None else ""
    # What a page without a story leaves is its menu, and menus are no sentences.
    if found is None or not _SENTENCE_END.search(text):
        raise FormatError(_NO_ARTICLE)
    metadata = Metadata()
    for name, value in (
        ("title", found.title),
        ("date", _unambiguous(found.date, html)),
        ("source", found.sitename),
        ("url", found.url),
        ("author", found.author and found.author.replace(";", ",")),
        ("language", found.language or tree.get("lang") or tree.get("xml:lang")),
    ):
        if value:
            metadata = metadata.adding(name, value, Origin("html"))
    return metadata.describe(text, id=id, body=Span(0, len(text)), media_type=MEDIA_TYPE, path=path)


def _declared_charset(data: bytes) -> str | None:
    """Return the charset that the page declares for itself; None where it is UTF-8, whatever it declares."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        head = data[:4096]
        match = _XML_DECLARED.match(head) or _DECLARED.search(head)
        return match[1].decode("ascii", "replace") if match else None
    return None


def _parse(html: str) -> "_Element":
    import lxml.etree  # type: ignore[import-untyped]
    import lxml.html  # type: ignore[import-untyped]

    parser = lxml.html.HTMLParser(
        collect_ids=False, default_doctype=False, remove_comments=True, remove_pis=True, huge_tree=True
    )
    try:
        tree = lxml.html.document_fromstring(_NOT_XML.sub("", html), parser=parser)
    except (lxml.etree.LxmlError, ValueError, AssertionError):
        raise FormatError(_NO_ARTICLE) from None
    # The parser drops what is nested deeper than it goes (2,048 elements), and says so only here.
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
        raise FormatError("is nested too deeply to be read whole; save the story itself as text or Markdown")
    if sum(1 for _ in tree.iter()) > _MOST_ELEMENTS:
        raise FormatError(f"has more than {_MOST_ELEMENTS} elements; save the story itself as text or Markdown")
    return tree


def _extract(tree: "_Element") -> "Document | None":
    import trafilatura
    from trafilatura.settings import use_config

    # What it has to say to its log is said by our error; without a handler its lines would go to the terminal.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    logging.getLogger("htmldate").setLevel(logging.CRITICAL)
    config = copy.deepcopy(use_config())
    # Below its usual 250 characters it would hand out the whole page, menus and all, broken at every bold word.
    config.set("DEFAULT", "MIN_EXTRACTED_SIZE", "1")
    # The search it calls extensive takes any date in the story for the story's own.
    dates = {"extensive_search": False, "original_date": True, "max_date": "2100-01-01"}
    try:
        found = trafilatura.bare_extraction(
            tree,
            config=config,
            # Its memory spans documents: a paragraph that stood in an earlier file would be missing in this one.
            deduplicate=False,
            include_comments=False,
            include_tables=True,
            with_metadata=True,
            date_extraction_params=dates,
        )
    except MemoryError:  # The page may be fine.
        raise
    except Exception:  # Its heuristics raise all sorts of things on broken pages; the page is what is wrong.
        raise FormatError("is not HTML that can be read; save the story itself as text or Markdown") from None
    return None if isinstance(found, dict) else found


# What starts a paragraph of its own, in the names that trafilatura gives to elements.
_BLOCKS = {"p", "head", "quote", "list", "item", "table", "row", "code", "div", "figure", "graphic"}


def _render(body: "_Element") -> str:
    """Return the extracted text: paragraphs apart by a blank line, cells of a table by a bar."""
    from lxml.etree import iterwalk

    paragraphs: list[str] = []
    pieces: list[str] = []
    for event, element in iterwalk(body, events=("start", "end")):
        name = element.tag if isinstance(element.tag, str) else ""
        if name in _BLOCKS:
            _close(pieces, paragraphs)
        if event == "start":
            pieces.append("\n" if name == "lb" else element.text or "")
        else:
            pieces.extend(["\t" if name == "cell" else "", element.tail or ""])
    _close(pieces, paragraphs)
    return "\n\n".join(paragraphs)


def _close(pieces: list[str], paragraphs: list[str]) -> None:
    """Move what `pieces` hold to the paragraphs; two breaks in a row are how old pages part paragraphs."""
    for paragraph in re.split(r"\n\s*\n", "".join(pieces)):
        lines = (
            " | ".join(filter(None, (" ".join(cell.split()) for cell in line.split("\t"))))
            for line in paragraph.split("\n")
        )
        if text := "\n".join(filter(None, lines)):
            paragraphs.append(text)
    pieces.clear()


def _unambiguous(date: str | None, html: str) -> str | None:
    """Return `date`, an ISO date, unless the page gives it only as digits that could be another day as well."""
    found = parse_date(date or "")
    if found is None or found.day > 12 or found.day == found.month:
        return date
    pair = rf"(?:0?{found.day}([./-])0?{found.month}|0?{found.month}([./-])0?{found.day})[./-]{found.year}"
    iso = rf"{found.year}[-/.]?{found.month:02}[-/.]?{found.day:02}"
    month = MONTHS[found.month - 1]
    written = rf"\b{month}[a-z]*\.?\s+{found.day}\b|\b{found.day}(?:st|nd|rd|th)?\s+{month}"
    ambiguous = re.search(rf"(?<![0-9]){pair}(?![0-9])", html) and not re.search(
        f"{iso}|{written}", html, re.IGNORECASE
    )
    return None if ambiguous else date
