import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from index.corpus import Corpus
from index.errors import CorpusDamagedError
from index.testing import HashingEncoder
from service.answering import Answer
from service.app import create_app
from service.metrics import count_change, count_refusal, observe_answer, render_metrics
from service.settings import Settings

CHECKOUT = Path(__file__).parents[2]

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def _parse(text: bytes) -> Samples:
    families = text_string_to_metric_families(text.decode())
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def _value(text: bytes, name: str, **labels: str) -> float:
    return _parse(text).get((f"quoteline_{name}", tuple(sorted(labels.items()))), 0)


def _answer(verdict: str = "answered") -> Answer:
    timings = {"encode": 2.0, "search": 3.0, "score": 4.0, "total": 10.0}
    return Answer("Why?", None, verdict, 1.0, "", (), (), 1, timings)  # type: ignore[arg-type]


def test_an_answer_is_counted_by_verdict_and_each_stage_in_seconds() -> None:
    before = render_metrics(None)
    observe_answer(_answer())
    observe_answer(_answer("perhaps"))
    after = render_metrics(None)
    for verdict, more in (("answered", 1), ("perhaps", 1), ("unanswered", 0)):
        name = "asks_total"
        assert _value(after, name, verdict=verdict) - _value(before, name, verdict=verdict) == more
    for stage, seconds in (("encode", 0.004), ("search", 0.006), ("score", 0.008), ("total", 0.02)):
        name = "ask_seconds_sum"
        assert _value(after, name, stage=stage) - _value(before, name, stage=stage) == pytest.approx(seconds)


def test_changes_and_refusals_are_counted_by_kind() -> None:
    before = render_metrics(None)
    count_change("added", 3)
    count_change("deleted")
    count_refusal("rate")
    after = render_metrics(None)
    for name, labels, more in (
        ("articles_changed_total", {"kind": "added"}, 3),
        ("articles_changed_total", {"kind": "deleted"}, 1),
        ("refused_total", {"reason": "rate"}, 1),
    ):
        assert _value(after, name, **labels) - _value(before, name, **labels) == more


def test_the_corpus_is_counted_as_it_is_when_it_is_asked_for(served: TestClient) -> None:
    text = served.get("/metrics").content
    ready = served.get("/readyz").json()
    for name in ("articles", "sentences", "passages", "generation"):
        assert _value(text, f"corpus_{name}") == ready[name] > 0
    corpus = served.app.state.corpus  # type: ignore[attr-defined]
    corpus.remove(["emoji"])
    assert _value(served.get("/metrics").content, "corpus_articles") == ready["articles"] - 1


def test_metrics_stay_there_while_the_corpus_cannot_be_counted(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def damaged() -> tuple[int, int, int]:
        raise CorpusDamagedError("page 3 is not what was written")

    monkeypatch.setattr(corpus.store, "counts", damaged)
    assert b"quoteline_in_flight" in render_metrics(corpus)
    assert "page 3" in caplog.text


def test_labels_are_templates_however_many_paths_and_methods_are_tried(served: TestClient) -> None:
    for n in range(5):
        served.get(f"/articles/private-{n}")
        served.get(f"/nowhere/private-{n}")
        served.request(f"BREW{n}", "/ask")
    text = served.get("/metrics").content
    assert b"private" not in text
    assert b"BREW" not in text
    routes = {dict(labels).get("route") for _, labels in _parse(text)} - {None}
    assert {"/articles/{article_id:path}", "unmatched"} <= routes
    assert _value(text, "requests_total", route="unmatched", method="GET", status="404") >= 5


def test_every_metric_has_the_prefix_and_the_type_is_prometheus_own(served: TestClient) -> None:
    response = served.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    names = re.findall(r"^# TYPE (\S+)", response.text, re.MULTILINE)
    assert len(names) > 5
    assert all(name.startswith("quoteline_") for name in names)


def test_applications_of_one_process_share_their_metrics(settings: Settings, hashing_encoder: HashingEncoder) -> None:
    for _ in range(2):
        app = create_app(settings, encoder=hashing_encoder)
        with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as client:
            assert client.get("/metrics").status_code == 200


_PROCESS = """
import sys
from service.metrics import IN_FLIGHT, count_change, observe_request, render_metrics
count_change("added", 2)
observe_request("/ask", "GET", 200, 0.2)
IN_FLIGHT.inc()
print("said", flush=True)
sys.stdin.readline()
sys.stdout.write(render_metrics(None).decode())
"""


def test_several_processes_are_summed_and_those_that_ended_are_at_work_on_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-c", _PROCESS],
            env=environment,
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    with start() as first, start() as second, start() as third:
        for process in (first, second, third):
            assert process.stdout is not None
            assert process.stdout.readline() == b"said\n"
        third.kill()
        third.wait()
        first_says, _ = first.communicate(b"\n", timeout=20)
        second_says, _ = second.communicate(b"\n", timeout=20)
    assert _value(first_says, "articles_changed_total", kind="added") == 6
    assert _value(first_says, "requests_total", route="/ask", method="GET", status="200") == 3
    assert _value(first_says, "request_seconds_sum", route="/ask") == pytest.approx(0.6)
    assert _value(first_says, "in_flight") == 2
    assert _value(second_says, "in_flight") == 1
