import codecs
import datetime as dt
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index import formats
from index.articles import Article, Span
from index.errors import FormatError
from index.formats import MEDIA_TYPES, article_id, read_articles

SEEDS = Path(__file__).parents[2] / "seeds"
TYPES = sorted(set(MEDIA_TYPES.values()))


def read(data: bytes, name: str, media_type: str | None = None) -> list[Article | FormatError]:
    return list(read_articles(io.BytesIO(data), name=name, media_type=media_type, path="/a/" + name))


def one(data: bytes | str, name: str, media_type: str | None = None) -> Article:
    [article] = read(data.encode() if isinstance(data, str) else data, name, media_type)
    assert isinstance(article, Article), article
    return article


def refusal(data: bytes | str, name: str, media_type: str | None = None) -> str:
    [error] = read(data.encode() if isinstance(data, str) else data, name, media_type)
    assert isinstance(error, FormatError), error
    assert str(error).startswith(name)
    return str(error)


# Plain text


def test_the_first_seed_has_a_title_no_date_and_loses_nothing() -> None:
    path = SEEDS / "000_37d8f9fddf4df80c.txt"
    article = one(path.read_bytes(), path.name)
    assert article.id == "000_37d8f9fddf4df80c"
    assert article.title == "Ukraine to Iran: Stop sending weapons to Russia"
    assert article.date is None
    assert article.body == Span(0, len(article.text))
    assert article.text == path.read_bytes().decode()
    assert article.path == "/a/" + path.name
    assert article.media_type == "text/plain"


def test_the_second_seed_has_a_date_no_title_and_a_body_behind_its_head() -> None:
    path = SEEDS / "001_f9805e720cab0587.txt"
    article = one(path.read_bytes(), path.name)
    assert (article.id, article.title, article.date) == ("001_f9805e720cab0587", None, dt.date(2022, 10, 28))
    assert article.text == path.read_bytes().decode()
    assert article.body.of(article.text).startswith("Ukraine's Foreign Minister, Dmytro Kuleba")
    assert article.body.end == len(article.text)
    origin = article.origins["date"]
    assert origin.span is not None
    assert origin.span.of(article.text) == "2022-10-28"


@pytest.mark.parametrize("text", ["a\r\nb.\r\n", "a\rb.", "\ta. ", "e\u0301 \u00e9.", "a\u2028b.", "a\x0cb.", "😀 a."])
def test_a_text_is_its_files_own_content_untouched(text: str) -> None:
    assert one(text, "a.txt").text == text


@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
    ],
)
def test_a_byte_order_mark_decides_and_offsets_are_those_of_the_decoded_file(mark: bytes, codec: str) -> None:
    order = "-le" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF32_LE) else "-be"
    data = mark + "date 2022-10-28 Кулеба’s 😀 said so.".encode(codec if codec == "utf-8" else codec + order)
    article = one(data, "a.txt")
    assert article.text == data.decode(codec)
    assert article.body.of(article.text) == "Кулеба’s 😀 said so."


def test_the_body_of_a_text_without_a_head_begins_behind_the_byte_order_mark() -> None:
    assert one(codecs.BOM_UTF8 + b"It ends.", "a.txt").body == Span(1, 9)


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("Ukraine’s minister said: “No.” – Reuters…", "cp1252"),
        ("L’été dernier, les élèves français ont été reçus à l’hôtel de ville par le député.", "cp1252"),
        ("Die Außenministerin sagte am Freitag, dass Größe und Übung zählen.", "cp1252"),
        ("Министр иностранных дел заявил, что потребовал от Ирана прекратить поставки оружия. " * 2, "cp1251"),
        ("Министр иностранных дел заявил, что потребовал от Ирана прекратить поставки оружия. " * 2, "koi8_r"),
        ("Ο υπουργός Εξωτερικών δήλωσε ότι ζήτησε από το Ιράν να σταματήσει. " * 2, "cp1253"),
        ("ウクライナの外相は、イランに対し、武器供給を直ちに停止するよう要求したと述べた。" * 2, "shift_jis"),
    ],
)
def test_an_old_encoding_is_read_where_it_leaves_no_doubt(text: str, codec: str) -> None:
    assert one(text.encode(codec), "a.txt").text == text


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("Zażółć gęślą jaźń. Minister powiedział, że żąda wstrzymania dostaw. " * 2, "cp1250"),
        ("Zażółć gęślą jaźń. Minister powiedział, że żąda wstrzymania dostaw. " * 2, "iso8859_2"),
        ("Ministr řekl, že ústupky nebudou. Žádá okamžité zastavení dodávek. " * 2, "cp1250"),
        ("Ukrayna Dışişleri Bakanı, durdurmalarını istediğini söyledi. " * 2, "cp1254"),
        ("Ukraine’s minister said no.", "mac_roman"),
        ("L'été dernier, les élèves ont été reçus.", "cp850"),
        ("Wir können das schon so sagen.", "cp850"),
        ("Министр иностранных дел заявил о прекращении. " * 3, "mac_cyrillic"),
        ("Привет, мир.", "cp1251"),
    ],
)
def test_an_encoding_that_could_be_another_is_refused_and_never_guessed(text: str, codec: str) -> None:
    assert "save it as UTF-8" in refusal(text.encode(codec), "a.txt")


def test_the_senders_charset_is_believed_where_it_is_true() -> None:
    text = "Zażółć gęślą jaźń."
    assert one(text.encode("iso8859_2"), "a.txt", 'text/plain; charset="ISO-8859-2"').text == text
    assert "is said to be" in refusal(b"\xff\xfa", "a.txt", "text/plain; charset=utf-8")
    assert one(text, "a.txt", "text/plain; charset=rot13").text == text


def docx() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", "<x/>")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b" \r\n\t ", "nothing but white space"),
        (codecs.BOM_UTF8, "nothing but white space"),
        (b"\x89PNG\r\n\x1a\n\0\0", "PNG image"),
        (b"\xff\xd8\xff\xe0", "JPEG image"),
        (b"GIF89a", "GIF image"),
        (docx(), "Word document"),
        (b"PK\x03\x04rest", "ZIP archive"),
        (b"%PDF-1.4\n", "PDF"),
        (b"{\\rtf1 a}", "RTF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Microsoft Office"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"text\0with NUL", "NUL bytes"),
        (b"\xff\xfe\x00", "UTF-16"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
    ],
)
def test_what_is_no_text_is_refused_by_what_it_is(data: bytes, said: str) -> None:
    assert said in refusal(data, "a.txt")


def test_a_document_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_DOCUMENT_BYTES", 10)
    assert one(b"0123456 a.", "a.txt").text == "0123456 a."
    assert "larger than 10 bytes" in refusal(b"0123456 ab.", "a.txt")


class BrokenFile(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise OSError("a secret of the disk")


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_file_that_cannot_be_read_is_an_error_in_our_own_words(name: str) -> None:
    [error] = read_articles(io.BufferedReader(BrokenFile()), name=name)
    assert isinstance(error, FormatError)
    assert "secret" not in str(error)


def test_a_path_that_cannot_be_stored_is_refused() -> None:
    [error] = read_articles(io.BytesIO(b"A."), name="a\udcff.txt", path="/a/a\udcff.txt")
    assert "path that is not UTF-8" in str(error)


# Which format


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        ("Just a text.", "text/plain"),
        ("---\ntitle: A\n---\nText.", "text/markdown"),
        ("<!DOCTYPE html><html><body><p>A sentence of it.</p></body></html>", "text/html"),
        ("\n<html><body><p>A sentence of it.</p></body></html>", "text/html"),
        ('{"_id": "1", "text": "A."}\n', "application/x-ndjson"),
        ('{"_id": "1", "text": "A."}', "application/x-ndjson"),
    ],
)
@pytest.mark.parametrize("said", [None, "", "application/octet-stream"])
def test_a_file_of_unknown_name_is_told_by_its_content(data: str, media_type: str, said: str | None) -> None:
    assert one(data, "article", said).media_type == media_type


def test_the_media_type_goes_before_the_extension_and_the_extension_before_the_content() -> None:
    assert one("# A\n\nB.", "a.txt", "text/x-markdown; charset=utf-8").media_type == "text/markdown"
    assert one("<html><p>B.</p>", "a.txt").media_type == "text/plain"
    assert one("# A\n\nB.", "A.MD").media_type == "text/markdown"


def test_a_media_type_that_cannot_be_read_is_refused_by_name() -> None:
    assert "is said to be image/png, which cannot be read" in refusal(b"x", "a.txt", "image/png")


def test_json_that_is_not_json_lines_is_refused_once() -> None:
    assert "looks like JSON" in refusal('[{"text": "A."},\n{"text": "B."}]', "a.json")
    assert "looks like JSON" in refusal('{\n "text": "A."\n}\n', "a.json")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("seeds/000_37d8f9fddf4df80c.txt", "000_37d8f9fddf4df80c"),
        ("C:\\news\\My story (2).html", "My-story-2"),
        ("a.b.txt", "a.b"),
        ("report.v2", "report.v2"),
        (".txt", "txt"),
        ("???.txt", "article"),
        ("", "article"),
        ("x" * 300 + ".md", "x" * 80),
        ("cafe\u0301.txt", "caf\u00e9"),
        ("\udcff.txt", "article"),
    ],
)
def test_the_id_of_a_file_is_its_stem_made_safe(name: str, expected: str) -> None:
    assert article_id(name) == expected


@given(st.text())
def test_any_name_gives_an_id_that_an_article_accepts(name: str) -> None:
    assert isinstance(next(read_articles(io.BytesIO(b"A."), name=name, media_type="text/plain")), Article)


def test_a_name_with_control_characters_does_not_reach_a_message() -> None:
    [error] = read(b"", "a\n\x1b[31m\udcff.txt")
    assert str(error).isprintable()


# Markdown

FRONT = (
    "---\ntitle: 'Stop: now'\ndate: 2022-10-28\nsource: Example\nurl: https://a.example/x\n"
    "author: [Jane Doe, John Roe]\nlanguage: no\n"
)


def test_front_matter_is_metadata_and_the_text_is_untouched() -> None:
    text = FRONT + "tags: [a, b]\n---\n\n# Heading\n\nText.\r\n"
    article = one(text, "a.md")
    assert article.text == text
    assert article.body.of(text) == "\n# Heading\n\nText.\r\n"
    assert (article.title, article.date, article.source) == ("Stop: now", dt.date(2022, 10, 28), "Example")
    assert (article.url, article.author, article.language) == ("https://a.example/x", "Jane Doe, John Roe", "no")
    assert {origin.where for origin in article.origins.values()} == {"front matter"}


@pytest.mark.parametrize(
    "head",
    ["# Stop now\n\n", "# Stop now ##\r\n", "\n\n# Stop now\n", "Stop now\n===\n", "---\nlang: en\n---\n# Stop now\n"],
)
def test_a_first_heading_is_the_title_where_front_matter_has_none(head: str) -> None:
    article = one(head + "Text.", "a.md")
    assert article.title == "Stop now"
    span = article.origins["title"].span
    assert span is not None
    assert span.of(article.text) == "Stop now"
    assert "Stop now" in article.body.of(article.text)


@pytest.mark.parametrize(
    "text", ["## Second level\n\nText.", "Text.\n\n# Later heading\n", "#hashtag\n\nText.", "Title\n\nText. And more."]
)
def test_no_other_line_of_markdown_is_a_title(text: str) -> None:
    assert one(text, "a.md").title is None


@pytest.mark.parametrize(
    "text", ["---\nA ruled paragraph.\n---\nText.", "---\n\nText without an end.", "--- \n- a\n---\nText."]
)
def test_a_rule_that_is_no_front_matter_is_body(text: str) -> None:
    assert one(text, "a.md").body == Span(0, len(text))


@pytest.mark.parametrize(
    ("yaml", "line"),
    [
        ("title: A\ndate: [1\nsource: b\nlang: c", 4),
        ("title: A: b", 2),
        ("title: A\nsource: 'b", 3),
        ("a: 1\nb: \x01", 3),
        ("\ttitle: A", 2),
        ("? {a: 1}\n: b\n", 2),
    ],
)
def test_broken_front_matter_is_refused_with_its_line(yaml: str, line: int) -> None:
    assert f"has front matter that is not YAML, at line {line};" in refusal(f"---\n{yaml}\n---\nText.", "a.md")


@pytest.mark.parametrize(
    "bomb", ["a: " + "[" * 30000, "a: &a [x]\n" + "".join(f"b{i}: &b{i} [*a,*a]\n" for i in range(900))]
)
def test_front_matter_that_is_a_bomb_does_no_harm(bomb: str) -> None:
    [result] = read(f"---\n{bomb}\n---\nText.".encode(), "a.md")
    assert isinstance(result, Article | FormatError)


def test_long_front_matter_and_front_matter_without_a_text_are_refused() -> None:
    assert "front matter; shorten it" in refusal("---\ntitle: A\n" + "a: b\n" * 20_000 + "---\nText.", "a.md")
    assert "nothing after its front matter" in refusal("---\ntitle: A\n---\n \n", "a.md")


# HTML

NAV = '<nav><ul><li><a href="/">Home</a></li><li><a href="/w">World news</a></li></ul></nav>'
FOOT = "<footer><p>Copyright 2019 Example. All rights reserved.</p></footer>"


def page(story: str, head: str = "") -> str:
    body = f"<body>{NAV}<article>{story}</article>{FOOT}</body>"
    return f'<!doctype html><html lang="en-GB"><head>{head}</head>{body}</html>'


def paragraphs(count: int) -> list[str]:
    return [f"Paragraph {i} of the story has some words, and it says them in order." for i in range(count)]


def test_a_page_gives_the_articles_own_text_and_metadata() -> None:
    head = (
        '<title>Stop now | Example News</title><meta property="og:title" content="Stop now">'
        '<meta property="og:site_name" content="Example News"><meta name="author" content="Jane Doe">'
        '<link rel="canonical" href="https://news.example.org/iran">'
        '<meta property="article:published_time" content="2022-10-28T10:00:00Z">'
    )
    told = paragraphs(6)
    article = one(page("<h1>Stop now</h1>" + "".join(f"<p>{p}</p>" for p in told), head), "a.html")
    assert article.text == "\n\n".join(["Stop now", *told])
    assert (article.title, article.date, article.source) == ("Stop now", dt.date(2022, 10, 28), "Example News")
    assert (article.url, article.author, article.language) == ("https://news.example.org/iran", "Jane Doe", "en-gb")
    assert set(article.origins) == {"title", "date", "source", "url", "author", "language"}


@pytest.mark.parametrize(
    "story",
    [
        "<p>The <b>minister</b> said <a href='/x'>so</a>.</p><p>Iran denied it.</p>",
        "<div>The <i>minister</i> said so.</div><div>Iran denied it.</div>",
        "<p>The\n   minister said&nbsp;so.</p><blockquote><p>Iran denied it.</p></blockquote>",
        "The minister said so.<br><br>Iran denied it.",
        "<p>The minister said so.</p><ul><li>Iran denied it.</li></ul>",
    ],
)
def test_a_short_article_is_read_whole_without_the_menu(story: str) -> None:
    text = one(page(story), "a.html").text
    assert text.split("\n\n")[-2:] == ["The minister said so.", "Iran denied it."]
    assert "Home" not in text


def test_a_sentence_broken_over_a_source_line_is_whole_in_lists_and_tables() -> None:
    story = "".join(f"<p>{p}</p>" for p in paragraphs(5))
    text = one(
        page(story + "<ul><li>An item\n  that wraps.</li></ul><table><tr><td>One\ncell.</td><td>Two</td></tr></table>"),
        "a.html",
    ).text
    assert text.endswith("An item that wraps.\n\nOne cell. | Two")


def test_no_paragraph_is_lost_because_an_earlier_file_had_it() -> None:
    html = page("".join(f"<p>{p}</p>" for p in paragraphs(5)))
    assert {one(html, f"{i}.html").text for i in range(6)} == {"\n\n".join(paragraphs(5))}


def test_comments_are_left_out() -> None:
    html = page("".join(f"<p>{p}</p>" for p in paragraphs(5))).replace(
        "<footer>", '<div id="comments"><p>I disagree.</p></div><footer>'
    )
    assert "disagree" not in one(html, "a.html").text


def test_a_date_in_the_story_of_a_page_is_not_its_date() -> None:
    assert one(page("<p>On 3 May 2020 it rained. It was 4 May 2021 when it ended.</p>"), "a.html").date is None


@pytest.mark.parametrize(
    ("written", "date"),
    [("03/04/2022", None), ("28 October 2022", dt.date(2022, 10, 28)), ("3 April 2022", dt.date(2022, 4, 3))],
)
def test_an_ambiguous_date_on_a_page_is_no_date(written: str, date: dt.date | None) -> None:
    assert one(page(f'<span class="date">{written}</span><p>It rained all day.</p>'), "a.html").date == date


@pytest.mark.parametrize(
    ("html", "encoded"),
    [
        ("<html><head><meta charset='iso-8859-2'></head><body><p>Zażółć gęślą jaźń.</p></body></html>", "iso8859_2"),
        ("<html><head><meta charset='iso-8859-1'></head><body><p>Zażółć gęślą jaźń.</p></body></html>", "utf-8"),
        ('<?xml version="1.0" encoding="UTF-8"?><html><body><p>Zażółć gęślą jaźń.</p></body></html>', "utf-8"),
        ("<html><body><p>Zażółć gęślą jaźń.</p></body></html>", "utf-16"),
        ("<p>Zażółć gęślą jaźń.</p>", "utf-8"),
    ],
)
def test_a_page_is_decoded_by_its_mark_its_bytes_or_its_own_word(html: str, encoded: str) -> None:
    assert one(html.encode(encoded), "a.html").text == "Zażółć gęślą jaźń."


@pytest.mark.parametrize(
    "html",
    [
        "<html><head><title>A.</title></head><body></body></html>",
        f"<html><body>{NAV}</body></html>",
        "<script>a.b</script>",
        "<!-- a. -->",
    ],
)
def test_a_page_without_an_article_is_refused(html: str) -> None:
    assert "holds no article" in refusal(html, "a.html")


@pytest.mark.parametrize("tag", ["div", "b", "ul><li", "span"])
def test_pages_nested_deeply_are_read_whole_or_refused(tag: str) -> None:
    def nested(depth: int) -> str:
        return f"<html><body><p>Before it all.</p>{f'<{tag}>' * depth}<p>Inside it all.</p></body></html>"

    assert "Inside it all." in one(nested(400), "a.html").text
    assert "nested too deeply" in refusal(nested(100_000), "a.html")


def test_a_large_page_is_read_whole() -> None:
    told = paragraphs(3000)
    assert one(page("".join(f"<p>{p}</p>" for p in told)), "a.html").text == "\n\n".join(told)


def test_a_page_of_a_hundred_thousand_elements_is_refused() -> None:
    assert "more than 100000 elements" in refusal(page("<i>a.</i>" * 100_000), "a.html")


def test_a_page_says_nothing_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    refusal("<html><body></body></html>", "a.html")
    assert capfd.readouterr() == ("", "")


# PDF


def pdf(
    pages: Sequence[Sequence[str]],
    info: dict[str, str] | None = None,
    trailer: str = "",
    columns: dict[int, tuple[int, int]] | None = None,
) -> bytes:
    """Write a PDF with one line of Helvetica per string; an empty one is a gap of half a line.

    columns: by the number of a line, the place where a column begins with it.
    """
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for i, lines in enumerate(pages):
        shown, left, y = [], 72, 740
        for number, line in enumerate(lines):
            left, y = (columns or {}).get(number, (left, y))
            indent = len(line) - len(line.lstrip())
            text = line.strip().replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
            shown.append(f"1 0 0 1 {left + 6 * indent} {y} Tm ({text}) Tj" if text else "")
            y -= 14 if text else 10
        content = "\n".join(["BT /F1 11 Tf", *shown, "ET"])
        box = "/MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R {box} /Contents {5 + 2 * i} 0 R >>")
        objects.append(f"<< /Length {len(content.encode('cp1252'))} >>\nstream\n{content}\nendstream")
    if info:
        objects.append("<< " + " ".join(f"/{key} ({value})" for key, value in info.items()) + " >>")
        trailer += f" /Info {len(objects)} 0 R"
    return assemble(objects, trailer)


def assemble(objects: Sequence[str], trailer: str = "") -> bytes:
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    table = f"xref\n0 {size}\n0000000000 65535 f \n{table}"
    end = f"trailer << /Size {size} /Root 1 0 R{trailer} >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + table.encode() + end.encode()


PAGES = [
    [
        "Ukraine to Iran: Stop now",
        "",
        "The foreign minister said on Friday that he had de-",
        "manded that officials stop providing Russia with any arms,",
        "according to a call with a well-",
        "known counterpart of his in Tehran.",
        "",
        "A second paragraph (here) isn’t long, but it runs over the",
    ],
    ["end of the page. Then it ends.", "", "The last one stands alone."],
]


def test_a_pdf_gives_whole_sentences_paragraphs_and_pages() -> None:
    article = one(pdf(PAGES), "a.pdf")
    assert article.text.split("\n\n") == [
        "Ukraine to Iran: Stop now",
        "The foreign minister said on Friday that he had demanded that officials stop providing Russia with any arms, "
        "according to a call with a well-known counterpart of his in Tehran.",
        "A second paragraph (here) isn’t long, but it runs over the end of the page. Then it ends.",
        "The last one stands alone.",
    ]
    assert article.title == "Ukraine to Iran: Stop now"
    assert [article.text[start:].split(" ")[0] for start in article.pages] == ["Ukraine", "end"]
    assert article.page_of(article.text.index("runs over")) == 1
    assert article.page_of(article.text.index("Then it ends")) == 2


def test_paragraphs_that_are_only_indented_are_parted() -> None:
    lines = [
        "The first paragraph goes over two lines of text and it",
        "ends with a line as wide as all of the others are here.",
        "   The second one is indented and goes over two lines.",
        "It ends there.",
    ]
    assert len(one(pdf([lines]), "a.pdf").text.split("\n\n")) == 2


def test_paragraphs_that_only_end_in_a_short_line_are_parted() -> None:
    lines = [
        "The first paragraph goes over two lines of text and it",
        "ends soon.",
        "The second one has no indent and no gap above itself.",
    ]
    text = one(pdf([lines]), "a.pdf").text
    assert text.split("\n\n") == [" ".join(lines[:2]), lines[2]]


def test_a_sentence_that_goes_on_in_the_next_column_is_whole() -> None:
    left = ["The first column is narrow", "and its last sentence goes", "on with a name, that of Mr"]
    right = ["Kuleba, who is a minister", "and who said so himself."]
    article = one(pdf([[*left, *right]], columns={3: (320, 740)}), "a.pdf")
    assert article.text == " ".join([*left, *right])


@pytest.mark.parametrize(
    ("left", "right", "word"),
    [
        ("de-", "manded it", "demanded"),
        ("self-", "made men", "self-made"),
        ("Anglo-", "American men", "Anglo-American"),
        ("mid-", "2022 too", "mid-2022"),
    ],
)
def test_a_word_divided_at_the_end_of_a_line_is_joined_and_a_hyphen_of_its_own_kept(
    left: str, right: str, word: str
) -> None:
    text = one(
        pdf([[f"It was at the end of a line of text that he {left}", f"{right} and that was the end of it."]]), "a.pdf"
    ).text
    assert f" {word} " in text


def test_page_numbers_and_running_heads_do_not_break_sentences() -> None:
    pages = [
        [
            "The Example Times",
            f"A sentence begins on page {n} and it goes on over the",
            "end of the page it stands on and on to the next, until",
            f"- {n} -",
        ]
        for n in range(1, 5)
    ]
    text = one(pdf(pages), "a.pdf").text
    assert "Example Times" not in text
    assert "- 2 -" not in text
    assert "until A sentence" in text


def test_pages_without_text_count_as_pages() -> None:
    article = one(pdf([[], ["First words. More of them."], [], ["Last words here."]]), "a.pdf")
    assert article.pages == (0, 0, article.text.index("Last"), article.text.index("Last"))
    assert article.page_of(0) == 2
    assert article.page_of(article.text.index("Last")) == 4


def test_a_pdfs_own_title_author_and_day_are_used_where_they_make_sense() -> None:
    article = one(
        pdf(PAGES, {"Title": "Stop now, says minister", "Author": "Jane Doe", "CreationDate": "D:20221028101112Z"}),
        "a.pdf",
    )
    assert (article.title, article.author, article.date) == (
        "Stop now, says minister",
        "Jane Doe",
        dt.date(2022, 10, 28),
    )
    assert article.origins["date"].where == "pdf creation date"


@pytest.mark.parametrize(
    "title", ["Microsoft Word - x.doc", "untitled", "Document1", "report_2022_v3", "story.indd", "...", ""]
)
def test_a_pdfs_own_title_that_is_none_is_passed_over(title: str) -> None:
    article = one(pdf(PAGES, {"Title": title, "Author": "jdoe"}), "a.pdf")
    assert (article.title, article.author) == ("Ukraine to Iran: Stop now", None)


def test_a_scanned_pdf_is_refused_with_what_to_do() -> None:
    kind = "/Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8"
    pixels = f"<< {kind} /Length 1 >>\nstream\nx\nendstream"
    scan = "<< /Length 30 >>\nstream\nq 612 0 0 792 0 0 cm /I Do Q \nendstream"
    box = "/MediaBox [0 0 612 792] /Resources << /XObject << /I 5 0 R >> >>"
    page = f"<< /Type /Page /Parent 2 0 R {box} /Contents 4 0 R >>"
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, scan, pixels]
    assert "run text recognition (OCR)" in refusal(assemble(objects), "a.pdf")


def test_a_truncated_pdf_is_refused_wherever_it_was_cut() -> None:
    data = pdf(PAGES)
    for end in (8, 100, len(data) // 2, len(data) - 100, len(data) - 10):
        assert "cut short or damaged" in refusal(data[:end], "a.pdf")


def test_a_locked_pdf_is_refused() -> None:
    digest = "00" * 32
    lock = f" /ID [<0011><0011>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -44 /O <{digest}> /U <{digest}> >>"
    assert "locked with a password" in refusal(pdf(PAGES, trailer=lock), "a.pdf")


def test_a_file_that_is_no_pdf_is_refused() -> None:
    assert "damaged" in refusal("Just a text.", "a.pdf")


# JSON Lines


def lines(*records: object) -> bytes:
    return b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in records)


def test_records_in_beirs_layout_become_articles() -> None:
    inner = {"url": "https://a.example/x", "language": "en", "title": "not this"}
    record = {
        "_id": "doc-1",
        "title": "Stop",
        "text": " Text\r\nhere. ",
        "date": "2022-10-28",
        "source": "Ex",
        "author": "Jane Doe",
        "metadata": inner,
    }
    [article] = read(lines(record), "corpus.jsonl")
    assert isinstance(article, Article)
    assert (article.id, article.title, article.text) == ("doc-1", "Stop", " Text\r\nhere. ")
    assert (article.date, article.source, article.author) == (dt.date(2022, 10, 28), "Ex", "Jane Doe")
    assert (article.url, article.language) == ("https://a.example/x", "en")
    assert (article.body, article.path) == (Span(0, len(article.text)), None)


def test_a_bad_line_is_named_and_the_rest_goes_on() -> None:
    bad: list[tuple[object, str]] = [
        (b"{nope", "not JSON"),
        ([1], "no JSON object"),
        ({"_id": "x"}, '"text"'),
        ({"_id": "x", "text": None}, '"text"'),
        ({"_id": "x", "text": " \n"}, "blank"),
        (b'{"_id": "x", "text": "a.", "text": "b."}', '"text" twice'),
        (b'{"_id": "x", "text": "a\\ud800"}', "U+D800"),
        (b'{"_id": "x\\udc00", "text": "a."}', "id cannot be used"),
        ({"_id": " a", "text": "a."}, "id cannot be used"),
        ({"_id": True, "text": "a."}, "id cannot be used"),
        ({"_id": 1.5, "text": "a."}, "id cannot be used"),
        ({"_id": "", "text": "a."}, "id cannot be used"),
        ({"_id": "x" * 201, "text": "a."}, "id cannot be used"),
        ({"_id": "x", "text": "a\0b"}, "NUL"),
        (b'{"_id": "x", "text": "\xff"}', "not UTF-8"),
        (b"[" * 200_000, "not JSON"),
        (b'{"_id": ' + b"1" * 5000 + b', "text": "a."}', "not JSON"),
    ]
    data = lines(*(item for record, _ in bad for item in (record, {"_id": "ok", "text": "Fine."})))
    results = read(data, "c.jsonl")
    assert len(results) == 2 * len(bad)
    for number, ((_, said), error, fine) in enumerate(zip(bad, results[::2], results[1::2], strict=True)):
        assert isinstance(error, FormatError)
        assert str(error).startswith(f"c.jsonl, line {2 * number + 1}: ")
        assert said in str(error)
        assert isinstance(fine, Article)


def test_ids_may_be_numbers_and_come_from_id_where_there_is_no_underscore() -> None:
    ids = [
        r.id
        for r in read(
            lines({"_id": 7, "text": "a."}, {"id": "b", "text": "a."}, {"_id": "c", "id": "d", "text": "a."}), "c.jsonl"
        )
        if isinstance(r, Article)
    ]
    assert ids == ["7", "b", "c"]


def test_a_record_without_an_id_has_the_same_one_in_every_run_and_no_other_record_has_it() -> None:
    records = [
        {"text": "a."},
        {"text": "a."},
        {"text": "b."},
        {"text": "a.", "title": "t"},
        {"_id": None, "text": "a."},
    ]
    ids = [r.id for r in read(lines(*records), "c.jsonl") if isinstance(r, Article)]
    assert ids == [r.id for r in read(lines(*records), "other.jsonl") if isinstance(r, Article)]
    assert ids[0] == ids[1] == ids[4]
    assert len(set(ids)) == 3


def test_blank_lines_a_byte_order_mark_and_a_missing_last_break_do_no_harm() -> None:
    data = codecs.BOM_UTF8 + b'{"_id": "a", "text": "A."}\r\n\r\n  \n{"_id": "b", "text": "B."}'
    assert [r.id for r in read(data, "c.jsonl") if isinstance(r, Article)] == ["a", "b"]


class Endless(io.RawIOBase):
    """A line of gigabytes, then a good one; counts the most that was asked for at once."""

    def __init__(self, length: int) -> None:
        self.left = length
        self.most = 0
        self.tail = b'x\n{"_id": "b", "text": "B."}\n'

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size > 0
        self.most = max(self.most, size)
        if self.left > 0:
            taken = min(size, self.left)
            self.left -= taken
            return b"x" * taken
        line, _, self.tail = self.tail.partition(b"\n")
        return line + b"\n" if line else b""


def test_a_line_over_the_limit_is_skipped_without_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_DOCUMENT_BYTES", 1000)
    file = Endless(50_000_000)
    error, fine = read_articles(file, name="c.jsonl")  # type: ignore[arg-type]  # as much of a file as is needed
    assert "c.jsonl, line 1: is longer than 1000 bytes" in str(error)
    assert isinstance(fine, Article)
    assert file.most <= 1024 * 1024


def test_records_are_read_one_by_one() -> None:
    file = io.BytesIO(lines(*({"_id": i, "text": "A."} for i in range(1000))))
    next(read_articles(file, name="c.jsonl"))
    assert file.tell() < 100


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04" + b"\n" * 50, '{"text": "a."}'.encode("utf-16")])
def test_a_file_that_is_no_json_lines_is_one_error(data: bytes) -> None:
    refusal(data, "c.jsonl")


# All formats

SHARDS = [
    *(b"---\n", b"title: ", b"date 2022-10-28 ", b"<p>", b"</p>", b"<html>", b"<table><tr><td>", b"&#0;", b"&#xD800;"),
    *(
        b"{",
        b'"text":',
        b'"_id":',
        b'"a."',
        b"}",
        b"\n",
        b"\r\n",
        b"\0",
        b"\xff\xfe",
        codecs.BOM_UTF8,
        b"%PDF-1.4",
        b"%%EOF",
    ),
    *(
        b"\xe2\x80\x99",
        b"\x92",
        b"A sentence. ",
        b"\\ud800",
        b"By Jane Doe",
        b"# ",
        b"&a ",
        b"*a",
        b"<script>",
        b"<!--",
    ),
    *(
        b"<![CDATA[",
        b"<svg>",
        b"<?xml version='1.0' encoding='x'?>",
        b"<meta charset=x>",
        b"<br>",
        b"<li>",
        b"<meta name=date ",
    ),
]
ANYTHING = st.one_of(
    st.binary(max_size=200),
    st.lists(st.one_of(st.sampled_from(SHARDS), st.binary(max_size=8)), max_size=25).map(b"".join),
)


CODECS = ["utf-8", "utf-16", "utf-32", "cp1252", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256"]
CODECS += ["cp932", "euc_jp", "cp949", "gb18030", "big5"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=ANYTHING,
    media_type=st.sampled_from([*TYPES, None, "", "text/plain; charset=utf-16"]),
    name=st.sampled_from(["a", "a.md", "a.pdf"]),
)
def test_no_bytes_make_reading_fail_and_every_article_can_be_stored(
    data: bytes, media_type: str | None, name: str
) -> None:
    for result in read_articles(io.BytesIO(data), name=name, media_type=media_type):
        if isinstance(result, FormatError):
            assert str(result).startswith(name)
            continue
        result.text.encode()
        assert "\0" not in result.text
        assert list(result.pages) == sorted(result.pages)
        for field, origin in result.origins.items():
            assert getattr(result, field) is not None
            str(getattr(result, field)).encode()
            assert origin.span is None or origin.span.end <= len(result.text)
        if result.media_type in ("text/plain", "text/markdown"):
            codecs_tried = (
                "utf-8",
                "utf-16",
                "utf-32",
                "cp1252",
                "cp1251",
                "koi8_r",
                "cp1253",
                "cp1255",
                "cp1256",
                "cp932",
                "euc_jp",
                "cp949",
                "gb18030",
                "big5",
            )
            assert result.text in {data.decode(codec, "replace") for codec in codecs_tried}


@settings(deadline=None)
@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    name=st.sampled_from(["a.txt", "a.md"]),
)
def test_a_text_in_utf_8_is_never_changed(text: str, name: str) -> None:
    data = text.encode()
    for result in read_articles(io.BytesIO(data), name=name):
        if isinstance(result, Article) and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            assert result.text == data.decode()


def test_importing_formats_imports_no_slow_library() -> None:
    slow = ("trafilatura", "lxml", "pypdfium2", "charset_normalizer")
    script = f"import sys, index.formats; print([m for m in {slow} if m in sys.modules])"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=SEEDS.parent)
    assert done.stdout.strip() == "[]"
