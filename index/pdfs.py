"""PDF to articles: the text of its pages as paragraphs, and the offset at which each page begins."""

import re
import statistics
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from index.articles import Article, Origin, Span
from index.errors import FormatError
from index.heads import read_head
from index.metadata import Metadata, one_line

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

MEDIA_TYPE = "application/pdf"
# PDFium is not safe to be used by two threads at once.
_LOCK = threading.Lock()
_END_MARK_WITHIN = 64 * 1024
_DAMAGED = "is cut short or damaged; fetch the PDF again"

# PDFium's own sign for a hyphen at the end of a line, whose word goes on in the next.
_HYPHEN = "\x02"
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
_SENTENCE_END = re.compile(r"[.!?…:。！？][\"'”’»)\]]*$")
_PAGE_NUMBER = re.compile(r"(?:page\s+)?[-–—]?\s*[0-9]{1,4}\s*[-–—]?(?:\s*(?:of|/)\s*[0-9]{1,4})?", re.IGNORECASE)
# Words after which a hyphen at a line's end is the word's own.
_COMPOUNDING = {"all", "cross", "ex", "half", "high", "long", "low", "mid", "non", "self", "short", "well"}

_NO_TITLE = re.compile(
    r"microsoft (?:word|powerpoint|excel)\b.*"
    r"|(?:untitled|document|presentation|powerpoint presentation|book|title|slide)\s*[0-9]*"
    r"|.*\.(?:docx?|odt|rtf|txt|pdf|indd|qxp|qxd|pptx?|xlsx?|tex|dvi|html?|md|pages|eps|ps)|[^\s]*[_0-9][^\s]*|\W*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a page: its text, the edges of its first and last character, and how large its letters are."""

    text: str
    left: float
    right: float
    top: float
    bottom: float
    size: float


def read_pdf(data: bytes, *, id: str, path: str | None) -> Article:  # noqa: A002 - the article's own word for it
    """Return the article in a PDF. Raises FormatError where it is damaged, locked, or only pictures of text."""
    if b"%%EOF" not in data[-_END_MARK_WITHIN:]:
        raise FormatError(_DAMAGED)
    with _LOCK:
        pages, facts = _read_document(data)
    text, starts = _join_pages(_strip_furniture(pages))
    if not text:
        raise FormatError("is a PDF without text, scanned perhaps; run text recognition (OCR) on it first")
    if sum(not c.isprintable() or c == "\ufffd" for c in text if c not in "\n") > len(text) / 5:
        raise FormatError("does not say which letters its glyphs are; run text recognition (OCR) on it first")
    head = read_head(text)
    metadata = _metadata(facts, head.metadata)
    body = Span(head.body, len(text))
    return metadata.describe(text, id=id, body=body, media_type=MEDIA_TYPE, path=path, pages=starts)


def _read_document(data: bytes) -> tuple[list[list[_Line]], dict[str, str]]:
    import pypdfium2
    from pypdfium2 import raw

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
            raise FormatError("is locked with a password; save it without one") from None
        raise FormatError(_DAMAGED) from None
    try:
        pages = [_read_page(document, number) for number in range(len(document))]
        facts = {key: _fact(document, key) for key in ("Title", "Author", "CreationDate")}
    except pypdfium2.PdfiumError:
        raise FormatError(_DAMAGED) from None
    finally:
        document.close()
    return pages, facts


def _fact(document: "PdfDocument", key: str) -> str:
    try:
        return str(document.get_metadata_value(key))
    except UnicodeError:
        return ""


def _read_page(document: "PdfDocument", number: int) -> list[_Line]:
    from pypdfium2 import raw

    page: PdfPage = document[number]
    try:
        textpage = page.get_textpage()
        try:
            codes = [raw.FPDFText_GetUnicode(textpage, i) for i in range(textpage.count_chars())]
            box = raw.FS_RECTF()
            lines = []
            for first, last, text in _split_lines(codes):
                raw.FPDFText_GetLooseCharBox(textpage, first, box)
                left, top, size = box.left, box.top, abs(box.top - box.bottom)
                raw.FPDFText_GetLooseCharBox(textpage, last, box)
                lines.append(_Line(text, left, box.right, top, box.top, size))
            return lines
        finally:
            textpage.close()
    finally:
        page.close()


def _split_lines(codes: Sequence[int]) -> Iterator[tuple[int, int, str]]:
    """Yield the index of the first and of the last visible character of each line, and its text."""
    line: list[tuple[int, str]] = []
    for index, code in enumerate([*codes, 0x0A]):
        if code in (0x0A, 0x0D):
            visible = [i for i, c in line if c and not c.isspace()]
            if visible:
                yield visible[0], visible[-1], " ".join(_whole("".join(c for _, c in line)).split())
            line = []
        else:
            line.append((index, _letter(code)))


def _letter(code: int) -> str:
    if code in (0x02, 0xFFFE):
        return _HYPHEN
    if (code < 0x20 and code != 0x09) or 0x7F <= code < 0xA0 or code == 0xFFFF or code > 0x10FFFF:
        return ""
    return _LIGATURES.get(code) or chr(code)


def _whole(text: str) -> str:
    """Return `text` with its surrogate pairs as the characters that they stand for, and without halves of pairs."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def _strip_furniture(pages: Sequence[list[_Line]]) -> list[list[_Line]]:
    """Return the pages without page numbers, and without a line that stands at the top or foot of most of them."""
    tops = Counter(_wording(lines[0]) for lines in pages if len(lines) > 1)
    feet = Counter(_wording(lines[-1]) for lines in pages if len(lines) > 1)
    enough = max(3, len(pages) // 2 + 1)
    kept = []
    for page in pages:
        lines = page
        if len(lines) > 1 and (_PAGE_NUMBER.fullmatch(lines[0].text) or tops[_wording(lines[0])] >= enough):
            lines = lines[1:]
        if len(lines) > 1 and (_PAGE_NUMBER.fullmatch(lines[-1].text) or feet[_wording(lines[-1])] >= enough):
            lines = lines[:-1]
        kept.append(lines)
    return kept


def _wording(line: _Line) -> str:
    return re.sub("[0-9]+", "0", line.text)


# Marks in the text while it is put together; no letter of a PDF becomes one of them.
_PAGE = "\x0c"


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the lines of a column begin and end, and how far apart most lines of the document are."""

    left: float
    right: float
    pitch: float

    @classmethod
    def of(cls, lines: Sequence[_Line], pitch: float) -> "_Layout":
        """Measure a column of a document whose lines are mostly `pitch` apart."""
        rights = sorted(line.right for line in lines)
        # Not the last: a headline may run across columns.
        return cls(min(line.left for line in lines), rights[len(rights) * 3 // 4], pitch)

    def is_short(self, line: _Line, share: float) -> bool:
        """Whether the line leaves more than `share` of the column's width free."""
        return line.right < self.right - share * (self.right - self.left)

    def parts(self, above: _Line, below: _Line) -> bool:
        """Whether a paragraph ends between two lines of a page, of which the lower is of this column."""
        drop = above.bottom - below.top
        ended = _SENTENCE_END.search(above.text) is not None
        if drop <= 0:
            return ended  # It goes on at the head of the next column.
        return (
            _differ_in_size(above, below)
            or (drop > 1.35 * self.pitch and (ended or not below.text[0].islower()))
            or below.text[0] in "•‣▪●"
            or (ended and (self.is_short(above, 0.1) or below.left > self.left + 0.7 * below.size))
            or (self.is_short(above, 0.4) and not below.text[0].islower())
        )


def _differ_in_size(above: _Line, below: _Line) -> bool:
    return abs(above.size - below.size) > 0.15 * max(above.size, below.size)


def _join_pages(pages: Sequence[list[_Line]]) -> tuple[str, tuple[int, ...]]:
    """Return the text of all pages, its paragraphs apart by a blank line, and the offset at which each page begins.

    A paragraph that runs over the end of a page stays whole.
    """
    pitch = _usual_pitch(pages)
    pieces: list[str] = []
    marks = ""
    above: tuple[_Line, _Layout] | None = None
    for lines in pages:
        marks += _PAGE
        for line, layout in _with_layouts(lines, pitch):
            if above is not None:
                parted = _part_at_page_end(*above, line) if marks else layout.parts(above[0], line)
                pieces.append(_between(above[0], line, parted=parted))
            pieces.append(marks + line.text)
            marks, above = "", (line, layout)
    return _take_page_marks(_resolve_hyphens("".join(pieces) + marks))


def _usual_pitch(pages: Sequence[list[_Line]]) -> float:
    """Return how far apart most lines of a document are; 0 where no two lines stand below each other."""
    between = [above.bottom - below.top for lines in pages for above, below in pairwise(lines)]
    # Lines that a divided word holds together are one line to PDFium.
    inside = [
        (line.top - line.bottom) / line.text.count(_HYPHEN) for page in pages for line in page if _HYPHEN in line.text
    ]
    return statistics.mode([round(pitch, 1) for pitch in sorted(between + inside) if pitch > 0] or [0.0])


def _with_layouts(lines: Sequence[_Line], pitch: float) -> Iterator[tuple[_Line, _Layout]]:
    """Yield each line of a page with the layout of its column. A column ends where the next line is higher up."""
    columns: list[list[_Line]] = []
    for line in lines:
        if not columns or line.top > columns[-1][-1].bottom + line.size:
            columns.append([])
        columns[-1].append(line)
    for column in columns:
        layout = _Layout.of(column, pitch)
        yield from ((line, layout) for line in column)


def _part_at_page_end(above: _Line, layout: _Layout, below: _Line) -> bool:
    ended = _SENTENCE_END.search(above.text) is not None
    return ended or _differ_in_size(above, below) or (layout.is_short(above, 0.2) and not below.text[0].islower())


def _between(above: _Line, below: _Line, *, parted: bool) -> str:
    if re.search(r"[^\W\d_]-$", above.text) and below.text[0].islower():
        return _HYPHEN
    return "\n\n" if parted else " "


def _resolve_hyphens(text: str) -> str:
    """Join the words that were divided at the end of a line; a hyphen that is the word's own stays."""
    words = {word.lower() for word in re.findall(r"(?<![\w-])[^\W\d_]+(?:-[^\W\d_]+)*(?![\w\x02-])", text)}

    def joined(match: re.Match[str]) -> str:
        left, marks, right = match.groups()
        first, last = left.lower(), right.lower()
        if not last or (not right.islower() and not (left.isupper() and right.isupper())):
            own = True  # Anglo-American, mid-2022
        elif first + last in words:
            own = False
        else:
            both_known = min(len(first), len(last)) > 2 and {first, last} <= words
            own = f"{first}-{last}" in words or first in _COMPOUNDING or both_known
        return f"{left}{'-' if own else ''}{marks}{right}"

    return re.sub(rf"(?<![^\W_])([^\W_]*)-?{_HYPHEN}({_PAGE}*)([^\W_]*)", joined, text)


def _take_page_marks(text: str) -> tuple[str, tuple[int, ...]]:
    pages = text.split(_PAGE)
    starts = accumulate(len(page) for page in pages[:-1])
    return "".join(pages), tuple(starts)


def _metadata(facts: Mapping[str, str], head: Metadata) -> Metadata:
    """Return what the PDF says about itself where that makes sense, and for the rest what its text says."""
    metadata = Metadata()
    title, author = one_line(facts["Title"]), one_line(facts["Author"])
    if title and not _NO_TITLE.fullmatch(title):
        metadata = metadata.adding("title", title, Origin("pdf metadata"))
    # One word is more often the name of an account than of a person.
    if author and " " in author and not re.search(r"[@0-9_\\]", author):
        metadata = metadata.adding("author", author, Origin("pdf metadata"))
    metadata = metadata.completed_by(head)
    if created := re.match(r"(?:D:)?([12][0-9]{3})([01][0-9])([0-3][0-9])", facts["CreationDate"]):
        metadata = metadata.adding("date", "-".join(created.groups()), Origin("pdf creation date"))
    return metadata
