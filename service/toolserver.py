"""The tools over MCP (Model Context Protocol): for one HTTP request, and over standard input and output."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp_types import Tool as ListedTool
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from index.corpus import Corpus
from index.encoding import load_encoder
from index.errors import ArticleNotFoundError, OverloadError, QuotelineError
from service.access import Caller
from service.deps import base_url_of
from service.problems import STATUSES
from service.readers import open_answerer, open_entailment, open_reader
from service.settings import Settings
from service.tools import INSTRUCTIONS, TOOLS, Means, Tool

Context = ServerRequestContext[Any, Any]


def create_server(means_of: Callable[[Context], Means], *, private: bool) -> Server[Any]:
    """Return a server of the tools.

    means_of: what the tools work with for one request; called on a thread, may block. Raises QuotelineError.
    private: the caller runs this process, and is told all of an error that is the corpus's, with the files it names.
    """

    async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_listed(name, tool) for name, tool in TOOLS.items()])

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        if params.name not in TOOLS:
            raise MCPError(INVALID_PARAMS, f"there is no tool {params.name!r}; there are {', '.join(TOOLS)}")
        try:
            return await anyio.to_thread.run_sync(_call, TOOLS[params.name], params.arguments or {}, context)
        except ValidationError as error:
            return _failed(_faults(error))
        except QuotelineError as error:
            return _failed(_said(error, private))
        except Exception:
            # The library would tell the caller what it says. The log has it, as it has what goes wrong in a route.
            _log().exception("the tool %s failed", params.name)
            return _failed("A fault of the server; its log says more. Asking again the same way will hardly help.")

    def _call(kind: type[Tool], arguments: dict[str, Any], context: Context) -> CallToolResult:
        tool = kind.model_validate(arguments)
        result = tool.run(means_of(context))
        text = TextContent(type="text", text=result.as_text())
        return CallToolResult(content=[text], structured_content=result.model_dump(mode="json"))

    return Server(
        "quoteline",
        title="Quoteline",
        version=version("quoteline"),
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


# --- over HTTP ------------------------------------------------------------------------------------------------------


async def answer_request(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one POST to /mcp: no session, and JSON instead of a stream. Who may ask was decided before."""
    # One for each request: what it keeps for the next would be sessions, and there are none.
    manager = StreamableHTTPSessionManager(_http_server(), json_response=True, stateless=True)
    async with manager.run():
        await manager.handle_request(scope, receive, send)


@cache
def _http_server() -> Server[Any]:
    return create_server(_means_of_request, private=False)


def _means_of_request(context: Context) -> Means:
    request = context.request
    # Over HTTP there always is one.
    if not isinstance(request, Request):
        raise TypeError(f"{type(request).__name__} is no HTTP request")
    state = request.app.state
    corpus, answerer = state.corpus, state.answerer
    if corpus is None or answerer is None:
        raise OverloadError("the corpus is still being opened, or the server is stopping; try again", retry_after=2)
    return Means(corpus, answerer, request.state.caller, base_url_of(request))


# --- over standard input and output ---------------------------------------------------------------------------------


def serve_stdio(settings: Settings, collections: Sequence[str] = ()) -> None:
    """Serve the corpus of the settings until standard input ends. collections: only these; all, where none is named.

    Logs go to standard error; whatever writes to standard output beside the protocol is sent there, too.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="quoteline: %(message)s")
    caller = Caller("stdio", frozenset({"ask"}), frozenset(collections) or None)
    anyio.run(_serve_stdio, settings, caller)


async def _serve_stdio(settings: Settings, caller: Caller) -> None:
    # The corpus is opened within: what the libraries print then is kept out of the protocol.
    async with stdio_server() as (read, write):
        with _opened(settings, caller) as opened:

            def means_of(_: Context) -> Means:
                means = opened.result()
                try:
                    means.corpus.refresh()
                except QuotelineError as error:
                    _log().warning("the corpus cannot catch up with its last changes: %s", error)
                return means

            server = create_server(means_of, private=True)
            await server.run(read, write, server.create_initialization_options())


@contextmanager
def _opened(settings: Settings, caller: Caller) -> Iterator[Future[Means]]:
    """Open the corpus beside what is done meanwhile: a host that starts this waits only seconds for its first word."""
    opened: Future[Means] = Future()

    def open_it() -> None:
        try:
            opened.set_result(_open(settings, caller))
        except BaseException as error:
            _log().error("the corpus cannot be opened: %s", error)
            opened.set_exception(error)

    # What is still opened when all ends has changed nothing that would have to be kept.
    threading.Thread(target=open_it, name="corpus", daemon=True).start()
    try:
        yield opened
    finally:
        if opened.done() and opened.exception() is None:
            opened.result().corpus.close()


def _open(settings: Settings, caller: Caller) -> Means:
    encoder = load_encoder(settings.model, settings.models_folder)
    corpus = Corpus(settings.corpus_folder, encoder, index=settings.index)
    try:
        answerer = open_answerer(corpus, settings, open_reader(settings), open_entailment(settings))
    except BaseException:
        corpus.close()
        raise
    # Articles without a URL of their own are shown by the server of these settings.
    return Means(corpus, answerer, caller, settings.public_url or f"http://{settings.host}:{settings.port}")


# --- what is said of tools and errors -------------------------------------------------------------------------------


def _listed(name: str, tool: type[Tool]) -> ListedTool:
    return ListedTool(
        name=name,
        description=tool.about,
        input_schema=_schema(tool.model_json_schema()),
        output_schema=_schema(tool.gives.model_json_schema(mode="serialization")),
        annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
    )


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without what only repeats names: each word of it is read by a model, in every conversation."""
    plain = {name: _schema(part) if isinstance(part, dict) else part for name, part in schema.items()}
    if isinstance(plain.get("title"), str):
        del plain["title"]
    return plain


def _failed(said: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=said)], is_error=True)


def _faults(error: ValidationError) -> str:
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    return f"The arguments cannot be used. {'; '.join(faults)}. Correct them and call again."


def _said(error: QuotelineError, private: bool) -> str:
    status, _ = next(row for kind, row in STATUSES.items() if isinstance(error, kind))
    if status >= 500 and not isinstance(error, OverloadError):
        _log().error("%s", error)
        if not private:
            # The message names files of this machine: it is for the log, not for whoever asked.
            return "The corpus cannot be used now; the server's log says more. Try again later."
    if isinstance(error, ArticleNotFoundError):
        return f"{error}; take an id from ask, search or list_articles"
    return str(error)


def _log() -> logging.Logger:
    return logging.getLogger("quoteline")
