import datetime as dt
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import FormatError
from service import feeds
from service.feeds import Entry, is_feed, read_feed

URL = "https://news.example/feeds/all.xml"


def rss(*items: str, prolog: str = '<?xml version="1.0"?>') -> bytes:
    listed = "".join(f"<item>{item}</item>" for item in items)
    return f'{prolog}<rss version="2.0"><channel><title>News</title>{listed}</channel></rss>'.encode()


def atom(*entries: str, prolog: str = "") -> bytes:
    listed = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return f'{prolog}<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title>{listed}</feed>'.encode()


RDF = b"""<?xml version="1.0"?>
<!-- an old one --><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="/"><title>News</title></channel>
<item rdf:about="/a"><title>A</title><link>/a</link><dc:date>2024-05-06T07:08:09+02:00</dc:date></item></rdf:RDF>"""
PAGE = b"<!DOCTYPE html><html><head><title>rss feed</title></head><body><a href='/a'>A</a><item>x</item></body></html>"


def test_an_rss_feed_is_read() -> None:
    content = rss(
        "<title>One &amp;amp; &lt;i&gt;only&lt;/i&gt;</title><link>https://news.example/1</link>"
        "<pubDate>Mon, 01 Jan 2024 23:30:00 -0500</pubDate>",
        "<title><![CDATA[Two\n  lines]]></title><link>https://news.example/2?a=1&amp;b=2</link>",
        "<guid>https://news.example/3</guid>",
    )
    assert read_feed(content, url=URL) == [
        # The day is the one that its readers saw, not the one that it was in Greenwich.
        Entry("https://news.example/1", "One & only", dt.date(2024, 1, 1)),
        Entry("https://news.example/2?a=1&b=2", "Two lines"),
        Entry("https://news.example/3"),
    ]


def test_an_atom_feed_is_read() -> None:
    content = atom(
        '<title>x &lt; y</title><link rel="enclosure" href="/sound.mp3"/><link href="/1"/><id>tag:news.example,1</id>'
        "<published>2024-02-29T23:59:59-08:00</published><updated>2024-03-02T00:00:00Z</updated>",
        '<title type="html">&lt;b&gt;Bold&lt;/b&gt; &amp;amp; brave</title><id>urn:uuid:1</id>'
        '<link rel="alternate" type="text/plain" href="/2.txt"/><updated>2024-03-02T00:00:00Z</updated>',
    )
    assert read_feed(content, url=URL) == [
        Entry("https://news.example/1", "x < y", dt.date(2024, 2, 29)),
        Entry("https://news.example/2.txt", "Bold & brave", dt.date(2024, 3, 2)),
    ]


def test_a_feed_of_rss_1_is_read() -> None:
    assert read_feed(RDF, url=URL) == [Entry("https://news.example/a", "A", dt.date(2024, 5, 6))]


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("Sat, 6 Jul 2024 10:00:00 GMT", dt.date(2024, 7, 6)),
        ("2024-07-06", dt.date(2024, 7, 6)),
        ("20240706T101112Z", dt.date(2024, 7, 6)),  # only feedparser knows this form
        ("yesterday", None),
        ("Sat, 32 Jul 2024 10:00:00 GMT", None),
        ("", None),
    ],
)
def test_a_date_is_read_or_left_out(written: str, date: dt.date | None) -> None:
    content = rss(f"<link>https://news.example/1</link><pubDate>{written}</pubDate>")
    assert [entry.date for entry in read_feed(content, url=URL)] == [date]


def test_relative_links_are_resolved_against_the_feed_or_the_base_that_it_names() -> None:
    content = rss(*(f"<link>{link}</link>" for link in ("a", "/b", "//c.example/d", "?e")))
    assert [entry.url for entry in read_feed(content, url=URL)] == [
        "https://news.example/feeds/a",
        "https://news.example/b",
        "https://c.example/d",
        "https://news.example/feeds/all.xml?e",
    ]
    based = atom('<link href="a"/>').replace(b"<feed ", b'<feed xml:base="https://other.example/x/" ')
    assert [entry.url for entry in read_feed(based, url=URL)] == ["https://other.example/x/a"]


@pytest.mark.parametrize(
    "link",
    ["", "javascript:alert(1)", "file:///etc/passwd", "ftp://news.example/1", "mailto:a@b.example", "http://["],
)
def test_an_entry_without_a_link_that_can_be_fetched_is_left_out(link: str) -> None:
    assert read_feed(rss(f"<title>A</title><link>{link}</link>", "<link>/b</link>"), url=URL)[-1:] == [
        Entry("https://news.example/b")
    ]
    if link:
        # One that is empty leads to the feed itself.
        assert read_feed(atom(f'<title>A</title><link href="{link}"/>'), url=URL) == []


def test_what_is_listed_twice_is_returned_once() -> None:
    content = rss("<title>A</title><link>/a#top</link>", "<title>B</title><link>/b</link>", "<link>/a#end</link>")
    assert read_feed(content, url=URL) == [
        Entry("https://news.example/a", "A"),
        Entry("https://news.example/b", "B"),
    ]


def test_no_more_than_the_limit_are_returned_and_the_first_are() -> None:
    content = rss(*(f"<link>/{number}</link>" for number in range(120)))
    assert len(read_feed(content, url=URL)) == 100
    assert [entry.url for entry in read_feed(content, url=URL, limit=2)] == [
        "https://news.example/0",
        "https://news.example/1",
    ]


def test_a_feed_without_entries_is_a_feed() -> None:
    assert read_feed(rss(), url=URL) == []


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "iso-8859-1", "koi8-r"])
def test_a_feed_is_read_in_the_encoding_that_it_names(codec: str) -> None:
    title = "Новости" if codec == "koi8-r" else "Käse"
    name = codec.removesuffix("-sig")
    text = rss(f"<title>{title}</title><link>/1</link>", prolog=f'<?xml version="1.0" encoding="{name}"?>').decode()
    content = text.encode(codec)
    assert is_feed("application/xml", content)
    assert [entry.title for entry in read_feed(content, url=URL)] == [title]


def test_one_wrong_byte_or_tag_does_not_cost_the_rest() -> None:
    content = rss("<title>K\u00e4se</title><link>/1</link>", "<title>R&D &nbsp;</b></title><link>/2</link>")
    damaged = content.replace("ä".encode(), b"\xe4 \xff\x81")
    assert [entry.url for entry in read_feed(damaged, url=URL)] == ["https://news.example/1", "https://news.example/2"]


# What is a feed.


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("application/rss+xml; charset=utf-8", rss()),
        ("Application/Atom+XML", atom()),
        ("text/xml", rss()),
        ("text/html; charset=utf-8", rss(prolog="\n<?xml version='1.0'?>\n<?xml-stylesheet href='a'?><!-- <html> -->")),
        ("application/xml", atom(prolog='<!DOCTYPE feed SYSTEM "feed.dtd">\n')),
        ("", RDF),
        ("application/xml", b'<a:feed xmlns:a="http://www.w3.org/2005/Atom"/>'),
    ],
)
def test_a_feed_is_told_by_its_type_or_its_root(media_type: str, content: bytes) -> None:
    assert is_feed(media_type, content)


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("text/html", PAGE),
        ("text/plain", b"An article about <rss> and <feed>."),
        ("application/xml", b"<!-- <rss> --><urlset/>"),
        ("application/xml", b"<feedback/>"),
        ("application/rdf+xml", b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>'),
        ("application/pdf", b"%PDF-1.7"),
        ("", b""),
    ],
)
def test_what_is_no_feed_is_not_taken_for_one(media_type: str, content: bytes) -> None:
    assert not is_feed(media_type, content)


@pytest.mark.parametrize(
    "content", [PAGE, b"", b" ", b"\xff\xfe", b"Just text.", b"<urlset/>", b"%PDF-1.7 \0\0", b"{}"]
)
def test_what_is_no_feed_cannot_be_read_as_one(content: bytes) -> None:
    with pytest.raises(FormatError, match="no feed"):
        read_feed(content, url=URL)


@pytest.mark.parametrize("unit", [b" ", b"<?a?>", b"<!---->", b"<?", b"<!--", b"<!DOCTYPE a>", b"<!DOCTYPE "])
def test_telling_a_feed_takes_no_time_however_it_begins(unit: bytes) -> None:
    began = time.monotonic()
    assert not is_feed("", unit * 10_000)
    assert time.monotonic() - began < 1


# What wants to do harm.


def bomb(*, encoding: str = "utf-8", open_comment: str = "") -> bytes:
    """Return a billion laughs."""
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">\n' for n in range(1, 10))
    prolog = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE rss [\n{open_comment}<!ENTITY l0 "ha">\n{laughs}]>'
    return rss("<title>&l9;</title><link>/1</link>", prolog=prolog).decode().encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_an_entity_bomb_is_refused(encoding: str) -> None:
    with pytest.raises(FormatError, match="entities"):
        read_feed(bomb(encoding=encoding), url=URL)


def test_an_entity_bomb_in_an_encoding_that_only_python_reads_is_not_unfolded() -> None:
    content = bomb().replace(b'"utf-8"', b'"utf-7"').replace(b"<!ENTITY", b"+ADwAIQ-ENTITY")
    assert [entry.title for entry in read_feed(content, url=URL)] == ["&l9;"]


def test_an_entity_never_names_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    prolog = f'<!DOCTYPE rss [\n<!ENTITY file SYSTEM "{secret.as_uri()}">\n]>'
    with pytest.raises(FormatError, match="entities"):
        read_feed(rss("<title>&file;</title><link>/1</link>", prolog=prolog), url=URL)


def test_a_doctype_that_declares_nothing_is_read_over(tmp_path: Path) -> None:
    prolog = f'<!DOCTYPE rss PUBLIC "-//Netscape//DTD RSS 0.91//EN" "{(tmp_path / "missing.dtd").as_uri()}">'
    assert read_feed(rss("<link>/1</link>", prolog=prolog), url=URL) == [Entry("https://news.example/1")]


def test_what_names_a_file_or_an_address_is_not_opened(tmp_path: Path) -> None:
    feed = tmp_path / "feed.xml"
    feed.write_bytes(rss("<link>/1</link>"))
    for named in (str(feed), feed.as_uri(), "http://127.0.0.1:9/"):
        with pytest.raises(FormatError, match="no feed"):
            read_feed(named.encode(), url=URL)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (rss("<title>" + "a" * feeds.MAX_FEED_BYTES + "</title>"), "larger than"),
        (rss("<a/>" * feeds.MAX_TAGS), "too many tags"),
        (rss("<title>" + "&" * 2_000_000), "too many tags"),
        (rss("<a " + " ".join(f"b{n} = 'c'" for n in range(50_000)) + "/>"), "too many tags"),
        (rss("<a " + " ".join(f"b{n}='>'" for n in range(50_000)) + "/>"), "too many tags"),
        (rss("<title>&#xd800;</title>", "<b></a>"), "damaged"),
    ],
    ids=["size", "tags", "references", "attributes", "hidden attributes", "surrogate"],
)
def test_what_would_keep_the_parser_busy_or_trip_it_is_refused(content: bytes, why: str) -> None:
    began = time.monotonic()
    with pytest.raises(FormatError, match=why):
        read_feed(content, url=URL)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("element", ["author", "managingEditor", "pubDate", "title", "link", "guid", "category"])
def test_one_long_text_takes_no_time(element: str) -> None:
    began = time.monotonic()
    read_feed(rss(f"<{element}>{'a.' * 50_000}</{element}>"), url=URL)
    assert time.monotonic() - began < 2


PIECES = [
    "<item>",
    "</item>",
    "<link>",
    "</link>",
    "/a",
    "<title>",
    "</title>",
    "&amp;",
    "&",
    "&#x0;",
    "&#99999999999;",
]
PIECES += [
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<entry xml:base='",
    "'>",
    "<",
    ">",
    "http://[",
    "é",
    "\ud800",
    "\0",
    "]>",
]


@given(st.lists(st.sampled_from(PIECES)))
def test_whatever_a_feed_holds_is_read_or_refused(pieces: list[str]) -> None:
    content = b'<rss version="2.0"><channel>' + "".join(pieces).encode("utf-8", "surrogatepass")
    try:
        entries = read_feed(content, url=URL)
    except FormatError:
        return
    assert all(entry.url.startswith(("http://", "https://")) and "#" not in entry.url for entry in entries)
    assert len({entry.url for entry in entries}) == len(entries)
