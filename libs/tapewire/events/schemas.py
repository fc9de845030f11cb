"""JSON Schemas (2020-12) of structs as they are on the wire: decimals are JSON numbers. Pure."""

from collections.abc import Iterable
from typing import Any

import msgspec

JsonSchema = dict[str, Any]


def json_schemas(
    types: Iterable[Any], ref_template: str = "#/components/schemas/{name}"
) -> tuple[list[JsonSchema], dict[str, JsonSchema]]:
    """The schemas of `types`, and those that they refer to, by name.

    `ref_template` is the address of a schema, with ``{name}`` for its name.
    """
    schemas, components = msgspec.json.schema_components(types, ref_template=ref_template)
    return [*map(_as_on_wire, schemas)], {
        name: _as_on_wire(schema) for name, schema in components.items()
    }


def _as_on_wire(node: Any) -> Any:
    """`node` with decimals as numbers, descriptions on one line, and without `discriminator`, which
    is no part of JSON Schema."""
    if isinstance(node, list | tuple):
        return [_as_on_wire(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "decimal":
        return {**node, "type": "number"}
    converted = {
        name: _as_on_wire(value) for name, value in node.items() if name != "discriminator"
    }
    if isinstance(node.get("description"), str):
        converted["description"] = " ".join(node["description"].split())
    return converted
