"""Articles on their way in and out: added, replaced, deleted."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import anyio
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from index.batches import Outcome
from index.errors import (
    CollectionError,
    CorpusError,
    FormatError,
    InputError,
    MediaTypeError,
    QuotelineError,
    TooLargeError,
)
from index.formats import MAX_DOCUMENT_BYTES
from service.adding import Adder, Result, Said
from service.deps import AdderDep, CallerDep, CorpusDep, TurnsDep
from service.gate import JSON_LINES
from service.metrics import count_change
from service.problems import responses
from service.routes.articles import NearDuplicate, name_below, near_duplicates
from service.said import URL_PATTERN, WORD_PATTERN, ArticleId, SaidFields, SaidOfNew, in_document
from service.turns import Turns


class _Itself(APIRoute):
    """An article's own address, which `/articles/news/text` is not: that lies below `news`, as when it is read.

    The article `news/text` is at `/articles/news%2Ftext`.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.NONE, {}) if name_below(scope) else super().matches(scope)


router = APIRouter(prefix="/articles", tags=["articles"], route_class=_Itself)

_LINES = "application/x-ndjson"
# Lines that are added together: as many as came, up to so many or so many bytes.
_TOGETHER, _TOGETHER_BYTES = 64, 1024 * 1024


class Added(BaseModel):
    """What became of an article that was sent."""

    kind: Literal["added", "replaced", "unchanged"]
    article_id: str
    version: int
    collection: str
    sentences: int = Field(description="how many it was split into; 0 where it was unchanged")
    near_duplicates: list[NearDuplicate] = Field(
        description="articles that say nearly the same, of those that the caller may see, most similar first; all are "
        "kept. None where it was unchanged"
    )


class AddedLine(Added):
    """What became of one line, or of one entry of a feed, counted from 1."""

    line: int


class FailedLine(BaseModel):
    """Why one line, or one entry of a feed, was not added."""

    line: int
    error: str


class LinesResponse(StreamingResponse):
    """JSON Lines, written while the request is still being read."""

    media_type = _LINES

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        # Not as its base does, which may listen for the client to leave, and would swallow what the client sends.
        await self.stream_response(send)


Text = Annotated[str, in_document(minLength=1, pattern=WORD_PATTERN)]
# What must be there: a text, an address, or a feed without either.
_EITHER: list[JsonValue] = [
    {"required": ["text"], "properties": {"text": {"type": "string"}, "feed": {"type": "null"}}},
    {"required": ["url"], "properties": {"url": {"type": "string"}, "feed": {"type": "null"}}},
    {
        "required": ["feed"],
        "properties": {"feed": {"type": "string"}, "text": {"type": "null"}, "url": {"type": "null"}},
    },
]


class SentArticle(SaidOfNew):
    """An article as JSON: its text, the address to fetch it from, or that of a feed that lists several."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"anyOf": _EITHER, "examples": [{"text": "It was Friday."}]},
    )

    text: Text | None = Field(None, description="the text; without it what is at `url` is fetched")
    feed: Annotated[str, Field(max_length=2000), in_document(maxLength=2000, pattern=URL_PATTERN)] | None = Field(
        None, description="the address of a feed to fetch; only where the server fetches"
    )

    @model_validator(mode="after")
    def _is_something(self) -> "SentArticle":
        if self.feed is not None and (self.text is not None or self.url is not None):
            raise ValueError("send a feed, or a text, not both")
        if self.feed is None and self.text is None and self.url is None:
            raise ValueError('send a "text", or the "url" of one')
        return self


_FILE = {"schema": {"type": "string", "format": "binary", "description": "the file; its kind is told by its name"}}
_TEXT = {"schema": {"type": "string", "minLength": 1, "pattern": WORD_PATTERN}}


def _bodies(article: dict[str, Any], said: type[SaidFields]) -> dict[str, Any]:
    """Return the request body of a route as OpenAPI says it: an article as JSON, as a file, or in a form."""
    form = {"file": _FILE["schema"], **said.model_json_schema()["properties"]}
    return {
        "required": True,
        "content": {
            "application/json": {"schema": article},
            "text/plain": _TEXT,
            "text/markdown": _TEXT,
            "text/html": _TEXT,
            "application/pdf": _FILE,
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["file"], "additionalProperties": False, "properties": form}
            },
        },
    }


def _without(schema: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the schema of an object without some of its fields; one that has to have them is left out."""
    either = [one for one in schema["anyOf"] if not set(one["required"]) & set(names)]
    fields = {name: field for name, field in schema["properties"].items() if name not in names}
    return {**schema, "anyOf": either, "properties": fields}


_SENT = SentArticle.model_json_schema()
# Where the address names the article, it is one article. A body may name it, too, if it says the same.
_ONE = _bodies(_without(_SENT, "id", "feed"), SaidFields)
_MANY = _bodies(_SENT, SaidOfNew)
_MANY["content"][_LINES] = {
    "schema": {
        "type": "string",
        "description": "one article per line, as JSON",
        "examples": ['{"id": "a1", "text": "It was Friday."}\n{"id": "a2", "text": "It rained."}\n'],
    }
}
_RESULT_LINES = {
    _LINES: {
        "schema": {
            "type": "string",
            "description": "per line what became of it, or why it was not added, as JSON",
            "examples": [
                AddedLine(
                    line=1,
                    kind="added",
                    article_id="a1",
                    version=1,
                    collection="default",
                    sentences=1,
                    near_duplicates=[NearDuplicate(id="a0", similarity=0.93)],
                ).model_dump_json()
                + "\n"
                + FailedLine(line=2, error="the record's text is blank").model_dump_json()
                + "\n"
            ],
        }
    }
}
_ERRORS = responses(400, 401, 403, 408, 409, 413, 414, 415, 422, 429, 500, 503)


@router.post(
    "",
    status_code=201,
    response_model=Added,
    response_description="It was added.",
    responses={
        200: {"description": "It was there already, or replaced another version.", "model": Added}
        | {"content": _RESULT_LINES},
        **_ERRORS,
    },
    openapi_extra={"requestBody": _MANY},
    summary="Add an article, or many",
)
async def add_article(
    request: Request, adder: AdderDep, turns: TurnsDep, caller: CallerDep, said: Annotated[SaidOfNew, Query()]
) -> Response:
    """Add one article: as JSON, as the body of a text, Markdown, HTML or PDF file, or as a file in a form.

    What the query or the form says of it goes before what it says of itself. The same id, or without an id the same
    URL, with other content becomes a new version; the same content again is no change.

    `application/x-ndjson` brings one article per line, of any number, and is answered line by line as they are added.
    """
    if _media_type(request) in JSON_LINES:
        turns.check()
        results = _add_lines(request, turns, adder, said.to_said(), caller.collections)
        return LinesResponse(results)
    return await _add_sent(request, turns, adder, caller.collections, said.to_said())


# An id may hold slashes (many data sets use URLs as ids), hence `:path`.
@router.put(
    "/{article_id:path}",
    response_model=Added,
    response_description="It replaced another version, or was there already.",
    responses={201: {"description": "There was none of that id.", "model": Added}, **_ERRORS},
    openapi_extra={"requestBody": _ONE},
    summary="Replace an article",
)
async def replace_article(
    article_id: Annotated[ArticleId, Path()],
    request: Request,
    adder: AdderDep,
    turns: TurnsDep,
    caller: CallerDep,
    said: Annotated[SaidFields, Query()],
) -> Response:
    """Put an article in the place of the one of that id, or add it. The older version stays readable."""
    return await _add_sent(request, turns, adder, caller.collections, said.to_said(), article_id)


@router.delete(
    "/{article_id:path}",
    status_code=204,
    response_class=Response,
    response_description="It was deleted.",
    responses=responses(401, 403, 404, 408, 410, 413, 414, 422, 429, 500, 503),
    summary="Delete an article",
)
async def delete_article(
    article_id: Annotated[ArticleId, Path()], turns: TurnsDep, corpus: CorpusDep, caller: CallerDep
) -> Response:
    """Delete all versions of an article, for good; only that there was one is kept. It is never cited again."""
    await turns.take(partial(corpus.remove, [article_id], within=caller.collections))
    count_change("deleted")
    return Response(status_code=204)


async def _add_sent(
    request: Request,
    turns: Turns,
    adder: Adder,
    within: frozenset[str] | None,
    said: Said,
    article_id: str | None = None,
) -> Response:
    """Add the one article that a request brings, under the id that its address gives."""
    media_type = _media_type(request)
    if media_type == "application/json":
        return await _add_json(request, turns, adder, within, said, article_id)
    if media_type == "multipart/form-data":
        content, name, kind, said = await _from_form(request, said)
    elif media_type.startswith("text/") or media_type == "application/pdf":
        content, name, kind = await request.body(), "the body", request.headers["content-type"]
    else:
        raise MediaTypeError(
            f"a body of {media_type[:100] or 'no Content-Type'} cannot be read; send text/plain, text/markdown, "
            "text/html, application/pdf, application/json, multipart/form-data or application/x-ndjson, and say "
            "which, such as with curl -H 'Content-Type: text/plain'"
        )
    said = _with_id(said, article_id)
    return _added(await turns.take(partial(adder.add_file, content, said, name=name, media_type=kind, within=within)))


async def _add_json(
    request: Request, turns: Turns, adder: Adder, within: frozenset[str] | None, said: Said, article_id: str | None
) -> Response:
    sent = _valid(SentArticle, _parsed(await request.body()), "body")
    said = _with_id(_merged(sent.to_said(), said), article_id)
    if sent.feed is not None:
        if article_id is not None:
            raise InputError("a feed lists several articles; add it with POST /articles")
        entries = await turns.take(partial(adder.read_feed, sent.feed))
        results = adder.add_entries(entries, said, within=within)
        return LinesResponse(_streamed(turns, results))
    if sent.text is not None:
        return _added(await turns.take(partial(adder.add_text, sent.text, said, within=within)))
    return _added(await turns.take(partial(adder.add_url, sent.url or "", said, within=within)))


async def _from_form(request: Request, said: Said) -> tuple[bytes, str, str | None, Said]:
    """Return a form's file, its name, its kind, and what the form says of it."""
    try:
        async with request.form(max_files=1, max_fields=20, max_part_size=4096) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InputError("the form has no file; send one in the field `file`, such as curl -F file=@news.html")
            fields = {name: value for name, value in form.multi_items() if name != "file"}
            content, name, kind = await file.read(), (file.filename or "the file")[:300], file.content_type
    except HTTPException as error:
        raise InputError("the form cannot be read; send one file in the field `file`, such as curl -F") from error
    return content, name, kind, _merged(_valid(SaidOfNew, fields, "form").to_said(), said)


async def _add_lines(
    request: Request, turns: Turns, adder: Adder, said: Said, within: frozenset[str] | None
) -> AsyncIterator[str]:
    """Add what comes, batch by batch, and yield a result per line.

    Reading goes on while nobody reads the results: a client that sends all before it reads would wait forever.
    """
    send, receive = anyio.create_memory_object_stream[str](max_buffer_size=float("inf"))

    async def work() -> None:
        async with send:
            with suppress(ClientDisconnect):
                async for lines in _batches(request):
                    added = partial(_added_lines, adder, lines, said, within)
                    for line in await turns.take(added, begun=True):
                        send.send_nowait(line)

    async with anyio.create_task_group() as tasks, receive:
        tasks.start_soon(work)
        async for line in receive:
            yield line


def _added_lines(adder: Adder, lines: list[tuple[int, bytes]], said: Said, within: frozenset[str] | None) -> list[str]:
    return [_line(result) for result in adder.add_lines(lines, said, within=within)]


async def _batches(request: Request) -> AsyncIterator[list[tuple[int, bytes]]]:
    """Yield the lines of a body with their numbers, in batches; of a line that is too long, its beginning."""
    number, rest, size, too_long = 1, b"", 0, False
    batch: list[tuple[int, bytes]] = []
    async for chunk in request.stream():
        *ended, last = chunk.split(b"\n")
        for piece in ended:
            line, rest = (rest if too_long else rest + piece), b""
            if too_long or line.strip():
                batch.append((number, line))
                size += len(line)
            number, too_long = number + 1, False
            if len(batch) >= _TOGETHER or size >= _TOGETHER_BYTES:
                yield batch
                batch, size = [], 0
        if not too_long:
            rest += last
            # Longer than any line that is read, so that whoever reads it sees that.
            too_long = len(rest) > MAX_DOCUMENT_BYTES
        # What came is not held back for what may come: a feed that drips is added as it drips.
        if batch:
            yield batch
            batch, size = [], 0
    if rest.strip():
        batch.append((number, rest))
        yield batch


async def _streamed(turns: Turns, results: Iterator[Result]) -> AsyncIterator[str]:
    while (result := await turns.take(lambda: next(results, None), begun=True)) is not None:
        yield _line(result)


def _added(outcome: Outcome) -> Response:
    """Return the response for an article, or raise what it was refused for."""
    count_change(outcome.kind)
    if outcome.kind == "refused":
        raise FormatError(f"{outcome.reason}; there is nothing to quote in it")
    if outcome.kind == "elsewhere":
        raise CollectionError(outcome.reason)
    body = _as_added(outcome).model_dump()
    return JSONResponse(body, status_code=201 if outcome.kind == "added" else 200)


def _as_added(outcome: Outcome) -> Added:
    facts = {name: getattr(outcome, name) for name in ("kind", "article_id", "version", "collection", "sentences")}
    return Added.model_validate({**facts, "near_duplicates": near_duplicates(dict(outcome.near_duplicates))})


def _line(result: Result) -> str:
    """Return what became of one line, as a line."""
    error: str | None = None
    if result.error is not None:
        error = _told(result.error)
        count_change("refused")
    elif result.outcome is not None:
        count_change(result.outcome.kind)
        error = result.outcome.reason or None
    if error is not None or result.outcome is None:
        return FailedLine(line=result.number, error=error or "").model_dump_json() + "\n"
    return AddedLine(line=result.number, **_as_added(result.outcome).model_dump()).model_dump_json() + "\n"


def _told(error: QuotelineError) -> str:
    # The others name files of this machine.
    if isinstance(error, CorpusError):
        return "the corpus cannot be changed just now; try again later"
    return str(error)


def _with_id(said: Said, article_id: str | None) -> Said:
    if article_id is None:
        return said
    if said.id not in (None, article_id):
        raise InputError(f"the address says {article_id!r}, the body {said.id!r}; leave out the latter")
    return _merged(Said(id=article_id), said)


def _merged(first: Said, other: Said) -> Said:
    """Return what either says; the first one's word goes before the other's."""
    return Said(*(getattr(first, name) or getattr(other, name) for name in Said.__dataclass_fields__))


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _parsed(body: bytes) -> object:
    if len(body) > MAX_DOCUMENT_BYTES:
        raise TooLargeError(f"the article is larger than {MAX_DOCUMENT_BYTES} bytes, the limit for one; split it")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InputError('the body is not JSON; send an object such as {"text": "…"}') from None


M = TypeVar("M", bound=BaseModel)


def _valid(model: type[M], value: object, where: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = [{**fault, "loc": (where, *fault["loc"])} for fault in error.errors(include_url=False)]
        raise RequestValidationError(faults) from None
