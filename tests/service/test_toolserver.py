"""What the official MCP client gets, over HTTP and over standard input and output."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2
import pytest
from fastapi.testclient import TestClient
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from index.articles import Article
from index.corpus import Corpus
from index.encoding import Encoder
from index.errors import CorpusDamagedError, OverloadError
from index.testing import HashingEncoder
from service.keys import KeyStore
from service.settings import Settings
from service.tools import INSTRUCTIONS, TOOLS, Means
from service.toolserver import Context, create_server
from tests.service.conftest import EMOJI
from tests.service.live import fill, live_server

CHECKOUT = Path(__file__).parents[2]
DENIAL = "Iran denies sending any weaponry, including drones, to Russia."
QUESTION = "Did Iran deny sending drones?"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "somebody", "version": "1"},
    },
}
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, seeds: list[Article]) -> Iterator[str]:
    """The address of a server of the seeds and the emoji article."""
    with live_server(tmp_path_factory.mktemp("live"), [*seeds, EMOJI]) as address:
        yield address


def run(conversation: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with anyio.fail_after(120):
            await conversation()

    anyio.run(bounded)


def text_of(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


def fields_of(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, text_of(result)
    assert result.structured_content is not None
    return dict(result.structured_content)


# Over HTTP


# The handshake of 2025, and what came after it.
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_official_client_lists_and_calls_the_tools(live: str, mode: Literal["legacy", "auto"]) -> None:
    async def conversation() -> None:
        async with Client(f"{live}/mcp", mode=mode) as client:
            assert client.instructions == INSTRUCTIONS
            listed = (await client.list_tools()).tools
            assert [tool.name for tool in listed] == list(TOOLS)
            assert all(tool.output_schema and tool.annotations and tool.annotations.read_only_hint for tool in listed)
            # The client holds each result against its schema.
            answer = await client.call_tool("ask", {"question": QUESTION})
            first = fields_of(answer)["citations"][0]
            assert first["quote"] == DENIAL
            assert f"[1] {DENIAL}" in text_of(answer)
            reading = await client.call_tool("read_article", {"citation_id": first["id"], "length": 300})
            assert DENIAL in fields_of(reading)["text"]
            assert fields_of(await client.call_tool("search", {"words": "drones"}))["sentences"]
            assert fields_of(await client.call_tool("list_articles", {"title": "launch"}))["total"] == 1
            verified = fields_of(await client.call_tool("verify_quote", {"quote": DENIAL}))
            assert (verified["verdict"], verified["places"][0]["id"]) == ("verbatim", first["id"])

    run(conversation)


def test_an_answer_is_that_of_ask_and_links_lead_to_the_server_that_was_asked(live: str) -> None:
    answer = httpx2.get(f"{live}/ask", params={"q": QUESTION, "top_k": 3}).json()

    async def conversation() -> None:
        async with Client(f"{live}/mcp") as client:
            told = fields_of(await client.call_tool("ask", {"question": QUESTION, "top_k": 3}))
            assert (told["verdict"], told["probability"]) == (answer["verdict"], answer["probability"])
            for citation, asked in zip(told["citations"], answer["citations"], strict=True):
                shared = (citation.keys() & asked.keys()) - {"times"}
                assert {name: citation[name] for name in shared} == {name: asked[name] for name in shared}
                assert citation["also_in"] == [place["id"] for place in asked["places"]]
            assert told["citations"][0]["speaker"] == "denied by Iran"
            assert told["citations"][0]["link"].startswith(f"{live}/articles/")

    run(conversation)


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("ask", {"question": "???"}, "ask something like"),
        ("ask", {"question": QUESTION, "sorces": ["Reuters"]}, "sorces: Extra inputs are not permitted"),
        ("ask", {"question": QUESTION, "date_from": "yesterday"}, "a day is written like 2022-10-28"),
        ("ask", {}, "question: Field required"),
        ("read_article", {"article_id": "nope"}, "take an id from ask, search or list_articles"),
        ("read_article", {"citation_id": "nope"}, "take one from an answer"),
    ],
)
def test_an_error_says_what_to_do_next(live: str, tool: str, arguments: dict[str, object], said: str) -> None:
    async def conversation() -> None:
        async with Client(f"{live}/mcp") as client:
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert said in text_of(result)

    run(conversation)


def test_an_unknown_tool_is_an_error_that_names_those_there_are(live: str) -> None:
    async def conversation() -> None:
        async with Client(f"{live}/mcp") as client:
            with pytest.raises(MCPError, match="there are ask, search"):
                await client.call_tool("nope", {})

    run(conversation)


def test_many_may_call_at_once(live: str) -> None:
    async def conversation() -> None:
        async with Client(f"{live}/mcp", mode="legacy") as client, anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(ask, client)

    async def ask(client: Client) -> None:
        assert fields_of(await client.call_tool("ask", {"question": QUESTION}))["verdict"] == "answered"

    run(conversation)


# Who may


def test_a_key_limits_what_the_tools_see(tmp_path: Path, seeds: list[Article]) -> None:
    keys = KeyStore(tmp_path / "keys.json")
    _, token = keys.create("a model", ["ask"], ["letters"])
    _, feeding = keys.create("a feeder", ["manage"])
    letter = Article(id="letter", text=EMOJI.text, body=EMOJI.body, collection="letters")
    with live_server(tmp_path, [*seeds, letter]) as address:

        @asynccontextmanager
        async def with_key(key: str) -> AsyncIterator[Client]:
            async with (
                httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http,
                Client(streamable_http_client(f"{address}/mcp", http_client=http), mode="legacy") as client,
            ):
                yield client

        async def conversation() -> None:
            async with with_key(token) as client:
                listing = fields_of(await client.call_tool("list_articles", {}))
                assert [one["id"] for one in listing["articles"]] == ["letter"]
                assert fields_of(await client.call_tool("ask", {"question": QUESTION}))["verdict"] == "unanswered"
                hidden = await client.call_tool("read_article", {"article_id": seeds[0].id})
                assert "there is no article" in text_of(hidden)
                refused = await client.call_tool("ask", {"question": QUESTION, "collections": ["default"]})
                assert refused.is_error
                assert "this key is not for 'default'" in text_of(refused)

        run(conversation)
        for headers, status in (({}, 401), ({"Authorization": f"Bearer {feeding}"}, 403)):
            refused = httpx2.post(f"{address}/mcp", json=INITIALIZE, headers={**HEADERS, **headers})
            assert (refused.status_code, refused.json()["status"]) == (status, status)


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Host": "rebound.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_pages_of_other_sites_are_kept_out(served: TestClient, headers: dict[str, str]) -> None:
    assert served.post("/mcp", json=INITIALIZE, headers=HEADERS).status_code == 200
    assert served.post("/mcp", json=INITIALIZE, headers={**HEADERS, **headers}).status_code == 403


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_there_are_no_streams_and_no_sessions(served: TestClient, method: str) -> None:
    answer = served.request(method, "/mcp", headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert "mcp-session-id" not in served.post("/mcp", json=INITIALIZE, headers=HEADERS).headers


def test_requests_are_counted_under_their_address_and_answers_by_their_verdict(served: TestClient) -> None:
    def asks() -> list[str]:
        return [line for line in served.get("/metrics").text.splitlines() if line.startswith("quoteline_asks_total")]

    before = asks()
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "ask", "arguments": {"question": QUESTION}},
    }
    assert DENIAL in served.post("/mcp", json=call, headers=HEADERS).text
    assert asks() != before
    assert 'quoteline_requests_total{method="POST",route="/mcp",status="200"}' in served.get("/metrics").text


# Faults


def _server_error(error: Exception, *, private: bool) -> str:
    """Return what a caller is told where `error` is raised."""

    def means_of(_: Context) -> Means:
        raise error

    said = []

    async def conversation() -> None:
        async with Client(create_server(means_of, private=private)) as client:
            result = await client.call_tool("ask", {"question": QUESTION})
            assert result.is_error
            said.append(text_of(result))

    run(conversation)
    return said[0]


def test_no_caller_is_told_of_faults_or_files_but_the_log_is(caplog: pytest.LogCaptureFixture) -> None:
    assert "secret" not in _server_error(ValueError("a secret"), private=False)
    assert "a secret" in caplog.text
    damage = CorpusDamagedError("/a/secret/file is damaged; run `quoteline check`")
    assert "secret" not in _server_error(damage, private=False)
    assert "/a/secret/file" in caplog.text
    # Who runs the process has to know.
    assert _server_error(damage, private=True) == str(damage)
    busy = OverloadError("the corpus is still being opened; try again")
    assert _server_error(busy, private=False) == str(busy)


def test_those_who_never_speak_the_protocol_do_not_load_it() -> None:
    code = "import sys, service.app, service.cli; print(any(name.partition('.')[0] == 'mcp' for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# Over standard input and output

# `quoteline mcp` with the encoder that needs no model; the noise is what libraries make.
NOISY = """
import os, sys
from index.testing import HashingEncoder
from service import toolserver
from service.cli import main

def load(*_, **__):
    print("noise of Python")
    os.write(1, b"noise of a library\\n")
    return HashingEncoder()

toolserver.load_encoder = load
main()
"""


def test_over_standard_output_goes_the_protocol_and_nothing_else(tmp_path: Path, seeds: list[Article]) -> None:
    settings = Settings(data=tmp_path, reader="none")
    fill(settings, [*seeds, EMOJI])
    script = tmp_path / "noisy.py"
    script.write_text(NOISY, encoding="utf-8")
    environment = {"QUOTELINE_DATA": str(tmp_path), "QUOTELINE_READER": "none", "PYTHONPATH": str(CHECKOUT)}
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    calling = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "list_articles", "arguments": {}}}
    initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    with subprocess.Popen(
        [sys.executable, str(script), "mcp"],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        answers = {}
        for message in (INITIALIZE, initialized, listing, calling):
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            if "id" in message:
                answer = json.loads(process.stdout.readline())
                answers[answer["id"]] = answer
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(timeout=60) == 0
        logged = process.stderr.read().decode()
    assert set(answers) == {1, 2, 3}
    assert answers[3]["result"]["structuredContent"]["total"] == len(seeds) + 1
    assert "noise of Python" in logged
    assert "noise of a library" in logged


def test_over_standard_output_changes_are_followed_and_collections_are_limits(
    tmp_path: Path, seeds: list[Article]
) -> None:
    settings = Settings(data=tmp_path, reader="none")
    fill(settings, seeds)
    script = tmp_path / "noisy.py"
    script.write_text(NOISY, encoding="utf-8")
    environment = {"QUOTELINE_DATA": str(tmp_path), "QUOTELINE_READER": "none", "PYTHONPATH": str(CHECKOUT)}
    letter = Article(id="letter", text=EMOJI.text, body=EMOJI.body, collection="letters")

    async def conversation() -> None:
        process = StdioServerParameters(
            command=sys.executable, args=[str(script), "mcp", "--collection", "letters"], env=environment
        )
        async with Client(process) as client:
            assert fields_of(await client.call_tool("list_articles", {}))["total"] == 0
            # As a server beside it does.
            other = Corpus(settings.corpus_folder, HashingEncoder())
            assert [outcome.kind for outcome in other.add([letter])] == ["added"]
            other.close()
            asked = fields_of(await client.call_tool("ask", {"question": "When did the rocket rise?"}))
            assert {one["article_id"] for one in asked["citations"] + asked["nearest"]} == {"letter"}
            assert fields_of(await client.call_tool("list_articles", {}))["total"] == 1

    run(conversation)


@pytest.mark.model
def test_the_command_answers_the_first_question_of_the_readme(tmp_path: Path, real_encoder: Encoder) -> None:
    command = str(Path(sys.executable).with_name("quoteline"))
    environment = {"QUOTELINE_DATA": str(tmp_path), "QUOTELINE_MODELS": str(CHECKOUT / "var" / "models")}
    added = [command, "add", str(CHECKOUT / "seeds")]
    subprocess.run(added, env={**os.environ, **environment}, check=True, capture_output=True, timeout=300)

    async def conversation() -> None:
        async with Client(StdioServerParameters(command=command, args=["mcp"], env=environment)) as client:
            answer = fields_of(await client.call_tool("ask", {"question": QUESTION}))
            assert (answer["verdict"], answer["citations"][0]["quote"]) == ("answered", DENIAL)

    run(conversation)
