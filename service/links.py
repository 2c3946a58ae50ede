"""Links that open an article at a sentence."""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from index.articles import Article, Span

# Up to this length, in code points, a fragment holds the whole sentence; a longer one is named by its first and last
# words.
LONGEST_WHOLE = 200
EDGE_WORDS = 6
# How many neighbouring words may be taken in to tell a sentence from others of the same words.
MOST_CONTEXT = 24
# Where those words are looked for, in code points on either side.
REACH = 1000


def article_link(article: Article, span: Span, base_url: str) -> str:
    """Return the article's own URL, or its text on this server, with a fragment that marks the sentence at `span`."""
    page = (article.url or f"{base_url}/articles/{quote(article.id, safe='')}/text").split("#", 1)[0]
    return f"{page}#:~:text={text_fragment(article.text, span)}"


def text_fragment(text: str, span: Span) -> str:
    """Return the directive `[prefix-,]start[,end][,-suffix]` (WICG Scroll to Text Fragment) for the text at `span`.

    A browser marks the first place that matches; words from around the sentence are added until that is this one.
    """
    before = text[max(span.start - REACH, 0) : span.start].split()
    after = text[span.end : span.end + REACH].split()
    start, end = _edges(span.of(text))
    for prefix, suffix in _contexts(before, after):
        if _first_match(text, prefix, start, end, suffix) == span.start:
            return _directive(prefix, start, end, suffix)
    return _directive("", start, end, "")


def utf16_offset(text: str, offset: int) -> int:
    """Return how many UTF-16 units the first `offset` code points of `text` take."""
    return len(text[:offset].encode("utf-16-le", "surrogatepass")) // 2


def _edges(sentence: str) -> tuple[str, str]:
    """Return the sentence itself, or its first and last words where it is long."""
    words = sentence.split()
    if len(sentence) <= LONGEST_WHOLE or len(words) < 3 * EDGE_WORDS:
        return sentence, ""
    return " ".join(words[:EDGE_WORDS]), " ".join(words[-EDGE_WORDS:])


def _contexts(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield ever more of the words around the sentence as prefix and suffix, none at first."""
    yield "", ""
    for count in range(1, MOST_CONTEXT + 1):
        prefix, suffix = " ".join(before[-count:]), " ".join(after[:count])
        yield prefix, ""
        yield prefix, suffix


def _first_match(text: str, prefix: str, start: str, end: str, suffix: str) -> int:
    """Return where a browser would first match, or -1; letter case and the kind of white space do not count."""
    parts = [_pattern(prefix), f"(?P<start>{_pattern(start)})"]
    if end:
        parts.append(f".*?{_pattern(end)}")
    parts.append(_pattern(suffix))
    match = re.search(r"\s*".join(part for part in parts if part), text, re.IGNORECASE | re.DOTALL)
    return match.start("start") if match else -1


def _pattern(words: str) -> str:
    return r"\s+".join(re.escape(word) for word in words.split())


def _directive(prefix: str, start: str, end: str, suffix: str) -> str:
    parts = [f"{_encode(prefix)}-" if prefix.strip() else "", _encode(start), _encode(end)]
    parts.append(f"-{_encode(suffix)}" if suffix.strip() else "")
    return ",".join(part for part in parts if part)


def _encode(words: str) -> str:
    # `-`, `,` and `&` have a meaning in the directive; quote() leaves the first alone.
    return quote(" ".join(words.split()), safe="").replace("-", "%2D")
