import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser

from fastapi import FastAPI, Query
from fastapi.testclient import TestClient

from service.routes.docs import _Page

_EMPTY = {"meta", "link", "br", "!doctype"}


class _Reader(HTMLParser):
    """Reads a page strictly: what is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, name: str) -> Iterator[str]:
        return (value for _, attribute, value in self.attributes if attribute == name)


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_every_operation_of_the_interface_is_on_the_page(served: TestClient) -> None:
    page = served.get("/docs").text
    document = served.get("/openapi.json").json()
    operations = [(path, one) for path, methods in document["paths"].items() for one in methods.values()]
    assert len(operations) > 8
    for path, operation in operations:
        assert path in page
        assert f'<article id="{operation["operationId"]}">' in page
        assert operation["summary"] in unescape(page)
        for parameter in operation.get("parameters", []):
            assert f"<dt><code>{parameter['name']}</code>" in page


def test_the_page_is_well_formed_and_its_links_lead_somewhere(served: TestClient) -> None:
    page = _read(served.get("/docs").text)
    ids = list(page.of("id"))
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.of("href") if link.startswith("#")} <= set(ids)
    assert set(page.of("aria-labelledby")) <= set(ids)
    for link in page.of("href"):
        if not link.startswith("#"):
            assert served.get(f"/{link}").status_code == 200


def test_the_page_asks_nothing_of_others_and_runs_nothing(served: TestClient) -> None:
    response = served.get("/docs")
    page = _read(response.text)
    policy = response.headers.get_list("content-security-policy")
    assert policy == ["default-src 'none'; style-src 'self'; frame-ancestors 'none'"]
    assert {"script", "style", "img", "iframe", "form"}.isdisjoint({tag for tag, _, _ in page.attributes})
    assert "<script" not in response.text
    assert "<style" not in response.text
    assert not [name for _, name, _ in page.attributes if name == "style" or name.startswith("on")]
    assert not [link for link in page.of("href") if "//" in link]


def test_the_style_is_served_from_here_and_names_no_other_place(served: TestClient) -> None:
    style = served.get("/docs/style.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in style.text
    assert "url(" not in style.text
    assert "@import" not in style.text


def test_fields_say_their_type_and_their_limits(served: TestClient) -> None:
    page = unescape(re.sub(r"<[^>]+>", " ", served.get("/docs").text))
    plain = re.sub(r"\s+", " ", page)
    assert "question required string, at most 2000 characters" in plain
    assert "top_k integer, at least 1, at most 100, default 5" in plain
    assert "date_from date or null" in plain
    assert "article_ids list of string, at most 1000 of them" in plain


def test_examples_can_be_pasted(served: TestClient) -> None:
    page = unescape(served.get("/docs").text)
    server = str(served.base_url).rstrip("/")
    assert f"curl '{server}/ask?q=Q'" in page
    assert f'curl --json \'{{"question": "QUESTION"}}\' {server}/ask' in page
    assert f"curl {server}/articles/ARTICLE_ID/text" in page


def _hostile() -> FastAPI:
    nasty = '<img src=x onerror="alert(1)">'
    app = FastAPI(title=nasty, description=nasty, version=nasty)

    @app.get(f"/{nasty}", summary=nasty, description=nasty, tags=[nasty], operation_id=nasty)
    def operation(q: str = Query(nasty, alias=nasty, description=nasty)) -> None: ...

    return app


def test_whatever_the_interface_says_is_text() -> None:
    page = _read(_Page(_hostile().openapi(), "http://<b>").render())
    assert "img" not in {tag for tag, _, _ in page.attributes}
    assert "onerror" not in {name for _, name, _ in page.attributes}


def test_a_model_that_holds_itself_is_shown_to_some_depth() -> None:
    schema = {"properties": {"inner": {"$ref": "#/components/schemas/Node"}}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Node"}}}}
    document = {
        "info": {"title": "t", "version": "1"},
        "paths": {"/a": {"post": {"operationId": "a", "requestBody": body, "responses": {}}}},
        "components": {"schemas": {"Node": schema}},
    }
    assert 2 <= _Page(document, "").render().count("<code>inner</code>") <= 4


def test_the_page_is_no_part_of_the_interface(served: TestClient) -> None:
    assert not [path for path in served.get("/openapi.json").json()["paths"] if path.startswith("/docs")]
