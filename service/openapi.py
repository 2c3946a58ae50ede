"""The OpenAPI document, put right where FastAPI does not know better.

What it adds: problem documents, which the routes refer to; that a key may be left out; the address that the service
goes by; what fields mean that have one meaning everywhere. What it takes away: that a parameter could be null, which
nothing in an address can be, and a status that OpenAI's clients are not told.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

Schema = dict[str, Any]

_TAGS = {
    "ask": "Questions, answered with sentences of the articles, word for word.",
    "chat": "What chat frontends speak: OpenAI's chat completions and responses.",
    "citations": "Citations and pasted quotes, checked against the stored texts.",
    "articles": "The articles: added, replaced, deleted, listed, read.",
    "health": "For those who operate the service.",
    "terminal": "For people with curl.",
}

# What the fields of answers mean; each name means the same wherever it stands.
_FIELDS = {
    "added_at": "when this version was added",
    "after": "the sentence behind it, null where there is none",
    "article_id": "the id of the article",
    "articles": "how many articles there are",
    "author": "who wrote it",
    "before": "the sentence before it, null where there is none",
    "change": "what became of the words: `same`, `removed` or `added`",
    "citations": "the sentences that answer, best first; empty where nothing answers. As many as `top_k`, as far as "
    "there are so many: weak ones follow strong ones, and `score` tells them apart",
    "collection": "the collection that the article belongs to",
    "collections": "the number of articles of each collection, by its name",
    "current": "whether it is the newest version of its article",
    "date": "the day it was published",
    "date_from": "first day, inclusive; articles without a date are left out",
    "date_to": "last day, inclusive; articles without a date are left out",
    "detail": "what happened, and what to do next",
    "difference": "how the words differ, piece by piece; empty where they do not",
    "encoder": "the name of the encoder",
    "end_char": "where it ends in the article's text, in code points, exclusive",
    "end_utf16": "where it ends in the article's text, in UTF-16 units as JavaScript counts, exclusive",
    "error": "what is wrong with it",
    "filters": "which articles may answer; all, if left out",
    "generation": "of the corpus that was asked; every change raises it by one",
    "id": "what it is called, for good",
    "kind": "what became of it",
    "language": "its language, a code such as en",
    "latest_version": "the newest version of the article",
    "limit": "the most articles to return",
    "line": "the number of the line, or of the feed's entry, from 1",
    "link": "opens the article at the sentence",
    "media_type": "what it was read as",
    "n": "its place in the answer, from 1",
    "nearest": "where nothing answers, what came closest",
    "now": "where the sentence stands in the newest version, null where it does not or where this is the newest",
    "only_form": "whether the words are the same but for case and punctuation",
    "page": "the page it stands on, from 1; null where the source has no pages",
    "part": "the words of the quote that answer, to be set in bold; null where that cannot be said, and where the "
    "sentence hardly answers",
    "passages": "how many passages there are",
    "places": "where the quote stands, or what it was made of, best first",
    "probability": "that something in the corpus answers, 0 to 1",
    "question": "the question, as it was asked",
    "quotation": "the words as they stand in the article, and where",
    "quote": "the words, exactly as they stand",
    "reader": "the name of the reader, null where there is none",
    "reason": "the verdict in words",
    "score": "the estimated probability that this sentence answers",
    "sentence_spans": "where each sentence stands",
    "sentences": "how many sentences there are",
    "sha256": "the checksum of text and metadata that was taken when this version was added",
    "similarity": "how like the quote it is; 1 for word for word, and only for that",
    "source": "who published it, such as Reuters",
    "start_char": "where it begins in the article's text, in code points",
    "start_utf16": "where it begins in the article's text, in UTF-16 units as JavaScript counts",
    "status": "how it stands",
    "text": "the words",
    "timings_ms": "how long each stage took, in milliseconds: `encode`, `search`, `score`, `read`, `total`; only those "
    "that there were",
    "title": "the title",
    "understood": "the question as it stands alone, where the turns before it made it another; null where they did not",
    "url": "its address on the web",
    "verdict": "the outcome in one word",
    "version": "the version of the article, from 1",
    "versions": "the versions, newest first",
    "what": "what is wrong there",
    "where": "where it stands",
}


def describe(app: FastAPI, *problems: type[BaseModel]) -> None:
    """Let the OpenAPI document of `app` say all there is to say. problems: what errors leave as."""
    make = app.openapi

    def openapi() -> Schema:
        if app.openapi_schema is None:
            # FastAPI keeps what it made, and hands out the same from then on.
            _complete(make(), problems, app.state.settings.public_url)
        return make()

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: Schema, problems: Iterable[type[BaseModel]], public_url: str) -> None:
    document["servers"] = [{"url": public_url.rstrip("/") or "/"}]
    document["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
    schemas = document["components"]["schemas"]
    for problem in problems:
        schemas.update(_schemas_of(problem))
    # FastAPI's own, for routes that do not declare the status: under /v1 it is 400.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, methods in document["paths"].items():
        for operation in methods.values() if path.startswith("/v1/") else ():
            operation["responses"].pop("422", None)
    for operation in _operations(document):
        if "security" in operation:
            # Where there are no keys yet, callers on this machine need none, and others only for what is open to all.
            operation["security"].append({})
        for parameter in operation.get("parameters", ()):
            _without_null(parameter)
            _explain(parameter["name"], parameter)
        for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
            for name, field in body["schema"].get("properties", {}).items():
                if media_type == "multipart/form-data":
                    _without_null({"schema": field})
                _explain(name, field)
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            _explain(name, field)


def _schemas_of(model: type[BaseModel]) -> Schema:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    return {**schema.pop("$defs", {}), model.__name__: schema}


def _operations(document: Schema) -> Iterator[Schema]:
    for methods in document["paths"].values():
        yield from methods.values()


def _explain(name: str, said: Schema) -> None:
    if "description" not in said and name in _FIELDS:
        said["description"] = _FIELDS[name]


def _without_null(said: Schema) -> None:
    """Leave null out of what the schema of a parameter, or of a field of a form, allows: it cannot be written there."""
    schema = said["schema"]
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema.pop("default", None)
        schema.update(kinds[0])
