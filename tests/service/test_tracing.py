import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from index.testing import HashingEncoder
from service.app import create_app
from service.metrics import observe_answer
from service.settings import Settings
from service.tracing import start_tracing

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

CHECKOUT = Path(__file__).parents[2]
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector:
    """A collector of OpenTelemetry, as far as spans go."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.resources: list[dict[str, str]] = []
        self.spans: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                collector.paths.append(self.path)
                for of_resource in request.resource_spans:
                    attributes = of_resource.resource.attributes
                    collector.resources.append({one.key: one.value.string_value for one in attributes})
                    collector.spans.extend(span for scope in of_resource.scope_spans for span in scope.spans)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def attributes(self, name: str) -> dict[str, Any]:
        (span,) = (one for one in self.spans if one.name == name)
        return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    started = Collector()
    thread = threading.Thread(target=started.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", started.address)
    yield started
    started.server.shutdown()
    started.server.server_close()
    thread.join()


def _ask(settings: Settings, encoder: HashingEncoder, path: str, **headers: str) -> None:
    """Ask a server that then stops: what it has not sent by then, it never will."""
    app = create_app(settings, encoder=encoder)

    @app.get("/observed/{anything}")
    def observed(anything: str) -> None:
        observe_answer(app.state.answerer.ask(anything))

    @app.get("/broken")
    def broken() -> None:
        raise ValueError

    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as client:
        client.get(path, headers=headers)


def test_a_request_is_a_span_named_by_its_route_with_the_stages_of_its_answer(
    settings: Settings, hashing_encoder: HashingEncoder, collector: Collector
) -> None:
    _ask(settings, hashing_encoder, "/observed/Which-cheese")
    assert collector.paths == ["/v1/traces"]
    assert collector.resources[0]["service.name"] == "quoteline"
    attributes = collector.attributes("GET /observed/{anything}")
    assert attributes["http.response.status_code"] == 200
    assert attributes["http.request.method"] == "GET"
    assert attributes["http.route"] == "/observed/{anything}"
    assert attributes["quoteline.verdict"] == "unanswered"
    assert attributes["quoteline.total_ms"] > 0
    assert "cheese" not in str(collector.spans)


def test_a_trace_that_began_elsewhere_goes_on(
    settings: Settings, hashing_encoder: HashingEncoder, collector: Collector
) -> None:
    _ask(settings, hashing_encoder, "/healthz", traceparent=f"00-{TRACE}-{PARENT}-01")
    (span,) = collector.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)


@pytest.mark.parametrize(("path", "status", "failed"), [("/broken", 500, True), ("/nowhere", 404, False)])
def test_only_a_fault_of_the_server_is_an_error(
    settings: Settings, hashing_encoder: HashingEncoder, collector: Collector, path: str, status: int, failed: bool
) -> None:
    _ask(settings, hashing_encoder, path)
    (span,) = collector.spans
    assert collector.attributes(span.name)["http.response.status_code"] == status
    assert (span.status.code == span.status.STATUS_CODE_ERROR) == failed


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_SERVICE_NAME", "press"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=press")]
)
def test_the_service_is_called_as_the_environment_says(
    settings: Settings,
    hashing_encoder: HashingEncoder,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    _ask(settings, hashing_encoder, "/healthz")
    assert collector.resources[0]["service.name"] == "press"


def test_without_a_collector_or_switched_off_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    assert start_tracing() is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    assert start_tracing() is None


def test_without_a_collector_nothing_of_opentelemetry_is_imported() -> None:
    look = (
        "import sys; from service.app import create_app; from service.settings import Settings; create_app(Settings());"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", look], cwd=CHECKOUT, check=False).returncode == 0


def test_what_is_missing_is_named_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with caplog.at_level(logging.WARNING, "quoteline"):
        assert start_tracing() is None
    (record,) = caplog.records
    assert "quoteline[tracing]" in record.getMessage()
    assert "opentelemetry.exporter" in record.getMessage()
