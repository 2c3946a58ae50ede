import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service import straight

QUESTION = "Did Iran deny sending drones?"


@pytest.fixture
def detour(served: TestClient, monkeypatch: pytest.MonkeyPatch) -> "Detour":
    return Detour(served, monkeypatch)


class Detour:
    """A client whose requests can be sent past the straight way."""

    def __init__(self, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self._client, self._monkeypatch = client, monkeypatch

    def both(self, content: bytes, headers: Mapping[str, str]) -> tuple[Any, Any]:
        """Return what the straight way and FastAPI's own answer, without what differs from one answer to the next."""
        straightly = self._answer(content, headers)
        with self._monkeypatch.context() as patch:
            patch.setattr(straight, "_may_be_plain", lambda _: False)
            return straightly, self._answer(content, headers)

    def _answer(self, content: bytes, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - whatever is answered
        response = self._client.post("/ask", content=content, headers=dict(headers))
        body: Any = response.content
        if response.headers["content-type"].endswith("json"):
            body = {name: value for name, value in response.json().items() if name != "timings_ms"}
        kept = {
            name: value for name, value in response.headers.items() if name not in {"x-request-id", "content-length"}
        }
        return response.status_code, kept, body


JSON = {"Content-Type": "application/json"}
_EACH_ITS_OWN = {"x-request-id", "content-length"}


@pytest.mark.parametrize(
    "body",
    [
        {"question": QUESTION},
        {"question": QUESTION, "top_k": 2, "compare": False},
        {"question": "When did they?", "turns": [{"question": QUESTION, "quotes": ["Iran denies it."]}]},
        {"question": QUESTION, "filters": {"source": "Space Daily", "date_from": "2022-10-01"}},
        {"question": "🚀 cafe\u0301?"},
        {"question": "?!"},
        {"question": QUESTION, "top_k": 0},
        {"question": QUESTION, "top_k": "3"},
        {"question": QUESTION, "compare": "no"},
        {"question": QUESTION, "other": 1},
        {"question": QUESTION, "filters": {"date_from": "2022-10-02", "date_to": "2022-10-01"}},
        {"question": QUESTION, "filters": {"collection": "No Name"}},
        {"question": "x" * 3000},
        {},
        [],
        "text",
    ],
)
def test_the_straight_way_answers_as_the_route_does(detour: Detour, body: object) -> None:
    straightly, routed = detour.both(json.dumps(body).encode(), JSON)
    assert straightly == routed


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", JSON),
        (b"{", JSON),
        (b'{"question": "\\ud800"}', JSON),
        (b'{"question": "Who?", "top_k": NaN}', JSON),
        (b'\xef\xbb\xbf{"question": "Who denies it?"}', JSON),
        ('{"question": "Who denies it?"}'.encode("utf-16"), JSON),
        (b'{"question": "\xff"}', JSON),
        (b"[" * 100_000, JSON),
        (b'{"question": "Who denies it?"}', {}),
        (b'{"question": "Who denies it?"}', {"Content-Type": "text/plain"}),
        (b'{"question": "Who denies it?"}', {"Content-Type": "application/json; charset=utf-8"}),
        (b'{"question": "Who denies it?"}', {**JSON, "Accept": "text/plain"}),
        (b'{"question": "Who denies it?"}', {**JSON, "Accept": "text/plain;q=0.5, application/json"}),
        (b'{"question": "Who denies it?"}', {**JSON, "Origin": "https://elsewhere.example"}),
        (b'{"question": "Who denies it?"}', {**JSON, "Host": "elsewhere.example"}),
    ],
)
def test_what_is_odd_is_answered_as_the_route_does(detour: Detour, content: bytes, headers: dict[str, str]) -> None:
    straightly, routed = detour.both(content, headers)
    assert straightly == routed


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 200) | st.sampled_from(["", QUESTION, "x", "2022-10-01", "default"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["question", "quotes", "source", "collection", "as_of"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_BODIES = st.fixed_dictionaries(
    {"question": st.sampled_from([QUESTION, "Who?", 3])},
    optional=dict.fromkeys(("turns", "top_k", "filters", "compare"), _VALUES),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=_BODIES)
def test_whatever_is_sent_both_ways_answer_the_same(detour: Detour, body: dict[str, object]) -> None:
    straightly, routed = detour.both(json.dumps(body).encode(), JSON)
    assert straightly == routed


def test_a_plain_question_takes_the_straight_way_and_is_logged_and_counted_as_its_route(
    served: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(straight, "_again", fail)
    with caplog.at_level("INFO", logger="quoteline"):
        assert served.post("/ask", json={"question": QUESTION}).status_code == 200
    [line] = [record for record in caplog.records if record.message == "request"]
    assert line.__dict__["fields"]["route"] == "/ask"
    assert line.__dict__["fields"]["verdict"] == "answered"
    assert 'quoteline_requests_total{method="POST",route="/ask",status="200"}' in served.get("/metrics").text


def test_without_a_corpus_the_straight_way_says_so(served: TestClient, tmp_path: Path) -> None:
    served.app.state.corpus = None  # type: ignore[attr-defined]
    refused = served.post("/ask", json={"question": QUESTION})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")


def test_an_answer_that_was_given_before_is_counted(served: TestClient) -> None:
    def counted() -> float:
        lines = served.get("/metrics").text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("quoteline_asks_remembered_total "))

    before = counted()
    first, second = (served.post("/ask", json={"question": QUESTION}).json() for _ in range(2))
    assert counted() == before + 1
    assert set(second.pop("timings_ms")) == {"remembered", "total"}
    first.pop("timings_ms")
    assert first == second
    assert "remembered" in served.get("/ask", params={"q": QUESTION}).json()["timings_ms"]
