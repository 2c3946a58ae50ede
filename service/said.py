"""What a sender may say of an article, as fields of a query, a form or JSON."""

import datetime as dt
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from index.articles import COLLECTION, COLLECTION_RULE
from index.errors import FormatError
from index.metadata import check_storable, metadata_from, one_line, parse_date
from service.adding import Said

# Names in one filter, such as sources.
MOST_FILTERS = 1000
# What filters say in an address.
ONLY = {
    "article_id": "only this article; may be repeated",
    "source": "only from this source, in any letter case; may be repeated",
    "collection": "only in this collection; may be repeated",
}
AS_OF = "ask the articles as they stood at the end of this day (UTC); those that were deleted since are gone"

# What a reader of the OpenAPI document is told, as regular expressions of ECMA-262; the checks below are in Python, so
# that they can say what to do next. A test holds that both say the same.
ID_PATTERN = r"^[^\p{C}\p{Z}]+( +[^\p{C}\p{Z}]+)*$"
LINE_PATTERN = r"^[^\u0000]*[^\p{C}\p{Z}][^\u0000]*$"
URL_PATTERN = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s\u0000-\u0020\u007f\u0085<>\"]{3,}$"
LANGUAGE_PATTERN = r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}$"
# In what is quoted or asked there is a word.
WORD_PATTERN = r"[\p{L}\p{N}]"


def _is_id(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("an id has 1 to 200 printable characters, without white space around them")
    return value


def _is_collection(value: str) -> str:
    if not COLLECTION.fullmatch(value):
        raise ValueError(f"not a collection: {COLLECTION_RULE}")
    return value


def _is_url(value: str) -> str:
    _check_storable(value)
    if value != value.strip() or (url := metadata_from({"url": value}, "").url) is None:
        raise ValueError("a URL begins with http:// or https:// and holds no white space")
    return url


def _is_language(value: str) -> str:
    _check_storable(value)
    if value != value.strip() or (language := metadata_from({"language": value}, "").language) is None:
        raise ValueError("a language is a code such as en or pt-BR")
    return language


def _is_date(value: object) -> dt.date:
    """Return the day that an article is said to be of, in any of the forms that are read in articles."""
    parsed = (_iso(value) or parse_date(value)) if isinstance(value, str) else None
    if parsed is None:
        raise ValueError("a date is written like 2022-10-28")
    return parsed


def _is_day(value: object) -> dt.date:
    # Not as pydantic does: to it, 0 and "0" are the first day of 1970.
    day = _iso(value) if isinstance(value, str) else None
    if day is None:
        raise ValueError("a day is written like 2022-10-28")
    return day


def _iso(value: str) -> dt.date | None:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return None
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        return None


def _is_line(value: str) -> str:
    _check_storable(value)
    line = one_line(value)
    if line is None:
        raise ValueError("it is blank; leave it out")
    return line


def _check_storable(value: str) -> None:
    try:
        check_storable(value, "it")
    except FormatError as error:
        raise ValueError(str(error)) from None


def in_document(**schema: object) -> WithJsonSchema:
    """Return what the OpenAPI document says of a string that is checked here."""
    return WithJsonSchema({"type": "string", **schema})


ArticleId = Annotated[
    str,
    Field(min_length=1, max_length=200),
    AfterValidator(_is_id),
    in_document(minLength=1, maxLength=200, pattern=ID_PATTERN),
]
CollectionName = Annotated[
    str,
    Field(max_length=64),
    AfterValidator(_is_collection),
    in_document(minLength=1, maxLength=64, pattern=f"^{COLLECTION.pattern}$"),
]
# Of filters: what no article can have is found in none.
AnyId = Annotated[str, Field(max_length=200)]
AnySource = Annotated[str, Field(max_length=1000)]
Day = Annotated[dt.date, BeforeValidator(_is_day), in_document(format="date")]
_Line = Annotated[
    str,
    Field(max_length=1000),
    AfterValidator(_is_line),
    in_document(minLength=1, maxLength=1000, pattern=LINE_PATTERN),
]
Url = Annotated[
    str, Field(max_length=2000), AfterValidator(_is_url), in_document(minLength=10, maxLength=2000, pattern=URL_PATTERN)
]
_Date = Annotated[dt.date, BeforeValidator(_is_date), in_document(format="date")]
_Language = Annotated[
    str, Field(max_length=30), AfterValidator(_is_language), in_document(maxLength=30, pattern=LANGUAGE_PATTERN)
]


class SaidFields(BaseModel):
    """What the sender says of an article, but for its id; it goes before what the article says of itself."""

    model_config = ConfigDict(extra="forbid")

    title: _Line | None = Field(None, description="the title")
    date: _Date | None = Field(None, description="the day it was published, such as 2022-10-28")
    source: _Line | None = Field(None, description="who published it, such as Reuters")
    url: Url | None = Field(None, description="its address on the web")
    author: _Line | None = Field(None, description="who wrote it")
    language: _Language | None = Field(None, description="a code such as en")
    collection: CollectionName | None = Field(None, description=f"where it belongs; {COLLECTION_RULE}")

    def to_said(self) -> Said:
        """Return the same as the library knows it."""
        return Said(**{name: getattr(self, name, None) for name in Said.__dataclass_fields__})


class SaidOfNew(SaidFields):
    """What the sender says of an article whose address does not name it."""

    id: ArticleId | None = Field(None, description="the id; without one it is derived from the file's name or content")
