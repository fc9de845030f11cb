"""OpenAPI of bodies that handlers decode by themselves, strictly, with errors of our own."""

from typing import Any

import msgspec
from litestar.openapi.spec import Operation


def taking(body: type[msgspec.Struct]) -> type[Operation]:
    """An operation that documents `body` as its request body."""
    schema = _inlined(msgspec.json.schema(body))

    class Taking(Operation):
        def to_schema(self) -> dict[str, Any]:
            documented = super().to_schema()
            documented["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": schema}},
            }
            return documented

    return Taking


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with every reference replaced by what it names."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolve(definitions[node["$ref"].rpartition("/")[2]])
        return {name: resolve(value) for name, value in node.items()}

    resolved: dict[str, Any] = resolve(schema)
    return resolved
