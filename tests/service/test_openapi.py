import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from fastapi.testclient import TestClient

from service.access import needed_scope
from service.app import create_app
from service.problems import MEDIA_TYPE
from service.settings import Settings

DOCUMENT = create_app(Settings()).openapi()
OPERATIONS = [
    pytest.param(method.upper(), path, operation, id=f"{method} {path}")
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
each_operation = pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)


def _schemas(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from _schemas(one)
    elif isinstance(value, list):
        for one in value:
            yield from _schemas(one)


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that can be used on its own."""
    return {**schema, "components": DOCUMENT["components"]}


def test_every_reference_leads_somewhere() -> None:
    references = {one["$ref"] for one in _schemas(DOCUMENT) if isinstance(one.get("$ref"), str)}
    assert len(references) > 10
    assert references == {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}


def test_every_field_is_described() -> None:
    bodies = [
        body["schema"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        for body in operation.get("requestBody", {}).get("content", {}).values()
    ]
    silent = [
        name
        for schema in [*DOCUMENT["components"]["schemas"].values(), *bodies]
        for name, field in schema.get("properties", {}).items()
        if not field.get("description")
    ]
    assert silent == []


@each_operation
def test_every_parameter_is_described_and_never_null(method: str, path: str, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        assert parameter["description"], parameter
        assert {"type": "null"} not in parameter["schema"].get("anyOf", []), parameter
        assert "default" not in parameter["schema"] or parameter["schema"]["default"] is not None


@each_operation
def test_a_key_may_be_sent_where_one_may_be_needed(method: str, path: str, operation: dict[str, Any]) -> None:
    needs = needed_scope(method, path) is not None
    assert operation.get("security") == ([{"key": []}, {}] if needs else None)
    assert {"401", "403", "429"} <= set(operation["responses"]) or not needs


@each_operation
def test_errors_are_problem_documents_and_nothing_else(method: str, path: str, operation: dict[str, Any]) -> None:
    errors = {status: one for status, one in operation["responses"].items() if status >= "400"}
    assert "500" in errors
    kind, name = ("application/json", "OpenAIProblem") if path.startswith("/v1/") else (MEDIA_TYPE, "Problem")
    for status, response in errors.items():
        assert response["content"] == {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}, status


@each_operation
def test_examples_are_what_the_schema_says(method: str, path: str, operation: dict[str, Any]) -> None:
    for schema in _schemas(operation):
        for example in schema.get("examples", []):
            assert jsonschema_rs.is_valid(_resolved(schema), example), example


def test_a_form_takes_the_fields_of_an_article_and_a_file() -> None:
    contents = {method: DOCUMENT["paths"][path][method]["requestBody"]["content"] for method, path in _CHANGES.items()}
    posted, put = (contents[method]["multipart/form-data"]["schema"] for method in ("post", "put"))
    assert set(posted["properties"]) == set(put["properties"]) | {"id"}
    assert (posted["required"], posted["additionalProperties"]) == (["file"], False)
    assert all("anyOf" not in field for field in posted["properties"].values())


_CHANGES = {"post": "/articles", "put": "/articles/{article_id}"}
_BODIES = [
    ({"text": "It rained."}, True, True),
    ({"text": "It rained.", "url": "https://example.org/", "date": "2022-10-28", "collection": "a"}, True, True),
    ({"url": "https://example.org/"}, True, True),
    ({"feed": "https://example.org/"}, True, False),
    ({"feed": "https://example.org/", "text": "It rained."}, False, False),
    ({"feed": None, "url": None, "text": None}, False, False),
    ({"title": "T"}, False, False),
    ({"text": "…"}, False, False),
    ({"text": "It rained.", "other": 1}, False, False),
]


@pytest.mark.parametrize(("body", "posted", "put"), _BODIES)
def test_an_article_as_json_is_refused_where_the_document_forbids_it(
    served: TestClient, body: dict[str, object], posted: bool, put: bool
) -> None:
    for method, path, allowed in (("post", "/articles", posted), ("put", "/articles/{article_id}", put)):
        schema = DOCUMENT["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
        assert jsonschema_rs.is_valid(_resolved(schema), body) is allowed
        answer = served.request(method, path.format(article_id="a"), json=body)
        # That this server fetches nothing stands in no schema.
        fetches = answer.json().get("title") == "Cannot be fetched"
        assert (answer.status_code < 300 or fetches) is allowed, answer.text


def test_the_address_is_the_public_one() -> None:
    assert DOCUMENT["servers"] == [{"url": "/"}]
    named = create_app(Settings(public_url="https://example.org/quotes/")).openapi()
    assert named["servers"] == [{"url": "https://example.org/quotes"}]


def test_every_tag_is_described_and_used() -> None:
    used = {
        tag for methods in DOCUMENT["paths"].values() for operation in methods.values() for tag in operation["tags"]
    }
    assert {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]} == used


def test_the_document_is_the_same_each_time(served: TestClient) -> None:
    served.get("/docs")
    assert served.get("/openapi.json").json() == json.loads(json.dumps(DOCUMENT))
