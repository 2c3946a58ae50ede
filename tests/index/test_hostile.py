"""Hostile files: each is answered in bounded time and memory, with an article or with an error that says why not."""

import gc
import io
import json
import logging
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.articles import Article
from index.errors import FormatError
from index.formats import read_articles
from index.isolation import Isolated
from index.splitting import MOST_SENTENCES, sentences_at_most, split_sentences

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits are those of POSIX")

SECONDS, MEGABYTES = 8, 300
# Beside the limit itself: a child's start, and a machine that has other things to do.
MORE_SECONDS = 6
TOO_MUCH = ("took longer than", "made its reader fail", "needs more than")


@pytest.fixture(scope="module")
def isolated() -> Iterator[Isolated]:
    with Isolated() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("quoteline"), "disabled", True)


def read(
    isolated: Isolated, content: bytes, name: str, media_type: str | None = None, *, seconds: float = SECONDS
) -> list[Article | FormatError]:
    """Read what a file of this content holds; check how long that took, and where the sentences lie."""
    start = time.monotonic()
    found = isolated.read(content, name=name, media_type=media_type, seconds=seconds, megabytes=MEGABYTES)
    assert time.monotonic() - start < seconds + MORE_SECONDS
    for each in found:
        if isinstance(each, Article):
            check_sentences(each)
        else:
            assert str(each).startswith(name)
            assert str(each).isprintable()
    return found


def check_sentences(article: Article) -> None:
    spans = split_sentences(article.text, article.body)
    assert len(spans) <= sentences_at_most(article.text)
    assert all(article.body.covers(span) for span in spans)
    assert all(first.end <= second.start for first, second in pairwise(spans))
    article.text.encode()  # It can be stored and sent.
    assert "\0" not in article.text


def article(found: Sequence[Article | FormatError]) -> Article:
    [only] = found
    assert isinstance(only, Article), only
    return only


def refusal(found: Sequence[Article | FormatError]) -> str:
    [only] = found
    assert isinstance(only, FormatError), only
    return str(only)


def outcome(found: Sequence[Article | FormatError]) -> str:
    """Return the one article's text, or the one error's."""
    [only] = found
    return only.text if isinstance(only, Article) else str(only)


# Text

STOP = "The minister said so on Friday. "
LONG_TEXTS = {
    "one line": STOP * 10_000,
    "no sentence ends": "word " * 66_666,
    "one letter": "a" * 333_333,
    "line breaks": "a" + "\n" * 66_666 + "b",
    "carriage returns": "a" + "\r" * 66_666 + "b",
    "short lines": "a\n" * 33_333,
    "form feeds": "a\f" * 33_333,
    "nothing but terminals": "a" + ".!?" * 25_000,
    "nothing but punctuation": "()-,'\"/" * 33_333 + "a",
    "spaced full stops": "a" + " ." * 66_666,
    "spaces": "a" + " " * 333_333 + "b",
    "quotation marks": "a." + "\"'”" * 66_666 + " b",
    "brackets": "a." + "[1]" * 66_666 + " B",
    "bullets": "• " * 33_333 + "a",
    "hyphens": "-" * 166_666 + " a",
    "quoted e-mail": "> " * 83_333 + "a",
    "numbered items": " ".join(f"{n}. a" for n in range(1, 8_000)),
    "items in brackets": (" ".join(f"{n}) a" for n in range(1, 1_000)) + "\n") * 30,
    "lettered items": "a) b " * 16_666,
    "right to left and back": "\u202e\u200f\u2067abc\u2069. " * 10_000,
    "zero width": "a\u200b\ufeff" * 66_666,
    "joiners": "a\u200d" * 66_666,
    "marks on one letter": "a" + "\u0301" * 83_333,
    "flags and skins": "👍🏽🇺🇦" * 33_333,
    "abbreviations": "Mr. " * 33_333,
    "initials": "J. R. R. " * 13_333,
    "ideographic stops": "あ。" * 33_333,
    "colons and smileys": "a :) " * 16_666,
    "table": "a | b | c | d\n" * 8_333,
    "tabs": "a\t" * 66_666 + "b",
    "headings": "# a\n" * 16_666,
    "wrapped": (STOP * 2 + "\n") * 5_000,
}


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS)
def test_a_long_text_is_read_whole(isolated: Isolated, text: str) -> None:
    assert article(read(isolated, text.encode(), "a.txt")).text == text
    assert article(read(isolated, text.encode(), "a.md")).text == text


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS)
def test_splitting_takes_time_in_proportion_to_the_text(text: str) -> None:
    half = text[: len(text) // 2] + text[-1]
    long, short = least_seconds(split_sentences, text, half)
    assert long < max(3 * short, 0.03)


def test_long_lists_in_a_line_cost_no_more_than_short_ones() -> None:
    def lists(items: int) -> str:
        return (" ".join(f"{n}) a" for n in range(1, items)) + "\n") * (18_000 // items)

    long, short = least_seconds(split_sentences, lists(900), lists(300))
    assert long < 3 * short


def least_seconds(work: Callable[[str], object], *texts: str) -> list[float]:
    """Return how long the processor worked on each, which is as fast for the one as for the other at its best."""
    seconds: list[list[float]] = [[] for _ in texts]
    # Its passes over all that lives would count as work.
    gc.disable()
    try:
        # In turns: a shared machine may be half as fast for a while.
        for _ in range(5):
            for text, own in zip(texts, seconds, strict=True):
                start = time.thread_time()
                work(text)
                own.append(time.thread_time() - start)
    finally:
        gc.enable()
    return [min(own) for own in seconds]


HEADS = {
    "blank lines": lambda n: "\n" * n + "title: x\n",
    "label and spaces": lambda n: "title:" + " " * n + "x\n\nIt ends.",
    "a label's word and spaces": lambda n: "date" + " " * n + "\n\nIt ends.",
    "date and spaces": lambda n: "2022-10-28" + " " * n + "x\n\nIt ends.",
    "half a date and spaces": lambda n: "28" + " " * n + "x\n\nIt ends.",
    "byline of words": lambda n: "date 2022-10-28\nby " + "a " * n + "\n\nIt ends.",
    "byline of spaces": lambda n: "date 2022-10-28\nby A" + " " * n + "\n\nIt ends.",
    "dates and bars": lambda n: "date 2022-10-28" + " " * n + "|" + " " * n + "last" + " " * n + "x\n\nIt ends.",
    "language of hyphens": lambda n: "language: " + "a-" * n + "\n\nIt ends.",
    "address": lambda n: "url: http://" + "a" * n + "\n\nIt ends.",
    "any label": lambda n: "title: x\n" + "a-" * n + "\n\nIt ends.",
    "full stops below a title": lambda n: "T\n\n" + "." * n + "x",
    "quotes below a title": lambda n: "T\n\n" + ("." + ")" * 1000) * (n // 1000) + "x",
    "spaces below a title": lambda n: "T\n\n" + ("." + " " * 10_000) * (n // 10_000) + "x",
    "heading of spaces": lambda n: "# " + "a " * 200 + " " * n + "x\nIt ends.",
    "heading of signs": lambda n: "# a" + " #" * n + "\nIt ends.",
    "underlined": lambda n: "title\n" + "=" * n + "x",
}


@pytest.mark.parametrize("build", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("name", ["a.txt", "a.md"])
def test_reading_a_head_takes_time_in_proportion_to_the_text(name: str, build: Callable[[int], str]) -> None:
    def read_text(text: str) -> object:
        return list(read_articles(io.BytesIO(text.encode()), name=name))

    long, short = least_seconds(read_text, build(200_000), build(100_000))
    assert long < max(3 * short, 0.03)


def test_no_text_has_more_sentences_than_are_split_in_seconds(isolated: Isolated) -> None:
    said = f"holds more than {MOST_SENTENCES} line breaks and punctuation marks; split it"
    text = "a\n" * (MOST_SENTENCES + 1)
    assert said in refusal(read(isolated, text.encode(), "a.txt"))
    assert said in refusal(read(isolated, text.encode(), "a.md"))
    record = json.dumps({"text": text}).encode()
    assert f"a.jsonl, line 1: the record's text {said}" in refusal(read(isolated, record, "a.jsonl"))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.lists(st.sampled_from([*"aB1。.!?)あ \n\r\f\x85\u2028", "; ", " :D A", " • a"]), min_size=1, max_size=4).map(
        "".join
    ),
    st.integers(1, 2_000),
)
def test_the_number_of_sentences_is_never_above_its_bound(unit: str, times: int) -> None:
    assert len(split_sentences(unit * times)) <= sentences_at_most(unit * times)


@pytest.mark.parametrize("unit", ["a\n", "Ab. Cd! ", "word ", "a, "])
def test_memory_is_in_proportion_to_the_text(unit: str) -> None:
    content = (unit * 60_000)[:60_000].encode()
    tracemalloc.start()
    try:
        [found] = read_articles(io.BytesIO(content), name="a.txt")
        assert isinstance(found, Article)
        read_peak = tracemalloc.get_traced_memory()[1]
        split_sentences(found.text, found.body)
        split_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read_peak < 10 * len(content)
    # A line and a span of two characters are some hundred bytes each.
    assert split_peak < 250 * len(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"It\0 ends.", "a.txt holds NUL bytes"),
        (b"\xff\xfe" + "It ends. \U0001f600".encode("utf-16-le"), "\ufeffIt ends. \U0001f600".removeprefix("\ufeff")),
        (b"\xfe\xff" + "It ends.".encode("utf-16-be"), "It ends."),
        (b"\xff\xfe\0\0" + "It ends.".encode("utf-32-le"), "It ends."),
        ("It ends.".encode("utf-16-le"), "a.txt holds NUL bytes"),
        ("It ends.".encode("utf-32-be"), "a.txt holds NUL bytes"),
        (b"\xff\xfeI", "a.txt begins with the mark of UTF-16 but is not; save it as UTF-8"),
        (b"\xff\xfe\0\0\0\0\x11\0", "a.txt begins with the mark of UTF-32 but is not; save it as UTF-8"),
        (b"\xff\xfe\0\xd8a\0", "a.txt begins with the mark of UTF-16 but is not; save it as UTF-8"),
        (b"\xff\xfe\0\0" * 2, "a.txt holds nothing but white space"),
        ("It’s ".encode() + b"over\xe2", "a.txt is not UTF-8, and its encoding cannot be told"),
        ("£5 in ".encode() + b"Gr\xf6\xdfe", "a.txt is not UTF-8, and its encoding cannot be told"),
        (b"+ADw-script+AD4- It ends.", "+ADw-script+AD4- It ends."),
        (b"It ends \xed\xa0\x80.", "a.txt is not UTF-8, and its encoding cannot be told for certain; save it as UTF-8"),
        (b"It ends \xe2\x82", "a.txt is not UTF-8, and its encoding cannot be told for certain; save it as UTF-8"),
        (b"It \xc0\xaf ends.", "a.txt is not UTF-8, and its encoding cannot be told for certain; save it as UTF-8"),
        ("Größe, ".encode() + "Größe.".encode("cp1252"), "a.txt is not UTF-8, and its encoding cannot be told"),
        (b'\x1b$B$"\x1b(B', '\x1b$B$"\x1b(B'),
        ("\u202eends It\u202c.".encode(), "\u202eends It\u202c."),
        ("\u200b\u2060\ufeff".encode(), "a.txt holds nothing but white space; there is nothing to quote in it"),
        (b"...!!!", "...!!!"),
    ],
)
def test_a_text_in_a_strange_encoding_is_read_as_it_is_or_refused(
    isolated: Isolated, content: bytes, expected: str
) -> None:
    assert outcome(read(isolated, content, "a.txt")).removeprefix("\ufeff").startswith(expected)


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "idna", "punycode", "zlib", "hex", "a" * 100_000, "\0"])
def test_a_charset_that_is_a_trap_is_passed_over(isolated: Isolated, charset: str) -> None:
    assert article(read(isolated, b"+ADw- It ends.", "a.txt", f"text/plain; charset={charset}")).text.startswith(
        "+ADw-"
    )


def test_a_media_type_of_many_parameters_is_read_quickly(isolated: Isolated) -> None:
    assert article(read(isolated, b"It ends.", "a", "text/plain; " + 'charset="x";' * 50_000)).text == "It ends."


@pytest.mark.parametrize("begin", [b"<?xml" + b" " * 4_000, b"<?xml>" + b"\n" * 4_000, b"---" + b" " * 4_000, b'{"'])
def test_the_kind_of_a_file_is_told_quickly(isolated: Isolated, begin: bytes) -> None:
    read(isolated, begin + b"x" * 500_000, "a")


# Front matter

ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)
)
FRONT_MATTER = {
    "a billion laughs": (ALIASES + "author: *a29", None),
    "a list of one list": (f"a: &a [{','.join('x' * 10_000)}]\nauthor: [{','.join(['*a'] * 3_000)}]", None),
    "a list that holds itself": ("a: &a [*a]\nauthor: *a", "line 2"),
    "opened and not closed": ("a: " + "[" * 20_000, "line 2"),
    "nested lists": ("a: " + "[" * 10_000 + "]" * 10_000, "line 2"),
    "nested mappings": ("a: " + "{a: " * 8_000 + "}" * 8_000, "line 2"),
    "nested keys": ("? " * 20_000, "line 2"),
    "nested items": ("- " * 20_000, "line 2"),
    "many keys": ("".join(f"k{n}: v\n" for n in range(5_000)), None),
    "many tags": ("a: " + "!a " * 10_000, "line 2"),
    "an object": ("a: !!python/object/apply:os.system [exit]", None),
    "spaces": ("a: a" + " " * 50_000, None),
    "huge numbers": ("title: " + "9" * 50_000 + "\ndate: 9999-99-99", None),
    "dates that are none": ("date: 2022-02-30\npublished: .nan", None),
    "half a pair": ('title: "\\ud800"', "its title holds half of a surrogate pair"),
    "NUL": ('title: "a\\0b"', "its title holds a NUL character"),
}


@pytest.mark.parametrize(("matter", "said"), FRONT_MATTER.values(), ids=FRONT_MATTER)
def test_front_matter_that_is_a_trap_is_read_over_or_refused(isolated: Isolated, matter: str, said: str | None) -> None:
    found = read(isolated, f"---\n{matter}\n---\nIt ends.".encode(), "a.md")
    if said is not None:
        assert said in refusal(found)
    else:
        assert article(found).body.of(article(found).text) == "It ends."
        assert article(found).date is None
        assert article(found).author is None


# JSON Lines


def record(**fields: object) -> bytes:
    return json.dumps({"text": "It ends.", **fields}).encode()


NO_JSON = "the line is not JSON; write one JSON object per line"
RECORDS = {
    "nested lists": (b'{"text":"It ends.","x":' + b"[" * 500_000 + b"]" * 500_000 + b"}", NO_JSON),
    "nested objects": (b'{"x":' * 300_000 + b"1" + b"}" * 300_000, NO_JSON),
    "never closed": (b'{"text":"' + b"a" * 1_000_000, NO_JSON),
    "a huge number": (b'{"text":"It ends.","x":' + b"9" * 1_000_000 + b"}", NO_JSON),
    "a huge id": (b'{"_id":' + b"9" * 4_000 + b',"text":"It ends."}', "the record's id cannot be used"),
    "a huge fraction": (b'{"text":"It ends.","x":' + b"9" * 1_000_000 + b".0}", None),
    "a huge exponent": (b'{"text":"It ends.","x":1e999999999,"y":-1E-999999999}', None),
    "no numbers": (b'{"text":"It ends.","title":NaN,"date":Infinity,"author":-Infinity}', None),
    "an id that is no number": (b'{"_id":NaN,"text":"It ends."}', "the record's id cannot be used"),
    "half a pair in the text": (b'{"text":"\\ud800 ends."}', "half of a surrogate pair (U+D800)"),
    "half a pair in the id": (b'{"_id":"\\udfff","text":"It ends."}', "the record's id cannot be used"),
    "half a pair in the title": (b'{"title":"\\udfff","text":"It ends."}', "half of a surrogate pair (U+DFFF)"),
    "half a pair in a key, twice": (b'{"\\udfff":1,"\\udfff":1,"text":"It ends."}', 'has the key "\\udfff" twice'),
    "surrogates as bytes": (b'{"text":"\xed\xa0\x80 ends."}', "the line is not UTF-8"),
    "NUL in the text": (b'{"text":"It\\u0000ends."}', "holds a NUL character; remove it"),
    "a NUL byte": (b'{"text":"It\0ends."}', "is UTF-16 or binary"),
    "UTF-16": ('{"text":"It ends."}'.encode("utf-16"), "is UTF-16 or binary"),
    "many keys": (b'{"text":"It ends.",' + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}", None),
    "a key of spaces": (b'{"text":"It ends.","' + b" " * 1_000_000 + b'":1}', None),
    "dates that are none": (record(date="9999-99-99", published="0000-00-00"), None),
    "a date and spaces": (record(date="2022-10-28" + " " * 1_000_000 + "x"), None),
    "a number for a date": (record(date=99999999999999999999), None),
    "an address that is a script": (record(url="javascript:alert(1)", link="data:text/html,x"), None),
    "a title that is a terminal's": (record(title="\x1b[2J\u202e"), None),
    "a duplicate": (b'{"text":"It ends.","text":"It does not."}', "twice"),
}


@pytest.mark.parametrize(("line", "said"), RECORDS.values(), ids=RECORDS)
def test_a_record_that_is_a_trap_is_read_or_refused(isolated: Isolated, line: bytes, said: str | None) -> None:
    found = read(isolated, line, "a.jsonl")
    if said is not None:
        assert said in refusal(found)
    else:
        assert article(found).text == "It ends."
        assert (article(found).date, article(found).url) == (None, None)
        assert (article(found).title or "").isprintable()


def test_a_long_line_is_one_record(isolated: Isolated) -> None:
    text = STOP * 60_000
    assert article(read(isolated, json.dumps({"text": text}).encode(), "a.jsonl")).text == text


def test_many_bad_lines_are_told_one_by_one_and_none_is_kept() -> None:
    content = io.BytesIO(b"{\n" * 20_000)
    tracemalloc.start()
    try:
        assert sum(isinstance(found, FormatError) for found in read_articles(content, name="a.jsonl")) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"\n", b" \r\n\t\n\n", b"\n" * 300_000, b"\xef\xbb\xbf\n"])
def test_a_file_of_blank_lines_is_empty(isolated: Isolated, content: bytes) -> None:
    assert refusal(read(isolated, content, "a.jsonl")) == "a.jsonl is empty; write one JSON object per line"


# HTML

STORY = "<p>The minister said on Friday that nothing would change. It ends.</p>"


def page(body: str, head: str = "") -> bytes:
    return f"<!doctype html><html><head>{head}</head><body><article><h1>T</h1>{body}</article></body></html>".encode()


PAGES = {
    "nested deeply": (page("<div>" * 100_000 + STORY), "is nested too deeply"),
    "nested deeply in bold": (page("<b>" * 100_000 + STORY), "is nested too deeply"),
    "nested tables": (page("<table><tr><td>" * 150 + STORY), None),
    "many attributes": (page("<p " + " ".join(f"a{n}=1" for n in range(200_000)) + f">x</p>{STORY}"), TOO_MUCH),
    "a long attribute": (page(f'<p title="{"x" * 5_000_000}">x</p>{STORY}'), None),
    "a million of <": (page("<" * 1_000_000 + STORY), None),
    "comments never closed": (page("<!--" * 100_000 + STORY), "holds no article"),
    "many comments": (page("<!-- x -->" * 100_000 + STORY), None),
    "entities": (page("&amp;" * 300_000 + STORY), None),
    "entities that are none": (page("&x" * 300_000 + STORY), None),
    "characters that are none": (page("&#0;&#xd800;&#x110000;&#99999999999;" * 10_000 + STORY), None),
    "entities that hold entities": (
        b'<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>' + page(STORY + "<p>&b;</p>"),
        None,
    ),
    "an entity that is a file": (
        b'<!DOCTYPE html [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + page(STORY + "<p>&a;</p>"),
        None,
    ),
    "too many elements": (page("<br>" * 110_000 + STORY), "has more than 100000 elements"),
    "many elements in one paragraph": (page("<p>" + "<b>Hi there.</b> " * 90_000 + "</p>"), TOO_MUCH),
    "JSON in JSON": (page(STORY, f'<script type="application/ld+json">{"[" * 20_000}</script>'), None),
    "many dates": (page(STORY + "".join(f"<p>2022-01-{n % 28 + 1:02}</p>" for n in range(5_000))), None),
    "digits": (page(f"{STORY}<p>{'3/4/' * 300_000}</p>", '<meta name="date" content="2022-03-04">'), None),
    "declarations": (b"<?xml" * 100_000 + page(STORY), None),
    "spaces before a declaration": (b" " * 500_000 + b"<?xml" + page(STORY), None),
    "a charset that is none": (b"\xff" + b"<meta " * 100_000 + page(STORY), "its encoding cannot be told"),
    "a long title": (page(STORY, f"<title>{'x | ' * 200_000}</title>"), None),
    "many authors": (page(STORY, f'<meta name="author" content="{"John Doe and " * 30_000}">'), None),
    "NUL": (page(STORY.replace(" ", "\0")), "holds NUL bytes"),
    "two encodings": (page(STORY) + b"\xff\xfe\xe2", "its encoding cannot be told"),
}


@pytest.mark.parametrize(("content", "said"), PAGES.values(), ids=PAGES)
def test_a_page_that_is_a_trap_is_read_or_refused(
    isolated: Isolated, content: bytes, said: str | tuple[str, ...] | None
) -> None:
    found = read(isolated, content, "a.html", seconds=1 if said is TOO_MUCH else SECONDS)
    if isinstance(said, tuple):
        assert any(each in refusal(found) for each in said)
    elif said is not None:
        assert said in refusal(found)
    else:
        assert "The minister said on Friday that nothing would change. It ends." in article(found).text
        assert "root:" not in article(found).text


def test_a_page_cannot_say_that_it_is_a_script_or_stands_elsewhere(isolated: Isolated) -> None:
    head = """<base href="javascript:alert(1)//"><meta http-equiv="refresh" content="0;url=http://169.254.169.254/">
    <link rel="canonical" href="javascript:alert(1)"><meta property="og:url" content="data:text/html,x">"""
    found = article(read(isolated, page(STORY * 3, head), "a.html"))
    assert found.url is None
    assert "It ends." in found.text


# PDF


def assemble(objects: Sequence[bytes]) -> bytes:
    out, starts = bytearray(b"%PDF-1.7\n"), []
    for number, content in enumerate(objects, 1):
        starts.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    return bytes(out) + (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
        % (len(starts) + 1, table, len(starts) + 1, len(out))
    )


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%b>>\nstream\n%b\nendstream" % (len(content), entries, content)


SHOWN = b"BT /F1 12 Tf 20 700 Td (It ends here.) Tj ET "


def pdf(content: bytes = SHOWN, entries: bytes = b"", *, pages: int = 1, catalog: bytes = b"") -> bytes:
    kids = b" ".join(b"%d 0 R" % (5 + n) for n in range(pages))
    of_page = b"/MediaBox[0 0 600 800]/Resources<</Font<</F1 3 0 R>>/XObject<</X 4 0 R>>>>/Contents 4 0 R"
    return assemble(
        [
            b"<</Type/Catalog/Pages 2 0 R%b>>" % catalog,
            b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, pages),
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
            stream(content, entries),
            *[b"<</Type/Page/Parent 2 0 R%b>>" % of_page] * pages,
        ]
    )


def bomb(size: int, unit: bytes = b" " * 1_000_000) -> bytes:
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(unit) for _ in range(size // len(unit))) + packer.flush()


def objects_in_stream() -> bytes:
    """A PDF whose objects lie in a stream of objects that inflates to 350 MB."""
    packed = zlib.compress(b"2 0 <</Type/Pages/Kids[]/Count 0>>" + b" " * 350_000_000, 1)
    rows = bytes([1, 0, 9, 0, 2, 0, 3, 0, 1])
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"null",
        stream(packed, b"/Type/ObjStm/N 1/First 4/Filter/FlateDecode"),
    ]
    start = len(assemble(objects).split(b"xref")[0])
    table = stream(rows, b"/Type/XRef/Size 4/Index[1 3]/W[1 1 1]/Root 1 0 R")
    return assemble(objects).split(b"xref")[0] + b"4 0 obj\n%b\nendobj\nstartxref\n%d\n%%%%EOF" % (table, start)


FORM = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 4 0 R>>>>"
DAMAGED = "is cut short or damaged; fetch the PDF again"
LOOP = pdf().replace(b"trailer\n<<", b"trailer\n<</Prev %d" % pdf().rindex(b"xref\n0"))
SHOWS = ("It ends here.",)
PDFS: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "inflates to 400 MB": (lambda: pdf(bomb(400_000_000), b"/Filter/FlateDecode"), TOO_MUCH),
    "inflates twice": (
        lambda: pdf(zlib.compress(bomb(400_000_000), 9), b"/Filter[/FlateDecode/FlateDecode]"),
        TOO_MUCH,
    ),
    "many filters": (
        lambda: pdf(b"2" * 1_000_000 + b">", b"/Filter[" + b"/AHx" * 20 + b"]"),
        (DAMAGED, "without text"),
    ),
    "ten thousand filters": (lambda: pdf(SHOWN, b"/Filter[" + b"/FlateDecode" * 10_000 + b"]"), SHOWS),
    "objects that inflate": (objects_in_stream, (*TOO_MUCH, DAMAGED, "without text")),
    "a loop of tables": (lambda: LOOP, SHOWS),
    "a loop of pages": (lambda: pdf().replace(b"/Kids[5 0 R]", b"/Kids[2 0 R]"), (DAMAGED,)),
    "a count that lies": (lambda: pdf().replace(b"/Count 1", b"/Count 2000000000"), SHOWS),
    "a count below nothing": (lambda: pdf().replace(b"/Count 1", b"/Count -9"), SHOWS),
    "a length that lies": (lambda: pdf().replace(b"<</Length ", b"<</Length 99999"), SHOWS),
    "many pages": (lambda: pdf(pages=3_000), SHOWS),
    "more pages than can be read in time": (lambda: pdf(pages=100_000), (*TOO_MUCH, *SHOWS)),
    "a page that draws itself": (lambda: pdf(b"/X Do /X Do", FORM), TOO_MUCH),
    "nested lists": (lambda: pdf(catalog=b"/A" + b"[" * 300_000 + b"]" * 300_000), SHOWS),
    "nested dictionaries": (lambda: pdf(catalog=b"/A" + b"<</A" * 100_000 + b" 1" + b">>" * 100_000), SHOWS),
    "much text in one place": (lambda: pdf(SHOWN * 20_000), SHOWS),
    "much text": (lambda: pdf(bomb(200_000_000, b"(It ends here.) Tj " * 20_000), b"/Filter/FlateDecode"), TOO_MUCH),
    "a huge page": (lambda: pdf().replace(b"600 800", b"1e38 1e38"), SHOWS),
    "no page": (lambda: pdf(pages=0), ("without text", DAMAGED)),
}


@pytest.mark.parametrize(("build", "expected"), PDFS.values(), ids=PDFS)
def test_a_pdf_that_is_a_trap_is_read_or_refused(
    isolated: Isolated, build: Callable[[], bytes], expected: tuple[str, ...]
) -> None:
    seconds = 1 if TOO_MUCH[0] in expected else SECONDS
    said = outcome(read(isolated, build(), "a.pdf", seconds=seconds))
    assert any(each in said for each in expected), said[:300]


# What chance makes of good files

GOOD = {
    "a.txt": b'Title: T\nDate: 2022-10-28\nBy Jane Doe\n\nKYIV (AP) \xe2\x80\x94 It ends. "No!" he said.\n1. a 2. b',
    "a.md": b"---\ntitle: T\ntags: [a, &b c, *b]\ndate: 2022-10-28\n---\n# H\n\nIt *ends*. It does.\n\n- a\n- b\n",
    "a.jsonl": b'{"_id": "1", "title": "T", "text": "It \\u00e9\\ud83d\\ude00.", "metadata": {"date": "2022-10-28"}}\n'
    * 2,
    "a.html": page(STORY * 3, '<meta charset="utf-8"><title>T</title><meta name="date" content="2022-10-28">'),
    "a.pdf": pdf(zlib.compress(SHOWN), b"/Filter/FlateDecode", pages=2),
    "b.pdf": pdf(),
}
PIECES = [
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\n",
    b"<",
    b">>",
    b"[" * 50,
    b"]",
    b'"',
    b"-->",
    b"obj",
    b"999999999999",
    b"&#x;",
]


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, bytes]:
    name = draw(st.sampled_from(sorted(GOOD)))
    content = bytearray(GOOD[name])
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=4) | st.just(bytes(content[start:end]) * 2))
        content[start:end] = piece
    return name, bytes(content)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(spoilt())
def test_a_spoilt_file_is_read_or_refused(isolated: Isolated, case: tuple[str, bytes]) -> None:
    name, content = case
    for found in read(isolated, content, name):
        assert "made its reader fail" not in str(found)


def test_the_files_that_are_spoilt_are_good(isolated: Isolated) -> None:
    for name, content in GOOD.items():
        assert all(isinstance(found, Article) for found in read(isolated, content, name))
