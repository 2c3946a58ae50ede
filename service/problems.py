"""Errors on the wire: RFC 9457 problem documents. One table maps our errors to HTTP.

Under `/v1` they are what the OpenAI clients read, `{"error": {"message", "type", "param", "code"}}`.
"""

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
from starlette.types import Receive, Scope, Send

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
    IndexUnreachableError,
    InputError,
    MediaTypeError,
    ModelNotFoundError,
    NoKeyError,
    OverloadError,
    QuestionError,
    QuotelineError,
    RateError,
    TooLargeError,
)
from service.openapi import describe

MEDIA_TYPE = "application/problem+json"
# Addresses below this one are for OpenAI's clients.
OPENAI = "/v1/"


# The first class that an error belongs to decides.
STATUSES: Mapping[type[QuotelineError], tuple[HTTPStatus, str]] = {
    ArticleDeletedError: (HTTPStatus.GONE, "The article was deleted"),
    ArticleNotFoundError: (HTTPStatus.NOT_FOUND, "No such article"),
    CitationNotFoundError: (HTTPStatus.NOT_FOUND, "No such citation"),
    ModelNotFoundError: (HTTPStatus.NOT_FOUND, "No such model"),
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
    IndexUnreachableError: (HTTPStatus.SERVICE_UNAVAILABLE, "The index cannot be reached"),
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


class OpenAIError(BaseModel):
    """What went wrong, as OpenAI's clients read it."""

    message: str = Field(description="what happened, and what to do next")
    type: str = Field(description="`invalid_request_error`, `rate_limit_error` or `server_error`")
    param: str | None = Field(description="the field that is wrong, where it is one")
    code: str | None = Field(description="what kind of error it is, such as `model_not_found`")


class OpenAIProblem(BaseModel):
    """An error under `/v1`."""

    error: OpenAIError = Field(description="what went wrong")


class ProblemResponse(JSONResponse):
    """A problem document; under `/v1`, what OpenAI's clients read in its place."""

    def __init__(
        self,
        problem: Problem,
        *,
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
    ) -> None:
        """code: the one that OpenAI's clients are told; if None, the one that goes with the status."""
        super().__init__(problem.model_dump(), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)
        self._problem, self._code = problem, code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(OPENAI):
            # Kept are the headers that others have set, such as `Connection`.
            told = JSONResponse(openai_problem(self._problem, self._code).model_dump())
            self.body = told.body
            self.headers.update(told.headers)
            # Theirs is the status for all that is not valid.
            self.status_code = 400 if self.status_code == HTTPStatus.UNPROCESSABLE_ENTITY else self.status_code
        await super().__call__(scope, receive, send)


def openai_problem(problem: Problem, code: str | None = None) -> OpenAIProblem:
    """Return the same as OpenAI's clients read it."""
    kind = "server_error" if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    if problem.status == HTTPStatus.TOO_MANY_REQUESTS:
        kind = "rate_limit_error"
    param = problem.errors[0].where.removeprefix("body.") if problem.errors else None
    code = code or _OPENAI_CODES.get(problem.status)
    return OpenAIProblem(error=OpenAIError(message=problem.detail, type=kind, param=param, code=code))


_OPENAI_CODES: Mapping[int, str] = {
    401: "invalid_api_key",
    403: "insufficient_permissions",
    429: "rate_limit_exceeded",
    503: "server_busy",
}
_OPENAI_CODES_OF: Mapping[type[QuotelineError], str] = {
    ModelNotFoundError: "model_not_found",
    QuestionError: "invalid_question",
}


def responses(*statuses: int, openai: bool = False) -> dict[int | str, dict[str, Any]]:
    """Return what a route declares in OpenAPI for the problems that it may answer with. openai: it is under `/v1`."""
    media_type, schema = ("application/json", "OpenAIProblem") if openai else (MEDIA_TYPE, "Problem")
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
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
    describe(app, Problem, OpenAIProblem)
    app.add_exception_handler(QuotelineError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(_: Request, error: Exception) -> JSONResponse:
    return respond(error if isinstance(error, QuotelineError) else QuotelineError())


def respond(error: QuotelineError) -> ProblemResponse:
    """Return the response that says what went wrong; also for what answers before any route does."""
    headers: dict[str, str] = {}
    if isinstance(error, OverloadError):
        headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, CorpusBusyError):
        headers["Retry-After"] = "5"
    elif isinstance(error, NoKeyError):
        headers["WWW-Authenticate"] = "Bearer"
    return ProblemResponse(problem_of(error), headers=headers, code=_code_of(error))


def problem_of(error: QuotelineError) -> Problem:
    """Return what a caller is told of an error; what is not for them is logged."""
    status, title = next(row for kind, row in STATUSES.items() if isinstance(error, kind))
    detail = str(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, OverloadError):
        # The message names files of this machine: it is for the log, not for whoever asked.
        logging.getLogger("quoteline").error("%s", error)
        detail = "The server's log says more; try again later."
    return Problem(type="about:blank", title=title, status=status, detail=detail, errors=[])


def openai_error(error: QuotelineError) -> OpenAIError:
    """Return what OpenAI's clients are told of an error where the response has begun already."""
    return openai_problem(problem_of(error), _code_of(error)).error


def _code_of(error: QuotelineError) -> str | None:
    return next((code for kind, code in _OPENAI_CODES_OF.items() if isinstance(error, kind)), None)


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
    return ProblemResponse(problem, headers=headers)
