import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from index.articles import Article, Span
from index.corpus import Corpus
from index.testing import HashingEncoder
from service.answering import Answer, Answerer
from service.app import create_app
from service.plaintext import WIDTH
from service.settings import Settings

QUESTION = "Did Iran deny sending drones?"
WORDS = st.sampled_from(
    "Iran Ukraine drones rocket café guests minister denied who when 🚀 said Kyiv the of nothing".split()  # noqa: SIM905
)


def test_every_citation_sliced_out_of_its_article_equals_its_quote(served: TestClient) -> None:
    for question in (QUESTION, "Who was hurt at the rocket's launch?", "Was the café full?", "And the cheese?"):
        answer = served.post("/ask", json={"question": question, "top_k": 20}).json()
        citations = answer["citations"] + answer["nearest"]
        assert citations
        for citation in citations:
            _check_offsets(served, citation)


@given(st.lists(WORDS, min_size=1, max_size=8).map(" ".join).filter(lambda question: any(map(str.isalnum, question))))
@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_quotes_stand_where_they_say(served: TestClient, question: str) -> None:
    answer = served.get("/ask", params={"q": question, "top_k": 50}).json()
    for citation in answer["citations"] + answer["nearest"]:
        _check_offsets(served, citation)


def _check_offsets(client: TestClient, citation: dict[str, Any]) -> None:
    text: str = client.get(f"/articles/{citation['article_id']}").json()["text"]
    assert text[citation["start_char"] : citation["end_char"]] == citation["quote"]
    units = text.encode("utf-16-le")
    cut = units[2 * citation["start_utf16"] : 2 * citation["end_utf16"]]
    assert cut.decode("utf-16-le") == citation["quote"]


def test_every_part_sliced_out_of_its_article_equals_its_text_and_lies_in_its_quote(served: TestClient) -> None:
    parts = 0
    for question in ("Who did deny sending drones?", "Which cafe\u0301 was full of guests?", "What did rise at dawn?"):
        for citation in served.post("/ask", json={"question": question, "top_k": 20}).json()["citations"]:
            if (part := citation["part"]) is None:
                continue
            parts += 1
            assert citation["start_char"] <= part["start_char"] < part["end_char"] <= citation["end_char"]
            _check_offsets(served, {**part, "article_id": citation["article_id"], "quote": part["text"]})
    assert parts >= 3


@pytest.mark.parametrize(
    ("query", "bold"),
    [
        ("", False),
        ("&color", True),
        ("&color=always", True),
        ("&color=NEVER", False),
        ("&color=0", False),
        ("&color&T", False),
        ("&T", False),
    ],
)
def test_colour_is_there_where_it_is_asked_for_and_only_in_text(served: TestClient, query: str, bold: bool) -> None:
    url = f"/ask?q=Which+rocket+rose+at+dawn?{query}"
    text = served.get(url, headers={"Accept": "text/plain"}).text
    assert ("\x1b[1mrocket rose at dawn\x1b[0m." in text) is bold
    assert ("\x1b" in text) is bold
    assert "\\u001b" not in served.get(url).text.lower()


def test_post_and_get_give_the_same_answer(served: TestClient) -> None:
    by_post = served.post("/ask", json={"question": QUESTION, "top_k": 3}).json()
    by_get = served.get("/ask", params={"q": QUESTION, "top_k": 3}).json()
    del by_post["timings_ms"], by_get["timings_ms"]
    assert by_post == by_get


def test_comparing_is_switched_off_by_who_asks_on_every_wire(
    served: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    ask = Answerer.ask

    def noting(self: Answerer, *given: Any, compare: bool = True, **more: Any) -> Answer:  # noqa: ANN401 - passed on
        asked.append(compare)
        return ask(self, *given, compare=compare, **more)

    monkeypatch.setattr(Answerer, "ask", noting)
    page = {"Accept": "text/html"}
    chat = {"messages": [{"role": "user", "content": QUESTION}]}
    for said in ({}, {"compare": True}, {"compare": False}):
        written = {name: str(value).lower() for name, value in said.items()}
        served.get("/ask", params={"q": QUESTION, **written})
        served.post("/ask", json={"question": QUESTION, **said})
        served.get("/", params={"q": QUESTION, **written}, headers=page)
        served.post("/v1/chat/completions", json={**chat, **said})
        served.post("/v1/responses", json={"input": QUESTION, **said})
    assert asked == [True] * 10 + [False] * 5
    served.post("/v1/responses", json={"input": QUESTION, "compare": None})
    assert asked.pop() is True
    assert served.get("/ask", params={"q": QUESTION, "compare": "maybe"}).status_code == 422
    assert served.post("/v1/chat/completions", json={**chat, "compare": "no"}).status_code == 400


def test_what_is_not_compared_is_null_or_empty_and_never_left_out(served: TestClient) -> None:
    answer = served.post("/ask", json={"question": QUESTION, "compare": False}).json()
    assert answer["comparison"] is None
    for citation in answer["citations"]:
        assert {name: citation[name] for name in ("says", "attribution", "times", "places")} == {
            "says": None,
            "attribution": None,
            "times": [],
            "places": [],
        }


def test_the_verdict_stands_in_a_header_for_scripts(served: TestClient) -> None:
    answer = served.get("/ask", params={"q": QUESTION})
    assert answer.headers["Quoteline-Verdict"] == answer.json()["verdict"]


@pytest.mark.parametrize(
    ("agent", "accept", "media_type"),
    [
        ("curl/8.5.0", "*/*", "text/plain"),
        ("Wget/1.21", "*/*", "text/plain"),
        ("HTTPie/3.2", "*/*", "text/plain"),
        ("curl/8.5.0", "application/json", "application/json"),
        ("Mozilla/5.0", "text/plain", "text/plain"),
        ("Mozilla/5.0", "*/*", "application/json"),
        ("python-requests/2", "*/*", "application/json"),
    ],
)
def test_terminals_get_text_and_an_explicit_accept_wins(
    served: TestClient, agent: str, accept: str, media_type: str
) -> None:
    answer = served.get("/ask", params={"q": QUESTION}, headers={"User-Agent": agent, "Accept": accept})
    assert answer.headers["content-type"].startswith(media_type)


def test_text_ends_with_a_newline_and_holds_each_quote_on_one_line(served: TestClient) -> None:
    quotes = [one["quote"] for one in served.get("/ask", params={"q": QUESTION}).json()["citations"]]
    text = served.get("/ask", params={"q": QUESTION}, headers={"Accept": "text/plain"}).text
    assert text.endswith("\n")
    assert [quote for quote in quotes if f"] {quote}\n" not in text] == []
    assert all(len(line) <= WIDTH for line in text.splitlines() if not line.startswith("["))


def test_a_plus_is_a_space(served: TestClient) -> None:
    assert served.get("/ask?q=Did+Iran+deny").json()["question"] == "Did Iran deny"


def test_filters_admit_what_they_say(served: TestClient) -> None:
    def sources(**filters: object) -> set[str]:
        answer = served.post("/ask", json={"question": "What was said?", "top_k": 50, "filters": filters}).json()
        return {one["article_id"] for one in answer["citations"] + answer["nearest"]}

    assert sources(source="space daily") == {"emoji"}
    assert sources(source=["Space Daily", "Reuters"]) == {"emoji"}
    assert sources(article_ids=["001_f9805e720cab0587"]) == {"001_f9805e720cab0587"}
    assert sources(date_from="2022-10-28", date_to="2022-10-28") == {"001_f9805e720cab0587"}
    assert sources(date_from="2022-10-29") == set()


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({}, "question"),
        ({"question": "Why?", "top_k": 0}, "top_k"),
        ({"question": "Why?", "topk": 5}, "topk"),
        ({"question": "Why?", "filters": {"date_from": "yesterday"}}, "date_from"),
        ({"question": "x" * 2001}, "question"),
        ({"question": "?!"}, "no word"),
        ({"question": "Why?", "filters": {"date_from": "2023-01-01", "date_to": "2022-01-01"}}, "swap"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(served: TestClient, body: dict[str, object], what: str) -> None:
    problem = served.post("/ask", json=body)
    assert problem.status_code == 422
    assert problem.headers["content-type"] == "application/problem+json"
    assert what in problem.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("DELETE", "/ask", 405),
        ("GET", "/ask", 422),
        ("GET", "/articles/none", 404),
        ("GET", "/articles/none/text", 404),
        ("GET", "/articles?limit=0", 422),
    ],
)
def test_every_error_is_a_problem_document(served: TestClient, method: str, path: str, status: int) -> None:
    problem = served.request(method, path)
    assert problem.status_code == status
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["status"] == status
    assert problem.json()["detail"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/ask", "GET, POST"),
        ("/articles", "GET, POST"),
        ("/articles/emoji", "GET, PUT, DELETE"),
        ("/articles/emoji/text", "GET"),
        ("/verify", "POST"),
    ],
)
def test_a_refused_method_is_told_all_that_the_address_takes(served: TestClient, path: str, methods: str) -> None:
    for method in ("PATCH", "OPTIONS"):
        refused = served.request(method, path)
        assert (refused.status_code, refused.headers["Allow"]) == (405, methods)


def test_a_filter_bounds_each_source_and_how_many_there_are(served: TestClient) -> None:
    def ask(source: object) -> int:
        return served.post("/ask", json={"question": "Who?", "filters": {"source": source}}).status_code

    assert [ask("s" * 1000), ask(["s" * 1000] * 2), ask(["s"] * 1000)] == [200, 200, 200]
    assert [ask("s" * 1001), ask(["s" * 1001]), ask(["s"] * 1001)] == [422, 422, 422]
    assert served.get("/ask", params={"q": "Who?", "source": "s" * 1001}).status_code == 422


def test_a_day_in_a_filter_is_a_day_and_no_time_of_unix(served: TestClient) -> None:
    for path in ("/articles", "/ask"):
        for day, status in (("2022-10-28", 200), ("0001-01-01", 200), ("0", 422), ("86400", 422), ("20221028", 422)):
            assert served.get(path, params={"q": "Who?", "date_from": day}).status_code == status
    posted = served.post("/ask", json={"question": "Who?", "filters": {"date_from": 0}})
    assert (posted.status_code, posted.json()["errors"][0]["where"]) == (422, "body.filters.date_from")


def test_a_quote_is_looked_for_in_so_many_collections_at_most(served: TestClient) -> None:
    body = {"quote": "The rocket rose", "collection": ["default"] * 1001}
    assert served.post("/verify", json=body).status_code == 422


def test_a_body_that_is_no_json_is_a_problem_too(served: TestClient) -> None:
    problem = served.post("/ask", content=b"{", headers={"Content-Type": "application/json"})
    assert (problem.status_code, problem.headers["content-type"]) == (422, "application/problem+json")


def test_an_unexpected_error_says_nothing_of_itself(served: TestClient) -> None:
    served.app.state.corpus.store.close()  # type: ignore[attr-defined]
    served.app.state.answerer = None  # type: ignore[attr-defined]
    problem = served.get("/ask", params={"q": "Why?"})
    assert problem.status_code == 500
    assert "NoneType" not in problem.text


def test_articles_are_listed_a_page_at_a_time(served: TestClient) -> None:
    first = served.get("/articles", params={"limit": 2}).json()
    assert first["total"] == 3
    assert [one["id"] for one in first["articles"]] == ["000_37d8f9fddf4df80c", "001_f9805e720cab0587"]
    rest = served.get("/articles", params={"limit": 2, "after": first["next_after"]}).json()
    assert ([one["id"] for one in rest["articles"]], rest["next_after"]) == (["emoji"], None)


def test_an_article_says_where_its_metadata_was_taken_from(served: TestClient) -> None:
    first = served.get("/articles/000_37d8f9fddf4df80c").json()
    second = served.get("/articles/001_f9805e720cab0587").json()
    assert (first["title"], first["date"]) == ("Ukraine to Iran: Stop sending weapons to Russia", None)
    assert (second["title"], second["date"]) == (None, "2022-10-28")
    for article in (first, second):
        for name, taken in article["metadata_from"].items():
            assert article["text"][taken["start_char"] : taken["end_char"]] == article[name]


def test_the_spans_of_an_article_are_its_sentences_in_both_units(served: TestClient) -> None:
    article = served.get("/articles/emoji").json()
    units = article["text"].encode("utf-16-le")
    for span in article["sentence_spans"]:
        quote = article["text"][span["start_char"] : span["end_char"]]
        assert units[2 * span["start_utf16"] : 2 * span["end_utf16"]].decode("utf-16-le") == quote
    assert len(article["sentence_spans"]) == article["sentences"] == 4


def test_the_text_of_an_article_is_the_file_itself(served: TestClient) -> None:
    seed = Path(__file__).parents[2] / "seeds" / "001_f9805e720cab0587.txt"
    assert served.get("/articles/001_f9805e720cab0587/text").content == seed.read_bytes()


def test_a_path_of_this_machine_is_nowhere_on_the_wire(served: TestClient) -> None:
    everything = served.get("/articles").text + served.get("/articles/000_37d8f9fddf4df80c").text
    assert str(served.app.state.settings.data) not in everything  # type: ignore[attr-defined]
    assert "seeds/" not in everything


def test_health_and_readiness(served: TestClient) -> None:
    assert served.get("/healthz").json() == {"status": "ok"}
    ready = served.get("/readyz").json()
    assert (ready["status"], ready["articles"]) == ("ready", 3)


def test_a_change_by_another_process_is_seen_without_a_restart(served: TestClient) -> None:
    other = Corpus(served.app.state.settings.corpus_folder, served.app.state.corpus.encoder)  # type: ignore[attr-defined]
    other.remove(["emoji"])
    other.close()
    deadline = time.monotonic() + 10
    while served.get("/readyz").json()["generation"] < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    answer = served.get("/ask", params={"q": "Who saw the rocket rise?", "top_k": 50}).json()
    assert "emoji" not in {one["article_id"] for one in answer["citations"] + answer["nearest"]}


def test_help_names_the_server_that_was_asked(served: TestClient) -> None:
    assert "curl 'http://127.0.0.1:8000/ask?q=" in served.get("/").text


def test_the_script_asks_the_server_that_it_came_from(served: TestClient) -> None:
    script = served.get("/ask.sh")
    assert script.headers["content-type"].startswith("text/x-shellscript")
    assert "QUOTELINE_SERVER:-http://127.0.0.1:8000}" in script.text


def test_json_keeps_letters_as_they_are(served: TestClient) -> None:
    assert "“" in json.dumps(served.get("/ask", params={"q": QUESTION}).json(), ensure_ascii=False)


def test_an_id_may_be_a_url(settings: Settings, hashing_encoder: HashingEncoder) -> None:
    article = Article(id="http://dbpedia.org/a?b#c", text="The rocket rose.", body=Span(0, 16))
    corpus = Corpus(settings.corpus_folder, hashing_encoder)
    assert [outcome.kind for outcome in corpus.add([article])] == ["added"]
    corpus.close()
    app = create_app(settings, encoder=hashing_encoder)
    with TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000)) as client:
        citation = client.get("/ask", params={"q": "Which rocket rose?"}).json()["citations"][0]
        assert '<mark id="cited"' in client.get(citation["link"].split("#")[0]).text
        assert client.get(f"/articles/{quote(article.id, safe='')}").json()["id"] == article.id
