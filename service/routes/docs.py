"""The reference of all addresses, as a page that needs no script and asks nothing of any other server."""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from shlex import quote
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from service.deps import BaseUrlDep

router = APIRouter(include_in_schema=False)

Schema = Mapping[str, Any]

_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'"
_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "default": "default {}",
}
# Deep enough for a request's filters and an answer's citations.
_DEEPEST = 2


@router.get("/docs")
def get_docs(request: Request, base_url: BaseUrlDep) -> HTMLResponse:
    """Return the reference as a page."""
    page = _Page(request.app.openapi(), base_url).render()
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


@router.get("/docs/style.css")
def get_style() -> Response:
    """Return how the page looks."""
    style = files("service").joinpath("routes", "docs.css").read_text(encoding="utf-8")
    return Response(style, media_type="text/css")


class _Page:
    """One OpenAPI document as a page of HTML."""

    def __init__(self, document: Schema, base_url: str) -> None:
        self._document = document
        self._base_url = base_url
        self._tags: dict[str, list[tuple[str, str, Schema]]] = {}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                tag = (operation.get("tags") or ["other"])[0]
                self._tags.setdefault(tag, []).append((method.upper(), path, operation))

    def render(self) -> str:
        info = self._document["info"]
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(info['title'])}: reference</title>\n"
            '<link rel="stylesheet" href="docs/style.css">\n</head>\n<body>\n'
            f"<header><h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>\n"
            f"{_prose(info.get('description', ''))}"
            '<p>The same for programs: <a href="openapi.json">openapi.json</a>.</p></header>\n'
            f'<nav aria-label="Contents">\n{"".join(self._contents())}</nav>\n'
            f"<main>\n{''.join(self._sections())}</main>\n</body>\n</html>\n"
        )

    def _contents(self) -> Iterator[str]:
        for tag, operations in self._tags.items():
            yield f"<h2>{escape(tag.capitalize())}</h2>\n<ul>\n"
            for method, path, operation in operations:
                name = escape(operation["operationId"])
                yield f'<li><a href="#{name}">{_address(method, path)}</a></li>\n'
            yield "</ul>\n"

    def _sections(self) -> Iterator[str]:
        for tag, operations in self._tags.items():
            yield f'<section aria-labelledby="tag-{escape(tag)}">\n'
            yield f'<h2 id="tag-{escape(tag)}">{escape(tag.capitalize())}</h2>\n'
            for method, path, operation in operations:
                yield "".join(self._operation(method, path, operation))
            yield "</section>\n"

    def _operation(self, method: str, path: str, operation: Schema) -> Iterator[str]:
        name = escape(operation["operationId"])
        yield f'<article id="{name}">\n<h3><a href="#{name}">{_address(method, path)}</a></h3>\n'
        yield f'<p class="summary">{escape(operation.get("summary", ""))}</p>\n'
        yield _prose(operation.get("description", ""))
        parameters = operation.get("parameters", [])
        if parameters:
            rows = (self._row(one["name"], one["schema"], one, where=one["in"]) for one in parameters)
            yield f"<h4>Parameters</h4>\n<dl>\n{''.join(rows)}</dl>\n"
        content = operation.get("requestBody", {}).get("content", {})
        for media_type, body in content.items():
            yield f"<h4>Body <code>{escape(media_type)}</code></h4>\n{self._fields(body.get('schema', {}))}"
        if example := self._curl(method, path, parameters, content):
            yield f"<h4>Example</h4>\n<pre><code>{escape(example)}</code></pre>\n"
        yield f"<h4>Responses</h4>\n{''.join(self._responses(operation['responses']))}</article>\n"

    def _responses(self, responses: Schema) -> Iterator[str]:
        problems = [status for status in responses if status >= "400"]
        for status in sorted(set(responses) - set(problems)):
            response = responses[status]
            yield f"<p><strong>{escape(status)}</strong> {_inline(response.get('description', ''))}</p>\n"
            for media_type, body in response.get("content", {}).items():
                if fields := self._fields(body.get("schema", {})):
                    yield f"<details><summary><code>{escape(media_type)}</code></summary>\n{fields}</details>\n"
                else:
                    yield f"<p><code>{escape(media_type)}</code></p>\n"
        if problems:
            yield f"<p>Problems: {', '.join(f'<strong>{escape(status)}</strong>' for status in problems)}</p>\n"

    def _fields(self, schema: Schema, depth: int = 0) -> str:
        """Return a list of an object's fields, and of theirs; nothing for what has no fields."""
        found = self._resolve(schema)
        found = self._resolve(found.get("items", found))
        if "properties" not in found or depth > _DEEPEST:
            return ""
        required = found.get("required", [])
        rows = (
            self._row(name, field, {"required": name in required, **field}, depth=depth)
            for name, field in found["properties"].items()
        )
        return f"<dl>\n{''.join(rows)}</dl>\n"

    def _row(self, name: str, schema: Schema, said: Schema, *, where: str = "", depth: int = 0) -> str:
        facts = [self._type(schema), *_limits(schema), *([f"in {where}"] if where else [])]
        needed = ' <em class="required">required</em>' if said.get("required") else ""
        about = f"<br>{_inline(said['description'])}" if said.get("description") else ""
        return (
            f"<dt><code>{escape(name)}</code>{needed}</dt>\n<dd>"
            f'<span class="facts">{escape(", ".join(facts))}</span>{about}'
            f"{self._fields(schema, depth + 1)}</dd>\n"
        )

    def _type(self, schema: Schema) -> str:
        if "anyOf" in schema:
            return " or ".join(dict.fromkeys(self._type(one) for one in schema["anyOf"]))
        found = self._resolve(schema)
        if "enum" in found or "const" in found:
            return " | ".join(json.dumps(value) for value in found.get("enum", [found.get("const")]))
        if found.get("type") == "array":
            return f"list of {self._type(found.get('items', {}))}"
        return str(found.get("format") or found.get("type") or "anything")

    def _resolve(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def _curl(self, method: str, path: str, parameters: list[Schema], content: Schema) -> str:
        """Return a command that works as it is, but for names in capitals; nothing where that is not obvious."""
        address = self._base_url + re.sub(r"\{(\w+)(:\w+)?\}", lambda found: found[1].upper(), path)
        query = [
            f"{one['name']}={one['name'].upper()}" for one in parameters if one["in"] == "query" and one["required"]
        ]
        if query:
            address += "?" + "&".join(query)
        if not content:
            return f"curl {quote(address)}" if method == "GET" else f"curl -X {method} {quote(address)}"
        fields = self._resolve(content.get("application/json", {}).get("schema", {}))
        required = fields.get("required", [])
        if not required or any(self._type(fields["properties"][name]) != "string" for name in required):
            return ""
        body = json.dumps({name: name.upper() for name in required})
        return f"curl --json {quote(body)} {quote(address)}"


def _address(method: str, path: str) -> str:
    return f'<span class="method {escape(method.lower())}">{escape(method)}</span> <code>{escape(path)}</code>'


def _limits(schema: Schema) -> Iterator[str]:
    for one in (schema, *schema.get("anyOf", [])):
        for key, text in _LIMITS.items():
            if isinstance(value := one.get(key), int | float | str):
                # Python's models say 1.0 where a whole number is meant.
                yield text.format(value if isinstance(value, bool | str) else f"{value:.15g}")


def _prose(text: str) -> str:
    """Return paragraphs of text that was written for Markdown; of its marks only backticks mean something here."""
    return "".join(f"<p>{_inline(paragraph)}</p>\n" for paragraph in text.split("\n\n") if paragraph.strip())


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
