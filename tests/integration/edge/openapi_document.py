"""Checks responses against the OpenAPI document of the edge."""

import json
import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.harness import sse

OPENAPI_PATH = "/docs/openapi.json"
EVENT_STREAM = "text/event-stream"
_DOCUMENT_URI = "urn:document"


class OpenApiDocument:
    """The documented responses of each call, and the documented events of each stream.

    `operations` holds the calls: what has responses that end.

    `covered_responses` holds the calls and statuses of the responses that were checked.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = close_objects(document)
        self.covered_responses: set[tuple[str, str, int]] = set()
        self.operations = {
            (verb.upper(), path): operation
            for path, operations in self.document["paths"].items()
            for verb, operation in operations.items()
            if not operation.get("operationId", "").startswith("stream-")
        }
        resource = DRAFT202012.create_resource(self.document)
        self._registry: Registry[Any] = Registry().with_resource(_DOCUMENT_URI, resource)
        self._validators: dict[int, Draft202012Validator] = {}
        self._paths = {
            (verb, path): re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path))
            for verb, path in self.operations
        }

    def assert_documented(self, response: httpx.Response) -> None:
        """Fail if the document lacks the response, or describes it differently.

        A response 405, or to a call that is not documented, is not checked.
        """
        verb, path = response.request.method, response.request.url.path
        found = [call for call, form in self._paths.items()
                 if call[0] == verb and form.fullmatch(path)]  # fmt: skip
        if response.status_code == 405 or not found:
            return
        call = next((one for one in found if one[1] == path), found[0])
        documented = self._resolve_references(self.operations[call]["responses"]).get(
            str(response.status_code)
        )
        assert documented is not None, (call, response.status_code, "is not in the document")
        self.covered_responses.add((*call, response.status_code))
        documented = self._resolve_references(documented)
        assert bool(documented.get("content")) == bool(response.content), (
            call,
            response.status_code,
        )
        for header in documented.get("headers", {}):
            assert header in response.headers, (call, response.status_code, header)
        if not response.content:
            return
        kind = response.headers["content-type"].partition(";")[0]
        assert kind in documented["content"]
        schema = documented["content"][kind]["schema"]
        self._assert_valid(schema, response.json(), (*call, response.status_code))

    def assert_event_documented(self, path: str, frame: sse.Frame) -> None:
        """Fail if the stream `path` is not documented to send the event, with this content."""
        responses = self.document["paths"][path]["get"]["responses"]
        schema = responses["200"]["content"][EVENT_STREAM]["itemSchema"]
        item = {"event": frame.event, "data": frame.raw.decode(), "retry": frame.retry}
        if frame.id is not None:
            item["id"] = frame.id
        self._assert_valid(schema, item, (path, frame.event))
        [content] = [
            one["properties"]["data"]["contentSchema"]
            for one in schema["oneOf"]
            if one["properties"]["event"]["const"] == frame.event
        ]
        self._assert_valid(content, frame.data, (path, frame.event))

    def assert_poll_documented(self, path: str, document: Any) -> None:
        """Fail if the answer to a long-poll of the stream `path` is documented differently."""
        responses = self.document["paths"][path]["get"]["responses"]
        self._assert_valid(
            responses["200"]["content"]["application/json"]["schema"], document, (path, "poll")
        )

    def accepts_body(self, operation: tuple[str, str], body: Any) -> bool:
        """Return whether the body matches the documented schema of the call."""
        schema = self.operations[operation]["requestBody"]["content"]["application/json"]["schema"]
        return not list(Draft202012Validator(schema).iter_errors(body))

    def _assert_valid(self, schema: dict[str, Any], value: Any, label: object) -> None:
        errors = [
            f"{error.json_path}: {error.message[:300]}"
            for error in self._validator(schema).iter_errors(value)
        ]
        assert not errors, (label, errors)

    def _validator(self, schema: dict[str, Any]) -> Draft202012Validator:
        """The validator of a part of the document. Made once: it copies the part."""
        validator = self._validators.get(id(schema))
        if validator is None:
            rooted = json.loads(json.dumps(schema).replace('"#/', f'"{_DOCUMENT_URI}#/'))
            validator = Draft202012Validator(rooted, registry=self._registry)
            self._validators[id(schema)] = validator
        return validator

    def _resolve_references(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            target: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node


def close_objects(node: Any) -> Any:
    """Return the schema without additional properties in objects that list their properties."""
    if isinstance(node, list):
        return [close_objects(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {name: close_objects(value) for name, value in node.items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
