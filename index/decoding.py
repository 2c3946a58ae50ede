"""Bytes to text, and what bytes are where they are no text."""

import codecs
import re
from itertools import pairwise

from index.errors import FormatError

# Longest first: the mark of UTF-16 is also the beginning of UTF-32's.
_MARKS = [
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_KINDS = [
    (b"%PDF-", "a PDF file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"Rar!\x1a", "a RAR archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office document"),
    (b"{\\rtf", "an RTF document"),
    (b"%!PS", "a PostScript file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\0", "a program"),
    (b"OggS", "an Ogg file"),
    (b"ID3", "an MP3 file"),
    (b"fLaC", "a FLAC file"),
    (b"\0asm", "a program"),
]
# What a ZIP archive is, by the names of the files in it.
_ZIPPED = [
    (b"word/", "a Word document"),
    (b"xl/", "an Excel sheet"),
    (b"ppt/", "a PowerPoint presentation"),
    (b"application/epub+zip", "an EPUB book"),
    (b"application/vnd.oasis.opendocument", "an OpenDocument file"),
]
_BYTES_TO_DETECT = 256 * 1024


def kind_of(data: bytes) -> str | None:
    """Return, in words, what kind of binary file `data` begins; None where it may be text."""
    head = data[:4096]
    kind = next((name for magic, name in _KINDS if head.startswith(magic)), None)
    if kind == "a ZIP archive":
        return next((name for mark, name in _ZIPPED if mark in head), kind)
    if kind is None and head[:4] == b"RIFF":
        return "a WebP image" if head[8:12] == b"WEBP" else "a sound or video file"
    if kind is None and head[4:8] == b"ftyp":
        return "a video or picture"
    return kind


def decode(data: bytes, charset: str | None = None) -> tuple[str, str]:
    """Return `data` as text, and the codec for which `data.decode(codec)` is that text, every character kept.

    A byte order mark decides; then `charset`, what the sender says it is; then UTF-8; then what the bytes look like.
    The mark of a UTF-8 file stays as the first character, as in `data.decode()`.
    Raises FormatError where `data` is no text, or none whose encoding can be told for certain.
    """
    if kind := kind_of(data):
        raise FormatError(f"is {kind}, not text; convert it to text, Markdown, HTML or PDF")
    text, codec = _decode(data, charset)
    if "\0" in text:
        raise FormatError(
            "holds NUL bytes and so is a binary file, not text; convert it to text, Markdown, HTML or PDF"
        )
    return text, codec


def is_blank(text: str) -> bool:
    """Whether nothing in `text` can be seen."""
    return _INVISIBLE.fullmatch(text) is not None


_INVISIBLE = re.compile(r"[\s\ufeff\u200b\u2060]*")


def _decode(data: bytes, charset: str | None) -> tuple[str, str]:
    marked = next((codec for mark, codec in _MARKS if data.startswith(mark)), None)
    named = marked or _codec_of(charset)
    if named is not None:
        text = _try(data, named)
        if text is None:
            said = "begins with the mark of" if marked else "is said to be"
            raise FormatError(f"{said} {named.upper()} but is not; save it as UTF-8")
        return text, named
    text = _try(data, "utf-8")
    if text is not None:
        return text, "utf-8"
    if b"\0" in data:
        raise FormatError(
            "holds NUL bytes and so is a binary file, not text; convert it to text, Markdown, HTML or PDF"
        )
    return _detect(data)


def _try(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeError:
        return None


# The encodings that a sender may name: those in which text is written, not Python's `rot13` or `unicode_escape`.
_CHARSET = re.compile(
    r"utf-(8|16|32)(-[lb]e)?|ascii|cp[0-9]{3,4}|iso8859-[0-9]+|koi8-[rut]|shift_jis|euc_(jp|kr)|gb2312|gbk|gb18030|big5"
)


def _codec_of(charset: str | None) -> str | None:
    try:
        name = codecs.lookup(charset).name if charset else ""
    except (LookupError, UnicodeError, ValueError):
        return None
    # What is called Latin-1 or ASCII is Windows-1252 everywhere on the web; the letters of all three are the same.
    if name in ("iso8859-1", "ascii"):
        return "cp1252"
    return name if _CHARSET.fullmatch(name) else None


def _detect(data: bytes) -> tuple[str, str]:
    """Decode text without a mark that is not UTF-8: Windows-1252, or another script that leaves no doubt."""
    western = None if _DAMAGED_UTF_8.search(data) else _try(data, "cp1252")
    if western is not None and _is_western(western):
        return western, "cp1252"
    codec = _other_script(data[:_BYTES_TO_DETECT])
    text = _try(data, codec) if codec else None
    if codec is None or text is None:
        raise FormatError("is not UTF-8, and its encoding cannot be told for certain; save it as UTF-8")
    return text, codec


# What a text in a western language has beside ASCII. The neighbours of Windows-1252 have other letters in the places
# of the rest: Polish, Czech or Turkish read as Windows-1252 shows a sign of money inside a word, or an Icelandic thorn.
_WESTERN_LETTERS = frozenset("àâäçèéêëîïôöùûüßñáíóúåæøœÀÂÄÇÈÉÊËÎÏÔÖÙÛÜÑÁÍÓÚÅÆØŒ")
_WESTERN_SIGNS = frozenset("’‘“”–—…•€£§©®°«»¿¡·™\u00a0½¼¾²³×ªº†‹›„‚")
_INSIDE_WORD = re.compile(r"[^\W\d_][“”•€£§©®°«»¿¡™½¼¾²³×ªº†‹›„‚…][^\W\d_]|[a-zß-ÿ][À-ÖØ-ÞŒ][a-zß-ÿ]")


# Characters of UTF-8, and halves of surrogate pairs, that Windows-1252 would show as western letters and signs: "â€™",
# "Â£", "á»‡", "ï»¿". A broken byte elsewhere does not make another encoding of the whole text.
_DAMAGED_UTF_8 = re.compile(
    rb"\xe2[\x80-\x82](?:[\x80-\xbf]|\Z)|\xc2[\xa0-\xbf]|\xe1[\xb8-\xbb][\x80-\xbf]|\xef\xbb\xbf"
    rb"|\xed[\xa0-\xbf][\x80-\xbf]"
)


def _is_western(text: str) -> bool:
    counts = {c: text.count(c) for c in set(text)}
    signs = {c for c in counts if c >= "\x80"}
    if not signs <= (_WESTERN_LETTERS | _WESTERN_SIGNS) or _INSIDE_WORD.search(text):
        return False
    letters = sum(count for c, count in counts.items() if c.isalpha())
    return sum(counts[c] for c in signs & _WESTERN_LETTERS) <= letters / 5


# How sure the detector must be: disorder at most and, where a letter is one byte, likeness to a language at least.
_MOST_CHAOS = 0.05
_RIVALS_WITHIN = 0.05
_LEAST_COHERENCE = 0.5
_LEAST_SIGNS = 40
_ONE_BYTE = {
    "cp1251": {"Russian", "Ukrainian", "Bulgarian", "Serbian"},
    "koi8_r": {"Russian"},
    "cp1253": {"Greek"},
    "cp1255": {"Hebrew"},
    "cp1256": {"Arabic", "Farsi"},
}
# The letters of which at least a fifth of the text's signs must be.
_MANY_BYTES = {
    "cp932": re.compile("[\u3040-\u30ff]"),
    "euc_jp": re.compile("[\u3040-\u30ff]"),
    "cp949": re.compile("[\uac00-\ud7a3]"),
    "gb18030": re.compile("[\u4e00-\u9fff]"),
    "big5": re.compile("[\u4e00-\u9fff]"),
}


def _other_script(data: bytes) -> str | None:
    """Return the codec of a text in another script than the Latin; None where it is not certain."""
    from charset_normalizer import from_bytes

    matches = list(from_bytes(data, cp_isolation=[*_ONE_BYTE, *_MANY_BYTES]))
    if not matches or matches[0].chaos > _MOST_CHAOS:
        return None
    best = matches[0]
    text = str(best)
    signs = [c for c in text if c >= "\x80"]
    if best.encoding in _ONE_BYTE:
        rivals = [m for m in matches[1:] if m.coherence > best.coherence - 0.1 and str(m) != text]
        sure = best.coherence >= _LEAST_COHERENCE and best.language in _ONE_BYTE[best.encoding]
        # A capital behind a small letter is another letter in the encoding that it was written in.
        sure = sure and not any(a.islower() and b.isupper() for a, b in pairwise(text))
    else:
        rivals = [m for m in matches[1:] if m.chaos < best.chaos + _RIVALS_WITHIN and str(m) != text]
        expected = _MANY_BYTES.get(best.encoding)
        sure = expected is not None and 5 * len(expected.findall(text)) >= len(signs)
    return best.encoding if sure and not rivals and len(signs) >= _LEAST_SIGNS else None
