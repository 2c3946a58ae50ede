"""Links that open an article at a sentence."""

from collections.abc import Iterator
from urllib.parse import quote

from index.articles import Article, Span

# Up to this length, in code points, a fragment holds the whole sentence; a longer one is named by its first and last
# words.
LONGEST_WHOLE = 200
EDGE_WORDS = 6
# How many neighbouring words may be taken in to tell a sentence from others of the same words.
MOST_CONTEXT = 24


def article_link(article: Article, span: Span, base_url: str, *, version: int | None = None) -> str:
    """Return the article's own URL with a fragment that marks the sentence at `span`, or its page on this server.

    version: the one that `span` is in; its page shows the newest if None.
    """
    if article.url:
        return f"{article.url.split('#', 1)[0]}#:~:text={text_fragment(article.text, span)}"
    which = f"&version={version}" if version else ""
    page = f"{base_url}/articles/{quote(article.id, safe='')}/view"
    return f"{page}?start={span.start}&end={span.end}{which}#cited"


def text_fragment(text: str, span: Span) -> str:
    """Return the directive `[prefix-,]start[,end][,-suffix]` (WICG Scroll to Text Fragment) for the text at `span`.

    A browser marks the first place that matches; words from around the sentence are added until that is this one.
    """
    # As browsers compare: one space for all white space, and the case of letters does not count.
    plain = " ".join(text.split())
    sentence = " ".join(span.of(text).split())
    begin = len(" ".join(text[: span.start].split()))
    begin += plain.startswith(" ", begin)
    end = begin + len(sentence)
    lowered = plain.lower() if len(plain.lower()) == len(plain) else plain
    for left, right in _widening(plain, begin, end):
        if lowered.find(lowered[left:right]) == left:
            first, last = _edges(lowered, sentence, begin)
            return _directive(plain[left:begin], first, last, plain[end:right])
    return _directive("", sentence, "", "")


def utf16_offset(text: str, offset: int) -> int:
    """Return how many UTF-16 units the first `offset` code points of `text` take."""
    if text.isascii():
        return min(offset, len(text))
    return len(text[:offset].encode("utf-16-le", "surrogatepass")) // 2


def _widening(plain: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the sentence's place in `plain`, then ever wider ones: a word more before it, then one more behind, too."""
    left, right = begin, end
    yield left, right
    for _ in range(MOST_CONTEXT):
        left = plain.rfind(" ", 0, max(left - 1, 0)) + 1
        yield left, right
        right = plain.find(" ", right + 1) if plain.find(" ", right + 1) >= 0 else len(plain)
        yield left, right


def _edges(lowered: str, sentence: str, begin: int) -> tuple[str, str]:
    """Return the sentence itself, or its first and last words where it is long and they stand for all of it."""
    words = sentence.split(" ")
    first, last = " ".join(words[:EDGE_WORDS]), " ".join(words[-EDGE_WORDS:])
    found = lowered.find(last.lower(), begin + len(first))
    if len(sentence) <= LONGEST_WHOLE or len(words) < 3 * EDGE_WORDS or found != begin + len(sentence) - len(last):
        return sentence, ""
    return first, last


def _directive(prefix: str, start: str, end: str, suffix: str) -> str:
    parts = [f"{_encode(prefix)}-" if prefix.strip() else "", _encode(start), _encode(end)]
    parts.append(f"-{_encode(suffix)}" if suffix.strip() else "")
    return ",".join(part for part in parts if part)


def _encode(words: str) -> str:
    # `-`, `,` and `&` have a meaning in the directive; quote() leaves the first alone.
    return quote(" ".join(words.split()), safe="").replace("-", "%2D")
