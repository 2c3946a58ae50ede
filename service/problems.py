"""Errors on the wire: RFC 9457 problem documents. One table maps our errors to HTTP."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from index.errors import (
    AccessError,
    ArticleDeletedError,
    ArticleNotFoundError,
    CitationNotFoundError,
    CollectionError,
    CorpusBusyError,
    CorpusError,
    EncoderError,
    FetchError,
    FilterError,
    ForbiddenError,
    FormatError,
    InputError,
    MediaTypeError,
    NoKeyError,
    OverloadError,
    QuestionError,
    QuotelineError,
    RateError,
    TooLargeError,
)
from service.openapi import describe

MEDIA_TYPE = "application/problem+json"

# The first class that an error belongs to decides.
STATUSES: Mapping[type[QuotelineError], tuple[HTTPStatus, str]] = {
    ArticleDeletedError: (HTTPStatus.GONE, "The article was deleted"),
    ArticleNotFoundError: (HTTPStatus.NOT_FOUND, "No such article"),
    CitationNotFoundError: (HTTPStatus.NOT_FOUND, "No such citation"),
    CollectionError: (HTTPStatus.CONFLICT, "In another collection"),
    NoKeyError: (HTTPStatus.UNAUTHORIZED, "A key is needed"),
    ForbiddenError: (HTTPStatus.FORBIDDEN, "Not allowed"),
    AccessError: (HTTPStatus.SERVICE_UNAVAILABLE, "The keys cannot be read"),
    RateError: (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests"),
    OverloadError: (HTTPStatus.SERVICE_UNAVAILABLE, "Busy"),
    MediaTypeError: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not a kind of file that is read"),
    TooLargeError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large"),
    FetchError: (HTTPStatus.UNPROCESSABLE_ENTITY, "Cannot be fetched"),
    QuestionError: (HTTPStatus.UNPROCESSABLE_ENTITY, "Not a question"),
    FilterError: (HTTPStatus.UNPROCESSABLE_ENTITY, "Not a filter"),
    FormatError: (HTTPStatus.UNPROCESSABLE_ENTITY, "Not an article"),
    InputError: (HTTPStatus.UNPROCESSABLE_ENTITY, "Cannot be used"),
    CorpusBusyError: (HTTPStatus.SERVICE_UNAVAILABLE, "The corpus is being changed"),
    CorpusError: (HTTPStatus.SERVICE_UNAVAILABLE, "The corpus cannot be used"),
    EncoderError: (HTTPStatus.SERVICE_UNAVAILABLE, "The encoder cannot be used"),
    QuotelineError: (HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error"),
}


_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "after how many seconds to try again"}}
_HEADERS: Mapping[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "`Bearer`: send a key"}},
    429: _RETRY,
    503: _RETRY,
}


class Fault(BaseModel):
    """One thing that is wrong with a request: where, and what."""

    where: str = Field(description="the field, such as body.question")
    what: str = Field(description="what is wrong with it")


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field("about:blank", description="always about:blank: the title says it all")
    title: str = Field(description="what kind of error it is; the same for all of its kind")
    status: int = Field(ge=400, le=599, description="the status of the response")
    detail: str = Field(description="what happened, and what to do next")
    errors: list[Fault] = Field(default_factory=list, description="what is wrong, where a request is not valid")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route declares in OpenAPI for the problems that it may answer with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    # Not by `model`: FastAPI would say that they may come as application/json, too.
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": content,
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Let every error of `app` leave as a problem document, and its OpenAPI document say so."""
    describe(app, Problem)
    app.add_exception_handler(QuotelineError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(_: Request, error: Exception) -> JSONResponse:
    return respond(error if isinstance(error, QuotelineError) else QuotelineError())


def respond(error: QuotelineError) -> JSONResponse:
    """Return the response that says what went wrong; also for what answers before any route does."""
    status, title = next(row for kind, row in STATUSES.items() if isinstance(error, kind))
    headers: dict[str, str] = {}
    if isinstance(error, OverloadError):
        headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, CorpusBusyError):
        headers["Retry-After"] = "5"
    elif isinstance(error, NoKeyError):
        headers["WWW-Authenticate"] = "Bearer"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, OverloadError):
        # The message names files of this machine: it is for the log, not for whoever asked.
        logging.getLogger("quoteline").error("%s", error)
        return _problem(status, title, "The server's log says more; try again later.", headers=headers)
    return _problem(status, title, str(error), headers=headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    faults = [Fault(where=".".join(str(part) for part in fault["loc"]), what=fault["msg"]) for fault in details]
    said = "; ".join(f"{fault.where}: {fault.what}" for fault in faults)
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Not a valid request", f"{said}. See /docs.", faults)


async def _http(request: Request, error: Exception) -> JSONResponse:
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
    detail = {404: "There is nothing at this address; see /docs.", 405: "This address takes other methods; see /docs."}
    headers = getattr(error, "headers", None)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_methods_at(request))}
    return _problem(status, status.phrase, detail.get(status, status.description or status.phrase), headers=headers)


def _methods_at(request: Request) -> list[str]:
    """Return the methods that the address takes. The router itself names those of the first route alone."""
    routes = request.app.router.routes
    return [
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


async def _unexpected(_: Request, __: Exception) -> JSONResponse:
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error", "A fault of the server; its log says more.")


def _problem(
    status: HTTPStatus,
    title: str,
    detail: str,
    faults: list[Fault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    problem = Problem(type="about:blank", title=title, status=status, detail=detail, errors=faults or [])
    return JSONResponse(problem.model_dump(), status_code=status, media_type=MEDIA_TYPE, headers=headers)
