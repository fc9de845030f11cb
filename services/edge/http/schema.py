"""OpenAPI documentation beyond what Litestar derives from a handler.

Handlers decode bodies and query parameters themselves, strictly. They document them, the required
authentication and the errors by their `operation_class`, which `operation` builds. Schemas and
responses that operations share are in `SharedComponents`.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
from litestar.openapi.spec import Components, OpenAPIType, Operation, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from tapewire.log.list_cursor import MAX_PAGE_ROWS
from tapewire_services.edge.auth import SESSION_COOKIE, USER_HEADER
from tapewire_services.edge.http.errors import ACCOUNT_CHANGED, Problem

MAX_IDEMPOTENCY_KEY_CHARACTERS = 128

_STATUS_DESCRIPTIONS = {
    400: "The body or a header is malformed, or the body is incomplete.",
    401: "No valid session.",
    403: "Not allowed for this user, or for the page that sent it, or switched off.",
    404: "It does not exist, or belongs to another user.",
    409: "It conflicts with the current state, or is meant for another user than the one who is "
    f"signed in (`error` is `{ACCOUNT_CHANGED}`).",
    413: "The body is too large.",
    415: "The body is not JSON, by its `Content-Type`.",
    422: "A field or parameter is invalid: `path` names it.",
    429: "The user makes too many calls: retry after `Retry-After` seconds.",
    503: "The service that owns this is unavailable: retry after `Retry-After` seconds. For a "
    "command `outcome` says whether nothing was done; if that is `unknown`, ask at `foundAt`, or "
    "send the same request again with `idempotencyKey`.",
}
_BODY_ERROR_STATUSES = (400, 403, 413, 415, 422)
_DECIMAL_SCHEMA = {"type": ["number", "string"], "format": "decimal"}
"""Both are exact: a client with binary floating point sends strings."""
_IDEMPOTENCY_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A command is carried out once for the same user, operation and key, however "
    "often it is sent. The same key with another request is refused with 422, at any time.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_CHARACTERS},
}

USER_PARAMETER = {
    "name": USER_HEADER,
    "in": "header",
    "required": False,
    "description": "The user whom the page shows, percent-encoded. It is refused with 409 "
    f"`{ACCOUNT_CHANGED}` if another one is signed in, for example in another tab.",
    "schema": {"type": "string"},
}


def query_parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """An optional query parameter."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
    }


def page_parameters(default_limit: int, maximum: int = MAX_PAGE_ROWS) -> list[dict[str, Any]]:
    """The query parameters of a paged list."""
    return [
        query_parameter(
            "limit",
            "The number of rows. A page may be shorter if its rows are large.",
            type="integer",
            minimum=1,
            maximum=maximum,
            default=default_limit,
        ),
        query_parameter(
            "cursor",
            "The `next` of an earlier response: lists the rows that follow it. Opaque.",
        ),
    ]


def operation(
    body_type: type[msgspec.Struct] | None = None,
    *,
    query_parameters: Sequence[dict[str, Any]] = (),
    is_command: bool = False,
    is_public: bool = False,
    is_body_required: bool = True,
    error_statuses: Iterable[int] = (),
) -> type[Operation]:
    """The `operation_class` of a handler.

    Args:
        body_type: the request's JSON body.
        query_parameters: made by `query_parameter`.
        is_command: the request takes an Idempotency-Key.
        is_public: no session is needed. Otherwise 401 is documented, and 503 for the time when
            sessions cannot be looked up.
        error_statuses: further error statuses. With 401, the call is public only in part.

    The class attribute `query_names` has the names of the query parameters: others are rejected.
    """
    error_statuses = frozenset(error_statuses)
    has_session = not is_public or 401 in error_statuses
    parameters = [
        *query_parameters,
        *([_IDEMPOTENCY_KEY_PARAMETER] if is_command else []),
        *([USER_PARAMETER] if has_session else []),
    ]
    statuses = {
        *error_statuses,
        *((401, 409, 503) if has_session else ()),
        *(() if body_type is None else _BODY_ERROR_STATUSES),
        422,  # an unknown query parameter
        *((429,) if not is_public and (is_command or body_type is not None) else ()),
    }
    body_schema = None if body_type is None else _inline_references(msgspec.json.schema(body_type))

    class DocumentedOperation(Operation):
        query_names: ClassVar[frozenset[str]] = frozenset(
            parameter["name"] for parameter in query_parameters
        )

        def to_schema(self) -> dict[str, Any]:
            schema = super().to_schema()
            schema["responses"] = {
                **_success_responses(schema["responses"]),
                **_error_responses(statuses),
            }
            if parameters:
                schema["parameters"] = [*schema.get("parameters", ()), *parameters]
            if not is_public:
                schema["security"] = [{"session": []}, {"bearer": []}]
            if body_schema is not None:
                content = {"application/json": {"schema": body_schema}}
                schema["requestBody"] = {"required": is_body_required, "content": content}
            return schema

    return DocumentedOperation


def _success_responses(responses: dict[str, Any]) -> dict[str, Any]:
    """The handler's own responses. Litestar adds a 400 in a form that the edge never sends, and a
    body to 204."""
    successes = {status: spec for status, spec in responses.items() if status != "400"}
    if "204" in successes:
        successes["204"].pop("content", None)
    return successes


def _error_responses(statuses: Iterable[int]) -> dict[str, Any]:
    return {
        str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)
    }


class SharedComponents(Components):
    """The schemas, responses and security schemes that operations refer to."""

    def to_schema(self) -> dict[str, Any]:
        schema = super().to_schema()
        schema["schemas"] = {
            **schema.get("schemas", {}),
            "Problem": _inline_references(msgspec.json.schema(Problem)),
        }
        schema["responses"] = {
            str(status): _error_response(status, meaning)
            for status, meaning in _STATUS_DESCRIPTIONS.items()
        }
        schema["securitySchemes"] = {
            "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        }
        return schema


def _error_response(status: int, description: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    response: dict[str, Any] = {"description": description, "content": content}
    if status in (429, 503):
        seconds = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
        response["headers"] = {"Retry-After": seconds}
    return response


class DecimalSchemaPlugin(OpenAPISchemaPlugin):
    """Documents decimals as numbers: responses have them as JSON numbers with all digits, but
    Litestar documents strings."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        return value is Decimal

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:  # noqa: ARG002
        return Schema(type=OpenAPIType.NUMBER)


def _inline_references(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with references replaced by their definitions, and decimals as accepted."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolve(definitions[node["$ref"].rpartition("/")[2]])
        resolved = {name: resolve(value) for name, value in node.items() if name != "discriminator"}
        is_decimal = resolved.get("format") == "decimal"
        return {**resolved, **_DECIMAL_SCHEMA} if is_decimal else resolved

    inlined: dict[str, Any] = resolve(schema)
    return inlined
