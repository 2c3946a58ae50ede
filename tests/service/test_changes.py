import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from index.articles import Article
from index.corpus import Corpus
from index.testing import HashingEncoder
from service.keys import KeyStore
from service.routes import changes
from service.settings import Settings
from service.turns import AT_WORK, WAITING

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
PAGE = b"<html><head><title>T</title></head><body><article><p>The rocket rose at dawn over the old town.</p></article>"


def _quotes(client: TestClient, question: str) -> set[str]:
    answer = client.get("/ask", params={"q": question, "top_k": 50}).json()
    return {one["quote"] for one in answer["citations"] + answer["nearest"]}


def _results(response: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - httpx's response
    return [json.loads(line) for line in response.text.splitlines()]


# One article


def test_an_article_is_added_as_json_and_found_at_once(served: TestClient) -> None:
    added = served.post("/articles", json={"id": "a", "text": "Cheese is made in Holland.", "title": "Cheese"})
    assert added.status_code == 201
    assert added.json() == {
        "kind": "added",
        "article_id": "a",
        "version": 1,
        "collection": "default",
        "sentences": 1,
        "near_duplicates": [],
    }
    assert "Cheese is made in Holland." in _quotes(served, "Where is cheese made?")


def test_the_same_again_is_no_change_and_other_content_is_a_new_version(served: TestClient) -> None:
    sent = {"id": "a", "text": "Cheese is made in Holland."}
    statuses = [served.post("/articles", json=one) for one in (sent, sent, {**sent, "text": "Cheese is good."})]
    assert [(one.status_code, one.json()["kind"], one.json()["version"]) for one in statuses] == [
        (201, "added", 1),
        (200, "unchanged", 1),
        (200, "replaced", 2),
    ]
    assert "Cheese is made in Holland." not in _quotes(served, "Where is cheese made?")
    assert served.get("/articles/a", params={"version": 1}).json()["text"] == "Cheese is made in Holland."
    versions = served.get("/articles/a/versions").json()["versions"]
    assert [(one["version"], one["current"]) for one in versions] == [(2, True), (1, False)]


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        ("Der Käse ist gut.".encode("latin-1"), "text/plain; charset=iso-8859-1"),
        (b"---\ntitle: T\n---\nThe rocket rose.", "text/markdown"),
        (PAGE, "text/html"),
    ],
)
def test_a_file_can_be_the_body(served: TestClient, content: bytes, media_type: str) -> None:
    added = served.post("/articles", params={"id": "f"}, content=content, headers={"Content-Type": media_type})
    assert added.status_code == 201
    article = served.get("/articles/f").json()
    assert article["media_type"] == media_type.partition(";")[0]
    assert article["sentences"] == 1


@pytest.mark.parametrize("below", ["text", "versions"])
def test_an_id_that_ends_like_an_address_below_an_article_is_one_with_its_slash_encoded(
    served: TestClient, below: str
) -> None:
    for article_id, text in (("news", "It rained."), (f"news%2F{below}", "It snowed.")):
        assert served.put(f"/articles/{article_id}", json={"text": text}).status_code == 201
    assert served.get(f"/articles/news%2F{below}").json()["text"] == "It snowed."
    assert served.get(f"/articles/news%2F{below}/text").text == "It snowed."
    assert served.get(f"/articles/news%2F{below}/versions").json()["versions"][0]["id"] == f"news/{below}"
    assert served.get("/articles/news/text").text == "It rained."
    assert served.delete(f"/articles/news%2F{below}").status_code == 204
    assert served.get("/articles/news/text").text == "It rained."


def test_what_lies_below_an_article_is_neither_replaced_nor_deleted(served: TestClient) -> None:
    served.put("/articles/news", json={"text": "It rained."})
    for answer in (
        served.put("/articles/news/text", json={"text": "It snowed."}),
        served.delete("/articles/news/text"),
    ):
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert served.get("/articles/news").json()["version"] == 1


def test_a_url_is_kept_without_the_white_space_around_it_or_not_at_all(served: TestClient) -> None:
    refused = served.post("/articles", json={"text": "It rained.", "url": " https://example.org/ "})
    assert (refused.status_code, refused.json()["errors"][0]["where"]) == (422, "body.url")


def test_a_language_is_the_same_however_it_is_written(served: TestClient) -> None:
    served.put("/articles/a", json={"text": "Choveu.", "language": "pt_BR"})
    assert served.get("/articles/a").json()["language"] == "pt-br"


def test_a_file_can_be_sent_as_a_form_with_what_is_known_of_it(served: TestClient) -> None:
    added = served.post(
        "/articles",
        files={"file": ("launch.html", PAGE, "text/html")},
        data={"source": "Reuters", "date": "28 October 2022", "collection": "news"},
    )
    assert (added.status_code, added.json()["article_id"]) == (201, "launch")
    article = served.get("/articles/launch").json()
    assert (article["source"], article["date"], article["collection"]) == ("Reuters", "2022-10-28", "news")


def test_put_replaces_and_adds(served: TestClient) -> None:
    first = served.put("/articles/my/own/id", content="The rocket rose.", headers={"Content-Type": "text/plain"})
    second = served.put("/articles/my/own/id", json={"text": "The rocket fell.", "title": "Down"})
    assert [(one.status_code, one.json()["article_id"]) for one in (first, second)] == [
        (201, "my/own/id"),
        (200, "my/own/id"),
    ]
    assert served.get("/articles/my/own/id").json()["title"] == "Down"


def test_put_stays_in_the_collection_unless_told_otherwise(served: TestClient) -> None:
    served.put("/articles/a", json={"text": "The rocket rose.", "collection": "news"})
    assert served.put("/articles/a", json={"text": "The rocket fell."}).json()["collection"] == "news"
    assert served.put("/articles/a", json={"text": "The rocket fell.", "collection": "x"}).json()["version"] == 3
    assert served.get("/collections").json()["collections"] == {"default": 3, "x": 1}


@pytest.mark.parametrize(
    ("content", "headers", "status", "what"),
    [
        (b"{", JSON, 422, "not JSON"),
        (b"[]", JSON, 422, "body"),
        (b"{}", JSON, 422, "text"),
        (b'{"text": " "}', JSON, 422, "blank"),
        (b'{"text": "\\u2026"}', JSON, 422, "no sentence"),
        (b'{"text": "x", "date": "03/04/2022"}', JSON, 422, "2022-10-28"),
        (b'{"text": "x", "url": "javascript:alert(1)"}', JSON, 422, "http"),
        (b'{"text": "x", "collection": "No Good"}', JSON, 422, "collection"),
        (b'{"text": "x", "id": " x"}', JSON, 422, "white space"),
        (b'{"text": "x", "titel": "x"}', JSON, 422, "titel"),
        (b'{"url": "https://example.org/a"}', JSON, 422, "QUOTELINE_FETCH"),
        (b'{"feed": "https://example.org/a"}', JSON, 422, "QUOTELINE_FETCH"),
        (b"", {"Content-Type": "text/plain"}, 422, "empty"),
        (b"%PDF-1.4 no", {"Content-Type": "application/pdf"}, 422, "PDF"),
        (b"x", {"Content-Type": "image/png"}, 415, "text/plain"),
        (b"x", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "curl -H"),
        (b"x", {}, 415, "Content-Type"),
        (b"x", {"Content-Type": "multipart/form-data; boundary=x"}, 422, "form"),
        (b"--x\r\n\r\n--x--", {"Content-Type": "multipart/form-data; boundary=x"}, 422, "form"),
    ],
)
def test_what_cannot_be_added_is_told_why(
    served: TestClient, content: bytes, headers: dict[str, str], status: int, what: str
) -> None:
    problem = served.post("/articles", content=content, headers=headers)
    assert problem.status_code == status, problem.text
    assert problem.headers["content-type"] == "application/problem+json"
    assert what in problem.json()["detail"]
    assert served.get("/articles").json()["total"] == 3


def test_an_address_and_a_body_that_disagree_are_refused(served: TestClient) -> None:
    for problem in (
        served.put("/articles/a", json={"id": "b", "text": "x y z."}),
        served.put("/articles/a", files={"file": ("a.txt", b"x y z.")}, data={"id": "b"}),
    ):
        assert (problem.status_code, "leave out" in problem.json()["detail"]) == (422, True)
    named_twice = served.put("/articles/a", params={"id": "b"}, json={"text": "x y z."})
    assert (named_twice.status_code, named_twice.json()["errors"][0]["where"]) == (422, "query.id")


# Deleting


def test_a_deleted_article_is_gone_with_all_its_versions(served: TestClient) -> None:
    for text in ("Cheese is made in Holland.", "Cheese is good."):
        served.put("/articles/a", json={"text": text})
    cited = served.get("/ask", params={"q": "Is cheese good?"}).json()["citations"][0]["id"]
    assert served.get(f"/citations/{cited}").status_code == 200
    deleted = served.delete("/articles/a")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert served.delete("/articles/a").status_code == 410
    for path in ("/articles/a", "/articles/a/text", "/articles/a/versions", f"/citations/{cited}"):
        assert served.get(path).status_code == 410, path
    assert "Cheese is good." not in _quotes(served, "Is cheese good?")
    assert served.put("/articles/a", json={"text": "Cheese again."}).json()["version"] == 3


def test_what_was_never_there_cannot_be_deleted(served: TestClient) -> None:
    assert served.delete("/articles/nobody").status_code == 404


# Many


def test_lines_are_answered_one_by_one_and_bad_ones_cost_no_other(served: TestClient) -> None:
    lines = ['{"id": "a", "text": "One is here."}', "", "{", '{"id": "b", "text": "Two is here."}']
    response = served.post("/articles", content="\n".join(lines), headers=LINES)
    assert response.headers["content-type"].startswith("application/x-ndjson")
    results = _results(response)
    assert [(one["line"], one.get("kind")) for one in results] == [(1, "added"), (3, None), (4, "added")]
    assert "not JSON" in results[1]["error"]
    assert served.get("/articles").json()["total"] == 5


def test_a_thousand_lines_all_have_a_result(served: TestClient) -> None:
    lines = "\n".join(json.dumps({"id": f"n{number}", "text": f"Number {number} it is."}) for number in range(1000))
    results = _results(served.post("/articles", params={"collection": "many"}, content=lines, headers=LINES))
    assert [one["line"] for one in results] == list(range(1, 1001))
    assert {one["kind"] for one in results} == {"added"}
    assert served.get("/articles", params={"collection": "many", "limit": 1}).json()["total"] == 1000


def test_a_line_that_is_too_long_is_refused_and_the_next_one_added(
    served: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_DOCUMENT_BYTES", 100_000)
    monkeypatch.setattr("service.adding.MAX_DOCUMENT_BYTES", 100_000)
    long = json.dumps({"id": "long", "text": "x " * 200_000})
    response = served.post("/articles", content=f'{long}\n{{"id": "b", "text": "Two is here."}}\n', headers=LINES)
    first, second = _results(response)
    assert (first["line"], "longer than" in first["error"]) == (1, True)
    assert (second["line"], second["kind"]) == (2, "added")


def test_results_come_while_lines_are_still_being_sent(live: tuple[str, int]) -> None:
    with socket.create_connection(live, timeout=20) as connection:
        connection.sendall(
            b"POST /articles HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        heard = b""
        for number in range(3):
            line = json.dumps({"id": f"n{number}", "text": f"Number {number} it is."}).encode() + b"\n"
            connection.sendall(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            while f'"article_id":"n{number}"'.encode() not in heard:
                received = connection.recv(65536)
                assert received
                heard += received
        connection.sendall(b"0\r\n\r\n")


def test_a_client_that_sends_all_before_it_reads_is_answered(live: tuple[str, int]) -> None:
    lines = b"".join(b'{"id": "x"}\n' for _ in range(60_000))
    with socket.create_connection(live, timeout=60) as connection:
        head = f"POST /articles HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(lines)}\r\n"
        connection.sendall(head.encode() + b"Content-Type: application/x-ndjson\r\nConnection: close\r\n\r\n")
        connection.sendall(lines)
        time.sleep(0.2)
        heard = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    assert heard.count(b'"error"') == 60_000


# Near-duplicates

STORM = "The storm reached the coast on Friday night. It tore the roofs off forty houses. Nobody was hurt, they said."
UPDATE = f"{STORM} Two ferries wait."


def test_a_near_duplicate_is_told_of_however_it_is_sent(served: TestClient) -> None:
    assert served.post("/articles", json={"id": "storm", "text": STORM}).json()["near_duplicates"] == []
    found = [{"id": "storm", "similarity": 0.857}]
    assert served.post("/articles", json={"id": "update", "text": UPDATE}).json()["near_duplicates"] == found
    served.delete("/articles/update")
    sent = served.put("/articles/update", content=UPDATE, headers={"Content-Type": "text/plain"})
    assert sent.json()["near_duplicates"] == found
    assert served.get("/articles/update").json()["near_duplicates"] == found
    lines = json.dumps({"id": "copy", "text": STORM}) + "\n" + json.dumps({"id": "egg", "text": "Two eggs."})
    results = _results(served.post("/articles", content=lines, headers=LINES))
    assert [[one["id"] for one in result["near_duplicates"]] for result in results] == [["storm", "update"], []]
    again = served.post("/articles", json={"id": "update", "text": UPDATE}).json()
    assert (again["kind"], again["near_duplicates"]) == ("unchanged", [])


def test_an_older_version_has_no_near_duplicates(served: TestClient) -> None:
    for one in ({"id": "storm", "text": STORM}, {"id": "copy", "text": STORM}, {"id": "copy", "text": "Two eggs."}):
        served.post("/articles", json=one)
    for path in ("/articles/copy?version=1", "/articles/copy", "/articles/storm"):
        assert served.get(path).json()["near_duplicates"] == [], path


# Who may


@pytest.fixture
def limited(served: TestClient, settings: Settings) -> dict[str, str]:
    """The header of a caller who may do all, in the collection `pets` alone."""
    served.post("/articles", json={"id": "cat", "text": "The cat slept.", "collection": "pets"})
    _, token = KeyStore(settings.keys_file).create("zoo", {"ask", "manage"}, {"pets"})
    return {"Authorization": f"Bearer {token}"}


def test_nobody_is_told_of_a_near_duplicate_that_they_may_not_see(served: TestClient, settings: Settings) -> None:
    _, token = KeyStore(settings.keys_file).create("zoo", {"ask", "manage"}, {"pets"})
    limited = {"Authorization": f"Bearer {token}"}
    for name, collection in (("secret", "default"), ("seen", "pets")):
        _, full = KeyStore(settings.keys_file).create(name, {"ask", "manage"})
        sent = {"id": name, "text": STORM, "collection": collection}
        served.post("/articles", json=sent, headers={"Authorization": f"Bearer {full}"})
    added = served.post("/articles", json={"id": "own", "text": UPDATE, "collection": "pets"}, headers=limited).json()
    assert [one["id"] for one in added["near_duplicates"]] == ["seen"]
    lines = json.dumps({"id": "line", "text": UPDATE, "collection": "pets"})
    [result] = _results(served.post("/articles", content=lines, headers={**LINES, **limited}))
    assert [one["id"] for one in result["near_duplicates"]] == ["own", "seen"]
    shown = served.get("/articles/own", headers=limited).json()["near_duplicates"]
    assert [one["id"] for one in shown] == ["line", "seen"]
    everything = served.get("/articles/own", headers={"Authorization": f"Bearer {full}"}).json()["near_duplicates"]
    assert {one["id"] for one in everything} == {"line", "seen", "secret"}


def test_a_limited_key_sees_and_changes_its_collection_alone(served: TestClient, limited: dict[str, str]) -> None:
    def get(path: str, **params: str | int) -> Any:  # noqa: ANN401 - of the client's own library
        return served.get(path, params=params, headers=limited)

    assert [one["id"] for one in get("/articles").json()["articles"]] == ["cat"]
    assert get("/collections").json()["collections"] == {"pets": 1}
    assert get("/articles/cat").status_code == 200
    for path in ("/articles/emoji", "/articles/emoji/text", "/articles/emoji/versions", "/citations/emoji.1.0-5"):
        assert get(path).status_code == 404, path
    answer = get("/ask", q="Which rocket rose, and did the cat sleep?", top_k=50).json()
    assert {one["article_id"] for one in answer["citations"] + answer["nearest"]} == {"cat"}
    assert get("/ask", q="Which rocket?", collection="default").status_code == 403
    asked = {"question": "Which rocket?", "filters": {"collection": ["default", "pets"]}}
    assert served.post("/ask", json=asked, headers=limited).status_code == 403
    assert served.delete("/articles/emoji", headers=limited).status_code == 404
    assert served.put("/articles/emoji", json={"text": "Mine."}, headers=limited).status_code == 409
    assert served.put("/articles/new", json={"text": "Mine.", "collection": "x"}, headers=limited).status_code == 409
    added = served.put("/articles/dog", json={"text": "The dog barked."}, headers=limited)
    assert (added.status_code, added.json()["collection"]) == (201, "pets")
    assert served.post("/verify", json={"quote": "The rocket rose again."}, headers=limited).json()["places"] == []
    assert served.delete("/articles/dog", headers=limited).status_code == 204


def test_without_its_key_nobody_gets_in(served: TestClient, limited: dict[str, str]) -> None:
    assert limited
    for method, path in (("GET", "/articles"), ("POST", "/articles"), ("DELETE", "/articles/cat"), ("GET", "/ask?q=x")):
        assert served.request(method, path).status_code == 401
    assert served.get("/healthz").status_code == 200


# Too many


def test_changes_that_would_wait_too_long_are_told_to_come_back(served: TestClient, corpus: Corpus) -> None:
    state = served.app.state  # type: ignore[attr-defined]
    begun, release = threading.Event(), threading.Event()
    add = state.corpus.add

    def slow(articles: Iterator[Article], **more: object) -> Iterator[object]:
        begun.set()
        release.wait(20)
        return add(articles, **more)  # type: ignore[no-any-return]

    state.corpus.add = slow
    statuses: list[int] = []

    def send(number: int) -> None:
        statuses.append(served.put(f"/articles/n{number}", json={"text": "It is here."}).status_code)

    most = AT_WORK + WAITING
    threads = [threading.Thread(target=send, args=(number,)) for number in range(most + 4)]
    for thread in threads:
        thread.start()
    assert begun.wait(20)
    deadline = time.monotonic() + 20
    while statuses.count(503) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    # Those who ask are not held up by those who change.
    assert served.get("/ask", params={"q": "Which rocket?"}).status_code == 200
    assert f"quoteline_changing {most}.0" in served.get("/metrics").text
    release.set()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] * most + [503] * 4


@pytest.fixture
def live(settings: Settings, hashing_encoder: HashingEncoder) -> Iterator[tuple[str, int]]:
    """A server on a socket of its own, with an empty corpus."""
    import uvicorn

    from service.app import create_app

    config = uvicorn.Config(
        create_app(settings, encoder=hashing_encoder), host="127.0.0.1", port=0, log_config=None, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[:2]
    server.should_exit = True
    thread.join()
