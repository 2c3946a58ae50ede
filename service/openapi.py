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
    "about": "what it is that differs, in words of the articles; empty where it is a statement",
    "added_at": "when this version was added",
    "after": "the sentence behind it, null where there is none",
    "age": "how old the answer is, in words, where the question is about now and the answer is not; else null",
    "answer": "the words that the first of them answers with, to a question that is not for yes or no; null else",
    "article_id": "the id of the article",
    "articles": "how many articles there are",
    "attribution": "whose statement the quote is; null where it is the article's own, and where that is in doubt",
    "author": "who wrote it",
    "before": "the sentence before it, null where there is none",
    "change": "what became of the words: `same`, `removed` or `added`",
    "citations": "the sentences that answer, best first; empty where nothing answers. As many as `top_k`, as far as "
    "there are so many: weak ones follow strong ones, and `score` tells them apart",
    "collection": "the collection that the article belongs to",
    "collections": "the number of articles of each collection, by its name",
    "compare": "whether what is cited is compared",
    "comparison": "what the citations say beside each other; null where there are none, or where `compare` is off",
    "current": "whether it is the newest version of its article",
    "date": "the day it was published",
    "date_from": "first day, inclusive; articles without a date are left out",
    "date_to": "last day, inclusive; articles without a date are left out",
    "detail": "what happened, and what to do next",
    "difference": "how the words differ, piece by piece; empty where they do not",
    "differences": "names and numbers of the same thing that differ, and statements that are opposed; no side is taken",
    "encoder": "the name of the encoder",
    "end_char": "where it ends in the article's text, in code points, exclusive",
    "end_utf16": "where it ends in the article's text, in UTF-16 units as JavaScript counts, exclusive",
    "error": "what is wrong with it",
    "filters": "which articles may answer; all, if left out",
    "first": "the first day, inclusive; null where a question leaves it open",
    "generation": "of the corpus that was asked; every change raises it by one",
    "id": "what it is called, for good",
    "kind": "what became of it",
    "language": "its language, a code such as en",
    "last": "the last day, inclusive; null where a question leaves it open",
    "latest_version": "the newest version of the article",
    "limit": "the most articles to return",
    "line": "the number of the line, or of the feed's entry, from 1",
    "link": "opens the article at the sentence",
    "media_type": "what it was read as",
    "n": "its place in the answer, from 1",
    "named": "the name that the speaker's words stand for, where they are a pronoun or a title; null else",
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
    "quoted": "whether it is a direct quotation",
    "reader": "the name of the reader, null where there is none",
    "reason": "the verdict in words",
    "says": "what it says to a yes-or-no question; null to others, and where that is not clear",
    "score": "the estimated probability that this sentence answers",
    "sentence_spans": "where each sentence stands",
    "sentences": "how many sentences there are",
    "sha256": "the checksum of text and metadata that was taken when this version was added",
    "sides": "citations that say the same, by their best one",
    "similarity": "how like the quote it is; 1 for word for word, and only for that",
    "source": "who published it, such as Reuters",
    "sources": "how many articles say so; near-duplicates of one another count as one",
    "speaker": "who says it, as it stands in the article",
    "start_char": "where it begins in the article's text, in code points",
    "start_utf16": "where it begins in the article's text, in UTF-16 units as JavaScript counts",
    "status": "how it stands",
    "summary": "the same in a sentence of ours; empty where it is unclear",
    "text": "the words",
    "time": "the time that the question asks about; null where it asks about none",
    "times": "the times that the quote speaks of, on the calendar; empty where there are none",
    "timings_ms": "how long each stage took, in milliseconds: `encode`, `search`, `score`, `read`, `cite`, `total`; "
    "only those that there were; `remembered` in place of all but `total` where the answer was given before",
    "title": "the title",
    "understood": "the question as it stands alone, where the turns before it made it another; null where they did not",
    "url": "its address on the web",
    "values": "what it is in each of the quotes",
    "verb": "what tells that it is reported",
    "verdict": "the outcome in one word",
    "version": "the version of the article, from 1",
    "versions": "the versions, newest first",
    "via": "who passed it on, null where nobody is named",
    "what": "what is wrong there",
    "where": "where it stands",
    "words": "the words that say so",
}

# What some of them mean in one schema only.
_FIELDS_OF = {
    ("Citation", "places"): "where else the same is written, in nearly the same words; empty where that is nowhere",
    ("Comparison", "verdict"): "`agree`: two sources or more, one side; `contested`: some say yes, some no; `differ`: "
    "other answers, names or statements; `one_source`; `unclear`: several, and what they say to it could not be told",
    ("Difference", "kind"): "`name`, `number`, or `statement`: two quotes of which one denies what the other says",
    ("Said", "kind"): "what is done by saying it: `says`, `denies`, `accuses`, `asks`, `doubts`",
    ("Side", "citations"): "the `n` of each, best first",
    ("Side", "reports"): "where no yes or no is known: `denial`, `accusation`, or `statement`, on what is denied",
    ("Value", "n"): "the citation's place in the answer",
    ("Value", "part"): "the words, and where they stand in its article",
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
    for kind, schema in schemas.items():
        for name, field in schema.get("properties", {}).items():
            if (kind, name) in _FIELDS_OF:
                field["description"] = _FIELDS_OF[kind, name]
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
