"""What the OpenAPI document says of a call beyond what Litestar reads off its handler: the body,
which handlers decode by themselves, strictly; parameters of the query; who may; every refusal.

A handler says it by its `operation_class`, made by `call`. What many calls share is in `Shared`.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from litestar.openapi.spec import Components, OpenAPIType, Operation, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from tapewire_services.edge.auth import SESSION_COOKIE
from tapewire_services.edge.http.errors import Problem

MAX_IDEMPOTENCY_KEY_CHARACTERS = 128
"""Of an Idempotency-Key."""

_STATUS_DESCRIPTIONS = {
    400: "The body is no JSON, or did not come whole.",
    401: "No valid session.",
    403: "Not for this user, or switched off.",
    404: "There is no such thing, or it is somebody else's.",
    409: "It does not go with how things are now.",
    413: "The body is too large.",
    422: "A field or parameter does not fit: `path` names it.",
    503: "The service that owns this is away: ask again after `Retry-After` seconds.",
}
_BODY_ERROR_STATUSES = (400, 413, 422)
_DECIMAL_SCHEMA = {"type": ["number", "string"], "format": "decimal"}
"""Exact either way: a client whose numbers are binary sends texts."""
_IDEMPOTENCY_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same user, call and key: done once, however often it is asked for.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_CHARACTERS},
}


def query_parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """A parameter of the query, which may be left out."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
    }


def operation(
    body_type: type[msgspec.Struct] | None = None,
    *,
    query_parameters: Sequence[dict[str, Any]] = (),
    is_command: bool = False,
    is_public: bool = False,
    is_body_required: bool = True,
    error_statuses: Iterable[int] = (),
) -> type[Operation]:
    """The operation of a call that takes a body, and `asks` for parameters of the query.

    A `command` can be repeated under an Idempotency-Key. One for `anybody` needs no session; what
    does can be refused with 401, and with 503 while sessions cannot be looked up. `refuses` are the
    further statuses that a client must reckon with.
    """
    parameters = [*query_parameters, *([_IDEMPOTENCY_KEY_PARAMETER] if is_command else [])]
    statuses = {
        *error_statuses,
        *(() if is_public else (401, 503)),
        *(() if body_type is None else _BODY_ERROR_STATUSES),
        *((422,) if parameters else ()),
    }
    body = None if body_type is None else _inline_references(msgspec.json.schema(body_type))

    class DocumentedOperation(Operation):
        def to_schema(self) -> dict[str, Any]:
            told = super().to_schema()
            told["responses"] = {
                **_success_responses(told["responses"]),
                **_error_responses(statuses),
            }
            if parameters:
                told["parameters"] = [*told.get("parameters", ()), *parameters]
            if not is_public:
                told["security"] = [{"session": []}, {"bearer": []}]
            if body is not None:
                content = {"application/json": {"schema": body}}
                told["requestBody"] = {"required": is_body_required, "content": content}
            return told

    return DocumentedOperation


def _success_responses(responses: dict[str, Any]) -> dict[str, Any]:
    """Those of the handler itself: Litestar adds a refusal that our errors never are, and a body
    where there is none."""
    answers = {status: answer for status, answer in responses.items() if status != "400"}
    if "204" in answers:
        answers["204"].pop("content", None)
    return answers


def _error_responses(statuses: Iterable[int]) -> dict[str, Any]:
    return {
        str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)
    }


class SharedComponents(Components):
    """What operations refer to."""

    def to_schema(self) -> dict[str, Any]:
        told = super().to_schema()
        told["schemas"] = {
            **told.get("schemas", {}),
            "Problem": msgspec.json.schema(Problem)["$defs"]["Problem"],
        }
        told["responses"] = {
            str(status): _error_response(status, meaning)
            for status, meaning in _STATUS_DESCRIPTIONS.items()
        }
        told["securitySchemes"] = {
            "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        }
        return told


def _error_response(status: int, description: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    refusal: dict[str, Any] = {"description": description, "content": content}
    if status == 503:
        seconds = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
        refusal["headers"] = {"Retry-After": seconds}
    return refusal


class DecimalSchemaPlugin(OpenAPISchemaPlugin):
    """Answers have decimals as JSON numbers, digit for digit; Litestar takes them for texts."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        return value is Decimal

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:  # noqa: ARG002
        return Schema(type=OpenAPIType.NUMBER)


def _inline_references(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with every reference replaced by what it names, and decimals as they are taken."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolve(definitions[node["$ref"].rpartition("/")[2]])
        told = {name: resolve(value) for name, value in node.items() if name != "discriminator"}
        return {**told, **_DECIMAL_SCHEMA} if told.get("format") == "decimal" else told

    resolved: dict[str, Any] = resolve(schema)
    return resolved
