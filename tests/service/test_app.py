import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from index.confidence import Calibration
from index.corpus import Corpus
from index.encoding import Context, Encoder
from index.errors import CorpusBusyError, ReaderError, WeightsError
from index.frames import LONGEST_FRAME
from index.reading import WIDTHS, Reader, Reading
from index.testing import HashingEncoder, OverlapReader
from service import app as app_module
from service.app import create_app, create_worker_app
from service.settings import Settings

Load = Callable[[], Encoder]


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Callable[[Load], None]:
    """Let the encoder that the settings name be loaded by a function."""

    def use(load: Load) -> None:
        monkeypatch.setattr(app_module, "load_encoder", lambda *_: load())

    return use


def _client(app: FastAPI) -> TestClient:
    """Return a client on this machine, which may do everything."""
    return TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000))


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _is_ready(client: TestClient) -> bool:
    return client.get("/readyz").status_code == 200


def test_the_server_listens_before_the_corpus_is_open_and_says_when_it_is(
    settings: Settings, hashing_encoder: HashingEncoder, loading: Callable[[Load], None]
) -> None:
    go_on = threading.Event()

    def slowly() -> Encoder:
        assert go_on.wait(10)
        return hashing_encoder

    loading(slowly)
    app = create_app(settings)
    with _client(app) as client:
        assert client.get("/healthz").status_code == 200
        waiting = client.get("/readyz")
        assert (waiting.status_code, waiting.headers["retry-after"]) == (503, "2")
        assert waiting.headers["content-type"] == "application/problem+json"
        assert "quoteline_corpus_articles" not in client.get("/metrics").text
        go_on.set()
        _until(lambda: _is_ready(client))
        assert app.state.answerer.ask("Why?").verdict == "unanswered"


@pytest.mark.parametrize("error", [WeightsError("the weights are not those"), RuntimeError("nobody expected that")])
def test_a_corpus_that_cannot_be_opened_is_tried_again_and_the_log_says_why(
    settings: Settings,
    hashing_encoder: HashingEncoder,
    loading: Callable[[Load], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    monkeypatch.setattr(app_module, "AGAIN", 0.05)
    mended = threading.Event()

    def load() -> Encoder:
        if not mended.is_set():
            raise error
        return hashing_encoder

    loading(load)
    with _client(create_app(settings)) as client:
        _until(lambda: caplog.text.count("cannot be opened") >= 2)
        assert not _is_ready(client)
        mended.set()
        _until(lambda: _is_ready(client))
    assert str(error) in caplog.text
    assert ("Traceback" in caplog.text) == isinstance(error, RuntimeError)


def test_an_encoder_is_loaded_once_however_often_the_corpus_is_tried(
    settings: Settings,
    hashing_encoder: HashingEncoder,
    loading: Callable[[Load], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app_module, "AGAIN", 0.01)
    loads: list[int] = []
    attempts: list[int] = []

    def load() -> Encoder:
        loads.append(1)
        return hashing_encoder

    def open_at_the_third(folder: Path, encoder: Encoder, **_: object) -> Corpus:
        attempts.append(1)
        if len(attempts) < 3:
            raise CorpusBusyError("another process is changing it")
        return Corpus(folder, encoder)

    loading(load)
    monkeypatch.setattr(app_module, "Corpus", open_at_the_third)
    with _client(create_app(settings)) as client:
        _until(lambda: _is_ready(client))
    assert (len(loads), len(attempts)) == (1, 3)


def test_a_server_that_stops_while_it_is_opening_does_not_wait_for_it(
    settings: Settings, loading: Callable[[Load], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "_GIVE_UP", 0.1)
    go_on = threading.Event()

    def forever() -> Encoder:
        go_on.wait(10)
        raise WeightsError("none")

    loading(forever)
    with _client(create_app(settings)):
        began = time.monotonic()
    assert time.monotonic() - began < 5
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "corpus":
            thread.join()


def test_the_corpus_is_closed_when_the_server_ends(settings: Settings, hashing_encoder: HashingEncoder) -> None:
    app = create_app(settings, encoder=hashing_encoder)
    with _client(app):
        corpus = app.state.corpus
        assert corpus is not None
    assert app.state.corpus is None
    assert app.state.answerer is None
    assert "corpus" not in {thread.name for thread in threading.enumerate()}


def test_trouble_with_catching_up_is_logged_once_and_asking_goes_on(
    settings: Settings,
    hashing_encoder: HashingEncoder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(app_module, "WATCH", 0.01)
    app = create_app(settings, encoder=hashing_encoder)
    looks: list[int] = []

    def refuse() -> None:
        looks.append(1)
        raise (CorpusBusyError("another process") if len(looks) < 10 else RuntimeError("worse"))

    with _client(app), caplog.at_level(logging.WARNING, "quoteline"):
        monkeypatch.setattr(app.state.corpus, "refresh", refuse)
        _until(lambda: len(looks) >= 20)
        assert app.state.answerer.ask("Why?").verdict == "unanswered"
        monkeypatch.undo()
    said = [record.getMessage() for record in caplog.records if "catch up" in record.getMessage()]
    assert len(said) == 2
    assert "another process" in said[0]
    assert "RuntimeError: worse" in said[1]


# The reader


class NotingReader(OverlapReader):
    """Notes what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[str, Context]] = []

    def read(self, question: str, passages: Sequence[Context]) -> list[list[Reading]]:
        self.noted += [(question, passage) for passage in passages]
        return super().read(question, passages)


def test_with_an_encoder_given_the_reader_given_reads_and_none_is_none(
    settings: Settings, hashing_encoder: HashingEncoder, overlap_reader: OverlapReader
) -> None:
    named = settings.model_copy(update={"reader": "no/such/model"})
    for reader, name in ((overlap_reader, "overlap"), (None, None)):
        with _client(create_app(named, encoder=hashing_encoder, reader=reader)) as client:
            assert (client.get("/readyz").json()["encoder"], client.get("/readyz").json()["reader"]) == (
                "hashing",
                name,
            )


def test_the_reader_has_read_passages_of_all_lengths_before_the_first_question(
    settings: Settings, hashing_encoder: HashingEncoder
) -> None:
    reader = NotingReader()
    with _client(create_app(settings, encoder=hashing_encoder, reader=reader)):
        noted = reader.noted
        assert noted
    assert all(span.of(passage.text)[-1] == "." for _, passage in noted for span in passage.spans)
    assert all(passage.spans[-1].end == len(passage.text) for _, passage in noted)
    for question in {question for question, _ in noted}:
        # Two tokens more for each full stop and question mark, three around question and passage.
        lengths = [len(f"{q} {p.text}".replace(".", " .").split()) + 4 for q, p in noted if q == question]
        assert {next((width for width in WIDTHS if width >= length), LONGEST_FRAME) for length in lengths} == set(
            WIDTHS
        )


def test_nothing_is_warmed_that_is_not_used(settings: Settings, hashing_encoder: HashingEncoder) -> None:
    reader = NotingReader()
    idle = settings.model_copy(update={"read": 0})
    with _client(create_app(idle, encoder=hashing_encoder, reader=reader)) as client:
        assert client.get("/readyz").json()["reader"] is None
    assert reader.noted == []


def test_the_reader_of_the_settings_is_loaded_once_and_the_encoder_not_again_where_that_fails(
    settings: Settings,
    hashing_encoder: HashingEncoder,
    loading: Callable[[Load], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(app_module, "AGAIN", 0.01)
    loads: list[str] = []

    def load() -> Encoder:
        loads.append("encoder")
        return hashing_encoder

    def load_reader(_: Settings) -> Reader:
        loads.append("reader")
        if len(loads) < 3:
            raise ReaderError("there is no such reader")
        return OverlapReader()

    loading(load)
    monkeypatch.setattr(app_module, "open_reader", load_reader)
    with _client(create_app(settings)) as client:
        _until(lambda: _is_ready(client))
        assert client.get("/readyz").json()["reader"] == "overlap"
    assert loads == ["encoder", "reader", "reader"]
    assert "there is no such reader" in caplog.text


def test_the_calibration_of_another_reader_keeps_a_server_from_being_ready_until_it_is_made_again(
    settings: Settings,
    hashing_encoder: HashingEncoder,
    loading: Callable[[Load], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(app_module, "AGAIN", 0.01)
    loading(lambda: hashing_encoder)
    settings = settings.model_copy(update={"calibration": settings.calibration_file})
    Calibration("another", {}, {}, {}).save(settings.calibration_file)
    with _client(create_app(settings)) as client:
        _until(lambda: "made for the reader 'another'" in caplog.text)
        assert not _is_ready(client)
        Calibration("", {}, {}, {}).save(settings.calibration_file)
        _until(lambda: _is_ready(client))


# What stands around the routes


def test_every_answer_of_whatever_kind_has_safe_headers_and_an_id(
    settings: Settings, hashing_encoder: HashingEncoder
) -> None:
    app = create_app(settings, encoder=hashing_encoder)

    @app.get("/fault")
    def fault() -> None:
        raise ValueError

    with _client(app) as client:
        answers = [
            client.get("/healthz"),
            client.get("/nowhere"),
            client.get("/fault"),
            client.get("/ask?q=" + "x" * 20_000),
            client.post("/ask", content=b"{", headers={"Content-Length": str(1 << 30)}),
            client.get("/docs"),
        ]
    assert [answer.status_code for answer in answers] == [200, 404, 500, 414, 413, 200]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert len(answer.headers["x-request-id"]) == 32


def test_settings_bound_what_is_let_in(settings: Settings, hashing_encoder: HashingEncoder) -> None:
    tight = settings.model_copy(update={"max_body": 1, "in_flight": 1})
    app = create_app(tight, encoder=hashing_encoder)
    inside: list[int] = []

    @app.get("/nested")
    def nested() -> None:
        inside.append(client.get("/ask?q=why").status_code)
        inside.append(client.get("/healthz").status_code)

    with _client(app) as client:
        client.get("/nested")
        assert client.post("/ask", content=b"x" * ((1 << 20) + 1)).status_code == 413
    assert inside == [503, 200]


def _preflight(client: TestClient, origin: str) -> "tuple[int, str | None]":
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = client.options("/ask", headers=headers)
    return answer.status_code, answer.headers.get("access-control-allow-origin")


def test_no_page_of_another_site_may_read_answers_unless_it_is_named(
    settings: Settings, hashing_encoder: HashingEncoder
) -> None:
    named, other = "https://news.example", "https://other.example"
    with _client(create_app(settings, encoder=hashing_encoder)) as client:
        assert _preflight(client, named) == (405, None)
        assert "access-control-allow-origin" not in client.get("/healthz", headers={"Origin": named}).headers
    open_to = settings.model_copy(update={"cors": f"{named}, https://second.example"})
    with _client(create_app(open_to, encoder=hashing_encoder)) as client:
        assert _preflight(client, named) == (200, named)
        assert _preflight(client, other)[1] is None
        answer = client.get("/healthz", headers={"Origin": named}).headers
        assert answer["access-control-allow-origin"] == named
        assert "access-control-allow-credentials" not in answer
        assert answer["access-control-expose-headers"] == "X-Request-ID, Quoteline-Verdict"


def test_a_worker_knows_its_settings_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data=tmp_path, patience=7, fetch=True, cors="https://a.example", workers=3)
    for name, value in app_module._environment(settings).items():
        monkeypatch.setenv(name, value)
    worker = create_worker_app()
    assert isinstance(worker, FastAPI)
    assert worker.state.settings == settings


def test_patience_reaches_the_protocol(settings: Settings, hashing_encoder: HashingEncoder) -> None:
    app = create_app(settings.model_copy(update={"patience": 7.0}), encoder=hashing_encoder)
    with _client(app) as client:
        assert client.app_state["patience"] == 7.0
