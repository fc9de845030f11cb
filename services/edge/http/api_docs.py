"""The page at ``/docs``: the OpenAPI document as plain HTML.

The usual viewers load megabytes of scripts from a public network, which a cluster may not reach.
They can be pointed at ``/docs/openapi.json``.
"""

from collections.abc import Iterator
from html import escape
from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

from tapewire_services.edge.http.stream_docs import EVENT_STREAM


class HtmlRenderPlugin(OpenAPIRenderPlugin):
    """Renders every operation with its parameters, body and responses."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        return "".join(_render_document(openapi_schema)).encode()


def _render_document(document: dict[str, Any]) -> Iterator[str]:
    title = escape(document["info"]["title"])
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
    yield "<link rel=stylesheet href=/static/docs.css>"
    yield f"<h1>{title} {escape(document['info']['version'])}</h1>"
    yield '<p>Machine-readable: <a href="/docs/openapi.json">openapi.json</a>.</p>'
    shared = document["components"].get("responses", {})
    for path, operations in sorted(document["paths"].items()):
        for verb, operation in operations.items():
            yield from _render_operation(path, verb, operation, shared)
    yield "<h2>Schemas</h2>"
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        yield f"<h3 id={escape(name)}>{escape(name)}</h3>{_render_schema(schema)}"


def _render_operation(
    path: str, method: str, operation: dict[str, Any], shared_responses: dict[str, Any]
) -> Iterator[str]:
    yield f"<h2><code><span class=verb>{escape(method)}</span> {escape(path)}</code></h2>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    for parameter in operation.get("parameters", ()):
        location, description = escape(parameter["in"]), escape(parameter.get("description", ""))
        yield f"<p>{location} <code>{escape(parameter['name'])}</code>: {description}</p>"
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        yield f"<p>Body</p>{_render_schema(body['schema'])}"
    for status, documented in operation.get("responses", {}).items():
        response = (
            shared_responses[documented["$ref"].rpartition("/")[2]]
            if "$ref" in documented
            else documented
        )
        content = response.get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        schema_name = escape(schema.get("$ref", "").rpartition("/")[2])
        link = f"<a href=#{schema_name}>{schema_name}</a>. " if schema_name else ""
        yield f"<p>{escape(status)}: {link}{escape(response['description'])}</p>"
        if EVENT_STREAM in content:
            yield f"<p>Event</p>{_render_schema(content[EVENT_STREAM]['itemSchema'])}"


def _render_schema(schema: Any) -> str:
    return (
        f"<pre>{escape(msgspec.json.format(msgspec.json.encode(schema), indent=2).decode())}</pre>"
    )
