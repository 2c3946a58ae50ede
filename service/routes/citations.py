"""Citations and pasted quotes, checked against the stored texts."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from index.quotes import LONGEST_QUOTE
from service.checking import CheckedCitation, Verification
from service.deps import BaseUrlDep, CallerDep, CheckerDep
from service.problems import responses
from service.said import MOST_FILTERS, WORD_PATTERN, CollectionName

router = APIRouter(tags=["citations"])


class VerifyRequest(BaseModel):
    """A quote that somebody pasted, and where they say it is from."""

    model_config = ConfigDict(extra="forbid")

    quote: str = Field(
        min_length=1,
        max_length=LONGEST_QUOTE,
        description="the words, as they were found somewhere",
        json_schema_extra={"pattern": WORD_PATTERN},
    )
    article_id: str | None = Field(None, min_length=1, max_length=200, description="look in this article only")
    url: str | None = Field(None, min_length=1, max_length=2000, description="look in the articles of this URL only")
    collection: Annotated[list[CollectionName], Field(max_length=MOST_FILTERS)] | CollectionName | None = Field(
        None, description="look in this collection, or in these, only"
    )


@router.get(
    "/citations/{citation_id:path}",
    responses=responses(401, 403, 404, 410, 414, 422, 429, 500, 503),
    summary="Check a citation",
)
def get_citation(
    citation_id: Annotated[
        str,
        Path(
            min_length=1,
            max_length=300,
            description="the `id` of a citation: ARTICLE.VERSION.START-END",
            examples=["article-1.1.0-19"],
        ),
    ],
    checker: CheckerDep,
    caller: CallerDep,
    base_url: BaseUrlDep,
) -> CheckedCitation:
    """Read a citation again from the stored text, compare that with its checksum, and say what became of it.

    410 where the article was deleted.
    """
    return checker.citation(citation_id, collections=caller.collections_asked(()), base_url=base_url)


@router.post(
    "/verify", responses=responses(400, 401, 403, 404, 408, 410, 413, 414, 422, 429, 500, 503), summary="Verify a quote"
)
def verify(body: VerifyRequest, checker: CheckerDep, caller: CallerDep, base_url: BaseUrlDep) -> Verification:
    """Say where a pasted quote stands: verbatim, altered (with the difference word by word), or nowhere."""
    wanted = [body.collection] if isinstance(body.collection, str) else body.collection or []
    return checker.verify(
        body.quote,
        article_id=body.article_id,
        url=body.url,
        collections=caller.collections_asked(wanted),
        base_url=base_url,
    )
