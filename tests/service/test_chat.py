"""What chat frontends send and read. The shapes are those that their own sources name; see service/routes/chat.py."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from anyio import CapacityLimiter
from fastapi.testclient import TestClient
from openai.types.responses import Response as OpenAIResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.articles import Article, Span
from index.errors import CorpusDamagedError
from service import streaming
from service.answering import Answerer
from service.completions import ChatWire, Reply, ResponseWire, count_tokens
from service.gate import Gate
from service.keys import KeyStore
from service.markdown import Piece, escape, quotes_in
from service.streaming import ReplyStream
from tests.service.answers import CONTESTED
from tests.service.live import live_server

QUESTION = "What rose at dawn?"
QUOTE = "The rocket 🚀 rose at dawn."
HOSTILE = (
    "The [rocket](javascript:alert(1)) <script>alert(1)</script> *fell* at [[1]](https://evil.example) dusk "
    "![x](https://evil.example/x.png) & cost $1 or $2."
)


def _article(name: str, text: str, **facts: Any) -> Article:  # noqa: ANN401 - whatever a field holds
    return Article(id=name, text=text, body=Span(0, len(text)), **facts)


ARTICLES = [
    _article(
        "launch",
        f"{QUOTE} Nobody was hurt.",
        title="A launch",
        source="Space Daily",
        url="https://example.org/launch?id=1",
        collection="space",
    ),
    _article("https://example.org/id", f"{HOSTILE} It rained.", title="[A](https://evil.example) *fall*"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that asks for no key."""
    with live_server(tmp_path_factory.mktemp("chat"), ARTICLES) as address:
        yield address


@pytest.fixture
def client(server: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let streams begin with their answer, however slow the machine is; tests of those that do not say so."""
    monkeypatch.setattr(streaming, "AT_ONCE", 60)


def _post(server: str, path: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(f"{server}/v1/{path}", json=body, headers={"User-Agent": "test", **headers}, timeout=60)


def _chat(*contents: object, **rest: object) -> dict[str, object]:
    """Return the body of a request, in which the user and the assistant speak in turn."""
    roles = ["user", "assistant"] * len(contents)
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    return {"model": "quoteline", "messages": messages, **rest}


def _chunks(server: str, body: dict[str, object], **headers: str) -> list[dict[str, Any]]:
    response = _post(server, "chat/completions", {**body, "stream": True}, **headers)
    assert response.status_code == 200, response.text
    *lines, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def _content(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


# OpenAI's own client


def test_the_openai_client_reads_a_completion_with_its_citations(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="quoteline",
        messages=[{"role": "system", "content": "Be funny."}, {"role": "user", "content": QUESTION}],
        temperature=0.5,
        tools=[{"type": "function", "function": {"name": "search", "parameters": {}}}],
    )
    [choice] = answer.choices
    content = choice.message.content or ""
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    assert quotes_in(content)[0] == QUOTE
    citations = [one.url_citation for one in choice.message.annotations or []]
    assert citations[0].title == "A launch"
    assert citations[0].url.startswith("https://example.org/launch?id=1#:~:text=")
    assert content[citations[0].start_index : citations[0].end_index] == f"[[1]]({citations[0].url})"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == count_tokens(content)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_openai_client_reads_a_stream_of_chunks_that_make_the_same(client: openai.OpenAI) -> None:
    asked: Any = {"model": "quoteline", "messages": [{"role": "user", "content": QUESTION}]}
    whole = client.chat.completions.create(**asked).choices[0].message
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.content
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) >= 3
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_the_openai_client_reads_a_response_with_its_citations(client: openai.OpenAI) -> None:
    response = client.responses.create(model="quoteline", input=QUESTION, instructions="Be funny.")
    _check_response(response)


def test_the_openai_client_reads_a_stream_of_events_in_their_order(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="quoteline", input=QUESTION, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type.removeprefix("response.") for event in events]
    opening = ["created", "in_progress", "output_item.added", "content_part.added"]
    closing = ["output_text.done", "content_part.done", "output_item.done", "completed"]
    assert (kinds[:4], kinds[-4:]) == (opening, closing)
    assert set(kinds[4:-4]) == {"output_text.delta", "output_text.annotation.added"}
    done = events[-1]
    assert done.type == "response.completed"
    _check_response(done.response)
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == done.response.output_text
    with client.responses.stream(model="quoteline", input=QUESTION) as stream:
        assert stream.get_final_response().output_text == text


def _check_response(response: OpenAIResponse) -> None:
    assert (response.status, response.object, response.error) == ("completed", "response", None)
    assert quotes_in(response.output_text)[0] == QUOTE
    [message] = response.output
    assert message.type == "message"
    [text] = message.content
    assert text.type == "output_text"
    first = text.annotations[0]
    assert first.type == "url_citation"
    assert response.output_text[first.start_index : first.end_index] == f"[[1]]({first.url})"
    assert response.usage is not None
    assert response.usage.output_tokens == count_tokens(response.output_text)


def test_models_are_the_collections(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["quoteline", "quoteline/default", "quoteline/space"]
    assert client.models.retrieve("quoteline/space").owned_by == "quoteline"
    answer = client.chat.completions.create(
        model="quoteline/space", messages=[{"role": "user", "content": "Which rocket fell at dusk?"}]
    )
    assert HOSTILE not in quotes_in(answer.choices[0].message.content or "")


@pytest.mark.parametrize("model", ["gpt-4", "quoteline/", "quoteline/nothing", "quotelinespace"])
def test_a_model_that_there_is_none_of_is_not_found(
    client: openai.OpenAI, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "AT_ONCE", 0)
    asked: Any = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    for call in (
        lambda: client.chat.completions.create(**asked),
        lambda: client.chat.completions.create(**asked, stream=True),
        lambda: client.responses.create(model=model, input=QUESTION),
    ):
        with pytest.raises(openai.NotFoundError) as raised:
            call()
        assert raised.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ([{"role": "system", "content": "Be funny."}], None),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}], None),
        ([{"role": "user", "content": "?"}], None),
        ([{"role": "user", "content": 5}], "messages.0.content"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_no_question_is_a_bad_request(
    client: openai.OpenAI,
    messages: Any,  # noqa: ANN401 - as badly typed as sent
    param: str | None,
    stream: bool,
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="quoteline", messages=messages, stream=stream)
    assert raised.value.type == "invalid_request_error"
    assert (raised.value.param or "").startswith(param or "")
    assert raised.value.body


def test_a_conversation_that_is_kept_elsewhere_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model="quoteline", input="Why?", previous_response_id="resp_1")
    assert raised.value.param == "previous_response_id"


def test_a_key_goes_as_a_bearer_and_shows_the_models_of_its_collections(tmp_path: Path) -> None:
    _, all_of_it = KeyStore(tmp_path / "keys.json").create("all", ["ask"])
    _, limited = KeyStore(tmp_path / "keys.json").create("limited", ["ask"], collections=["space"])
    _, elsewhere = KeyStore(tmp_path / "keys.json").create("elsewhere", ["ask"], collections=["else"])
    _, manager = KeyStore(tmp_path / "keys.json").create("manager", ["manage"])
    with live_server(tmp_path, ARTICLES) as address:
        clients = {
            name: openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)
            for name, key in {"all": all_of_it, "limited": limited, "elsewhere": elsewhere}.items()
        }
        seen = {name: [model.id for model in one.models.list()] for name, one in clients.items()}
        assert seen["limited"] == ["quoteline", "quoteline/space"]
        assert seen["elsewhere"] == ["quoteline"]
        assert seen["all"] == ["quoteline", "quoteline/default", "quoteline/space"]
        with pytest.raises(openai.NotFoundError):
            clients["elsewhere"].models.retrieve("quoteline/space")
        fell: Any = {"model": "quoteline", "messages": [{"role": "user", "content": "What fell at dusk?"}]}
        found = {name: one.chat.completions.create(**fell).choices[0].message.content for name, one in clients.items()}
        assert [HOSTILE in quotes_in(found[name] or "") for name in ("all", "limited", "elsewhere")] == [
            True,
            False,
            False,
        ]
        for one in clients.values():
            one.close()
        for key, status, code in (("none", 401, "invalid_api_key"), (manager, 403, "insufficient_permissions")):
            with openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0) as refused:
                with pytest.raises(openai.APIStatusError) as raised:
                    refused.chat.completions.create(**fell)
                assert (raised.value.status_code, raised.value.code) == (status, code)
                assert raised.value.type == "invalid_request_error"


# The frontends


def test_open_webui_gets_each_citation_as_one_source_in_a_chunk_with_choices(server: str) -> None:
    chunks = _chunks(server, _chat(QUESTION), **{"User-Agent": "Python/3.11 aiohttp/3.13.2"})
    assert all("choices" in chunk and "type" not in chunk for chunk in chunks)
    events = [chunk["event"] for chunk in chunks if "event" in chunk]
    assert [event["data"] for event in events if event["type"] == "status"] == [
        {"description": "Looking through the articles", "done": False},
        {"description": "Found sentences that answer", "done": True},
    ]
    sources = [event["data"] for event in events if event["type"] == "source"]
    assert sources[0]["document"] == [QUOTE]
    assert [len(source["metadata"]) for source in sources] == [len(source["distances"]) for source in sources]
    assert 0 < sources[0]["distances"][0] <= 1
    assert sources[0]["source"]["name"] == sources[0]["metadata"][0]["name"] == "A launch"
    assert sources[0]["source"]["url"].startswith("https://example.org/launch?id=1#:~:text=")
    names = [source["metadata"][0]["source"] for source in sources]
    assert len(set(names)) == len(quotes_in(_content(chunks)))
    assert not [name for name in names if name.startswith("http")]
    # It would make a second passage of each.
    assert not [chunk for chunk in chunks if any("annotations" in choice["delta"] for choice in chunk["choices"])]


def test_lobechat_gets_annotations_on_the_last_chunk_which_has_no_content(server: str) -> None:
    chunks = _chunks(server, _chat(QUESTION), **{"User-Agent": "OpenAI/JS 4.104.0"})
    annotated = [chunk for chunk in chunks if "annotations" in chunk["choices"][0]["delta"]]
    assert annotated == [chunks[-1]]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert set(chunks[-1]["choices"][0]["delta"]) == {"annotations"}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


def test_the_vercel_sdk_gets_annotations_with_the_four_fields_that_it_requires_and_no_others(server: str) -> None:
    last = _chunks(server, _chat(QUESTION))[-1]
    whole = _post(server, "chat/completions", _chat(QUESTION)).json()
    for annotations in (last["choices"][0]["delta"]["annotations"], whole["choices"][0]["message"]["annotations"]):
        assert annotations
        for one in annotations:
            assert set(one) == {"type", "url_citation"}
            assert one["type"] == "url_citation"
            assert set(one["url_citation"]) == {"start_index", "end_index", "url", "title"}
    response = _post(server, "responses", {"model": "quoteline", "input": [{"role": "user", "content": QUESTION}]})
    for one in response.json()["output"][0]["content"][0]["annotations"]:
        assert set(one) == {"type", "start_index", "end_index", "url", "title"}


def test_librechat_and_chatbox_get_links_in_the_text_and_empty_annotations_where_there_are_none(server: str) -> None:
    content = _post(server, "chat/completions", _chat(QUESTION)).json()["choices"][0]["message"]["content"]
    assert " [[1]](https://example.org/launch?id=1#:~:text=" in content
    none = _post(server, "responses", {"input": "Whose xylophone zigzags quixotically?"}).json()
    assert none["output"][0]["content"][0]["annotations"] == []


def test_what_is_whole_has_the_sources_too(server: str) -> None:
    answer = _post(server, "chat/completions", _chat(QUESTION))
    assert answer.headers["Quoteline-Verdict"] == "answered"
    assert answer.json()["sources"][0]["document"] == [QUOTE]


def test_sources_come_in_the_order_of_their_marks_where_sides_have_another() -> None:
    reply = Reply.of(CONTESTED, perhaps=0.2)
    quotes = [CONTESTED.citations[place].quote for place in (0, 2, 1, 3)]
    whole = ChatWire("quoteline", "", annotated=True, usage=False).whole(reply)
    assert [source.document for source in whole.sources] == [[quote] for quote in quotes]
    text, annotations = whole.choices[0].message.content, whole.choices[0].message.annotations
    marks = [text[one.url_citation.start_index : one.url_citation.end_index] for one in annotations]
    assert [mark.partition("(")[0] for mark in marks] == ["[[1]]", "[[2]]", "[[3]]", "[[4]]"]
    told = b"".join(ChatWire("quoteline", "", annotated=True, usage=False).telling(reply)).decode()
    chunks = [json.loads(line.removeprefix("data: ")) for line in told.split("\n\n") if line.startswith("data: {")]
    assert _content(chunks) == text
    events = [chunk["event"]["data"] for chunk in chunks if chunk.get("event", {}).get("type") == "source"]
    assert [data["document"] for data in events] == [[escape(quote)] for quote in quotes]
    flat = ResponseWire("quoteline", "").whole(reply).output[0].content[0]
    assert [flat.text[one.start_index : one.end_index] for one in flat.annotations] == marks


def test_titles_and_suggestions_are_answered_without_asking_the_corpus(
    served: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answerer, "ask", lambda *_, **__: pytest.fail("the corpus was asked"))
    prompt = (
        '### Task:\nDo it.\n### Output:\nJSON format: { "title": "your concise title here" }\n### Chat History:\n'
        f"<chat_history>\nUSER: {QUESTION}\nASSISTANT: \n</chat_history>"
    )
    answer = served.post("/v1/chat/completions", json=_chat(prompt))
    assert json.loads(answer.json()["choices"][0]["message"]["content"]) == {"title": "What rose at dawn"}
    assert "Quoteline-Verdict" not in answer.headers
    assert "What rose at dawn" in served.post("/v1/responses", json={"input": prompt, "stream": True}).text


def test_a_question_about_tasks_is_answered(server: str) -> None:
    answer = _post(server, "chat/completions", _chat("What does ### Task mean?"))
    assert "Quoteline-Verdict" in answer.headers


# What is asked


def test_the_conversation_goes_to_the_answerer_with_the_quotes_of_our_own_earlier_answers(
    served: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    ask = Answerer.ask

    def noting(self: Answerer, question: str, **rest: Any) -> Any:  # noqa: ANN401 - passed on
        asked.update(rest, question=question)
        return ask(self, question, **rest)

    first = served.post("/v1/chat/completions", json=_chat("Which rocket rose at dawn?")).json()
    said = first["choices"][0]["message"]["content"]
    monkeypatch.setattr(Answerer, "ask", noting)
    parts = [{"type": "text", "text": "And who"}, {"type": "image_url"}, {"type": "text", "text": "was hurt?"}]
    served.post("/v1/chat/completions", json=_chat("Which rocket rose at dawn?", said, parts))
    assert asked["question"] == "And who\nwas hurt?"
    [turn] = asked["turns"]
    assert turn.question == "Which rocket rose at dawn?"
    assert turn.quotes
    assert turn.quotes[0] == "🚀 The rocket rose at dawn."
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said}]}]
    items = [{"role": "user", "content": "Which rocket rose at dawn?"}, *output, {"type": "item_reference", "id": "x"}]
    question = {"role": "user", "content": [{"type": "input_text", "text": "Why?"}]}
    served.post("/v1/responses", json={"input": [*items, question]})
    assert (asked["question"], asked["turns"]) == ("Why?", [turn])


def test_what_an_article_holds_comes_back_word_for_word_and_makes_no_link(server: str) -> None:
    answer = _post(server, "chat/completions", _chat("What fell at dusk?")).json()
    content = answer["choices"][0]["message"]["content"]
    assert HOSTILE in quotes_in(content)
    assert "](javascript:" not in content
    assert "](https://evil" not in content
    assert "<script" not in content
    hostile = next(source for source in answer["sources"] if source["document"] == [HOSTILE])
    assert hostile["source"]["url"].startswith(f"{server}/articles/")
    assert f"({hostile['source']['url']})" in content


def test_in_a_stream_a_passage_is_markdown_and_its_link_bears_a_fragment_more(server: str) -> None:
    # Open WebUI shows the one as Markdown, and puts `#:~:text=First,Last` behind the other.
    chunks = _chunks(server, _chat("What fell at dusk?"))
    sources = [chunk["event"]["data"] for chunk in chunks if chunk.get("event", {}).get("type") == "source"]
    hostile = next(source for source in sources if source["document"] == [escape(HOSTILE)])
    assert hostile["source"]["url"].startswith(f"{server}/articles/")
    assert hostile["source"]["url"].endswith("#cited:~:x=")
    assert all(source["source"]["url"].endswith((":~:x=", "&x=")) for source in sources)


# Streams


@pytest.mark.parametrize("error", [CorpusDamagedError("in /secret"), ValueError("in /secret")])
@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_errors_before_the_first_byte_have_a_status_and_later_ones_an_event(
    served: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception, path: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        time.sleep(pause)
        raise error

    monkeypatch.setattr(Answerer, "ask", fail)
    body = {**_chat(QUESTION, stream=True), "input": QUESTION}
    pause = 0.0
    early = served.post(f"/v1/{path}", json=body)
    assert early.status_code >= 500
    assert early.json()["error"]["type"] == "server_error"
    pause = 0.5
    monkeypatch.setattr(streaming, "AT_ONCE", 0.01)
    late = served.post(f"/v1/{path}", json=body)
    assert late.status_code == 200
    events = [line.removeprefix("data: ") for line in late.text.splitlines() if line.startswith("data: {")]
    told = json.loads(events[-1])
    assert told["error"]["type"] == "server_error"
    assert "log" in told["error"]["message"]
    assert "secret" not in late.text + early.text
    # To the Vercel AI SDK a chunk of a completion has no type.
    assert told.get("type") == (None if path == "chat/completions" else "error")


def test_a_stream_begins_at_once_however_long_the_answer_takes(
    served: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Answerer.ask

    def slow(self: Answerer, question: str, **rest: Any) -> Any:  # noqa: ANN401 - passed on
        time.sleep(0.5)
        return ask(self, question, **rest)

    quick = served.post("/v1/chat/completions", json=_chat(QUESTION, stream=True))
    assert quick.headers["Quoteline-Verdict"]
    monkeypatch.setattr(Answerer, "ask", slow)
    monkeypatch.setattr(streaming, "AT_ONCE", 0.01)
    late = served.post("/v1/chat/completions", json=_chat(QUESTION, stream=True))
    assert "Quoteline-Verdict" not in late.headers
    assert [line.count("content") for line in late.text.splitlines()] == [
        line.count("content") for line in quick.text.splitlines()
    ]
    for response in (quick, late):
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert (response.headers["Cache-Control"], response.headers["X-Accel-Buffering"]) == ("no-cache", "no")


def test_a_client_that_goes_away_frees_its_place_while_its_reply_waits_for_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streaming, "AT_ONCE", 0.01)
    made: list[str] = []

    async def leave_and_come_again() -> list[Message]:
        threads = CapacityLimiter(1)
        gate = Gate(_tells_noting(made, threads), in_flight=1)
        await threads.acquire_on_behalf_of("another")
        left = asyncio.Event()
        sent: list[Message] = []
        waiting = asyncio.create_task(gate(_scope("left"), _receive_until(left), _note_in(sent)))
        while not sent:
            await asyncio.sleep(0.01)
        left.set()
        await asyncio.wait_for(waiting, 10)
        threads.release_on_behalf_of("another")
        sent.clear()
        await asyncio.wait_for(gate(_scope("came"), _receive_until(asyncio.Event()), _note_in(sent)), 10)
        return sent

    sent = asyncio.run(leave_and_come_again())
    assert sent[0]["status"] == 200
    assert made == ["came"]


def _scope(name: str) -> Scope:
    return {"type": "http", "method": "POST", "path": name, "headers": [], "query_string": b""}


def _tells_noting(made: list[str], limiter: CapacityLimiter) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        def make() -> Reply:
            made.append(scope["path"])
            return Reply((Piece("x"),))

        await ReplyStream(make, ChatWire("m", "", annotated=True, usage=True), limiter)(scope, receive, send)

    return app


def _receive_until(left: asyncio.Event) -> Receive:
    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    return receive


def _note_in(sent: list[Message]) -> Send:
    async def send(message: Message) -> None:
        sent.append(message)

    return send


def test_fifty_streams_at_once_are_all_answered(server: str) -> None:
    async def ask(client: httpx.AsyncClient, number: int) -> tuple[int, str]:
        body = _chat(f"{QUESTION} {number}", stream=True)
        response = await client.post(f"{server}/v1/chat/completions", json=body)
        return response.status_code, response.text

    async def ask_all() -> list[tuple[int, str]]:
        async with httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=50)) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(50)))

    for status, text in asyncio.run(ask_all()):
        assert status == 200
        assert text.endswith("data: [DONE]\n\n")
        assert '"type":"source"' in text
