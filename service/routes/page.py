"""The web page, the page of one article, and the files that they are made of."""

import hashlib
import json
from collections.abc import Callable, Coroutine
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.routing import Match
from starlette.types import Scope

from index.articles import Span
from index.errors import ArticleNotFoundError, FilterError, QuotelineError
from service.browsers import is_chat, is_question, is_view, wants_page
from service.deps import AnswererDep, BaseUrlDep, CallerDep, CorpusDep, base_url_of
from service.metrics import observe_answer
from service.problems import respond
from service.routes.articles import get_article
from service.routes.ask import NO, AskFilters
from service.settings import Settings
from service.webpage import Asked, Thresholds, Trouble, article_page, article_trouble, chat_page

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "article.js": "text/javascript",
    "client.js": "text/javascript",
    "remarks.js": "text/javascript",
    "theme.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class _ChatRoute(APIRoute):
    """The chat, for browsers; others go on to the help at the same address."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if is_chat(scope) and not is_question(scope) else (Match.NONE, {})


class _QuestionRoute(APIRoute):
    """The chat with an answer; what goes wrong is told in the page."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if is_question(scope) else (Match.NONE, {})

    def get_route_handler(self) -> Handler:
        return _told(super().get_route_handler(), lambda request, trouble: _chat_with(request, trouble))


class _ArticleRoute(APIRoute):
    """The page of an article; what goes wrong is told as a page to browsers, as a problem document to others."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if is_view(scope) else (Match.NONE, {})

    def get_route_handler(self) -> Handler:
        return _told(super().get_route_handler(), lambda request, trouble: _article_with(request, trouble))


def _told(handle: Handler, page: Callable[[Request, Trouble], str]) -> Handler:
    """Return a handler that shows errors of ours by `page`, whether they rise in it or `service/access.py` left one."""

    async def told(request: Request) -> Response:
        try:
            refusal: QuotelineError | None = getattr(request.state, "refusal", None)
            if refusal is not None:
                raise refusal
            return await handle(request)
        except QuotelineError as error:
            if not wants_page(request.scope):
                raise
            problem = respond(error)
            said = json.loads(bytes(problem.body))
            trouble = Trouble(said["status"], said["title"], said["detail"])
            kept = {
                name: problem.headers[name] for name in ("retry-after", "www-authenticate") if name in problem.headers
            }
            return _html(page(request, trouble), status=problem.status_code, headers=kept)

    return told


router = APIRouter(include_in_schema=False)
_chat = APIRouter(route_class=_ChatRoute)
_question = APIRouter(route_class=_QuestionRoute)
_article = APIRouter(route_class=_ArticleRoute)


@_chat.get("/")
async def get_chat(request: Request, base_url: BaseUrlDep) -> HTMLResponse:
    """Return the chat, empty."""
    page = chat_page(Asked(), None, thresholds=_thresholds(request), root="./", base_url=base_url)
    return _html(page)


@_question.get("/")
def get_answer(
    request: Request,
    answerer: AnswererDep,
    caller: CallerDep,
    base_url: BaseUrlDep,
    q: str,
) -> HTMLResponse:
    """Return the chat with the answer to `q`, as plain forms ask: fields that are empty say nothing."""
    asked = _asked(request)
    try:
        wanted = AskFilters.model_validate(
            {
                "source": asked.sources,
                "collection": asked.collections,
                "date_from": asked.date_from or None,
                "date_to": asked.date_to or None,
            }
        )
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise FilterError(f"{fault['loc'][0]}: {fault['msg']}; set the filter anew") from None
    answer = answerer.ask(q, filters=wanted.to_filters(caller), base_url=base_url, compare=asked.compare)
    observe_answer(answer)
    page = chat_page(asked, answer, thresholds=_thresholds(request), root="./", base_url=base_url)
    return _html(page, headers={"Quoteline-Verdict": answer.verdict})


# An id may hold slashes, hence `:path`.
@_article.get("/articles/{article_id:path}/view")
def get_article_page(
    request: Request,
    article_id: str,
    corpus: CorpusDep,
    caller: CallerDep,
    version: Annotated[str, Query()] = "",
    start: Annotated[str, Query()] = "",
    end: Annotated[str, Query()] = "",
) -> HTMLResponse:
    """Return the page of an article, the text from `start` to `end` marked: code points, half-open."""
    article = get_article(article_id, corpus, caller, _version(article_id, version))
    notices: list[str] = []
    span = _span(start, end, len(article.text))
    if span is None and (start or end):
        notices.append("The sentence that the link names is not in this text; nothing is marked.")
    return _html(article_page(article, span, notices, root=_root(request)))


@router.get("/page/{name}")
async def get_file(name: str, request: Request) -> Response:
    """Return a file that pages are made of."""
    if name not in _FILES:
        raise HTTPException(404)
    content, tag = _file(name)
    # Asked for again each time, and sent again where it is another: a page never runs with the script of an older one.
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=f"{_FILES[name]}; charset=utf-8", headers=headers)


for _part in (_chat, _question, _article):
    router.include_router(_part)


@cache
def _file(name: str) -> tuple[bytes, str]:
    content = files("service").joinpath("page", name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _html(page: str, *, status: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
    # Who may see it can change, and `Accept` and the key decide what it is.
    fixed = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store", "Vary": "Accept, Authorization"}
    content = page.encode("utf-8", "replace")
    return HTMLResponse(content, status_code=status, headers={**fixed, **(headers or {})})


def _chat_with(request: Request, trouble: Trouble) -> str:
    base_url = base_url_of(request)
    return chat_page(_asked(request), trouble, thresholds=_thresholds(request), root="./", base_url=base_url)


def _article_with(request: Request, trouble: Trouble) -> str:
    article_id = request.path_params["article_id"]
    return article_trouble(article_id, trouble, root=_root(request), base_url=base_url_of(request))


def _asked(request: Request) -> Asked:
    query = request.query_params

    def all_of(name: str) -> tuple[str, ...]:
        return tuple(value.strip() for value in query.getlist(name) if value.strip())

    return Asked(
        query.get("q", ""),
        all_of("source"),
        all_of("collection"),
        query.get("date_from", "").strip(),
        query.get("date_to", "").strip(),
        query.get("compare", "").strip().lower() not in NO,
    )


def _thresholds(request: Request) -> Thresholds:
    settings: Settings = request.app.state.settings
    return Thresholds(settings.answered, settings.perhaps)


def _root(request: Request) -> str:
    """Return what leads from an article's page up to the service, which may lie below a path of a proxy's."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return "../" * (path.count(b"/") - 1)


def _version(article_id: str, said: str) -> int | None:
    if not said:
        return None
    if (number := _number(said)) is None:
        raise ArticleNotFoundError(f"there is no version {said[:20]!r} of {article_id!r}")
    return number


def _span(start: str, end: str, length: int) -> Span | None:
    first, last = _number(start), _number(end)
    if first is None or last is None or not first < last <= length:
        return None
    return Span(first, last)


def _number(said: str) -> int | None:
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 10 else None
