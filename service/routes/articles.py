"""The articles themselves: what a citation can be checked against."""

import datetime as dt
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from index.articles import Span
from index.store import Record, Summary
from service.deps import CorpusDep
from service.links import utf16_offset
from service.problems import responses

router = APIRouter(prefix="/articles", tags=["articles"])

_PAGE = 100


class ArticleSummary(BaseModel):
    """An article in a list."""

    id: str
    version: int
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

    articles: list[ArticleSummary]
    total: int = Field(description="how many articles there are in all")
    next_after: str | None = Field(description="`after` for the next page; null on the last one")


class SentenceSpan(BaseModel):
    """Where a sentence stands in the article's text, half-open."""

    start_char: int
    end_char: int
    start_utf16: int
    end_utf16: int


class Taken(BaseModel):
    """Where a piece of metadata was taken from; a span only where that is in the text."""

    where: str
    start_char: int | None
    end_char: int | None


class ArticleDetail(ArticleSummary):
    """An article as it is stored."""

    text: str = Field(description="the text that all offsets index")
    body: SentenceSpan = Field(description="the part of the text that holds sentences")
    pages: list[int] = Field(description="for paged sources, the offset at which each page starts")
    metadata_from: dict[str, Taken] = Field(description="for each piece of metadata that was found, where")
    sentence_spans: list[SentenceSpan]


@router.get("", responses=responses(422, 500, 503), summary="List articles")
def list_articles(
    corpus: CorpusDep,
    after: Annotated[str, Query(max_length=200, description="list the articles whose ids follow this one")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = _PAGE,
) -> ArticleList:
    """Return articles by id, a page at a time."""
    with corpus.store.frozen():
        total, _, _ = corpus.store.counts()
        found = corpus.store.summaries(after=after, limit=limit + 1)
    page = found[:limit]
    return ArticleList(
        articles=[_summary(summary) for summary in page],
        total=total,
        next_after=page[-1].id if len(found) > limit else None,
    )


# An id may hold slashes (many data sets use URLs as ids), hence `:path`; the longer address comes first.
@router.get(
    "/{article_id:path}/text",
    response_class=PlainTextResponse,
    responses=responses(404, 422, 500, 503),
    summary="One article's text",
)
def get_text(article_id: str, corpus: CorpusDep) -> PlainTextResponse:
    """Return the text that all offsets index, and nothing else; links of citations without a URL lead here."""
    return PlainTextResponse(corpus.store.record(article_id).article.text)


@router.get("/{article_id:path}", responses=responses(404, 422, 500, 503), summary="One article")
def get_article(article_id: str, corpus: CorpusDep) -> ArticleDetail:
    """Return an article's metadata, its text and the spans of its sentences."""
    return _detail(corpus.store.record(article_id))


def _summary(summary: Summary) -> ArticleSummary:
    added_at = dt.datetime.fromtimestamp(summary.added_at, dt.UTC)
    return ArticleSummary.model_validate({**asdict(summary), "added_at": added_at})


def _detail(record: Record) -> ArticleDetail:
    article = record.article
    places = _Places(article.text)
    return ArticleDetail(
        id=article.id,
        version=record.version,
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
