"""What a sender may say of an article, as fields of a query, a form or JSON."""

import datetime as dt
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from index.articles import COLLECTION, COLLECTION_RULE
from index.errors import FormatError
from index.metadata import check_storable, metadata_from, one_line, parse_date
from service.adding import Said

# Names in one filter, such as sources.
MOST_FILTERS = 1000


def _is_id(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("an id has 1 to 200 printable characters, without white space around them")
    return value


def _is_collection(value: str) -> str:
    if not COLLECTION.fullmatch(value):
        raise ValueError(f"not a collection: {COLLECTION_RULE}")
    return value


def _is_url(value: str) -> str:
    if metadata_from({"url": value}, "").url is None:
        raise ValueError("a URL begins with http:// or https:// and holds no white space")
    return value


def _is_language(value: str) -> str:
    if metadata_from({"language": value}, "").language is None:
        raise ValueError("a language is a code such as en or pt-BR")
    return value.strip().lower()


def _is_date(value: object) -> object:
    if isinstance(value, str):
        parsed = parse_date(value)
        if parsed is None:
            raise ValueError("a date is written like 2022-10-28")
        return parsed
    return value


def _is_line(value: str) -> str:
    try:
        check_storable(value, "it")
    except FormatError as error:
        raise ValueError(str(error)) from None
    line = one_line(value)
    if line is None:
        raise ValueError("it is blank; leave it out")
    return line


ArticleId = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_is_id)]
CollectionName = Annotated[str, Field(pattern=COLLECTION.pattern, max_length=64), AfterValidator(_is_collection)]
_Line = Annotated[str, Field(max_length=1000), AfterValidator(_is_line)]
_Url = Annotated[str, Field(max_length=2000), AfterValidator(_is_url)]
_Date = Annotated[dt.date, BeforeValidator(_is_date)]


class SaidFields(BaseModel):
    """What the sender says of an article; it goes before what the article says of itself."""

    model_config = ConfigDict(extra="forbid")

    id: ArticleId | None = Field(None, description="the id; without one it is derived from the file's name or content")
    title: _Line | None = None
    date: _Date | None = Field(None, description="the day it was published, such as 2022-10-28")
    source: _Line | None = Field(None, description="who published it, such as Reuters")
    url: _Url | None = Field(None, description="its address on the web")
    author: _Line | None = None
    language: Annotated[str, AfterValidator(_is_language)] | None = Field(None, description="a code such as en")
    collection: CollectionName | None = Field(None, description=f"where it belongs; {COLLECTION_RULE}")

    def to_said(self) -> Said:
        """Return the same as the library knows it."""
        return Said(**{name: getattr(self, name) for name in Said.__dataclass_fields__})
