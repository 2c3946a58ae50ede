"""The articles themselves: what a citation can be checked against."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated
from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.routing import Match
from starlette.types import Scope

from index.articles import Span
from index.store import Filters, Record, Summary
from service.deps import CallerDep, CorpusDep
from service.links import utf16_offset
from service.problems import responses
from service.said import AS_OF, MOST_FILTERS, ONLY, AnySource, CollectionName, Day


class _Below(APIRoute):
    """What lies below an article, behind a slash that is written as one.

    In `/articles/news%2Ftext` the slash is the id's: that is the article `news/text`, and not the text of `news`.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if name_below(scope) else (Match.NONE, {})


def name_below(scope: Scope) -> str | None:
    """Return what of an article an address is for, such as `text`; None where it is the article's own."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    last = unquote_to_bytes(path.rpartition(b"/")[2]).decode(errors="replace")
    return last if path.count(b"/") > 2 and last in _BELOW else None


router = APIRouter(tags=["articles"])
_below = APIRouter(route_class=_Below)

_PAGE = 100
# What lies below an article's own address.
_BELOW = frozenset({"text", "versions", "view"})

ArticlePath = Annotated[
    str,
    Path(min_length=1, max_length=200, description="the id of the article; a slash in it is best written as %2F"),
]


class ArticleSummary(BaseModel):
    """An article in a list."""

    id: str
    version: int
    current: bool = Field(description="whether it is searched: no newer version took its place")
    collection: str
    title: str | None
    date: dt.date | None
    source: str | None
    url: str | None
    author: str | None
    language: str | None
    media_type: str
    characters: int = Field(description="length of the text, in code points")
    sentences: int = Field(description="how many sentences it has")
    added_at: dt.datetime


class ArticleList(BaseModel):
    """A page of articles, by id."""

    articles: list[ArticleSummary] = Field(description="the articles, by id")
    total: int = Field(description="how many articles there are that the filters admit")
    next_after: str | None = Field(description="`after` for the next page; null on the last one")


class SentenceSpan(BaseModel):
    """Where a sentence stands in the article's text, half-open."""

    start_char: int
    end_char: int
    start_utf16: int
    end_utf16: int


class Taken(BaseModel):
    """Where a piece of metadata was taken from; a span only where that is in the text."""

    where: str = Field(description="in words, such as `first line` or `request`")
    start_char: int | None
    end_char: int | None


class NearDuplicate(BaseModel):
    """An article that says nearly the same as another one."""

    id: str
    similarity: float = Field(description="the share of what either says that both say word for word, from 0.5 to 1")


class ArticleDetail(ArticleSummary):
    """An article as it is stored."""

    text: str = Field(description="the text that all offsets index")
    body: SentenceSpan = Field(description="the part of the text that holds sentences")
    pages: list[int] = Field(description="for paged sources, the offset at which each page starts")
    metadata_from: dict[str, Taken] = Field(description="for each piece of metadata that was found, where")
    sentence_spans: list[SentenceSpan]
    near_duplicates: list[NearDuplicate] = Field(
        description="articles that say nearly the same, of those that the caller may see, most similar first; none of "
        "an older version"
    )


class VersionList(BaseModel):
    """All versions of an article, newest first."""

    versions: list[ArticleSummary]


class CollectionList(BaseModel):
    """The collections that hold articles, and how many."""

    collections: dict[str, int]


_ERRORS = responses(401, 403, 404, 410, 414, 422, 429, 500, 503)
Version = Annotated[int | None, Query(ge=1, le=10**9, description="an older version; the newest one if left out")]


@router.get("/articles", responses=responses(401, 403, 414, 422, 429, 500, 503), summary="List articles")
def list_articles(
    corpus: CorpusDep,
    caller: CallerDep,
    after: Annotated[str, Query(max_length=200, description="list the articles whose ids follow this one")] = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="the most articles to return")] = _PAGE,
    title: Annotated[str, Query(max_length=500, description="only those whose title holds this, in any case")] = "",
    source: Annotated[list[AnySource] | None, Query(max_length=MOST_FILTERS, description=ONLY["source"])] = None,
    collection: Annotated[
        list[CollectionName] | None, Query(max_length=MOST_FILTERS, description=ONLY["collection"])
    ] = None,
    date_from: Day | None = None,
    date_to: Day | None = None,
    as_of: Annotated[Day | None, Query(description=AS_OF)] = None,
) -> ArticleList:
    """Return articles by id, a page at a time."""
    collections = caller.collections_asked(collection or ())
    filters = Filters((), tuple(source or ()), date_from, date_to, collections, as_of)
    with corpus.store.frozen():
        total = corpus.store.count(filters=filters, title=title)
        found = corpus.store.summaries(after=after, limit=limit + 1, filters=filters, title=title)
    page = found[:limit]
    return ArticleList(
        articles=[_summary(summary) for summary in page],
        total=total,
        next_after=page[-1].id if len(found) > limit else None,
    )


@router.get("/collections", responses=responses(401, 403, 414, 429, 500, 503), summary="List collections")
def list_collections(corpus: CorpusDep, caller: CallerDep) -> CollectionList:
    """Return the collections that the caller may see, with the number of their articles."""
    found = corpus.store.collections()
    return CollectionList(collections={name: number for name, number in found.items() if caller.admits(name)})


# An id may hold slashes (many data sets use URLs as ids), hence `:path`; the longer addresses come first.
@_below.get(
    "/articles/{article_id:path}/text",
    response_class=PlainTextResponse,
    responses=_ERRORS,
    summary="One article's text",
)
def get_text(article_id: ArticlePath, corpus: CorpusDep, caller: CallerDep, version: Version = None) -> Response:
    """Return the text that all offsets index, and nothing else."""
    return PlainTextResponse(caller.record(corpus.store, article_id, version).article.text)


@_below.get("/articles/{article_id:path}/versions", responses=_ERRORS, summary="One article's versions")
def list_versions(article_id: ArticlePath, corpus: CorpusDep, caller: CallerDep) -> VersionList:
    """Return all versions of an article; each stays readable, and only the newest is searched."""
    found = corpus.store.versions(article_id)
    caller.check_sees(article_id, found[0].collection)
    return VersionList(versions=[_summary(summary) for summary in found])


router.include_router(_below)


@router.get("/articles/{article_id:path}", responses=_ERRORS, summary="One article")
def get_article(
    article_id: ArticlePath, corpus: CorpusDep, caller: CallerDep, version: Version = None
) -> ArticleDetail:
    """Return an article's metadata, its text and the spans of its sentences."""
    record = caller.record(corpus.store, article_id, version)
    found = corpus.store.near_duplicates_of([article_id], within=caller.collections) if record.current else {}
    return _detail(record, near_duplicates(found.get(article_id, {})))


def near_duplicates(found: Mapping[str, float]) -> list[NearDuplicate]:
    """Return near-duplicates, by id with their similarity, as they are sent."""
    return [NearDuplicate(id=name, similarity=round(share, 3)) for name, share in found.items()]


def _summary(summary: Summary) -> ArticleSummary:
    added_at = dt.datetime.fromtimestamp(summary.added_at, dt.UTC)
    return ArticleSummary.model_validate({**asdict(summary), "added_at": added_at})


def _detail(record: Record, found: list[NearDuplicate]) -> ArticleDetail:
    article = record.article
    places = _Places(article.text)
    return ArticleDetail(
        id=article.id,
        version=record.version,
        current=record.current,
        collection=article.collection or "",
        title=article.title,
        date=article.date,
        source=article.source,
        url=article.url,
        author=article.author,
        language=article.language,
        media_type=article.media_type,
        characters=len(article.text),
        sentences=len(record.sentences),
        added_at=dt.datetime.fromtimestamp(record.added_at, dt.UTC),
        text=article.text,
        body=places.of(article.body),
        pages=list(article.pages),
        metadata_from={
            name: Taken(
                where=origin.where,
                start_char=origin.span.start if origin.span else None,
                end_char=origin.span.end if origin.span else None,
            )
            for name, origin in article.origins.items()
        },
        sentence_spans=[places.of(span) for span in record.sentences],
        near_duplicates=found,
    )


class _Places:
    """Spans of one text in both units; the text is walked through once for spans that ascend."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0
        self._units = 0

    def of(self, span: Span) -> SentenceSpan:
        return SentenceSpan(
            start_char=span.start, end_char=span.end, start_utf16=self._to(span.start), end_utf16=self._to(span.end)
        )

    def _to(self, offset: int) -> int:
        if offset < self._offset:
            self._offset = self._units = 0
        step = self._text[self._offset : offset]
        self._units += utf16_offset(step, len(step))
        self._offset = offset
        return self._units
