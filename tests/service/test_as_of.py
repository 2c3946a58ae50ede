import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from index.articles import Article, Span
from index.corpus import Corpus
from index.store import change
from index.testing import HashingEncoder, OverlapReader
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import client_of

QUESTION = "How many drones were shot down?"
TOLD = {1: "Officials said so. 300 drones were shot down.", 3: "400 drones were shot down. Others were silent."}


def article(name: str, text: str) -> Article:
    return Article(name, text, Span(0, len(text)))


@pytest.fixture
def client(
    settings: Settings,
    hashing_encoder: HashingEncoder,
    overlap_reader: OverlapReader,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[TestClient]:
    """A server of an article that was added on the 1st of November and replaced on the 3rd; another lived for a day."""

    def be(day: int) -> None:
        now = dt.datetime(2022, 11, day, 12, tzinfo=dt.UTC).timestamp()
        monkeypatch.setattr(change, "time", SimpleNamespace(time=lambda: now))

    with closing(Corpus(settings.corpus_folder, hashing_encoder)) as corpus:
        be(1)
        list(corpus.add([article("a", TOLD[1]), article("gone", "No drones were shot down, not one.")]))
        be(2)
        corpus.remove(["gone"])
        be(3)
        list(corpus.add([article("a", TOLD[3])]))
    with client_of(create_app(settings, encoder=hashing_encoder, reader=overlap_reader)) as client:
        yield client


def ask(client: TestClient, day: str | None) -> dict[str, object]:
    response = client.get("/ask", params={"q": QUESTION, **({"as_of": day} if day else {})})
    assert response.status_code == 200, response.text
    answer: dict[str, object] = response.json()
    return answer


@pytest.mark.parametrize(
    ("day", "version"), [("2022-11-01", 1), ("2022-11-02", 1), ("2022-11-03", 2), ("2100-01-01", 2), (None, 2)]
)
def test_a_day_is_answered_from_the_version_that_there_was_then(
    client: TestClient, day: str | None, version: int
) -> None:
    answer = ask(client, day)
    cited = answer["citations"]
    assert isinstance(cited, list)
    assert cited[0]["quote"] == ("400 drones were shot down." if version == 2 else "300 drones were shot down.")
    for one in (*cited, *answer["nearest"]):  # type: ignore[misc]
        assert (one["article_id"], one["version"]) == ("a", version)
        text = client.get("/articles/a/text", params={"version": version}).text
        assert text[one["start_char"] : one["end_char"]] == one["quote"]
        assert f"version={version}" in one["link"]
        checked = client.get(f"/citations/{one['id']}").json()
        assert (checked["quotation"]["quote"], checked["quotation"]["version"]) == (one["quote"], version)
        assert (checked["latest_version"], checked["status"] == "current") == (2, version == 2)
        verified = client.post("/verify", json={"article_id": "a", "quote": one["quote"]}).json()
        assert (verified["verdict"], verified["places"][0]["quotation"]["version"]) == ("verbatim", version)
        assert client.get(one["link"].partition("#")[0]).status_code == 200


def test_it_can_be_sent_among_the_filters(client: TestClient) -> None:
    sent = client.post("/ask", json={"question": QUESTION, "filters": {"as_of": "2022-11-01"}}).json()
    for answer in (sent, asked := ask(client, "2022-11-01")):
        answer.pop("timings_ms")
    assert sent == asked


def test_before_there_was_anything_nothing_answers(client: TestClient) -> None:
    answer = ask(client, "2022-10-31")
    assert (answer["verdict"], answer["citations"], answer["nearest"]) == ("unanswered", [], [])
    assert answer["reason"]


@pytest.mark.parametrize("day", ["yesterday", "0", "2022-11-31"])
def test_a_day_is_written_as_days_are(client: TestClient, day: str) -> None:
    assert client.get("/ask", params={"q": QUESTION, "as_of": day}).status_code == 422
    assert client.post("/ask", json={"question": QUESTION, "filters": {"as_of": day}}).status_code == 422
